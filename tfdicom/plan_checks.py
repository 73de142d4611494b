"""Whether a plan can be carried out: what would fail later fails at the call.

Each check raises a ``ValueError`` that names the option and what would do instead.
"""

from __future__ import annotations

from typing import Any

from tfdicom.augment.augment_options import CROPS
from tfdicom.input_options import AUTO, NO_CACHE, NO_WEIGHTS, PLANES, InputOptions
from tfdicom.input_plan import InputPlan
from tfdicom.output_grid import OutputGrid


def check_no_masks(options: InputOptions) -> None:
    """Refuses what is done with masks where none are read."""
    augment = options.augmentation
    asked = {
        "label_form": (options.label_form, PLANES),
        "class_weights": (options.class_weights, NO_WEIGHTS),
        "positive_fraction": (options.positive_fraction, None),
        "foreground_crop": (augment.foreground_crop, 0.0),
    }
    for name, (value, default) in asked.items():
        if value != default:
            raise ValueError(
                f"{name}={value!r} is about masks, and no class is read; leave it out"
            )


def check_service(plan: InputPlan, input_context: Any) -> None:
    """Whether workers elsewhere can do the reading."""
    options = plan.options
    if options.service is None:
        return
    asked = f"data_service={options.data_service!r}"
    if input_context and input_context.num_input_pipelines > 1:
        raise ValueError(
            f"{asked}: its workers share the work, so input_context, with which "
            f"{input_context.num_input_pipelines} pipelines share it, is to be left out"
        )
    if options.cache not in (AUTO, NO_CACHE):
        raise ValueError(
            f"{asked}: its workers read anew each epoch, so that cache="
            f"{options.cache!r} is of no use; choose {AUTO} or {NO_CACHE}"
        )
    if plan.far:
        raise ValueError(
            f"{asked}: its workers read the shards where they lie, and TensorFlow has "
            "no file system for that; copy the data set to where all of them see it"
        )
    if plan.compression:
        raise ValueError(
            f"{asked}: the records of a compressed data set cannot be gone to one by "
            "one; convert with --compression=none, or copy it with cache='FOLDER' "
            "and without data_service"
        )


def check_order(plan: InputPlan) -> None:
    """Whether the records can be had in the order that is wanted."""
    if plan.compression and plan.training and not plan.caches and not plan.copies_to:
        raise ValueError(
            f"cache={plan.options.cache!r}: the records of a compressed data set can "
            "be shuffled only in memory or from a copy. Choose cache='memory', a "
            "larger cache_memory_mb, or cache='FOLDER' for a copy that is not "
            "compressed; or convert with --compression=none"
        )


def check_crops(plan: InputPlan, grid: OutputGrid) -> None:
    """Whether a window that is to be moved about fits into any source."""
    named = plan.augmentation.crop_weights or {}
    for name in named:
        if name not in plan.class_names:
            raise ValueError(
                f"foreground_crop_classes: {name!r} is not among the classes that are "
                f"read, {', '.join(plan.class_names)}"
            )
    asked = [name for name in CROPS if plan.augmentation.may(name)]
    if not asked:
        return
    steps = zip(plan.size, grid.shortest_step, strict=True)
    window = [length * step for length, step in steps]
    pairs = list(zip(window, plan.shape, strict=False))
    rows, columns, _ = plan.shape
    if any(length > most for length, most in pairs):
        shown = " x ".join(f"{length:.0f}" for length in window)
        raise ValueError(
            f"{asked[0]}: a window of {shown} pixels of the source is larger than the "
            f"images, of at most {rows} x {columns}; choose a smaller image_size, or "
            f"leave {asked[0]} out"
        )
    if all(length == most for length, most in pairs):
        raise ValueError(
            f"{asked[0]}: a window as large as the images, {rows} x {columns}, cannot "
            f"be moved; choose a smaller image_size, or leave {asked[0]} out"
        )


def check_batches(plan: InputPlan, split: str) -> None:
    """Whether any batch comes."""
    if plan.batches == 0:
        raise ValueError(
            f"drop_remainder=True: split {split!r} has {plan.examples} examples, fewer "
            f"than the batch_size {plan.options.batch_size}: no batch would come"
        )
