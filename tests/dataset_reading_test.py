import sys

import pytest

from tests import synthetic
from tfdicom import dataset_reading, manifest
from tfdicom.example_schema import encode
from tfdicom.tfrecord_file import TFRecordWriter

SPLITS = {
    "train": {f"p{n}": synthetic.frames(2) for n in range(4)},
    "test": {"q": synthetic.frames(3)},
    "empty": {},
}


@pytest.fixture(scope="module", params=["none", "zlib", "gzip"])
def dataset(request, tmp_path_factory):
    """Folder, and the examples written to each split."""
    folder = tmp_path_factory.mktemp("reading")
    written = synthetic.write_dataset(folder, SPLITS, compression=request.param)
    return folder, written


@pytest.mark.parametrize(
    ("splits", "names"),
    [
        (None, ["train", "test"]),
        ("train", ["train"]),
        ("test", ["test"]),
        ("test+train", ["test", "train"]),
        ("empty", []),
    ],
)
def test_examples_in_order(dataset, splits, names):
    folder, written = dataset
    expected = [encode(example) for name in names for example in written[name]]
    for path in (folder, str(folder)):
        found = dataset_reading.read_examples(path, splits)
        assert [encode(example) for example in found] == expected


def test_shards_of_splits(dataset):
    folder, _ = dataset
    dataset_manifest = manifest.load_manifest(folder)
    assert dataset_reading.shard_files(dataset_manifest, "train") == [
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    assert len(dataset_reading.shard_files(dataset_manifest, None)) == 6


def test_unknown_split(dataset):
    with pytest.raises(ValueError, match="no split 'nope'; this data set has train, "):
        list(dataset_reading.read_examples(dataset[0], "train+nope"))


def test_damaged_shard_is_named(tmp_path):
    synthetic.write_dataset(tmp_path, {"train": {"p": synthetic.frames(2)}}, shards=1)
    path = tmp_path / "train-00000-of-00001.tfrecord"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"train-00000-of-00001\.tfrecord.*cut short"):
        list(dataset_reading.read_examples(tmp_path))


def test_record_of_something_else_is_named(tmp_path):
    synthetic.write_dataset(tmp_path, {"train": {"p": synthetic.frames(1)}}, shards=1)
    with (tmp_path / "train-00000-of-00001.tfrecord").open("wb") as file:
        writer = TFRecordWriter(file)
        writer.write(b"no example")
        writer.finish()
    with pytest.raises(ValueError, match=r"00001\.tfrecord, record 0: "):
        list(dataset_reading.read_examples(tmp_path))


@pytest.mark.parametrize(
    ("total", "count", "places"),
    [
        (10, 1, {5}),
        (10, 2, {2, 7}),
        (10, 10, set(range(10))),
        (3, 20, {0, 1, 2}),
        (0, 5, set()),
        (1000, 4, {125, 375, 625, 875}),
    ],
)
def test_spread(total, count, places):
    assert dataset_reading.spread(total, count) == places


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
