"""Images of kinds that often have text in their pixels, and so may name somebody.

Burned In Annotation (0028,0301) says YES or NO, and often is not there. Ultrasound and
photographs are then taken for images with text; NO clears one. Secondary captures are
taken for such whatever they say: they may be of a whole screen, or of paper.
"""

from __future__ import annotations

import pydicom
from pydicom import uid
from pydicom.uid import UID

from tfdicom.dicom_elements import text

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
# Documents, cameras, hard copies, screens; classes that are not in the list may say so.
_SCREEN_MODALITIES = frozenset({"DOC", "ES", "GM", "HC", "OP", "SC", "US", "XC"})


def has_text_risk(dataset: pydicom.Dataset) -> bool:
    """Whether names may stand in the pixels of an image, by its kind."""
    sop_class = getattr(dataset, "sop_class", "") or text(dataset, "SOPClassUID")
    if sop_class in _CAPTURES:
        return True
    if text(dataset, "BurnedInAnnotation").upper() == "NO":
        return False
    is_screen = sop_class in _SCREENS
    return is_screen or text(dataset, "Modality") in _SCREEN_MODALITIES
