import sys

import pytest

from tfdicom import file_owners
from tfdicom.patients import identifier_from
from tfdicom.sources.candidates import LeftFile

KNOWN = {"a/P1/1.dcm": "P1", "a/P1/2.dcm": "P1", "a/P2/x/1.dcm": "P2"}


def _owners(*files, left=(), named=None, patient_from="tag"):
    return file_owners.patients_of_others(
        KNOWN, [*KNOWN, *files], left, named or {}, identifier_from(patient_from)
    )


@pytest.mark.parametrize(
    ("path", "patient"),
    [
        ("a/P1/notes.txt", "P1"),
        ("a/P1/deep/er/notes.txt", "P1"),
        ("a/P2/notes.txt", "P2"),
        ("a/notes.txt", None),  # of both
        ("notes.txt", None),
        ("b/notes.txt", None),
    ],
)
def test_folders_of_one_patient(path, patient):
    assert _owners(path).get(path) == patient


def test_headers_say_more_than_folders():
    named = {"a/P1/odd.dcm": ("P7", "1.2"), "a/P2/anon.dcm": ("Anonymous", "")}
    assert _owners(*named, named=named) == {"a/P1/odd.dcm": "P7", "a/P2/anon.dcm": "P2"}
    assert _owners("a/P1/x", *named, named=named).get("a/P1/x") is None  # now of both
    assert _owners("b/x", named={"b/x": ("P7", "1.2")}, patient_from="study") == {
        "b/x": "1.2"
    }
    assert _owners("b/PX.txt", patient_from=r"folder:(P\w+)\.txt") == {"b/PX.txt": "PX"}


def test_files_go_with_those_that_they_belong_to():
    left = [
        LeftFile("c/1.txt", "contour", "x", near="a/P2/x/1.dcm"),
        LeftFile("c/2.txt", "contour", "x", near="c/odd.dcm"),
        LeftFile("c/3#4.txt", "contour", "x"),
        LeftFile("c/missing.png#2", "mask", "x", near="a/P1/1.dcm"),
    ]
    found = _owners(
        "c/1.txt", "c/2.txt", "c/3#4.txt", left=left, named={"c/odd.dcm": ("P7", "")}
    )
    assert found == {"c/1.txt": "P2", "c/missing.png": "P1"}
    named = {"c/odd.dcm": ("P7", "")}
    assert _owners("c/2.txt", "c/odd.dcm", left=left[1:2], named=named) == {
        "c/2.txt": "P7",
        "c/odd.dcm": "P7",
    }


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
