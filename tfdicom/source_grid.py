"""Predictions back onto the grid of the source image; no TensorFlow.

The reader says with ``with_info`` where each pixel of its output lies in the source.
Here that is turned round: crop, padding, resampling, and in training also flips,
rotations and shifts. Coordinates are (column, row), (0, 0) the centre of the first
pixel, and a pixel reaches half a pixel beyond its centre.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

LINEAR, NEAREST = "linear", "nearest"

# A float32 matrix is exact to some 1e-4 pixel: what is so near to a whole pixel is one.
_TOLERANCE = 1e-3
# Of a weight: an edge that runs through a pixel's centre has the pixel, as in sampling.
_HALF = 0.5 - 1e-4


def to_source_grid(
    prediction: Any,
    info: Mapping[str, Any],
    *,
    interpolation: str = LINEAR,
    threshold: float | None = None,
    fill: float = 0,
) -> list[np.ndarray]:
    """Puts predictions for a batch of ``input_fn`` where the source's pixels are.

    Where the output is the source shifted by whole pixels, mirrored, or turned by
    quarters, values are copied bit for bit. Else they are interpolated: a source pixel
    is looked up at its centre.

    Args:
      prediction: Of the pixels of the batch's image: probabilities, float ``[batch,
        rows, columns, classes]``; masks, bool or integer 0 and 1, of the same shape; or
        a label map, integer or bool ``[batch, rows, columns]``.
      info: The dict that ``input_fn`` gives with ``with_info=True``.
      interpolation: ``linear``: probabilities bilinearly, masks 1 where the
        interpolated mask reaches 0.5, label maps the label with the largest weight;
        or ``nearest``.
      threshold: Turns probabilities into masks: 1 from this value on, after the
        interpolation.
      fill: Value of source pixels that the output does not show (cropped away).

    Returns:
      For each example, as sources may differ in size: ``[rows, columns, classes]``, or
      ``[rows, columns]`` of a label map, of the source. The dtype is that of the
      prediction (bfloat16: float32), with a threshold uint8.

    Raises:
      ValueError: The prediction is none of these, or does not belong to the batch; or
        the batch was deformed elastically, which no matrix can undo.
    """
    values = np.asarray(prediction)
    if values.dtype.kind == "V":  # bfloat16, which NumPy itself does not know
        values = values.astype(np.float32)
    _check_options(interpolation, threshold)
    _check_prediction(values, threshold)
    matrices, sizes = _check_info(info, len(values))
    back = []
    for value, matrix, size in zip(values, matrices, sizes, strict=True):
        places = _places(matrix, size, value.shape[:2])
        found = _sampled(value, places, interpolation)
        if threshold is not None:
            found = (found >= threshold).astype(np.uint8)
        _check_fill(fill, found.dtype)
        found[~places.inside] = fill
        back.append(found)
    return back


def _check_options(interpolation: str, threshold: float | None) -> None:
    if interpolation not in (LINEAR, NEAREST):
        raise ValueError(
            f"interpolation={interpolation!r}: choose one of {LINEAR}, {NEAREST}"
        )
    if threshold is not None and not 0 < threshold <= 1:
        raise ValueError(f"threshold={threshold!r}: above 0 and up to 1 is allowed")


def _check_fill(fill: float, dtype: np.dtype) -> None:
    if dtype.kind == "f":
        return
    lowest, highest = (0, 1) if dtype.kind == "b" else _limits(dtype)
    if fill not in range(lowest, highest + 1):
        raise ValueError(
            f"fill={fill!r}: the result is of {dtype}, so an integer from {lowest} to "
            f"{highest} is wanted"
        )


def _limits(dtype: np.dtype) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _check_prediction(values: np.ndarray, threshold: float | None) -> None:
    floats = values.dtype.kind == "f"
    if values.dtype.kind not in "bfiu" or values.ndim not in (
        (4,) if floats else (3, 4)
    ):
        raise ValueError(
            f"prediction: {values.dtype} of shape {values.shape}; wanted are "
            "probabilities (float) or masks (bool or integer) [batch, rows, columns, "
            "classes], or a label map (integer) [batch, rows, columns]"
        )
    if 0 in values.shape[1:]:
        raise ValueError(f"prediction: its shape {values.shape} holds no pixel")
    if threshold is not None and not floats:
        raise ValueError(
            f"threshold={threshold!r}: is for probabilities, and the prediction is of "
            f"{values.dtype}; leave it out"
        )


def _check_info(info: Mapping[str, Any], batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices float64 ``[batch, 3, 3]``, and rows and columns of the sources."""
    try:
        matrices = np.asarray(info["matrix"], np.float64)
        sizes, deformed = np.asarray(info["source_size"]), np.asarray(info["deformed"])
    except (KeyError, TypeError):
        raise ValueError(
            "info: matrix, source_size and deformed are wanted, as input_fn gives with "
            "with_info=True"
        ) from None
    if len(matrices) != batch or len(sizes) != batch:
        raise ValueError(
            f"info is of {len(matrices)} examples, and the prediction of {batch}"
        )
    if deformed.any():
        raise ValueError(
            "the batch was made with augment='elastic=...', and no matrix can undo an "
            "elastic deformation; read with training=False, or with elastic=0"
        )
    return matrices, sizes


