"""Values of DICOM elements as plain text and numbers.

A value that is absent stays absent; one that is there and makes no sense is refused
with its element, never replaced.
"""

from __future__ import annotations

import contextlib
import functools
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import pydicom
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.multival import MultiValue

from tfdicom import element_walk
from tfdicom.element_walk import Encoding, PixelElement, WalkEnds, WalkIsLost
from tfdicom.reasons import InputSkipped

# Value representations whose bytes are plain text, if they are ASCII.
_NUMBER_TEXT = frozenset({"DS", "IS"})
_PLAIN_TEXT = frozenset({"CS", "UI", "DA", "TM", "DT", "LO", "SH"})
_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d"}
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # (FFFE,E000), in both orders
_EMPTY_ITEM = tuple(one + bytes(4) for one in _ITEMS)
_tag = functools.cache(tag_for_keyword)


class HeaderDataset(pydicom.Dataset):
    """Elements of a file, and what its pixels need beside them. Not to be changed.

    Attributes:
      sop_class: SOP Class UID (0008,0016), else the one that the File Meta Information
        says (a DICOMDIR has no other).
      raw: The elements by tag, as bytes; None where only pydicom knows them.
      transfer_syntax: Transfer Syntax UID (0002,0010), or the one that the elements
        are written in where the file does not say.
      pixel_element: Where the pixels lie; None where that is not known.
      has_pixels: Whether there is an element with pixels.
      file_size: Bytes of the file.
      cut_off: Whether the data ends within an element, or within the item that this is.
    """

    sop_class: str = ""
    raw: Mapping[int, RawDataElement] | None = None
    transfer_syntax: str = ""
    pixel_element: PixelElement | None = None
    has_pixels: bool = True
    file_size: int | None = None
    cut_off: bool = False

    # pydicom's asks of every name whether it is an element's.
    __setattr__ = object.__setattr__  # type: ignore[assignment]

    @property
    def characters(self) -> str | list[str]:
        """Character sets of its texts: its own, else those of what it is an item of."""
        return self._character_set


#: A data set without elements.
EMPTY = HeaderDataset()
EMPTY.raw = {}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without pydicom's checks of values, which we make where it matters."""
    settings = pydicom.config.settings
    before = settings.reading_validation_mode
    settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        yield
    finally:
        settings.reading_validation_mode = before


def element_name(keyword: str) -> str:
    """An element as messages show it: ``(0028,1053) 'Rescale Slope'``."""
    tag = tag_for_keyword(keyword) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {dictionary_description(tag)!r}"


def invalid(keyword: str, problem: object) -> InputSkipped:
    """The refusal of an element whose value makes no sense."""
    return InputSkipped("header_invalid", f"{element_name(keyword)}: {problem}")


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    """The element's value as text; empty where it is absent."""
    element = _raw(dataset, keyword)
    if element is None and is_absent(dataset, keyword):
        return ""
    if element is not None and element.VR in _PLAIN_TEXT:
        plain = element.value or b""
        # Other characters, and several values, are pydicom's work.
        if plain.isascii() and b"\x1b" not in plain and b"\\" not in plain:
            return plain.decode("ascii").strip(" \0")
    value = _value(dataset, keyword)
    return "" if value is None else str(value).strip(" \0")


def readable_text(dataset: pydicom.Dataset, keyword: str) -> str:
    """As ``text``; empty where the element is damaged."""
    with contextlib.suppress(InputSkipped):
        return text(dataset, keyword)
    return ""


def joined(dataset: pydicom.Dataset, keyword: str) -> str:
    """All values of a code as they stand there, with backslashes between them."""
    element = _raw(dataset, keyword)
    if element is not None and element.VR in _PLAIN_TEXT:
        return (element.value or b"").decode("ascii", "replace").strip(" \0")
    value = None if is_absent(dataset, keyword) else _value(dataset, keyword)
    several = value if isinstance(value, (list, MultiValue)) else [value or ""]
    return "\\".join(map(str, several))


def number(dataset: pydicom.Dataset, keyword: str) -> float | None:
    """The element's first value; None where it is absent or empty."""
    values = numbers(dataset, keyword)
    return values[0] if values else None


