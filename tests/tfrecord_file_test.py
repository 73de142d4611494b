import io
import pathlib
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf

from tfdicom import tfrecord_file

NOISE = np.random.default_rng(0).bytes(50_000)
RECORDS = [b"first", b"", NOISE, bytes(300_000), b"\n\0" * 77, NOISE[::-1]]
# In a file without compression; each record has 12 bytes before and 4 after it.
OFFSETS = np.cumsum([0, *(len(record) + 16 for record in RECORDS)]).tolist()
NAME_IN_TENSORFLOW = {"none": "", "zlib": "ZLIB", "gzip": "GZIP"}

each_compression = pytest.mark.parametrize("compression", tfrecord_file.COMPRESSIONS)


def _bytes(compression: str, records: list[bytes] = RECORDS) -> bytes:
    file = io.BytesIO()
    writer = tfrecord_file.TFRecordWriter(file, compression=compression)
    for record in records:
        writer.write(record)
    writer.finish()
    return file.getvalue()


def _written(folder: pathlib.Path, data: bytes) -> pathlib.Path:
    path = folder / "a.tfrecord"
    path.write_bytes(data)
    return path


def _read(path: pathlib.Path, compression: str = "none") -> list[bytes]:
    return list(tfrecord_file.read_records(path, compression=compression))


def test_every_compression_is_tried():
    assert list(tfrecord_file.COMPRESSIONS) == list(NAME_IN_TENSORFLOW)


@each_compression
@pytest.mark.parametrize("records", [RECORDS, [b""], []], ids=["many", "empty", "none"])
def test_tensorflow_reads_what_was_written(tmp_path, compression, records):
    path = _written(tmp_path, _bytes(compression, records))
    name = NAME_IN_TENSORFLOW[compression]
    dataset = tf.data.TFRecordDataset(str(path), compression_type=name)
    assert list(dataset.as_numpy_iterator()) == records
    assert _read(path, compression) == records


@each_compression
def test_reads_what_tensorflow_wrote(tmp_path, compression):
    path = tmp_path / "b.tfrecord"
    name = NAME_IN_TENSORFLOW[compression]
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(name)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert _read(path, compression) == RECORDS


def test_bytes_are_those_of_tensorflow(tmp_path):
    path = tmp_path / "b.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert _bytes("none") == path.read_bytes()


@each_compression
def test_equal_records_are_equal_bytes(compression):
    assert _bytes(compression) == _bytes(compression)


def test_no_time_is_in_a_gzip_header():
    assert _bytes("gzip")[4:8] == bytes(4)  # MTIME, RFC 1952


@each_compression
def test_offsets_are_those_of_the_uncompressed_stream(compression):
    writer = tfrecord_file.TFRecordWriter(io.BytesIO(), compression=compression)
    assert [writer.write(record) for record in RECORDS] == OFFSETS[:-1]


def test_reads_one_record_by_its_offset(tmp_path):
    path = _written(tmp_path, _bytes("none"))
    found = [tfrecord_file.read_record_at(path, offset) for offset in OFFSETS[:-1]]
    assert found == RECORDS


@pytest.mark.parametrize("offset", [1, OFFSETS[3] + 12, OFFSETS[-1], 10**9])
def test_refuses_an_offset_where_no_record_begins(tmp_path, offset):
    path = _written(tmp_path, _bytes("none"))
    with pytest.raises(ValueError, match=rf"a\.tfrecord, offset {offset}: .* header"):
        tfrecord_file.read_record_at(path, offset)


@pytest.mark.parametrize("number", [0, 1, 3, len(RECORDS) - 1])
@pytest.mark.parametrize(
    ("place", "part"),
    [(0, "header"), (7, "header"), (8, "header"), (11, "header"), (-1, "data")],
)
def test_a_flipped_bit_names_file_and_record(tmp_path, number, place, part):
    data = bytearray(_bytes("none"))
    data[OFFSETS[number + (place < 0)] + place] ^= 1
    records = tfrecord_file.read_records(_written(tmp_path, bytes(data)))
    assert [next(records) for _ in range(number)] == RECORDS[:number]
    with pytest.raises(ValueError, match=rf"a\.tfrecord, record {number}: .* {part}"):
        next(records)


