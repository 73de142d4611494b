import dataclasses
import json
import sys

import pytest

from tests import synthetic
from tfdicom import sealed_json, shard_results
from tfdicom.dataset_index import IndexEntry
from tfdicom.manifest import LedgerEntry, ShardInfo
from tfdicom.shard_content import ShardContent
from tfdicom.shard_results import ExampleTrace, PatientResult, ShardResult
from tfdicom.value_counts import Rescale, count_pixels

FILE = "train-00003-of-00007.tfrecord"
INFO = ShardInfo(FILE, 2, 321, 289, "ab" * 32, {"10": 1, "11": 1})
ENTRIES = (
    IndexEntry("0" * 32, FILE, 0, 100, "1011", "10"),
    IndexEntry("1" * 32, FILE, 116, 1 << 40, "1111", "00"),
)
TRACES = (
    ExampleTrace("c0", "study", "series", "instance 0", "ff" * 32),
    ExampleTrace("c1", "study", "series", "instance 1", None),
)
LEDGER = (
    LedgerEntry("c0", "image", "converted", None, "0" * 32, "train", (), "p0"),
    LedgerEntry("c2", "contour", "skipped", "contour_empty", patient="p0"),
    LedgerEntry("c3", "contour", "converted", None, "1" * 32, "train", ("x", "y")),
    LedgerEntry("c4", "object", "left_out", "object_left_out"),
)


def content_of(*frames):
    content = ShardContent()
    for number, frame in enumerate(frames):
        example = synthetic.make_example(frame, number)
        counts = count_pixels(example.image, Rescale(frame.slope, 0.1))
        content.add(example, {"all": counts})
    return content


CONTENT = content_of(synthetic.Frame(slope=1 / 3), synthetic.Frame(annotated="10"))
PATIENT = PatientResult(
    "p0", "plan", {"c0": "0123456789abcdef", "c1": "f" * 16}, ENTRIES, TRACES,
    CONTENT, LEDGER, {"c0": "a0"},
)  # fmt: skip
EMPTY = PatientResult("p1", "other", {}, (), (), ShardContent(), ())
RESULT = ShardResult("train", INFO, (PATIENT, EMPTY))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / shard_results.CONVERSION).mkdir()
    return tmp_path


def plain(result):
    """The result with contents, which have no equality, as their JSON."""
    patients = tuple(
        dataclasses.replace(
            one, content=json.dumps(one.content.to_json(), sort_keys=True)
        )
        for one in result.patients
    )
    return dataclasses.replace(result, patients=patients)


def test_a_result_is_read_back_exactly(folder):
    shard_results.write(folder, RESULT)
    found = shard_results.read(folder, FILE)
    assert plain(found) == plain(RESULT)
    (
        hash(found.patients[0].ledger),
        hash(found.patients[0].entries),
    )  # tuples all through


def test_a_result_that_is_read_takes_little_memory(folder):
    shard_results.write(folder, RESULT)
    (one, _) = shard_results.read(folder, FILE).patients
    values = (*one.entries, *one.traces, *one.ledger)
    assert not any(hasattr(each, "__dict__") for each in values)
    assert one.traces[0].series is one.traces[1].series
    assert one.ledger[0].candidate is one.traces[0].candidate
    assert one.ledger[0].key is one.entries[0].key


def test_equal_results_give_equal_bytes(folder):
    path = shard_results.path_of(folder, FILE)
    assert path == folder / ".conversion" / f"{FILE}.json"
    shard_results.write(folder, RESULT)
    first = path.read_bytes()
    shard_results.write(folder, shard_results.read(folder, FILE))
    assert path.read_bytes() == first
    backwards = dict(reversed(PATIENT.sources.items()))
    other = dataclasses.replace(PATIENT, sources=backwards)
    shard_results.write(folder, dataclasses.replace(RESULT, patients=(other, EMPTY)))
    assert path.read_bytes() == first
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_shard_without_a_patient(folder):
    result = ShardResult("test", dataclasses.replace(INFO, examples=0), ())
    shard_results.write(folder, result)
    assert shard_results.read(folder, FILE) == result


def test_signatures(folder):
    text = shard_results.signature_text(b"\x00\xff\x10")
    traces = (dataclasses.replace(TRACES[0], signature=text), TRACES[1])
    patient = dataclasses.replace(PATIENT, traces=traces)
    shard_results.write(folder, dataclasses.replace(RESULT, patients=(patient,)))
    (found,) = shard_results.read(folder, FILE).patients
    assert shard_results.signature_bytes(found.traces[0]) == b"\x00\xff\x10"
    assert shard_results.signature_bytes(found.traces[1]) is None
    assert shard_results.signature_text(None) is None


def _without(name):
    def change(fields):
        del fields["patients"][0][name]

    return change


def _short_row(fields):
    fields["patients"][0]["entries"][0].pop()


def _unknown(fields):
    fields["info"]["colour"] = "blue"


@pytest.mark.parametrize(
    "change",
    [*map(_without, ("plan", "sources", "content", "ledger")), _short_row, _unknown],
)
def test_result_that_is_not_one(folder, change):
    shard_results.write(folder, RESULT)
    path = shard_results.path_of(folder, FILE)
    fields = sealed_json.read(path)
    change(fields)
    sealed_json.write(path, fields, indent=None)
    with pytest.raises(ValueError, match=f"{FILE}.json cannot be read.*--overwrite"):
        shard_results.read(folder, FILE)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\x00", '{"split": "train"}'])
def test_result_that_is_damaged(folder, text):
    shard_results.path_of(folder, FILE).write_text(text)
    with pytest.raises(ValueError, match=f"{FILE}.json cannot be (read|trusted)"):
        shard_results.read(folder, FILE)


def test_result_in_which_a_digit_has_changed(folder):
    shard_results.write(folder, RESULT)
    path = shard_results.path_of(folder, FILE)
    text = path.read_text()
    path.write_text(text.replace('"size":321', '"size":322'))
    with pytest.raises(ValueError, match="checksum.*tfdicom_inspect repair"):
        shard_results.read(folder, FILE)


def test_no_result(folder):
    with pytest.raises(FileNotFoundError):
        shard_results.read(folder, FILE)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
