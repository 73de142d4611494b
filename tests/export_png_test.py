import dataclasses
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import export_png


def example(pixels, **changes):
    pixels = np.asarray(pixels)
    frame = synthetic.Frame(
        shape=pixels.shape,
        dtype=pixels.dtype.name,
        pixels=pixels,
        masks=changes.pop("masks", np.zeros((2, *pixels.shape[:2]), bool)),
    )
    return dataclasses.replace(synthetic.make_example(frame, 1), **changes)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_stored_values_keep_their_range(dtype):
    limits = np.iinfo(dtype)
    pixels = np.array([[limits.min, 0, limits.max]], dtype)[..., None]
    found = export_png.stored_values(example(pixels))
    assert found.dtype.kind == "u" and found.dtype.itemsize == pixels.dtype.itemsize
    np.testing.assert_array_equal(
        found.astype(int), pixels[..., 0].astype(int) - limits.min
    )


@pytest.mark.parametrize(
    ("dtype", "samples"), [("int32", 1), ("float32", 1), ("uint16", 3), ("uint8", 2)]
)
def test_what_no_png_holds(dtype, samples):
    one = example(np.ones((2, 3, samples), dtype))
    with pytest.raises(ValueError, match=f"{samples} x {dtype}; take"):
        export_png.stored_values(one)


RAMP = np.arange(256, dtype=np.int16).reshape(16, 16, 1)


@pytest.mark.parametrize(
    ("changes", "first", "last"),
    [
        ({"window": (100.0, 100.0)}, 50, 150),
        ({"window": (100.0, 100.0), "rescale_intercept": -20.0}, 70, 170),
        ({"window": (100.0, 100.0), "rescale_slope": 2.0}, 25, 75),
        ({"series_statistics": None}, 1, 254),
    ],
)
def test_window(changes, first, last):
    found = export_png.windowed(example(RAMP, **changes)).ravel().astype(int)
    assert (found[: first + 1] == 0).all() and (found[last:] == 255).all()
    middle = found[first : last + 1]
    assert (np.diff(middle) > 0).all()
    assert abs(int(found[(first + last) // 2]) - 127) < 4


def test_monochrome1_is_inverted_and_colours_are_kept():
    plain = export_png.windowed(example(RAMP))
    turned = export_png.windowed(
        example(RAMP, photometric_interpretation="MONOCHROME1")
    )
    np.testing.assert_array_equal(turned, 255 - plain)
    colours = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(export_png.windowed(example(colours)), colours)


def test_label_map_of_many_classes():
    masks = np.zeros((300, 4, 4), bool)
    masks[299, 0, 0] = masks[0, 1, 1] = True
    one = dataclasses.replace(
        synthetic.make_example(
            synthetic.Frame(shape=(4, 4, 1), masks=masks, annotated="1" * 300),
            1,
            classes=[f"c{n}" for n in range(300)],
        )
    )
    found = export_png.label_map(one)
    assert found.dtype == np.uint16
    assert (found[0, 0], found[1, 1], found.sum()) == (300, 1, 301)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
