import dataclasses
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.sources import mask_listing, masks
from tfdicom.sources.annotation_objects import DrawingRules, Match
from tfdicom.sources.candidates import RTSTRUCT
from tfdicom.spatial import ImagePlane

RULES = DrawingRules(edge_rule="center")
SHAPE = (5, 7)
LABELS = (np.arange(35).reshape(SHAPE) % 4).astype("uint8")  # 0 to 3


def header(instance="i", **changes):
    plain = FrameHeader(
        patient_id="p",
        study="t",
        series="s",
        instance=instance,
        modality="CT",
        rows=5,
        columns=7,
        bytes_per_pixel=2,
        plane=None,
        temporal_order=(0, 0, 0),
        burned_in=False,
        frame_of_reference="f",
    )
    return dataclasses.replace(plain, **changes)


def frames_of(count, instance="i"):
    return [
        header(instance, frame_number=number, frame_count=count)
        for number in range(1, count + 1)
    ]


def save(path, values):
    if path.suffix == ".npy":
        np.save(path, values)
    elif values.ndim == 3:
        tifffile.imwrite(path, values, photometric="minisblack")
    else:
        Image.fromarray(values).save(path)
    return path


def names(described):
    return {one.number: one.names for one in described.items}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1=inner,2=outer,255=lesion", {1: "inner", 2: "outer", 255: "lesion"}),
        (" 3 = left lung , ", {3: "left lung"}),
        ("1=a=b", {1: "a=b"}),
        ("1=x,2=x,1=x", {1: "x", 2: "x"}),
    ],
)
def test_values_are_parsed(text, expected):
    assert mask_listing.parse_values(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "wanted is as '1=inner,2=outer'"),
        ("inner", "'inner' is no pair"),
        ("1=", "'1=' is no pair"),
        ("0=background", "'0=background' is no pair.* values from 1"),
        ("-1=x", "is no pair"),
        ("1.5=x", "is no pair"),
        ("²=x", "is no pair"),
        ("1=x,1=y", "1 has two names"),
        ("1=#2", "should not begin with '#'"),
    ],
)
def test_values_that_are_refused(text, message):
    with pytest.raises(ValueError, match=message) as error:
        mask_listing.parse_values(text)
    assert str(error.value).startswith("mask_values=")


@pytest.mark.parametrize(
    ("arguments", "items", "left"),
    [
        ({}, {1: ("#1",), 2: ("#2",), 3: ("#3",)}, []),
        ({"class_name": "organ"}, {0: ("organ",)}, []),
        (
            {"values": {1: "in", 3: "out", 9: "tip"}},
            {1: ("in", "#1"), 3: ("out", "#3"), 9: ("tip", "#9")},
            [(2, "mask_value_not_mapped", "2")],
        ),
        (
            {"values": {1: "in"}, "class_name": "organ"},
            {0: ("organ",)},
            [],
        ),
    ],
)
def test_items(tmp_path, arguments, items, left):
    path = save(tmp_path / "m.png", LABELS)
    described = masks.read_object(path, "a/m.png", **arguments)
    assert (described.path, described.kind) == ("a/m.png", "masks")
    assert names(described) == items
    assert [(one.item, one.reason, one.detail) for one in described.left] == left


def test_many_values_that_nothing_maps_are_cut_short(tmp_path):
    path = save(tmp_path / "m.npy", np.arange(35).reshape(SHAPE))
    (left,) = masks.read_object(path, "m", values={1: "x"}).left
    assert left.detail == "2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 23 more"


def test_a_grey_image_is_no_mask(tmp_path):
    path = save(tmp_path / "m.npy", np.arange(300).reshape(10, 30))
    with pytest.raises(InputSkipped) as skipped:
        masks.read_object(path, "m")
    assert skipped.value.code == "mask_too_many_values"
    assert names(masks.read_object(path, "m", class_name="x")) == {0: ("x",)}


def objects(tmp_path, *values, **arguments):
    found = []
    for number, value in enumerate(values):
        path = save(tmp_path / f"{number}.npy", np.array(value))
        found.append(masks.read_object(path, path.name, **arguments))
    return found


def test_values_are_shared_over_a_data_set(tmp_path):
    (mapped,) = objects(tmp_path, [[0, 5]], values={5: "five"})
    other = dataclasses.replace(mapped, kind=RTSTRUCT, items=())
    nameless = objects(tmp_path, [[0, 1]], [[2, 1]], [[0, 0]])
    named = masks.name_values([*nameless, mapped, other])
    assert [names(one) for one in named[:3]] == [{1: ("#1",), 2: ("#2",)}] * 3
    assert named[3:] == [mapped, other]


@pytest.mark.parametrize(
    ("values", "items"),
    [
        ([[[0, 1]], [[1, 1]], [[0, 0]]], {1: ("mask", "#1")}),
        ([[[0, 1]], [[0, 255]]], {0: ("mask",), 1: ("#1",), 255: ("#255",)}),
        ([[[0, 0]]], {0: ("mask",)}),
    ],
)
def test_masks_of_one_value_have_a_name(tmp_path, values, items):
    named = masks.name_values(objects(tmp_path, *values))
    assert [names(one) for one in named] == [items] * len(values)


def test_no_mask_at_all():
    assert masks.name_values([]) == []


