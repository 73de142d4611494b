"""Finds the elements of a data set that are wanted, and where its pixels begin.

pydicom spends most of the time that a header takes on elements that nobody asks for.
This walks over them and leaves to pydicom what it makes of the ones that are wanted;
what is out of the ordinary raises, and is read by pydicom alone.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Collection
from typing import Literal

from pydicom.datadict import dictionary_has_tag, dictionary_VR, repeater_has_tag
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

_UNDEFINED = 0xFFFFFFFF
# Value representations with a length of 32 bits (PS3.5 7.1.2).
_LONG = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR"}
    | {b"UT", b"UV"}
)
_SHORT = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO"}
    | {b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
VALUE_REPRESENTATIONS = _LONG | _SHORT
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# Float Pixel Data, Double Float Pixel Data, Pixel Data.
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_DELIMITER = 8  # bytes
_DEEPEST = 32

# From a place to tag, value representation, length, and where the value begins.
_HeaderReader = Callable[[int], tuple[int, bytes | None, int, int]]


class WalkEnds(Exception):  # noqa: N818 - how a walk ends, not a defect
    """The data ends within an element: there may be more, or it is cut off.

    Attributes:
      sequence: Of a sequence that it ends in: tag, value representation, and where the
        value begins; None if it is none.
      stray: Where bytes begin that are no part of the data set, which is whole; None if
        it is not so.
    """

    def __init__(
        self,
        sequence: tuple[int, bytes | None, int] | None = None,
        stray: int | None = None,
    ) -> None:
        """Keeps where it is."""
        super().__init__(sequence, stray)
        self.sequence = sequence
        self.stray = stray


class WalkIsLost(Exception):  # noqa: N818 - how a walk ends, not a defect
    """Something is out of the ordinary here."""


@dataclasses.dataclass(frozen=True)
class PixelElement:
    """Where the value of an element with pixels lies.

    ``length`` is None where the pixels are encapsulated.
    """

    tag: int
    value_representation: str
    offset: int
    length: int | None


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How elements are written."""

    implicit: bool
    little: bool


def walk(
    data: bytes,
    start: int,
    encoding: Encoding,
    wanted: Collection[int] | None,
    *,
    group: int | None = None,
    cut_off: bool = False,
) -> tuple[dict[int, RawDataElement], PixelElement | None, int]:
    """Walks over the top level of a data set, up to its pixels.

    Args:
      data: Begins at the begin of the file.
      start: Where the first element begins.
      encoding: Of the elements.
      wanted: Their tags; None for all that have a name.
      group: Walk to the end of this group only.
      cut_off: The data may end anywhere: of a sequence that is not whole what is there
        is taken, any other element that is not whole is none.

    Returns:
      The wanted elements, the element with the pixels, and where the walk ended: before
      stray bytes behind the last element, if there are any.

    Raises:
      WalkEnds: The data ends within an element, and should not.
      WalkIsLost: An element is not written as it should be.
    """
    elements: dict[int, RawDataElement] = {}
    try:
        pixels, at = _walk(data, start, encoding, wanted, group, elements)
    except WalkEnds as ended:
        if not cut_off:
            raise
        if ended.sequence is not None:
            tag, kind, value = ended.sequence
            if wanted is None or tag in wanted:
                elements[tag] = _element(tag, kind, data[value:], value, encoding)
        return elements, None, len(data) if ended.stray is None else ended.stray
    return elements, pixels, at


def _walk(
    data: bytes,
    start: int,
    encoding: Encoding,
    wanted: Collection[int] | None,
    group: int | None,
    elements: dict[int, RawDataElement],
) -> tuple[PixelElement | None, int]:
    """As ``walk``; enters what it finds as it goes."""
    at, last, end = start, -1, len(data)
    header = _header_reader(data, encoding)
    # What follows the group may be written in another way.
    order: Literal["little", "big"] = "little" if encoding.little else "big"
    prefix = None if group is None else group.to_bytes(2, order)
    try:
        while at < end:
            if prefix is not None and data[at : at + 2] != prefix:
                return None, at
            tag, kind, length, value = header(at)
            if tag in PIXEL_TAGS:
                size = None if length == _UNDEFINED else length
                vr = (kind or b"OW").decode("ascii")
                return PixelElement(tag, vr, value, size), value
            if length == _UNDEFINED:
                if kind not in (None, b"SQ"):
                    raise WalkIsLost
                try:
                    stop, following = _over_items(data, value, encoding, 0)
                except WalkEnds as ended:
                    raise WalkEnds((tag, kind, value)) from ended
            else:
                stop = following = value + length
            if following > end:
                is_sequence = kind == b"SQ" or (kind is None and _is_sequence(tag))
                raise WalkEnds((tag, kind, value) if is_sequence else None)
            if (tag in wanted) if wanted is not None else (kind or _has_name(tag)):
                elements[tag] = _element(tag, kind, data[value:stop], value, encoding)
            at, last = following, max(last, tag)
    except (WalkEnds, WalkIsLost) as ended:
        if wanted is not None and _is_stray(data[at:], order, last, wanted, ended):
            raise WalkEnds(stray=at) from ended
        raise
    return None, at


