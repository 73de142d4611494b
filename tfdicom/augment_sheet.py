"""A picture of one example under every change that augmentation may make."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from tfdicom.augment import artefacts, filters, intensity, random_stream, spatial
from tfdicom.augment.augment_options import (
    ARTEFACTS,
    FILTERS,
    MOVES,
    POINTWISE,
    AugmentOptions,
)
from tfdicom.augment.sampling import Places, Sampling, warp
from tfdicom.contact_sheet import COLORS
from tfdicom.example_schema import FrameExample

#: What is shown if nothing else is asked for: ranges that one sees at this size.
SHOWN = AugmentOptions(
    rotation=30.0,
    scale=0.4,
    anisotropic_scale=0.3,
    shear=15.0,
    shift=0.1,
    elastic=0.05,
    rotate_90=1.0,
    flip_left_right=1.0,
    flip_up_down=1.0,
    random_crop=1.0,
    foreground_crop=1.0,
    gibbs=0.6,
    ghosting=0.8,
    spike=0.5,
    blur=2.0,
    sharpen=2.0,
    low_resolution=3.0,
    bias_field=0.8,
    window_jitter=0.8,
    gamma=1.0,
    invert=1.0,
    contrast=1.0,
    brightness=1.0,
    rician=0.5,
    noise=0.5,
    cutout=0.5,
    cutout_count=2,
    cutout_mask=True,
)
#: How far into its range each change is shown.
STRENGTH = 0.95
_CHANGES = (*MOVES, *ARTEFACTS, *FILTERS, *POINTWISE)
_CROPS = ("random_crop", "foreground_crop")
_CROP = 0.6  # of the image's rows and columns
_CAPTION, _GAP = 18, 6
_MASK_OPACITY = 0.3

Picture = tuple[np.ndarray, np.ndarray]


def augment_sheet(
    example: FrameExample,
    *,
    options: AugmentOptions = SHOWN,
    seed: int = 0,
    tile: int = 200,
    columns: int = 6,
) -> Image.Image:
    """Draws an example as it is, and under each change by itself.

    A change is shown near the end of its range, whatever its probability; a crop as a
    window of 0.6 of the image's rows and columns.

    Args:
      example: What to draw; its first channel is shown.
      options: Which changes, and their ranges.
      seed: For what is random besides the strength: places, noise, fields.
      tile: Size of each picture, screen pixels.
      columns: Pictures in a row.

    Returns:
      An RGB picture, each tile labelled with the change and its range.

    Raises:
      ValueError: The options change nothing.
    """
    names = [name for name in _CHANGES if getattr(options, name)]
    if not names:
        raise ValueError("augment: nothing is changed, so there is nothing to show")
    image, mask = _normalised(example)
    span = tuple(np.percentile(image, (1, 99)))
    pictures = {"as it is": (image[0], mask[0])}
    for name in names:
        label = f"{name}={getattr(options, name):g}"
        pictures[label] = _changed(example, image, mask, name, options, seed)
    return _sheet(pictures, span, tile, columns)


def _normalised(example: FrameExample) -> Picture:
    """Image with mean 0 and deviation 1, and mask, as a batch of one.

    An example without classes has an empty mask.
    """
    image = example.image[..., :1] * example.rescale_slope + example.rescale_intercept
    image = (image - image.mean()) / max(float(image.std()), 1e-6)
    masks = example.masks if example.classes else np.zeros((1, *image.shape[:2]), bool)
    mask = np.moveaxis(masks, 0, -1)
    return image[np.newaxis].astype(np.float32), mask[np.newaxis].astype(np.uint8)


def _changed(
    example: FrameExample,
    image: np.ndarray,
    mask: np.ndarray,
    name: str,
    options: AugmentOptions,
    seed: int,
) -> Picture:
    """Image ``[rows, columns, 1]`` and mask after one change."""
    only: dict[str, Any] = dict.fromkeys(_CHANGES, 0.0)
    if hasattr(options, f"{name}_probability"):
        only |= {name: getattr(options, name), f"{name}_probability": 1.0}
    else:
        only[name] = 1.0
    options = dataclasses.replace(options, **only)
    draws = random_stream.draw(
        seed=seed,
        epoch=tf.constant(0, tf.int64),
        key_hash=tf.constant([example.key_hash], tf.int64),
    )
    operations = (name,) if name != "shift" else ("shift_rows", "shift_columns")
    draws |= dict.fromkeys(operations, tf.constant([[0.0, STRENGTH]]))
    if name in MOVES:
        moved = _moved(example, image, mask, draws, options)
    else:
        moved = _other_grey_values(image, mask, draws, options)
    return moved[0][0].numpy(), moved[1][0].numpy()


def _moved(
    example: FrameExample,
    image: np.ndarray,
    mask: np.ndarray,
    draws: Mapping[str, tf.Tensor],
    options: AugmentOptions,
) -> tuple[tf.Tensor, tf.Tensor]:
    rows, columns = size = image.shape[1:3]
    extent = tf.constant([[rows, columns]])
    if options.any_of(_CROPS):
        size = (round(rows * _CROP), round(columns * _CROP))
    centre = spatial.random_centre(
        draws,
        options,
        spatial.window_centre(extent, size),
        extent=extent,
        size=size,
        points=_foreground(mask),
    )
    matrix = spatial.source_matrix(
        spatial.random_motion(draws, options, size=size),
        centre=centre,
        size=size,
        spacing=tf.constant([example.pixel_spacing or (1.0, 1.0)], tf.float32),
    )
    field = None
    if options.elastic:
        field = spatial.random_displacement(draws, options, size=size)
    how = Sampling(
        size=size,
        image_interpolation=options.image_interpolation,
        mask_interpolation=options.mask_interpolation,
        edge=options.edge,
    )
    places = Places(matrix=matrix, extent=extent, field=field)
    return warp(image, mask, places, how=how, fill=tf.constant([image.min()]))


def _foreground(mask: np.ndarray) -> tf.Tensor:
    """Rows and columns of the pixels of any class, as if they were of one."""
    points = np.argwhere(mask[0].any(axis=-1))
    points = points if len(points) else np.array([[-1, -1]])
    return tf.constant(points[np.newaxis, np.newaxis], tf.int64)


def _other_grey_values(
    image: np.ndarray,
    mask: np.ndarray,
    draws: Mapping[str, tf.Tensor],
    options: AugmentOptions,
) -> tuple[tf.Tensor, tf.Tensor]:
    numbers = {
        "mean": image.mean(),
        "deviation": image.std(),
        "minimum": image.min(),
        "maximum": image.max(),
    }
    figures = {name: tf.constant([value]) for name, value in numbers.items()}
    found = tf.constant(image)
    deviation, minimum = figures["deviation"], figures["minimum"]
    found = artefacts.apply(found, draws, options, deviation=deviation)
    found = filters.apply(found, draws, options, minimum=minimum)
    return intensity.apply(found, tf.constant(mask), draws, options, **figures)


def _sheet(
    pictures: Mapping[str, Picture],
    span: tuple[float, float],
    tile: int,
    columns: int,
) -> Image.Image:
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width = _GAP + columns * (tile + _GAP)
    sheet = Image.new("RGB", (width, _GAP + rows * (tile + _CAPTION + _GAP)), (20,) * 3)
    draw = ImageDraw.Draw(sheet)
    for number, (label, picture) in enumerate(pictures.items()):
        row, column = divmod(number, columns)
        x = _GAP + column * (tile + _GAP)
        y = _GAP + row * (tile + _CAPTION + _GAP)
        sheet.paste(_overlay(*picture, span=span, tile=tile), (x, y))
        draw.text((x + 2, y + tile + 3), label)
    return sheet


def _overlay(
    image: np.ndarray, mask: np.ndarray, *, span: tuple[float, float], tile: int
) -> Image.Image:
    low, high = span
    grey = np.clip((image[..., 0] - low) / max(high - low, 1e-6), 0, 1) * 255
    picture = np.repeat(grey[..., np.newaxis], 3, axis=2)
    for index, plane in enumerate(np.moveaxis(mask, -1, 0)):
        alpha = plane[..., np.newaxis] * _MASK_OPACITY
        picture = picture * (1 - alpha) + np.array(COLORS[index % len(COLORS)]) * alpha
    drawn = Image.fromarray(np.rint(picture).astype(np.uint8))
    scale = tile / max(drawn.size)
    drawn = drawn.resize([max(1, round(one * scale)) for one in drawn.size])
    whole = Image.new("RGB", (tile, tile))
    whole.paste(drawn, ((tile - drawn.size[0]) // 2, (tile - drawn.size[1]) // 2))
    return whole
