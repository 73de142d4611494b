"""A split that is kept in memory: read once, and gathered from in any order."""

from __future__ import annotations

import functools

import tensorflow as tf

from tfdicom import frame_batch
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import as_written
from tfdicom.record_reading import RecordReader

_PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}


def tensors_from_memory(
    plan: InputPlan, reader: RecordReader, turns: tf.data.Dataset
) -> tf.data.Dataset:
    """Batches of parsed tensors and turns; of images of one shape and dtype.

    Args:
      plan: What to read.
      reader: Its records.
      turns: Places (int64 scalar) and turns (int64 ``[3]``) of ``epoch_order``.
    """
    batches = turns.batch(
        plan.options.batch_size, drop_remainder=plan.options.drop_remainder
    )
    records = _whole_split(plan, reader)
    whole = records.map(functools.partial(frame_batch.parse_batch, plan=plan)).cache()

    def chosen(places: tf.Tensor, turns: tf.Tensor) -> tuple:
        tensors = whole.get_single_element()
        return {name: tf.gather(one, places) for name, one in tensors.items()}, turns

    return _after_reading(whole, batches).map(as_written(chosen), **_PARALLEL)


def records_from_memory(
    plan: InputPlan, reader: RecordReader, turns: tf.data.Dataset
) -> tf.data.Dataset:
    """Serialized records and turns, one by one; arguments as above."""
    whole = _whole_split(plan, reader).map(lambda records, _: records).cache()

    def chosen(place: tf.Tensor, turn: tf.Tensor) -> tuple:
        return tf.gather(whole.get_single_element(), place), turn

    return _after_reading(whole, turns).map(as_written(chosen), **_PARALLEL)


def _whole_split(plan: InputPlan, reader: RecordReader) -> tf.data.Dataset:
    """One element: all serialized records, and turns of which the data set counts."""

    def with_data_set(record: tf.Tensor, place: tf.Tensor) -> tuple:
        zero = tf.zeros([], tf.int64)
        return record, tf.stack([zero, zero, tf.gather(reader.data_set, place)])

    records = reader.in_order().map(as_written(with_data_set))
    # A short file is an error here, not later.
    return records.batch(plan.examples, drop_remainder=True)


def _after_reading(whole: tf.data.Dataset, turns: tf.data.Dataset) -> tf.data.Dataset:
    """The turns, the first of which waits until the split is read.

    The one element is asked for inside of a map, as a saved iterator would else hold
    it: ``Dataset.cache`` has no other way. If nothing waited, the many threads that do
    so would each read the split on its own.
    """

    def waited(place: tf.Tensor, turn: tf.Tensor) -> tuple:
        some = tf.nest.flatten(whole.get_single_element())[0]
        with tf.control_dependencies([tf.shape(some)]):
            return tf.identity(place), turn

    return turns.map(as_written(waited))
