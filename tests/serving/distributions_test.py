"""Histograms of grey values and areas, against counting by hand."""

import sys

import numpy as np
import pytest

from tests import served_apps, synthetic
from tfdicom.serving import distributions


def _served(folder):
    app = served_apps.app_of(folder)
    return app.extensions["tfdicom"].data_set(None)


def _learnt(one):
    for place in range(len(one.catalog)):
        one.learn(place)
    return one


@pytest.fixture
def written(tmp_path):
    examples = served_apps.write(tmp_path / "d")
    return _served(tmp_path / "d"), examples


def test_mask_areas(written):
    one, examples = written
    found = distributions.mask_areas(_learnt(one))
    every = [example for split in examples.values() for example in split]
    for number, name in enumerate(("inner", "outer")):
        areas = [example.pixel_count[number] for example in every]
        shown = [area for area in areas if area]
        assert found.counts[name].sum() == len(shown)
        np.testing.assert_array_equal(
            found.counts[name], np.histogram(shown, found.edges)[0]
        )
        assert sum(found.shares(name)) == pytest.approx(1)
    assert found.edges[0] == 0 and found.edges[-1] == max(
        max(example.pixel_count) for example in every
    )


def test_no_mask_no_areas(tmp_path):
    empty = np.zeros((2, 12, 16), bool)
    frames = {"p": synthetic.frames(2, masks=empty)}
    synthetic.write_dataset(tmp_path / "d", {"train": frames})
    assert distributions.mask_areas(_learnt(_served(tmp_path / "d"))) is None


def test_grey_values(written):
    one, examples = written
    by_split, by_class = distributions.grey_values(one)
    for split, several in examples.items():
        values = np.concatenate([example.image.ravel() for example in several])
        wanted = np.histogram(values, by_split.edges)[0]
        np.testing.assert_array_equal(by_split.counts[split], wanted)
    inner = np.concatenate(
        [e.image[e.masks[0]].ravel() for split in examples.values() for e in split]
    )
    wanted = np.histogram(inner, by_class.edges)[0]
    np.testing.assert_array_equal(by_class.counts["inner"], wanted)


def test_classes_have_the_range_of_their_own_pixels(tmp_path):
    pixels = np.full((12, 16, 1), -1000, np.int16)
    pixels[3:6] = 40
    masks = np.zeros((2, 12, 16), bool)
    masks[:, 3:6] = True
    frames = synthetic.frames(3, pixels=pixels, masks=masks)
    synthetic.write_dataset(tmp_path / "d", {"train": {"p": frames}})
    by_split, by_class = distributions.grey_values(_served(tmp_path / "d"))
    assert by_split.edges[0] == -1000 and by_class.edges[0] == 40


def test_padding_is_left_out(tmp_path):
    pixels = np.full((12, 16, 1), 100, np.int16)
    pixels[:6] = -2000
    frame = {"pixels": pixels, "padding": (-2000, -2000), "slope": 2.0}
    frames = {"p": synthetic.frames(3, **frame)}
    synthetic.write_dataset(tmp_path / "d", {"train": frames})
    by_split, _ = distributions.grey_values(_served(tmp_path / "d"))
    assert by_split.counts["train"].sum() == 3 * 6 * 16
    assert by_split.edges[0] == 200


def test_many_examples_are_sampled(tmp_path):
    frames = {f"p{n}": synthetic.frames(30) for n in range(10)}
    synthetic.write_dataset(tmp_path / "d", {"train": frames})
    one = _served(tmp_path / "d")
    by_split, _ = distributions.grey_values(one)
    assert 0 < by_split.counts["train"].sum() <= 48 * 12 * 16


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
