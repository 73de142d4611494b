import shutil
import sys

import numpy as np
import pydicom
import pytest

from tests import real_data, source_folders
from tests.source_folders import convert

pytestmark = [
    real_data.needs_sunnybrook,
    pytest.mark.filterwarnings("ignore:Invalid value for VR UI"),
]


def _copy_of_a_patient(tmp_path, change):
    """The shared data's first patient, and the same images under another name."""
    root = tmp_path / "in"
    for number, patient in enumerate(("SCD0000101", "P2A"), 1):
        folder = root / "dicoms" / patient
        folder.mkdir(parents=True)
        original = f"SC-HF-I-{number}"
        shutil.copytree(
            real_data.SUNNYBROOK / "contourfiles" / "SC-HF-I-1",
            root / "contourfiles" / original,
        )
        for path in (real_data.SUNNYBROOK / "dicoms" / "SCD0000101").iterdir():
            shutil.copy(path, folder / path.name)
            if number == 2:
                image = pydicom.dcmread(path)
                elements = {
                    "PatientID": patient,
                    "StudyInstanceUID": image.StudyInstanceUID + ".7",
                    "SeriesInstanceUID": image.SeriesInstanceUID + ".7",
                    "SOPInstanceUID": image.SOPInstanceUID + ".7",
                }
                pixels = change(image.pixel_array)
                source_folders.edit(folder / path.name, pixels=pixels, **elements)
    (root / "link.csv").write_text(
        "patient_id,original_id\nSCD0000101,SC-HF-I-1\nP2A,SC-HF-I-2\n"
    )
    return root


def _other_window(pixels):
    low, high = np.percentile(pixels, [2, 98])
    return (255 * ((pixels - low) / (high - low)).clip(0, 1)).astype(np.int16)


@pytest.mark.slow
def test_reexport_in_another_split_is_reported(tmp_path, capsys):
    root = _copy_of_a_patient(tmp_path, _other_window)
    convert(root, tmp_path / "out", num_workers=2)
    said = capsys.readouterr().err
    assert "look the same, likeness" in said
    assert "is one a re-export of the other?" in said
    assert "dicoms/P2A/" in said and "dicoms/SCD0000101/" in said


@pytest.mark.slow
def test_same_pixels_in_one_split_are_reported(tmp_path, capsys):
    root = _copy_of_a_patient(tmp_path, lambda pixels: pixels)
    convert(root, tmp_path / "out", split="train", num_workers=2)
    said = capsys.readouterr().err
    assert "has the same pixels as" in said and "more such" in said
    with pytest.raises(ValueError, match="the splits are not apart"):
        convert(root, tmp_path / "two", num_workers=2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
