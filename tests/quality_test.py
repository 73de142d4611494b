import csv
import functools
import re
import sys

import numpy as np
import pydicom
import pytest

from tests.real_data import SHARED, SUNNYBROOK, needs_shared, needs_sunnybrook
from tests.source_folders import disc
from tfdicom import quality, rasterize
from tfdicom.classes import parse_classes
from tfdicom.quality import SliceArea, frame_findings, neighbour_findings
from tfdicom.reasons import FINDINGS
from tfdicom.sources import contours
from tfdicom.spatial import ImagePlane

SHAPE = (64, 72)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def fill(vertices, shape=SHAPE):
    return rasterize.fill(vertices, shape, edge_rule="half_covered")


def noise(seed=0):
    return np.random.default_rng(seed).normal(100, 10, SHAPE)


def test_every_code_has_a_sentence():
    names = ("FAR_FROM_EDGE", "NOT_INSIDE", "DUPLICATE", "AREA_JUMPS", "GAP")
    codes = [getattr(quality, name) for name in (*names, "ORIENTATION_DIFFERS")]
    assert set(codes) <= set(FINDINGS)


# Contours and edges.


@pytest.mark.parametrize("contrast", [-60, 60])
@pytest.mark.parametrize("shift", [(0, 0), (0.9, -0.7)])
def test_a_contour_on_an_edge_is_near_it(contrast, shift):
    circle = disc(30.2, 33.4, 12)
    pixels = noise() + contrast * fill(circle)
    assert not quality.is_far_from_edge(pixels, circle + shift)


@pytest.mark.parametrize("shift", [(12, 0), (0, -14), (9, 9)])
def test_a_contour_beside_the_edge_is_far_from_it(shift):
    circle = disc(30.2, 33.4, 12)
    pixels = noise() + 60 * fill(circle)
    assert quality.is_far_from_edge(pixels, circle + shift)


@pytest.mark.parametrize("pixels", [noise(), np.zeros(SHAPE, np.int16)])
def test_an_image_without_edges(pixels):
    assert quality.is_far_from_edge(pixels, disc(30, 30, 10))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_units_do_not_matter(scale):
    circle = disc(30.2, 33.4, 12)
    pixels = (noise() + 60 * fill(circle)) * scale
    ratio = quality._edge_ratio(pixels, *quality.outlines.outline(circle, 64))
    same = quality._edge_ratio(pixels / scale, *quality.outlines.outline(circle, 64))
    assert ratio == pytest.approx(same)
    assert ratio > 2


def test_a_ramp_is_as_steep_along_the_path_as_across_it():
    ramp = np.add.outer(np.arange(64.0), 2 * np.arange(72.0))
    ratio = quality._edge_ratio(ramp, *quality.outlines.outline(disc(30, 30, 10), 64))
    assert ratio == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    "vertices",
    [disc(30, 30, 3.9), disc(-9, 30, 10), disc(500, 500, 10), np.ones((4, 2))],
)
def test_contours_too_small_or_outside_are_not_judged(vertices):
    assert not quality.is_far_from_edge(noise(), vertices)


def test_the_part_within_the_image_is_judged():
    circle = disc(4, 30, 14)  # a third is outside
    assert quality.is_far_from_edge(noise(), circle)
    assert not quality.is_far_from_edge(noise() + 60 * fill(circle), circle)


# Masks.


def test_findings_by_structure():
    inner, outer = disc(30, 30, 9), disc(30, 30, 15)
    pixels = noise() + 60 * fill(inner) - 50 * fill(outer)
    planes = {"inner": fill(inner), "outer": fill(outer)}
    drawn = {"inner": [inner], "outer": [outer]}
    assert frame_findings(pixels, planes, drawn) == {}
    colour = np.stack([pixels, pixels, pixels], axis=2)
    assert frame_findings(colour, planes, drawn) == {}
    moved = {"inner": [inner + (0, 12)], "outer": [outer]}
    planes = {"inner": fill(inner + (0, 12)), "outer": fill(outer)}
    codes = ("contour_far_from_edge", "structure_not_inside")
    assert frame_findings(pixels, planes, moved) == {"inner": codes}
    assert frame_findings(pixels, planes, {}) == {"inner": codes[1:]}


def test_one_contour_of_a_structure_is_enough():
    near, far = disc(20, 30, 9), disc(50, 30, 9)
    pixels = noise() + 60 * fill(near)
    planes = {"x": fill(near) | fill(far)}
    found = frame_findings(pixels, planes, {"x": [near, far]})
    assert found == {"x": ("contour_far_from_edge",)}


