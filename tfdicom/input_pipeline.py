"""``input_fn``: a converted data set as batches, in graph-mode ``tf.data``."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfdicom import (
    data_service,
    epoch_order,
    example_table,
    files,
    frame_batch,
    record_reading,
    split_in_memory,
)
from tfdicom.announcements import announce
from tfdicom.example_groups import Group, example_groups, without_neither
from tfdicom.input_options import InputOptions
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import as_written, keep_freed_memory
from tfdicom.manifest import load_manifest
from tfdicom.options import accepts_options
from tfdicom.plan_reading import plan_reading
from tfdicom.record_reading import RecordReader

_ENDLESS = 2**62  # epochs
_PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}

DataDir = str | os.PathLike


@accepts_options(InputOptions)
def input_fn(
    data_dir: DataDir | Sequence[DataDir],
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
      data_dir: Folder that ``tfdicom_convert`` wrote, or several that are read
        together: each example of each once in an epoch, or as ``weights`` says.
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
      Keras multiplies with its losses for each pixel. Other label forms: ``label_map``
      uint8 ``[batch, rows, columns]`` and ``one_hot`` uint8 ``[..., 1 + classes]``,
      with weights ``(image, label, weight float32 [batch, rows, columns])``; ``soft``
      and ``distance`` float32 ``[..., classes]``. ``class_weights`` adds weights too:
      docs/labels.md has them all, and the losses that go with them. With ``labels``:
      ``(image, {'mask': mask, name: label})``, without masks ``(image, label)`` or
      ``(image, {name: label})``: float32 or int64 ``[batch]``, docs/tables.md. With
      ``with_info`` a dict comes last: ``key``, ``patient``, ``series``, ``rater``
      (text), ``age_band``, ``sex`` (text, empty if not kept), ``weight`` (int64, kg, -1
      if not kept), ``acquisition_group``, ``slice_index``, ``phase_index`` (int64, -1
      if absent), ``key_hash``, ``epoch``, ``occurrence`` (int64: what the random
      numbers come from); float32, mm, NaN if absent: ``spacing`` (``[batch, 2]``:
      between rows, between columns of the source), ``slice_spacing``, ``position``
      (``[batch, 3]``) and ``orientation`` (``[batch, 6]``); ``source_size`` (int64
      ``[batch, 2]``: rows, columns), ``matrix`` (float32 ``[batch, 3, 3]``: (column,
      row, 1) of an output pixel -> source pixel), ``deformed`` (bool: an elastic field,
      which no matrix holds, may have moved pixels too). Its cardinality is set.

    Raises:
      FileNotFoundError: There is no data set, or a shard is missing.
      ValueError: The data set cannot give what is asked for; says what it has. A
        patient that is read is in another split of another of the data sets.
      ConnectionError: Nobody answers at the address of the data service.
      tf.errors.InvalidArgumentError: When it runs: a record is damaged; names its shard
        and its number. Or no batch came from the data service for long.
    """
    folders = _folders(data_dir)
    plan = plan_reading(
        [load_manifest(folder) for folder in folders],
        split,
        options,
        names=folders,
        params=params,
        input_context=input_context,
        far=record_reading.are_far(folders),
    )
    if options.service is not None:
        data_service.wait_for_dispatcher(options.service, options.data_service_timeout)
        # Workers have another working directory.
        folders = [one if "://" in one else os.path.abspath(one) for one in folders]
    table = example_table.read_table(folders, plan)
    plan = example_table.without_damaged(plan, table)
    groups = example_groups(table, plan)
    announce(without_neither(plan, table), split)
    return _dataset(plan, RecordReader(table, plan), groups)


def _folders(data_dir: DataDir | Sequence[DataDir]) -> list[str]:
    if isinstance(data_dir, Sequence) and not isinstance(data_dir, str):
        folders = [files.text_of(one) for one in data_dir]
    else:
        folders = [files.text_of(data_dir)]  # type: ignore[arg-type]
    real = {one if "://" in one else os.path.realpath(one) for one in folders}
    if not folders or len(real) < len(folders):
        raise ValueError(f"data_dir={folders}: name each data set once")
    return folders


