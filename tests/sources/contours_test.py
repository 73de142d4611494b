import pathlib
import shutil
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tests import real_data, source_folders
from tfdicom import files
from tfdicom.reasons import InputSkipped
from tfdicom.sources import contours

STRUCTURES = contours.parse_structures(contours.DEFAULT_STRUCTURES)
IMAGES = "img/{patient}/s{image}.dcm"
CONTOURS = "roi/{patient}_{image}_{structure}.txt"


def find(root, **arguments):
    paths = files.walk(root)
    return contours.find(root, paths, structures=STRUCTURES, **arguments)


def pairs(listing):
    """Structures by image path, of images that have contours."""
    return {
        path: tuple(one.structure for one in drawn)
        for path, drawn in listing.images.items()
        if drawn
    }


def left(listing):
    return {one.path: one.reason for one in listing.left}


def touch(root, *paths):
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")


@pytest.mark.parametrize(
    ("pattern", "path", "parts"),
    [
        ("d/{patient}/{image}.dcm", "d/A 1/007.dcm", {"patient": "A 1"}),
        ("d/{patient}/{image}.dcm", "d/A/B/7.dcm", None),
        ("d/{patient}/{image}.dcm", "d/A/7xdcm", None),
        ("*/{image}.dcm", "d/7.dcm", {"image": "7"}),
        ("**/{image}.dcm", "7.dcm", {"image": "7"}),
        ("**/{image}.dcm", "a/b/7.dcm", {"image": "7"}),
        ("**/{image}.dcm", "a/b7.dcm", None),
        ("{patient:P[0-9]{2}}/{image}", "P12/1", {"patient": "P12"}),
        ("{patient:P[0-9]{2}}/{image}", "P123/1", None),
        ("{:(x|y)}/{image}", "y/1", {"image": "1"}),
        ("IM-*-{image}-{structure}contour", "IM-1-2-p1contour", {"structure": "p1"}),
    ],
)
def test_patterns(pattern, path, parts):
    match = contours.compile_pattern(pattern).fullmatch(path)
    if parts is None:
        assert match is None
    else:
        assert parts.items() <= match.groupdict().items()


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{who}/{image}", r"unknown \{who\}; known are \{patient\}, \{image\}"),
        ("{}/{image}", r"unknown \{\}"),
        ("{patient:[}/{image}", "cannot be read"),
        ("{image}/{image}", "cannot be read"),
    ],
)
def test_patterns_that_cannot_be_read(pattern, words):
    with pytest.raises(ValueError, match=words):
        contours.compile_pattern(pattern)


@pytest.mark.parametrize(
    ("image", "contour", "missing"),
    [
        ("{image}.dcm", CONTOURS, "patient"),
        ("{patient}.dcm", CONTOURS, "image"),
        (IMAGES, "{patient}{image}.txt", "structure"),
    ],
)
def test_custom_layout_needs_what_pairing_needs(image, contour, missing):
    with pytest.raises(ValueError, match=rf"lacks \{{{missing}\}}"):
        contours.custom_layout(image, contour, None)


@pytest.mark.parametrize("text", ["", "i", "i=", "=inner", "i=inner,o"])
def test_structures_that_cannot_be_read(text):
    with pytest.raises(ValueError, match="wanted is as 'i=inner,o=outer'"):
        contours.parse_structures(text)


def test_structures():
    assert contours.parse_structures(" i = inner , o=outer,") == {
        "i": "inner",
        "o": "outer",
    }


@real_data.needs_sunnybrook
def test_shared_sunnybrook_data():
    listing = find(real_data.SUNNYBROOK)
    assert listing.layout == "sunnybrook" and listing.default_origin == "center1"
    assert len(listing.images) == 700
    found = list(pairs(listing).values())
    assert len(found) == 56
    assert sum("inner" in structures for structures in found) == 56
    assert sum("outer" in structures for structures in found) == 28
    assert not listing.left and listing.others == ("README.md",)
    inner, outer = listing.images["dicoms/SCD0000301/100.dcm"]
    assert inner.path == (
        "contourfiles/SC-HF-I-4/i-contours/IM-0001-0100-icontour-manual.txt"
    )
    assert outer.structure == "outer"
    assert outer.kind == "contours" and outer.candidates == (outer.path,)


