"""DICOM segmentations: what they describe, on which images, and the masks.

PS3.3 A.51 and C.8.20; pixels are read by highdicom. A described segment is annotated
on the images that the object names: where it has no frame there, it is absent.
"""

from __future__ import annotations

import functools
import io
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tfdicom import decoder_supervisor, files, remote_files
from tfdicom.dicom import PixelRules
from tfdicom.dicom_elements import quiet, text
from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.sources import annotation_objects, seg_header, seg_placement, seg_sampling
from tfdicom.sources.annotation_objects import (
    AnnotationObject,
    Drawing,
    DrawingRules,
    Matches,
)
from tfdicom.sources.seg_frames import SegmentFrame
from tfdicom.sources.seg_header import (
    FRACTIONAL,
    LABELMAP,
    OCCUPANCY,
    SegmentationHeader,
)

# Numbers such as 0.07 x 100 are a little above the value that is meant.
_ROUNDING = 1e-6
_LARGEST_SAMPLE = 2  # bytes


def read_object(path: pathlib.Path, name: str) -> AnnotationObject:
    """Reads what a segmentation describes, without its pixels.

    Args:
      path: The file.
      name: Its path relative to the input folder.

    Raises:
      InputSkipped: It cannot be read, or lacks what makes a segmentation.
    """
    header, dataset = seg_header.read(path)
    with quiet():
        return _described(header, dataset, name)


def _described(
    header: SegmentationHeader, dataset: Dataset, name: str
) -> AnnotationObject:
    return AnnotationObject(
        path=name,
        kind="seg",
        patient_id=text(dataset, "PatientID"),
        instance=text(dataset, "SOPInstanceUID"),
        study=text(dataset, "StudyInstanceUID"),
        created=_created(dataset),
        rater=text(dataset, "ContentCreatorName"),
        frame_of_reference=header.frame_of_reference,
        referenced_series=header.series,
        referenced_instances=tuple(
            dict.fromkeys(source.instance for source in header.every_source)
        ),
        items=header.segments,
        left=header.left,
    )


def _created(dataset: Dataset) -> str:
    """Date and time of the content or else of the series."""
    return annotation_objects.created(
        (text(dataset, f"{kind}Date"), text(dataset, f"{kind}Time"))
        for kind in ("Content", "Series", "InstanceCreation")
    )


def match(
    path: pathlib.Path,
    described: AnnotationObject,
    frames: Sequence[FrameHeader],
    items: Sequence[int],
) -> Matches:
    """Says which frames of a segmentation lie on which images.

    Images are compared by position, orientation, spacing and size. Frames on an equal
    grid are taken as they are; those on another are sampled at the image's pixels if
    both lie in one Frame of Reference. Frames and images without a position go
    together where one names the other and sizes are equal.

    Args:
      path: The file.
      described: What `read_object` gave.
      frames: Images that may be meant.
      items: Segment numbers.

    Raises:
      InputSkipped: The file cannot be read any more.
    """
    del described  # the frames' groups are not part of it, so the file is read again
    header, _ = seg_header.read(path)
    return seg_placement.place(header, frames, items)


def draw(
    path: pathlib.Path,
    item: int,
    parts: Sequence[int],
    frame_header: FrameHeader,
    rules: DrawingRules,
) -> Drawing:
    """The mask of a segment on an image.

    Args:
      path: The file.
      item: Segment Number.
      parts: Frames that `match` found there, from 1; none gives an empty mask.
      frame_header: The image.
      rules: Of these, the threshold and whether fractions are wanted count here.

    Returns:
      The mask; fractions only of segmentations whose fractions are OCCUPANCY.

    Raises:
      InputSkipped: Pixels cannot be read, or are FRACTIONAL and there is no threshold.
    """
    shape = (frame_header.rows, frame_header.columns)
    if not parts:
        return Drawing(np.zeros(shape, bool))
    opened = _open(path)
    header = opened.header
    threshold = _threshold(header, rules)
    findings: set[str] = set()
    same: list[SegmentFrame] = []
    others: list[SegmentFrame] = []
    for frame in (header.frames[part - 1] for part in parts):
        fits = seg_placement.is_same_grid(frame, header, frame_header)
        (same if fits else others).append(frame)
    layers = [opened.segment_values(item, frame, findings) for frame in same]
    if others:
        findings.add("seg_resampled")
        layers.append(_sampled(opened, item, others, frame_header, findings))
    values = np.max(layers, axis=0)
    fraction = None
    if header.fractions == OCCUPANCY and rules.covered_fraction:
        fraction = (values / header.maximum).astype(np.float32)
    return Drawing(values >= threshold, fraction, findings=tuple(sorted(findings)))


