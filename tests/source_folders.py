"""Writes little input folders: DICOM images and contour files, as Sunnybrook has them.

A fault is planted by changing a folder that is whole: `edit` an image, write other
text into a contour, remove or copy a file.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RTStructureSetStorage,
    generate_uid,
)

from tfdicom import conversion, dataset_reading, files
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.conversion import ConversionResult
from tfdicom.example_schema import FrameExample
from tfdicom.file_scan import AN_IMAGE, FileToScan
from tfdicom.matching import match_annotations
from tfdicom.runners import LocalRunner
from tfdicom.scan import Scan, scan_files
from tfdicom.sources import contours
from tfdicom.sources.candidates import PathListing

PATIENTS = ("SCD0000101", "SCD0000201", "SCD0000301")
ROWS, COLUMNS = 40, 48
#: An oblique plane, and its normal.
ORIENTATION = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])
SPACING = (1.5, 1.25)
SLICE_MM = 8.0


def uid(*parts: Any) -> str:
    """The same UID for the same parts."""
    return generate_uid(entropy_srcs=[repr(parts)])


def draw_pixels(*seed: Any) -> np.ndarray:
    random = np.random.default_rng(list(repr(seed).encode()))
    return random.integers(0, 900, (ROWS, COLUMNS)).astype(np.int16)


def disc(column: float, row: float, radius: float, corners: int = 36) -> np.ndarray:
    """A contour in zero-based pixel coordinates, (0, 0) the first pixel's centre."""
    angle = np.arange(corners) / corners * 2 * np.pi
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.array([column, row]) + radius * circle


def write_image(
    path: pathlib.Path,
    patient: str,
    number: int,
    *,
    pixels: np.ndarray | None = None,
    **elements: Any,
) -> None:
    """Writes an MR image whose elements follow from its patient and number.

    Args:
      path: The file.
      patient: Patient ID.
      number: Instance Number; images lie ``SLICE_MM`` apart in this order.
      pixels: Stored values; drawn from patient and number if absent.
      **elements: Elements by keyword; None takes one out.
    """
    image = pydicom.Dataset()
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = MRImageStorage
    image.SOPInstanceUID = uid(patient, number)
    image.StudyInstanceUID = uid(patient, "study")
    image.SeriesInstanceUID = uid(patient, "series")
    image.PatientID, image.PatientName = patient, f"Doe^{patient}"
    image.PatientBirthDate, image.StudyDate = "19450823", "20110911"
    image.Modality, image.Manufacturer = "MR", "Acme"
    image.InstanceNumber, image.TriggerTime = number, 0
    position = np.round(NORMAL * (number - 1) * SLICE_MM + (3, -4, 5), 6)
    image.ImagePositionPatient = position.tolist()
    image.ImageOrientationPatient = list(ORIENTATION)
    image.PixelSpacing = list(SPACING)
    _set_pixels(image, draw_pixels(patient, number) if pixels is None else pixels)
    _set_elements(image, elements)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)


def _set_pixels(image: pydicom.Dataset, pixels: np.ndarray) -> None:
    bits = pixels.dtype.itemsize * 8
    colour = pixels.ndim == 3
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel = pixels.shape[2] if colour else 1
    image.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        image.PlanarConfiguration = 0
    image.BitsAllocated = image.BitsStored = bits
    image.HighBit = bits - 1
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.PixelData = pixels.tobytes()


def _set_elements(image: pydicom.Dataset, elements: Mapping[str, Any]) -> None:
    for keyword, value in elements.items():
        if value is None:
            del image[keyword]
        else:
            setattr(image, keyword, value)
            if image[keyword].VR == "US or SS":
                image[keyword].VR = "SS" if image.PixelRepresentation else "US"


def edit(path: pathlib.Path, **elements: Any) -> None:
    """Changes an image; None takes an element out, ``pixels`` are its stored values."""
    with pydicom.config.disable_value_validation():
        image = pydicom.dcmread(path)
        if (pixels := elements.pop("pixels", None)) is not None:
            _set_pixels(image, pixels)
        _set_elements(image, elements)
        image.save_as(path)


