"""``input_fn``: a converted data set as batches, in graph-mode ``tf.data``."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfdicom import frame_batch
from tfdicom.augment.presets import NONE, PRESETS
from tfdicom.input_options import AUTO, MEMORY, NO_CACHE, InputOptions
from tfdicom.input_plan import InputPlan, plan_reading, shard_paths
from tfdicom.kernel import as_written, keep_freed_memory
from tfdicom.manifest import load_manifest
from tfdicom.options import accepts_options

_ENDLESS = 2**62  # epochs


@accepts_options(InputOptions)
def input_fn(
    data_dir: str | os.PathLike,
    split: str = "train",
    *,
    options: InputOptions,
    input_context: tf.distribute.InputContext | None = None,
    params: Mapping[str, Any] | None = None,
) -> tf.data.Dataset:
    """Reads a split as batches of image and mask, for Keras and for Estimators.

    ``model.fit(input_fn(data_dir), epochs=N)`` trains N different epochs, each shuffled
    and augmented anew, and the same again for the same seed. Estimators read in a graph
    of their own: ``estimator.train(lambda: input_fn(data_dir, num_epochs=None))``.

    Args:
      data_dir: Folder that ``tfdicom_convert`` wrote.
      split: Name of a split, or several joined by ``+``.
      options: The fields below as a whole.
      input_context: Of ``tf.distribute``: the pipelines share the shards, and the batch
        size is divided among the replicas.
      params: Of an Estimator; its ``batch_size`` wins.

    Returns:
      Dataset of ``(image, mask)``: float32 ``[batch, rows, columns, channels]``,
      normalised; uint8 ``[batch, rows, columns, classes]``, 0 or 1 (255 where unknown
      if ``unannotated='ignore'``). With ``unannotated='weight'``: ``(image, {class:
      mask [batch, rows, columns, 1]}, {class: weight float32 [batch, 1, 1]})``, which
      Keras multiplies with its losses for each pixel. With ``with_info`` a dict comes
      last: ``key``, ``patient``, ``series`` (text), ``slice_index``, ``phase_index``
      (int64, -1 if absent), ``spacing`` (float32 ``[batch, 2]``: between rows, between
      columns of the source, mm, NaN if absent), ``matrix`` (float32 ``[batch, 3, 3]``:
      (column, row, 1) of an output pixel -> source pixel). Its cardinality is set.

    Raises:
      FileNotFoundError: There is no data set, or a shard is missing.
      ValueError: The data set cannot give what is asked for; says what it has.
    """
    folder = os.fspath(data_dir)
    plan = plan_reading(
        load_manifest(folder),
        split,
        options,
        params=params,
        input_context=input_context,
    )
    announce(plan, split)
    read = functools.partial(_read_shards, plan, shard_paths(folder, plan.shards))
    return batches(plan, read, cardinality=_cardinality(plan))


def batches(
    plan: InputPlan,
    read_records: Callable[[tf.Tensor], tf.data.Dataset],
    *,
    cardinality: int | None = None,
) -> tf.data.Dataset:
    """The whole way from serialized records to batches.

    Args:
      plan: What to read, and how.
      read_records: From the seed of an epoch (int64 ``[2]``: seed, epoch) to a dataset
        of that epoch's serialized records.
      cardinality: Batches in one pass, if that is known.

    Returns:
      The dataset that ``input_fn`` describes.
    """
    keep_freed_memory()
    epochs, counter = _epochs(plan)
    if plan.caches:
        dataset = _from_memory(plan, read_records, epochs)
    else:
        dataset = _from_records(plan, read_records, epochs)
    dataset = dataset.map(
        lambda tensors, epoch: frame_batch.finish(
            *frame_batch.filled(tensors, epoch, plan.options.batch_size), plan
        ),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    if cardinality is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.tfdicom_epoch = counter  # lives as long as the dataset does
    return dataset


def _epochs(plan: InputPlan) -> tuple[tf.data.Dataset, tf.Variable | None]:
    """The epochs of one pass, and the variable that counts passes, if any.

    With one epoch a pass, each iterator takes the next number when it draws its first
    element. In a graph of TensorFlow 1 an iterator runs once.
    """
    first = plan.first_epoch
    last = _ENDLESS if plan.options.epochs is None else plan.options.epochs
    if plan.options.epochs == 1 and plan.training:
        last = first + 1
        if tf.executing_eagerly():
            return _counted_passes(first)
    return tf.data.Dataset.range(first, max(last, first)), None


def _counted_passes(first: int) -> tuple[tf.data.Dataset, tf.Variable]:
    with tf.device("CPU"):
        counter = tf.Variable(first, dtype=tf.int64, trainable=False, name="epoch")
    once = tf.data.Dataset.range(1)
    return once.map(lambda _: counter.assign_add(1) - 1), counter


def _from_memory(
    plan: InputPlan,
    read_records: Callable[[tf.Tensor], tf.data.Dataset],
    epochs: tf.data.Dataset,
) -> tf.data.Dataset:
    """Batches of parsed tensors and their epochs, out of the whole split as tensors."""
    every = _annotated(plan, read_records(_seed(plan, 0)))
    # One element of [examples, ...]; a short file is an error here, not later.
    every = every.apply(tf.data.experimental.assert_cardinality(plan.examples))
    every = every.batch(plan.examples, drop_remainder=True)
    every = every.map(lambda records: frame_batch.parse_batch(records, plan))
    every = every.cache()
    places = epochs.flat_map(functools.partial(_places, plan))
    places = places.batch(
        plan.options.batch_size, drop_remainder=plan.options.drop_remainder
    )
    return tf.data.Dataset.zip((places, every.repeat())).map(
        lambda place, tensors: (
            {name: tf.gather(one, place[0]) for name, one in tensors.items()},
            place[1],
        ),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


@as_written
def _places(plan: InputPlan, epoch: tf.Tensor) -> tf.data.Dataset:
    """Places of the examples of one epoch in the manifest's order, and the epoch."""
    order = tf.range(plan.examples, dtype=tf.int64)
    if plan.training:
        order = tf.random.experimental.stateless_shuffle(order, _seed(plan, epoch))
    skipped = tf.constant([0, plan.skipped], tf.int64)
    skipped = tf.gather(skipped, tf.cast(tf.equal(epoch, plan.first_epoch), tf.int32))
    order = order[skipped:]
    return tf.data.Dataset.from_tensor_slices((order, tf.fill(tf.shape(order), epoch)))