def _threshold(header: SegmentationHeader, rules: DrawingRules) -> float:
    """The smallest value that is in."""
    if header.kind != FRACTIONAL:
        return 1.0
    if rules.fractional_threshold is None:
        detail = f"its fractions are {header.fractions}"
        raise InputSkipped("seg_fractional_without_threshold", detail)
    return rules.fractional_threshold * header.maximum - _ROUNDING


def _sampled(
    opened: _Opened,
    item: int,
    frames: Sequence[SegmentFrame],
    image: FrameHeader,
    findings: set[str],
) -> np.ndarray:
    """Values of frames on another grid at the image's pixels, 0 outside of them."""
    shape = (image.rows, image.columns)
    if image.plane is None:
        raise InputSkipped("seg_other_size", "the image has no position")
    values = np.zeros(shape, np.uint16)
    for stack, members in seg_sampling.stacks(opened.header, frames):
        place, row, column = stack.nearest(image.plane, shape)
        for number, frame in enumerate(members):
            here = place == number
            if here.any():
                stored = opened.segment_values(item, frame, findings)
                sampled = stored[row[here], column[here]]
                values[here] = np.maximum(values[here], sampled)
    return values


class _Opened:
    """A segmentation with access to its pixels."""

    def __init__(self, path: pathlib.Path) -> None:
        self.header, dataset = seg_header.read(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._read = _frame_reader(path, dataset)
        except Exception as error:  # objects of others break it in many ways
            detail = f"{type(error).__name__}: {error}"
            raise InputSkipped("seg_unreadable", detail) from error

    def segment_values(
        self, item: int, frame: SegmentFrame, findings: set[str]
    ) -> np.ndarray:
        """Values ``[rows, columns]`` of a segment in a frame; in a label map 0 or 1."""
        stored = self._stored(frame.number)
        if self.header.kind == LABELMAP:
            known = [one.number for one in self.header.segments]
            if not np.isin(stored, [*known, self.header.background]).all():
                findings.add("seg_value_not_described")
            return (stored == item).astype(np.uint16)
        highest = int(stored.max())
        if highest > self.header.maximum:
            detail = f"a pixel is {highest}, at most {self.header.maximum} is allowed"
            raise InputSkipped("seg_malformed", detail)
        return stored

    def _stored(self, number: int) -> np.ndarray:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stored = self._read(number)
        except InputSkipped:
            raise
        except Exception as error:  # decoders raise anything
            detail = f"frame {number}: {type(error).__name__}: {error}"
            raise InputSkipped("pixels_unreadable", detail) from error
        if stored.shape != (self.header.rows, self.header.columns):
            detail = f"frame {number} is of shape {stored.shape}"
            raise InputSkipped("pixels_unreadable", detail)
        return stored


def _frame_reader(path: pathlib.Path, dataset: Dataset) -> Callable[[int], np.ndarray]:
    """What gives the stored values of a frame, by its number from 1.

    highdicom's class for segmentations is not used: it takes a millisecond for each
    frame of the file, and refuses objects for elements that masks do not need.
    """
    if UID(dataset.file_meta.TransferSyntaxUID).is_encapsulated:
        return functools.partial(_decoded, path, dataset)
    import highdicom  # costs 0.4 s, and most files are no segmentation
    from highdicom.io import ImageFileReader

    if _frame_by_frame(dataset) and isinstance(path, os.PathLike):
        reader = ImageFileReader(os.fspath(path))

        def read(number: int) -> np.ndarray:
            with reader:  # prints the path and a trace of what is raised inside
                try:
                    return reader.read_frame(number - 1)
                except Exception as error:  # decoders raise anything
                    failure = error
            raise failure

        return read
    return highdicom.imread(io.BytesIO(files.read_bytes(path))).get_stored_frame


def _decoded(path: pathlib.Path, dataset: Dataset, number: int) -> np.ndarray:
    """A compressed frame, by the child that may crash."""
    limits = PixelRules()
    with remote_files.local_copy(path) as near:
        return decoder_supervisor.supervisor(limits.decode_bytes).decode(
            near,
            number - 1,
            syntax=str(dataset.file_meta.TransferSyntaxUID),
            size=int(dataset.Rows) * int(dataset.Columns) * _LARGEST_SAMPLE,
            seconds=limits.decode_seconds,
        )


def _frame_by_frame(dataset: Dataset) -> bool:
    """Whether highdicom finds single frames in the file.

    It reads too few bytes of a frame of single bits that begins inside a byte, and
    does not inflate.
    """
    bits = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated)
    return bits % 8 == 0 and not UID(dataset.file_meta.TransferSyntaxUID).is_deflated


def _open(path: pathlib.Path) -> _Opened:
    """The file, kept while it stays the same: hundreds of frames are drawn from one."""
    return _opened(path, files.stamp(path))


@functools.lru_cache(maxsize=4)
def _opened(path: pathlib.Path, stamp: files.Stamp) -> _Opened:
    return _Opened(path)
