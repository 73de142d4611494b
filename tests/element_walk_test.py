import struct
import sys

import pytest
from pydicom.tag import Tag

from tfdicom import element_walk
from tfdicom.element_walk import (
    Encoding,
    PixelElement,
    WalkEnds,
    WalkIsLost,
    walk,
    walk_items,
)

EXPLICIT, IMPLICIT = Encoding(False, True), Encoding(True, True)
BIG = Encoding(False, False)
UNDEFINED = 0xFFFFFFFF
PATIENT, SEQUENCE, PIXELS = 0x00100020, 0x00081140, 0x7FE00010


def element(encoding, tag, kind, value=b"", length=None):
    """Bytes of an element; ``length`` where it is not that of the value."""
    order = "<" if encoding.little else ">"
    length = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if encoding.implicit or kind is None:
        return head + struct.pack(order + "L", length) + value
    if kind in ("OW", "OB", "SQ", "UN"):
        return head + kind.encode() + struct.pack(order + "HL", 0, length) + value
    return head + kind.encode() + struct.pack(order + "H", length) + value


def nested(encoding, depth):
    """A sequence of undefined length that holds others."""
    inside = nested(encoding, depth - 1) if depth else b""
    item = element(encoding, 0xFFFEE000, None, inside, UNDEFINED)
    plain = element(encoding, 0xFFFEE000, None, element(encoding, PATIENT, "LO", b"no"))
    ends = [element(encoding, tag, None) for tag in (0xFFFEE00D, 0xFFFEE0DD)]
    value = plain + item + ends[0] + ends[1]
    return element(encoding, SEQUENCE, "SQ", value, UNDEFINED)


@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("depth", [0, 3])
def test_elements_and_pixels_are_found(encoding, depth):
    before = b"begin" + nested(encoding, depth)
    patient = element(encoding, PATIENT, "LO", b"P1")
    pixels = element(encoding, PIXELS, "OW", b"1234")
    data = before + patient + pixels
    found, where, at = walk(data, 5, encoding, {PATIENT})
    assert list(found) == [PATIENT]
    raw = found[PATIENT]
    assert (raw.tag, raw.VR, raw.value) == (Tag(PATIENT), "LO", b"P1")
    assert data[raw.value_tell :].startswith(b"P1")
    assert (raw.is_implicit_VR, raw.is_little_endian) == (
        encoding.implicit,
        encoding.little,
    )
    assert where == PixelElement(PIXELS, "OW", len(data) - 4, 4)
    assert at == len(data) - 4


def test_sequence_of_undefined_length_is_given_without_its_end():
    data = nested(EXPLICIT, 1)
    found, where, at = walk(data, 0, EXPLICIT, {SEQUENCE})
    assert found[SEQUENCE].value == data[12:-8]
    assert (where, at) == (None, len(data))


def test_encapsulated_pixels_have_no_length():
    data = element(EXPLICIT, PIXELS, "OB", b"", UNDEFINED)
    assert walk(data, 0, EXPLICIT, ())[1] == PixelElement(PIXELS, "OB", 12, None)


def test_group_ends_where_another_begins():
    meta = element(EXPLICIT, 0x00020010, "UI", b"1.2\0")
    data = meta + element(IMPLICIT, PATIENT, "LO", b"P1")
    found, _, at = walk(data, 0, EXPLICIT, {0x00020010, PATIENT}, group=2)
    assert list(found) == [0x00020010]
    assert at == len(meta)


def test_representation_that_depends_on_others_is_left_open():
    data = element(IMPLICIT, 0x00280120, "US", b"\1\0")
    assert walk(data, 0, IMPLICIT, {0x00280120})[0][0x00280120].VR is None


