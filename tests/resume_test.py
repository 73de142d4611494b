"""A reader that was broken off goes on exactly as it would have."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom.input_pipeline import input_fn

FIELDS = {"batch_size": 7, "jit_compile": False, "with_info": True}
STEPS = np.random.default_rng(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    patients = {"a": synthetic.frames(8), "b": synthetic.frames(9)}
    synthetic.write_dataset(folder, {"train": patients})
    return folder


def _keys(batch) -> tuple[bytes, ...]:
    return tuple(np.array(batch[2]["key"]).tolist())


@pytest.mark.parametrize("cache", ["none", "auto"])
@pytest.mark.parametrize("num_epochs", [1, 3, None])
def test_start_step_goes_on_as_if_it_had_been_read(folder, cache, num_epochs):
    fields = {**FIELDS, "num_epochs": num_epochs, "cache": cache}

    def first_batches(start, count):
        data = input_fn(folder, start_step=start, **fields)
        found = []
        while len(found) < count:  # a pass of one epoch is followed by the next
            found += [_keys(batch) for batch in data.take(count)]
            if num_epochs == 3:
                break
        return found[:count]

    whole = first_batches(0, 8)
    for start in STEPS.choice(np.arange(1, 7), 3, replace=False).tolist():
        assert first_batches(start, 8)[: 8 - start] == whole[start:]


@pytest.mark.parametrize("cache", ["none", "auto"])
@pytest.mark.parametrize("num_epochs", [4, None])
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
        found = next(restored)
        assert _keys(found) == _keys(batch)
        np.testing.assert_allclose(found[0], batch[0], atol=1e-5)
        np.testing.assert_array_equal(found[1], batch[1])


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
