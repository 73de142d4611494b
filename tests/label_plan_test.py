import dataclasses
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom.input_options import InputOptions
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading

CLASSES = ("inner", "outer", "spot")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Inner and outer on every example, a spot on none."""
    folder = tmp_path_factory.mktemp("plain")
    masks = np.zeros((3, 12, 16), bool)
    masks[0, :3], masks[1, :6] = True, True
    frames = synthetic.frames(4, annotated="111", masks=masks)
    synthetic.write_dataset(folder, {"train": {"a": frames}}, classes=CLASSES)
    return load_manifest(folder)


def _labels(found, **fields):
    return plan_reading(found, "train", InputOptions(**fields)).labels


@pytest.mark.parametrize(
    ("priority", "classes", "order"),
    [
        (None, None, (0, 1, 2)),
        (None, "spot;inner", (0, 1)),
        ("spot;inner;outer", None, (2, 0, 1)),
        (("inner", "spot"), "spot;inner", (1, 0)),
    ],
)
def test_order_is_that_of_the_classes_or_the_priority(found, priority, classes, order):
    labels = _labels(
        found, label_form="label_map", label_priority=priority, classes=classes
    )
    assert labels.order == order and labels.weights is None


@pytest.mark.parametrize("priority", ["inner", "inner;outer;spot", "inner;other"])
def test_priority_names_the_classes_that_are_read(found, priority):
    with pytest.raises(ValueError, match="no other: inner, outer"):
        _labels(
            found, classes="inner;outer", label_form="one_hot", label_priority=priority
        )


def test_weights_are_those_of_the_form(found):
    fields = {"classes": "inner;outer", "class_weights": "inverse"}
    planes = _labels(found, **fields)
    # A quarter is inner, half is outer.
    np.testing.assert_allclose(planes.weights, [(2 / 3, 2), (1, 1)])
    assert planes.sentence == "inner 2 (outside 0.667), outer 1 (outside 1)"
    # Spot is a class too, so the overlap of these two is not known.
    labels = _labels(found, label_form="label_map", **fields)
    np.testing.assert_allclose(labels.weights, [4 / 3, 4 / 3, 2 / 3])
    assert labels.sentence == "background 1.33, inner 1.33, outer 0.667"


def test_a_class_without_a_pixel_has_no_weight(found):
    with pytest.raises(ValueError, match="no pixel of class 'spot'"):
        _labels(found, class_weights="inverse_sqrt")


def test_soft_needs_covered_fractions(found):
    with pytest.raises(ValueError, match="data set 1 does not hold .* --covered_frac"):
        _labels(found, label_form="soft")


def test_soft_masks_are_not_packed(found):
    for asked in ({}, {"label_form": "distance"}):
        assert plan_reading(found, "train", InputOptions(**asked)).packed
    found = dataclasses.replace(found, options={"covered_fraction": True})
    assert not plan_reading(found, "train", InputOptions(label_form="soft")).packed


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
