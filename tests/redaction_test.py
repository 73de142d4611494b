import logging
import re
import signal
import sys
import warnings

import pytest
from absl.testing import flagsaver

from tests import source_folders
from tests.convert_main_test import folders
from tfdicom import command, convert_main, redaction
from tfdicom.deidentify import Pseudonyms, load_pseudonyms
from tfdicom.redaction import Redactor

PUBLIC: Pseudonyms = load_pseudonyms("public")[0]


@pytest.fixture
def redactor(tmp_path):
    made = Redactor()
    made.pseudonyms = PUBLIC
    made.add_files(tmp_path, ["KrauseHilde/scan 1.dcm", "KrauseHilde/x/MRI.dcm"])
    made.add("MRN778", PUBLIC.of("patient", "MRN778"))
    for short in ("P1", "12"):
        made.add(short, f"short-{short}")
    return made


def test_files_are_named_as_in_the_ledger(redactor):
    candidate = PUBLIC.of("candidate", "KrauseHilde/scan 1.dcm")
    told = redactor.text("KrauseHilde/scan 1.dcm#3: it is damaged")
    assert told == f"{candidate}#3: it is damaged"


@pytest.mark.parametrize(
    "text",
    [
        "KrauseHilde",
        "krausehilde/x",
        "'KrauseHilde/x/MRI.dcm'",
        "KrauseHilde/scan 1.dcm, KrauseHilde/x",
        "scan 1.dcm and MRI.dcm",
        "patient MRN778, 'MRN778'",
    ],
)
def test_no_name_is_left(redactor, text):
    told = redactor.text(text).lower()
    for name in ("krause", "hilde", "mri", "scan 1", "mrn778"):
        assert name not in told


def test_the_input_folder_has_no_name(redactor, tmp_path):
    assert redactor.text(f"{tmp_path}: nothing") == "INPUT_DIR: nothing"


def test_parts_of_words_and_counts_stay(redactor):
    text = "MRN7789 KrauseHildegard 12 images, XP1"
    assert redactor.text(text) == text
    assert redactor.text("patient '12', P1") == "patient 'short-12', short-P1"


def test_errors_are_changed_with_what_is_behind_them(redactor):
    with pytest.raises(OSError, match=r"^\[Errno 2\] none: '[0-9a-f]{32}'$") as caught:
        try:
            raise ValueError("of MRN778")
        except ValueError as error:
            try:
                raise OSError(2, "none", "KrauseHilde/x/MRI.dcm") from error
            except OSError as raised:
                redactor.change(raised)
                raise
    assert "MRN" not in str(caught.value.__cause__)


def test_only_while_it_lasts(capsys, tmp_path):
    redaction.note_files(tmp_path, ["KrauseHilde.dcm"])  # to nobody
    with redaction.redacted_output() as redactor:
        redaction.note_key(PUBLIC)
        redaction.note_files(tmp_path, ["KrauseHilde.dcm"])
        redaction.note_identifiers("patient", ["MRN778"])
        assert redactor.pseudonyms is PUBLIC
        print("KrauseHilde.dcm of MRN778")
        print("MRN778", file=sys.stderr)
        warnings.warn("MRN778", stacklevel=1)
    print("MRN778")
    out, err = capsys.readouterr()
    names = PUBLIC.of("candidate", "KrauseHilde.dcm"), PUBLIC.of("patient", "MRN778")
    assert out == f"{names[0]} of {names[1]}\nMRN778\n"
    assert err == f"{names[1]}\n"


@pytest.mark.parametrize(
    "text",
    [
        "'KrauseHildegard' is none",
        'no "O\'Brien" is here',
        "line 3: grade is 'MRN7789'",
        "patient '4711'",
    ],
)
def test_what_is_quoted_is_hidden_unless_it_is_plain(redactor, text):
    assert re.search(r"'text-[0-9a-f]{12}'", redactor.text(text))


@pytest.mark.parametrize(
    "text",
    [
        "split='train:0.7,test:0.3' of the patient's images, the slices' masks",
        "'MRN778'",
        "max_error_rate='0.05', write 'name:class'",
        "'inner' and 'scar'",
        "'KrauseHilde/scan 1.dcm#3'",
    ],
)
def test_what_is_plain_is_shown(redactor, text):
    redactor.add_arguments(["--classes=inner;scar=/x/"])
    assert "text-" not in redactor.text(text)


def test_names_of_structures(redactor):
    redactor.add_structures(["GTV Krause", "contour", "PTV"])
    structure = PUBLIC.of("structure", "GTV Krause")
    told = redactor.text("GTV Krause of a contour, 'PTV'")
    assert told.startswith(f"{structure} of a contour, 'text-")


def test_logs_are_changed(caplog):
    with redaction.redacted_output(["--withdraw=MRN778"]):
        logging.getLogger("x").warning("about %s", "MRN778")
    logging.getLogger("x").warning("about %s", "MRN778")
    first, second = [one.getMessage() for one in caplog.records]
    assert "MRN778" not in first and "MRN778" in second


