"""The pixel work of a batch: integer and float tensors only, in XLA kernels.

Each large output has a kernel of its own: on a CPU, XLA computes a gather again for
every output that needs it.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from tfdicom import example_parser, preprocess
from tfdicom.augment import (
    LONGEST_PLAIN_STEP,
    filters,
    random_stream,
    resampling,
    sampling,
    spatial,
)
from tfdicom.augment.batch import change_grey_values
from tfdicom.augment.sampling import Places, Sampling
from tfdicom.input_options import SOFT
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import kernel

Tensors = dict[str, tf.Tensor]


def apply(tensors: Tensors, plan: InputPlan) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalises, moves and changes a full batch.

    Args:
      tensors: Parsed fields of the batch, with ``extent``, ``epoch`` and ``numbers``
        (``preprocess.coefficients``); no strings. A ``seed`` (int64 scalar) counts in
        place of that of the plan.
      plan: What to do.

    Returns:
      Image float32 ``[batch, rows, columns, channels]``, mask ``[batch, rows, columns,
      planes]`` (uint8, 0 or 1; float32, 0 to 1, for soft masks; the ignore plane, if it
      is needed, last), and matrix float32 ``[batch, 3, 3]`` from output to source
      pixels.
    """
    compiled = functools.partial(kernel, jit_compile=plan.options.jit_compile)
    # One tensor of all draws: tensors by the dozen cost more to hand on than to make.
    draws = compiled(_draws, plan=plan)(tensors) if plan.is_random else tf.zeros([0])
    motion = compiled(_motion, plan=plan)(tensors, draws)
    if plan.warps:
        places = Places(
            matrix=motion["matrix"],
            extent=tensors["extent"],
            field=motion.get("field"),
        )
        way = _packed if plan.packed else _unpacked
        image, mask = way(tensors, motion, places, plan)
    else:
        image = compiled(_image, plan=plan)(tensors)
        mask = compiled(_mask, plan=plan)(tensors)
    if plan.crops:
        window = (tensors["extent"], motion["start"])
        crop = compiled(sampling.crop_or_pad, size=plan.size)
        image = crop(image, motion["fill"], *window)
        mask = crop(mask, tf.zeros([mask.shape[0]], mask.dtype), *window)
    # After the move: noise is not interpolated, and the border gets its share.
    image, mask = change_grey_values(
        image,
        mask,
        draws,
        plan.augmentation,
        figures=motion,
        jit_compile=plan.options.jit_compile,
    )
    return image, mask, motion["matrix"]


def _how(plan: InputPlan) -> Sampling:
    options = plan.augmentation
    return Sampling(
        size=plan.size,
        image_interpolation=options.image_interpolation,
        mask_interpolation=options.mask_interpolation,
        edge=options.edge,
    )


def _packed(
    tensors: Tensors, motion: Tensors, places: Places, plan: InputPlan
) -> tuple[tf.Tensor, tf.Tensor]:
    """Image and mask, sampled as packed words: one kernel for each large output."""
    compiled = functools.partial(kernel, jit_compile=plan.options.jit_compile)
    how, planes = _how(plan), plan.planes
    if "mask" in tensors:
        bits = compiled(_planes_first)(tensors["mask"])
    else:
        rows, columns, _ = plan.shape
        unpack = compiled(example_parser.unpack_bits, rows=rows, columns=columns)
        bits = unpack(tensors["planes"])
    words = compiled(sampling.pack)(
        tensors["pixels"][..., 0],
        bits,
        tensors["padding"],
        motion["stored_minimum"],
    )
    warp = compiled(
        sampling.warp_packed, how=how, planes=planes, signed="u" not in plan.dtypes[0]
    )
    ends = (motion["stored_span"], motion["stored_clip"], motion["stored_fill"])
    packed = warp(words, *ends, *places)
    image = compiled(sampling.unpack_image)(packed, motion["lowest"], motion["highest"])
    return image, compiled(sampling.unpack_mask, planes=planes)(packed)


def _planes_first(mask: tf.Tensor) -> tf.Tensor:
    return tf.transpose(mask, [0, 3, 1, 2])


