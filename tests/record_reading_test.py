import re
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom import example_schema, example_table
from tfdicom.dataset_index import INDEX
from tfdicom.input_options import InputOptions
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading
from tfdicom.record_reading import RecordReader

pytestmark = pytest.mark.long

PATIENTS = {
    "a": [*synthetic.frames(2), synthetic.Frame(annotated="01"), synthetic.Frame()],
    "b": synthetic.frames(3),
    "c": [synthetic.Frame(annotated="10"), synthetic.Frame()],
}
# As they are written: a and c are the six of the first shard, b those of the second.
FULL = [0, 1, 3, 5, 6, 7, 8]  # annotated for both classes
FIRST, SECOND = (f"train-0000{number}-of-00002.tfrecord" for number in (0, 1))


def _write(folder, compression="none"):
    examples = synthetic.write_dataset(
        folder, {"train": PATIENTS}, compression=compression
    )["train"]
    return [example_schema.encode(one) for one in examples]


def _reader(folder, **fields) -> RecordReader:
    fields = {"unannotated": "ignore", "training": False, **fields}
    options = InputOptions(normalize="none", **fields)
    plan = plan_reading(load_manifest(folder), "train", options)
    return RecordReader(example_table.read_table([str(folder)], plan), plan)


def _at(reader, places):
    """Records at places, as a dataset reads them."""
    data = tf.data.Dataset.from_tensor_slices(np.array(places, np.int64))
    return list(data.map(reader.at, num_parallel_calls=2).as_numpy_iterator())


