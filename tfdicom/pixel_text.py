"""Images of kinds that often have text in their pixels, and so may name somebody.

Burned In Annotation (0028,0301) says YES or NO, and often is not there. Ultrasound and
photographs are then taken for images with text; NO clears one. Secondary captures are
taken for such whatever they say: they may be of a whole screen, or of paper. A capture
need not be of a class that says so: scanners store screens and dose reports as images
of their own modality, and Image Type (0008,0008) tells (PS3.15 E.3.1 leaves it to the
user to find them; the rules of CTP and of deid look for the same words).
"""

from __future__ import annotations

import pydicom
from pydicom import uid
from pydicom.uid import UID

from tfdicom.dicom_elements import joined, text

# Whatever they say of themselves.
_CAPTURES = frozenset(
    {
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)
# Unless they say that nothing is burned in: ultrasound and visible light (PS3.4 B.5).
# Radiographs are not among them: their text is a letter for the side.
_SCREENS = frozenset(
    {
        uid.UltrasoundImageStorage,
        uid.UltrasoundMultiFrameImageStorage,
        UID("1.2.840.10008.5.1.4.1.1.3"),  # Ultrasound Multi-frame, retired
        UID("1.2.840.10008.5.1.4.1.1.6"),  # Ultrasound, retired
        uid.VLEndoscopicImageStorage,
        uid.VideoEndoscopicImageStorage,
        uid.VLPhotographicImageStorage,
        uid.VideoPhotographicImageStorage,
        uid.VideoMicroscopicImageStorage,
        uid.DermoscopicPhotographyImageStorage,
        uid.OphthalmicPhotography8BitImageStorage,
        uid.OphthalmicPhotography16BitImageStorage,
    }
)
# Of Image Type: a picture of what a screen showed, or of a table of doses.
_CAPTURE_WORDS = (
    "SCREEN",
    "SAVE",
    "CAPTURE",
    "DOSE REPORT",
    "DOSE_INFO",
    "CT_SOM5 PROT",
    "CT_SOM7 PROT",
)
# What writers make of YES and NO.
_YES = frozenset({"YES", "Y", "TRUE", "T", "1"})
_NO = frozenset({"NO", "N", "FALSE", "F", "0"})
# Documents, cameras, hard copies, screens; classes that are not in the list may say so.
_SCREEN_MODALITIES = frozenset({"DOC", "ES", "GM", "HC", "OP", "SC", "US", "XC"})


def has_text_risk(dataset: pydicom.Dataset) -> bool:
    """Whether names may stand in the pixels of an image, by its kind."""
    sop_class = getattr(dataset, "sop_class", "") or text(dataset, "SOPClassUID")
    if sop_class in _CAPTURES or _is_captured(dataset):
        return True
    said = text(dataset, "BurnedInAnnotation").upper()
    if said in _NO:
        return False
    if said:  # and it is not known what that means
        return True
    is_screen = sop_class in _SCREENS
    return is_screen or text(dataset, "Modality") in _SCREEN_MODALITIES


def says_burned_in(dataset: pydicom.Dataset) -> bool:
    """Whether an image says that text is burned in, in whatever words."""
    return text(dataset, "BurnedInAnnotation").upper() in _YES


def _is_captured(dataset: pydicom.Dataset) -> bool:
    """Whether an image of any class says that it was made of a screen or of paper."""
    # The SC Equipment module (PS3.3 C.8.6.1) is of captures alone: a workstation's
    # screen, a scanned document, a digitized film.
    if text(dataset, "ConversionType"):
        return True
    image_type = joined(dataset, "ImageType").upper()
    return any(word in image_type for word in _CAPTURE_WORDS)