def test_arterys_layout(source):
    listing = find(source.root)
    assert listing.layout == "sunnybrook"
    assert not listing.left and not listing.others
    assert pairs(listing) == {
        f"dicoms/{patient}/{number}.dcm": structures
        for patient in source.patients
        for number, structures in ((1, ("inner", "outer")), (2, ("inner",)))
    }
    assert len(listing.images) == 9


@pytest.mark.parametrize(
    ("images", "table"),
    [
        ("SCD_Images", True),
        ("challenge_training", True),
        ("challenge_training", False),
    ],
)
def test_original_release(source, tmp_path, images, table):
    root = tmp_path / "original"
    source_folders.write_original_release(root, source, images=images, table=table)
    listing = find(root)
    assert listing.layout == "sunnybrook_original"
    assert listing.default_origin == "center1"
    assert not listing.left
    found = pairs(listing)
    assert sorted(found.values()) == [("inner",)] * 3 + [("inner", "outer")] * 3
    number = {"SCD_Images": "IM-0003", "challenge_training": "IM-0001"}[images]
    assert all(
        path.endswith((f"{number}-0001.dcm", f"{number}-0002.dcm")) for path in found
    )
    for path, drawn in listing.images.items():
        for one in drawn:
            assert _patient_number(path) == _patient_number(one.path)


def _patient_number(path):
    """1, 2 or 3, from SCD0000201 or SC-HF-I-02."""
    name = next(part for part in path.split("/") if part.startswith(("SCD0", "SC-")))
    return int(name[7:9].strip("0")) if name.startswith("SCD0") else int(name[8:])


def test_original_release_without_its_table_links_nobody(source, tmp_path):
    root = tmp_path / "original"
    source_folders.write_original_release(
        root, source, images="SCD_Images", table=False
    )
    listing = find(root)
    assert not pairs(listing)
    assert set(left(listing).values()) == {"patient_not_linked"}
    assert (
        listing.left[0].detail == "patient 'SC-HF-I-01', link file scd_patientdata.csv"
    )
    assert len(listing.left) == 9


def test_a_number_that_is_none_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.dcm").touch()
    layout = contours.custom_layout("{patient}/{image:[a-z]+}.dcm", CONTOURS, None)
    with pytest.raises(ValueError, match="should be a number; in a/x.dcm it is 'x'"):
        find(tmp_path, layouts=[layout])


def test_custom_layout(tmp_path):
    touch(tmp_path, "img/A/s1.dcm", "img/A/s2.dcm", "roi/A_001_i.txt", "roi/A_2_lv.txt")
    layout = contours.custom_layout(IMAGES, CONTOURS, None)
    listing = find(tmp_path, layouts=[layout])
    assert listing.layout == "custom" and listing.default_origin is None
    # A code without a name is the structure's name itself.
    assert pairs(listing) == {"img/A/s1.dcm": ("inner",), "img/A/s2.dcm": ("lv",)}


def test_custom_layout_with_a_link_file(tmp_path):
    touch(tmp_path, "img/A/s1.dcm", "roi/X9_1_i.txt")
    (tmp_path / "names.csv").write_text("original_id,patient_id\nX09,A\n")
    layout = contours.custom_layout(IMAGES, CONTOURS, "names.csv")
    listing = find(tmp_path, layouts=[layout])
    assert pairs(listing) == {"img/A/s1.dcm": ("inner",)}
    assert not listing.left
    absent = contours.custom_layout(IMAGES, CONTOURS, "wrong.csv")
    with pytest.raises(ValueError, match="wrong.csv is missing"):
        find(tmp_path, layouts=[absent])


def test_strays_belong_to_no_pattern(source):
    patient = source.patients[0]
    contour = source.contour(patient, 1)
    names = [
        contour.with_name(f"._{contour.name}"),
        contour.with_name(f".{contour.name}.swp"),
        contour.with_name(f"{contour.name}~"),
        contour.with_name(f"#{contour.name}#"),
        source.image(patient, 1).with_name("._1.dcm"),
        source.image(patient, 1).with_name(".DS_Store"),
        source.root / "README.md",
    ]
    for path in names:
        path.write_bytes(b"\0\5\x16\7")
    listing = find(source.root)
    strays = {path.relative_to(source.root).as_posix() for path in names}
    assert set(listing.others) == strays and len(listing.others) == len(strays)
    assert len(listing.images) == 9 and not listing.left


