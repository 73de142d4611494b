"""Pixels that are not compressed: where each frame lies, and reading it with NumPy.

Gives what pydicom's ``pixel_array`` gives, without parsing the file a second time.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from typing import Any

import numpy as np
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tfdicom import files
from tfdicom.element_walk import PixelElement
from tfdicom.reasons import InputSkipped

#: Transfer syntaxes of pixels that lie in the file as they are (PS3.5 A.1 to A.3).
NATIVE_SYNTAXES = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}
)
_FLOAT, _DOUBLE = 0x7FE00008, 0x7FE00009
# Samples that need nothing but their bytes in order.
_PLAIN_COLORS = frozenset({"MONOCHROME1", "MONOCHROME2", "RGB"})


@dataclasses.dataclass(frozen=True, slots=True)
class NativePixels:
    """Where the pixels of one frame lie in their file, and how they are written.

    Attributes:
      offset: Of the first byte in the file.
      dtype: Name of a NumPy dtype with its byte order, such as ``<i2``.
      shape: ``(rows, columns)`` or ``(rows, columns, samples)`` of the frame.
      planar: Whether each sample has a plane of its own (Planar Configuration 1).
      unused_bits: High bits of each value that mean nothing (PS3.5 8.1.1).
      first_bit: Of pixels of one bit: the bit of the first byte where they begin;
        frames follow one another without a gap.
    """

    offset: int
    dtype: str
    shape: tuple[int, ...]
    planar: bool
    unused_bits: int
    first_bit: int | None = None


@dataclasses.dataclass(frozen=True)
class PixelFormat:
    """What the Image Pixel module says (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    color: str
    allocated: int
    stored: int
    signed: bool
    planar: bool

    @property
    def frame_bits(self) -> int:
        """Bits of a frame that is not compressed."""
        return self.rows * self.columns * self.samples * self.allocated


def locate(
    element: PixelElement | None,
    syntax: str,
    pixels: PixelFormat,
    frames: int,
) -> list[NativePixels | None]:
    """Where each frame lies; None for all where it takes a decoder to know.

    Args:
      element: The element with the pixels.
      syntax: Transfer Syntax UID.
      pixels: Their format.
      frames: How many there are.
    """
    dtype = _dtype(element, syntax, pixels)
    bits = pixels.frame_bits
    if element is None or dtype is None or bits * frames > 8 * (element.length or 0):
        return [None] * frames
    shape: tuple[int, ...] = (pixels.rows, pixels.columns)
    if pixels.samples > 1:
        shape = (*shape, pixels.samples)
    unused = 0 if "f" in dtype else pixels.allocated - pixels.stored
    planar = pixels.planar and pixels.samples > 1
    return [
        NativePixels(
            element.offset + bits * frame // 8,
            dtype,
            shape,
            planar,
            unused,
            bits * frame % 8 if pixels.allocated == 1 else None,
        )
        for frame in range(frames)
    ]


def _dtype(
    element: PixelElement | None, syntax: str, pixels: PixelFormat
) -> str | None:
    """The dtype of native pixels in the file; None for what is not that plain."""
    if element is None or syntax not in NATIVE_SYNTAXES:
        return None
    if pixels.samples not in (1, 3) or pixels.color not in _PLAIN_COLORS:
        return None
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    floats = {(_FLOAT, 32): "f4", (_DOUBLE, 64): "f8"}
    if element.tag in (_FLOAT, _DOUBLE):
        kind = floats.get((element.tag, pixels.allocated))
        return kind and order + kind
    if pixels.allocated not in (1, 8, 16, 32):
        return None
    if not 0 < pixels.stored <= pixels.allocated:
        return None
    if pixels.allocated <= 8 and order == ">":
        return None  # bytes may stand in words whose halves are swapped
    if pixels.allocated == 1:
        return "|u1" if pixels.samples == 1 else None
    return f"{order}{'i' if pixels.signed else 'u'}{pixels.allocated // 8}"


def read(path: pathlib.Path, where: NativePixels) -> np.ndarray:
    """Reads one frame.

    Returns:
      Stored values, ``[rows, columns]`` or ``[rows, columns, samples]``, in the byte
      order of this machine.

    Raises:
      InputSkipped: The file cannot be opened, or ends within the frame.
    """
    stored = np.empty(_shape_in_file(where), where.dtype)
    try:
        with files.opened(path, buffering=0) as file:
            file.seek(where.offset)
            got = _fill(file, stored.reshape(-1).view(np.uint8).data)
    except OSError as error:
        raise InputSkipped("file_unreadable", error.strerror or str(error)) from error
    if got < stored.nbytes:
        detail = f"{stored.nbytes} bytes of pixels are wanted, {got} are there"
        raise InputSkipped("pixels_unreadable", detail)
    return _tidy(stored, where)


def _shape_in_file(where: NativePixels) -> tuple[int, ...]:
    if where.first_bit is not None:
        return (-(-(where.first_bit + math.prod(where.shape)) // 8),)
    return (where.shape[2], *where.shape[:2]) if where.planar else where.shape


def _fill(file: Any, target: memoryview) -> int:
    """Reads until the target is full or the file ends; how many bytes that were."""
    got = 0
    while got < len(target):
        count = file.readinto(target[got:])
        if not count:
            break
        got += count
    return got


def _tidy(stored: np.ndarray, where: NativePixels) -> np.ndarray:
    if where.first_bit is not None:
        bits = np.unpackbits(stored, bitorder="little")[where.first_bit :]
        return bits[: math.prod(where.shape)].reshape(where.shape)
    pixels = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if where.unused_bits:
        # Up and down again: clears unused bits, or fills them with the sign.
        pixels <<= where.unused_bits
        pixels >>= where.unused_bits
    if where.planar:
        pixels = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    return pixels
