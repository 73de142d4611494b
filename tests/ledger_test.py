import csv
import stat
import sys

import pytest

from tfdicom import manifest
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms
from tfdicom.ledger import Ledger
from tfdicom.plan import PatientPlan, Plan, ShardPlan
from tfdicom.reasons import REASONS
from tfdicom.series import FramePlan, SeriesPlan
from tfdicom.shards import ConvertedFile, ShardContent, ShardResult
from tfdicom.sources.candidates import ContourFile, LeftFile

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")


def shard_result(converted, left=()):
    """A shard of one image, a.dcm with a.txt, that became this."""
    frame = FramePlan(
        path="a.dcm",
        key="k" * 32,
        instance="instance",
        contours=(ContourFile("a.txt", "inner"),),
        plane=None,
        slice_index=None,
        slice_count=None,
        phase_index=0,
        phase_count=1,
        findings=(),
        shape=(4, 5, 1),
        modality="MR",
    )
    series = SeriesPlan("who", "study", "series", 0, None, (frame,))
    patient = PatientPlan("who", "Ann", (series,), 1)
    plan = ShardPlan("train", "train-00000-of-00001.tfrecord", (patient,))
    return ShardResult(plan, None, (), ShardContent(), converted, left, {})


@pytest.fixture
def ledger():
    return Ledger(PSEUDONYMS)


def whole(path, findings=()):
    return ConvertedFile(path, "k" * 32, findings)


def test_converted_files_are_entered_by_their_kind(ledger, tmp_path):
    finding = ("contour_leaves_image",)
    ledger.add_shard(shard_result((whole("a.dcm"), whole("a.txt", finding))))
    assert ledger.counts() == {
        "image": {"converted": 1},
        "contour": {"converted": 1},
        "reasons": {},
        "findings": {"contour_leaves_image": 1},
    }
    ledger.write(tmp_path / "ledger.jsonl")
    lines = {line["kind"]: line for line in manifest.read_ledger(tmp_path)}
    assert lines["contour"] == {
        "candidate": PSEUDONYMS.of("candidate", "a.txt"),
        "kind": "contour",
        "status": "converted",
        "key": "k" * 32,
        "split": "train",
        "findings": ["contour_leaves_image"],
    }


def test_each_file_has_one_entry_the_latest(ledger):
    ledger.leave([LeftFile("b.dcm", "image", "no_annotation")])
    assert ledger.counts()["image"] == {"left_out": 1}
    ledger.leave([LeftFile("b.dcm", "image", "pixels_unreadable", "cut")])
    assert ledger.counts()["image"] == {"skipped": 1}
    assert ledger.counts()["reasons"] == {"pixels_unreadable": 1}


def test_lines_are_in_the_order_of_the_pseudonyms_with_words(ledger, tmp_path):
    files = [LeftFile(f"{n}.dcm", "image", "not_dicom", "Ann's") for n in range(20)]
    ledger.leave(files)
    ledger.write(tmp_path / "ledger.jsonl")
    lines = list(manifest.read_ledger(tmp_path))
    assert [line["candidate"] for line in lines] == sorted(
        PSEUDONYMS.of("candidate", one.path) for one in files
    )
    assert {line["sentence"] for line in lines} == {REASONS["not_dicom"].sentence}
    assert {line["hint"] for line in lines} == {REASONS["not_dicom"].hint}
    text = (tmp_path / "ledger.jsonl").read_text()
    assert "Ann" not in text and "dcm'" not in text and "7.dcm" not in text


def contours(skipped, total=100):
    for number in range(total):
        code = "contour_empty" if number < skipped else "structure_not_used"
        yield LeftFile(f"{number}.txt", "contour", code)


@pytest.mark.parametrize(
    ("skipped", "options", "words"),
    [
        (0, {"on_error": "fail"}, None),
        (1, {"on_error": "fail"}, "1 files cannot be used, and on_error=fail"),
        (10, {"max_error_rate": 0.0}, None),
        (11, {"max_error_rate": 0.0}, "11 of 100 contours .*max_error_rate=0 allows"),
        (20, {"max_error_rate": 0.2}, None),
        (21, {"max_error_rate": 0.2}, "21 of 100 contours"),
        (100, {"max_error_rate": 1.0}, None),
    ],
)
def test_how_much_may_go_wrong(ledger, skipped, options, words):
    ledger.leave(contours(skipped))
    if words is None:
        ledger.check(ConvertOptions(**options))
        return
    with pytest.raises(ValueError, match=words) as error:
        ledger.check(ConvertOptions(**options))
    assert "0.txt" in str(error.value)


def test_problems_are_shown_by_reason_the_first_few(ledger):
    ledger.leave(contours(7, total=9))
    ledger.leave([LeftFile("x.dcm", "image", "not_dicom", "no DICM prefix")])
    assert list(ledger.problem_lines()) == [
        f"7 skipped: contour_empty. {REASONS['contour_empty'].sentence}",
        *(f"    {number}.txt" for number in range(5)),
        "    and 2 more",
        f"    {REASONS['contour_empty'].hint}",
        f"1 skipped: not_dicom. {REASONS['not_dicom'].sentence}",
        "    x.dcm: no DICM prefix",
        f"    {REASONS['not_dicom'].hint}",
    ]


def test_errors_tell_what_went_wrong_before(ledger):
    ledger.leave([LeftFile("x.dcm", "image", "not_dicom", "no DICM prefix")])
    with pytest.raises(ValueError) as error, ledger.told_with_errors():
        raise ValueError("nothing is left")
    assert str(error.value) == "\n".join(["nothing is left", *ledger.problem_lines()])


def test_crosswalk_says_whose_each_file_is(ledger, tmp_path):
    result = shard_result((whole("a.dcm"), whole("a.txt")))
    ledger.add_shard(result)
    ledger.leave([LeftFile("stray, one", "other", "stray_file")])
    plan = Plan((result.plan,), ("train",), {"who": "train"}, {}, (), ())
    path = tmp_path / "crosswalk.csv"
    ledger.write_crosswalk(path, plan)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["candidate", "patient", "source_patient", "source_path"],
        [PSEUDONYMS.of("candidate", "a.dcm"), "who", "Ann", "a.dcm"],
        [PSEUDONYMS.of("candidate", "a.txt"), "who", "Ann", "a.txt"],
        [PSEUDONYMS.of("candidate", "stray, one"), "", "", "stray, one"],
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