def _in_graph(make, count):
    """Elements of a dataset that is made, and runs, in a graph of TensorFlow 1."""
    with tf.Graph().as_default():
        element = tf.compat.v1.data.make_one_shot_iterator(make()).get_next()
        with tf.compat.v1.Session() as session:
            return [session.run(element) for _ in range(count)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder, and its records by compression."""
    folder = tmp_path_factory.mktemp("whole")
    names = ("none", "zlib", "gzip")
    return folder, {name: _write(folder / name, name) for name in names}


def test_any_record_is_gone_to(whole):
    folder, records = whole
    reader = _reader(folder / "none")
    assert reader.seeks
    places = [8, 0, 3, 3, 7, 5, 1, 2, 4, 6]
    expected = [records["none"][place] for place in places]
    assert _at(reader, places) == expected
    single = [reader.at(tf.constant(place, tf.int64)).numpy() for place in places]
    assert single == expected


def test_places_are_those_of_the_table(whole):
    folder, records = whole
    reader = _reader(folder / "none", unannotated="drop")
    assert _at(reader, range(7)) == [records["none"][number] for number in FULL]


def test_a_graph_reads_the_same(whole):
    folder, records = whole

    def make():
        reader = _reader(folder / "none")
        return tf.data.Dataset.range(9).map(lambda place: reader.at(8 - place))

    assert _in_graph(make, 9) == records["none"][::-1]


def test_odd_names_are_read(tmp_path):
    folder = tmp_path / "a [1] * b?"
    records = _write(folder)
    assert _at(_reader(folder), [4, 8]) == [records[4], records[8]]


def test_data_sets_are_known_by_their_number(whole):
    folder, _ = whole
    folders = [str(folder / "zlib"), str(folder / "zlib")]
    plan = plan_reading(
        [load_manifest(one) for one in folders],
        "train",
        InputOptions(training=False, normalize="none"),
    )
    reader = RecordReader(example_table.read_table(folders, plan), plan)
    assert reader.data_set.numpy().tolist() == [0] * 7 + [1] * 7


# --- In the table's order -----------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "zlib", "gzip"])
@pytest.mark.parametrize("unannotated", ["ignore", "drop"])
def test_all_come_in_order_with_their_places(whole, compression, unannotated):
    folder, records = whole
    reader = _reader(folder / compression, unannotated=unannotated)
    assert reader.seeks == (compression == "none")
    numbers = FULL if unannotated == "drop" else range(9)
    expected = [(records[compression][n], place) for place, n in enumerate(numbers)]
    for _ in range(2):
        assert list(reader.in_order().as_numpy_iterator()) == expected
    found = _in_graph(
        lambda: _reader(folder / compression, unannotated=unannotated).in_order(),
        len(expected),
    )
    assert found == expected


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_a_shard_of_which_nothing_is_read_is_passed_over(tmp_path, compression):
    patients = {"a": synthetic.frames(2, annotated="01"), "b": synthetic.frames(2)}
    written = synthetic.write_dataset(
        tmp_path, {"train": patients}, compression=compression
    )["train"]
    found = _reader(tmp_path, unannotated="drop").in_order()
    assert [record for record, _ in found.as_numpy_iterator()] == [
        example_schema.encode(one) for one in written[2:]
    ]


# --- Damage, after the call that checked the files ----------------------------------


def _offsets(folder):
    """Where the records of the first shard begin, and where it ends."""
    rows = (line.split("\t") for line in (folder / INDEX).read_text().splitlines())
    starts = [int(row[2]) for row in rows if row[1] == FIRST]
    return [*starts, (folder / FIRST).stat().st_size]


def _message(folder, number, file=FIRST):
    return (
        "(?s)a record is damaged or cannot be read; copy its shard again, .*"
        rf"on_corrupt=skip.*{folder / file}\D*\b{number}\b"
    )


def _assert_only_these_fail(reader, folder, records, damaged):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=_message(folder, damaged[0])
    ):
        reader.at(tf.constant(damaged[0], tf.int64))
    found, iterator = [], iter(tf.data.Dataset.range(9).map(reader.at))
    for place in range(9):
        try:
            found.append(next(iterator).numpy())
        except tf.errors.InvalidArgumentError as error:
            assert re.search(_message(folder, place), error.message)
            found.append(None)
    expected = [None if n in damaged else one for n, one in enumerate(records)]
    assert found == expected


@pytest.mark.parametrize(
    ("number", "place"), [(0, 0), (2, 7), (5, 9), (0, 12), (2, 500), (5, -1)]
)
def test_a_flipped_bit_is_an_error_that_names_the_record(tmp_path, number, place):
    records = _write(tmp_path)
    reader = _reader(tmp_path)
    data = bytearray((tmp_path / FIRST).read_bytes())
    data[_offsets(tmp_path)[number + (place < 0)] + place] ^= 0x20
    (tmp_path / FIRST).write_bytes(data)
    _assert_only_these_fail(reader, tmp_path, records, [number])


@pytest.mark.parametrize(
    ("number", "place"), [(0, 0), (2, 0), (2, 5), (2, 12), (5, 400), (6, -1)]
)
def test_a_shard_cut_short_is_an_error_that_names_the_record(tmp_path, number, place):
    records = _write(tmp_path)
    reader = _reader(tmp_path)
    data = (tmp_path / FIRST).read_bytes()
    (tmp_path / FIRST).write_bytes(data[: _offsets(tmp_path)[number] + place])
    damaged = range(number - (place < 0), 6)
    _assert_only_these_fail(reader, tmp_path, records, damaged)


def test_a_shard_that_is_gone_is_an_error_and_no_endless_wait(tmp_path):
    records = _write(tmp_path)
    reader = _reader(tmp_path)
    (tmp_path / FIRST).unlink()
    _assert_only_these_fail(reader, tmp_path, records, range(6))


def test_a_record_is_named_by_its_number_in_its_shard(tmp_path):
    _write(tmp_path)
    reader = _reader(tmp_path, unannotated="drop")
    path = tmp_path / SECOND
    path.write_bytes(path.read_bytes()[:-1])
    message = _message(tmp_path, 2, SECOND)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        reader.at(tf.constant(6, tf.int64))


def test_an_index_of_another_shard_is_an_error(tmp_path):
    _write(tmp_path)
    reader = _reader(tmp_path)
    synthetic.write_dataset(
        tmp_path, {"train": {"a": synthetic.frames(9, shape=(3, 3, 1))}}
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=_message(tmp_path, 1)):
        reader.at(tf.constant(1, tf.int64))


def test_a_graph_says_it_too(tmp_path):
    _write(tmp_path)

    def read(use):
        reader = _reader(tmp_path, on_corrupt="fail")
        data = (tmp_path / FIRST).read_bytes()
        (tmp_path / FIRST).write_bytes(bytes(len(data)))
        return use(reader)

    message = _message(tmp_path, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        _in_graph(lambda: read(lambda one: tf.data.Dataset.range(2, 3).map(one.at)), 1)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        record = read(lambda one: one.at(tf.constant(2, tf.int64)))
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            session.run(record)


def _until_it_fails(reader, message):
    """Records that come in order before the error."""
    found = []
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        for record, place in reader.in_order().as_numpy_iterator():
            assert place == len(found)
            found.append(record)
    return found


@pytest.mark.parametrize(
    ("compression", "number"), [("none", 3), ("zlib", 0), ("zlib", 3), ("gzip", 5)]
)
def test_in_order_the_first_damaged_record_is_named(tmp_path, compression, number):
    records = _write(tmp_path, compression)
    reader = _reader(tmp_path)
    plain = tmp_path / "plain"
    _write(plain)
    _damage_within(tmp_path, plain, compression, number)
    found = _until_it_fails(reader, _message(tmp_path, number))
    assert found == records[: len(found)]
    # A map that runs ahead may fail before all that were read are handed on.
    assert compression == "none" or len(found) == number


def _damage_within(folder, plain, compression, number):
    """Flips a bit of a record in a stream that is whole."""
    data = bytearray((plain / FIRST).read_bytes())
    data[_offsets(plain)[number] + 50] ^= 1
    if compression != "none":
        bits = 31 if compression == "gzip" else 15
        deflate = zlib.compressobj(6, zlib.DEFLATED, bits)
        data = deflate.compress(bytes(data)) + deflate.flush()
    (folder / FIRST).write_bytes(data)


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
def test_damage_to_a_record_that_is_left_out_hides_none(tmp_path, compression):
    records = _write(tmp_path, compression)
    reader = _reader(tmp_path, unannotated="drop")
    plain = tmp_path / "plain"
    _write(plain)
    _damage_within(tmp_path, plain, compression, 2)  # annotated for one class only
    found = _until_it_fails(reader, _message(tmp_path, 2))
    assert found == records[:2]


@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.9])
def test_a_stream_cut_short_is_an_error(tmp_path, kept):
    records = _write(tmp_path, "zlib")
    reader = _reader(tmp_path)
    data = (tmp_path / FIRST).read_bytes()
    (tmp_path / FIRST).write_bytes(data[: int(kept * len(data)) if kept < 1 else 1])
    found = _until_it_fails(reader, _message(tmp_path, r"\d"))
    assert found == records[: len(found)] and len(found) < 6


def test_a_stream_that_is_gone_is_an_error_and_no_endless_wait(tmp_path):
    records = _write(tmp_path, "zlib")
    reader = _reader(tmp_path)
    (tmp_path / SECOND).unlink()
    found = _until_it_fails(reader, _message(tmp_path, 0, SECOND))
    assert found == records[:6]


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_what_is_skipped_is_not_read(tmp_path, compression):
    records = _write(tmp_path, compression)
    data = (tmp_path / FIRST).read_bytes()
    (tmp_path / FIRST).write_bytes(data[: len(data) // 2])
    reader = _reader(tmp_path, on_corrupt="skip")
    found = [record for record, _ in reader.in_order().as_numpy_iterator()]
    assert 3 < len(found) < 9
    assert found == [*records[: len(found) - 3], *records[6:]]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
