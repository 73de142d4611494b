import sys

import pytest

from tests import source_folders
from tfdicom import dataset_index, example_schema, record_prints, tfrecord_file
from tfdicom.manifest import load_manifest
from tfdicom.record_prints import RecordPrint, ShardToPrint


@pytest.fixture(scope="module", params=["none", "zlib"])
def dataset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prints")
    source = source_folders.write_folder(folder / "in")
    source_folders.convert(source.root, folder / "out", compression=request.param)
    return folder / "out"


def test_prints_tell_where_records_lie(dataset):
    compression = load_manifest(dataset).compression
    for shard in dataset.glob("*.tfrecord"):
        task = ShardToPrint(0, dataset, compression, shard.name)
        prints = record_prints.print_shard(True, task)
        records = list(tfrecord_file.read_records(shard, compression=compression))
        examples = [example_schema.decode(one) for one in records]
        entries = [
            one for one in dataset_index.read_index(dataset) if one.shard == shard.name
        ]
        assert [one.offset for one in prints] == [one.offset for one in entries]
        assert [one.key for one in prints] == [one.key for one in examples]
        assert [one.patient for one in prints] == [one.patient for one in examples]
        assert len({one.record for one in prints}) == len(prints)


def test_prints_of_equal_files_are_equal_without_reading(dataset):
    (name, *_) = sorted(path.name for path in dataset.glob("*.tfrecord"))
    prints = list(record_prints.prints_of_index(dataset, {name: "aa"}))
    assert {one.shard for one in prints} == {name}
    assert prints == list(record_prints.prints_of_index(dataset, {name: "aa"}))
    others = record_prints.prints_of_index(dataset, {name: "bb"})
    assert not {one.record for one in prints} & {one.record for one in others}


def a_print(key, pixels, offset=0):
    return RecordPrint(key, "", b"r", pixels, "s", offset)


def test_match_by_key_and_by_pixels():
    before = [a_print("a", b"1"), a_print("b", b"2"), a_print("c", b"2", 5)]
    after = [a_print("c", b"2"), a_print("d", b"2"), a_print("e", b"2")]
    pairs, removed, added = record_prints.match(before, after, by_key=True)
    assert pairs == [(before[2], after[0])]
    assert (removed, added) == (before[:2], after[1:])
    pairs, removed, added = record_prints.match(before, after, by_key=False)
    assert pairs == [(before[1], after[0]), (before[2], after[1])]
    assert (removed, added) == ([before[0]], [after[2]])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
