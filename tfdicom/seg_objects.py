"""Builds segmentations with highdicom, also for images whose headers are wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tfdicom.dicom_elements import element_name, text
from tfdicom.mended_headers import mended
from tfdicom.source_images import SourceFrame
from tfdicom.sources import plane_grids
from tfdicom.spatial import ImagePlane
from tfdicom.version import VERSION

BINARY, LABELMAP = "BINARY", "LABELMAP"
#: What a class is if nobody says: of SNOMED CT, as category and as type.
TISSUE = ("85756007", "SCT", "Tissue")
_SAME_PLACE_MM = 0.01
# Frames of an object have one orientation and spacing, those of the first. Far less
# than what makes another grid when the object is read.
_SAME_PIXEL = plane_grids.SAME_PIXEL / 5


@dataclasses.dataclass(frozen=True)
class Segments:
    """What is segmented, and how.

    Attributes:
      classes: Names, in the order of the masks' planes.
      codes: Code value, coding scheme and meaning of a class.
      kind: ``BINARY`` or ``LABELMAP``.
      algorithm: Name of what made the masks; None for a human.
    """

    classes: tuple[str, ...]
    codes: Mapping[str, tuple[str, str, str]]
    kind: str
    algorithm: str | None

    def __post_init__(self) -> None:
        """Refuses names and options that are not allowed."""
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes={self.classes}: name each class once")
        unknown = set(self.codes) - set(self.classes)
        if unknown:
            raise ValueError(
                f"codes: no class {min(unknown)!r}; they are {', '.join(self.classes)}"
            )
        if self.kind not in (BINARY, LABELMAP):
            raise ValueError(
                f"segmentation_type={self.kind!r}: choose one of {BINARY}, {LABELMAP}"
            )


def series_key(frame: SourceFrame) -> tuple[str, ...]:
    """Frames with different ones never share an object."""
    header = frame.header
    names = [text(header, f"{name}InstanceUID") for name in ("Study", "Series")]
    if not all(names):
        raise ValueError(
            f"a source image has no {element_name('StudyInstanceUID')} or no "
            f"{element_name('SeriesInstanceUID')}; a segmentation cannot refer to it"
        )
    # Objects refer to one multi-frame image, and an image without a place is alone.
    alone = frame.frame_count > 1 or frame.plane is None
    return (*names, text(header, "SOPInstanceUID") if alone else "")


def places(frames: Sequence[SourceFrame]) -> list[tuple[Any, ...]]:
    """For each frame of a series where it belongs: the same for those that fit.

    Fitting are frames of one size, orientation and spacing; of those that lie in one
    place, the first of each place fit, then the second, and so on.
    """
    grids: list[tuple[tuple[int, int], ImagePlane]] = []
    taken: list[list[np.ndarray]] = []
    found: list[tuple[Any, ...]] = []
    for frame in frames:
        plane = frame.plane
        if plane is None or frame.frame_count > 1:
            found.append((0, 0))
            continue
        grid = _place_of_grid(frame.shape, plane, grids)
        if grid == len(taken):
            taken.append([])
        position = np.array(plane.position)
        phase = sum(
            bool(np.linalg.norm(position - other) <= _SAME_PLACE_MM)
            for other in taken[grid]
        )
        taken[grid].append(position)
        found.append((grid, phase))
    return found


def _place_of_grid(
    shape: tuple[int, int],
    plane: ImagePlane,
    grids: list[tuple[tuple[int, int], ImagePlane]],
) -> int:
    for place, (other_shape, other) in enumerate(grids):
        moved = dataclasses.replace(other, position=plane.position)
        fits = shape == other_shape
        if fits and plane_grids.is_same(plane, moved, shape, pixels=_SAME_PIXEL):
            return place
    grids.append((shape, plane))
    return len(grids) - 1


def build(
    frames: Sequence[SourceFrame],
    masks: np.ndarray,
    segments: Segments,
    described: Sequence[bool],
) -> tuple[Any, list[str]]:
    """Builds one segmentation.

    Args:
      frames: Its source frames, which fit together; of one file if that has several.
      masks: bool ``[frames, rows, columns, classes]``.
      segments: What is segmented.
      described: Classes that the object describes.

    Returns:
      A ``highdicom.seg.Segmentation``, and what was changed on the way.
    """
    import highdicom  # costs 0.4 s

    names = [name for name, one in zip(segments.classes, described, strict=True) if one]
    masks = masks[..., np.array(described, bool)]
    sources, notes = _sources(frames)
    with lenient():
        dataset = highdicom.seg.Segmentation(
            source_images=sources,
            pixel_array=_pixels(frames, masks, segments.kind, names),
            segmentation_type=segments.kind,
            segment_descriptions=[
                _description(number, name, segments)
                for number, name in enumerate(names, 1)
            ],
            series_instance_uid=highdicom.UID(),
            series_number=1,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="tfdicom",
            manufacturer_model_name="tfdicom",
            software_versions=VERSION,
            device_serial_number="0",
            content_label="SEGMENTATION",
            series_description="Segmentation by tfdicom",
        )
    _name_frames(dataset, frames)
    return dataset, notes


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Values that came with the source may stay as they are."""
    settings = pydicom.config.settings
    before = settings.reading_validation_mode, settings.writing_validation_mode
    settings.reading_validation_mode = pydicom.config.IGNORE
    settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings.reading_validation_mode, settings.writing_validation_mode = before