def _dataset(
    plan: InputPlan, reader: RecordReader, groups: Sequence[Group]
) -> tf.data.Dataset:
    """The whole way from the order of the examples to batches."""
    epochs, counter = _epochs(plan)
    if plan.options.service is not None:
        shared = _from_service(plan, reader, groups, epochs)
        return _delivered(shared, counter, _cardinality(plan))
    turns = epochs.flat_map(functools.partial(_turns, plan, reader, groups))
    if plan.caches and plan.uniform:
        batches = split_in_memory.tensors_from_memory(plan, reader, turns)
    elif plan.caches:
        records = split_in_memory.records_from_memory(plan, reader, turns)
        batches = parsed(records, plan)
    elif reader.seeks:
        batches = parsed(
            turns.map(lambda place, turn: (reader.at(place), turn), **_PARALLEL), plan
        )
    else:
        batches = parsed(_as_they_come(plan, reader, turns), plan)
    return finished(batches, plan, counter=counter, cardinality=_cardinality(plan))


def finished(
    batches: tf.data.Dataset,
    plan: InputPlan,
    *,
    counter: tf.Variable | None = None,
    cardinality: int | None = None,
) -> tf.data.Dataset:
    """The dataset that ``input_fn`` describes, from parsed batches.

    Args:
      batches: Of ``parsed``.
      plan: What to do.
      counter: Of the passes; kept alive, and for ``EpochCallback``.
      cardinality: Batches in one pass, if that is known.
    """
    dataset = batches.map(functools.partial(_finish, plan), **_PARALLEL)
    dataset = dataset.with_options(_savable(positions_only=counter is None))
    return _delivered(dataset, counter, cardinality)


@as_written
def _finish(plan: InputPlan, tensors: frame_batch.Tensors, turns: tf.Tensor) -> Any:
    return frame_batch.finish(
        *frame_batch.filled(tensors, turns, plan.options.batch_size), plan
    )


def _delivered(
    dataset: tf.data.Dataset, counter: tf.Variable | None, cardinality: int | None
) -> tf.data.Dataset:
    keep_freed_memory()
    if cardinality is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.tfdicom_epoch = counter
    return dataset


def _savable(*, positions_only: bool) -> tf.data.Options:
    """An iterator can be saved: as positions, or with the batches under way.

    Positions are not enough where a counter of the passes is state outside of the
    iterator: a restored one would ask it again, and get the next epoch.
    """
    options = tf.data.Options()
    options.experimental_symbolic_checkpoint = positions_only
    # Asking for the split in memory counts as state, and is none.
    ignore = tf.data.experimental.ExternalStatePolicy.IGNORE
    options.experimental_external_state_policy = ignore
    return options


def _epochs(plan: InputPlan) -> tuple[tf.data.Dataset, tf.Variable | None]:
    """The epochs of one pass, and the variable that counts passes, if any.

    With one epoch a pass, each iterator takes the next number when it draws its first
    element. In a graph of TensorFlow 1 an iterator runs once.
    """
    first = plan.first_epoch
    last = _ENDLESS if plan.options.epochs is None else plan.options.epochs
    if plan.options.epochs == 1:  # one after the other, with start_step a later one
        last = first + 1
        if tf.executing_eagerly() and plan.training:
            return _counted_passes(first)
    return tf.data.Dataset.range(first, max(last, first)), None


def _counted_passes(first: int) -> tuple[tf.data.Dataset, tf.Variable]:
    with tf.device("CPU"):
        counter = tf.Variable(first, dtype=tf.int64, trainable=False, name="epoch")
    once = tf.data.Dataset.range(1)
    return once.map(lambda _: counter.assign_add(1) - 1), counter