def numbers(
    dataset: pydicom.Dataset, keyword: str, count: int | None = None
) -> tuple[float, ...] | None:
    """The element's values as finite floats.

    Args:
      dataset: Holds the element, or does not.
      keyword: Of the element.
      count: How many values there should be; None for any number.

    Returns:
      The values; None where the element is absent or empty.

    Raises:
      InputSkipped: A value is no finite number, or their count is another.
    """
    values = _several(dataset, keyword)
    if values is None:
        return None
    try:
        found = tuple(float(item) for item in values)
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid(keyword, error) from error
    if not all(map(math.isfinite, found)):
        got = ", ".join(f"{number:g}" for number in found)
        raise invalid(keyword, f"finite numbers are wanted, got {got}")
    if count is not None and len(found) != count:
        raise invalid(keyword, f"{count} values are wanted, got {len(found)}")
    return found


def items(dataset: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    """The items of a sequence; none where it is absent."""
    if is_absent(dataset, keyword):
        return []
    element = _raw(dataset, keyword)
    if element is not None and element.value in _EMPTY_ITEM:
        return [EMPTY]
    if element is not None and element.value and element.value[:4] not in _ITEMS:
        # pydicom would make an empty item of it.
        raise invalid(keyword, "it does not begin with an item")
    if isinstance(dataset, HeaderDataset) and element and element.VR == "SQ":
        with contextlib.suppress(WalkEnds, WalkIsLost):
            return _raw_items(dataset, element)
    value = _value(dataset, keyword)
    if value is not None and not isinstance(value, pydicom.Sequence):
        raise invalid(keyword, "a sequence is wanted")
    return list(value or ())


def _raw_items(
    dataset: HeaderDataset, element: RawDataElement
) -> list[pydicom.Dataset]:
    """The items of a sequence without asking pydicom, which takes it long.

    Raises:
      WalkEnds, WalkIsLost: It has to be asked.
    """
    encoding = Encoding(element.is_implicit_VR, element.is_little_endian)
    characters = dataset.characters
    found: list[pydicom.Dataset] = []
    value, cut_off = element.value or b"", dataset.cut_off
    for elements in element_walk.walk_items(value, encoding, cut_off=cut_off):
        raw: Any = {one.tag: one for one in elements.values()}
        one = HeaderDataset(raw, parent_encoding=characters)
        one.raw, one.cut_off = elements, cut_off
        found.append(one)
    return found


def item(dataset: pydicom.Dataset, keyword: str) -> pydicom.Dataset | None:
    """The first item of a sequence; None where there is none."""
    found = items(dataset, keyword)
    return found[0] if found else None


def is_absent(dataset: pydicom.Dataset, keyword: str) -> bool:
    """Whether an element is not there, told without asking pydicom if possible."""
    raw = getattr(dataset, "raw", None)
    return keyword not in dataset if raw is None else _tag(keyword) not in raw


def _raw(dataset: pydicom.Dataset, keyword: str) -> RawDataElement | None:
    """Element that pydicom need not convert, which takes it long."""
    raw = getattr(dataset, "raw", None)
    return None if raw is None else raw.get(_tag(keyword))


def _several(dataset: pydicom.Dataset, keyword: str) -> Any:
    """The element's values, not yet numbers; None where it is absent or empty."""
    element = _raw(dataset, keyword)
    if element is None and is_absent(dataset, keyword):
        return None
    if element is not None and element.VR in _NUMBER_TEXT:
        stripped = (element.value or b"").decode("latin-1").strip(" \0")
        return stripped.split("\\") if stripped else None
    if element is not None and element.VR in _NUMBERS:
        return _unpacked(element, _NUMBERS[element.VR], keyword)
    value = _value(dataset, keyword)
    if value is None or value == "":
        return None
    return value if isinstance(value, (list, MultiValue)) else [value]


def _unpacked(element: RawDataElement, code: str, keyword: str) -> tuple | None:
    value, size = element.value or b"", struct.calcsize("<" + code)
    if len(value) % size:
        raise invalid(keyword, f"{len(value)} bytes, where each value has {size}")
    order = "<" if element.is_little_endian else ">"
    return struct.unpack(f"{order}{len(value) // size}{code}", value) or None


def _value(dataset: pydicom.Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except Exception as error:  # values are converted here, and may be damaged
        raise invalid(keyword, error) from error
