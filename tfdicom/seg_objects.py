"""Builds segmentations with highdicom, also for images whose headers are wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from tfdicom.dicom_elements import element_name, text
from tfdicom.mended_headers import mended_sources
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
    # Frames are placed together only by the functional groups of enhanced images.
    single = frame.frame_count > 1 and not frame.is_enhanced
    return (
        *names,
        text(header, "SOPInstanceUID") if alone else "",
        str(frame.frame_number) if single else "",
        frame.rater,
        "" if alone else text(header, "TemporalPositionIdentifier"),
    )


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
      frames: Its source frames, which fit together and are of one rater; of one file
        if that has several, and a single one if that is not enhanced.
      masks: bool ``[frames, rows, columns, classes]``.
      segments: What is segmented.
      described: Classes that the object describes.

    Returns:
      A ``highdicom.seg.Segmentation``, and what was changed on the way.

    Raises:
      ValueError: The headers of the frames do not suffice, or classes overlap in a
        label map.
    """
    import highdicom  # costs 0.4 s

    names = [name for name, one in zip(segments.classes, described, strict=True) if one]
    masks = masks[..., np.array(described, bool)]
    sources, notes = mended_sources(frames)
    pixels = _pixels(frames, masks, segments.kind, names)
    with lenient(), _refusing(frames[0].header):
        dataset = highdicom.seg.Segmentation(
            source_images=sources,
            pixel_array=pixels,
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
    if frames[0].rater:
        dataset.ContentCreatorName = frames[0].rater
    _name_sources(dataset, frames)
    return dataset, notes


@contextlib.contextmanager
def _refusing(header: Dataset) -> Iterator[None]:
    """Says of which kind of image an error is that highdicom raises."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        kind = text(header, "SOPClassUID") or "none"
        raise ValueError(
            "no segmentation can be made for an image of "
            f"{element_name('SOPClassUID')} {kind}: {error}; leave its masks out, or "
            "add to the source what is missing"
        ) from error


@contextlib.contextmanager
def lenient() -> Iterator[None]:
    """Values that came with the source may stay as they are; no talk about it."""
    settings, logger = pydicom.config.settings, logging.getLogger("highdicom")
    level = logger.level
    before = settings.reading_validation_mode, settings.writing_validation_mode
    settings.reading_validation_mode = pydicom.config.IGNORE
    settings.writing_validation_mode = pydicom.config.IGNORE
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings.reading_validation_mode, settings.writing_validation_mode = before
        logger.setLevel(level)


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
    else:
        masks = masks.astype(np.uint8)
    count = frames[0].frame_count
    if not frames[0].is_enhanced:
        return masks
    whole = np.zeros((count, *masks.shape[1:]), masks.dtype)
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


def _name_sources(dataset: Any, frames: Sequence[SourceFrame]) -> None:
    """Says of which kind the source is, and which frames of it are meant if not all."""
    some = [frame.frame_number for frame in frames]
    if frames[0].frame_count in (1, len(frames)):
        some = []
    sop_class = text(frames[0].header, "SOPClassUID")

    def name(item: Dataset, element: pydicom.DataElement) -> None:
        if element.keyword == "ReferencedSOPClassUID":
            element.value = sop_class

    if not frames[0].is_enhanced:  # highdicom was told of another kind, without frames
        dataset.walk(name)
    references = list(dataset.SourceImageSequence)
    if not frames[0].is_enhanced:
        references += [
            source
            for groups in dataset.PerFrameFunctionalGroupsSequence
            for derivation in groups.get("DerivationImageSequence", ())
            for source in derivation.SourceImageSequence
        ]
    for reference in references if some else ():
        reference.ReferencedFrameNumber = some
