import sys
import warnings

import pytest

from tests import source_folders
from tests.convert_main_test import folders, main
from tfdicom import command, redaction
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


NAMES = ("KrauseHilde", "LehmannBert", "SchulzeCarl")


def _named_source(tmp_path):
    source = source_folders.write_folder(tmp_path / "Praxis" / "in", patients=NAMES)
    source.contour(NAMES[0], 1).write_text("no number\n")
    (source.root / "Huber.dcm").write_text("x")
    return source


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
def test_a_whole_conversion(tmp_path, capsys, arguments):
    source = _named_source(tmp_path)
    given = [*folders(source, tmp_path), "--id_key_file=public", "--redact_logs"]
    try:
        code = main(*given, *arguments)
        assert code in (command.DONE, command.DONE_WITH_SKIPS)
        told = ""
    except ValueError as error:
        told = str(error)
    told += "".join(capsys.readouterr()).lower()
    assert told
    for name in ("krause", "hilde", "lehmann", "schulze", "huber", "praxis"):
        assert name not in told.lower().replace("train:krausehilde", "")
    if "--dry_run" not in arguments:
        path = source.contour(NAMES[0], 1).relative_to(source.root).as_posix()
        assert PUBLIC.of("candidate", path) in told or "folder:" in arguments[-1]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
