"""Examples as PNG files: the image, and its masks."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfdicom import files
from tfdicom.example_schema import FrameExample
from tfdicom.export_options import ExportOptions
from tfdicom.intensity_statistics import percentile_index

_OFFSETS = {"uint8": 0, "uint16": 0, "int8": 1 << 7, "int16": 1 << 15}


def write(
    folder: pathlib.Path,
    one: FrameExample,
    words: Sequence[str],
    options: ExportOptions,
) -> dict[str, Any]:
    """Writes the files of an example.

    Args:
      folder: Where to.
      one: The example.
      words: Its classes, as parts of file names.
      options: What is written.

    Returns:
      What the table of examples says of them: names of files by column.

    Raises:
      ValueError: Values or masks do not fit into a PNG.
    """
    stored = options.image_values == "stored"
    picture = stored_values(one) if stored else windowed(one)
    row: dict[str, Any] = {"image": f"{one.key}.png"}
    if stored:
        row["stored_offset"] = _OFFSETS[one.dtype]
    _save(folder / row["image"], picture)
    if options.mask_form == "label_map":
        if any(one.annotated):
            row["mask"] = f"{one.key}_labels.png"
            _save(folder / row["mask"], label_map(one))
        return row
    masks = zip(one.classes, words, one.annotated, one.masks, strict=True)
    for name, word, annotated, mask in masks:
        if annotated:
            row[f"mask {name}"] = f"{one.key}_mask_{word}.png"
            _save(folder / row[f"mask {name}"], mask.astype(np.uint8) * 255)
    return row


def _save(path: pathlib.Path, picture: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    with files.written_whole(path) as file:
        file.write(buffer.getvalue())


def stored_values(one: FrameExample) -> np.ndarray:
    """uint8 or uint16 ``[rows, columns]`` or ``[rows, columns, 3]``.

    Signed values are moved up by half of their range.

    Raises:
      ValueError: A PNG cannot hold them.
    """
    image, samples = one.image, one.shape[2]
    bits = image.dtype.itemsize * 8
    if one.dtype not in _OFFSETS or (samples != 1 and (samples, bits) != (3, 8)):
        raise ValueError(
            f"example {one.key}: a PNG does not hold {samples} x {one.dtype}; take "
            "--image_values=window, or --format=nifti"
        )
    moved = (image.astype(np.int32) + _OFFSETS[one.dtype]).astype(f"uint{bits}")
    return moved[..., 0] if samples == 1 else moved


def windowed(one: FrameExample) -> np.ndarray:
    """uint8 ``[rows, columns]``, or ``[rows, columns, 3]`` in colour, as it is shown.

    The window is the record's, or goes from the series' percentile 0.5 to 99.5; colours
    of 8 bits are as they are.
    """
    if one.shape[2] == 3 and one.dtype == "uint8":
        return one.image
    values = one.image[..., 0] * float(one.rescale_slope) + one.rescale_intercept
    low, high = window(one)
    shown = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    if one.photometric_interpretation == "MONOCHROME1":
        shown = 1 - shown
    return np.rint(shown * 255).astype(np.uint8)


def window(one: FrameExample) -> tuple[float, float]:
    """Modality values that become black and white."""
    if one.window:
        center, width = one.window
        return center - width / 2, center + width / 2
    figures = one.series_statistics or one.image_statistics
    if figures:
        return figures[percentile_index(0.5)], figures[percentile_index(99.5)]
    return 0.0, 1.0


def label_map(one: FrameExample) -> np.ndarray:
    """uint8, or uint16 for over 255 classes, ``[rows, columns]``: 1 is the first class.

    Raises:
      ValueError: Classes overlap.
    """
    masks = one.masks
    if (masks.sum(axis=0, dtype=np.uint16) > 1).any():
        raise ValueError(
            f"example {one.key}: classes overlap, and a label map holds one a pixel; "
            "take --mask_form=planes"
        )
    dtype = np.uint8 if len(masks) <= np.iinfo(np.uint8).max else np.uint16
    numbers = np.arange(1, len(masks) + 1, dtype=dtype)
    return (masks * numbers[:, None, None]).sum(axis=0, dtype=dtype)


def labels_of(classes: Sequence[str]) -> Mapping[str, int]:
    """What the values of a label map mean."""
    return {"background": 0, **{name: at for at, name in enumerate(classes, 1)}}
