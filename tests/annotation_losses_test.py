"""What is lost before the plan, through the whole converter."""

import sys

import pytest

from tests import source_folders
from tests.source_folders import convert

PATIENTS = source_folders.PATIENTS


@pytest.fixture
def outlined(tmp_path):
    """A structure set for each patient, beside the images; no contour files."""
    source = source_folders.write_folder(tmp_path / "in", annotated=0, outer=0, plain=3)
    for patient in source.patients:
        images = [source.image(patient, number) for number in (1, 2, 3)]
        outlines = {"heart": source.inner(patient, 1)}
        path = structure_set(source, patient)
        source_folders.write_structure_set(path, images, outlines)
    return source


def structure_set(source, patient):
    return source.image(patient, 1).parent / f"{patient}-rt.dcm"


def cut_short(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def unreadable(path):
    path.write_bytes(b"\0" * 1000)


@pytest.mark.parametrize(
    ("damage", "reason"), [(cut_short, "object_truncated"), (unreadable, "not_dicom")]
)
def test_structure_set_that_cannot_be_read(outlined, tmp_path, damage, reason):
    damage(structure_set(outlined, PATIENTS[1]))
    options = {"classes": "heart", "split": "train:0.5,test:0.5"}
    words = f"patient '{PATIENTS[1]}' loses .*(.|\n)*1 skipped: {reason}"
    if damage is cut_short:  # else nobody knows that it was one
        with pytest.raises(ValueError, match=words):
            convert(outlined.root, tmp_path / "out", **options)
    result = convert(outlined.root, tmp_path / "out", max_error_rate=1.0, **options)
    assert result.ledger.counts()["reasons"][reason] == 1
    assert result.ledger.losses.failed == (2 if damage is cut_short else 1)
    # Whom the split leaves out is not lost.
    named = f"train:{PATIENTS[0]}+{PATIENTS[2]}"
    result = convert(outlined.root, tmp_path / "out2", classes="heart", split=named)
    assert result.ledger.losses.failed == 0


def test_images_that_cannot_be_read(source, tmp_path):
    for number in (1, 2):
        unreadable(source.image(PATIENTS[2], number))
    words = f"patient '{PATIENTS[2]}' loses 2 of 2 annotated images"
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "out")
    split = f"train:{PATIENTS[0]}+{PATIENTS[1]},test:{PATIENTS[2]}"
    words = f"split 'test' has no patient, and nothing is left of 1: .*{PATIENTS[2]}"
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "out", split=split, max_error_rate=1.0)


def test_class_that_only_lost_images_have(source, tmp_path):
    for patient in PATIENTS:
        unreadable(source.image(patient, 1))  # the one with the outer contour
    words = "class 'outer': it was to be annotated on 3 images, and could be drawn on n"
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "out")
    convert(source.root, tmp_path / "out", classes="inner")


@pytest.mark.parametrize("changed", [False, True])
def test_one_image_of_two_patients(source, tmp_path, changed):
    image, copy = (source.image(one, 9) for one in PATIENTS[:2])
    source_folders.write_image(image, PATIENTS[0], 9)
    source_folders.write_image(copy, PATIENTS[0], 9)
    if changed:
        source_folders.edit(copy, PatientID=PATIENTS[1])
    first, second = (f"dicoms/{one}/9.dcm" for one in PATIENTS[:2])
    by_folder = r"folder:dicoms/(\w+)"
    words = f"{second} of patient '{PATIENTS[1]}' is the same SOP Instance as {first}"
    with pytest.raises(ValueError, match=words):
        # Byte for byte equal, it is two patients' by the folders alone.
        options = {} if changed else {"patient_from": by_folder}
        convert(source.root, tmp_path / "out", **options)
    if changed:  # in one split nothing leaks: neither is used
        one = convert(source.root, tmp_path / "one", split="train", max_error_rate=1.0)
        assert one.ledger.counts()["reasons"]["duplicate_instance"] == 2


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