def test_contour_without_image(source):
    patient = source.patients[0]
    source.image(patient, 2).unlink()
    listing = find(source.root)
    (one,) = listing.left
    assert one.reason == "contour_without_image"
    assert one.path.endswith("IM-0001-0002-icontour-manual.txt")
    assert one.detail == "image 2"


def test_patient_who_is_linked_elsewhere_is_not_guessed(source):
    # The contours of SC-HF-I-1 are linked to images that are not there; that a folder
    # of images has the contours' name says nothing.
    link = source.root / "link.csv"
    link.write_text(link.read_text().replace("SCD0000101,", "SCD0000901,"))
    images = source.image("SCD0000101", 1).parent
    images.rename(images.with_name("SC-HF-I-1"))
    found = left(find(source.root))
    assert set(found.values()) == {"patient_not_linked"}
    assert all("SC-HF-I-1" in path for path in found) and len(found) == 3


def test_contours_of_a_patient_whom_nothing_links(source):
    link = source.root / "link.csv"
    link.write_text("".join(link.read_text().splitlines(keepends=True)[:-1]))
    found = left(find(source.root))
    assert set(found.values()) == {"patient_not_linked"}
    assert len(found) == 3
    assert all("SC-HF-I-3" in path for path in found)


def test_two_images_for_one_contour(source):
    patient = source.patients[0]
    shutil.copy(source.image(patient, 2), source.image(patient, 2).with_name("02.dcm"))
    (one,) = find(source.root).left
    assert one.reason == "two_images_for_contour"
    assert one.detail == f"dicoms/{patient}/02.dcm, dicoms/{patient}/2.dcm"


def test_two_contours_for_one_structure(source):
    contour = source.contour(source.patients[0], 1)
    shutil.copy(contour, contour.with_name("IM-0002-0001-icontour-manual.txt"))
    listing = find(source.root)
    assert list(left(listing).values()) == ["two_contours_for_structure"] * 2
    assert pairs(listing)[f"dicoms/{source.patients[0]}/1.dcm"] == ("outer",)


def test_missing_link_file_is_named(source):
    (source.root / "link.csv").unlink()
    with pytest.raises(
        ValueError, match=r"link\.csv is missing: .*patient_id,original"
    ):
        find(source.root)


def test_folder_without_the_layout_says_what_was_looked_for(tmp_path):
    touch(tmp_path, "dicoms/A/1.dcm", "notes.txt")
    assert find(tmp_path) is None
    message = contours.no_layout(tmp_path, contours.LAYOUTS, files.walk(tmp_path))
    assert f"{tmp_path}: no images with contours were found among 2 files" in message
    assert "sunnybrook: 1 images match dicoms/{patient}/{image}.dcm" in message
    assert "sunnybrook_original: 0 contours match" in message
    assert "Files there are named as notes.txt" in message
    assert "--layout=custom" in message


def test_empty_folder(tmp_path):
    assert find(tmp_path) is None
    assert "among 0 files" in contours.no_layout(tmp_path, contours.LAYOUTS, [])


@pytest.mark.parametrize("gone", ["dicoms", "contourfiles"])
def test_layout_fits_where_both_patterns_do(source, gone):
    shutil.rmtree(source.root / gone)
    assert find(source.root) is None


def test_links():
    text = "\ufeffextra,original_id,patient_id\nx,SC-HF-I-01, SCD0000101 \n\n"
    links = contours.parse_links(text, ("patient_id", "original_id"), source="f")
    assert links == {"SC-HF-I-1": "SCD101"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "f: the header should name patient_id,original_id; got nothing"),
        ("patient,original\nA,B\n", "f: the header .* got patient,original"),
        ("patient_id,original_id\nA,B\n,C\n", "f, line 3: 'C' .* got ''"),
        ("patient_id,original_id\nA\n", "f, line 2"),
        ("patient_id,original_id\nA,C\nB,C\n", "f, line 3: 'C' .* got 'B'"),
    ],
)
def test_links_that_cannot_be_read(text, words):
    with pytest.raises(ValueError, match=words):
        contours.parse_links(text, ("patient_id", "original_id"), source="f")