@pytest.mark.parametrize("place", [OFFSETS[2] + 12, OFFSETS[2] + 30_000])
def test_a_flipped_bit_in_the_data_is_found(tmp_path, place):
    data = bytearray(_bytes("none"))
    data[place] ^= 0x80
    path = _written(tmp_path, bytes(data))
    with pytest.raises(ValueError, match="record 2: damaged or cut short in its data"):
        _read(path)
    with pytest.raises(ValueError, match=f"offset {OFFSETS[2]}: .* in its data"):
        tfrecord_file.read_record_at(path, OFFSETS[2])


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (1, "record 0: damaged or cut short in its header"),
        (OFFSETS[1] - 1, "record 0: damaged or cut short in its data"),
        (OFFSETS[2] + 11, "record 2: damaged or cut short in its header"),
        (OFFSETS[2] + 12, "record 2: damaged or cut short in its data"),
        (OFFSETS[-1] - 4, "record 5: damaged or cut short in its data"),
    ],
)
def test_a_file_cut_short_names_the_record(tmp_path, size, message):
    path = _written(tmp_path, _bytes("none")[:size])
    with pytest.raises(ValueError, match=message):
        _read(path)


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
@pytest.mark.parametrize("lost", [1, 4, 100, 60_000, "all but one", "all"])
def test_a_compressed_stream_cut_short_is_found(tmp_path, compression, lost):
    data = _bytes(compression)
    kept = {"all": 0, "all but one": 1}.get(lost) if isinstance(lost, str) else -lost
    path = _written(tmp_path, data[:kept])
    with pytest.raises(ValueError, match=r"a\.tfrecord, record \d: .*cut short"):
        _read(path, compression)


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
@pytest.mark.parametrize("place", [0, 40, 30_000, -60_000, -1])
def test_a_flipped_bit_in_a_compressed_stream_is_found(tmp_path, compression, place):
    data = bytearray(_bytes(compression))
    data[place] ^= 0x10
    path = _written(tmp_path, bytes(data))
    with pytest.raises(ValueError, match=r"a\.tfrecord, record \d: damaged"):
        _read(path, compression)


@pytest.mark.parametrize(("written", "read"), [("none", "gzip"), ("gzip", "zlib")])
def test_another_compression_than_was_written_is_refused(tmp_path, written, read):
    path = _written(tmp_path, _bytes(written))
    with pytest.raises(ValueError, match=r"a\.tfrecord, record 0: damaged"):
        _read(path, read)


def test_unknown_compression_is_refused(tmp_path):
    message = "compression='GZIP': choose one of none, zlib, gzip"
    with pytest.raises(ValueError, match=message):
        tfrecord_file.TFRecordWriter(io.BytesIO(), compression="GZIP")
    with pytest.raises(ValueError, match=message):
        _read(_written(tmp_path, b""), "GZIP")


def test_records_of_an_open_file_are_read_in_any_order(tmp_path):
    path = _written(tmp_path, _bytes("none"))
    with path.open("rb") as file:
        for number in (5, 0, 3, 3, 1, 4, 2):
            found = tfrecord_file.record_at(file, OFFSETS[number], "x")
            assert found == RECORDS[number]
        with pytest.raises(ValueError, match=r"^this one: damaged or cut short in its"):
            tfrecord_file.record_at(file, OFFSETS[2] + 1, "this one")
        with pytest.raises(ValueError, match=r"^at the end: .* in its header"):
            tfrecord_file.record_at(file, OFFSETS[-1], "at the end")
        assert tfrecord_file.record_at(file, OFFSETS[2], "x") == RECORDS[2]


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
@pytest.mark.parametrize("step", [1000, 10**7])
def test_an_inflater_gives_the_uncompressed_file(compression, step):
    data, inflate = _bytes(compression), tfrecord_file.inflater(compression)
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    assert b"".join(inflate.decompress(part) for part in parts) == _bytes("none")
    assert inflate.eof


