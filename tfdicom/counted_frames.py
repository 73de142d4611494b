"""Frames that are read, with how often each of their values occurs."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from tfdicom import dicom
from tfdicom.dicom import Frame, PixelRules
from tfdicom.frame_headers import FrameHeader
from tfdicom.value_counts import PixelCounts, Rescale, count_pixels


@dataclasses.dataclass(frozen=True)
class CountedFrame:
    """A frame as it was read, and the counts of its values."""

    decoded: Frame
    counts: PixelCounts

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.decoded.pixels.nbytes + self.counts.nbytes


def read_counted(
    path: pathlib.Path, header: FrameHeader, rules: PixelRules
) -> CountedFrame:
    """Reads and decodes a frame, and counts its values.

    Raises:
      InputSkipped: There are no pixels, or they cannot be decoded or stored.
    """
    decoded = dicom.read_frame(path, header, rules)
    return CountedFrame(decoded, count(decoded, decoded.pixels))


def count(frame: Frame, pixels: np.ndarray) -> PixelCounts:
    """Counts pixels of a frame, all or some."""
    names = ("rescale_slope", "rescale_intercept", "padding")
    return count_pixels(pixels, Rescale(*(frame.attributes[name] for name in names)))
