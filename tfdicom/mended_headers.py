"""Headers of source images, mended so that new objects can take elements over."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from tfdicom.dicom_elements import element_name, text
from tfdicom.source_images import SourceFrame

# Empty where the source has none (type 2), as highdicom wants them there.
_WANTED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
_PLACE = ("ImagePositionPatient", "ImageOrientationPatient")
_SEXES = ("", "M", "F", "O")


def mended_sources(
    frames: Sequence[SourceFrame],
) -> tuple[list[Dataset], list[str]]:
    """Headers that highdicom accepts, and what was changed in them."""
    several = frames[0].is_enhanced
    headers = [frames[0].header] if several else [frame.header for frame in frames]
    changes: dict[str, None] = {}
    sources = []
    for header in headers:
        source, blanked = mended(header, multi_frame=several)
        sources.append(source)
        changes |= dict.fromkeys(blanked)
    if not several and (frames[0].frame_count > 1 or frames[0].plane is None):
        changes |= dict.fromkeys(_without_place(sources[0], frames[0]))
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


def _without_place(source: Dataset, frame: SourceFrame) -> Iterator[str]:
    """Takes out where an image lies that the segmentation knows by reference."""
    placed = [source.pop(keyword, None) for keyword in _PLACE]
    # highdicom wants a place and functional groups of some kinds of images, and none
    # of this one.
    source.SOPClassUID = SecondaryCaptureImageStorage
    for keyword in ("NumberOfFrames", "FrameOfReferenceUID"):
        source.pop(keyword, None)
    if frame.frame_count > 1:
        # The position is that of the first frame; the others are known by number.
        yield (
            "a multi-frame image is not an enhanced one: each of its frames has an "
            "object of its own, which refers to it and has no place"
        )
    elif any(placed):
        yield "a position that makes no sense was left out"


def mended(header: Dataset, *, multi_frame: bool) -> tuple[Dataset, list[str]]:
    """A copy of public elements, with dates and times that exist, or none.

    Args:
      header: Of an image.
      multi_frame: Whether it has functional groups that mean something.

    Returns:
      The copy, and which elements of patient and study were blanked.
    """
    changes: dict[str, None] = {}
    source = Dataset()
    source.file_meta = getattr(header, "file_meta", pydicom.dataset.FileMetaDataset())
    for element in _readable(header, changes):
        groups = element.tag.group == 0x5200
        # Some single frames hold functional groups, though there are none.
        if element.tag.is_private or (groups and not multi_frame):
            continue
        source.add(copy.copy(element))
        if not _makes_sense(element):
            source[element.tag].value = ""
            if element.keyword in _WANTED:
                changes[_now_empty(element.keyword)] = None
    for keyword in _WANTED:
        if keyword not in source:
            setattr(source, keyword, "")
    if "SliceThickness" not in source:
        source.SliceThickness = None
    if not source.get("SpecificCharacterSet"):
        source.pop("SpecificCharacterSet", None)
    return source, list(changes)


def _readable(
    header: Dataset, changes: dict[str, None]
) -> Iterator[pydicom.DataElement]:
    for tag in sorted(header.keys()):
        try:
            yield header[tag]
        except Exception:  # values are converted here, and may be damaged
            keyword = keyword_for_tag(tag)
            if keyword in _WANTED:
                changes[_now_empty(keyword)] = None


def _now_empty(keyword: str) -> str:
    return f"{element_name(keyword)} was invalid, now empty"


_PARSERS = {
    "DA": pydicom.valuerep.DA,
    "TM": pydicom.valuerep.TM,
    "DT": pydicom.valuerep.DT,
}


def _makes_sense(element: pydicom.DataElement) -> bool:
    if element.keyword == "PatientSex":
        return element.value in _SEXES or element.value is None
    parser = _PARSERS.get(element.VR)
    if parser is None or not element.value:
        return True
    several = element.value if element.VM > 1 else [element.value]
    try:
        for value in several:
            parser(str(value))
    except ValueError:
        return False
    return True
