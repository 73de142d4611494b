import dataclasses
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import example_schema
from tfdicom.example_changes import KEPT, changes_of, total

ONE = synthetic.make_example(synthetic.Frame(), 1)


def with_masks(masks, **fields):
    return dataclasses.replace(ONE, **example_schema.describe_masks(masks), **fields)


def test_equal_examples():
    found = changes_of(ONE, ONE, same_names=True)
    assert (found.examples, found.features, found.classes) == (0, {}, {})


def test_masks_are_compared_by_the_name_of_their_class():
    masks = ONE.masks.copy()
    masks[1, 0, :5] = ~masks[1, 0, :5]
    turned = with_masks(masks[::-1], classes=ONE.classes[::-1])
    found = changes_of(ONE, turned, same_names=True)
    assert list(found.classes) == ["outer"]
    change = found.classes["outer"]
    before, after = ONE.masks[1], masks[1]
    assert change.pixels_added == np.count_nonzero(after & ~before)
    assert change.pixels_removed == np.count_nonzero(before & ~after)
    assert change.pixels_added + change.pixels_removed == 5
    both = np.count_nonzero(after & before)
    dice = 2 * both / (np.count_nonzero(after) + np.count_nonzero(before))
    assert change.worst == [(pytest.approx(dice), ONE.key)]


def test_annotated_without_a_pixel():
    empty = ONE.masks.copy()
    empty[0] = False
    before = with_masks(empty, annotated=(0, 1))
    change = changes_of(before, with_masks(empty), same_names=True).classes["inner"]
    assert (change.examples, change.annotated, change.worst) == (0, 1, [])


def test_pseudonyms_of_different_keys_do_not_count():
    other = dataclasses.replace(ONE, patient="p", key="0" * 32, key_hash=0)
    assert changes_of(ONE, other, same_names=False).examples == 0
    found = changes_of(ONE, other, same_names=True)
    assert list(found.features) == ["example/key", "example/hash", "patient/id"]


def test_images_of_another_size_have_no_common_masks():
    other = synthetic.make_example(synthetic.Frame(shape=(8, 8, 1)), 1)
    found = changes_of(ONE, other, same_names=True)
    assert found.classes == {} and "image/shape" in found.features


def test_sums_keep_the_worst():
    parts = []
    for number in range(1, 15):
        masks = ONE.masks.copy()
        masks[0].flat[:number] = ~masks[0].flat[:number]
        changed = with_masks(masks, key=f"{number:032x}")
        parts.append(changes_of(ONE, changed, same_names=True))
    whole = total(parts)
    inner = whole.classes["inner"]
    assert whole.examples == inner.examples == 14
    assert inner.pixels_added + inner.pixels_removed == sum(range(1, 15))
    assert len(inner.worst) == KEPT and inner.worst[0][1] == f"{14:032x}"
    assert whole.features["mask/planes"].examples == 14
    assert len(whole.features["mask/planes"].keys) == KEPT
    assert list(whole.features)[0] == "example/key"  # the schema's order


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
