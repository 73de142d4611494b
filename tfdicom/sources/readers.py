"""The module that reads each kind of annotation object: one table for all who ask.

Each has the three functions that ``annotation_objects`` describes: ``read_object``,
``match`` and ``draw``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from tfdicom.sources import masks, rtstruct, seg
from tfdicom.sources.candidates import MASKS, RTSTRUCT, SEG

READERS: Mapping[str, ModuleType] = {RTSTRUCT: rtstruct, SEG: seg, MASKS: masks}

#: Kind of a DICOM object by its SOP Class UID: RT Structure Set, Segmentation and Label
#: Map Segmentation Storage.
KINDS = {
    "1.2.840.10008.5.1.4.1.1.481.3": RTSTRUCT,
    "1.2.840.10008.5.1.4.1.1.66.4": SEG,
    "1.2.840.10008.5.1.4.1.1.66.7": SEG,
}
