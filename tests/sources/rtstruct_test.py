import io
import pathlib
import sys
import warnings

import hypothesis
import numpy as np
import pydicom
import pytest
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests import real_data
from tests.rtstruct_objects import (
    AXIAL,
    OBLIQUE,
    SAGITTAL,
    SHAPE,
    TILTED,
    Outline,
    drawings,
    header,
    header_of,
    headers,
    matches,
    save,
    structure_set,
    volume,
)
from tests.source_folders import write_image
from tfdicom import rasterize
from tfdicom.reasons import FINDINGS, REASONS, InputSkipped
from tfdicom.sources import rtstruct, rtstruct_file
from tfdicom.sources.annotation_objects import DrawingRules, LeftItem, Match

RTSTRUCTS = real_data.SHARED / "rtstruct"
needs_rtstructs = real_data.needs_shared("rtstruct")
ORIENTATIONS = [AXIAL, SAGITTAL, OBLIQUE, TILTED]


def disc(radius, column=20.3, row=18.6, corners=120):
    angle = np.arange(corners) / corners * 2 * np.pi
    return np.stack(
        [column + radius * np.cos(angle), row + radius * np.sin(angle)], axis=1
    )


def square(low, high):
    return np.array([(low, low), (high, low), (high, high), (low, high)], dtype=float)


def write(tmp_path, rois, frames=(), **elements):
    return save(structure_set(rois, frames, **elements), tmp_path / "rt.dcm")


def real_frames(folder, pattern="*"):
    return [header_of(path) for path in sorted(folder.glob(pattern))]


def gre_phantom():
    folder = RTSTRUCTS / "gre_ct_phantom" / "sample"
    return folder / "rt.dcm", real_frames(folder, "2.*")


def nested_hole():
    folder = RTSTRUCTS / "nested_hole"
    return folder / "rt.dcm", real_frames(folder, "ct*")


def sarcoma(name):
    folder = RTSTRUCTS / "ibsi_sts" / "dicom" / name
    return folder / "mask" / "RS.dcm", real_frames(folder / "image")


def real_sets():
    return [
        gre_phantom(),
        nested_hole(),
        sarcoma("STS_025/MR_T1"),
        sarcoma("STS_042/CT"),
    ]


@needs_rtstructs
@pytest.mark.parametrize("name", ["STS_025/MR_T1", "STS_042/CT"])
def test_sarcoma_masks_equal_those_of_another_tool(name):
    nibabel = pytest.importorskip("nibabel")
    patient, series = name.split("/")
    volume_file = RTSTRUCTS / "ibsi_sts" / "nifti" / patient / f"{series}_mask.nii.gz"
    nifti = nibabel.load(volume_file)
    # NIfTI is RAS and [column, row, slice].
    expected = np.asarray(nifti.dataobj).astype(bool)
    path, frames = sarcoma(name)
    masks = volume(drawings(path, frames), len(frames))
    assert masks.sum() == expected.sum() > 9000
    for frame, mask in zip(frames, masks, strict=True):
        corner = np.array([*np.multiply(frame.plane.position, (-1, -1, 1)), 1.0])
        place = (np.linalg.inv(nifti.affine) @ corner)[:3]
        np.testing.assert_allclose(place[:2], 0, atol=1e-3)
        np.testing.assert_array_equal(mask, expected[:, :, round(place[2])].T)


@needs_rtstructs
def test_phantom_has_as_many_voxels_as_pixel_centres():
    path, frames = gre_phantom()
    counts = [
        volume(drawings(path, frames, item), len(frames)).sum() for item in (1, 2, 3, 4)
    ]
    assert counts == [5460, 5040, 4813, 9198]


@needs_rtstructs
@pytest.mark.parametrize(
    ("rules", "count"),
    [({}, 1443), ({"hole_rule": "union"}, 2401), ({"hole_rule": "xor"}, 1443)],
)
def test_square_in_a_square(rules, count):
    path, frames = nested_hole()
    drawn = drawings(path, frames, **rules)
    assert volume(drawn, len(frames)).sum() == count


