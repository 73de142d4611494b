"""What tells whether two images are one: a hash of their values, and a signature.

Equal values have one hash. A signature is a few bytes of an image that survive another
window, depth, codec or size of it: the grey values are replaced by their ranks, which
no increasing transform changes, and averaged over 16 x 16 cells. Signatures are
compared in ``near_duplicates``. All is done in whole numbers, so that every machine
finds the same bytes.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np

#: Cells along each side, and bytes of a signature: one for each cell.
CELLS = 16
LENGTH = CELLS * CELLS

# Of the cells' mean ranks, as a part of all ranks. An image that shows less is like any
# other.
_LEAST_DEVIATION = 0.02
# Rows and columns that suffice; of twice as many, every second is looked at.
_SAMPLES = 128
_MOST_COUNTED = 1 << 18  # distinct integers that are counted rather than sorted
_FINER = 16  # parts of a rank that are told apart


def pixel_hash(pixels: np.ndarray) -> str | None:
    """SHA-256 that equal pixels share; None where all values are equal.

    Equal values are equal whatever dtype they are stored in: whole numbers are hashed
    in the smallest one that holds them. Constant frames are alike without being the
    same image.

    Args:
      pixels: Stored values ``[rows, columns]`` or ``[rows, columns, samples]``; one
        sample is as none.
    """
    lowest, highest = pixels.min(), pixels.max()
    if lowest == highest:
        return None
    if pixels.dtype.kind in "iu":
        low, high = int(lowest), int(highest)
        reach = high if low >= 0 else min(low, -1 - high)
        pixels = pixels.astype(np.min_scalar_type(reach), copy=False)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def signature(pixels: np.ndarray) -> bytes | None:
    """The signature of an image, None where there is nearly nothing to see.

    Args:
      pixels: Stored values ``[rows, columns]`` or ``[rows, columns, samples]``, any
        real dtype.

    Returns:
      256 signed bytes, row by row: mean rank of each cell, less that of the image,
      scaled so that the largest is 127. An inverted image has the opposite signs.
    """
    ranks = _ranks(_grey(_thinned(pixels)))
    cells = _cell_sums(ranks) // _cell_sizes(ranks.shape)
    above = cells * LENGTH - cells.sum()
    largest = int(np.abs(above).max())
    least = _LEAST_DEVIATION * ranks.size * _FINER
    if np.square(above // LENGTH).sum() < LENGTH * least**2:
        return None
    # Rounded to the nearest, halves away from 0: opposite numbers stay opposite.
    scaled = (2 * 127 * np.abs(above) + largest) // (2 * largest)
    return (np.sign(above) * scaled).astype(np.int8).tobytes()


def _grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    whole = pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2
    return pixels.sum(axis=2, dtype=np.int32 if whole else np.float64)


def _thinned(pixels: np.ndarray) -> np.ndarray:
    """Every second, third ... row and column of an image with more than enough."""
    steps = (max(length // _SAMPLES, 1) for length in pixels.shape[:2])
    return pixels[tuple(slice(step // 2, None, step) for step in steps)]


def _ranks(grey: np.ndarray) -> np.ndarray:
    """Rank of each pixel in 16ths, int64; equal values share their middle one."""
    if grey.dtype.kind == "f":
        grey = np.nan_to_num(grey)
    lowest, highest = grey.min(), grey.max()
    if grey.dtype.kind in "iu" and int(highest) - int(lowest) < _MOST_COUNTED:
        places = np.subtract(grey, lowest, dtype=np.int64)
        counts = np.bincount(places.ravel())
    else:
        _, places, counts = np.unique(grey, return_inverse=True, return_counts=True)
        places = places.reshape(grey.shape)
    return ((2 * np.cumsum(counts) - counts) * (_FINER // 2))[places]


@functools.lru_cache(maxsize=64)
def _cell_sizes(shape: tuple[int, int]) -> np.ndarray:
    """Pixels of each cell."""
    return _cell_sums(np.ones(shape, np.int64))


def _cell_sums(values: np.ndarray) -> np.ndarray:
    """Sums over the cells; where there are fewer pixels than cells, some share them."""
    first_rows, first_columns = (
        (np.arange(CELLS) * length + CELLS // 2) // CELLS
        if length > CELLS
        else np.arange(CELLS) * length // CELLS
        for length in values.shape
    )
    by_rows = np.add.reduceat(values, first_rows, axis=0)
    return np.add.reduceat(by_rows, first_columns, axis=1)