def test_an_inflater_of_an_unknown_compression_is_refused():
    with pytest.raises(
        ValueError, match="compression='ZLIB': choose one of none, zlib"
    ):
        tfrecord_file.inflater("ZLIB")


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
@pytest.mark.parametrize("size", [5_000, 40_000, 400_000])
def test_of_a_damaged_stream_tensorflow_reads_as_many_records(
    tmp_path, compression, size
):
    random = np.random.default_rng(size)
    records = [
        # Half of it cannot be compressed, so that bytes in and out go apart.
        random.integers(0, 256 if number % 2 else 8, size, np.uint8).tobytes()
        for number in range(9)
    ]
    whole = _bytes(compression, records)
    places = [*random.integers(0, len(whole), 12), len(whole) - 1, len(whole) - 5]
    counts = set()
    for place in places:
        data = bytearray(whole)
        data[place] ^= 0x10
        path = _written(tmp_path, bytes(data))
        dataset = tf.data.TFRecordDataset(str(path), NAME_IN_TENSORFLOW[compression])
        theirs = list(dataset.ignore_errors().as_numpy_iterator())
        ours = []
        try:
            for record in tfrecord_file.read_records(path, compression=compression):
                ours.append(record)
        except ValueError as error:
            assert f"record {len(theirs)}: damaged" in str(error)
        else:  # Some bits of a stream mean nothing.
            assert ours == records
        assert ours == theirs == records[: len(ours)]
        counts.add(len(ours))
    assert len(counts) > (1 if size > 5_000 else 0)


def _salvaged(path, compression="none", offsets=OFFSETS[:-1]):
    return list(
        tfrecord_file.salvage_records(path, compression=compression, offsets=offsets)
    )


@each_compression
def test_all_of_a_whole_file_is_salvaged(tmp_path, compression):
    found = _salvaged(_written(tmp_path, _bytes(compression)), compression)
    assert [one.data for one in found] == RECORDS
    assert [one.offset for one in found] == OFFSETS[:-1]
    assert [one.number for one in found] == list(range(len(RECORDS)))
    assert not any(one.error for one in found)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("place", "number", "error"),
    [
        (0, 0, "in its header"),  # its length
        (8, 0, "in its header"),
        (12, 0, "in its data"),
        (OFFSETS[1] + 3, 1, "in its header"),
        (OFFSETS[2] + 100, 2, "in its data"),
        (OFFSETS[6] - 1, 5, "in its data"),
        (OFFSETS[5] + 11, 5, "in its header"),
    ],
)
def test_what_is_behind_a_damaged_record_is_salvaged(
    tmp_path, known, place, number, error
):
    """Behind a damaged header only where it is known where records begin."""
    data = bytearray(_bytes("none"))
    data[place] ^= 0x20
    path = _written(tmp_path, bytes(data))
    found = _salvaged(path, offsets=OFFSETS[:-1] if known else ())
    assert found[number].data is None and error in found[number].error
    goes_on = known or error == "in its data"
    wanted = [*RECORDS[:number], None, *(RECORDS[number + 1 :] if goes_on else [])]
    assert [one.data for one in found] == wanted
    assert [one.number for one in found] == list(range(len(wanted)))


def test_a_damaged_header_in_a_compressed_file_is_passed_over(tmp_path):
    file = io.BytesIO()
    writer = tfrecord_file.TFRecordWriter(file, compression="none")
    for record in RECORDS:
        writer.write(record)
    data = bytearray(file.getvalue())
    data[OFFSETS[1] + 2] ^= 1
    path = _written(tmp_path, zlib.compress(bytes(data)))
    found = _salvaged(path, "zlib")
    assert [one.data for one in found] == [RECORDS[0], None, *RECORDS[2:]]


@each_compression
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.9999])
def test_what_is_before_the_end_of_a_cut_file_is_salvaged(tmp_path, compression, kept):
    whole = _bytes(compression)
    path = _written(tmp_path, whole[: int(kept * len(whole))])
    found = _salvaged(path, compression)
    intact = [one.data for one in found if one.data is not None]
    assert intact == RECORDS[: len(intact)] and len(intact) < len(RECORDS)
    assert found[-1].error if found else kept == 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