def real_contours():
    """Of each ROI, with the frame that each of its contours lies on, in pixels."""
    for path, frames in real_sets():
        found = matches(path, frames)
        contours = rtstruct_file.read_contours(path).contours
        for match in found.matches:
            outlines = [
                frames[match.frame].plane.to_pixels(contours[match.item][n - 1].points)
                for n in match.parts
            ]
            frame = frames[match.frame]
            yield path, match, frame, [vertices for vertices, _ in outlines]


@needs_rtstructs
def test_real_masks_agree_with_an_independent_filling():
    paths = pytest.importorskip("matplotlib.path")
    for path, match, frame, outlines in real_contours():
        if not outlines:
            continue
        drawn = rtstruct.draw(
            path, match.item, match.parts, frame, DrawingRules(edge_rule="center")
        )
        rows, columns = np.indices(drawn.plane.shape)
        centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
        near = np.zeros(drawn.plane.shape, bool)
        parity = np.zeros(drawn.plane.shape, bool)
        for vertices in outlines:
            closed = paths.Path(np.concatenate([vertices, vertices[:1]]), closed=True)
            inside = closed.contains_points(centres).reshape(parity.shape)
            image = Image.new("1", parity.shape[::-1])
            line = [tuple(vertex) for vertex in closed.vertices]
            ImageDraw.Draw(image).line(line, fill=1, width=3)
            near |= np.asarray(image)
            parity ^= inside
        np.testing.assert_array_equal(drawn.plane[~near], parity[~near])
        assert (drawn.plane != parity).sum() <= 0.02 * parity.sum()


@needs_rtstructs
def test_real_volumes_are_those_of_the_polygons():
    voxels, covered, areas = {}, {}, {}
    rules = DrawingRules(edge_rule="center", covered_fraction=True)
    for path, match, frame, outlines in real_contours():
        drawn = rtstruct.draw(path, match.item, match.parts, frame, rules)
        is_nested = path.parent.name == "nested_hole"
        sizes = sorted(map(rasterize.polygon_area, outlines), reverse=True)
        area = np.subtract(*sizes) if is_nested and sizes else sum(sizes)
        key = path, match.item
        voxels[key] = voxels.get(key, 0) + int(drawn.plane.sum())
        covered[key] = covered.get(key, 0.0) + drawn.fraction.sum()
        areas[key] = areas.get(key, 0.0) + area
    assert len(voxels) == 7
    for key, area in areas.items():
        assert covered[key] == pytest.approx(area, rel=1e-6)
        # One slice of two squares is too little for roundings to cancel.
        share = 0.03 if key[0].parent.name == "nested_hole" else 0.01
        assert voxels[key] == pytest.approx(area, rel=share)


@needs_rtstructs
def test_real_sets_are_read_whole():
    for path, frames in real_sets():
        found = matches(path, frames)
        assert found.left == ()
        assert found.findings == {}
        assert set(found.edge_rules.values()) == {"center"}
        # Every slice is annotated: these ROIs have no gaps.
        for item in found.edge_rules:
            annotated = sorted(one.frame for one in found.matches if one.item == item)
            assert annotated == list(range(len(frames)))
    contours = rtstruct_file.read_contours(path).contours
    assert sum(map(len, contours.values())) == 18


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_disc_on_any_orientation(tmp_path, orientation):
    frames = headers([0, 3, 6, 9], orientation=orientation)
    outlines = [Outline(disc(8), frames[1]), Outline(disc(6), frames[2])]
    path = write(tmp_path, [(1, "disc", outlines)], frames)
    drawn = drawings(path, frames)
    for frame, radius in ((1, 8), (2, 6)):
        expected = rasterize.fill(disc(radius), SHAPE, edge_rule="center")
        np.testing.assert_array_equal(drawn[frame].plane, expected)
    assert sorted(drawn) == [0, 1, 2, 3]
    assert not drawn[0].plane.any() and not drawn[3].plane.any()
    assert drawn[0].edge_rule == "center" and drawn[0].hole_rule == "nested"


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_sphere_on_uneven_slices_and_oblong_pixels(tmp_path, orientation, named):
    distances = [0, 2, 4, 5, 6, 9, 11, 12.5, 15, 17, 18, 20]
    frames = headers(distances, orientation=orientation, spacing=(0.9, 0.6))
    centre = frames[0].plane.to_patient(np.array([[24.2, 19.4]]))[0]
    centre = centre + 10 * frames[0].plane.normal
    outlines = []
    for frame, distance in zip(frames, distances, strict=True):
        if abs(distance - 10) < 9:
            radius = (81 - (distance - 10) ** 2) ** 0.5
            angle = np.arange(300) / 300 * 2 * np.pi
            middle = frame.plane.to_pixels(centre[np.newaxis])[0][0]
            steps = np.stack([np.cos(angle) / 0.6, np.sin(angle) / 0.9], axis=1)
            vertices = middle + radius * steps
            outlines.append(Outline(vertices, frame, names=None if named else []))
    path = write(tmp_path, [(3, "ball", outlines)], frames)
    masks = volume(drawings(path, frames, 3), len(frames))
    rows, columns = np.indices(SHAPE)
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    for frame, mask in zip(frames, masks, strict=True):
        away = np.linalg.norm(frame.plane.to_patient(pixels) - centre, axis=1)
        away = away.reshape(SHAPE)
        clear = np.abs(away - 9) > 0.01
        np.testing.assert_array_equal(mask[clear], (away < 9)[clear])


