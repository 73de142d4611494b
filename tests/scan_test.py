import shutil
import sys

import pytest

from tests import source_folders
from tfdicom.scan import scan_headers
from tfdicom.sources import contours

STRUCTURES = {"i": "inner", "o": "outer"}


def scan(folder, workers=1):
    listing = contours.find(folder.root, structures=STRUCTURES)
    counts = []
    scanned, left = scan_headers(
        folder.root, listing, workers=workers, progress=counts.append
    )
    return listing, scanned, {one.path: one for one in left}, counts


@pytest.mark.parametrize("workers", [1, 2])
def test_headers_come_in_the_listings_order(tmp_path, workers):
    # More than one task's worth of files.
    folder = source_folders.write_folder(tmp_path / "in", annotated=1, plain=40)
    listing, scanned, left, counts = scan(folder, workers)
    assert len(scanned) == 3 * 41 and not left
    assert [one.file for one in scanned] == list(listing.images)
    for one in scanned:
        number = int(one.file.path.rpartition("/")[2].removesuffix(".dcm"))
        expected = source_folders.uid(one.header.patient_id, number)
        assert one.header.instance == expected
    assert counts[-1] == 3 * 41


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned_in"),
        ({"Rows": None}, "no_pixel_data"),
        ({"SOPInstanceUID": None}, "no_instance"),
        ({"PixelSpacing": [1]}, "header_invalid"),
    ],
)
def test_unusable_image_takes_its_contours_along(source, elements, code):
    patient = source.patients[0]
    source_folders.edit(source.image(patient, 1), **elements)
    _, scanned, left, counts = scan(source)
    image = f"dicoms/{patient}/1.dcm"
    assert left.pop(image).reason == code
    assert len(left) == 2
    assert all(one.reason == "image_unusable" for one in left.values())
    assert all(one.detail.startswith(image) for one in left.values())
    assert image not in {one.file.path for one in scanned}
    assert len(scanned) == 8 and counts[-1] == 9


def test_burned_in_annotation_no_is_fine(source):
    path = source.image(source.patients[0], 1)
    source_folders.edit(path, BurnedInAnnotation="NO")
    assert not scan(source)[2]


def test_of_two_files_with_one_instance_uid_neither_is_used(source):
    patient = source.patients[0]
    shutil.copy(source.image(patient, 1), source.image(patient, 99))
    _, scanned, left, _ = scan(source)
    reasons = {path: one.reason for path, one in left.items()}
    assert reasons.pop(f"dicoms/{patient}/1.dcm") == "duplicate_instance"
    assert reasons.pop(f"dicoms/{patient}/99.dcm") == "duplicate_instance"
    assert set(reasons.values()) == {"image_unusable"} and len(reasons) == 2
    assert len(scanned) == 8


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
