import sys

import pytest

from tests import source_folders
from tests.source_folders import PATIENTS, convert
from tfdicom import manifest
from tfdicom.conversion_state import input_digest
from tfdicom.deidentify import load_pseudonyms
from tfdicom.fixed_patients import FixedPatients, NewFiles
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import MASKS, RTSTRUCT

TRAIN, _, TEST = PATIENTS
OPTIONS = {"split": f"train:{TRAIN}+{PATIENTS[1]},test:{TEST}", "fixed_splits": "test"}
PUBLIC = load_pseudonyms("public")[0]


def draw(source, patient, number):
    vertices = source.inner(patient, number)
    source_folders.write_contour(source.contour(patient, number), vertices)


def grow(source, patient):
    """A contour on an image that is there, and another image with a contour."""
    draw(source, patient, 3)
    source_folders.write_image(source.image(patient, 4), patient, 4)
    draw(source, patient, 4)


def test_a_fixed_split_stays_what_it_is(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output, **OPTIONS)
    before = manifest.load_manifest(output)
    for patient in (TRAIN, TEST):
        grow(source, patient)
    result = convert(source.root, output, **OPTIONS)
    after = manifest.load_manifest(output)
    assert after.splits["test"] == before.splits["test"]
    assert after.splits["train"].examples == before.splits["train"].examples + 2
    of_test = PUBLIC.of("patient", TEST)
    found = {
        (one["kind"], one["status"], one["reason"])
        for one in manifest.read_ledger(output)
        if one.get("patient") == of_test
        and one.get("reason") != "no_annotation"
        and one["status"] != "converted"
    }
    assert found == {
        ("image", "left_out", "split_is_fixed"),
        ("contour", "left_out", "split_is_fixed"),
        ("contour", "left_out", "image_left_out"),
    }
    assert result.ledger.counts()["reasons"]["split_is_fixed"] == 2
    # They are new for ever, and are seen no less when nothing else is.
    again = convert(source.root, output, **OPTIONS)
    assert again.written == ()
    assert manifest.load_manifest(output) == after


def test_new_objects_that_mean_images_of_theirs(source):
    listing, found = source_folders.scan_images(source.root)
    instances = {
        patient: tuple(
            one.header.instance for one in found.frames if patient in one.path
        )
        for patient in PATIENTS
    }
    fixed = FixedPatients(
        frozenset({PUBLIC.of("patient", TEST)}),
        frozenset({input_digest(PUBLIC, "old.dcm")}),
        PUBLIC,
    )
    objects = [
        AnnotationObject(
            path, kind, instance=path, referenced_instances=instances[patient]
        )
        for path, kind, patient in (
            ("old.dcm", RTSTRUCT, TEST),
            ("new.dcm", RTSTRUCT, TEST),
            ("mask.png", MASKS, TEST),
            ("other.dcm", RTSTRUCT, TRAIN),
        )
    ]
    new = NewFiles(fixed, found.frames, lambda one: one.header.patient_id)
    kept = new.without_objects(objects)
    assert [one.path for one in kept] == ["old.dcm", "other.dcm"]
    left = {(one.path, one.kind, one.reason) for one in new.left}
    assert left == {
        ("new.dcm", "object", "split_is_fixed"),
        ("mask.png", "mask", "split_is_fixed"),
    }
    assert new.files == {"new.dcm", "mask.png"}
    # All images are new here, and only theirs are taken out.
    scan = new.without_images(found)
    assert {one.header.patient_id for one in scan.frames} == {*PATIENTS} - {TEST}
    assert new.without_contours(listing.images) == listing.images


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
