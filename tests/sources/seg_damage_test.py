import sys

import numpy as np
import pydicom
import pytest

from tests.seg_files import edit, make_plane, make_series, write_segmentation
from tfdicom.reasons import InputSkipped
from tfdicom.sources import readers
from tfdicom.sources.candidates import SEG

MASKS = np.random.default_rng(0).random((3, 12, 10, 2)) < 0.5


@pytest.fixture
def path(tmp_path):
    source = make_series([make_plane(index) for index in range(3)])
    write_segmentation(tmp_path / "seg.dcm", source, MASKS.astype(np.uint8))
    return tmp_path / "seg.dcm"


def parts(found):
    return {one.names[0]: one.parts for one in found.items}


def test_what_is_whole_has_no_problem(path):
    found = readers.read_object(SEG, path, "seg.dcm")
    assert found.problem is None
    assert parts(found) == {"label 1": 3, "label 2": 3}


def test_file_that_was_cut_short(path):
    whole = path.read_bytes()
    pixels = whole.index(b"\xe0\x7f\x10\0OB")
    seen, patients = set(), set()
    for end in range(pixels - 1, 700, -59):
        path.write_bytes(whole[:end])
        found = readers.read_object(SEG, path, "a/seg.dcm")
        assert (found.path, found.kind) == ("a/seg.dcm", "seg")
        assert found.problem.reason == "object_truncated", end
        seen.add(tuple(parts(found).items()))
        patients.add(found.patient_id)
    assert (patients, found.items) == ({"P1", ""}, ())
    counts = {sum(count for _, count in one) for one in seen if one}
    assert {0, 1, 2, 3, 4, 5} <= counts <= set(range(7))
    # Pixels that are cut off have a reason of their own.
    path.write_bytes(whole[: pixels + 20])
    found = readers.read_object(SEG, path, "a/seg.dcm")
    assert found.problem.reason == "seg_pixels_too_short"
    assert parts(found) == {"label 1": 3, "label 2": 3}


def test_what_is_malformed_says_what_it_was(path):
    edit(path, lambda dataset: setattr(dataset, "NumberOfFrames", 5))
    found = readers.read_object(SEG, path, "seg.dcm")
    problem = found.problem
    assert (problem.reason, problem.detail) == (
        "seg_frames_differ",
        "5 frames, 6 descriptions",
    )
    assert parts(found) == {"label 1": 3, "label 2": 3}
    assert found.referenced_series
    assert found.study == pydicom.dcmread(path).StudyInstanceUID


def test_what_says_nothing_is_refused(path):
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputSkipped) as error:
        readers.read_object(SEG, path, "seg.dcm")
    assert error.value.code == "object_truncated"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
