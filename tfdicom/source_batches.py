"""Batches straight from a source folder: the converter's half feeds the reader's.

Records are made as the converter makes them, patient by patient, and go through the
reader's pipeline as if they had been read from a shard.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tfdicom import example_schema, input_pipeline
from tfdicom.convert_options import ConvertOptions
from tfdicom.example_schema import PIXEL_DTYPES
from tfdicom.input_options import InputOptions
from tfdicom.input_plan import InputPlan, plan_reading
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
) -> tf.data.Dataset:
    """Batches as ``input_fn`` gives them, decoded from a source as it goes.

    Args:
      source: Folder with images and annotations.
      split: Name of a split, or several joined by ``+``.
      options: What is asked of the batches.
      convert_options: How the source is read; by default everybody is in ``train``.

    Raises:
      ValueError: The source cannot give what is asked for.
    """
    prepared = prepare(
        dataclasses.replace(convert_options or _QUICK_LOOK, input_dir=source)
    )
    found = _as_manifest(prepared)
    plan = plan_reading(found, split, options)
    plan = dataclasses.replace(
        plan,
        # Only decoding tells the dtype, and whether a header spoke the truth.
        uniform=False,
        dtypes=PIXEL_DTYPES,
        shuffle_buffer=_SHUFFLED_BATCHES * options.batch_size,
    )
    input_pipeline.announce(plan, split)
    return input_pipeline.batches(plan, functools.partial(_read_source, prepared, plan))


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
    prepared: Preparation, plan: InputPlan, seed: tf.Tensor
) -> tf.data.Dataset:
    patients = {
        patient.patient: patient
        for shard in prepared.plan.shards
        for patient in shard.patients
    }
    chosen = {info.file: patients[info.file] for info in plan.shards}
    return tf.data.Dataset.from_generator(
        functools.partial(_records, prepared, chosen, plan.training),
        args=(seed,),
        output_signature=tf.TensorSpec([], tf.string),
    )


def _records(
    prepared: Preparation,
    patients: Mapping[str, PatientPlan],
    training: bool,
    seed: Any,
) -> Iterator[bytes]:
    """Serialized records of one epoch, decoded as they are asked for."""
    names = list(patients)
    if training:
        random.Random(f"{seed.tolist()}").shuffle(names)
    for name in names:
        for outcome in patient_outcomes(
            prepared.folder, prepared.rules, patients[name]
        ):
            if outcome.example is not None:
                yield example_schema.encode(outcome.example)