@pytest.mark.parametrize(("outside", "flagged"), [(0, False), (3, False), (4, True)])
def test_pixels_of_a_common_edge_are_no_finding(outside, flagged):
    outer = np.zeros(SHAPE, bool)
    outer[10:30, 10:30] = True
    inner = np.zeros(SHAPE, bool)
    inner[12:22, 20:30] = True
    inner[12 : 12 + outside, 30] = True
    planes = {"inner": inner, "outer": outer}
    found = frame_findings(noise(), planes, {})
    assert found == ({"inner": ("structure_not_inside",)} if flagged else {})
    assert frame_findings(noise(), planes, {}, pairs=()) == {}


def test_an_absent_structure_has_no_inside():
    inner = fill(disc(30, 30, 9))
    planes = {"inner": inner, "outer": np.zeros(SHAPE, bool)}
    assert frame_findings(noise(), planes, {}) == {}
    assert frame_findings(noise(), {"inner": inner}, {}) == {}


@pytest.mark.parametrize(
    ("classes", "pairs"),
    [
        ("inner;outer", ()),
        ("cavity=inner;myo=outer-inner", ()),
        ("wall=bladder-lumen", (("lumen", "bladder"),)),
        ("x=a-b-c", (("b", "a"), ("c", "a"))),
        ("x=a-(b+c);y=a-b&c;z=a+b", ()),
    ],
)
def test_pairs_that_classes_mean(classes, pairs):
    found = quality.nested_pairs(parse_classes(classes))
    assert found == quality.KNOWN_PAIRS + pairs


def test_duplicates():
    one, other = disc(20, 30, 9), disc(50, 30, 9)
    again = disc(20, 30, 9.01, corners=50)[::-1]
    near = disc(20.4, 30, 9)
    twice = ("contour_duplicate",)
    planes = {"a": fill(one), "b": fill(one), "c": fill(other)}
    assert frame_findings(noise(), planes, {}) == {"a": twice, "b": twice}
    empty = {"a": np.zeros(SHAPE, bool), "b": np.zeros(SHAPE, bool)}
    assert frame_findings(noise(), empty, {}) == {}
    pixels = noise() + 60 * (fill(one) | fill(other))
    planes = {"a": fill(one) | fill(other)}
    assert frame_findings(pixels, planes, {"a": [one, other, again]}) == {"a": twice}
    assert frame_findings(pixels, planes, {"a": [one, other, near]}) == {}
    points = np.array([[20.0, 30.0], [21.0, 30.0]])
    far = one + 1e8
    bad = [points, points, far, far, one * np.nan, one * np.nan, np.empty((0, 2))]
    assert frame_findings(pixels, planes, {"a": bad}) == {}
    assert frame_findings(pixels, planes, {"a": [*bad, one, again]}) == {"a": twice}


# Neighbours.


def areas(sizes, structure="x", phase=0):
    return [SliceArea(structure, at, phase, size) for at, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "flagged"),
    [
        ([1000.0] * 5, []),
        ([100, 400, 900, 1600, 1500, 100], []),  # ends as it likes
        ([900, 1000, 300, 1000, 900], [2]),  # a dip
        ([900, 1000, 3000, 1000, 900], [2]),  # a peak
        ([1000, 1000, 2600, 2600, 2500], [1, 2]),  # a step
        ([900, 1000, 3000], [1, 2]),  # an end that is larger
        ([1, 5, 15, 5, 1], []),  # a few pixels
        ([1000], []),
        ([], []),
    ],
)
def test_area_jumps(sizes, flagged):
    found = neighbour_findings(areas(sizes))
    assert found == {at: ("area_jumps",) for at in flagged}
    # Neither the order of the frames nor other structures and phases matter.
    mixed = areas([50.0] * 6, "y") + areas(sizes)[::-1] + areas([9.0] * 6, phase=1)
    found = neighbour_findings(mixed)
    at = sorted(mixed[index].slice_index for index in found)
    assert at == flagged
    assert all(mixed[index].structure == "x" for index in found)


@pytest.mark.parametrize(
    ("sizes", "flagged"),
    [
        ([None, 900, 900, None, 900], [2]),
        ([900, 0.0, 0.0, 900, 800, None, 800], [0, 4]),
        ([0.0, None, 900, 900, None], []),
    ],
)
def test_gaps(sizes, flagged):
    every = areas(sizes)
    assert neighbour_findings(every) == {at: ("annotation_gap",) for at in flagged}
    assert neighbour_findings(every, gaps=False) == {}


def test_slices_at_a_gap_are_not_compared():
    found = neighbour_findings(areas([900, 1000, None, 3000, 2900]))
    assert found == {1: ("annotation_gap",)}


