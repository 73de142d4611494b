import sys

import pytest

from tfdicom import dataset_index, index_scan
from tfdicom.dataset_index import INDEX, IndexEntry

A, B = "train-00000-of-00001.tfrecord", "test-00000-of-00001.tfrecord"
ENTRIES = [
    IndexEntry(f"{number:032x}", shard, 100 * number, 84, "11", "10")
    for shard in (A, B)
    for number in range(3)
]


@pytest.fixture
def folder(tmp_path):
    dataset_index.write_index(tmp_path, ENTRIES)
    return tmp_path


def codes(scan):
    return [one.code for one in scan.problems]


def edit(folder, change):
    lines = (folder / INDEX).read_text().splitlines(keepends=True)
    (folder / INDEX).write_text("".join(change(lines)))


def test_each_shard_finds_its_own_entries(folder):
    scan = index_scan.scan_index(folder, [A, B])
    assert codes(scan) == [] and list(scan.spans) == [A, B]
    for shard, wanted in ((A, ENTRIES[:3]), (B, ENTRIES[3:])):
        assert index_scan.entries_of(folder, scan.spans[shard], shard) == wanted
    assert index_scan.entries_of(folder, None, "other") == []
    text = (folder / INDEX).read_bytes()
    assert scan.spans[A][1] == scan.spans[B][0] and scan.spans[B][1] == len(text)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda lines: ["key\n", *lines[1:]], "index_line"),
        (lambda lines: [*lines[:2], "x\n", *lines[3:]], "index_line"),
        (lambda lines: [*lines[:2], lines[2].replace("\t", " ")], "index_line"),
        (lambda lines: [*lines[:2], lines[2].replace("100", "0100")], "index_line"),
        (lambda lines: [*lines[:-1], lines[-1].rstrip("\n")], "index_line"),
        (lambda lines: [*lines, lines[1]], "index_order"),
        (lambda lines: [lines[0], *lines[4:], *lines[1:4]], "index_order"),
        (lambda lines: [*lines, lines[1].replace(A, "x")], "index_shard"),
    ],
)
def test_lines_that_are_wrong(folder, change, code):
    edit(folder, change)
    assert codes(index_scan.scan_index(folder, [A, B])) == [code]


def test_entries_around_a_damaged_line_are_found(folder):
    edit(folder, lambda lines: [*lines[:2], "x\n", *lines[3:]])
    scan = index_scan.scan_index(folder, [A, B])
    entries = index_scan.entries_of(folder, scan.spans[A], A)
    assert entries == [ENTRIES[0], ENTRIES[2]]


def test_bytes_that_are_no_text(folder):
    data = (folder / INDEX).read_bytes().replace(b"\t84\t", b"\t\xff\t", 1)
    (folder / INDEX).write_bytes(data)
    assert codes(index_scan.scan_index(folder, [A, B])) == ["index_line"]


def test_no_index(tmp_path):
    scan = index_scan.scan_index(tmp_path, [A])
    assert codes(scan) == ["index_missing"] and scan.spans == {}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