def _pixels(
    frames: Sequence[SourceFrame],
    masks: np.ndarray,
    kind: str,
    names: Sequence[str],
) -> np.ndarray:
    """Pixels as highdicom takes them: a frame for each frame of the source."""
    if kind == LABELMAP:
        overlap = int((masks.sum(axis=-1) > 1).sum())
        if overlap:
            raise ValueError(
                f"segmentation_type='LABELMAP': {overlap} pixels are of two of the "
                f"classes {', '.join(names)}; choose BINARY"
            )
        # The overlap is none, so the sum is the label.
        dtype = np.uint8 if len(names) < 256 else np.uint16
        labels = np.arange(1, len(names) + 1, dtype=dtype)
        masks = (masks * labels).sum(axis=-1, dtype=dtype)
    count = frames[0].frame_count
    if count == 1:
        return masks if kind == LABELMAP else masks.astype(np.uint8)
    whole = np.zeros((count, *masks.shape[1:]), masks.astype(np.uint8).dtype)
    whole[[frame.frame_number - 1 for frame in frames]] = masks
    return whole


def _description(number: int, name: str, segments: Segments) -> Any:
    import highdicom

    identification = None
    if segments.algorithm is not None:
        identification = highdicom.AlgorithmIdentificationSequence(
            name=segments.algorithm,
            family=highdicom.sr.CodedConcept(
                "123110", "DCM", "Artificial Intelligence"
            ),
            version=VERSION,
        )
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=highdicom.sr.CodedConcept(*TISSUE),
        segmented_property_type=highdicom.sr.CodedConcept(
            *segments.codes.get(name, TISSUE)
        ),
        algorithm_type="AUTOMATIC" if identification else "MANUAL",
        algorithm_identification=identification,
    )


def _sources(frames: Sequence[SourceFrame]) -> tuple[list[Dataset], list[str]]:
    """Headers that highdicom accepts, and what was changed in them."""
    several = frames[0].frame_count > 1
    headers = [frames[0].header] if several else [frame.header for frame in frames]
    changes: dict[str, None] = {}
    sources = []
    for header in headers:
        source, blanked = mended(header, multi_frame=several)
        sources.append(source)
        changes |= dict.fromkeys(blanked)
    if not several and frames[0].plane is None:
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
            if keyword in sources[0]:
                del sources[0][keyword]
                changes["a position that makes no sense was left out"] = None
        return sources, list(changes)
    for one in () if several else sources:
        one.ImageOrientationPatient = sources[0].ImageOrientationPatient
        one.PixelSpacing = sources[0].PixelSpacing
    spaces = {text(one, "FrameOfReferenceUID") for one in sources}
    if len(spaces) > 1 or "" in spaces:
        series = text(sources[0], "SeriesInstanceUID")
        common = generate_uid(entropy_srcs=["frame of reference", series])
        for one in sources:
            one.FrameOfReferenceUID = common
        changes[
            "the images of a segmentation have different Frames of Reference or none; "
            "it has a new one"
        ] = None
    return sources, list(changes)


def _name_frames(dataset: Any, frames: Sequence[SourceFrame]) -> None:
    """Says which frames of a multi-frame image are annotated, if not all are."""
    if len(frames) == frames[0].frame_count:
        return
    for reference in dataset.SourceImageSequence:
        reference.ReferencedFrameNumber = [frame.frame_number for frame in frames]
