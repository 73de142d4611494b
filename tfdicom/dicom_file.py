"""Opens a DICOM file: the elements that a plan needs, read once and cheaply."""

from __future__ import annotations

import contextlib
import io
import pathlib
import struct
import zlib
from collections.abc import Collection, Iterable, Sequence
from typing import BinaryIO

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tfdicom import element_walk, files
from tfdicom.dicom_elements import HeaderDataset, quiet, text
from tfdicom.element_walk import Encoding, WalkEnds, WalkIsLost
from tfdicom.reasons import InputSkipped

_KEYWORDS = (
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "ConversionType",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "SeriesTime",
    "AcquisitionTime",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "MagneticFieldStrength",
    "SpacingBetweenSlices",
    "TriggerTime",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "FrameOfReferenceUID",
    "TemporalPositionIdentifier",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "CorrectedImage",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "FloatPixelPaddingValue",
    "FloatPixelPaddingRangeLimit",
    "DoubleFloatPixelPaddingValue",
    "DoubleFloatPixelPaddingRangeLimit",
    "BurnedInAnnotation",
    "WindowCenter",
    "WindowWidth",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
    "RealWorldValueMappingSequence",
    "RadiopharmaceuticalInformationSequence",
    "DetectorInformationSequence",
    "SliceVector",
    "Units",
    "DecayCorrection",
    "GridFrameOffsetVector",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


def _tags(keywords: Iterable[str]) -> frozenset[int]:
    return frozenset(tag_for_keyword(keyword) or 0 for keyword in keywords)


_WANTED = _tags(_KEYWORDS)
# Of the File Meta Information: Media Storage SOP Class UID, Transfer Syntax UID.
_SOP_CLASS, _TRANSFER_SYNTAX = 0x00020002, 0x00020010

# Headers are short; those that need more than the second are left to pydicom.
_FIRST_READ, _SECOND_READ = 16 << 10, 4 << 20
_UNDEFINED = 0xFFFFFFFF  # length of what ends with a delimiter
# A header of a deflated file that is longer than this is taken for a bomb.
_LONGEST_INFLATED = 64 << 20
# A file may begin without preamble and File Meta Information (PS3.10 7.1); the first
# elements of a data set are then of group 8, with a short value.
_FIRST_ELEMENTS_END, _FIRST_VALUE_END = 0x0100, 0x0100
_EXPLICIT, _IMPLICIT = Encoding(False, True), Encoding(True, True)


def open_header(
    path: pathlib.Path, keywords: Sequence[str] = _KEYWORDS
) -> HeaderDataset:
    """Reads the elements that a plan needs, and no pixels.

    Args:
      path: The file.
      keywords: Of the elements.

    Raises:
      InputSkipped: The file cannot be read, or is not DICOM.
    """
    wanted = _WANTED if keywords is _KEYWORDS else _tags(keywords)
    try:
        with files.opened(path) as file, quiet():
            return _opened(file, wanted)
    except InputSkipped:
        raise
    except Exception as error:  # a damaged file can raise anything
        if isinstance(error, OSError) and error.strerror:
            # The system says so; pydicom raises this kind, too, without its words.
            raise InputSkipped("file_unreadable", error.strerror) from error
        raise InputSkipped("not_dicom", f"{type(error).__name__}: {error}") from error


def open_elements(path: pathlib.Path, keywords: Sequence[str]) -> pydicom.Dataset:
    """Reads elements of an object that has no pixels, however long they are.

    Of a file that ends within an element, those before it, with ``cut_off`` set.

    Raises:
      Exception: The file cannot be read; a damaged one can raise anything.
    """
    wanted = _tags(keywords)
    with files.opened(path) as file, quiet():
        data = file.read()
        with contextlib.suppress(InputSkipped, WalkIsLost):
            _, syntax, at = _meta(data, _start(data))
            if syntax != DeflatedExplicitVRLittleEndian:
                encoding = _encoding(syntax)
                try:
                    return _walked(data, at, encoding, wanted)
                except WalkEnds:
                    return _walked(data, at, encoding, wanted, cut_off=True)
        rest = io.BytesIO(data)
        found = pydicom.dcmread(rest, specific_tags=list(wanted), force=True)
        return _unlocated(found, has_pixels=False)


def _opened(file: BinaryIO, wanted: Collection[int]) -> HeaderDataset:
    head = file.read(_FIRST_READ)
    sop_class, syntax, at = _meta(head, _start(head))
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset = _deflated(file, at, wanted)
    else:
        dataset = _plain(file, head, at, syntax, wanted)
    dataset.sop_class = text(dataset, "SOPClassUID") or sop_class
    dataset.transfer_syntax = "".join(syntax)  # a string, and no kind of one
    dataset.file_size = file.seek(0, io.SEEK_END)
    return dataset


def _start(head: bytes) -> int:
    """Where the first element begins."""
    if head[128:132] == b"DICM":
        return 132
    if _first_encoding(head, 0) is None:
        raise InputSkipped(
            "not_dicom", "no DICM prefix, and it does not begin like a data set"
        )
    return 0


def _first_encoding(head: bytes, at: int) -> Encoding | None:
    """How a data set is written, judged by its first element; None if it is none."""
    first = head[at : at + 8]
    if len(first) < 8:
        return None
    for little in (True, False):
        order = "<" if little else ">"
        group, element, length = struct.unpack(order + "HHL", first)
        if group not in (0x0002, 0x0008) or element >= _FIRST_ELEMENTS_END:
            continue
        if first[4:6] in element_walk.VALUE_REPRESENTATIONS:
            return Encoding(False, little)
        if little and length < _FIRST_VALUE_END:
            return _IMPLICIT
    return None


def _meta(head: bytes, start: int) -> tuple[str, str, int]:
    """SOP Class and Transfer Syntax as they stand there, and where that ends."""
    if head[start : start + 2] != b"\x02\0":
        return "", _guessed_syntax(head, start), start
    encoding = _first_encoding(head, start) or _EXPLICIT
    wanted = (_SOP_CLASS, _TRANSFER_SYNTAX)
    try:
        found, _, at = element_walk.walk(head, start, encoding, wanted, group=2)
    except WalkEnds as ended:
        detail = "it ends within its File Meta Information"
        raise InputSkipped("object_truncated", detail) from ended
    except WalkIsLost as lost:
        detail = "its File Meta Information is damaged"
        raise InputSkipped("not_dicom", detail) from lost
    sop_class, syntax = (
        (found[tag].value or b"").decode("ascii", "replace").strip(" \0")
        if tag in found
        else ""
        for tag in wanted
    )
    return sop_class, syntax or _guessed_syntax(head, at), at


def _guessed_syntax(head: bytes, at: int) -> str:
    encoding = _first_encoding(head, at) or _IMPLICIT
    if encoding.implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if encoding.little else ExplicitVRBigEndian


def _encoding(syntax: str) -> Encoding:
    """All but three transfer syntaxes are explicit and little endian (PS3.5 10)."""
    return Encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)