@as_written
def _turns(
    plan: InputPlan, reader: RecordReader, groups: Sequence[Group], epoch: tf.Tensor
) -> tf.data.Dataset:
    """Places of an epoch's examples (int64 scalar), and their turns (int64 ``[3]``)."""
    turns = _turn_table(plan, reader, groups, epoch)
    return tf.data.Dataset.from_tensor_slices((turns[:, 0], turns[:, 1:]))


def _turn_table(
    plan: InputPlan, reader: RecordReader, groups: Sequence[Group], epoch: tf.Tensor
) -> tf.Tensor:
    """int64 ``[n, 4]``: places of an epoch's examples, and their turns."""
    places, occurrences = epoch_order.epoch_order(
        groups, plan.options.seed, epoch, shuffled=plan.training
    )
    epochs = tf.fill(tf.shape(places), epoch)
    data_sets = tf.gather(reader.data_set, places)
    turns = tf.stack([places, epochs, occurrences, data_sets], axis=1)
    skipped = tf.constant([0, plan.skipped], tf.int64)
    skipped = tf.gather(skipped, tf.cast(tf.equal(epoch, plan.first_epoch), tf.int32))
    return turns[skipped:]


def parsed(records: tf.data.Dataset, plan: InputPlan) -> tf.data.Dataset:
    """Batches of parsed tensors and turns, from serialized records and their turns."""
    size, drop = plan.options.batch_size, plan.options.drop_remainder
    if plan.uniform:
        # All shapes agree: parsed together, which costs less than one by one.
        return records.batch(size, drop_remainder=drop).map(
            lambda batch, turns: (frame_batch.parse_batch(batch, turns, plan), turns),
            **_PARALLEL,
        )
    return records.map(
        lambda record, turn: (frame_batch.parse_one(record, turn, plan), turn),
        **_PARALLEL,
    ).batch(size, drop_remainder=drop)


def _from_service(
    plan: InputPlan,
    reader: RecordReader,
    groups: Sequence[Group],
    epochs: tf.data.Dataset,
) -> tf.data.Dataset:
    """Finished batches by tf.data service."""
    options = plan.options
    # A batch that is short there is filled up here.
    there = dataclasses.replace(options, drop_remainder=False)
    whole = dataclasses.replace(plan, options=there)

    def batches(turns: tf.data.Dataset) -> tf.data.Dataset:
        records = turns.map(lambda turn: (reader.at(turn[0]), turn[1:]), **_PARALLEL)
        return parsed(records, whole).map(
            lambda tensors, turns: (_finish(whole, tensors, turns), turns), **_PARALLEL
        )

    work = data_service.SharedWork(
        service=options.service or "",
        timeout=options.data_service_timeout,
        batch_size=options.batch_size,
        drop_remainder=options.drop_remainder,
        turns=functools.partial(_turn_table, plan, reader, groups),
        batches=batches,
        keys=reader.keys,
    )
    return data_service.shared_batches(epochs, work)


def _as_they_come(
    plan: InputPlan, reader: RecordReader, turns: tf.data.Dataset
) -> tf.data.Dataset:
    """Serialized records and turns, of a split that is read in the table's order."""
    records = reader.in_order().map(lambda record, _: record).repeat()
    records = records.skip(plan.skipped)
    return tf.data.Dataset.zip((records, turns.map(lambda _, turn: turn)))


def _cardinality(plan: InputPlan) -> int | None:
    if plan.batches is None:
        return tf.data.INFINITE_CARDINALITY
    if plan.options.epochs != 1:
        return max(plan.batches - plan.options.start_step, 0)
    if plan.training and plan.skipped and tf.executing_eagerly():
        return None  # the first pass is shorter than those that follow
    left = plan.examples - plan.skipped
    size, drop = plan.options.batch_size, plan.options.drop_remainder
    return left // size if drop else -(-left // size)