@pytest.mark.parametrize(
    ("content", "points"),
    [
        (b"1 2\n3 4\n5 6\n", [(1, 2), (3, 4), (5, 6)]),
        (b"1 2\r\n3 4\r\n5 6\r\n", [(1, 2), (3, 4), (5, 6)]),
        (b"1.50 2\n3 4\n5e0 6", [(1.5, 2), (3, 4), (5, 6)]),
        (b"1 2\n3 4\n5 6\n1 2\n", [(1, 2), (3, 4), (5, 6)]),
        (b"  1\t-2\n3 4\n5 6\n\n\n", [(1, -2), (3, 4), (5, 6)]),
    ],
)
def test_contour_files(tmp_path, content, points):
    path = tmp_path / "c.txt"
    path.write_bytes(content)
    vertices = contours.read_contour(path)
    assert vertices.dtype == np.float64
    np.testing.assert_array_equal(vertices, points)


@pytest.mark.parametrize(
    ("content", "code", "detail"),
    [
        (b"", "contour_empty", ""),
        (b"\n \n", "contour_empty", ""),
        (b"1 2\nx 4\n5 6\n", "contour_malformed", "line 2: 'x 4'"),
        (b"1 2\n3 4\n1_0 6\n", "contour_malformed", "line 3: '1_0 6'"),
        (b"1 2\n3 4\n5\n", "contour_malformed", "line 3: '5'"),
        (b"1 2\n3 4\n5 6 7\n", "contour_malformed", "line 3"),
        (b"1 2\n\n3 4\n5 6\n", "contour_malformed", "line 2: ''"),
        (b"1 2\nnan 4\n5 6\n", "contour_malformed", "line 2"),
        (b"1 2\n3 4\n5 inf\n", "contour_malformed", "line 3"),
        (b"1 2\n3 4\n5 1000001\n", "contour_malformed", "line 3: '5 1000001'"),
        (b"1 2\n-1e300 4\n5 6\n", "contour_malformed", "line 2: '-1e300 4'"),
        (b"1,2\n3,4\n5,6\n", "contour_malformed", "line 1: '1,2'"),
        (b"1 2\n3 4\n" + b"y" * 99, "contour_malformed", "line 3: 'yyy"),
        (b"1 2\n3 4\n", "contour_too_short", "2 points"),
        (b"1 2\n3 4\n1 2\n", "contour_too_short", "2 points"),
        (b"1 2\n3 4\n5 \xff\n", "contour_unreadable", "0xff"),
    ],
)
def test_contour_files_that_cannot_be_used(tmp_path, content, code, detail):
    path = tmp_path / "c.txt"
    path.write_bytes(content)
    with pytest.raises(InputSkipped) as error:
        contours.read_contour(path)
    assert error.value.code == code
    assert detail in error.value.detail
    assert len(error.value.detail) < 120


LINES = st.lists(
    st.one_of(
        st.tuples(st.floats(), st.floats()).map(lambda xy: f"{xy[0]!r} {xy[1]!r}"),
        st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 2).map(
            lambda xy: f"{xy[0]:.2f} {xy[1]:.2f}"
        ),
        st.text(st.characters(max_codepoint=0x17F), max_size=12),
    ),
    max_size=9,
).map("\n".join)


@hypothesis.given(
    st.one_of(LINES.map(lambda text: text.encode("utf-8")), st.binary(max_size=80))
)
@hypothesis.settings(max_examples=300, deadline=None)
def test_any_text_is_a_contour_or_is_left_out(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed.txt"
    path.write_bytes(content)
    try:
        vertices = contours.read_contour(path)
    except InputSkipped as skipped:
        assert skipped.code.startswith("contour_")
        return
    assert vertices.dtype == np.float64 and vertices.shape[1] == 2
    assert len(vertices) >= 3 and (np.abs(vertices) <= 1e6).all()
    # Read a second time in another way.
    words = np.array(content.decode().removeprefix("\ufeff").split(), float)
    expected = words.reshape(-1, 2)
    expected = expected[:-1] if len(vertices) < len(expected) else expected
    np.testing.assert_array_equal(vertices, expected)


def test_contour_file_that_is_gone(tmp_path):
    with pytest.raises(InputSkipped) as error:
        contours.read_contour(pathlib.Path(tmp_path / "none.txt"))
    assert error.value.code == "contour_unreadable"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
