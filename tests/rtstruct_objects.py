"""Builds RT Structure Sets, and the headers of the frames that they outline."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from tests.source_folders import uid
from tfdicom.frame_headers import FrameHeader
from tfdicom.sources import rtstruct
from tfdicom.sources.annotation_objects import Drawing, DrawingRules, Matches
from tfdicom.spatial import ImagePlane

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
#: Rows go up the gantry, which is tilted by 20 degrees.
TILTED = (1.0, 0.0, 0.0, 0.0, 0.9396926207859084, -0.3420201433256687)
SHAPE = (40, 48)
SPACING = (1.5, 1.25)


def header(plane: ImagePlane | None, number: Any = 1, **fields: Any) -> FrameHeader:
    """The header of an image that has nothing special."""
    usual = {
        "patient_id": "P1",
        "study": uid("study"),
        "series": uid("series"),
        "instance": uid("instance", number),
        "modality": "CT",
        "rows": SHAPE[0],
        "columns": SHAPE[1],
        "bytes_per_pixel": 2,
        "plane": plane,
        "temporal_order": (0.0, 0.0, 0.0),
        "burned_in": False,
        "frame_of_reference": uid("frame of reference"),
    }
    return FrameHeader(**{**usual, **fields})


def headers(
    distances: Sequence[float],
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = SPACING,
    shift: Sequence[float] | None = None,
    name: str = "",
    **fields: Any,
) -> list[FrameHeader]:
    """Headers of slices at some distances along the normal, mm.

    ``shift`` is what the position moves by per mm; along the normal by default, along
    the table where the gantry is tilted.
    """
    if name:
        fields = {"series": uid("series", name), **fields}
    step = np.cross(orientation[:3], orientation[3:]) if shift is None else shift
    found = []
    for number, distance in enumerate(distances):
        position = tuple(np.array([-20.0, -30.0, 40.0]) + distance * np.array(step))
        plane = ImagePlane(position, tuple(orientation), spacing)
        found.append(header(plane, (name, number), **fields))
    return found


def header_of(path: pathlib.Path) -> FrameHeader:
    """The header of an image file."""
    image = pydicom.dcmread(path, stop_before_pixels=True)
    plane = ImagePlane(
        tuple(map(float, image.ImagePositionPatient)),
        tuple(map(float, image.ImageOrientationPatient)),
        tuple(map(float, image.PixelSpacing)),
    )
    return header(
        plane,
        series=str(image.SeriesInstanceUID),
        instance=str(image.SOPInstanceUID),
        rows=int(image.Rows),
        columns=int(image.Columns),
        frame_of_reference=str(image.FrameOfReferenceUID),
    )


@dataclasses.dataclass(frozen=True)
class Outline:
    """A contour: pixels of a frame, or points in mm; names the frame if asked to."""

    vertices: Any
    frame: FrameHeader | None = None
    role: str | None = "CLOSED_PLANAR"
    names: Sequence[tuple[str, int | None]] | None = None

    def points(self) -> np.ndarray:
        if self.frame is None or np.shape(self.vertices)[-1] == 3:
            return np.asarray(self.vertices, dtype=float)
        return self.frame.plane.to_patient(np.asarray(self.vertices, dtype=float))


def _sequence(*found: dict[str, Any]) -> pydicom.Sequence:
    items = []
    for elements in found:
        item = pydicom.Dataset()
        for keyword, value in elements.items():
            if value is not None:
                setattr(item, keyword, value)
        items.append(item)
    return pydicom.Sequence(items)


def contour_item(outline: Outline, digits: int = 6) -> dict[str, Any]:
    points = outline.points()
    names = outline.names
    if names is None:
        names = [(outline.frame.instance, None)] if outline.frame else []
    images = [
        {"ReferencedSOPInstanceUID": one, "ReferencedFrameNumber": frame}
        for one, frame in names
    ]
    return {
        "ContourImageSequence": _sequence(*images) if images else None,
        "ContourGeometricType": outline.role,
        "NumberOfContourPoints": len(points),
        "ContourData": [f"{value:.{digits}f}" for value in points.ravel()],
    }


def structure_set(
    rois: Sequence[tuple[int, str, Sequence[Outline]]],
    frames: Sequence[FrameHeader] = (),
    *,
    digits: int = 6,
    **elements: Any,
) -> pydicom.Dataset:
    """A structure set.

    Args:
      rois: Number, name and contours of each.
      frames: Frames that it lists as those it was drawn on.
      digits: Decimals of the coordinates.
      **elements: Other elements by keyword.
    """
    with pydicom.config.disable_value_validation():
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = RTStructureSetStorage
        dataset.SOPInstanceUID = uid("structure set")
        dataset.PatientID, dataset.StudyInstanceUID = "P1", uid("study")
        dataset.Modality = "RTSTRUCT"
        dataset.ReferencedFrameOfReferenceSequence = _references(frames)
        only = frames[0].frame_of_reference if frames else None
        dataset.StructureSetROISequence = _sequence(
            *(
                {
                    "ROINumber": number,
                    "ROIName": name,
                    "ReferencedFrameOfReferenceUID": only,
                }
                for number, name, _ in rois
            )
        )
        # Not in the order of the ROIs: they are linked by number.
        dataset.ROIContourSequence = _sequence(
            *(_contours(number, outlines, digits) for number, _, outlines in rois[::-1])
        )
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
    return dataset


def _contours(number: int, outlines: Sequence[Outline], digits: int) -> dict[str, Any]:
    items = (contour_item(one, digits) for one in outlines)
    return {"ReferencedROINumber": number, "ContourSequence": _sequence(*items)}


def _references(frames: Sequence[FrameHeader]) -> pydicom.Sequence:
    found = []
    for reference in dict.fromkeys(one.frame_of_reference for one in frames):
        series = _sequence(*_referenced(frames, reference))
        study = {
            "ReferencedSOPInstanceUID": uid("study"),
            "RTReferencedSeriesSequence": series,
        }
        found.append(
            {
                "FrameOfReferenceUID": reference,
                "RTReferencedStudySequence": _sequence(study),
            }
        )
    return _sequence(*found)


def _referenced(frames: Sequence[FrameHeader], reference: str) -> list[dict[str, Any]]:
    here = [one for one in frames if one.frame_of_reference == reference]
    return [
        {
            "SeriesInstanceUID": series,
            "ContourImageSequence": _sequence(
                *(
                    {"ReferencedSOPInstanceUID": one.instance}
                    for one in here
                    if one.series == series
                )
            ),
        }
        for series in dict.fromkeys(one.series for one in here)
    ]


def save(dataset: pydicom.Dataset, path: pathlib.Path) -> pathlib.Path:
    with pydicom.config.disable_value_validation():
        dataset.save_as(path, enforce_file_format=True)
    return path


def matches(
    path: pathlib.Path,
    frames: Sequence[FrameHeader],
    items: Sequence[int] | None = None,
) -> Matches:
    """Matches all ROIs of a file, or some."""
    described = rtstruct.read_object(path, path.name)
    wanted = [one.number for one in described.items] if items is None else items
    return rtstruct.match(path, described, frames, wanted)


def drawings(
    path: pathlib.Path,
    frames: Sequence[FrameHeader],
    item: int = 1,
    **rules: Any,
) -> dict[int, Drawing]:
    """Draws an ROI on all frames on which it is annotated, under its own edge rule."""
    found = matches(path, frames, [item])
    rules = {"edge_rule": found.edge_rules.get(item, "center"), **rules}
    return {
        one.frame: rtstruct.draw(
            path, item, one.parts, frames[one.frame], DrawingRules(**rules)
        )
        for one in found.matches
    }


def volume(drawn: dict[int, Drawing], count: int) -> np.ndarray:
    """Masks as bool ``[frames, rows, columns]``, False where not annotated."""
    shape = next(iter(drawn.values())).plane.shape
    empty = np.zeros(shape, bool)
    return np.stack([drawn[n].plane if n in drawn else empty for n in range(count)])