def test_two_areas_at_one_place():
    every = [*areas([900.0, 1000.0, 900.0]), SliceArea("x", 1, 0, 10.0)]
    assert neighbour_findings(every) == {}


# Series.


@pytest.mark.parametrize(
    ("orientations", "flagged"),
    [
        ([], False),
        ([None, None], False),
        ([AXIAL, None, AXIAL], False),
        ([AXIAL, (1.0, 0.0, 0.0, 0.0, 0.9999999, 0.0004)], False),
        ([AXIAL, AXIAL, (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)], True),
        ([AXIAL, (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)], True),
    ],
)
def test_orientation_differs(orientations, flagged):
    planes = [
        None if one is None else ImagePlane((0.0, 0.0, place), one, (1 + place, 1))
        for place, one in enumerate(orientations)
    ]
    found = quality.series_findings(planes)
    assert found == (("orientation_differs",) if flagged else ())


# Real data: the rates that the docstrings tell.


@functools.cache
def sunnybrook():
    """(patient, image number, code, pixels, vertices) of each contour."""
    with (SUNNYBROOK / "link.csv").open() as file:
        names = {row["original_id"]: row["patient_id"] for row in csv.DictReader(file)}
    found = []
    for path in sorted(SUNNYBROOK.glob("contourfiles/*/*-contours/IM-*.txt")):
        number, code = re.match(r"IM-\d+-(\d+)-(\w)contour", path.name).groups()
        patient = names[path.parts[-3]]
        image = SUNNYBROOK / "dicoms" / patient / f"{int(number)}.dcm"
        pixels = pydicom.dcmread(image).pixel_array
        vertices = contours.read_contour(path) - 1
        found.append((patient, int(number), code, pixels, vertices))
    return found


def shifted_share(by):
    turns = np.arange(8) / 8 * 2 * np.pi
    shifts = by * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return np.mean(
        [
            quality.is_far_from_edge(pixels, vertices + shift)
            for *_, pixels, vertices in sunnybrook()
            for shift in shifts
        ]
    )


@needs_sunnybrook
def test_contours_of_sunnybrook():
    assert len(sunnybrook()) == 84
    assert not any(quality.is_far_from_edge(*one[-2:]) for one in sunnybrook())
    assert shifted_share(15) == pytest.approx(0.95, abs=0.01)
    assert shifted_share(5) < 0.06


@needs_sunnybrook
def test_contours_of_other_patients():
    flagged = [
        quality.is_far_from_edge(image[-2], drawn[-1])
        for drawn in sunnybrook()
        for image in sunnybrook()
        if drawn[0] != image[0] and drawn[2] == image[2]
    ]
    assert np.mean(flagged) == pytest.approx(0.8, abs=0.01)


@needs_sunnybrook
def test_frames_and_stacks_of_sunnybrook():
    frames, stacks = {}, []
    for patient, number, code, pixels, vertices in sunnybrook():
        planes, drawn = frames.setdefault((patient, number), (pixels, {}, {}))[1:]
        structure = {"i": "inner", "o": "outer"}[code]
        planes[structure] = fill(vertices, pixels.shape)
        drawn[structure] = [vertices]
        # 20 phases of each slice, one after the other; spacing matters little here.
        area = 2.0 * np.count_nonzero(planes[structure])
        place = (number - 1) // 20, (number - 1) % 20
        stacks.append(SliceArea(f"{patient} {structure}", *place, area))
    assert [frame_findings(*frame) for frame in frames.values()] == [{}] * 56
    assert neighbour_findings(stacks) == {}


RTSTRUCTS = {
    # Flagged, contours.
    "ibsi_sts/dicom/STS_042/CT": (1, 18),
    "ibsi_sts/dicom/STS_025/MR_T1": (6, 15),
    "gre_ct_phantom/sample": (12, 12),
}


@needs_shared("rtstruct")
@pytest.mark.parametrize("folder", RTSTRUCTS)
def test_contours_of_rtstructs(folder):
    read = [
        pydicom.dcmread(path)
        for path in sorted((SHARED / "rtstruct" / folder).rglob("*.dcm"))
    ]
    images = {one.SOPInstanceUID: one for one in read if "PixelData" in one}
    (structures,) = (one for one in read if one.Modality == "RTSTRUCT")
    flagged = []
    for contour in (
        contour
        for roi in structures.ROIContourSequence
        for contour in roi.get("ContourSequence", ())
    ):
        image = images[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        rows, columns = image.PixelSpacing
        points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
        offset = (points - image.ImagePositionPatient)[:, :2] / (columns, rows)
        assert image.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
        flagged.append(quality.is_far_from_edge(image.pixel_array, offset))
    assert (sum(flagged), len(flagged)) == RTSTRUCTS[folder]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