def test_tilted_gantry_follows_each_slice(tmp_path):
    # The table moves along the patient: slices shift in their own plane.
    step = np.array([0.0, 0.0, -1.0])
    frames = headers([0, 3, 6, 9, 12], orientation=TILTED, shift=step)
    rod = np.array([[5.0, -20.0, 0.0]]) + disc(6, 0, 0) @ np.eye(2, 3)
    outlines = []
    for frame in frames[1:4]:
        plane = frame.plane
        # Along the patient's axis onto the plane of the slice.
        off = (rod - plane.position) @ plane.normal / plane.normal[2]
        outlines.append(Outline(rod - np.outer(off, [0, 0, 1]), frame))
    path = write(tmp_path, [(1, "rod", outlines)], frames)
    drawn = drawings(path, frames)
    rows, columns = np.indices(SHAPE)
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    for number in (1, 2, 3):
        places = frames[number].plane.to_patient(pixels)[:, :2] - [5, -20]
        away = np.hypot(*places.T).reshape(SHAPE)
        clear = np.abs(away - 6) > 0.02
        assert drawn[number].plane.sum() > 40
        np.testing.assert_array_equal(drawn[number].plane[clear], (away < 6)[clear])
    level = [Outline(rod + [0, 0, frames[2].plane.position[2]], frames[2])]
    found = matches(write(tmp_path, [(1, "level", level)], frames), frames)
    assert [one.reason for one in found.left] == [
        "contour_not_parallel",
        "roi_not_placed",
    ]
    assert found.matches == ()


@pytest.mark.parametrize("named", [True, False])
def test_missing_slice_is_unknown(tmp_path, named):
    frames = headers([0, 3, 6, 9, 12, 15])
    names = None if named else []
    outlines = [Outline(disc(8), frames[n], names=names) for n in (1, 2, 4)]
    path = write(tmp_path, [(1, "disc", outlines)], frames)
    found = matches(path, frames)
    assert found.matches == (
        Match(0, 1),
        Match(1, 1, (1,)),
        Match(2, 1, (2,)),
        Match(4, 1, (3,)),
        Match(5, 1),
    )
    assert found.findings == {1: ("roi_gap",)}
    assert found.left == ()


def test_contour_on_pixel_centres_is_taken_whole(tmp_path):
    turned = (np.cos(0.3), np.sin(0.3), 0.0, -np.sin(0.3), np.cos(0.3), 0.0)
    for orientation in (*ORIENTATIONS, turned):
        frames = headers([0, 3], orientation=orientation, spacing=(0.7, 0.9))
        path = write(tmp_path, [(1, "traced", [Outline(square(5, 12), frames[0])])])
        found = matches(path, frames)
        assert found.edge_rules == {1: "inside"}
        assert drawings(path, frames)[0].plane.sum() == 64
        # With 'center' the first row and column are in, the last ones are not; what
        # the change of coordinates rounds has no say.
        drawn = drawings(path, frames, edge_rule="center")[0]
        expected = rasterize.fill(square(5, 12), SHAPE, edge_rule="center")
        np.testing.assert_array_equal(drawn.plane, expected)