@dataclasses.dataclass(frozen=True)
class _Places:
    """Where the source's pixels lie in the prediction, ``[rows, columns]`` each.

    Attributes:
      row: float64, from 0 to the last row.
      column: The same of columns.
      inside: Whether the prediction has a pixel there.
      whole: Whether all of them are pixels' centres.
    """

    row: np.ndarray
    column: np.ndarray
    inside: np.ndarray
    whole: bool


def _places(matrix: np.ndarray, size: np.ndarray, shape: tuple[int, ...]) -> _Places:
    inverse = np.linalg.inv(matrix)
    row, column = np.ogrid[: size[0], : size[1]]
    x, y = (
        _snapped(inverse[axis, 0] * column + inverse[axis, 1] * row + inverse[axis, 2])
        for axis in (0, 1)
    )
    last = shape[0] - 1, shape[1] - 1
    edge = 0.5 + _TOLERANCE
    inside = (y >= -edge) & (y <= last[0] + edge) & (x >= -edge) & (x <= last[1] + edge)
    whole = bool((y == np.rint(y)).all() and (x == np.rint(x)).all())
    # The outer half of an outermost pixel has the value of its centre.
    return _Places(np.clip(y, 0, last[0]), np.clip(x, 0, last[1]), inside, whole)


def _snapped(position: np.ndarray) -> np.ndarray:
    whole = np.rint(position)
    return np.where(np.abs(position - whole) < _TOLERANCE, whole, position)


def _sampled(values: np.ndarray, places: _Places, interpolation: str) -> np.ndarray:
    """``[rows, columns, ...]`` of the source, of the dtype of the values."""
    if places.whole or interpolation == NEAREST:
        # Of two that are as near the first, as where the reader samples so.
        row, column = (
            np.ceil(one - 0.5).astype(np.intp) for one in (places.row, places.column)
        )
        return values[row, column]
    if values.dtype.kind == "f":
        return _linear(values, places).astype(values.dtype)
    if values.ndim == 2:
        return _heaviest_label(values, places)
    if values.dtype.kind != "b" and not np.isin(values, (0, 1)).all():
        raise ValueError(
            "prediction: masks are 0 or 1 if they are interpolated linearly, and these "
            f"hold {np.setdiff1d(values, (0, 1))[0]}; choose interpolation={NEAREST!r}"
        )
    return (_linear(values, places) >= _HALF).astype(values.dtype)


def _linear(values: np.ndarray, places: _Places) -> np.ndarray:
    """Bilinear interpolation, float64."""
    row, column = (np.floor(one).astype(np.intp) for one in (places.row, places.column))
    depth = (np.newaxis,) * (values.ndim - 2)
    down = (places.row - row)[(..., *depth)]
    across = (places.column - column)[(..., *depth)]
    below = np.minimum(row + 1, values.shape[0] - 1)
    right = np.minimum(column + 1, values.shape[1] - 1)
    upper = values[row, column] * (1 - across) + values[row, right] * across
    lower = values[below, column] * (1 - across) + values[below, right] * across
    return upper * (1 - down) + lower * down


def _heaviest_label(labels: np.ndarray, places: _Places) -> np.ndarray:
    """The label whose share of a pixel is largest, of equal ones the highest."""
    best = np.full(places.inside.shape, -1.0)
    result = np.zeros(places.inside.shape, labels.dtype)
    for label in np.unique(labels):
        share = np.round(_linear(labels == label, places), 4)
        result[share >= best] = label
        best = np.maximum(best, share)
    return result