def test_a_mask_takes_over_what_its_images_are():
    described = masks.AnnotationObject("m.png", "masks", instance="m.png")
    found = masks.with_images(
        described, [*frames_of(2), header("j", series="r", frame_of_reference="g")]
    )
    assert (found.patient_id, found.study, found.instance) == ("p", "t", "m.png")
    assert found.referenced_series == ("s", "r")
    assert found.referenced_instances == ("i", "j")
    assert found.frame_of_reference == ""
    with pytest.raises(InputSkipped, match="2 studies"):
        masks.with_images(described, [header(), header(study="u")])


def paired(path, headers):
    return masks.with_images(masks.read_object(path, path.name), headers)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_a_page_for_an_image(tmp_path, suffix):
    path = save(tmp_path / f"m{suffix}", LABELS)
    described = paired(path, [header()])
    matches = masks.match(path, described, [header("j"), header()], (0, 2, 9))
    assert matches.matches == (Match(1, 0, (1,)), Match(1, 2, (1,)), Match(1, 9))
    assert matches.left == ()
    for item, expected in ((0, LABELS > 0), (2, LABELS == 2)):
        drawing = masks.draw(path, item, (1,), header(), RULES)
        np.testing.assert_array_equal(drawing.plane, expected)
        assert drawing.plane.dtype == bool and drawing.fraction is None
    assert not masks.draw(path, 9, (), header(), RULES).plane.any()


def test_pages_for_the_frames_of_an_image(tmp_path):
    pages = np.stack([LABELS, LABELS * 0, LABELS == 2]).astype("uint8")
    path = save(tmp_path / "m.tif", pages)
    frames = frames_of(3)[::-1]
    matches = masks.match(path, paired(path, frames), frames, (1, 2))
    assert set(matches.matches) == {
        Match(2, 1, (1,)),
        Match(2, 2, (1,)),
        Match(1, 1),
        Match(1, 2),
        Match(0, 1, (3,)),
        Match(0, 2),
    }
    plane = masks.draw(path, 1, (3,), frames[0], RULES).plane
    np.testing.assert_array_equal(plane, LABELS == 2)


def test_planes_of_classes(tmp_path):
    planes = np.stack([LABELS == 1, LABELS > 1, LABELS > 5], axis=-1)
    path = save(tmp_path / "m.npy", planes)
    described = paired(path, [header()])
    assert names(described) == {1: ("#1",), 2: ("#2",), 3: ("#3",)}
    matches = masks.match(path, described, [header()], (0, 2, 3, 4))
    assert [one.parts for one in matches.matches] == [(1,), (1,), (), ()]
    for item, expected in ((0, LABELS > 0), (2, LABELS > 1)):
        plane = masks.draw(path, item, (1,), header(), RULES).plane
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize(
    ("values", "frames", "reason", "detail"),
    [
        (LABELS.T.copy(), [header()], "mask_size_differs", "7 x 5, the image 5 x 7"),
        (LABELS, frames_of(3), "mask_pages_differ", "1 pages, the image has 3 frames"),
        (
            np.stack([LABELS] * 9)[..., None],
            [header()],
            "mask_pages_differ",
            "9 pages, the image has 1 frames",
        ),
    ],
)
def test_masks_that_do_not_fit(tmp_path, values, frames, reason, detail):
    path = save(tmp_path / "m.npy", values)
    matches = masks.match(path, paired(path, frames), frames, (1,))
    assert matches.matches == ()
    (left,) = matches.left
    assert (left.item, left.part, left.reason, left.detail) == (
        None,
        None,
        reason,
        detail,
    )


def test_one_of_two_images_does_not_fit(tmp_path):
    path = save(tmp_path / "m.png", LABELS)
    frames = [header(), header("j", rows=9)]
    matches = masks.match(path, paired(path, frames), frames, (1,))
    assert matches.matches == (Match(0, 1, (1,)),)
    assert [one.reason for one in matches.left] == ["mask_size_differs"]


def test_covered_fractions_are_whole(tmp_path):
    path = save(tmp_path / "m.png", LABELS)
    rules = dataclasses.replace(RULES, covered_fraction=True)
    drawing = masks.draw(path, 3, (1,), header(), rules)
    np.testing.assert_array_equal(drawing.fraction, LABELS == 3)
    assert drawing.fraction.dtype == np.float64


def test_volumes_go_by_geometry(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    labels = np.stack([LABELS.T * 0, LABELS.T], axis=2)
    affine = np.diag([-1.0, -1.0, 4.0, 1.0])  # voxels along LPS axes
    nibabel.Nifti1Image(labels, affine).to_filename(tmp_path / "m.nii.gz")
    path = tmp_path / "m.nii.gz"
    frames = [
        header(str(z), plane=ImagePlane((0, 0, z), (1, 0, 0, 0, 1, 0), (1, 1)))
        for z in (4.0, 0.0, 8.0)
    ]
    described = masks.read_object(path, "m.nii.gz")
    assert names(described) == {1: ("#1",), 2: ("#2",), 3: ("#3",)}
    matches = masks.match(path, described, frames, (2,))
    assert matches.matches == (Match(0, 2, (2,)), Match(1, 2))
    plane = masks.draw(path, 2, (2,), frames[0], RULES).plane
    np.testing.assert_array_equal(plane, LABELS == 2)
    assert not masks.draw(path, 2, (), frames[1], RULES).plane.any()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
