"""One DICOM image: its frames' pixels as they are stored, and what they mean.

Values that are absent stay absent (None); values that are there and make no sense
are reported with their element, never replaced.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdicom import decoder_supervisor, dicom_file, native_pixels, remote_files
from tfdicom.dicom_elements import element_name
from tfdicom.example_schema import PIXEL_DTYPES
from tfdicom.frame_headers import FrameHeader, frame_headers
from tfdicom.reasons import InputSkipped

#: What becomes of images in color.
COLORS = ("convert", "refuse")

# A sample of a frame has at most this many bytes.
_LARGEST_SAMPLE = 8


@dataclasses.dataclass(frozen=True)
class PixelRules:
    """Which pixels are read, and how much it may take.

    Attributes:
      max_frame_pixels: Rows x columns that a frame may have.
      color: ``convert`` turns YBR and palettes into RGB, ``refuse`` leaves every image
        in color out.
      decode_seconds: Time that decoding a frame may take.
      decode_bytes: Address space that decoders may use.
    """

    max_frame_pixels: int = 1 << 26
    color: str = "convert"
    decode_seconds: float = 20.0
    decode_bytes: int = 2 << 30

    def __post_init__(self) -> None:
        """Refuses what makes no sense."""
        for name in ("max_frame_pixels", "decode_seconds", "decode_bytes"):
            if not getattr(self, name) > 0:
                got = getattr(self, name)
                raise ValueError(f"{name} should be greater than 0; got {got}")
        if self.color not in COLORS:
            raise ValueError(f"color should be one of {COLORS}; got {self.color!r}")


@dataclasses.dataclass(frozen=True)
class Frame:
    """Pixels as stored, and what turns them into modality values.

    ``pixels`` is ``[rows, columns]`` or ``[rows, columns, samples]`` in a dtype of
    ``PIXEL_DTYPES``. ``attributes`` holds the fields of the record that describe the
    image, by field name.
    """

    pixels: np.ndarray
    attributes: Mapping[str, Any]


_DEFAULT_RULES = PixelRules()


def read_headers(path: pathlib.Path) -> tuple[FrameHeader, ...]:
    """Reads the headers of an image's frames.

    Raises:
      InputSkipped: The file is not DICOM, holds no image, or lacks an identifier.
    """
    return frame_headers(dicom_file.open_header(path))


def read_header(path: pathlib.Path) -> FrameHeader:
    """Reads the header of an image's first frame.

    Raises:
      InputSkipped: The file is not DICOM, holds no image, or lacks an identifier.
    """
    return read_headers(path)[0]


def check_frame(header: FrameHeader, rules: PixelRules = _DEFAULT_RULES) -> None:
    """Refuses a frame that the rules leave out, before anything is allocated.

    Raises:
      InputSkipped: It is too large, in color, or of a number of samples that no
        record holds.
    """
    size = header.rows * header.columns
    if size > rules.max_frame_pixels:
        detail = (
            f"{header.rows} rows x {header.columns} columns, at most "
            f"{rules.max_frame_pixels} pixels"
        )
        raise InputSkipped("frame_too_large", detail)
    if header.samples not in (1, 3):
        detail = f"{header.samples} samples per pixel"
        raise InputSkipped("pixels_unsupported", detail)
    if header.samples == 3 and rules.color == "refuse":
        raise InputSkipped("color_image")


def read_frame(
    path: pathlib.Path,
    header: FrameHeader | None = None,
    rules: PixelRules = _DEFAULT_RULES,
) -> Frame:
    """Reads and decodes one frame of a file.

    Args:
      path: The file.
      header: Of the frame; None reads the header of a file with one frame.
      rules: Which pixels are read, and how much it may take.

    Raises:
      InputSkipped: There are no pixels, or they cannot be decoded or stored.
    """
    header = _only_header(path) if header is None else header
    check_frame(header, rules)
    if header.native is not None:
        pixels = native_pixels.read(path, header.native)
    else:
        pixels = _decoded(path, header, rules)
    return Frame(pixels, header.attributes)


def _only_header(path: pathlib.Path) -> FrameHeader:
    headers = read_headers(path)
    if len(headers) > 1:
        raise InputSkipped("pixels_unsupported", f"{len(headers)} frames")
    return headers[0]


def _decoded(path: pathlib.Path, header: FrameHeader, rules: PixelRules) -> np.ndarray:
    if not header.has_pixels:
        name = element_name("PixelData")
        detail = f"no {name}; a file that was cut off looks like this"
        raise InputSkipped("no_pixel_data", detail)
    try:
        with remote_files.local_copy(path) as near:
            pixels = decoder_supervisor.supervisor(rules.decode_bytes).decode(
                near,
                header.frame_number - 1,
                syntax=header.transfer_syntax,
                size=header.rows * header.columns * header.samples * _LARGEST_SAMPLE,
                seconds=rules.decode_seconds,
            )
    except OSError as error:
        raise InputSkipped("file_unreadable", error.strerror or str(error)) from error
    shape = (header.rows, header.columns, header.samples)
    if pixels.dtype.name not in PIXEL_DTYPES or (*pixels.shape, 1)[:3] != shape:
        found = f"{pixels.dtype.name} of shape {pixels.shape}"
        raise InputSkipped("pixels_unsupported", found)
    return pixels