def _unpacked(
    tensors: Tensors, motion: Tensors, places: Places, plan: InputPlan
) -> tuple[tf.Tensor, tf.Tensor]:
    """Image and mask of any kind, sampled one after the other."""
    compiled = functools.partial(kernel, jit_compile=plan.options.jit_compile)
    image = compiled(_image, plan=plan)(tensors)
    mask = compiled(_mask, plan=plan)(tensors)
    if plan.smooths:
        image = _smoothed(image, tensors, motion, plan)
        if mask.dtype.is_floating:  # parts of pixels add up as grey values do
            mask = _smoothed(mask, tensors, motion, plan)
    return sampling.warp(
        image,
        mask,
        places,
        how=_how(plan),
        fill=motion["fill"],
        jit_compile=plan.options.jit_compile,
    )


def _smoothed(
    image: tf.Tensor, tensors: Tensors, motion: Tensors, plan: InputPlan
) -> tf.Tensor:
    """Without the detail for which the output's pixels are too large."""
    compiled = functools.partial(kernel, jit_compile=plan.options.jit_compile)
    if not plan.uniform:
        image = compiled(resampling.mirrored)(image, tensors["extent"])
    axes = (filters.ROWS, filters.COLUMNS)
    for axis, longest in zip(axes, plan.longest_step, strict=True):
        if longest > LONGEST_PLAIN_STEP:
            smooth = compiled(resampling.smooth, longest=longest, axis=axis)
            image = smooth(image, motion["step"])
    return image


def _image(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    values = preprocess.modality_values(tensors["pixels"], tensors)
    image = preprocess.normalize(values, tensors["numbers"])
    return tf.ensure_shape(image, [plan.options.batch_size, *plan.shape])


def _mask(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    if "mask" in tensors:
        mask = tensors["mask"]
        soft = plan.options.label_form == SOFT
        return tf.cast(mask, tf.float32) / 255.0 if soft else mask
    rows, columns, _ = plan.shape
    return example_parser.unpack_planes(tensors["planes"], rows=rows, columns=columns)


def _motion(tensors: Tensors, draws: tf.Tensor, plan: InputPlan) -> Tensors:
    """Where each example is sampled, what lies outside, and its grey values."""
    options, batch = plan.augmentation, plan.options.batch_size
    found = dict(preprocess.normalized_figures(tensors, tensors["numbers"]))
    fill = plan.options.fill
    found["fill"] = found["minimum"] if fill is None else tf.fill([batch], fill)
    found |= preprocess.stored_ends(tensors, tensors["numbers"], found["fill"])
    extent, size = tensors["extent"], plan.size
    spacing = tensors.get("pixel_spacing", tf.ones([batch, 2]))
    steps, centre = {}, spatial.window_centre(extent, size)
    if plan.options.spacing is not None:
        steps["step"] = resampling.step(spacing, plan.options.spacing)
        # Not to a whole pixel: what lies in the middle of the source stays there.
        centre = resampling.middle(extent)
    move = spatial.motion(batch)
    if plan.is_random:
        named = random_stream.by_operation(draws)
        window = {"extent": extent, "size": size, "points": _points(tensors, plan)}
        window["class_weights"] = plan.crop_weights
        centre = spatial.random_centre(named, options, centre, **window, **steps)
        move = spatial.random_motion(named, options, size=size)
        if options.elastic:
            found["field"] = spatial.random_displacement(named, options, size=size)
    found["matrix"] = spatial.source_matrix(
        move, centre=centre, size=size, spacing=spacing, **steps
    )
    found |= steps
    half = tf.constant([(length - 1) / 2 for length in size])
    found["start"] = tf.cast(tf.round(centre - half), tf.int32)
    return found


def _draws(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    return random_stream.draw_packed(
        # Of who makes batches of many seeds with one graph; else a constant.
        seed=tensors.get("seed", plan.options.seed),
        epoch=tensors["epoch"],
        key_hash=tensors["key_hash"],
        occurrence=tensors["occurrence"],
    )


def _points(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    """Foreground pixels of the classes asked for, ``[batch, classes, points, 2]``."""
    if "foreground_points" not in tensors:
        return tf.fill([plan.options.batch_size, 1, 1, 2], tf.constant(-1, tf.int64))
    return tensors["foreground_points"]
