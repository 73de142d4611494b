import dataclasses
import sys

import numpy as np
import pytest

from tests import synthetic
from tests.source_folders import disc
from tfdicom import contact_sheet, example_schema, rasterize
from tfdicom.contact_sheet import COLORS, Crop
from tfdicom.label_kinds import LabelInfo

ROWS, COLUMNS = 60, 80


def drawn(*contours, shape=(ROWS, COLUMNS), classes=("inner", "outer"), **changes):
    """An example whose masks are its contours filled; the image is all black."""
    pixels = changes.pop("pixels", np.zeros((*shape, 1), np.int16))
    masks = np.zeros((len(classes), *shape), bool)
    for place, vertices in enumerate(contours):
        masks[place] = rasterize.fill(vertices, shape, edge_rule="half_covered")
    frame = synthetic.Frame(
        shape=pixels.shape,
        dtype=pixels.dtype.name,
        pixels=pixels,
        masks=masks,
        annotated="1" * len(classes),
    )
    example = synthetic.make_example(frame, 1, classes=classes)
    return dataclasses.replace(
        example,
        contour_points=tuple(np.concatenate(contours).ravel()) if contours else None,
        contour_lengths=tuple(map(len, contours)) or None,
        contour_structures=tuple(classes[: len(contours)]) or None,
        **changes,
    )


def square(column, row, size):
    """A contour around ``size`` x ``size`` whole pixels."""
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    return np.array([column, row]) - 0.5 + size * corners


def places(picture, color):
    """Row and column of the screen pixels of a colour."""
    return np.argwhere((np.asarray(picture) == color).all(axis=-1))


@pytest.mark.parametrize("crop", [Crop(0, 0, 80), Crop(10, 20, 40), Crop(25, 31, 17)])
def test_contour_lies_on_the_border_of_its_mask(crop):
    # Along pixel borders, so that both are known to the screen pixel.
    scale, example = 16, drawn(square(33, 27, 8))
    picture = contact_sheet.overlay(example, crop=crop, size=crop.size * scale)
    fill = tuple(round(value * 0.3) for value in COLORS[0])
    line, inside = places(picture, COLORS[0]), places(picture, fill)
    first = (27 - crop.row) * scale, (33 - crop.column) * scale
    last = (35 - crop.row) * scale, (41 - crop.column) * scale
    np.testing.assert_array_equal(line.min(axis=0), first)
    np.testing.assert_array_equal(line.max(axis=0), last)
    # The line lies on the first row and column of the fill, and just behind its last.
    np.testing.assert_array_equal(inside.min(axis=0), np.add(first, 1))
    np.testing.assert_array_equal(inside.max(axis=0), np.subtract(last, 1))


def test_contour_of_a_disc_goes_along_its_mask():
    example = drawn(disc(40.2, 31.7, 11))
    picture = contact_sheet.overlay(example, crop=Crop(0, 0, 80), size=800)
    line = places(picture, COLORS[0])
    distance = np.hypot(line[:, 0] / 10 - 0.5 - 31.7, line[:, 1] / 10 - 0.5 - 40.2)
    assert len(line) > 400
    assert np.abs(distance - 11).max() < 0.2


def test_image_lies_under_its_mask():
    pixels = np.zeros((ROWS, COLUMNS, 1), np.int16)
    pixels[27:35, 33:41] = 1000
    example = drawn(square(33, 27, 8), pixels=pixels)
    picture = contact_sheet.overlay(example, crop=Crop(0, 0, 80), size=80)
    grey = np.asarray(picture).astype(int)
    light = 255 * 0.7 + np.array(COLORS[0]) * 0.3
    np.testing.assert_allclose(grey[31, 37], light, atol=1)
    np.testing.assert_array_equal(grey[31, 20], (0, 0, 0))


@pytest.mark.parametrize(
    ("pixels", "changes", "expected"),
    [
        (np.full((8, 8, 1), 5, np.int16), {}, (0, 0, 0)),
        (np.full((8, 8, 3), 90, np.uint8), {}, (90, 90, 90)),
        (
            np.arange(64, dtype=np.int16).reshape(8, 8, 1),
            {"photometric_interpretation": "MONOCHROME2"},
            (0, 0, 0),
        ),
        (
            np.arange(64, dtype=np.int16).reshape(8, 8, 1),
            {"photometric_interpretation": "MONOCHROME1"},
            (255, 255, 255),
        ),
        (np.full((8, 8, 1), 5, np.int16), {"image_statistics": None}, (255, 255, 255)),
    ],
)
def test_grey_of_the_first_pixel(pixels, changes, expected):
    example = drawn(shape=(8, 8), pixels=pixels, **changes)
    picture = contact_sheet.overlay(example, crop=Crop(0, 0, 8), size=8)
    assert picture.getpixel((0, 0)) == expected


