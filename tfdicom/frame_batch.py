"""A batch of records into finished examples: what runs inside ``Dataset.map``.

A short last batch is filled up by repeating its last record, so that XLA compiles one
shape; the copies are cut off at the end. Random numbers belong to an example, so it
looks the same in any batch.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfdicom import example_parser, pixel_work, preprocess
from tfdicom.input_options import DROP, IGNORE, WEIGHT
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import as_written

_INFO = ("key", "patient", "series", "slice_index", "phase_index", "pixel_spacing")

Tensors = dict[str, tf.Tensor]


def _fields(plan: InputPlan) -> list[str]:
    """The features that this plan needs; no other is parsed."""
    options = plan.options
    names = ["pixels", "planes", *preprocess.FEATURES, *preprocess.features(plan.rules)]
    names += [] if plan.uniform else ["shape", "dtype"]
    names += ["key_hash"] if plan.is_random else []
    names += ["pixel_spacing"] if plan.warps else []
    names += ["foreground_points"] if plan.augmentation.foreground_crop else []
    names += [] if options.unannotated == DROP else ["annotated"]
    names += ["ignore"] if options.unannotated == IGNORE else []
    names += _INFO if options.with_info else []
    return list(dict.fromkeys(names))


@as_written
def is_annotated(records: tf.Tensor, plan: InputPlan) -> tf.Tensor:
    """Whether all classes asked for were annotated on each serialized record."""
    sizes = {"classes": plan.class_count}
    found = example_parser.parse(records, ["annotated"], sizes=sizes)["annotated"]
    chosen = tf.gather(found, plan.class_indices, axis=-1)
    return tf.reduce_all(tf.equal(chosen, 1), axis=-1)


@as_written
def parse_batch(records: tf.Tensor, plan: InputPlan) -> Tensors:
    """Parses records ``[n]`` of one shape and dtype into tensors ``[n, ...]``."""
    tensors = _parse(records, plan)
    (dtype,) = plan.dtypes
    tensors["pixels"] = example_parser.decode_pixels(
        tensors["pixels"], dtype=dtype, shape=plan.shape
    )
    rows, columns, _ = plan.shape
    return _with_planes(tensors, plan, rows, columns)


@as_written
def parse_one(record: tf.Tensor, plan: InputPlan) -> Tensors:
    """Parses one record where shapes or dtypes differ, padded to the largest size.

    The padding is never looked at: ``extent`` says how far the source reaches.
    """
    tensors = _parse(record, plan)
    shape = tf.cast(tensors.pop("shape"), tf.int32)
    pixels = example_parser.decode_pixels_any(
        tensors["pixels"], tensors.pop("dtype"), dtypes=plan.dtypes, shape=shape
    )
    tensors = _with_planes(tensors, plan, shape[0], shape[1])
    mask = example_parser.unpack_planes(
        tensors.pop("planes")[tf.newaxis], rows=shape[0], columns=shape[1]
    )
    tensors["pixels"], tensors["mask"] = (
        tf.image.pad_to_bounding_box(image, 0, 0, *plan.shape[:2])
        for image in (pixels, mask[0])
    )
    tensors["extent"] = shape[:2]
    return tensors


@as_written
def filled(tensors: Tensors, epoch: tf.Tensor, size: int) -> tuple[Tensors, tf.Tensor]:
    """A batch of ``size``, the last example repeated; the epochs ``[n]`` stay."""
    count = tf.shape(epoch)[0]
    return {name: _filled(one, count, size) for name, one in tensors.items()}, epoch


def _filled(tensor: tf.Tensor, count: tf.Tensor, size: int) -> tf.Tensor:
    at = tf.minimum(tf.range(size), count - 1)
    # tf.equal, as == compares identity in a graph of TensorFlow 1.
    is_full = tf.equal(count, size)
    full = tf.cond(is_full, lambda: tensor, lambda: tf.gather(tensor, at))
    return tf.ensure_shape(full, [size, *tensor.shape[1:]])


def _parse(records: tf.Tensor, plan: InputPlan) -> Tensors:
    sizes = {"classes": plan.class_count}
    return example_parser.parse(records, _fields(plan), sizes=sizes)


def _with_planes(
    tensors: Tensors, plan: InputPlan, rows: int | tf.Tensor, columns: int | tf.Tensor
) -> Tensors:
    """Decodes the classes' planes; the ignore plane, if needed, comes last."""
    size = example_parser.plane_bytes(rows, columns)
    planes = example_parser.decode_planes(
        tensors["planes"],
        count=plan.class_count,
        size=size,
        chosen=plan.class_indices,
    )
    if "ignore" in tensors:
        ignore = example_parser.decode_planes(
            tensors.pop("ignore"), count=1, size=size, chosen=[0]
        )
        planes = tf.concat([planes, ignore], axis=-2)
    if "annotated" in tensors:
        chosen = tf.gather(tensors["annotated"], plan.class_indices, axis=-1)
        tensors["annotated"] = chosen
    return {**tensors, "planes": planes}


@as_written
def finish(tensors: Tensors, epoch: tf.Tensor, plan: InputPlan) -> Any:
    """Finishes a batch.

    Args:
      tensors: Full, from ``filled``.
      epoch: int64 ``[n]``: how many of the examples are real, and their epochs.
      plan: What to do.

    Returns:
      The element of the dataset, ``[n, ...]``.
    """
    count = tf.shape(epoch)[0]
    size = plan.options.batch_size
    tensors["epoch"] = _filled(epoch, count, size)
    if "extent" not in tensors:
        tensors["extent"] = tf.constant([plan.shape[:2]] * size)
    tensors["numbers"] = preprocess.coefficients(plan.rules, tensors)
    numeric = {k: v for k, v in tensors.items() if v.dtype != tf.string}
    image, mask, matrix = pixel_work.apply(numeric, plan)
    element: list[Any] = [image, mask]
    if plan.options.unannotated == WEIGHT:
        element[1:] = _by_class(mask, tensors["annotated"], plan)
    if plan.options.with_info:
        element.append(_info(tensors, matrix))
    if plan.options.drop_remainder:
        return tuple(element)
    return tf.nest.map_structure(
        lambda one: _shortened(one, count, size), tuple(element)
    )


def _shortened(tensor: tf.Tensor, count: tf.Tensor, size: int) -> tf.Tensor:
    """Inverse of ``_filled``."""
    # A slice would share the memory, about which TensorFlow 2.21 prints errors later.
    is_full = tf.equal(count, size)
    kept = tf.cond(is_full, lambda: tensor, lambda: tf.gather(tensor, tf.range(count)))
    return tf.ensure_shape(kept, [None, *tensor.shape[1:]])


def _by_class(mask: tf.Tensor, annotated: tf.Tensor, plan: InputPlan) -> list[Tensors]:
    # Keras multiplies [batch, rows, columns] of losses with the weights: of [batch] it
    # would make an error, or nonsense where batch size and columns are equal.
    weights = tf.cast(annotated, tf.float32)[:, :, tf.newaxis, tf.newaxis]
    names = list(enumerate(plan.class_names))
    masks = {name: mask[..., index : index + 1] for index, name in names}
    return [masks, {name: weights[:, index] for index, name in names}]


def _info(tensors: Tensors, matrix: tf.Tensor) -> Tensors:
    info = {name: tensors[name] for name in _INFO}
    info["spacing"] = info.pop("pixel_spacing")
    return {**info, "matrix": matrix}
