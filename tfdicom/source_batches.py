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
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tfdicom import example_schema, input_pipeline
from tfdicom.convert_options import ConvertOptions
from tfdicom.example_schema import PIXEL_DTYPES
from tfdicom.input_options import InputOptions
from tfdicom.input_plan import InputPlan, plan_reading
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
    plan = plan_reading(found, split, options)
    plan = dataclasses.replace(
        plan,
        # Only decoding tells the dtype, and whether a header spoke the truth.
        uniform=False,
        dtypes=PIXEL_DTYPES,
        fits=False,
        shuffle_buffer=_SHUFFLED_BATCHES * options.batch_size,
    )
    input_pipeline.announce(plan, split)
    decoding = _Decoding(prepared)
    dataset = input_pipeline.batches(
        plan, functools.partial(_read_source, decoding, plan)
    )
    return _arrays(dataset, decoding)


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
        salt=prepared.options.split_salt,
        buckets=prepared.plan.buckets,
        ledger={},
        options={},
        compression="none",
        versions={},
    )


def _as_split(shards: list[ShardPlan], prepared: Preparation) -> SplitInfo:
    patients = [patient for shard in shards for patient in shard.patients]
    infos = tuple(_as_shard(patient, prepared) for patient in patients)
    kinds = Counter(
        (frame.shape, frame.modality)
        for patient in patients
        for series in patient.series
        for frame in series.frames
        if frame.contours
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
        pixel_spacing=None,
    )


def _as_shard(patient: PatientPlan, prepared: Preparation) -> ShardInfo:
    """A patient as the shard that is read from the source."""
    patterns: Counter = Counter()
    for series in patient.series:
        for frame in series.frames:
            drawn = {contour.structure for contour in frame.contours}
            flags = [int(one.annotated(drawn)) for one in prepared.rules.classes]
            if any(flags):
                patterns["".join(map(str, flags))] += 1
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
    chosen = {info.file: patients[info.file] for info in plan.shards}
    return tf.data.Dataset.from_generator(
        functools.partial(_records, decoding, chosen, plan.training),
        args=(seed,),
        output_signature=tf.TensorSpec([], tf.string),
    )


def _records(
    decoding: _Decoding,
    patients: Mapping[str, PatientPlan],
    training: bool,
    seed: Any,
) -> Iterator[bytes]:
    """Serialized records of one epoch, decoded as they are asked for."""
    names = list(patients)
    if training:
        random.Random(f"{seed.tolist()}").shuffle(names)
    folder, rules = decoding.prepared.folder, decoding.prepared.rules
    empty = True
    for name in names:
        for outcome in patient_outcomes(folder, rules, patients[name]):
            decoding.ledger.leave(outcome.left)
            if outcome.example is not None:
                empty = False
                yield example_schema.encode(outcome.example)
    _end_epoch(decoding, empty)


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