def _is_stray(
    rest: bytes,
    order: Literal["little", "big"],
    last: int,
    wanted: Collection[int],
    ended: Exception,
) -> bool:
    """Whether what cannot be walked over is no element of the data set that matters.

    Tags ascend (PS3.5 7.1): what begins with none between the last one and the last
    one that is wanted was not cut off from anything. Zeros, text or a piece of another
    file, as some programs leave them behind a data set, are such.
    """
    halves = rest[:2].ljust(2, b"\0"), rest[2:4].ljust(2, b"\0")
    tag = int.from_bytes(halves[0], order) << 16 | int.from_bytes(halves[1], order)
    if isinstance(ended, WalkIsLost):  # pydicom knows what to make of most of it
        return tag > max(PIXEL_TAGS)
    return not last < tag <= max(wanted, default=-1)


def walk_items(
    data: bytes, encoding: Encoding, *, cut_off: bool = False
) -> list[dict[int, RawDataElement]]:
    """The elements of each item of a sequence.

    Args:
      data: The sequence's value, without a delimiter at its end.
      encoding: Of its elements.
      cut_off: The data may end anywhere, as in ``walk``.

    Raises:
      WalkEnds: The data ends within an item.
      WalkIsLost: Something else than items is there, or an item holds pixels.
    """
    header = _header_reader(data, encoding)
    found: list[dict[int, RawDataElement]] = []
    at, value = 0, None
    try:
        while at < len(data):
            value = None
            tag, _, length, value = header(at)
            if tag != _ITEM:
                raise WalkIsLost
            if length == _UNDEFINED:
                at = _over_elements(data, value, encoding, 0)
                stop = at - _DELIMITER
            else:
                at = stop = value + length
            if at > len(data):
                raise WalkEnds
            found.append(_item(data[value:stop], encoding, cut_off=False))
    except WalkEnds:
        if not cut_off:
            raise
        if value is not None:
            found.append(_item(data[value:], encoding, cut_off=True))
    return found


def _item(
    data: bytes, encoding: Encoding, *, cut_off: bool
) -> dict[int, RawDataElement]:
    elements, pixels, _ = walk(data, 0, encoding, None, cut_off=cut_off)
    if pixels is not None:
        raise WalkIsLost
    return elements


def _is_sequence(tag: int) -> bool:
    return dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"


def _has_name(tag: int) -> bool:
    return dictionary_has_tag(tag) or repeater_has_tag(tag)


def _element(
    tag: int, kind: bytes | None, value: bytes, at: int, encoding: Encoding
) -> RawDataElement:
    name = dictionary_VR(tag) if kind is None else kind.decode("ascii")
    # Left to pydicom, which knows by which other element it is decided.
    unclear = None if " or " in name else name
    return RawDataElement(
        BaseTag(tag),
        unclear,
        len(value),
        value,
        at,
        encoding.implicit,
        encoding.little,
    )


def _header_reader(data: bytes, encoding: Encoding) -> _HeaderReader:
    """A function of a place in the data."""
    order = "<" if encoding.little else ">"
    implicit = struct.Struct(order + "HHL").unpack_from
    explicit = struct.Struct(order + "HH2sH").unpack_from
    long = struct.Struct(order + "L").unpack_from

    def read_implicit(at: int) -> tuple[int, bytes | None, int, int]:
        try:
            group, element, length = implicit(data, at)
        except struct.error as error:
            raise WalkEnds from error
        return group << 16 | element, None, length, at + 8

    def read_explicit(at: int) -> tuple[int, bytes | None, int, int]:
        try:
            group, element, kind, length = explicit(data, at)
            if kind in _SHORT:
                return group << 16 | element, kind, length, at + 8
            if kind in _LONG:
                return group << 16 | element, kind, long(data, at + 8)[0], at + 12
        except struct.error as error:
            raise WalkEnds from error
        if group == 0xFFFE:  # items have no value representation
            return group << 16 | element, None, implicit(data, at)[2], at + 8
        raise WalkIsLost

    return read_implicit if encoding.implicit else read_explicit


def _over_items(
    data: bytes, at: int, encoding: Encoding, depth: int
) -> tuple[int, int]:
    """Where a sequence of undefined length ends, before and after its delimiter."""
    if depth > _DEEPEST:
        raise WalkIsLost
    header = _header_reader(data, encoding)
    while True:
        tag, _, length, value = header(at)
        if tag == _SEQUENCE_END:
            return at, value
        if tag != _ITEM:
            raise WalkIsLost
        at = (
            _over_elements(data, value, encoding, depth)
            if length == _UNDEFINED
            else value + length
        )


def _over_elements(data: bytes, at: int, encoding: Encoding, depth: int) -> int:
    """Where an item of undefined length ends, after its delimiter."""
    header = _header_reader(data, encoding)
    while True:
        tag, kind, length, value = header(at)
        if tag == _ITEM_END:
            return value
        if length != _UNDEFINED:
            at = value + length
        elif kind in (None, b"SQ"):
            at = _over_items(data, value, encoding, depth + 1)[1]
        else:
            raise WalkIsLost
