import dataclasses
import random
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom.deidentify import Pseudonyms
from tfdicom.dicom import FrameHeader
from tfdicom.scan import ScannedImage
from tfdicom.series import plan_series
from tfdicom.sources.candidates import ContourFile, ImageFile
from tfdicom.spatial import ImagePlane

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")
TURNED = (0.6, -0.8, 0.0, 0.0, 0.0, -1.0)


def image(
    name,
    *,
    millimetres=0.0,
    trigger=0.0,
    temporal=0.0,
    number=0,
    orientation=source_folders.ORIENTATION,
    spacing=source_folders.SPACING,
    rows=40,
    geometry=True,
    annotated=True,
):
    position = tuple(np.array((3.0, -4.0, 5.0)) + millimetres * source_folders.NORMAL)
    header = FrameHeader(
        patient_id="P1",
        study="1.2",
        series="1.3",
        instance=f"1.4.{name}",
        modality="MR",
        rows=rows,
        columns=48,
        bytes_per_pixel=2,
        plane=ImagePlane(position, orientation, spacing) if geometry else None,
        temporal_order=(temporal, trigger, number),
        burned_in=False,
    )
    contours = (ContourFile(f"{name}.txt", "inner"),) if annotated else ()
    return ScannedImage(ImageFile(name, contours), header)


def plans(images):
    """The plans, which no order of the input may change."""
    found = list(plan_series(images, patient="pseudonym", pseudonyms=PSEUDONYMS))
    for seed in range(5):
        shuffled = random.Random(seed).sample(images, len(images))
        again = list(plan_series(shuffled, patient="pseudonym", pseudonyms=PSEUDONYMS))
        assert again == found
    return found


def places(series):
    return {
        frame.path: (frame.slice_index, frame.phase_index) for frame in series.frames
    }


def test_slices_go_along_the_normal_whatever_their_numbers():
    images = [image(str(n), millimetres=8 * n, number=9 - n) for n in range(4)]
    (series,) = plans(images)
    assert [frame.path for frame in series.frames] == ["0", "1", "2", "3"]
    assert [frame.slice_index for frame in series.frames] == [0, 1, 2, 3]
    assert {frame.slice_count for frame in series.frames} == {4}
    assert {frame.phase_count for frame in series.frames} == {1}
    assert series.slice_spacing == pytest.approx(8)


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ({"trigger": 30}, {"trigger": 250}),
        ({"trigger": 30, "number": 9}, {"trigger": 250, "number": 1}),
        ({"temporal": 1, "trigger": 250}, {"temporal": 2, "trigger": 30}),
        ({"number": 1}, {"number": 2}),
    ],
)
def test_phases_go_in_time_within_a_slice(early, late):
    images = [
        image("upper a, late", millimetres=8, **late),
        image("upper b, early", millimetres=8.005, **early),
        image("lower a, late", millimetres=0, **late),
        image("lower b, early", millimetres=0, **early),
    ]
    (series,) = plans(images)
    assert places(series) == {
        "lower b, early": (0, 0),
        "lower a, late": (0, 1),
        "upper b, early": (1, 0),
        "upper a, late": (1, 1),
    }
    assert list(places(series)) == [
        "lower b, early",
        "lower a, late",
        "upper b, early",
        "upper a, late",
    ]
    assert {(f.slice_count, f.phase_count) for f in series.frames} == {(2, 2)}


@pytest.mark.parametrize(
    ("different", "groups"),
    [
        ({"orientation": (0.80001, 0.59999, 0.0, 0.0, 0.0, -1.0)}, 1),
        ({"spacing": (1.50001, 1.25)}, 1),
        ({"orientation": TURNED}, 2),
        ({"spacing": (1.6, 1.25)}, 2),
        ({"rows": 41}, 2),
        ({"geometry": False}, 2),
    ],
)
def test_frames_that_are_alike_form_a_group(different, groups):
    found = plans([image("0"), image("1", millimetres=8), image("2", **different)])
    assert len(found) == groups
    assert [series.group for series in found] == list(range(groups))
    if groups == 2:
        assert [len(series.frames) for series in found] == [2, 1]


def test_part_without_any_contour_is_not_planned():
    images = [image("0", rows=41, annotated=False), image("1"), image("2")]
    (series,) = plans(images)
    assert series.group == 1
    assert [frame.path for frame in series.frames] == ["1", "2"]


def test_unannotated_frames_count_among_the_slices():
    images = [image(str(n), millimetres=8 * n, annotated=n == 2) for n in range(4)]
    (series,) = plans(images)
    (example,) = (frame for frame in series.frames if frame.contours)
    assert (example.slice_index, example.slice_count) == (2, 4)


def test_frames_without_geometry_go_in_time_only():
    images = [image(str(n), geometry=False, trigger=90 - n) for n in range(3)]
    (series,) = plans(images)
    assert [frame.path for frame in series.frames] == ["2", "1", "0"]
    assert [frame.phase_index for frame in series.frames] == [0, 1, 2]
    for frame in series.frames:
        assert (frame.slice_index, frame.slice_count, frame.plane) == (None, None, None)
    assert series.slice_spacing is None


def test_names_are_pseudonyms_and_keys_differ():
    images = [image("0"), image("1", millimetres=8)]
    (series,) = plans(images)
    assert series.patient == "pseudonym"
    assert series.study == PSEUDONYMS.of("study", "1.2")
    assert series.series == PSEUDONYMS.of("series", "1.3")
    keys = {frame.key for frame in series.frames}
    assert len(keys | {frame.instance for frame in series.frames}) == 4
    shown = repr(dataclasses.replace(series, frames=())) + repr(keys)
    assert "1.2" not in shown and "1.4" not in shown


def test_study_and_series_without_a_uid_are_told_apart_by_their_patient():
    one = image("a")
    header = dataclasses.replace(one.header, study="", series="")
    blank = [dataclasses.replace(one, header=header)]
    (first,), (second,) = (
        plan_series(blank, patient=patient, pseudonyms=PSEUDONYMS)
        for patient in ("who", "other")
    )
    assert first.study != second.study and first.series != second.series
    assert first.study != PSEUDONYMS.of("study", "")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
