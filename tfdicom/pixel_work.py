"""The pixel work of a batch: integer and float tensors only, in XLA kernels.

Each large output has a kernel of its own: on a CPU, XLA computes a gather again for
every output that needs it.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from tfdicom import example_parser, preprocess
from tfdicom.augment import (
    artefacts,
    filters,
    intensity,
    random_stream,
    sampling,
    spatial,
)
from tfdicom.augment.augment_options import (
    ARTEFACTS,
    FILTERS,
    POINTWISE,
    AugmentOptions,
)
from tfdicom.augment.sampling import Places, Sampling
from tfdicom.input_options import IGNORE, UNKNOWN
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import kernel

_FIGURES = ("mean", "deviation", "minimum", "maximum")

Tensors = dict[str, tf.Tensor]


def apply(tensors: Tensors, plan: InputPlan) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalises, moves and changes a full batch.

    Args:
      tensors: Parsed fields of the batch, with ``extent``, ``epoch`` and ``numbers``
        (``preprocess.coefficients``); no strings.
      plan: What to do.

    Returns:
      Image float32 ``[batch, rows, columns, channels]``, mask uint8 ``[batch, rows,
      columns, classes]``, and matrix float32 ``[batch, 3, 3]`` from output to source
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
    image, mask = _changed(image, mask, motion, draws, plan)
    if plan.options.unannotated == IGNORE:
        mask = compiled(_with_unknown)(mask, tensors["annotated"])
    return image, mask, motion["matrix"]


def _changed(
    image: tf.Tensor,
    mask: tf.Tensor,
    motion: Tensors,
    draws: tf.Tensor,
    plan: InputPlan,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Grey values changed: artefacts of the scanner, filters, then pointwise."""
    options = plan.augmentation
    compiled = functools.partial(
        kernel, jit_compile=plan.options.jit_compile, options=options
    )
    if options.any_of(ARTEFACTS):
        # Not compiled: XLA has no fast FFT on a CPU.
        deviation = motion["deviation"]
        image = artefacts.apply(image, _named(draws), options, deviation=deviation)
    if options.any_of(FILTERS):
        image = compiled(_filtered)(image, motion["minimum"], draws)
    if options.any_of(POINTWISE):
        figures = {name: motion[name] for name in _FIGURES}
        image, mask = compiled(_pointwise)(image, mask, draws, figures)
    return image, mask


def _filtered(
    image: tf.Tensor, minimum: tf.Tensor, draws: tf.Tensor, options: AugmentOptions
) -> tf.Tensor:
    return filters.apply(image, _named(draws), options, minimum=minimum)


def _pointwise(
    image: tf.Tensor,
    mask: tf.Tensor,
    draws: tf.Tensor,
    figures: Tensors,
    options: AugmentOptions,
) -> tuple[tf.Tensor, tf.Tensor]:
    return intensity.apply(image, mask, _named(draws), options, **figures)


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
    return sampling.warp(
        compiled(_image, plan=plan)(tensors),
        compiled(_mask, plan=plan)(tensors),
        places,
        how=_how(plan),
        fill=motion["fill"],
        jit_compile=plan.options.jit_compile,
    )


def _image(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    values = preprocess.modality_values(tensors["pixels"], tensors)
    image = preprocess.normalize(values, tensors["numbers"])
    return tf.ensure_shape(image, [plan.options.batch_size, *plan.shape])


def _mask(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    if "mask" in tensors:
        return tensors["mask"]
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
    centre = spatial.window_centre(extent, size)
    move = spatial.motion(batch)
    if plan.is_random:
        named = _named(draws)
        window = {"extent": extent, "size": size, "points": _points(tensors, plan)}
        centre = spatial.random_centre(named, options, centre, **window)
        move = spatial.random_motion(named, options, size=size)
        if options.elastic:
            found["field"] = spatial.random_displacement(named, options, size=size)
    found["matrix"] = spatial.source_matrix(
        move, centre=centre, size=size, spacing=spacing
    )
    half = tf.constant([(length - 1) / 2 for length in size])
    found["start"] = tf.cast(tf.round(centre - half), tf.int32)
    return found


def _draws(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    """All random numbers of a batch, ``[operations, batch, 2]``."""
    draws = random_stream.draw(
        seed=plan.options.seed, epoch=tensors["epoch"], key_hash=tensors["key_hash"]
    )
    return tf.stack(list(draws.values()))


def _named(draws: tf.Tensor) -> Tensors:
    return dict(zip(random_stream.OPERATIONS, tf.unstack(draws), strict=True))


def _points(tensors: Tensors, plan: InputPlan) -> tf.Tensor:
    """Foreground pixels of the classes asked for, ``[batch, classes, points, 2]``."""
    if "foreground_points" not in tensors:
        return tf.fill([plan.options.batch_size, 1, 1, 2], tf.constant(-1, tf.int64))
    return tf.gather(tensors["foreground_points"], plan.class_indices, axis=1)


def _with_unknown(mask: tf.Tensor, annotated: tf.Tensor) -> tf.Tensor:
    """UNKNOWN where a class was not annotated or the last plane, ignore, says so."""
    ignored = tf.equal(mask[..., -1:], 1)
    unknown = tf.equal(annotated[:, tf.newaxis, tf.newaxis, :], 0)
    return tf.where(ignored | unknown, tf.constant(UNKNOWN, tf.uint8), mask[..., :-1])