@pytest.mark.parametrize("digits", [2, 6])
def test_traced_contours_may_have_few_decimals(tmp_path, digits):
    frames = headers([0], spacing=(0.7031, 0.7031))
    rows, columns = np.indices(SHAPE)
    mask = np.hypot(rows - 18.2, columns - 20.7) < 9.3
    top, bottom = mask.argmax(axis=0), SHAPE[0] - 1 - mask[::-1].argmax(axis=0)
    taken = np.flatnonzero(mask.any(axis=0))
    traced = [(c, top[c]) for c in taken] + [(c, bottom[c]) for c in taken[::-1]]
    path = write(tmp_path, [(1, "traced", [Outline(traced, frames[0])])], digits=digits)
    drawn = drawings(path, frames)
    assert drawn[0].edge_rule == "inside"
    np.testing.assert_array_equal(drawn[0].plane, mask)


def some_shapes():
    """A ring, an island in its hole, and a body with arms, [rows, columns, slices]."""
    rows, columns = np.indices((40, 48))
    radius = np.hypot(rows - 19, columns - 23)
    ring = (radius < 16) & (radius > 10)
    island = np.hypot(rows - 20, columns - 24) < 5
    arms = (np.abs(rows - 20) < 4) | (np.abs(columns - 14) < 3) | (radius < 9)
    nothing = np.zeros_like(ring)
    return np.stack([nothing, ring | island, arms, ring, nothing], axis=2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("approximate", [True, False])
def test_rt_utils_gives_the_same_mask_back(tmp_path, approximate):
    # It imports OpenCV, which wants libraries that not every machine has.
    rt_utils = pytest.importorskip(
        "rt_utils", reason="rt-utils does not work here", exc_type=ImportError
    )
    masks = some_shapes()
    files = [tmp_path / "images" / f"{n}.dcm" for n in range(masks.shape[2])]
    for number, path in enumerate(files, 1):
        # rt-utils takes the two pixel spacings for each other, so they are one here.
        elements = {"PixelSpacing": [1.25, 1.25], "FrameOfReferenceUID": "1.2.3"}
        write_image(path, "P1", number, StudyID="1", StudyTime="1200", **elements)
    made = rt_utils.RTStructBuilder.create_new(str(tmp_path / "images"))
    made.add_roi(masks, name="shapes", approximate_contours=approximate)
    made.save(str(tmp_path / "made"))
    path = tmp_path / "made.dcm"
    frames = [header_of(file) for file in files]
    found = matches(path, frames)
    assert found.edge_rules == {1: "inside"}
    assert len(found.matches) == 5 and found.left == ()
    drawn = volume(drawings(path, frames), 5)
    np.testing.assert_array_equal(drawn, np.moveaxis(masks, 2, 0))


def test_a_ring_redrawn_smaller_is_no_hole(tmp_path):
    frames = headers([0, 3])
    outlines = [Outline(disc(radius), frames[0]) for radius in (12, 11.6)]
    path = write(tmp_path, [(1, "twice", outlines)], frames)
    drawn = drawings(path, frames)[0]
    expected = rasterize.fill(disc(12), SHAPE, edge_rule="center")
    np.testing.assert_array_equal(drawn.plane, expected)
    assert drawn.findings == ("contours_near_duplicate",)


def test_one_bad_contour_takes_only_itself(tmp_path):
    frames = headers([0, 3, 6, 9])
    outlines = [
        Outline(disc(8), frames[0]),
        Outline(disc(8, 500, 500), frames[0]),
        Outline(disc(8, 500, 500), frames[1]),
        Outline(disc(8)[:2], frames[2]),
        Outline(disc(8)[:1], frames[3], role="POINT"),
    ]
    path = write(tmp_path, [(1, "ROI", outlines)], frames)
    found = matches(path, frames)
    assert found.matches == (Match(0, 1, (1, 2)), Match(1, 1, (3,)))
    assert [(one.part, one.reason) for one in found.left] == [
        (4, "contour_too_short"),
        (5, "contour_of_points"),
    ]
    rules = DrawingRules(edge_rule="center")
    drawn = rtstruct.draw(path, 1, (1, 2), frames[0], rules)
    assert [(one.part, one.reason) for one in drawn.left] == [
        (2, "contour_outside_image")
    ]
    with pytest.raises(InputSkipped) as caught:
        rtstruct.draw(path, 1, (3,), frames[1], rules)
    assert caught.value.code == "contour_outside_image"


def test_a_frame_without_a_plane_gets_no_contour(tmp_path):
    frames = headers([0, 3])
    path = write(tmp_path, [(1, "ROI", [Outline(disc(8), frames[0])])], frames)
    bare = [header(None, instance=one.instance) for one in frames]
    found = matches(path, bare)
    assert [one.reason for one in found.left] == [
        "frame_without_geometry",
        "roi_not_placed",
    ]
    assert found.matches == () and found.edge_rules == {}
    with pytest.raises(InputSkipped) as caught:
        rtstruct.draw(path, 1, (1,), bare[0], DrawingRules(edge_rule="center"))
    assert caught.value.code == "frame_without_geometry"


def test_an_absent_roi_is_drawn_as_nothing(tmp_path):
    rules = DrawingRules(edge_rule="inside", covered_fraction=True)
    drawn = rtstruct.draw(tmp_path / "no.dcm", 1, (), headers([0])[0], rules)
    assert drawn.plane.shape == SHAPE and not drawn.plane.any()
    assert drawn.fraction.shape == SHAPE and not drawn.fraction.any()


def test_the_file_is_parsed_once(tmp_path, monkeypatch):
    frames = headers([0, 3, 6])
    outlines = [Outline(disc(8), frame) for frame in frames]
    path = write(tmp_path, [(1, "ROI", outlines)], frames)
    opened = []
    before = rtstruct_file.open_dataset
    monkeypatch.setattr(
        rtstruct_file,
        "open_dataset",
        lambda *arguments: opened.append(arguments) or before(*arguments),
    )
    rules = DrawingRules(edge_rule="center")
    for _ in range(3):
        for part, frame in enumerate(frames, 1):
            rtstruct.draw(path, 1, (part,), frame, rules)
    assert len(opened) == 1
    write(tmp_path, [(1, "ROI", [Outline(disc(5), frames[0])] * 7)], frames)
    smaller = rtstruct.draw(path, 1, (7,), frames[0], rules)
    assert len(opened) == 2 and smaller.plane.sum() < 90
    with pytest.raises(InputSkipped) as caught:
        rtstruct.draw(path, 1, (8,), frames[0], rules)
    assert caught.value.code == "rtstruct_changed"


def test_files_that_are_none(tmp_path):
    frames = headers([0])
    image = tmp_path / "image.dcm"
    write_image(image, "P1", 1)
    for path, code in (
        (tmp_path / "absent.dcm", "file_unreadable"),
        (image, "rtstruct_without_rois"),
    ):
        with pytest.raises(InputSkipped) as caught:
            rtstruct.read_object(path, "name")
        assert caught.value.code == code
    (tmp_path / "text.dcm").write_text("no DICOM at all, but long enough\n" * 20)
    with pytest.raises(InputSkipped):
        rtstruct.read_object(tmp_path / "text.dcm", "name")
    path = write(tmp_path, [(1, "ROI", [Outline(disc(8), frames[0])])], frames)
    described = rtstruct.read_object(path, "name")
    path.unlink()
    with pytest.raises(InputSkipped) as caught:
        rtstruct.match(path, described, frames, [1])
    assert caught.value.code == "file_unreadable"


def test_codes_are_in_the_tables():
    source = pathlib.Path(rtstruct.__file__).parent
    for file in ("rtstruct*.py", "contour_planes.py"):
        for path in source.glob(file):
            for line in path.read_text().splitlines():
                if 'InputSkipped("' in line:
                    assert line.split('InputSkipped("')[1].split('"')[0] in REASONS
    assert {"roi_gap", "contours_overlap"} <= set(FINDINGS)


def mostly(usual, *odd):
    """Usually one value, else an odd one; None leaves the element out."""
    return st.sampled_from([usual] * 4 * len(odd) + [*odd])


_NAMES = st.sampled_from(["instance", "other", ""])
_NUMBERS = st.one_of(
    st.floats(-200, 200).map("{:.4f}".format),
    st.sampled_from(["", "nan", "inf", "1e400", "abc", "1_0", "1e15", "-0", " 7 "]),
)
_PLACES = st.floats(-25, 40).map("{:.3f}".format)
_FLAT = st.tuples(
    st.lists(st.tuples(_PLACES, _PLACES), min_size=2, max_size=7),
    st.sampled_from(["40", "43", "46.5", "46"]),
).map(lambda drawn: [value for x, y in drawn[0] for value in (x, y, drawn[1])])
_IMAGES = st.lists(st.fixed_dictionaries({"ReferencedSOPInstanceUID": _NAMES}))
_CONTOURS = st.fixed_dictionaries(
    {
        "ContourGeometricType": mostly(
            "CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "POINT", "OPEN_PLANAR", "", "?", None
        ),
        "NumberOfContourPoints": mostly(None, 3, 4, -1),
        "ContourData": st.one_of(_FLAT, _FLAT, _FLAT, st.lists(_NUMBERS), st.none()),
        "ContourImageSequence": st.one_of(st.none(), st.none(), _IMAGES),
    }
)
_ROIS = st.fixed_dictionaries(
    {
        "ROINumber": st.sampled_from([1, 2, 3, -1, None]),
        "ROIName": st.text("abc^\\ \0", max_size=5),
        "ReferencedFrameOfReferenceUID": mostly("instance", "other", "", None),
    }
)
_ROI_CONTOURS = st.fixed_dictionaries(
    {
        "ReferencedROINumber": st.sampled_from([1, 2, 3, -1, None]),
        "ContourSequence": st.one_of(st.lists(_CONTOURS, max_size=5), st.none()),
    }
)
_OBJECTS = st.fixed_dictionaries(
    {
        "StructureSetDate": st.text("0123456789.-x", max_size=9),
        "StructureSetROISequence": st.lists(_ROIS, max_size=4),
        "ROIContourSequence": st.lists(_ROI_CONTOURS, max_size=4),
        "FrameOfReferenceUID": mostly("instance", "other", "", None),
    }
)


def _dataset(elements):
    dataset = pydicom.Dataset()
    for keyword, value in elements.items():
        if value is None:
            continue
        if keyword.endswith("Sequence"):
            value = pydicom.Sequence([_dataset(item) for item in value])
        elif keyword == "ContourData":
            tag = pydicom.tag.Tag(keyword)
            text = "\\".join(value).encode()
            dataset[tag] = pydicom.dataelem.RawDataElement(
                tag, "DS", len(text), text, 0, False, True
            )
            continue
        setattr(dataset, keyword, value)
    return dataset


def survives(path, frames):
    """Uses all of a file; nothing but `InputSkipped` may come out of it."""
    try:
        described = rtstruct.read_object(path, "name")
        found = rtstruct.match(path, described, frames, range(-1, 4))
    except InputSkipped:
        return
    assert all(one.reason in REASONS for one in (*described.left, *found.left))
    for match in found.matches:
        rules = DrawingRules(edge_rule=found.edge_rules[match.item])
        frame = frames[match.frame]
        try:
            drawn = rtstruct.draw(path, match.item, match.parts, frame, rules)
        except InputSkipped:
            continue
        assert drawn.plane.any() == bool(match.parts)
        assert all(isinstance(one, LeftItem) for one in drawn.left)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(elements=_OBJECTS)
def test_any_structure_is_survived(tmp_path_factory, elements):
    frames = headers([0, 3], frame_of_reference="instance")
    frames += headers([6], frame_of_reference="instance", instance="instance")
    frames.append(header(None, instance="other", frame_of_reference="instance"))
    path = tmp_path_factory.mktemp("fuzz") / "rt.dcm"
    whole = structure_set([])
    for keyword in ("StructureSetROISequence", "ROIContourSequence"):
        del whole[keyword]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pydicom.config.disable_value_validation():
            whole.update(_dataset(elements))
            save(whole, path)
        survives(path, frames)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(data=st.data())
def test_damaged_bytes_are_survived(tmp_path_factory, data):
    frames = headers([0, 3, 6])
    outlines = [Outline(disc(8, corners=6), frame) for frame in frames]
    buffer = io.BytesIO()
    structure_set([(1, "a", outlines)], frames).save_as(
        buffer, enforce_file_format=True
    )
    damaged = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(132, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(132, len(damaged))) :]
    path = tmp_path_factory.mktemp("fuzz") / "rt.dcm"
    path.write_bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        survives(path, frames)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
