"""Pictures of examples: image, mask and contour over each other, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfdicom.example_schema import FrameExample
from tfdicom.intensity_statistics import percentile_index

#: Okabe and Ito's colours, told apart by colour-blind people too.
COLORS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
_MASK_OPACITY = 0.3
_CAPTION, _GAP, _LEGEND = 18, 6, 26
_LINE = 12


@dataclasses.dataclass(frozen=True)
class Crop:
    """A square part of an image: first row and column, and its size, pixels."""

    row: int
    column: int
    size: int


def contact_sheet(
    examples: Sequence[FrameExample], *, tile: int = 240, columns: int = 5
) -> Image.Image:
    """Draws examples around their masks, with masks and contours over them.

    Args:
      examples: What to draw.
      tile: Size of each picture, screen pixels.
      columns: Pictures in a row.

    Returns:
      An RGB picture.

    Raises:
      ValueError: There is no example.
    """
    if not examples:
        raise ValueError("there is no example to draw")
    columns = min(columns, len(examples))
    rows = -(-len(examples) // columns)
    width = _GAP + columns * (tile + _GAP)
    height = _LEGEND + rows * (tile + _CAPTION + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), (20, 20, 20))
    _draw_legend(sheet, examples[0].classes)
    for number, example in enumerate(examples):
        row, column = divmod(number, columns)
        x = _GAP + column * (tile + _GAP)
        y = _LEGEND + row * (tile + _CAPTION + _GAP)
        sheet.paste(
            overlay(example, crop=crop_around_masks(example), size=tile), (x, y)
        )
        draw = ImageDraw.Draw(sheet)
        draw.text((x + 2, y + tile + 3), caption(example))
        for line, text in enumerate(label_lines(example)[: tile // _LINE]):
            draw.text((x + 3, y + 2 + line * _LINE), text)
    return sheet


def _draw_legend(sheet: Image.Image, classes: Sequence[str]) -> None:
    draw, x = ImageDraw.Draw(sheet), _GAP
    for index, name in enumerate(classes):
        draw.rectangle((x, 8, x + 10, 18), fill=COLORS[index % len(COLORS)])
        draw.text((x + 15, 7), name)
        x += 30 + int(draw.textlength(name))
    if classes:
        draw.text((x, 7), "(fill: mask, line: contour)", fill=(150, 150, 150))


def caption(example: FrameExample) -> str:
    """One line that tells an example from others."""
    where = f"slice {example.slice_index}" if example.slice_index is not None else ""
    phase = f"phase {example.phase_index}" if example.phase_index is not None else ""
    return f"{example.patient[:6]} {where} {phase} {example.key[:6]}"


def label_lines(example: FrameExample) -> list[str]:
    """The labels beside the masks, as far as they have a value."""
    pairs = zip(example.label_names or (), example.label_values or (), strict=True)
    return [f"{name}: {value}" for name, value in pairs if value]


def crop_around_masks(example: FrameExample, *, margin: float = 0.6) -> Crop:
    """A square around all masks with a margin, or the whole image without masks."""
    rows, columns, _ = example.shape
    boxes = np.reshape(example.bounding_box, (-1, 4))
    boxes = boxes[boxes[:, 2] > boxes[:, 0]]
    whole = Crop(0, 0, max(rows, columns))
    if not len(boxes):
        return whole
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    size = int(max(high - low) * (1 + 2 * margin))
    if size >= min(rows, columns):
        return whole
    row, column = np.clip((low + high - size) // 2, 0, (rows - size, columns - size))
    return Crop(int(row), int(column), size)


def overlay(example: FrameExample, *, crop: Crop, size: int) -> Image.Image:
    """One example as an RGB picture of ``size`` x ``size``."""
    grey = Image.fromarray(_grey(example)).crop(_box(crop))
    picture = np.asarray(grey.resize((size, size), Image.Resampling.BICUBIC), float)
    for index, mask in enumerate(example.masks):
        plane = Image.fromarray(mask.astype(np.uint8) * 255).crop(_box(crop))
        plane = plane.resize((size, size), Image.Resampling.NEAREST)
        alpha = np.asarray(plane, float)[..., None] / 255 * _MASK_OPACITY
        color = np.array(COLORS[index % len(COLORS)], float)
        picture = picture * (1 - alpha) + color * alpha
    drawn = Image.fromarray(np.rint(picture).astype(np.uint8))
    _draw_contours(drawn, example, crop, size)
    return drawn


def _box(crop: Crop) -> tuple[int, int, int, int]:
    return crop.column, crop.row, crop.column + crop.size, crop.row + crop.size


def _grey(example: FrameExample) -> np.ndarray:
    """RGB uint8 ``[rows, columns, 3]``, from the image's 1st to 99th percentile."""
    if example.shape[2] == 3 and example.dtype == "uint8":
        return example.image
    slope, intercept = example.rescale_slope, example.rescale_intercept
    values = example.image[..., :1] * slope + intercept
    low, high = 0.0, 1.0
    if example.image_statistics:
        low = example.image_statistics[percentile_index(1)]
        high = example.image_statistics[percentile_index(99)]
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    if example.photometric_interpretation == "MONOCHROME1":
        scaled = 1 - scaled
    return np.repeat(np.rint(scaled * 255).astype(np.uint8), 3, axis=2)


def _draw_contours(
    picture: Image.Image, example: FrameExample, crop: Crop, size: int
) -> None:
    draw = ImageDraw.Draw(picture)
    scale = size / crop.size
    for structure, vertices in example.contours:
        if not len(vertices):
            continue
        # Vertices count from the centre of the first pixel, the screen from its corner.
        points = (vertices + 0.5 - (crop.column, crop.row)) * scale
        closed = [tuple(point) for point in (*points, points[0])]
        draw.line(closed, fill=_color_of(structure, example), width=1)


def _color_of(structure: str, example: FrameExample) -> tuple[int, int, int]:
    names = list(example.class_expressions)
    index = names.index(structure) if structure in names else len(names)
    return COLORS[index % len(COLORS)]
