"""Mask images: what their pixels say, whatever the format.

PNG, TIFF, NPY and DICOM are read. Values are as stored: the index of a palette image,
the number of a grey one, never a colour. A mask is either a label map, whose values
are whole numbers from 0, or one plane of zeros and ones for each class.
"""

from __future__ import annotations

import dataclasses
import io
import math
import pathlib
import warnings
from typing import IO, Any

import numpy as np
from PIL import Image

from tfdicom import dicom, files
from tfdicom.reasons import InputSkipped
from tfdicom.sources.mask_listing import PIXEL_SUFFIXES

#: Endings of the files that can hold a mask of images, beside DICOM.

#: Largest mask that is decoded, bytes as stored.
MAX_BYTES = 2**30

_ROUNDING = 1e-4

# Pillow spreads grey values of few bits over 0 to 255; what each step is there.
_GREY_STEP = {2: 85, 4: 17}
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339  # TIFF 6.0
_WHITE_IS_ZERO, _SIGNED = 0, 2
_LOSSY_COMPRESSIONS = ("jpeg", "tiff_jpeg", "webp")


@dataclasses.dataclass(frozen=True)
class MaskPixels:
    """The pixels of a mask file.

    ``values`` is a label map, unsigned ``[pages, rows, columns]``, or one plane for
    each class, bool ``[pages, rows, columns, classes]``.
    """

    values: np.ndarray

    @property
    def pages(self) -> int:
        """Number of pages: one, or one for each frame of a multi-frame image."""
        return len(self.values)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.values.shape[1:3]
        return rows, columns

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.values.nbytes

    def numbers(self) -> list[int]:
        """Values other than zero that occur, or the numbers of the planes from 1."""
        if self.values.ndim == 4:
            return list(range(1, self.values.shape[3] + 1))
        return [int(value) for value in np.unique(self.values) if value]

    def plane(self, page: int, number: int) -> np.ndarray:
        """Where a value is, bool ``[rows, columns]``; 0 means any value but zero."""
        values = self.values[page]
        if values.ndim == 3:
            return values[..., number - 1] if number else values.any(axis=-1)
        return values == number if number else values != 0


def read_pixels(path: pathlib.Path) -> MaskPixels:
    """Reads a mask; the ending of its name tells the format, without one it is DICOM.

    Raises:
      InputSkipped: It cannot be read, is too large, or its values are no labels.
    """
    suffix = path.suffix.lower()
    if suffix not in PIXEL_SUFFIXES:
        return MaskPixels(to_labels(_dicom_pages(path)))
    try:
        with files.opened(path) as file:
            if suffix == ".npy":
                return MaskPixels(_numpy_values(file))
            return MaskPixels(to_labels(_image_pages(file)))
    except OSError as error:
        if error.errno is None:  # Pillow's word for a damaged file
            raise _unreadable(error) from error
        raise InputSkipped("file_unreadable", error.strerror or "") from error
    except (InputSkipped, MemoryError):
        raise
    except Exception as error:  # a damaged file can raise anything
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> InputSkipped:
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputSkipped("mask_unreadable", message)


def to_labels(values: np.ndarray) -> np.ndarray:
    """The same values in the smallest unsigned dtype that holds them.

    Raises:
      InputSkipped: A value is negative, no whole number, or over 32 bits.
    """
    if values.dtype.kind not in "buif":
        raise InputSkipped("mask_unsupported", f"values of type {values.dtype}")
    if not values.size:
        raise InputSkipped("mask_unsupported", f"no pixels: shape {values.shape}")
    if values.dtype.kind == "f":
        values = _whole(values)
    low, high = int(values.min()), int(values.max())
    if not 0 <= low <= high < 2**32:
        raise InputSkipped("mask_values_invalid", f"from {low} to {high}")
    return values.astype(np.min_scalar_type(high))


def _whole(values: np.ndarray) -> np.ndarray:
    """Floats that are whole numbers but for the rounding of a scale."""
    with np.errstate(invalid="ignore"):
        rounded = np.rint(values)
        is_whole = np.abs(values - rounded) <= _ROUNDING  # false for NaN and infinity
    if not is_whole.all():
        worst = values[~is_whole][0]
        raise InputSkipped("mask_values_invalid", f"{worst:g} is no whole number")
    return rounded


def check_size(shape: tuple[int, ...], itemsize: int) -> None:
    """Refuses what is too large to decode, before memory is taken.

    Raises:
      InputSkipped: It is over ``MAX_BYTES``.
    """
    if not 0 <= math.prod(map(int, shape)) * itemsize <= MAX_BYTES:
        detail = f"shape {shape} of {itemsize} bytes each, allowed are {MAX_BYTES}"
        raise InputSkipped("mask_too_large", detail)


