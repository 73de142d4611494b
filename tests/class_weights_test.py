import dataclasses
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import class_weights
from tfdicom.class_layout import class_layout
from tfdicom.class_weights import ClassPixels
from tfdicom.manifest import load_manifest

KINDS = {"inverse": -1.0, "inverse_sqrt": -0.5}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pixel_weighs_one_on_average_and_rare_sides_more(kind):
    classes = [ClassPixels("inner", 30.0, 1000.0), ClassPixels("outer", 50.0, 400.0)]
    pairs = class_weights.side_weights(kind, classes)
    for share, (negative, positive) in zip((0.03, 0.125), pairs, strict=True):
        assert share * positive + (1 - share) * negative == pytest.approx(1)
        wanted = (share / (1 - share)) ** KINDS[kind]
        assert positive / negative == pytest.approx(wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_labels_weigh_one_on_average(kind, order):
    classes = [ClassPixels(name, 100.0 * n, 1e4) for n, name in enumerate("abc", 1)]
    weights = class_weights.label_weights(kind, classes, order=order, foreground=600)
    shares = np.array([0.94, 0.01, 0.02, 0.03])
    assert shares @ weights == pytest.approx(1)
    np.testing.assert_allclose(
        np.array(weights) / weights[0], (shares / shares[0]) ** KINDS[kind]
    )


def _masks(random, count):
    """Two classes, the first mostly inside of the second."""
    outer = random.random((count, 12, 16)) < 0.4
    inner = (random.random(outer.shape) < 0.3) & (
        outer | (random.random(outer.shape) < 0.1)
    )
    return np.stack([inner, outer], axis=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    masks = _masks(np.random.default_rng(0), 6)
    frames = [synthetic.Frame(masks=one) for one in masks]
    synthetic.write_dataset(folder, {"train": {"a": frames[:4]}, "b": {"b": frames}})
    return load_manifest(folder), masks


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_classes_the_overlap_is_known(written, order):
    found, masks = written
    layout = class_layout([found.class_names])
    counts, foreground = class_weights.count_pixels([found], ["b"], layout)
    masks = masks[:4]  # those of train
    assert [one.pixels for one in counts] == masks.sum(axis=(0, 2, 3)).tolist()
    assert [one.examined for one in counts] == [4 * 12 * 16] * 2
    assert foreground == masks.any(axis=1).sum()
    first, second = (masks[:, place] for place in order)
    shares = [0.0, 0.0, 0.0]
    shares[order[0] + 1] = first.mean()
    shares[order[1] + 1] = (second & ~first).mean()
    shares[0] = 1 - sum(shares)
    weights = class_weights.label_weights(
        "inverse", counts, order=order, foreground=foreground
    )
    np.testing.assert_allclose(np.array(weights) * shares, [1 / 3] * 3)


def test_some_classes_count_as_if_they_did_not_overlap(written):
    found, masks = written
    layout = class_layout([found.class_names], classes=["outer"])
    (outer,), foreground = class_weights.count_pixels([found], ["train"], layout)
    assert outer == ClassPixels("outer", masks[:4, 1].sum(), 4 * 12 * 16)
    assert foreground is None


def test_without_a_split_train_what_is_read_counts(written):
    found, masks = written
    found = dataclasses.replace(found, splits={"b": found.splits["b"]})
    layout = class_layout([found.class_names])
    counts, _ = class_weights.count_pixels([found], ["b"], layout)
    assert [one.pixels for one in counts] == masks.sum(axis=(0, 2, 3)).tolist()


def test_frames_without_annotation_are_not_examined(tmp_path):
    frames = [*synthetic.frames(2), *synthetic.frames(3, annotated="10")]
    examples = synthetic.write_dataset(tmp_path, {"train": {"a": frames}})["train"]
    found = load_manifest(tmp_path)
    counts, _ = class_weights.count_pixels(
        [found], ["train"], class_layout([found.class_names])
    )
    assert [one.examined for one in counts] == [5 * 12 * 16, 2 * 12 * 16]
    assert counts[1].pixels == sum(one.masks[1].sum() for one in examples[:2])


def test_several_data_sets_add_up(written, tmp_path):
    found, masks = written
    frames = synthetic.frames(3, annotated="1")
    other = synthetic.write_dataset(
        tmp_path, {"train": {"z": frames}}, classes=["whole"]
    )["train"]
    names = [found.class_names, ("whole",)]
    layout = class_layout(names, class_map={"outer": ["outer", "whole"]})
    counts, _ = class_weights.count_pixels(
        [found, load_manifest(tmp_path)], ["train"], layout
    )
    inner, outer = counts
    assert inner == ClassPixels("inner", masks[:4, 0].sum(), 4 * 12 * 16)
    assert outer.examined == 7 * 12 * 16
    more = sum(one.masks[0].sum() for one in other)
    assert outer.pixels == masks[:4, 1].sum() + more


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ((3.0, 0.0), "no pixel of class 'b', so it has no weight"),
        ((3.0, 100.0), "there is no pixel without b"),
    ],
)
def test_a_side_that_never_occurs_has_no_weight(pixels, message):
    classes = [ClassPixels(n, one, 100.0) for n, one in zip("ab", pixels, strict=True)]
    with pytest.raises(ValueError, match=message):
        class_weights.side_weights("inverse", classes)


@pytest.mark.parametrize(
    ("pixels", "foreground", "message"),
    [
        ((0.0, 3.0), None, "no pixel of class 'a', so it has no weight"),
        ((60.0, 50.0), None, "there is no background"),
        ((60.0, 50.0), 60, "there is no b, so"),
    ],
)
def test_a_label_that_never_occurs_has_no_weight(pixels, foreground, message):
    classes = [ClassPixels(n, one, 100.0) for n, one in zip("ab", pixels, strict=True)]
    with pytest.raises(ValueError, match=message):
        class_weights.label_weights(
            "inverse_sqrt", classes, order=(0, 1), foreground=foreground
        )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
