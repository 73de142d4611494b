"""Reads records in graph operations: any of a plan, by its place in the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfdicom.example_table import ExampleTable
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import as_written

_TEXT = tf.TensorSpec([], tf.string)
_NUMBER = tf.TensorSpec([], tf.int64)
_POLL_SECONDS = 0.1
_ENDLESS = 2**62


def are_far(folders: Sequence[str]) -> bool:
    """Whether a data set lies where TensorFlow knows no file system."""
    known = tf.io.gfile.get_registered_schemes()
    schemes = (folder.partition("://") for folder in folders)
    return any(rest and scheme not in known for scheme, rest, _ in schemes)


class RecordReader:
    """The records of a table.

    Attributes:
      data_set: int64 ``[examples]``: number of each example's data set.
    """

    def __init__(self, table: ExampleTable, plan: InputPlan) -> None:
        """Takes the table into the graph; reads nothing."""
        self._compression = "" if plan.copies_to else plan.compression
        self._table = table
        self._paths = tf.constant(table.paths)
        self._failure, self._mend = table.failure, table.mend
        self._shard = tf.constant(table.shard)
        self._number = tf.constant(table.number)
        self._offset = tf.constant(table.offset)
        self.data_set = tf.constant(table.data_set)

    @property
    def keys(self) -> tf.Tensor:
        """String ``[examples]``."""
        return tf.constant(self._table.keys)

    @property
    def seeks(self) -> bool:
        """Whether any record can be gone to: not in a compressed stream."""
        return not self._compression

    @as_written
    def at(self, place: tf.Tensor) -> tf.Tensor:
        """The serialized record at a place of the table, string scalar.

        Raises:
          InvalidArgumentError: When it runs: the record is damaged, or cannot be read.
        """
        path = tf.gather(self._paths, tf.gather(self._shard, place))
        offset = tf.gather(self._offset, place)
        record = _record_at(path, offset, log_warning=not self._failure)
        if self._failure:
            record = tf.cond(
                tf.equal(tf.strings.length(record), 0),
                lambda: _record_at(_when_there(path, self._failure), offset),
                lambda: record,
            )
        if self._mend:
            record = tf.cond(
                tf.equal(tf.strings.length(record), 0),
                lambda: _record_at(_mended(path, self._mend), offset),
                lambda: record,
            )
        return _whole(record, path, tf.gather(self._number, place))

    def in_order(self) -> tf.data.Dataset:
        """All of them in the table's order, each with its place (int64 scalar)."""
        places = tf.data.Dataset.range(len(self._table))
        if self.seeks:
            return places.map(
                lambda place: (self.at(place), place),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        shards = tf.data.Dataset.range(len(self._table.paths))
        return tf.data.Dataset.zip((shards.flat_map(self._stream), places))

    @as_written
    def _stream(self, shard: tf.Tensor) -> tf.data.Dataset:
        """The records of a compressed shard that are in the table."""
        path = tf.gather(self._paths, shard)
        numbers = tf.boolean_mask(self._number, tf.equal(self._shard, shard))
        last = tf.reduce_max(tf.concat([numbers, [-1]], axis=0))
        records = tf.data.TFRecordDataset(path, self._compression)
        found = _or_empty(records, last + 1).take(last + 1).enumerate()
        # After one that cannot be read, none comes: it counts though it is not wanted.
        chosen = found.filter(
            lambda number, pair: (
                tf.reduce_any(tf.equal(numbers, number)) | tf.equal(pair[1], "")
            )
        )
        return chosen.map(lambda number, pair: _whole(pair[1], path, number))


def _record_at(
    path: tf.Tensor, offset: tf.Tensor, *, log_warning: bool = True
) -> tf.Tensor:
    """The record there; empty if it cannot be read."""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=0, byte_offsets=[offset]
    )
    records = tf.data.experimental.from_variant(variant, _TEXT)
    found = _or_empty(records, 1, log_warning=log_warning)
    return found.take(1).get_single_element()[1]


def _when_there(path: tf.Tensor, failure: str) -> tf.Tensor:
    """The path of a copy that is under way, when it has been made.

    Waits in graph operations: for the copy, or for the file that says why there will
    be none.
    """
    ticks = tf.data.Dataset.range(_ENDLESS)
    variant = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(ticks),
        sleep_microseconds=tf.constant(int(_POLL_SECONDS * 1e6), tf.int64),
        output_types=[tf.int64],
        output_shapes=[[]],
    )
    ticks = tf.data.experimental.from_variant(variant, _NUMBER)
    reason = tf.data.Dataset.from_tensors(failure).map(tf.io.read_file)

    @as_written
    def looked(_: tf.Tensor) -> tf.data.Dataset:
        # A file that cannot be opened would be tried for ever, without the range.
        byte = tf.data.FixedLengthRecordDataset(path, 1)
        there = tf.data.Dataset.zip((tf.data.Dataset.range(1), byte)).map(lambda *_: "")
        return there.concatenate(reason).ignore_errors(log_warning=False)

    message = ticks.flat_map(looked).take(1).get_single_element()
    check = tf.debugging.Assert(tf.equal(message, ""), [message])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(path)


def _mended(path: tf.Tensor, mend: Callable[[str], str]) -> tf.Tensor:
    """The path of a copy that was damaged, when it has been made again."""

    def call(name: bytes) -> bytes:
        return mend(name.decode()).encode()

    message = tf.numpy_function(call, [path], tf.string, stateful=False)
    check = tf.debugging.Assert(tf.equal(message, ""), [message])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(path)


def _or_empty(
    records: tf.data.Dataset, count: int | tf.Tensor, *, log_warning: bool = True
) -> tf.data.Dataset:
    """So many records, in pairs; where one cannot be read, the empty one, and the end.

    The error of a reader names neither the file nor the record, and cannot be caught.
    """
    # Each try takes a number: a file that cannot be opened would be tried for ever.
    tried = tf.data.Dataset.zip((tf.data.Dataset.range(count), records))
    end = tf.data.Dataset.from_tensors((tf.constant(-1, tf.int64), ""))
    return tried.ignore_errors(log_warning=log_warning).concatenate(end)


def _whole(record: tf.Tensor, path: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    message = (
        "a record is damaged or cannot be read; copy its shard again, convert again, "
        "or leave it out with on_corrupt=skip. Shard, and number of the record:"
    )
    is_whole = tf.greater(tf.strings.length(record), 0)
    check = tf.debugging.Assert(is_whole, [message, path, number])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(record)