@pytest.mark.parametrize(
    ("contours", "shape", "expected"),
    [
        ([], (60, 80), Crop(0, 0, 80)),
        # 10 pixels with a margin of 6 on each side.
        ([square(35, 25, 10)], (60, 80), Crop(19, 29, 22)),
        ([square(35, 25, 5), square(40, 30, 5)], (60, 80), Crop(19, 29, 22)),
        ([square(1, 2, 10)], (60, 80), Crop(0, 0, 22)),
        ([square(68, 48, 10)], (60, 80), Crop(38, 58, 22)),
        ([square(35, 25, 28)], (60, 80), Crop(0, 0, 80)),
        ([square(35, 25, 28)], (80, 60), Crop(0, 0, 80)),
    ],
)
def test_crop(contours, shape, expected):
    example = drawn(*contours, shape=shape)
    assert contact_sheet.crop_around_masks(example) == expected


@pytest.mark.parametrize(
    ("count", "columns", "tiles"), [(1, 5, (1, 1)), (5, 5, (5, 1)), (7, 3, (3, 3))]
)
def test_size_of_the_sheet(count, columns, tiles):
    examples = [drawn(disc(40, 30, 9))] * count
    sheet = contact_sheet.contact_sheet(examples, tile=50, columns=columns)
    across, down = tiles
    assert sheet.size == (6 + across * 56, 26 + down * 74 + 6)
    assert sheet.mode == "RGB"


def test_every_example_is_on_the_sheet():
    examples = [drawn(disc(40, 30, 9), disc(40, 30, 14))] * 3
    sheet = contact_sheet.contact_sheet(examples, tile=100, columns=2)
    for color in COLORS[:2]:
        found = places(sheet, color)
        # In the legend, and in each of the three tiles.
        for left, top in ((0, 0), (6, 26), (112, 26), (6, 150)):
            size = 100 if top else 25
            inside = (found >= (top, left)).all(axis=1)
            inside &= (found < (top + size, left + size * 4)).all(axis=1)
            assert inside.any(), (color, left, top)


def test_an_example_without_masks_shows_its_labels():
    labels = [LabelInfo("age", "number"), LabelInfo("sex", "class", ("f", "m"))]
    frame = synthetic.Frame(annotated="", labels=("", "f"), shape=(ROWS, COLUMNS, 1))
    example = synthetic.make_example(frame, 1, classes=(), labels=labels)
    assert contact_sheet.label_lines(example) == ["sex: f"]
    bare = dataclasses.replace(example, label_names=None, label_values=None)
    assert contact_sheet.label_lines(bare) == []
    sheets = [
        np.asarray(contact_sheet.contact_sheet([one], tile=60))
        for one in (example, bare)
    ]
    # Only in the corner of the tile; the legend is empty.
    assert not (sheets[0][:26] != 20).any()
    differ = np.argwhere((sheets[0] != sheets[1]).any(axis=-1))
    assert len(differ) and (differ < (26 + 16, 60)).all()


def test_sheet_of_nothing():
    with pytest.raises(ValueError, match="no example to draw"):
        contact_sheet.contact_sheet([])


def test_caption_tells_examples_apart_without_naming_anyone():
    example = drawn(disc(40, 30, 9), slice_index=4, phase_index=12)
    text = contact_sheet.caption(example)
    assert "slice 4" in text and "phase 12" in text
    assert example.key[:6] in text
    bare = contact_sheet.caption(drawn(slice_index=None, phase_index=None))
    assert "slice" not in bare and "phase" not in bare


def test_structure_that_is_no_class_has_a_colour_of_its_own():
    example = dataclasses.replace(
        drawn(disc(40, 30, 9)), contour_structures=("papillary1",)
    )
    assert example_schema.encode(example)
    picture = contact_sheet.overlay(example, crop=Crop(0, 0, 80), size=400)
    assert len(places(picture, COLORS[2])) > 50
    assert not len(places(picture, COLORS[0]))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