def _from_records(
    plan: InputPlan,
    read_records: Callable[[tf.Tensor], tf.data.Dataset],
    epochs: tf.data.Dataset,
) -> tf.data.Dataset:
    """Batches of parsed tensors and their epochs, read anew each epoch."""
    cached = _cached(plan, read_records)
    records = epochs.flat_map(
        functools.partial(_epoch_records, plan, cached or read_records)
    )
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    size, drop = plan.options.batch_size, plan.options.drop_remainder
    if plan.uniform:
        # All shapes agree: parsed together, which costs less than one by one.
        return records.batch(size, drop_remainder=drop).map(
            lambda batch, epoch: (frame_batch.parse_batch(batch, plan), epoch),
            **parallel,
        )
    parsed = records.map(
        lambda record, epoch: (frame_batch.parse_one(record, plan), epoch), **parallel
    )
    return parsed.batch(size, drop_remainder=drop)


def _cached(
    plan: InputPlan, read_records: Callable[[tf.Tensor], tf.data.Dataset]
) -> Callable[[tf.Tensor], tf.data.Dataset] | None:
    """The records from a cache outside of the epoch, if one is asked for."""
    asked = plan.options.cache
    if asked == NO_CACHE or (asked == AUTO and not plan.fits):
        return None
    records = _annotated(plan, read_records(_seed(plan, 0)))
    records = records.cache("" if asked in (AUTO, MEMORY) else asked)
    return lambda seed: records


