"""The module that reads each kind of annotation object: one table for all who ask.

Each has the three functions that ``annotation_objects`` describes: ``read_object``,
``match`` and ``draw``.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from types import ModuleType

from tfdicom.reasons import InputSkipped
from tfdicom.sources import masks, rtstruct, seg, seg_damage
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import MASKS, RTSTRUCT, SEG

READERS: Mapping[str, ModuleType] = {RTSTRUCT: rtstruct, SEG: seg, MASKS: masks}

#: Kind of a DICOM object by its SOP Class UID: RT Structure Set, Segmentation and Label
#: Map Segmentation Storage.
KINDS = {
    "1.2.840.10008.5.1.4.1.1.481.3": RTSTRUCT,
    "1.2.840.10008.5.1.4.1.1.66.4": SEG,
    "1.2.840.10008.5.1.4.1.1.66.7": SEG,
}


def read_object(kind: str, path: pathlib.Path, name: str) -> AnnotationObject:
    """Reads the header of a DICOM object.

    Args:
      kind: ``rtstruct`` or ``seg``.
      path: The file.
      name: Its path relative to the input folder.

    Returns:
      Of a file that is of no use, what it still says, with its ``problem``.

    Raises:
      InputSkipped: It cannot be read, or says nothing.
    """
    try:
        return READERS[kind].read_object(path, name)
    except InputSkipped as skipped:
        if kind != SEG:
            raise
        return seg_damage.describe(path, name, skipped)
