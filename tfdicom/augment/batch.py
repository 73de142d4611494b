"""Augmentation of a finished batch: in a model, a ``tf.function``, on an accelerator.

The reader does the same work on records, in ``pixel_work``; what comes after the
sampling is shared. No operation here needs a CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import tensorflow as tf

from tfdicom.augment import (
    artefacts,
    filters,
    intensity,
    random_stream,
    sampling,
    spatial,
)
from tfdicom.augment.augment_options import ARTEFACTS, FILTERS, POINTWISE
from tfdicom.augment.presets import AugmentOptions, parse_augment
from tfdicom.augment.sampling import Places, Sampling
from tfdicom.kernel import kernel

#: What the changes of grey values want to know of each frame.
FIGURES = ("mean", "deviation", "minimum", "maximum")
_CROPS = ("random_crop", "foreground_crop")

Tensors = Mapping[str, tf.Tensor]
Pair = tuple[tf.Tensor, tf.Tensor]


def augment_batch(
    image: tf.Tensor,
    mask: tf.Tensor,
    *,
    augment: str | AugmentOptions | None,
    seed: int = 0,
    epoch: tf.Tensor | int = 0,
    key_hash: tf.Tensor | None = None,
    pixel_spacing: tf.Tensor | None = None,
    fill: tf.Tensor | float | None = None,
    jit_compile: bool = False,
) -> Pair:
    """Moves image and mask alike, and changes grey values, as ``input_fn`` does.

    Nothing is drawn but from (seed, epoch, key_hash): the same three give the same
    picture again, and so each batch needs others. Give the training step as ``epoch``;
    or, for the picture that ``input_fn(augment=...)`` makes of this example, its epoch,
    the reader's seed, the example's ``key_hash`` and its ``pixel_spacing``.

    Args:
      image: float32 ``[batch, rows, columns, channels]``, normalised in any way, all
        finite; only the batch may have an unknown size.
      mask: uint8 ``[batch, rows, columns, classes]``, 0 or 1. The 255 of
        ``unannotated='ignore'`` is refused: let the reader augment such masks.
      augment: What may be done: text or options, as ``input_fn`` takes it. Not crops,
        as the size stays.
      seed: Any integer of 64 bits.
      epoch: Integer, one for all or ``[batch]``; its low 32 bits count.
      key_hash: int64 ``[batch]``: names each example, as the record's own does. By
        default 0, 1, 2, ... in each batch.
      pixel_spacing: float32 ``[batch, 2]``, or ``[2]`` for all: mm between rows,
        between columns, so that a rotation turns millimetres. By default, and where
        NaN, pixels are square.
      fill: The image's value outside of the source, one for all or ``[batch]``. By
        default each image's minimum.
      jit_compile: Compile with XLA all but the Fourier transforms.

    Returns:
      Image and mask, of the same shapes and dtypes. Minimum, maximum, mean and
      deviation, to which changes of grey values refer, are those of each image; the
      reader takes them from the record, before any clipping and without padding.

    Raises:
      ValueError: A shape, a dtype or a change that is not allowed; says which are.
      InvalidArgumentError: When it runs: the mask holds other values.
    """
    options = _without_crops(parse_augment(augment))
    image, mask = _checked(image, mask)
    if not (options.moves or options.changes_intensity):
        return image, mask
    batch = tf.shape(image)[0]
    if key_hash is None:
        key_hash = tf.range(tf.cast(batch, tf.int64))
    numbers = {
        "seed": _whole("seed", seed),
        "epoch": tf.broadcast_to(_whole("epoch", epoch), [batch]),
        "key_hash": tf.broadcast_to(_whole("key_hash", key_hash), [batch]),
    }
    if pixel_spacing is not None:
        spacing = tf.cast(pixel_spacing, tf.float32)
        numbers["spacing"] = tf.broadcast_to(spacing, [batch, 2])
    if fill is not None:
        numbers["fill"] = tf.broadcast_to(tf.cast(fill, tf.float32), [batch])
    return _graph(options, jit_compile)(image, mask, numbers)


def _without_crops(options: AugmentOptions) -> AugmentOptions:
    for name in _CROPS:
        if options.may(name):
            raise ValueError(
                f"augment: {name}={getattr(options, name)}: augment_batch keeps the "
                "size of the image; 0 is allowed (input_fn crops, to image_size)"
            )
    return options


def _whole(name: str, value: tf.Tensor | int) -> tf.Tensor:
    found = tf.convert_to_tensor(value)
    if not found.dtype.is_integer:
        raise ValueError(f"{name} is {found.dtype.name}; whole numbers are wanted")
    return tf.cast(found, tf.int64)


def _checked(image: tf.Tensor, mask: tf.Tensor) -> Pair:
    image, mask = tf.convert_to_tensor(image), tf.convert_to_tensor(mask)
    for name, tensor, dtype in (
        ("image", image, tf.float32),
        ("mask", mask, tf.uint8),
    ):
        if tensor.dtype != dtype:
            raise ValueError(f"{name} is {tensor.dtype.name}; {dtype.name} is wanted")
        if tensor.shape.rank != 4 or not tensor.shape[1:].is_fully_defined():
            raise ValueError(
                f"{name} has the shape {tensor.shape}; [batch, rows, columns, depth] "
                "is wanted, all known but the batch"
            )
    if not image.shape[:3].is_compatible_with(mask.shape[:3]):
        raise ValueError(
            f"image {image.shape} and mask {mask.shape} differ in batch, rows or "
            "columns"
        )
    only = tf.reduce_all(mask <= tf.constant(1, tf.uint8))
    check = tf.debugging.Assert(only, ["the mask holds other values than 0 and 1"])
    with tf.control_dependencies([check] if check is not None else []):
        return image, tf.identity(mask)


@functools.lru_cache(maxsize=16)
def _graph(options: AugmentOptions, jit_compile: bool) -> Callable[..., Pair]:
    """Kept, as eager callers would wait for a new graph with each batch."""
    return kernel(
        _augmented, jit_compile=False, options=options, compiles_kernels=jit_compile
    )


def _augmented(
    image: tf.Tensor,
    mask: tf.Tensor,
    numbers: Tensors,
    options: AugmentOptions,
    compiles_kernels: bool,
) -> Pair:
    compiled = functools.partial(kernel, jit_compile=compiles_kernels)
    figures = compiled(frame_figures)(image)
    draws = compiled(_draws)(numbers)
    if options.moves:
        size = (image.shape[1], image.shape[2])
        places = compiled(_places, options=options, size=size)(draws, numbers)
        image, mask = sampling.warp(
            image,
            mask,
            Places(**places),
            how=Sampling(
                size=size,
                image_interpolation=options.image_interpolation,
                mask_interpolation=options.mask_interpolation,
                edge=options.edge,
            ),
            fill=numbers.get("fill", figures["minimum"]),
            jit_compile=compiles_kernels,
        )
    return change_grey_values(
        image, mask, draws, options, figures=figures, jit_compile=compiles_kernels
    )


def frame_figures(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """The ``FIGURES`` of each image, float32 ``[batch]`` each."""
    axes = [1, 2, 3]
    return {
        "mean": tf.reduce_mean(image, axes),
        "deviation": tf.math.reduce_std(image, axes),
        "minimum": tf.reduce_min(image, axes),
        "maximum": tf.reduce_max(image, axes),
    }


def _draws(numbers: Tensors) -> tf.Tensor:
    return random_stream.draw_packed(
        seed=numbers["seed"], epoch=numbers["epoch"], key_hash=numbers["key_hash"]
    )


def _places(
    draws: tf.Tensor, numbers: Tensors, options: AugmentOptions, size: tuple[int, int]
) -> dict[str, tf.Tensor]:
    """What ``Places`` wants."""
    named = random_stream.by_operation(draws)
    batch = tf.shape(draws)[0]
    extent = tf.tile(tf.constant([size]), [batch, 1])
    found = {"extent": extent}
    found["matrix"] = spatial.source_matrix(
        spatial.random_motion(named, options, size=size),
        centre=spatial.window_centre(extent, size),
        size=size,
        spacing=numbers.get("spacing", tf.ones([batch, 2])),
    )
    if options.elastic:
        found["field"] = spatial.random_displacement(named, options, size=size)
    return found


def change_grey_values(
    image: tf.Tensor,
    mask: tf.Tensor,
    draws: tf.Tensor,
    options: AugmentOptions,
    *,
    figures: Tensors,
    jit_compile: bool,
) -> Pair:
    """Artefacts of the scanner, then filters, then pointwise changes.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      mask: ``[batch, rows, columns, classes]``; only ``cutout_mask`` changes it.
      draws: From ``random_stream.draw_packed``.
      options: What may be done.
      figures: The ``FIGURES`` of each frame before any change.
      jit_compile: Compile with XLA what gains by it.
    """
    compiled = functools.partial(kernel, jit_compile=jit_compile, options=options)
    if options.any_of(ARTEFACTS):
        # Not compiled: XLA has no fast FFT on a CPU.
        named = random_stream.by_operation(draws)
        deviation = figures["deviation"]
        image = artefacts.apply(image, named, options, deviation=deviation)
    if options.any_of(FILTERS):
        image = compiled(_filtered)(image, figures["minimum"], draws)
    if options.any_of(POINTWISE):
        only = {name: figures[name] for name in FIGURES}
        image, mask = compiled(_pointwise)(image, mask, draws, only)
    return image, mask


def _filtered(
    image: tf.Tensor, minimum: tf.Tensor, draws: tf.Tensor, options: AugmentOptions
) -> tf.Tensor:
    named = random_stream.by_operation(draws)
    return filters.apply(image, named, options, minimum=minimum)


def _pointwise(
    image: tf.Tensor,
    mask: tf.Tensor,
    draws: tf.Tensor,
    figures: Tensors,
    options: AugmentOptions,
) -> Pair:
    named = random_stream.by_operation(draws)
    return intensity.apply(image, mask, named, options, **figures)
