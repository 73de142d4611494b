"""Series of images that are headers only, and segmentations of them by highdicom."""

import dataclasses
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import highdicom
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tfdicom.frame_headers import FrameHeader
from tfdicom.sources.annotation_objects import AnnotatedItem
from tfdicom.sources.seg_frames import SegmentFrame, Source
from tfdicom.sources.seg_header import BINARY, SegmentationHeader
from tfdicom.spatial import ImagePlane

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


def uid(*parts: Any) -> str:
    """The same UID for the same parts."""
    return generate_uid(entropy_srcs=[repr(parts)])


@dataclasses.dataclass(frozen=True)
class Series:
    """Images as the converter knows them, and as highdicom wants them."""

    headers: tuple[FrameHeader, ...]
    datasets: tuple[pydicom.Dataset, ...]

    @property
    def planes(self) -> list[ImagePlane]:
        return [header.plane for header in self.headers]


def make_plane(
    index: int = 0,
    *,
    orientation: Sequence[float] = OBLIQUE,
    spacing: Sequence[float] = (1.5, 1.25),
    position: Sequence[float] = (3.0, -4.0, 5.0),
    step: float = 3.0,
) -> ImagePlane:
    """The plane that lies ``index`` steps along the normal from a position, in mm."""
    normal = np.cross(orientation[:3], orientation[3:])
    here = np.round(np.array(position) + index * step * normal, 6)
    return ImagePlane(tuple(here.tolist()), tuple(orientation), tuple(spacing))


def make_series(
    planes: Sequence[ImagePlane | None],
    *,
    shape: tuple[int, int] = (12, 10),
    name: str = "series",
    space: str | None = "space",
) -> Series:
    """Images of one series; ``space`` stands for their Frame of Reference."""
    datasets, headers = [], []
    for number, plane in enumerate(planes, 1):
        image = _image(name, number, shape)
        if plane is not None:
            image.ImagePositionPatient = list(plane.position)
            image.ImageOrientationPatient = list(plane.orientation)
            image.PixelSpacing = list(plane.pixel_spacing)
            image.SliceThickness = 1
        if space and plane is not None:
            image.FrameOfReferenceUID = uid("space", space)
        datasets.append(image)
        headers.append(_header(image, plane))
    return Series(tuple(headers), tuple(datasets))


def _image(name: str, number: int, shape: tuple[int, int]) -> pydicom.Dataset:
    image = pydicom.Dataset()
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = uid(name, number)
    image.StudyInstanceUID = uid("study")
    image.SeriesInstanceUID = uid("series", name)
    image.PatientID, image.PatientName = "P1", "Doe^Jane"
    image.PatientBirthDate = image.PatientSex = image.AccessionNumber = ""
    image.StudyID, image.StudyDate, image.StudyTime = "1", "20200102", "101112"
    image.Modality, image.InstanceNumber = "CT", number
    image.Rows, image.Columns = shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    return image


def _header(image: pydicom.Dataset, plane: ImagePlane | None) -> FrameHeader:
    return FrameHeader(
        patient_id=image.PatientID,
        study=image.StudyInstanceUID,
        series=image.SeriesInstanceUID,
        instance=image.SOPInstanceUID,
        modality=image.Modality,
        rows=image.Rows,
        columns=image.Columns,
        bytes_per_pixel=2,
        plane=plane,
        temporal_order=(0.0, 0.0, float(image.InstanceNumber)),
        burned_in=False,
        frame_of_reference=image.get("FrameOfReferenceUID", ""),
    )


def describe(number: int, label: str) -> Any:
    tissue = highdicom.sr.CodedConcept("85756007", "SCT", "Tissue")
    heart = highdicom.sr.CodedConcept("80891009", "SCT", "Heart")
    return highdicom.seg.SegmentDescription(number, label, tissue, heart, "MANUAL")


def write_segmentation(
    path: pathlib.Path,
    source: Series,
    masks: np.ndarray,
    *,
    kind: str = "BINARY",
    planes: Sequence[ImagePlane] | None = None,
    **options: Any,
) -> pydicom.Dataset:
    """Writes a segmentation.

    Args:
      path: The file.
      source: Images that it refers to.
      masks: As highdicom takes them: ``[frames, rows, columns, segments]``, or labels
        ``[frames, rows, columns]``.
      kind: Segmentation Type.
      planes: Where the masks lie; None where the images do.
      **options: Of ``highdicom.seg.Segmentation``.
    """
    count = masks.shape[3] if masks.ndim == 4 else int(masks.max())
    if planes is not None:
        options |= _geometry(planes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = highdicom.seg.Segmentation(
            source_images=source.datasets,
            pixel_array=masks,
            segmentation_type=kind,
            segment_descriptions=[
                describe(number, f"label {number}") for number in range(1, count + 1)
            ],
            series_instance_uid=uid(str(path), "series"),
            series_number=1,
            sop_instance_uid=uid(str(path)),
            instance_number=1,
            manufacturer="Acme",
            manufacturer_model_name="Pen",
            software_versions="1",
            device_serial_number="1",
            **options,
        )
        written.save_as(path)
    return written


def _geometry(planes: Sequence[ImagePlane]) -> dict[str, Any]:
    return {
        "plane_positions": [
            highdicom.PlanePositionSequence("PATIENT", plane.position)
            for plane in planes
        ],
        "plane_orientation": highdicom.PlaneOrientationSequence(
            "PATIENT", planes[0].orientation
        ),
        "pixel_measures": highdicom.PixelMeasuresSequence(
            planes[0].pixel_spacing, slice_thickness=1.0
        ),
    }


def edit(path: pathlib.Path, change: Callable[[pydicom.Dataset], Any]) -> None:
    """Changes a file."""
    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def named(*numbers: int, series: str = "series") -> tuple[Source, ...]:
    """Images of a series of `make_series`, as sources."""
    return tuple(Source(uid(series, number)) for number in numbers)


def make_frame(
    number: int,
    plane: ImagePlane | None,
    *,
    segment: int | None = 1,
    sources: tuple[Source, ...] = (),
    **more: Any,
) -> SegmentFrame:
    """A frame; ``more`` are other fields of it."""
    values = {"aligned": True, "thickness": None, **more}
    return SegmentFrame(number, segment, plane, sources, **values)


def make_header(
    *frames: SegmentFrame,
    sources: tuple[Source, ...] = (),
    items: Sequence[int] = (1, 2),
    **more: Any,
) -> SegmentationHeader:
    """Of a segmentation on the grid of `make_series`; ``more`` are other fields."""
    values = {
        "kind": BINARY,
        "fractions": "",
        "maximum": 1,
        "background": 0,
        "rows": 12,
        "columns": 10,
        "segments": tuple(AnnotatedItem(item, (f"#{item}",)) for item in items),
        "left": (),
        "series": (uid("series", "series"),),
        "frame_of_reference": uid("space", "space"),
        **more,
    }
    return SegmentationHeader(frames=frames, sources=sources, **values)
