"""Examples as PNG pictures: grey values in a window, masks and contours over them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from tfdicom.contact_sheet import COLORS, Crop, crop_around_masks
from tfdicom.example_schema import FrameExample
from tfdicom.intensity_statistics import percentile_index

_OTHER = (255, 255, 255)


def modality_values(example: FrameExample) -> np.ndarray:
    """float32 ``[rows, columns, samples]``: stored values x slope + intercept."""
    slope, intercept = example.rescale_slope, example.rescale_intercept
    values = example.image.astype(np.float64) * slope + intercept
    return values.astype(np.float32)


def example_png(
    example: FrameExample,
    *,
    window: tuple[float, float] | None,
    opacity: float,
    contours: bool,
    crop: bool,
    size: int | None,
) -> bytes:
    """A picture of an example.

    Args:
      example: What to draw.
      window: Centre and width, modality values; None for percentiles 1 and 99.
      opacity: Of the masks, 0 to 1.
      contours: Whether to draw them.
      crop: Whether to show only the part around the masks.
      size: Length of the longer side; None for the image's own.
    """
    picture = _grey(example, window)
    if opacity:
        picture = tinted(picture, example.masks, opacity)
    rows, columns, _ = example.shape
    part = crop_around_masks(example) if crop else Crop(0, 0, max(rows, columns))
    height, width = (part.size, part.size) if crop else (rows, columns)
    box = (part.column, part.row, part.column + width, part.row + height)
    drawn = Image.fromarray(picture).crop(box)
    scale = 1.0 if size is None else size / max(height, width)
    drawn = _scaled(drawn, scale)
    if contours:
        _draw(drawn, example, (part.column, part.row), scale)
    return png(drawn)


def png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def scaled_png(picture: np.ndarray, size: int | None) -> bytes:
    """The bytes of a PNG file, of RGB values, with a longer side of ``size``."""
    scale = 1.0 if size is None else size / max(picture.shape[:2])
    return png(_scaled(Image.fromarray(picture), scale))


def _scaled(picture: Image.Image, scale: float) -> Image.Image:
    if scale == 1.0:
        return picture
    sizes = (max(round(length * scale), 1) for length in picture.size)
    return picture.resize(tuple(sizes), Image.Resampling.BILINEAR)  # type: ignore[arg-type]


def tinted(picture: np.ndarray, masks: np.ndarray, opacity: float) -> np.ndarray:
    """A picture with masks over it, each in its class's colour.

    Args:
      picture: uint8 ``[rows, columns, 3]``.
      masks: bool ``[classes, rows, columns]``.
      opacity: 0 to 1.
    """
    found = picture.astype(np.float32)
    areas = [-int(mask.sum()) for mask in masks]
    for number in np.argsort(areas, kind="stable"):  # small ones lie on large ones
        color = np.array(COLORS[number % len(COLORS)], np.float32)
        mask = masks[number]
        found[mask] = found[mask] * (1 - opacity) + color * opacity
    return np.rint(found).astype(np.uint8)


def shown(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 ``[rows, columns, 3]``: black up to ``low``, white from ``high`` on."""
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    grey = np.rint(scaled * 255).astype(np.uint8)
    return np.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey[..., :3]


def _grey(example: FrameExample, window: tuple[float, float] | None) -> np.ndarray:
    if example.shape[2] == 3 and example.dtype == "uint8" and window is None:
        return example.image
    values = modality_values(example)
    if window is not None:
        center, width = window
        low, high = center - width / 2, center + width / 2
    elif example.image_statistics:
        low = example.image_statistics[percentile_index(1)]
        high = example.image_statistics[percentile_index(99)]
    else:
        low, high = float(values.min()), float(values.max())
    picture = shown(values, low, high)
    inverted = example.photometric_interpretation == "MONOCHROME1"
    return 255 - picture if inverted else picture


def _draw(
    picture: Image.Image,
    example: FrameExample,
    corner: tuple[int, int],
    scale: float,
) -> None:
    draw = ImageDraw.Draw(picture)
    terms = list(example.class_expressions)
    for structure, vertices in example.contours:
        if not len(vertices):
            continue
        # Vertices count from the centre of the first pixel, the screen from its corner.
        points = (vertices + 0.5 - corner) * scale
        is_class = structure in terms
        color = COLORS[terms.index(structure) % len(COLORS)] if is_class else _OTHER
        draw.line([tuple(p) for p in (*points, points[0])], fill=color, width=1)
