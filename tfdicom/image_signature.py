"""A few bytes of an image that survive another window, depth, codec or size of it.

The grey values are replaced by their ranks, which no increasing transform changes, and
averaged over 16 x 16 cells. Signatures are compared in ``near_duplicates``.
"""

from __future__ import annotations

import functools

import numpy as np

#: Cells along each side, and bytes of a signature: one for each cell.
CELLS = 16
LENGTH = CELLS * CELLS

# Of the cells' mean ranks, from 0 to 1. An image that shows less is like any other.
_LEAST_DEVIATION = 0.02
# Rows and columns that suffice; of twice as many, every second is looked at.
_SAMPLES = 128
_MOST_COUNTED = 1 << 18  # distinct integers that are counted rather than sorted


def signature(pixels: np.ndarray) -> bytes | None:
    """The signature of an image, None where there is nearly nothing to see.

    Args:
      pixels: Stored values ``[rows, columns]`` or ``[rows, columns, samples]``, any
        real dtype.

    Returns:
      256 signed bytes, row by row: mean rank of each cell, less that of the image,
      scaled so that the largest is 127. An inverted image has the opposite signs.
    """
    cells = _cell_means(_ranks(_thinned(_grey(pixels))))
    above = cells - cells.mean()
    if not cells.size or above.std() < _LEAST_DEVIATION:
        return None
    return np.rint(above * (127 / np.abs(above).max())).astype(np.int8).tobytes()


def _grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    whole = pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2
    return pixels.sum(axis=2, dtype=np.int32 if whole else np.float64)


def _thinned(grey: np.ndarray) -> np.ndarray:
    """Every second, third ... row and column of an image with more than enough."""
    steps = (max(length // _SAMPLES, 1) for length in grey.shape)
    return grey[tuple(slice(step // 2, None, step) for step in steps)]


def _ranks(grey: np.ndarray) -> np.ndarray:
    """Ranks from 0 to 1, float32; equal values share their middle one."""
    if grey.dtype.kind == "f":
        grey = np.nan_to_num(grey)
    lowest, highest = grey.min(), grey.max()
    if grey.dtype.kind in "iu" and int(highest) - int(lowest) < _MOST_COUNTED:
        places = np.subtract(grey, lowest, dtype=np.int64)
        counts = np.bincount(places.ravel())
    else:
        _, places, counts = np.unique(grey, return_inverse=True, return_counts=True)
        places = places.reshape(grey.shape)
    middle = (np.cumsum(counts) - counts / 2) / grey.size
    return middle.astype(np.float32)[places]


def _cell_means(values: np.ndarray) -> np.ndarray:
    down, across = (_cell_weights(length) for length in values.shape)
    return down @ values @ across.T


@functools.lru_cache(maxsize=64)
def _cell_weights(length: int) -> np.ndarray:
    """How much each of so many pixels counts for each cell, float32."""
    edges = np.linspace(0, length, CELLS + 1)
    first, last = edges[:-1, np.newaxis], edges[1:, np.newaxis]
    pixels = np.arange(length)
    shared = np.minimum(last, pixels + 1) - np.maximum(first, pixels)
    return (shared.clip(0) / (last - first)).astype(np.float32)
