"""Batches straight from a source folder: the converter's half feeds the reader's.

Records are made as the converter makes them, patient by patient, and go through the
reader's pipeline as if they had been read from a shard.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfdicom import example_schema, input_pipeline, input_stamps, label_kinds
from tfdicom.announcements import announce
from tfdicom.convert_options import ConvertOptions
from tfdicom.example_schema import PIXEL_DTYPES
from tfdicom.input_options import AUTO, FAIL, NO_CACHE, InputOptions
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import as_written
from tfdicom.ledger import Ledger
from tfdicom.manifest import (
    ClassFrequency,
    ClassInfo,
    FrameKind,
    Manifest,
    ShardInfo,
    SplitInfo,
)
from tfdicom.plan import PatientPlan, ShardPlan
from tfdicom.plan_reading import plan_reading
from tfdicom.preparation import Preparation, prepare
from tfdicom.shards import patient_outcomes

# A source is decoded as it goes, so a full shuffle would decode all of it first.
_SHUFFLED_BATCHES = 8
_QUICK_LOOK = ConvertOptions(split="train", id_key_file="public")


def source_batches(
    source: str,
    split: str,
    options: InputOptions,
    convert_options: ConvertOptions | None = None,
) -> Iterator[Any]:
    """Batches as ``input_fn`` gives them, as arrays, decoded as they are asked for.

    What is left out though a use was planned for it is printed once to stderr: what
    headers and names tell at the call, the rest at the end of the first epoch.

    Args:
      source: Folder with images and annotations.
      split: Name of a split, or several joined by ``+``.
      options: What is asked of the batches.
      convert_options: How the source is read; by default everybody is in ``train``.

    Raises:
      ValueError: The source cannot give what is asked for; also while iterating, when
        no image could be converted.
    """
    prepared = prepare(
        dataclasses.replace(convert_options or _QUICK_LOOK, input_dir=source)
    )
    _say(prepared.ledger)
    found = _as_manifest(prepared)
    _refuse(options)
    plan = plan_reading(found, split, options, names=[source])
    plan = dataclasses.replace(
        plan,
        # Only decoding tells the dtype, and whether a header spoke the truth.
        uniform=False,
        dtypes=PIXEL_DTYPES,
    )
    announce(plan, split)
    decoding = _Decoding(prepared)
    records = _epochs(plan).flat_map(functools.partial(_epoch, decoding, plan))
    batches = input_pipeline.parsed(records, plan)
    return _arrays(input_pipeline.finished(batches, plan), decoding)


def _refuse(options: InputOptions) -> None:
    """What needs records, or to know every example before the first is decoded."""
    for name in ("weights", "positive_fraction", "data_service"):
        if getattr(options, name) is not None:
            raise ValueError(
                f"{name} needs a converted data set: run tfdicom_convert first"
            )
    if options.cache not in (AUTO, NO_CACHE) or options.on_corrupt != FAIL:
        raise ValueError(
            f"cache={options.cache!r}, on_corrupt={options.on_corrupt!r}: a source is "
            "decoded anew each epoch and has no records that could be kept or damaged"
        )


def _epochs(plan: InputPlan) -> tf.data.Dataset:
    first, last = plan.first_epoch, plan.options.epochs or tf.int64.max
    if last == 1 and plan.training:
        last = first + 1  # each pass is a further epoch, and so is one that starts late
    return tf.data.Dataset.range(first, max(last, first))


@as_written
def _epoch(decoding: _Decoding, plan: InputPlan, epoch: tf.Tensor) -> tf.data.Dataset:
    """Records of an epoch and their turns, mixed within a few batches in training."""
    seed = tf.stack([tf.constant(plan.options.seed, tf.int64), epoch])
    records = _read_source(decoding, plan, seed)
    if plan.training:
        once = tf.random.stateless_uniform(
            [], seed, minval=None, maxval=None, dtype=tf.int64
        )
        records = records.shuffle(
            _SHUFFLED_BATCHES * plan.options.batch_size,
            seed=once,
            reshuffle_each_iteration=False,
        )
    skipped = tf.constant([0, plan.skipped], tf.int64)
    skipped = tf.gather(skipped, tf.cast(tf.equal(epoch, plan.first_epoch), tf.int32))
    turn = tf.stack([epoch, 0, 0])
    return records.skip(skipped).map(lambda record: (record, turn))


@dataclasses.dataclass
class _Decoding:
    """What decoding a source has found so far.

    TensorFlow wraps an error of a generator beyond recognition, so it is kept here.
    """

    prepared: Preparation
    error: ValueError | None = None
    told: bool = False

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.prepared.pseudonyms)


def _arrays(dataset: tf.data.Dataset, decoding: _Decoding) -> Iterator[Any]:
    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.OpError:
        if decoding.error:
            raise decoding.error from None
        raise


def _say(ledger: Ledger) -> None:
    for line in ledger.problem_lines():
        print(line, file=sys.stderr)


def _as_manifest(prepared: Preparation) -> Manifest:
    """What headers and file names tell of the data set that this would become."""
    classes = tuple(
        ClassInfo(one.name, one.expression) for one in prepared.rules.classes
    )
    by_split: dict[str, list[ShardPlan]] = {n: [] for n in prepared.plan.split_names}
    for shard in prepared.plan.shards:
        by_split[shard.split].append(shard)
    return Manifest(
        classes=classes,
        splits={name: _as_split(shards, prepared) for name, shards in by_split.items()},
        split_table=prepared.plan.split_table,
        salt=prepared.plan.salt,
        buckets=prepared.plan.buckets,
        ledger={},
        options={"covered_fraction": prepared.rules.objects.covered_fraction},
        compression="none",
        versions={},
        labels=prepared.labels,
    )


def _as_split(shards: list[ShardPlan], prepared: Preparation) -> SplitInfo:
    patients = [patient for shard in shards for patient in shard.patients]
    infos = tuple(_as_shard(patient, prepared) for patient in patients)
    kinds = Counter(
        (frame.shape, frame.header.modality)
        for patient in patients
        for series in patient.series
        for frame in series.frames
        if frame.example
    )
    return SplitInfo(
        examples=sum(info.examples for info in infos),
        patients=tuple(patient.patient for patient in patients),
        shards=infos,
        frames=tuple(
            FrameKind(shape, "unknown", modality, None, count)
            for (shape, modality), count in sorted(kinds.items())
        ),
        classes={one.name: ClassFrequency(0, 0, 0) for one in prepared.rules.classes},
        intensities={"all": None, "foreground": None},
        pixel_spacing=_pixel_spacing(patients),
    )


def _pixel_spacing(patients: list[PatientPlan]) -> tuple[float, float] | None:
    """Smallest and largest, None where the headers of some images do not say."""
    planes = [
        frame.header.plane
        for patient in patients
        for series in patient.series
        for frame in series.frames
        if frame.example
    ]
    found = [value for plane in planes if plane for value in plane.pixel_spacing]
    return (min(found), max(found)) if found and all(planes) else None


def _as_shard(patient: PatientPlan, prepared: Preparation) -> ShardInfo:
    """A patient as the shard that is read from the source."""
    patterns: Counter = Counter()
    for series in patient.series:
        for frame in series.frames:
            classes = prepared.rules.classes
            flags = [int(one.annotated(frame.annotated)) for one in classes]
            if frame.example:
                values = [value for _, value in frame.labels]
                patterns[label_kinds.known_pattern(flags, values)] += 1
    return ShardInfo(
        file=patient.patient,
        examples=sum(patterns.values()),
        size=0,
        data_size=patient.estimated_bytes,
        sha256="",
        annotated=patterns,
    )


def _read_source(
    decoding: _Decoding, plan: InputPlan, seed: tf.Tensor
) -> tf.data.Dataset:
    patients = {
        patient.patient: patient
        for shard in decoding.prepared.plan.shards
        for patient in shard.patients
    }
    chosen = {one.info.file: patients[one.info.file] for one in plan.shards}
    needed = plan.needed(0)
    return tf.data.Dataset.from_generator(
        functools.partial(_records, decoding, chosen, needed, plan.training),
        args=(seed,),
        output_signature=tf.TensorSpec([], tf.string),
    )


def _records(
    decoding: _Decoding,
    patients: Mapping[str, PatientPlan],
    needed: Sequence[int],
    training: bool,
    seed: Any,
) -> Iterator[bytes]:
    """Serialized records of one epoch, decoded as they are asked for.

    Only those on which the needed classes and labels are known.
    """
    names = list(patients)
    if training:
        random.Random(f"{seed.tolist()}").shuffle(names)
    folder, rules = decoding.prepared.folder, decoding.prepared.rules
    empty = True
    for name in names:
        _refuse_changes(decoding, patients[name])
        for outcome in patient_outcomes(folder, rules, patients[name]):
            decoding.ledger.leave(outcome.left)
            example = outcome.example
            if example is not None:
                empty = False
                known = label_kinds.known_pattern(
                    example.annotated, example.label_values
                )
                if all(known[place] == "1" for place in needed):
                    yield example_schema.encode(example)
    _end_epoch(decoding, empty)


def _refuse_changes(decoding: _Decoding, patient: PatientPlan) -> None:
    """Refuses files that changed since the plan: their pixels may lie elsewhere."""
    folder = decoding.prepared.folder
    stamps = input_stamps.by_path(patient.sources, patient.stamps)
    try:
        input_stamps.refuse(folder, input_stamps.changed(folder, stamps))
    except ValueError as error:
        decoding.error = error
        raise


def _end_epoch(decoding: _Decoding, empty: bool) -> None:
    """Says what was left out, or fails: an endless dataset would else never end."""
    if empty:
        lines = ["none of the images could be converted"]
        decoding.error = ValueError(
            "\n".join([*lines, *decoding.ledger.problem_lines()])
        )
        raise decoding.error
    if not decoding.told:
        _say(decoding.ledger)
        decoding.told = True
