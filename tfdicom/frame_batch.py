"""A few records into a few finished examples: what runs inside ``Dataset.map``.

The work runs on ``SUB_BATCH`` examples at a time whatever the batch size is: what a
kernel touches stays in the cache, XLA compiles one shape, and an example cannot look
different in another batch.
"""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from tfdicom import example_parser, preprocess
from tfdicom.augment import intensity, random_stream, spatial
from tfdicom.input_options import DROP, IGNORE, UNKNOWN, WEIGHT
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import kernel

SUB_BATCH = 8

_INFO = ("key", "patient", "series", "slice_index", "phase_index", "pixel_spacing")

Tensors = dict[str, tf.Tensor]


def _fields(plan: InputPlan) -> list[str]:
    """The features that this plan needs; no other is parsed."""
    options = plan.options
    names = ["pixels", "planes", *preprocess.FEATURES, *preprocess.features(plan.rules)]
    names += [] if plan.uniform else ["shape", "dtype"]
    names += ["key_hash"] if _is_random(plan) else []
    names += ["pixel_spacing"] if plan.augmentation.moves else []
    names += [] if options.unannotated == DROP else ["annotated"]
    names += ["ignore"] if options.unannotated == IGNORE else []
    names += _INFO if options.with_info else []
    return list(dict.fromkeys(names))


def _is_random(plan: InputPlan) -> bool:
    return plan.augmentation.moves or plan.augmentation.changes_intensity


def is_annotated(record: tf.Tensor, plan: InputPlan) -> tf.Tensor:
    """Whether all classes asked for were annotated on a serialized record."""
    sizes = {"classes": plan.class_count}
    found = example_parser.parse(record, ["annotated"], sizes=sizes)["annotated"]
    return tf.reduce_all(tf.equal(tf.gather(found, plan.class_indices), 1))


def parse_batch(records: tf.Tensor, plan: InputPlan) -> Tensors:
    """Parses records ``[n]`` of one shape and dtype; n <= SUB_BATCH becomes SUB_BATCH.

    A short batch is filled by repeating its last record; ``finish`` drops the copies.
    """
    records = _filled(records, tf.shape(records)[0])
    tensors = _parse(records, plan)
    rows, columns, _ = plan.shape
    pixels, (dtype,) = tensors["pixels"], plan.dtypes
    tensors["pixels"] = example_parser.decode_pixels(
        pixels, dtype=dtype, shape=plan.shape
    )
    tensors["extent"] = tf.tile(tf.constant([[rows, columns]]), [SUB_BATCH, 1])
    return _with_planes(tensors, plan, rows, columns)


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


def fill_batch(tensors: Tensors, epoch: tf.Tensor) -> tuple[Tensors, tf.Tensor]:
    """Fills a short batch of parsed examples up to SUB_BATCH; the epochs stay."""
    count = tf.shape(epoch)[0]
    return {name: _filled(one, count) for name, one in tensors.items()}, epoch


