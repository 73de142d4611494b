"""A reader that was broken off goes on exactly as it would have."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom.input_pipeline import input_fn

pytestmark = pytest.mark.long

FIELDS = {"batch_size": 7, "jit_compile": False, "with_info": True}
NO_PIXEL = np.zeros((2, *synthetic.Frame().shape[:2]), bool)
STEPS = np.random.default_rng(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    empty = synthetic.frames(3, masks=NO_PIXEL)
    patients = {"a": synthetic.frames(8), "b": [*synthetic.frames(6), *empty]}
    synthetic.write_dataset(folder, {"train": patients})
    return folder


def _keys(batch) -> tuple[bytes, ...]:
    return tuple(np.array(batch[2]["key"]).tolist())


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    empty = synthetic.frames(4, masks=NO_PIXEL)
    patients = {"c": [*synthetic.frames(5), *empty]}
    synthetic.write_dataset(folder, {"train": patients}, first_number=100)
    return folder


def _same(found, wanted):
    assert _keys(found) == _keys(wanted)
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-5)
    np.testing.assert_array_equal(found[1], wanted[1])
    np.testing.assert_array_equal(found[2]["occurrence"], wanted[2]["occurrence"])


@pytest.mark.parametrize(
    ("cache", "num_epochs", "more"),
    [
        ("none", 1, {"drop_remainder": True}),
        ("auto", 1, {}),
        ("none", 3, {"augment": "brightness=1,flip_left_right=0.5"}),
        (
            "auto",
            None,
            {"positive_fraction": 0.6, "weights": "0.5,0.5", "augment": "noise=1"},
        ),
    ],
)
def test_start_step_goes_on_as_if_it_had_been_read(
    folder, other_folder, cache, num_epochs, more
):
    folders = [folder, other_folder] if "weights" in more else folder
    fields = {**FIELDS, "num_epochs": num_epochs, "cache": cache, **more}

    def first_batches(start, count):
        data = input_fn(folders, start_step=start, **fields)
        found = []
        while len(found) < count:  # a pass of one epoch is followed by the next
            found += list(data.take(count))
            if num_epochs == 3:
                break
        return found[:count]

    whole = first_batches(0, 8)
    for start in STEPS.choice(np.arange(1, 7), 2, replace=False).tolist():
        again = first_batches(start, 8)[: 8 - start]
        assert len(again) == len(whole[start:])
        for found, wanted in zip(again, whole[start:], strict=True):
            _same(found, wanted)


@pytest.mark.parametrize(
    ("start", "drop_remainder"),
    [(0, False), (1, True), (2, False), (4, True), (5, False)],
)
def test_without_training_each_pass_starts_there(folder, start, drop_remainder):
    fields = {**FIELDS, "training": False, "drop_remainder": drop_remainder}
    whole = [_keys(batch) for batch in input_fn(folder, **fields)]
    data = input_fn(folder, start_step=start, **fields)
    for _ in range(2):
        passed = [_keys(batch) for batch in data]
        assert passed == whole[start % len(whole) :] and len(data) == len(passed)


@pytest.mark.parametrize(("cache", "num_epochs"), [("none", None), ("auto", 4)])
def test_a_saved_iterator_goes_on(folder, cache, num_epochs, tmp_path):
    fields = {**FIELDS, "num_epochs": num_epochs, "cache": cache}
    fields["augment"] = "brightness=1"
    iterator = iter(input_fn(folder, **fields))
    for _ in range(STEPS.integers(1, 6)):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "saved"))
    # Positions are saved, neither the split in memory nor batches under way.
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) < 10_000
    wanted = [next(iterator) for _ in range(3)]
    restored = iter(input_fn(folder, **fields))
    tf.train.Checkpoint(iterator=restored).restore(path).assert_consumed()
    for batch in wanted:
        _same(next(restored), batch)


@pytest.mark.parametrize("cache", ["none", "auto"])
def test_a_saved_pass_goes_on_and_so_do_the_epochs(folder, cache, tmp_path):
    fields = {**FIELDS, "num_epochs": 1, "cache": cache}
    data = input_fn(folder, **fields)
    assert len(list(data)) == 3
    iterator = iter(data)  # of the second epoch
    next(iterator)
    saved = tf.train.Checkpoint(iterator=iterator, epoch=data.tfdicom_epoch)
    path = saved.save(str(tmp_path / "saved"))
    wanted = [[_keys(batch) for batch in one] for one in (iterator, data)]
    again = input_fn(folder, **fields)
    restored = iter(again)
    saved = tf.train.Checkpoint(iterator=restored, epoch=again.tfdicom_epoch)
    saved.restore(path).assert_consumed()
    assert [[_keys(batch) for batch in one] for one in (restored, again)] == wanted


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
