"""``input_fn``: a converted data set as batches, in graph-mode ``tf.data``."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfdicom import frame_batch
from tfdicom.input_options import InputOptions
from tfdicom.input_plan import InputPlan, plan_reading, shard_paths
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
    dataset, counter = _epoch_numbers(plan)
    # Shuffled as bytes, which are four times smaller than what they become.
    dataset = dataset.flat_map(functools.partial(_read_epoch, plan, read_records))
    # Small batches through the pixel work, whatever the batch size.
    dataset = _examples(plan, dataset)
    dataset = dataset.rebatch(
        plan.options.batch_size, drop_remainder=plan.options.drop_remainder
    )
    if cardinality is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.tfdicom_epoch = counter  # lives as long as the dataset does
    return dataset


def _epoch_numbers(plan: InputPlan) -> tuple[tf.data.Dataset, tf.Variable | None]:
    """The epochs of one pass, and the variable that counts passes, if any.

    With one epoch a pass, each iterator takes the next number when it draws its first
    element. In a graph of TensorFlow 1 an iterator runs once: numbers start at 0.
    """
    numbers = tf.data.Dataset.range(plan.options.epochs or _ENDLESS)
    if plan.options.epochs != 1 or not plan.training or not tf.executing_eagerly():
        return numbers, None
    with tf.device("CPU"):
        counter = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
    return numbers.map(lambda _: counter.assign_add(1) - 1), counter


def _read_shards(
    plan: InputPlan, paths: Sequence[str], seed: tf.Tensor
) -> tf.data.Dataset:
    files = tf.constant(paths)
    if plan.training:
        files = tf.random.experimental.stateless_shuffle(files, seed=seed)
    # A patient's slices stand together in a shard: read many shards side by side.
    return tf.data.Dataset.from_tensor_slices(files).interleave(
        lambda path: tf.data.TFRecordDataset(path, plan.compression),
        cycle_length=plan.readers,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _read_epoch(
    plan: InputPlan,
    read_records: Callable[[tf.Tensor], tf.data.Dataset],
    epoch: tf.Tensor,
) -> tf.data.Dataset:
    """Serialized records of one epoch, in its order, each with the epoch's number."""
    seed = tf.stack([tf.constant(plan.options.seed, tf.int64), epoch])
    records = read_records(seed)
    # Before the shuffle, so that its buffer holds what counts only.
    if plan.left_out:
        records = records.filter(lambda record: frame_batch.is_annotated(record, plan))
    if plan.training:
        records = _shuffled(records, plan, seed)
    return records.map(lambda record: (record, epoch))


def _shuffled(
    records: tf.data.Dataset, plan: InputPlan, seed: tf.Tensor
) -> tf.data.Dataset:
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


def _examples(plan: InputPlan, records: tf.data.Dataset) -> tf.data.Dataset:
    """Finished examples, in batches of ``frame_batch.SUB_BATCH``."""
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    if plan.uniform:
        # All shapes agree: parsed together, which costs less than one by one.
        return records.batch(frame_batch.SUB_BATCH).map(
            lambda batch, epoch: frame_batch.finish(
                frame_batch.parse_batch(batch, plan), epoch, plan
            ),
            **parallel,
        )
    parsed = records.map(
        lambda record, epoch: (frame_batch.parse_one(record, plan), epoch), **parallel
    )
    return parsed.batch(frame_batch.SUB_BATCH).map(
        lambda tensors, epoch: frame_batch.finish(
            *frame_batch.fill_batch(tensors, epoch), plan
        ),
        **parallel,
    )


def _cardinality(plan: InputPlan) -> int:
    return tf.data.INFINITE_CARDINALITY if plan.batches is None else plan.batches


def announce(plan: InputPlan, split: str) -> None:
    """Prints once what was chosen and what is left out."""
    for modality, rule in plan.rules.items():
        _say_once(f"tfdicom: normalisation of {modality}: {rule.sentence}")
    if plan.left_out:
        total = plan.examples + plan.left_out
        _say_once(
            f"tfdicom: split {split}: {plan.left_out} of {total} examples left out, "
            f"not annotated for all of {', '.join(plan.class_names)}"
        )


@functools.cache
def _say_once(sentence: str) -> None:
    print(sentence, file=sys.stderr)