def _filled(tensor: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    at = tf.minimum(tf.range(SUB_BATCH), count - 1)
    # tf.equal, as == compares identity in a graph of TensorFlow 1.
    is_full = tf.equal(count, SUB_BATCH)
    full = tf.cond(is_full, lambda: tensor, lambda: tf.gather(tensor, at))
    return tf.ensure_shape(full, [SUB_BATCH, *tensor.shape[1:]])


def _shortened(tensor: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Inverse of ``_filled``."""
    # A slice would share the memory, about which TensorFlow 2.21 prints errors later.
    is_full = tf.equal(count, SUB_BATCH)
    kept = tf.cond(is_full, lambda: tensor, lambda: tf.gather(tensor, tf.range(count)))
    return tf.ensure_shape(kept, [None, *tensor.shape[1:]])


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


def finish(tensors: Tensors, epoch: tf.Tensor, plan: InputPlan) -> Any:
    """Finishes a sub-batch.

    Args:
      tensors: From ``parse_batch`` or ``fill_batch``.
      epoch: int64 ``[n]``, n <= SUB_BATCH: how many of the examples are real.
      plan: What to do.

    Returns:
      The element of the dataset, ``[n, ...]``.
    """
    count = tf.shape(epoch)[0]
    tensors["epoch"] = _filled(epoch, count)
    tensors["numbers"] = preprocess.coefficients(plan.rules, tensors)
    numeric = {k: v for k, v in tensors.items() if v.dtype != tf.string}
    image, mask, matrix = _pixel_work(numeric, plan)
    element: list[Any] = [image, mask]
    if plan.options.unannotated == WEIGHT:
        element[1:] = _by_class(mask, tensors["annotated"], plan)
    if plan.options.with_info:
        element.append(_info(tensors, matrix))
    return tf.nest.map_structure(lambda one: _shortened(one, count), tuple(element))


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


def _pixel_work(
    tensors: Tensors, plan: InputPlan
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Image, mask, and matrix from output to source pixels."""
    jit_compile = plan.options.jit_compile
    compiled = functools.partial(kernel, jit_compile=jit_compile)
    motion = compiled(_motion, plan=plan)(tensors)
    image = compiled(_image, plan=plan)(tensors)
    mask = compiled(_mask, plan=plan)(tensors)
    extent, matrix, fill = tensors["extent"], motion["matrix"], motion["fill"]
    if plan.augmentation.moves:
        image, mask = spatial.warp(
            image,
            mask,
            matrix,
            extent=extent,
            size=plan.size,
            fill=fill,
            jit_compile=jit_compile,
        )
    elif plan.resizes:
        crop = compiled(spatial.crop_or_pad, size=plan.size)
        image = crop(image, fill, extent)
        mask = crop(mask, tf.zeros([SUB_BATCH], mask.dtype), extent)
    if plan.augmentation.changes_intensity:
        # After the move: the filled border stays the example's minimum.
        image = compiled(_with_intensity)(image, motion)
    if plan.options.unannotated == IGNORE:
        mask = compiled(_with_unknown)(mask, tensors["annotated"])
    return image, mask, matrix


def _image(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    values = preprocess.modality_values(tensors["pixels"], tensors)
    image = preprocess.normalize(values, tensors["numbers"])
    return tf.ensure_shape(image, [SUB_BATCH, *plan.shape])


def _mask(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    if "mask" in tensors:
        return tensors["mask"]
    rows, columns, _ = plan.shape
    return example_parser.unpack_planes(tensors["planes"], rows=rows, columns=columns)


def _motion(tensors: Tensors, plan: InputPlan) -> Tensors:
    """What is done to each example: matrix, fill value, contrast and brightness."""
    options = plan.augmentation
    minimum, mean, deviation = preprocess.normalized_figures(
        tensors, tensors["numbers"]
    )
    fill = plan.options.fill
    found = {"fill": minimum if fill is None else tf.fill([SUB_BATCH], fill)}
    move = spatial.motion(SUB_BATCH)
    if options.moves or options.changes_intensity:
        draws = random_stream.draw(
            seed=plan.options.seed, epoch=tensors["epoch"], key_hash=tensors["key_hash"]
        )
        move = spatial.random_motion(draws, options, size=plan.size)
        found["factor"] = intensity.random_factor(draws, options)
        found["pivot"] = mean
        found["addition"] = intensity.random_addition(draws, options) * deviation
    spacing = tensors.get("pixel_spacing", tf.ones([SUB_BATCH, 2]))
    found["matrix"] = spatial.source_matrix(
        move, extent=tensors["extent"], size=plan.size, spacing=spacing
    )
    return found


def _with_intensity(image: tf.Tensor, motion: Tensors) -> tf.Tensor:
    image = intensity.adjust_contrast(
        image, factor=motion["factor"], pivot=motion["pivot"]
    )
    return intensity.adjust_brightness(image, addition=motion["addition"])


def _with_unknown(mask: tf.Tensor, annotated: tf.Tensor) -> tf.Tensor:
    """UNKNOWN where a class was not annotated or the last plane, ignore, says so."""
    ignored = tf.equal(mask[..., -1:], 1)
    unknown = tf.equal(annotated[:, tf.newaxis, tf.newaxis, :], 0)
    return tf.where(ignored | unknown, tf.constant(UNKNOWN, tf.uint8), mask[..., :-1])