def save_as(image: pydicom.Dataset, path: pathlib.Path, syntax: UID) -> None:
    """Writes an image in another uncompressed transfer syntax; pixels as they are."""
    for element in image.iterall():
        _ = element.value  # what is not converted would be written as it was read
    image.file_meta.TransferSyntaxUID = syntax
    # Without this pydicom minds the order of the bytes of the pixels.
    image.set_original_encoding(syntax.is_implicit_VR, syntax.is_little_endian)
    image.save_as(path)


def contour_text(vertices: np.ndarray) -> str:
    """As a Sunnybrook file has it: one-based, two decimals."""
    return "".join(f"{x + 1:.2f} {y + 1:.2f}\n" for x, y in vertices)


def write_contour(path: pathlib.Path, vertices: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(contour_text(vertices))


@dataclasses.dataclass(frozen=True)
class SourceFolder:
    """An input folder in the Arterys layout."""

    root: pathlib.Path
    patients: tuple[str, ...]

    def original(self, patient: str) -> str:
        """The contours' name of a patient."""
        return f"SC-HF-I-{self.patients.index(patient) + 1}"

    def image(self, patient: str, number: int) -> pathlib.Path:
        return self.root / "dicoms" / patient / f"{number}.dcm"

    def contour(self, patient: str, number: int, code: str = "i") -> pathlib.Path:
        folder = self.root / "contourfiles" / self.original(patient)
        name = f"IM-0001-{number:04d}-{code}contour-manual.txt"
        return folder / f"{code}-contours" / name

    def inner(self, patient: str, number: int) -> np.ndarray:
        """Vertices of the inner contour as it was drawn."""
        return disc(20.3 + number, 18.6 + self.patients.index(patient), 5.2)

    def outer(self, patient: str, number: int) -> np.ndarray:
        return disc(20.3 + number, 18.6 + self.patients.index(patient), 9.1)


def write_folder(
    root: pathlib.Path,
    *,
    patients: Sequence[str] = PATIENTS,
    annotated: int = 2,
    outer: int = 1,
    plain: int = 1,
) -> SourceFolder:
    """Writes a whole input folder.

    Args:
      root: The folder.
      patients: Their Patient IDs.
      annotated: Images of each with an inner contour: those numbered 1, 2, ...
      outer: How many of them have an outer contour, too.
      plain: Images of each without a contour, numbered after them.
    """
    folder = SourceFolder(root, tuple(patients))
    links = ["patient_id,original_id"]
    for patient in patients:
        links.append(f"{patient},{folder.original(patient)}")
        for number in range(1, annotated + plain + 1):
            write_image(folder.image(patient, number), patient, number)
            if number <= annotated:
                vertices = folder.inner(patient, number)
                write_contour(folder.contour(patient, number), vertices)
            if number <= outer:
                vertices = folder.outer(patient, number)
                write_contour(folder.contour(patient, number, "o"), vertices)
    (root / "link.csv").write_text("\n".join(links) + "\n")
    return folder


def write_structure_set(
    path: pathlib.Path,
    images: Iterable[pathlib.Path],
    outlines: Mapping[str, np.ndarray],
    **elements: Any,
) -> None:
    """Writes an RT Structure Set of one patient; it names its images.

    Args:
      path: The file.
      images: The images to draw on.
      outlines: Vertices of each ROI in pixels, the same on every image, by its name.
      **elements: Elements by keyword.
    """
    opened = [pydicom.dcmread(image, stop_before_pixels=True) for image in images]
    whole = pydicom.Dataset()
    whole.file_meta = pydicom.dataset.FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole.SOPClassUID, whole.SOPInstanceUID = RTStructureSetStorage, uid(path.name)
    whole.PatientID, whole.StudyInstanceUID = (
        opened[0].PatientID,
        opened[0].StudyInstanceUID,
    )
    whole.Modality, whole.StructureSetLabel = "RTSTRUCT", "made up"
    whole.StructureSetDate, whole.StructureSetTime = "20120304", "101112"
    whole.StructureSetROISequence, whole.ROIContourSequence = [], []
    for number, (name, vertices) in enumerate(outlines.items(), 1):
        described, drawn = pydicom.Dataset(), pydicom.Dataset()
        described.ROINumber, described.ROIName = number, name
        drawn.ReferencedROINumber = number
        drawn.ContourSequence = [_planar_contour(image, vertices) for image in opened]
        whole.StructureSetROISequence.append(described)
        whole.ROIContourSequence.append(drawn)
    _set_elements(whole, elements)
    whole.save_as(path, enforce_file_format=True)


def _planar_contour(image: pydicom.Dataset, vertices: np.ndarray) -> pydicom.Dataset:
    """As PS3.3 C.7.6.2.1-1 has it: columns go along the first direction."""
    along, down = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
    rows, columns = map(float, image.PixelSpacing)
    places = vertices[:, :1] * along * columns + vertices[:, 1:] * down * rows
    places += np.array(image.ImagePositionPatient, float)
    named = pydicom.Dataset()
    named.ReferencedSOPClassUID = image.SOPClassUID
    named.ReferencedSOPInstanceUID = image.SOPInstanceUID
    contour = pydicom.Dataset()
    contour.ContourImageSequence = [named]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(vertices)
    contour.ContourData = [f"{value:.4f}" for value in places.ravel()]
    return contour


def write_original_release(
    root: pathlib.Path, source: SourceFolder, *, images: str, table: bool
) -> None:
    """Copies a folder into the original Sunnybrook layout.

    Args:
      root: The new folder.
      source: What to copy.
      images: ``SCD_Images`` or ``challenge_training``, as the releases have them.
      table: Whether ``scd_patientdata.csv`` lies beside them.
    """
    rows = ["PatientID,OriginalID,Gender,Age,PathologyID,Pathology"]
    for patient in source.patients:
        original = source.original(patient)
        rows.append(f"{patient},{original},M,70,2,Heart failure")
        by_release = {
            "SCD_Images": (f"SCD_Images/{patient}/CINESAX_300", "IM-0003"),
            "challenge_training": (f"challenge_training/{original}", "IM-0001"),
        }
        folder, prefix = by_release[images]
        for path in source.image(patient, 1).parent.iterdir():
            name = f"{prefix}-{int(path.stem):04d}.dcm"
            _copy(path, root / folder / name)
        padded = original[:-1] + original[-1].zfill(2)
        contours = root / "SCD_ManualContours" / padded / "contours-manual"
        for path in source.contour(patient, 1).parent.parent.rglob("*.txt"):
            _copy(path, contours / "IRCCI-expert" / path.name)
    if table:
        (root / "scd_patientdata.csv").write_text("\n".join(rows) + "\n")


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def scan_images(root: pathlib.Path) -> tuple[PathListing, Scan]:
    """What the paths of a folder tell, and the headers of its images."""
    structures = contours.parse_structures(contours.DEFAULT_STRUCTURES)
    listing = contours.find(root, files.walk(root), structures=structures)
    images = [FileToScan(path, AN_IMAGE) for path in listing.images]
    return listing, scan_files(
        root, images, runner=LocalRunner(1), progress=lambda done: None
    )


def annotated_frames(
    root: pathlib.Path, terms: Sequence[str] = ("inner", "outer")
) -> list[AnnotatedFrame]:
    """The frames of a folder, with the contours that the terms of classes name."""
    listing, scan = scan_images(root)
    frames, _ = match_annotations(
        root,
        scan.frames,
        listing.images,
        (),
        terms,
        policy="newest",
        runner=LocalRunner(1),
        progress=lambda done: None,
    )
    return frames


def convert(
    root: pathlib.Path, output: pathlib.Path, **options: Any
) -> ConversionResult:
    """Converts in this process, with the published key, to two splits."""
    defaults = {
        "input_dir": str(root),
        "output_dir": str(output),
        "split": "train:0.5,test:0.5",
        "id_key_file": "public",
        "num_workers": 1,
    }
    return conversion.convert(**{**defaults, **options})


def examples(output: pathlib.Path) -> list[FrameExample]:
    """All examples of a data set, in its order."""
    return list(dataset_reading.read_examples(output))


def example_of(output: pathlib.Path, pixels: np.ndarray) -> FrameExample:
    """The one example that holds these pixels."""
    (found,) = (one for one in examples(output) if one.pixels == pixels.tobytes())
    return found
