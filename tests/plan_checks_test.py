import sys

import pytest

from tests import synthetic
from tfdicom.input_options import InputOptions
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    splits = {name: {name: synthetic.frames(12)} for name in ("train", "test")}
    synthetic.write_dataset(folder, splits)
    return folder


def _plan(folder, split="train", **fields):
    return plan_reading(load_manifest(folder), split, InputOptions(**fields))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"label_form": "one_hot"}, "label_form='one_hot'"),
        ({"class_weights": "inverse"}, "class_weights='inverse'"),
        ({"positive_fraction": 0.5}, "positive_fraction=0.5"),
        ({"augment": "foreground_crop=0.5"}, "foreground_crop=0.5"),
    ],
)
def test_what_is_done_with_masks_wants_masks(folder, fields, name):
    with pytest.raises(ValueError, match=f"{name} is about masks, and no class is re"):
        _plan(folder, classes="", **fields)
    assert _plan(folder, classes="", augment="heavy").class_names == ()


@pytest.mark.parametrize("crop", ["random_crop", "foreground_crop"])
def test_a_crop_is_smaller_than_the_images(folder, crop):
    fields = {"augment": f"{crop}=0.5"}
    message = f"{crop}: a window of 13 x 16 pixels .* larger than the images, of at mo"
    with pytest.raises(ValueError, match=message):
        _plan(folder, image_size="13,16", **fields)
    with pytest.raises(ValueError, match=f"{crop}: a window as large as the images"):
        _plan(folder, **fields)
    assert _plan(folder, image_size="12,15", **fields).crops
    assert _plan(folder, "test", image_size="13,16", **fields).crops  # padded
    # The images of 12 x 16 pixels have pixels of 1.25 to 1.5 mm.
    with pytest.raises(ValueError, match=f"{crop}: a window of 13 x 13 pixels of the"):
        _plan(folder, image_size="10,10", target_spacing=2.0, **fields)
    assert _plan(folder, image_size="8,8", target_spacing=2.0, **fields).warps


def test_a_batch_that_is_never_full(folder):
    fields = {"drop_remainder": True}
    with pytest.raises(ValueError, match="12 examples, fewer than the batch_size 13"):
        _plan(folder, batch_size=13, **fields)
    assert _plan(folder, batch_size=13, num_epochs=2, **fields).batches == 1


def test_crop_weights_are_of_the_classes_that_are_read(folder):
    augment = "foreground_crop=1,foreground_crop_classes=outer:3;inner:1"
    fields = {"augment": augment, "image_size": 8}
    assert _plan(folder, **fields).crop_weights == (1.0, 3.0)
    with pytest.raises(ValueError, match="'outer' is not among the classes that are"):
        _plan(folder, classes="inner", **fields)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