def _plain(
    file: BinaryIO, head: bytes, at: int, syntax: str, wanted: Collection[int]
) -> HeaderDataset:
    encoding = _encoding(syntax)
    with contextlib.suppress(WalkIsLost):
        with contextlib.suppress(WalkEnds):
            return _walked(head, at, encoding, wanted)
        head += file.read(_SECOND_READ)
        with contextlib.suppress(WalkEnds):
            return _walked(head, at, encoding, wanted)
        if not file.read(1):
            dataset = _walked(head, at, encoding, wanted, cut_off=True)
            dataset.cut_off = True  # whatever the last bytes are, pixels are missing
            return dataset
    file.seek(0)
    found = pydicom.dcmread(
        file, stop_before_pixels=True, specific_tags=list(wanted), force=True
    )
    return _unlocated(found, has_pixels=bool(file.read(1)))


def _walked(
    data: bytes,
    at: int,
    encoding: Encoding,
    wanted: Collection[int],
    *,
    cut_off: bool = False,
) -> HeaderDataset:
    is_explicit = data[at + 4 : at + 6] in element_walk.VALUE_REPRESENTATIONS
    if is_explicit == encoding.implicit and at < len(data):
        raise WalkIsLost  # written in another way than the transfer syntax says
    elements, pixels, end = element_walk.walk(
        data, at, encoding, wanted, cut_off=cut_off
    )
    # pydicom converts its own in place.
    dataset = HeaderDataset({one.tag: one for one in elements.values()})
    dataset.raw = elements
    dataset.pixel_element = pixels
    dataset.has_pixels = pixels is not None and pixels.length != 0
    # Stray bytes behind a data set that is whole are no harm.
    dataset.cut_off = cut_off and end == len(data)
    return dataset


def _unlocated(found: pydicom.Dataset, *, has_pixels: bool) -> HeaderDataset:
    """Elements that pydicom read, which does not say where the pixels lie."""
    dataset = HeaderDataset(found)
    dataset.has_pixels = has_pixels
    dataset.cut_off = any(map(_is_cut_off, found.values()))
    return dataset


def _is_cut_off(element: DataElement | RawDataElement) -> bool:
    """Whether pydicom gave less of an element than there should be."""
    if not isinstance(element, RawDataElement) or element.length == _UNDEFINED:
        return False
    return len(element.value or b"") < element.length


def _deflated(file: BinaryIO, start: int, wanted: Collection[int]) -> HeaderDataset:
    """As ``_plain``, of a data set that is deflated (PS3.5 A.5)."""
    data, size = b"", _FIRST_READ
    while size <= _LONGEST_INFLATED:
        data = _inflated(file, start, size)
        try:
            dataset = _walked(data, 0, _EXPLICIT, wanted)
        except WalkEnds:
            if len(data) < size:
                break
            size *= 64
        except WalkIsLost:
            break
        else:
            dataset.pixel_element = None  # its place is not one in the file
            return dataset
    rest = io.BytesIO(data)
    found = read_dataset(
        rest,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, kind, length: tag in element_walk.PIXEL_TAGS,
        specific_tags=list(wanted),
    )
    return _unlocated(found, has_pixels=bool(rest.read(1)))


def _inflated(file: BinaryIO, start: int, size: int) -> bytes:
    """The first bytes of a deflated stream, never more."""
    file.seek(start)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    data = bytearray()
    while len(data) < size and not stream.eof:
        piece = stream.unconsumed_tail or file.read(_FIRST_READ)
        if not piece:
            break
        data += stream.decompress(piece, size - len(data))
    return bytes(data)