@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("length", [None, UNDEFINED])
def test_what_is_there_of_data_that_was_cut_short(encoding, length):
    before = element(encoding, PATIENT, "LO", b"P1")
    inside = item_of(encoding, before, delimited=False) * 2
    behind = element(encoding, 0xFFFEE0DD, None) if length else b""
    sizes = [] if length is None else [length]
    late = 0x00081199  # Referenced SOP Sequence; behind the patient here
    whole = before + element(encoding, late, "SQ", inside, *sizes) + behind
    started = len(whole) - len(behind) - len(inside)
    for end in range(len(whole)):
        found, pixels, at = walk(whole[:end], 0, encoding, None, cut_off=True)
        assert (pixels, at) == (None, end)
        assert (PATIENT in found) is (end >= len(before))
        assert (late in found) is (end >= started)
        if end >= started:
            patients = [
                one.get(PATIENT)
                for one in walk_items(found[late].value, encoding, cut_off=True)
            ]
            count = min((end - started) // (len(inside) // 2), 2)
            assert [one.value for one in patients if one] == [b"P1"] * count


@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT])
def test_data_that_ends_too_early(encoding):
    data = nested(encoding, 1) + element(encoding, PATIENT, "LO", b"P1")
    complete = len(nested(encoding, 1))
    for end in range(1, len(data)):
        if end != complete:
            with pytest.raises(WalkEnds):
                walk(data[:end], 0, encoding, {PATIENT})


@pytest.mark.parametrize(
    "data",
    [
        element(EXPLICIT, PATIENT, "??", b"P1"),
        element(EXPLICIT, PATIENT, "UN", b"", UNDEFINED),
        element(EXPLICIT, SEQUENCE, "SQ", element(EXPLICIT, PATIENT, "LO"), UNDEFINED),
        nested(EXPLICIT, 40),
    ],
)
def test_what_is_out_of_the_ordinary(data):
    with pytest.raises(WalkIsLost):
        walk(data, 0, EXPLICIT, {PATIENT})


def item_of(encoding, inside, *, delimited):
    """An item of a sequence, with its length or with a delimiter at its end."""
    if delimited:
        end = element(encoding, 0xFFFEE00D, None)
        return element(encoding, 0xFFFEE000, None, inside, UNDEFINED) + end
    return element(encoding, 0xFFFEE000, None, inside)


@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT, BIG])
def test_items_and_their_elements(encoding):
    private = element(encoding, 0x00091001, "LO", b"private ")
    inside = private + nested(encoding, 1) + element(encoding, PATIENT, "LO", b"P1")
    data = b"".join(
        item_of(encoding, content, delimited=delimited)
        for content in (inside, b"", element(encoding, PATIENT, "LO", b"P2"))
        for delimited in (True, False)
    )
    found = walk_items(data, encoding)
    patients = [one[PATIENT].value if one else None for one in found]
    assert patients == [b"P1", b"P1", None, None, b"P2", b"P2"]
    # Without a representation, what no dictionary knows is of no use.
    known = [0x00091001] * (not encoding.implicit) + [SEQUENCE, PATIENT]
    assert list(found[0]) == list(found[1]) == known
    assert walk_items(found[0][SEQUENCE].value, encoding)[0][PATIENT].value == b"no"
    assert walk_items(b"", encoding) == []


@pytest.mark.parametrize("delimited", [True, False])
def test_items_that_end_too_early(delimited):
    inside = element(EXPLICIT, PATIENT, "LO", b"P1")
    data = item_of(EXPLICIT, inside, delimited=delimited)
    for end in range(1, len(data)):
        with pytest.raises(WalkEnds):
            walk_items(data[:end], EXPLICIT)


@pytest.mark.parametrize(
    "data",
    [
        element(EXPLICIT, PATIENT, "LO", b"P1"),
        element(EXPLICIT, 0xFFFEE0DD, None),
        item_of(EXPLICIT, element(EXPLICIT, PATIENT, "??", b"P1"), delimited=False),
        item_of(EXPLICIT, element(EXPLICIT, PIXELS, "OW", b"12"), delimited=False),
    ],
    ids=["no item", "delimiter", "representation", "pixels"],
)
def test_items_that_pydicom_has_to_read(data):
    with pytest.raises(WalkIsLost):
        walk_items(data, EXPLICIT)


def test_every_value_representation_is_known():
    from pydicom.valuerep import VR

    known = {str(one).encode() for one in VR if len(str(one)) == 2}
    assert known == element_walk.VALUE_REPRESENTATIONS


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
