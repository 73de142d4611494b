"""Builds enhanced multi-frame images, and other objects of several frames."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import EnhancedMRImageStorage, NuclearMedicineImageStorage

from tests import source_folders

ORIENTATION = source_folders.ORIENTATION
SPACING = source_folders.SPACING
#: Patient coordinates of the first pixel of each frame, unevenly apart and not in
#: the order of the frames.
POSITIONS = ((0.0, 0.0, 0.0), (3.6, -4.8, 0.0), (1.5, -2.0, 0.0))


def dataset(**elements: Any) -> pydicom.Dataset:
    """A data set, or an item of a sequence; lists of data sets become sequences."""
    made = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def groups(**by_group: Mapping[str, Any]) -> pydicom.Dataset:
    """Functional groups by keyword, each of one item."""
    return dataset(**{name: [dataset(**one)] for name, one in by_group.items()})


def pixels(frames: int = 3, dtype: str = "int16") -> np.ndarray:
    """Stored values ``[frames, 7, 5]``."""
    random = np.random.default_rng(3)
    return random.integers(-900, 900, (frames, 7, 5)).astype(dtype)


def write(
    path: pathlib.Path,
    *,
    own: Sequence[pydicom.Dataset] = (),
    shared: pydicom.Dataset | None = None,
    frames: int = 3,
    sop_class: str = EnhancedMRImageStorage,
    **elements: Any,
) -> pathlib.Path:
    """Writes an image of several frames that says its place in functional groups only.

    Args:
      path: The file.
      own: Per-frame functional groups.
      shared: Shared functional groups.
      frames: How many.
      sop_class: SOP Class UID.
      **elements: Further elements; None takes one out.
    """
    plain = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    plain |= {"PixelSpacing": None, "TriggerTime": None}
    source_folders.write_image(path, "P1", 1, pixels=pixels(1)[0], **plain)
    stored = pixels(frames)
    image = pydicom.dcmread(path)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
    image.FrameOfReferenceUID = source_folders.uid("P1", "place")
    image.NumberOfFrames, image.PixelData = frames, stored.tobytes()
    if own:
        image.PerFrameFunctionalGroupsSequence = list(own)
    if shared is not None:
        image.SharedFunctionalGroupsSequence = [shared]
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    image.save_as(path)
    return path


def write_enhanced(path: pathlib.Path) -> pathlib.Path:
    """An enhanced MR image: shared orientation and spacing, positions per frame."""
    shared = groups(
        PlaneOrientationSequence={"ImageOrientationPatient": list(ORIENTATION)},
        PixelMeasuresSequence={"PixelSpacing": list(SPACING)},
    )
    own = [
        groups(PlanePositionSequence={"ImagePositionPatient": list(position)})
        for position in POSITIONS
    ]
    return write(path, own=own, shared=shared)


def write_nuclear(path: pathlib.Path, spacing: float, **elements: Any) -> pathlib.Path:
    """A reconstruction of nuclear medicine: places by slice number, 3 slices."""
    detector = dataset(
        ImagePositionPatient=[1.0, 2.0, 3.0], ImageOrientationPatient=list(ORIENTATION)
    )
    stack = {
        "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        "DetectorInformationSequence": [detector],
        "SliceVector": [1, 2, 3],
        "SpacingBetweenSlices": spacing,
        "PixelSpacing": list(SPACING),
    }
    return write(path, sop_class=NuclearMedicineImageStorage, **{**stack, **elements})