@as_written
def _epoch_records(
    plan: InputPlan,
    read_records: Callable[[tf.Tensor], tf.data.Dataset],
    epoch: tf.Tensor,
) -> tf.data.Dataset:
    """Serialized records of one epoch, in its order, each with the epoch's number."""
    seed = _seed(plan, epoch)
    records = _annotated(plan, read_records(seed))
    if plan.training and plan.fits:
        records = _permuted(records, plan, seed)
    elif plan.training:
        records = _mixed(records, plan, seed)
    skipped = tf.constant([0, plan.skipped], tf.int64)
    skipped = tf.gather(skipped, tf.cast(tf.equal(epoch, plan.first_epoch), tf.int32))
    return records.skip(skipped).map(lambda record: (record, epoch))


def _annotated(plan: InputPlan, records: tf.data.Dataset) -> tf.data.Dataset:
    """Before shuffling, so that its buffer holds what counts only."""
    if not plan.left_out:
        return records
    return records.filter(lambda record: frame_batch.is_annotated(record, plan))


def _permuted(
    records: tf.data.Dataset, plan: InputPlan, seed: tf.Tensor
) -> tf.data.Dataset:
    """All of them in the order that ``_places`` gives."""
    order = tf.range(plan.examples, dtype=tf.int64)
    order = tf.random.experimental.stateless_shuffle(order, seed)
    whole = records.batch(plan.examples)
    return whole.flat_map(
        lambda every: tf.data.Dataset.from_tensor_slices(order).map(
            lambda place: tf.gather(every, place)
        )
    )


def _mixed(
    records: tf.data.Dataset, plan: InputPlan, seed: tf.Tensor
) -> tf.data.Dataset:
    """Mixed within a buffer, where the split is too large to permute."""
    if not tf.executing_eagerly():
        # The seed of this function's graph, else the program's global one: it would
        # change the order, and with a global 0 shuffle() fails on a tensor seed.
        tf.random.set_seed(1)
    one_seed = tf.random.stateless_uniform(
        [], seed, minval=None, maxval=None, dtype=tf.int64
    )
    return records.shuffle(
        plan.shuffle_buffer, seed=one_seed, reshuffle_each_iteration=False
    )


def _seed(plan: InputPlan, epoch: tf.Tensor | int) -> tf.Tensor:
    epoch = tf.cast(epoch, tf.int64)
    return tf.stack([tf.constant(plan.options.seed, tf.int64), epoch])


@as_written
def _read_shards(
    plan: InputPlan, paths: Sequence[str], seed: tf.Tensor
) -> tf.data.Dataset:
    files = tf.constant(paths)
    if plan.training and not plan.fits:
        files = tf.random.experimental.stateless_shuffle(files, seed=seed)
    # A patient's slices stand together in a shard: read many shards side by side.
    return tf.data.Dataset.from_tensor_slices(files).interleave(
        lambda path: tf.data.TFRecordDataset(path, plan.compression),
        cycle_length=plan.readers,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _cardinality(plan: InputPlan) -> int | None:
    if plan.batches is None:
        return tf.data.INFINITE_CARDINALITY
    if plan.options.epochs != 1:
        return max(plan.batches - plan.options.start_step, 0)
    # After a start within an epoch the first pass is shorter than those that follow.
    return None if plan.skipped else plan.batches


def announce(plan: InputPlan, split: str) -> None:
    """Prints once what was chosen and what is left out."""
    for modality, rule in plan.rules.items():
        _say_once(f"tfdicom: normalisation of {modality}: {rule.sentence}")
    if not plan.training and plan.options.augmentation != PRESETS[NONE]:
        _say_once(
            f"tfdicom: split {split} is not augmented or shuffled, as its name is not "
            "train; training=True does both"
        )
    if plan.left_out:
        total = plan.examples + plan.left_out
        _say_once(
            f"tfdicom: split {split}: {plan.left_out} of {total} examples left out, "
            f"not annotated for all of {', '.join(plan.class_names)}"
        )


@functools.cache
def _say_once(sentence: str) -> None:
    print(sentence, file=sys.stderr)
