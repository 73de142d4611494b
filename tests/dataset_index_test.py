import sys

import pytest

from tests import synthetic
from tfdicom import dataset_index
from tfdicom.label_kinds import LabelInfo

ENTRIES = [
    dataset_index.IndexEntry(
        "ff" * 16, "train-00000-of-00001.tfrecord", 0, 131_072, "11", "10"
    ),
    dataset_index.IndexEntry(
        "00" * 16, "test-00000-of-00001.tfrecord", 2**40, 1, "10", "00"
    ),
]


def test_index_comes_back_in_its_order(tmp_path):
    dataset_index.write_index(tmp_path, iter(ENTRIES))
    assert list(dataset_index.read_index(tmp_path)) == ENTRIES
    assert list(dataset_index.read_index(str(tmp_path))) == ENTRIES
    lines = (tmp_path / dataset_index.INDEX).read_bytes().split(b"\n")
    assert lines[0] == b"key\tshard\toffset\tlength\tannotated\tpresent"
    assert len(lines) == len(ENTRIES) + 2 and not lines[-1]


def test_index_may_be_empty(tmp_path):
    dataset_index.write_index(tmp_path, [])
    assert list(dataset_index.read_index(tmp_path)) == []


@pytest.mark.parametrize(
    "line", ["a\tb\t1\t1\t1", "a\tb\tone\t2\t1\t1", "a\tb\t1\t2\t3\t4\t5", ""]
)
def test_damaged_index_names_the_line(tmp_path, line):
    dataset_index.write_index(tmp_path, ENTRIES)
    with (tmp_path / dataset_index.INDEX).open("a") as file:
        file.write(line + "\n")
    entries = dataset_index.read_index(tmp_path)
    assert [next(entries), next(entries)] == ENTRIES
    with pytest.raises(ValueError, match=r"dataset\.index, line 4 cannot be read"):
        next(entries)


def test_index_of_other_columns_or_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset\.index is missing"):
        list(dataset_index.read_index(tmp_path))
    for text in ("", "key\tshard\toffset\tlength\n"):
        (tmp_path / dataset_index.INDEX).write_text(text)
        with pytest.raises(ValueError, match="has the columns .* convert again"):
            list(dataset_index.read_index(tmp_path))


def test_entry_says_what_a_mask_shows():
    masks = [[[False] * 16] * 12, [[True] * 16] * 12]
    for annotated, present in (("11", "01"), ("10", "00"), ("01", "01")):
        frame = synthetic.Frame(annotated=annotated, masks=masks)
        example = synthetic.make_example(frame, 7)
        entry = dataset_index.entry_of(example, shard="a", offset=3, length=5)
        assert (entry.annotated, entry.present) == (annotated, present)
        assert (entry.key, entry.shard, entry.offset) == (example.key, "a", 3)


def test_entry_says_which_labels_have_a_value(tmp_path):
    labels = [LabelInfo("age", "number"), LabelInfo("sex", "class", ("f", "m"))]
    for annotated, classes in (("10", synthetic.CLASSES), ("", ())):
        frame = synthetic.Frame(annotated=annotated, labels=("", "f"))
        example = synthetic.make_example(frame, 7, classes=classes, labels=labels)
        entry = dataset_index.entry_of(example, shard="a", offset=3, length=5)
        assert entry.annotated == f"{annotated}01"
        assert len(entry.present) == len(classes)
        first = len(classes)
        assert entry.is_known([first + 1]) and not entry.is_known([first, first + 1])
        dataset_index.write_index(tmp_path, [entry])
        assert list(dataset_index.read_index(tmp_path)) == [entry]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