def _image_pages(file: IO[bytes]) -> np.ndarray:
    """Pages of a PNG or TIFF file, ``[pages, rows, columns]``."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # What Pillow warns of is damage, but for tags that it takes for odd.
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "Metadata Warning", UserWarning)
        try:
            return _decoded_pages(file)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise InputSkipped("mask_too_large", str(error)) from error


def _decoded_pages(file: IO[bytes]) -> np.ndarray:
    with Image.open(file, formats=("PNG", "TIFF")) as image:
        count = getattr(image, "n_frames", 1)
        if image.format == "PNG" and count > 1:
            raise InputSkipped("mask_unsupported", "an animated PNG")
        check_size((count, image.height, image.width), 4)
        pages = []
        for page in range(count):
            image.seek(page)
            is_png = image.format == "PNG"
            pages.append(_page(image, _png_bits(file) if is_png else _tiff_bits(image)))
    if len({page.shape for page in pages}) > 1:
        sizes = " and ".join(sorted({str(page.shape) for page in pages}))
        raise InputSkipped("mask_unsupported", f"pages of sizes {sizes}")
    return np.stack(pages)


def _page(image: Image.Image, bits: int) -> np.ndarray:
    values = np.asarray(image)
    if values.ndim == 3:
        values = _single_channel(values, has_alpha=image.mode in ("LA", "RGBA", "PA"))
    elif image.mode == "L":
        values = values // _GREY_STEP.get(bits, 1)
    return values


def _png_bits(file: IO[bytes]) -> int:
    """Bits of a value, from the IHDR chunk, which is the first (PNG 11.2.2)."""
    place = file.tell()
    file.seek(24)
    depth, color = file.read(2)
    file.seek(place)
    if depth == 16 and color != 0:
        # Pillow would cut these to eight bits without a word.
        raise InputSkipped("mask_unsupported", "a PNG of several 16-bit channels")
    return depth


def _tiff_bits(image: Image.Image) -> int:
    """Bits of a grey value; refuses what Pillow would change without a word."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits = tags.get(_BITS, (1,))[0]
    if tags.get(_ORIENTATION, 1) != 1:
        detail = "(0x0112) Orientation is not 1: rows and columns would be turned"
        raise InputSkipped("mask_unsupported", detail)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        detail = "(0x0106) PhotometricInterpretation is WhiteIsZero"
        raise InputSkipped("mask_unsupported", detail)
    if image.info.get("compression") in _LOSSY_COMPRESSIONS:
        raise InputSkipped("mask_lossy", f"a TIFF with {image.info['compression']}")
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()) and bits == 8:
        raise InputSkipped("mask_unsupported", "signed values of 8 bits")
    if bits == 16 and len(tags.get(_BITS)) > 1:
        raise InputSkipped("mask_unsupported", "a TIFF of several 16-bit channels")
    return bits


def _single_channel(values: np.ndarray, *, has_alpha: bool) -> np.ndarray:
    """The one value of channels ``[..., channels]`` that all agree."""
    if has_alpha:
        if (values[..., -1] != 255).any():
            raise InputSkipped("mask_colored", "some pixels are transparent")
        values = values[..., :-1]
    if (values != values[..., :1]).any():
        raise InputSkipped("mask_colored", f"{values.shape[-1]} channels that differ")
    return values[..., 0]


def _numpy_values(file: IO[bytes]) -> np.ndarray:
    """A NumPy file's values as a label map, or as a plane for each class."""
    values = _numpy_array(file)
    if values.ndim == 2:
        return to_labels(values)[None]
    if values.ndim == 4:
        return _planes(values)
    if values.ndim != 3:
        raise InputSkipped("mask_axes_unclear", f"shape {values.shape}")
    first, _, last = values.shape
    if min(first, last) >= values.shape[1] or first == last:
        raise InputSkipped("mask_axes_unclear", f"shape {values.shape}")
    return _planes(np.moveaxis(values, 0, -1)[None] if first < last else values[None])


def _numpy_array(file: IO[bytes]) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise InputSkipped("mask_unsupported", f"NumPy file of version {version}")
    shape, _, dtype = read_header(file)
    start = file.tell()
    if dtype.kind not in "buif":  # objects would be unpickled, which can run code
        raise InputSkipped("mask_unsupported", f"values of type {dtype}")
    check_size(shape, dtype.itemsize)
    wanted = math.prod(shape) * dtype.itemsize
    given = file.seek(0, io.SEEK_END) - start
    if given < wanted:
        raise InputSkipped("mask_unreadable", f"{wanted - given} bytes are missing")
    file.seek(0)
    return np.load(file, allow_pickle=False)


def _planes(values: np.ndarray) -> np.ndarray:
    """Of ``[pages, rows, columns, classes]``; a single class is a label map."""
    labels = to_labels(values)
    if labels.shape[-1] == 1:
        return labels[..., 0]
    if labels.max() > 1:
        detail = f"planes of classes hold 0 and 1; a value here is {labels.max()}"
        raise InputSkipped("mask_axes_unclear", detail)
    return labels.astype(bool)


def _dicom_pages(path: pathlib.Path) -> np.ndarray:
    """Stored values of a DICOM image, ``[frames, rows, columns]``."""
    headers = dicom.read_headers(path)
    first = headers[0]
    if first.samples != 1:  # the index of a palette is lost when it is decoded
        raise InputSkipped("mask_colored", "a DICOM image in color, or with a palette")
    shape = (len(headers), first.rows, first.columns)
    check_size(shape, first.bytes_per_pixel)
    return np.stack([dicom.read_frame(path, header).pixels for header in headers])
