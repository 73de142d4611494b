import shutil
import sys

import pydicom
import pytest

from tests.source_folders import COLUMNS, ROWS, uid, write_image
from tfdicom import deidentify, source_images

PUBLIC = deidentify.load_pseudonyms(deidentify.PUBLIC)[0]


@pytest.fixture
def folder(tmp_path):
    for number in (1, 2, 3):
        write_image(tmp_path / "in" / "deep" / f"{number}.dcm", "P1", number)
    (tmp_path / "in" / "a.txt").write_text("no DICOM")
    return tmp_path / "in"


def key(number, *, frame=1, rater=""):
    rater = PUBLIC.of("rater", rater) if rater else ""
    return PUBLIC.of("example", uid("P1", number), str(frame), rater)


def find(folder, *keys, raters=("",)):
    return source_images.find_frames(folder, keys, PUBLIC, raters=raters)


def test_keys_are_found_again(folder):
    found = find(folder, key(3), key(1))
    assert found.keys() == {key(1), key(3)}
    assert found[key(3)].header.SOPInstanceUID == uid("P1", 3)
    assert found[key(3)].header.PatientID == "P1"
    assert "PixelData" not in found[key(3)].header
    assert found[key(3)].shape == (ROWS, COLUMNS)
    assert found[key(3)].plane.pixel_spacing == (1.5, 1.25)
    assert (found[key(3)].frame_number, found[key(3)].frame_count) == (1, 1)


def test_frames_and_raters_are_part_of_a_key(folder):
    write_image(folder / "4.dcm", "P1", 4, NumberOfFrames=5)
    pseudonym = PUBLIC.of("rater", "Doe")
    for rater in ("Doe", pseudonym):
        found = find(folder, key(4, frame=5, rater="Doe"), raters=("Roe", rater))
        (frame,) = found.values()
        assert (frame.frame_number, frame.frame_count) == (5, 5)
        assert frame.rater == pseudonym


def test_a_rater_who_is_not_named_is_asked_for(folder):
    with pytest.raises(ValueError, match="raters=.*--several_annotations=raters"):
        find(folder, key(1, rater="Doe"))


def test_a_data_set_without_file_meta_information_is_found(folder):
    path = folder / "deep" / "1.dcm"
    image = pydicom.dcmread(path)
    del image.file_meta
    image.preamble = None
    image.save_as(path, implicit_vr=True, little_endian=True)
    assert path.read_bytes()[128:132] != b"DICM"
    assert find(folder, key(1))[key(1)].header.PatientID == "P1"


@pytest.mark.parametrize("wrong", [key(9), key(1, frame=2), key(1, rater="Doe")])
def test_a_key_of_no_image_is_refused(folder, wrong):
    with pytest.raises(ValueError, match=f"1 of 2 keys, {wrong}.*source_dir"):
        find(folder, key(1), wrong)


def test_images_sort_by_time(folder):
    write_image(folder / "4.dcm", "P1", 4, TriggerTime=300)
    write_image(folder / "5.dcm", "P1", 5, TriggerTime=20)
    found = find(folder, key(1), key(4), key(5))
    order = sorted(found, key=lambda one: found[one].time)
    assert order == [key(1), key(5), key(4)]


@pytest.mark.parametrize(
    "elements",
    [
        {"ImagePositionPatient": None},
        {"PixelSpacing": None},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
    ],
)
def test_a_place_that_is_incomplete_or_impossible_is_none(folder, elements):
    write_image(folder / "4.dcm", "P1", 4, **elements)
    assert find(folder, key(4))[key(4)].plane is None


def test_the_search_ends_when_all_are_found(folder, monkeypatch):
    shutil.copy(folder / "deep" / "1.dcm", folder / "0.dcm")
    read = []
    original = source_images.open_header
    monkeypatch.setattr(
        source_images,
        "open_header",
        lambda path: read.append(path.name) or original(path),
    )
    find(folder, key(1))
    assert read == ["0.dcm"]


def test_only_keys_that_exist(tmp_path):
    with pytest.raises(ValueError, match="does not exist; give the key file"):
        source_images.pseudonyms_that_exist(str(tmp_path / "key"))
    assert not (tmp_path / "key").exists()
    made, _ = deidentify.load_pseudonyms(str(tmp_path / "key"))
    assert source_images.pseudonyms_that_exist(str(tmp_path / "key")) == made
    assert source_images.pseudonyms_that_exist("public") == PUBLIC


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
