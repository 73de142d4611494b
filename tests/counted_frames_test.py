import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import counted_frames, dicom
from tfdicom.dicom import PixelRules
from tfdicom.reasons import InputSkipped

PATIENT = "SCD0000101"


@pytest.fixture
def path(tmp_path):
    folder = source_folders.write_folder(
        tmp_path / "in", patients=[PATIENT], annotated=1
    )
    return folder.image(PATIENT, 1)


def read(path, **rules):
    header = dicom.read_header(path)
    return counted_frames.read_counted(path, header, PixelRules(**rules))


def test_counts_are_of_modality_values_without_padding(path):
    changes = {"RescaleSlope": 2.5, "RescaleIntercept": -100}
    stored = source_folders.draw_pixels(PATIENT, 1)
    padding = int(np.median(stored))
    source_folders.edit(path, PixelPaddingValue=padding, **changes)
    found = read(path)
    np.testing.assert_array_equal(found.decoded.pixels, stored)
    values, counts = np.unique(
        stored[stored != padding] * 2.5 - 100, return_counts=True
    )
    resolved = found.counts.resolved()
    np.testing.assert_array_equal(resolved.values, values)
    np.testing.assert_array_equal(resolved.counts, counts)


def test_some_pixels_are_counted(path):
    found = read(path)
    chosen = found.decoded.pixels[3:5, :7]
    part = counted_frames.count(found.decoded, chosen)
    assert part.resolved().count == 14
    assert part.statistics().mean == pytest.approx(chosen.mean())


def test_memory_is_that_of_pixels_and_counts(path):
    found = read(path)
    assert found.nbytes == found.decoded.pixels.nbytes + found.counts.nbytes


def test_frame_that_the_rules_leave_out(path):
    with pytest.raises(InputSkipped) as skipped:
        read(path, max_frame_pixels=10)
    assert skipped.value.code == "frame_too_large"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