NAMES = ("KrauseHilde", "LehmannBert", "SchulzeCarl")
HIDDEN = ("krause", "hilde", "lehmann", "schulze", "huber", "praxis", "zwingli")


def _named_source(tmp_path):
    source = source_folders.write_folder(tmp_path / "Praxis" / "in", patients=NAMES)
    source.contour(NAMES[0], 1).write_text("no number\n")
    (source.root / "Huber.dcm").write_text("x")
    return source


@pytest.fixture
def told(capsys, monkeypatch):
    """Runs the command in this process: exit code, and all that was printed."""

    def run(*arguments):
        arguments = ["tfdicom_convert", *map(str, arguments), "--redact_logs"]
        monkeypatch.setattr(sys, "argv", arguments)
        before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            with flagsaver.flagsaver(), pytest.raises(SystemExit) as done:
                convert_main.run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        text = "".join(capsys.readouterr())
        assert text and not [name for name in HIDDEN if name in text.lower()], text
        return done.value.code, text

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--split=train"],
        ["--split=train", "--dry_run"],
        ["--split=train:KrauseHilde,test:Nobody"],
        ["--split=train", "--on_error=fail"],
        ["--split=train", "--max_error_rate=0", "--fail_on=contour_malformed"],
        ["--split=train", "--patient_from=folder:dicoms/(Leh).*"],
    ],
)
def test_a_whole_conversion(tmp_path, told, arguments):
    source = _named_source(tmp_path)
    _, text = told(*folders(source, tmp_path), "--id_key_file=public", *arguments)
    if "--dry_run" not in arguments:
        path = source.contour(NAMES[0], 1).relative_to(source.root).as_posix()
        assert PUBLIC.of("candidate", path) in text or "folder:" in arguments[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max_error_rate=Krause"], "flag --max_error_rate=MAX_ERROR_RATE"),
        (["--max_error_rate", "Krause"], "flag --max_error_rate=MAX_ERROR_RATE"),
        (["Krause"], "unexpected argument 'text-"),
        (["--runner=Krause"], "--runner"),
        (["--split=train:0.5,Krause"], "split"),
        (["--fail_on=Krause"], "unknown code"),
        (["--input_dir={}/Krause", "--output_dir={}/Praxis"], "input_dir=INPUT_DIR: "),
        (["--withdraw=KrauseHilde"], "--withdraw wants --output_dir"),
        (["--withdraw=KrauseHilde", "--output_dir={}/Praxis/out"], "OUTPUT_DIR holds"),
        (["--flagfile={}/Praxis.flags"], "flagfile"),
        (["--id_key_file=s3://Praxis/id.key"], "name a local path"),
    ],
)
def test_mistakes_in_the_command_line(tmp_path, told, arguments, words):
    arguments = [one.format(tmp_path) for one in arguments]
    if "input" not in arguments[0] and "with" not in arguments[0]:
        arguments += [f"--input_dir={tmp_path}/x", f"--output_dir={tmp_path}/Praxis"]
    code, text = told(*arguments)
    assert code in (command.WRONG_USAGE, command.FAILED) and words in text


@pytest.mark.parametrize(
    ("flag", "table"),
    [
        ("--labels={}", "patient_id,grade\nKrauseHilde,3\nLehmannBert,Zwingli\n"),
        ("--labels={}", "Zwingli,grade\nKrauseHilde,3\n"),
        ("--split={}", "Zwingli,Krause\nLehmann,train\n"),
        ("--patient_from=csv:{}", "Zwingli,Krause\nLehmann,train\n"),
        ("--mask_table={}", "Zwingli,Krause\nLehmann,train\n"),
    ],
)
def test_mistakes_in_tables(tmp_path, told, flag, table):
    source = _named_source(tmp_path)
    path = tmp_path / "Huber.csv"
    path.write_text(table)
    given = (*folders(source, tmp_path), "--id_key_file=public", flag.format(path))
    code, text = told(*given)
    assert code != command.DONE and flag.partition("=")[0][2:] in text


def test_names_of_rois_and_a_withdrawal(tmp_path, told):
    source = _named_source(tmp_path)
    image = source.image(NAMES[1], 3)
    outlines = {"GTV Zwingli": source.inner(NAMES[1], 1)}
    source_folders.write_structure_set(source.root / "rt.dcm", [image], outlines)
    given = (*folders(source, tmp_path), f"--id_key_file={tmp_path}/Praxis/id.key")
    code, text = told(*given)
    assert code == command.FAILED and "'inner' (6)" in text
    assert "Made the key of the pseudonyms, ID_KEY_FILE." in text
    code, text = told(*given, "--classes=inner;outer", "--max_error_rate=1")
    assert code == command.DONE_WITH_SKIPS and "matched by none: '" in text
    code, text = told(given[1], given[2], "--withdraw=KrauseHil")
    assert code == command.FAILED and "no such patient" in text
    code, text = told(given[1], given[2], "--withdraw=KrauseHilde")
    assert "examples of split" in text or "only one of split" in text


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
