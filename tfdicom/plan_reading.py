"""Works out from manifests and options what to read.

Everything that can be wrong is found here, at the call, and not in the middle of an
epoch; no TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfdicom import manifest, normalization, plan_checks
from tfdicom.augment.presets import PRESETS, AugmentOptions
from tfdicom.class_layout import ABSENT, ClassLayout, class_layout
from tfdicom.input_options import (
    DROP,
    InputOptions,
)
from tfdicom.input_plan import InputPlan, PlannedShard
from tfdicom.label_layout import (
    LabelLayout,
    absent_labels,
    check_names,
    label_layout,
    lacking,
    pattern_places,
)
from tfdicom.label_plan import label_plan
from tfdicom.manifest import FrameKind, Manifest
from tfdicom.output_grid import output_grid
from tfdicom.patient_leakage import check_leakage

_TRAIN = "train"
_COMPRESSION = {"none": "", "zlib": "ZLIB", "gzip": "GZIP"}


def plan_reading(
    data_sets: Manifest | Sequence[Manifest],
    split: str,
    options: InputOptions,
    *,
    names: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    input_context: Any = None,
    far: bool = False,
) -> InputPlan:
    """Works out what to read.

    Args:
      data_sets: The manifest, or those of several data sets that are read together.
      split: Name of a split, or several joined by ``+``, of all of them.
      options: What is asked for.
      names: What to call each data set in messages.
      params: Of an Estimator; its ``batch_size`` wins over that of the options.
      input_context: ``tf.distribute.InputContext``; this pipeline reads its share of
        the shards.
      far: Whether a data set lies where TensorFlow knows no file system.

    Raises:
      ValueError: The data sets cannot give what is asked for; says what they have.
    """
    several = [data_sets] if isinstance(data_sets, Manifest) else list(data_sets)
    names = names or [f"data set {number}" for number, _ in enumerate(several, 1)]
    _check_several(several, options)
    parts = [manifest.split_names(found, split) for found in several]
    classes, labels = _layouts(several, options, names)
    warnings = [
        check_leakage(several, names, parts[0]),
        *_absent_classes(classes, names),
        *absent_labels(labels, names),
    ]
    chosen = [
        (number, found.splits[name])
        for number, (found, part) in enumerate(zip(several, parts, strict=True))
        for name in part
    ]
    shards = [
        PlannedShard(number, shard) for number, one in chosen for shard in one.shards
    ]
    shards = _share(shards, input_context, split)
    frames = [frame for _, one in chosen for frame in one.frames]
    examples = sum(shard.info.examples for shard in shards)
    if not examples:
        raise ValueError(f"split {split!r} has no example")
    kept = _kept(shards, classes, labels, names, options)
    if not kept:
        raise ValueError(
            f"split {split!r} has no example to read: of {examples}, each is "
            f"{lacking(classes.names, labels)}"
        )
    is_train = parts[0] == [_TRAIN]
    training = is_train if options.training is None else options.training
    shape = _largest(frames, options)
    grid = output_grid([one for _, one in chosen], shape[:2], options, split=split)
    plan = InputPlan(
        options=_with_batch_size(options, params, input_context),
        training=training,
        shards=tuple(shards),
        compression=_compression(several),
        examples=kept,
        left_out=examples - kept,
        far=far,
        fits=_fits(shards, options),
        classes=classes,
        labels=label_plan(several, parts[0], classes, options, names=names),
        label_layout=labels,
        shape=shape,
        dtypes=tuple(sorted({frame.dtype for frame in frames})),
        uniform=len({(frame.shape, frame.dtype) for frame in frames}) == 1,
        size=grid.size,
        longest_step=grid.longest_step,
        rules=_rules(options, several, frames),
        augmentation=options.augmentation if training else _still(options),
        warnings=tuple(filter(None, warnings)),
    )
    plan_checks.check_service(plan, input_context)
    plan_checks.check_order(plan)
    plan_checks.check_crops(plan, grid)
    plan_checks.check_batches(plan, split)
    return plan


def _layouts(
    several: Sequence[Manifest], options: InputOptions, names: Sequence[str]
) -> tuple[ClassLayout, LabelLayout]:
    """Where the data sets have the classes and labels that are asked for."""
    classes = class_layout(
        [found.class_names for found in several],
        classes=options.class_names,
        class_map=options.other_names,
    )
    labels = label_layout(
        [found.labels for found in several], options.asked_labels, names=names
    )
    check_names(labels, classes.names)
    if not classes.names:
        plan_checks.check_no_masks(options)
    return classes, labels


def _still(options: InputOptions) -> AugmentOptions:
    """No change, but what is resampled is sampled as in training."""
    asked, names = options.augmentation, ("image_interpolation", "mask_interpolation")
    fields = {name: getattr(asked, name) for name in (*names, "edge")}
    return dataclasses.replace(PRESETS["none"], **fields)


def _check_several(several: Sequence[Manifest], options: InputOptions) -> None:
    shares = options.shares
    if shares is not None and len(shares) != len(several):
        raise ValueError(
            f"weights={options.weights!r}: {len(shares)} numbers for {len(several)} "
            "data sets; one for each is wanted"
        )


def _compression(several: Sequence[Manifest]) -> str:
    found = {one.compression for one in several}
    if len(found) > 1:
        raise ValueError(
            f"the data sets are compressed differently ({', '.join(sorted(found))}); "
            "convert them with one --compression"
        )
    return _COMPRESSION[found.pop()]


def _absent_classes(classes: ClassLayout, names: Sequence[str]) -> list[str]:
    return [
        f"{name} has no class {one}: read as not annotated there"
        for name, places in zip(names, classes.indices, strict=True)
        for one, place in zip(classes.names, places, strict=True)
        if place == ABSENT
    ]


def _kept(
    shards: Sequence[PlannedShard],
    classes: ClassLayout,
    labels: LabelLayout,
    names: Sequence[str],
    options: InputOptions,
) -> int:
    """Examples that ``unannotated`` does not leave out."""
    if options.unannotated != DROP:
        return sum(shard.info.examples for shard in shards)
    _check_all_have("class", names, classes.names, classes.indices)
    _check_all_have("label", names, labels.names, labels.places)
    return sum(
        manifest.count_annotated(
            shard.info, pattern_places(classes, labels, shard.data_set)
        )
        for shard in shards
    )


def _check_all_have(
    kind: str,
    data_sets: Sequence[str],
    names: Sequence[str],
    places: Sequence[Sequence[int]],
) -> None:
    for data_set, own in zip(data_sets, places, strict=True):
        if ABSENT in own:
            others = {"class": "classes", "label": "labels"}[kind]
            raise ValueError(
                f"{data_set} has no {kind} {names[list(own).index(ABSENT)]!r}: with "
                "unannotated='drop' none of its examples would be read; choose "
                f"unannotated='weight' or 'ignore', or other {others}"
            )


def _rules(
    options: InputOptions, several: Sequence[Manifest], frames: Sequence[FrameKind]
) -> Mapping[str, normalization.Rule]:
    modalities = {frame.modality for frame in frames}
    return normalization.rules(options.normalize, several, modalities)


def _share(
    shards: Sequence[PlannedShard], input_context: Any, split: str
) -> list[PlannedShard]:
    shards = [shard for shard in shards if shard.info.examples]
    count = input_context.num_input_pipelines if input_context else 1
    if count == 1:
        return shards
    if len(shards) < count:
        raise ValueError(
            f"split {split!r} has {len(shards)} shards with examples, fewer than the "
            f"{count} input pipelines that share them; convert with "
            f"--num_shards={count} or more"
        )
    return shards[input_context.input_pipeline_id :: count]


def _with_batch_size(
    options: InputOptions, params: Mapping[str, Any] | None, input_context: Any
) -> InputOptions:
    size = (params or {}).get("batch_size", options.batch_size)
    if input_context:
        size = input_context.get_per_replica_batch_size(size)
    return dataclasses.replace(options, batch_size=size)


def _fits(shards: Sequence[PlannedShard], options: InputOptions) -> bool:
    needed = sum(shard.info.data_size for shard in shards)
    return needed <= options.cache_memory_mb * 2**20


def _largest(
    frames: Sequence[FrameKind], options: InputOptions
) -> tuple[int, int, int]:
    shapes = {frame.shape for frame in frames}
    samples = {shape[2] for shape in shapes}
    if len(samples) > 1:
        raise ValueError(
            f"images of {sorted(samples)} samples per pixel are mixed in this split; a "
            "batch holds one kind: convert grey and colour images separately"
        )
    sizes = sorted({shape[:2] for shape in shapes})
    if len(sizes) > 1 and options.size is None:
        words = ", ".join(f"{rows}x{columns}" for rows, columns in sizes)
        raise ValueError(
            f"image sizes differ ({words}): choose image_size='ROWS,COLUMNS' to crop "
            "or pad to"
        )
    rows, columns = (max(size[axis] for size in sizes) for axis in (0, 1))
    return rows, columns, samples.pop()
