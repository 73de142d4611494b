"""The header of a segmentation: its segments, its frames, and what it names.

PS3.3 A.51 and C.8.20. Objects that lack what makes them readable are refused, with the
element that is at fault.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from tfdicom import files
from tfdicom.dicom_elements import items, number, quiet, text
from tfdicom.reasons import InputSkipped
from tfdicom.sources.annotation_objects import AnnotatedItem, LeftItem
from tfdicom.sources.plane_grids import smallest_gap
from tfdicom.sources.seg_frames import (
    SegmentFrame,
    Source,
    malformed,
    read_frames,
    sources_of,
    whole_number,
)
from tfdicom.spatial import ImagePlane

BINARY, FRACTIONAL, LABELMAP = "BINARY", "FRACTIONAL", "LABELMAP"
OCCUPANCY, PROBABILITY = "OCCUPANCY", "PROBABILITY"
_BITS = {BINARY: (1,), FRACTIONAL: (8,), LABELMAP: (8, 16)}
# Of a frame: before a decoder makes room for what a damaged header claims.
_MOST_PIXELS = 1 << 26
_TILED = ("TILED_FULL", "TILED_SPARSE")
_CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")


@dataclasses.dataclass(frozen=True)
class SegmentationHeader:
    """A segmentation without its pixels.

    Attributes:
      kind: ``BINARY``, ``FRACTIONAL`` or ``LABELMAP``.
      fractions: ``OCCUPANCY`` (how much of a pixel is covered) or ``PROBABILITY``;
        empty where there are none.
      maximum: Maximum Fractional Value (0062,000E); 1 where there are no fractions.
      background: Value of a label map's pixels that belong to no segment.
      rows: Of each frame.
      columns: Of each frame.
      segments: Segments that can be used.
      left: Segments that cannot.
      frames: In the order of the file.
      sources: Images that the object as a whole names.
      series: Series Instance UIDs that it names.
      frame_of_reference: Empty if there is none.
    """

    kind: str
    fractions: str
    maximum: int
    background: int
    rows: int
    columns: int
    segments: tuple[AnnotatedItem, ...]
    left: tuple[LeftItem, ...]
    frames: tuple[SegmentFrame, ...]
    sources: tuple[Source, ...]
    series: tuple[str, ...]
    frame_of_reference: str

    @property
    def every_source(self) -> tuple[Source, ...]:
        """Images that the object or a frame of it names, each once."""
        of_frames = (source for frame in self.frames for source in frame.sources)
        return tuple(dict.fromkeys((*self.sources, *of_frames)))

    def slice_thickness(self, frame: SegmentFrame) -> float | None:
        """How far a frame fills space along its normal, mm; None if it does not say.

        Never further than to the next frame: tools write the thickness of overlapping
        slices. But a distance alone says nothing, as empty frames may be missing.
        """
        if frame.plane is None or frame.thickness is None:
            return None
        gap = self._gaps[frame.plane.orientation]
        return frame.thickness if gap is None else min(gap, frame.thickness)

    @functools.cached_property
    def _gaps(self) -> dict[tuple[float, ...], float | None]:
        """Smallest distance between frames, by their orientation."""
        planes = dict.fromkeys(frame.plane for frame in self.frames if frame.plane)
        groups: dict[tuple[float, ...], list[ImagePlane]] = defaultdict(list)
        for plane in planes:
            groups[plane.orientation].append(plane)
        return {one: smallest_gap(group) for one, group in groups.items()}


def read(path: pathlib.Path) -> tuple[SegmentationHeader, Dataset]:
    """Reads the header.

    Returns:
      What it says of segments and frames, and the data set up to the pixels.

    Raises:
      InputSkipped: The file cannot be read, or is no segmentation that can be used.
    """
    try:
        with files.opened(path) as file, quiet():
            dataset = pydicom.dcmread(file, stop_before_pixels=True)
            header = of_dataset(dataset)
            _check_length(file, dataset, header)
    except InputSkipped:
        raise
    except InvalidDicomError as error:
        raise InputSkipped("not_dicom", "no DICM prefix") from error
    except OSError as error:
        raise InputSkipped("file_unreadable", error.strerror or str(error)) from error
    except Exception as error:  # a damaged file can raise anything
        raise InputSkipped("not_dicom", f"{type(error).__name__}: {error}") from error
    return header, dataset


def of_dataset(dataset: Dataset) -> SegmentationHeader:
    """What a data set says of segments and frames.

    Raises:
      InputSkipped: It is no segmentation that can be used.
    """
    kind = _kind(dataset)
    rows, columns = (whole_number(dataset, one, 1) for one in ("Rows", "Columns"))
    if rows * columns > _MOST_PIXELS:
        raise malformed("Rows", f"{rows} rows of {columns} columns are too many")
    padding = number(dataset, "PixelPaddingValue") if kind == LABELMAP else None
    segments, left = segments_of(dataset, lowest=0 if kind == LABELMAP else 1)
    fractional = kind == FRACTIONAL
    frames = read_frames(dataset, name_segments=kind != LABELMAP)
    parts = Counter(one.segment for one in frames)
    return SegmentationHeader(
        kind=kind,
        fractions=_fractions(dataset) if fractional else "",
        maximum=whole_number(dataset, "MaximumFractionalValue", 1) if fractional else 1,
        background=int(padding or 0),
        rows=rows,
        columns=columns,
        # Label maps may describe their background like a segment.
        segments=tuple(
            dataclasses.replace(one, parts=parts[one.number] + parts[None])
            for one in segments
            if one.number != padding
        ),
        left=left,
        frames=frames,
        sources=tuple(_sources(dataset)),
        series=tuple(
            text(one, "SeriesInstanceUID")
            for one in items(dataset, "ReferencedSeriesSequence")
            if text(one, "SeriesInstanceUID")
        ),
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
    )


def _choice(dataset: Dataset, keyword: str, allowed: Sequence[str]) -> str:
    found = text(dataset, keyword).upper()
    if found not in allowed:
        wanted = ", ".join(allowed)
        raise malformed(keyword, f"one of {wanted} is wanted, got {found or 'nothing'}")
    return found


def _kind(dataset: Dataset) -> str:
    kind = _choice(dataset, "SegmentationType", tuple(_BITS))
    bits = whole_number(dataset, "BitsAllocated", 1)
    if bits not in _BITS[kind]:
        wanted = " or ".join(map(str, _BITS[kind]))
        raise malformed("BitsAllocated", f"{wanted} is wanted in {kind}, got {bits}")
    if (number(dataset, "SamplesPerPixel") or 1) != 1:
        raise malformed("SamplesPerPixel", "1 is wanted")
    if text(dataset, "DimensionOrganizationType") in _TILED:
        raise InputSkipped("seg_unsupported", "tiles of a slide")
    return kind


def _fractions(dataset: Dataset) -> str:
    kinds = (OCCUPANCY, PROBABILITY)
    return _choice(dataset, "SegmentationFractionalType", kinds)


def segments_of(
    dataset: Dataset, *, lowest: int
) -> tuple[tuple[AnnotatedItem, ...], tuple[LeftItem, ...]]:
    """The segments that are described, and those that cannot be told apart.

    Args:
      dataset: A segmentation.
      lowest: The lowest segment number.

    Raises:
      InputSkipped: None is described, or one has no number.
    """
    described = items(dataset, "SegmentSequence")
    if not described:
        raise malformed("SegmentSequence", "no segment is described")
    numbers = [whole_number(one, "SegmentNumber", lowest) for one in described]
    count = Counter(numbers)
    used = tuple(
        AnnotatedItem(number, tuple(dict.fromkeys(_names(number, segment))))
        for number, segment in zip(numbers, described, strict=True)
        if count[number] == 1
    )
    left = [LeftItem(one, None, "seg_segment_twice") for one in count if count[one] > 1]
    return used, tuple(left)


def _names(number: int, segment: Dataset) -> Iterator[str]:
    if text(segment, "SegmentLabel"):
        yield text(segment, "SegmentLabel")
    yield f"#{number}"
    for part in ("Type", "Category"):
        for code in items(segment, f"SegmentedProperty{part}CodeSequence"):
            if text(code, "CodeMeaning"):
                yield text(code, "CodeMeaning")
            values = filter(None, (text(code, keyword) for keyword in _CODE_VALUES))
            for value in values:
                yield f"{text(code, 'CodingSchemeDesignator')}:{value}"


def _sources(dataset: Dataset) -> Iterator[Source]:
    """Images that the whole object names, with frame numbers where it gives them."""
    exact = [
        source
        for reference in items(dataset, "SourceImageSequence")
        for source in sources_of(reference)
    ]
    yield from exact
    # A series names whole instances, also where the source images say which frames.
    known = {source.instance for source in exact}
    for series in items(dataset, "ReferencedSeriesSequence"):
        for reference in items(series, "ReferencedInstanceSequence"):
            for source in sources_of(reference):
                if source.instance not in known:
                    yield source


def _check_length(file: BinaryIO, dataset: Dataset, header: SegmentationHeader) -> None:
    """Refuses what is not written in a known way, and pixels that do not suffice."""
    syntax = UID(text(dataset.file_meta, "TransferSyntaxUID"))
    if not syntax.is_transfer_syntax or not syntax.is_little_endian:
        raise InputSkipped("seg_unsupported", f"transfer syntax {syntax.name}")
    if syntax.is_encapsulated or syntax.is_deflated:
        return
    # The file stands before Pixel Data: tag, VR (if it is there), length.
    element = file.read(8 if syntax.is_implicit_VR else 12)
    length = struct.unpack("<I", element[-4:])[0] if len(element) >= 8 else 0
    here = file.tell()
    length = min(length, file.seek(0, 2) - here)
    bits = header.rows * header.columns * len(header.frames)
    wanted = (bits * whole_number(dataset, "BitsAllocated", 1) + 7) // 8
    if length < wanted:
        detail = f"{wanted} bytes are wanted, got {length}"
        raise InputSkipped("seg_pixels_too_short", detail)
