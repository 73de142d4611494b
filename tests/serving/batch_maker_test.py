"""A step asked for alone is the batch that ``input_fn`` gives at that step."""

import itertools
import sys

import numpy as np
import pytest

import tfdicom
from tests import served_apps, synthetic
from tfdicom.input_options import InputOptions
from tfdicom.serving import batch_maker
from tfdicom.serving.errors import ApiError
from tfdicom.serving.room import Room
from tfdicom.serving.served import open_data_set

pytestmark = pytest.mark.long


def served(folder):
    return open_data_set(str(folder))


def maker_of(one, split, options):
    return batch_maker.BatchMakers().get(one, split, options)


def flat(element):
    """The arrays of an element in its order; text as fixed bytes."""
    if isinstance(element, dict):
        return [one for part in element.values() for one in flat(part)]
    if isinstance(element, tuple):
        return [one for part in element for one in flat(part)]
    if element.dtype == object:
        return [np.array(element.tolist(), "S")]
    return [element]


def by_input_fn(folder, split, options, count):
    """Batches, pass after pass."""
    dataset = tfdicom.input_fn(folder, split, options=options)
    passes = (dataset.as_numpy_iterator() for _ in itertools.count())
    return list(itertools.islice(itertools.chain.from_iterable(passes), count))


def assert_same(folder, split, options, count):
    one = served(folder)
    maker = maker_of(one, split, options)
    wanted = by_input_fn(folder, split, options, count)
    for step in np.random.default_rng(0).permutation(count):  # in any order
        found = maker.batch(options.seed, int(step))
        parts = flat(wanted[step])
        assert len(found.arrays) == len(parts)
        for (name, array), part in zip(found.arrays.items(), parts, strict=True):
            assert array.dtype == part.dtype, name
            np.testing.assert_array_equal(array, part, f"{name}, step {step}")
    return maker


@pytest.fixture(scope="module")
def little(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batches") / "little"
    served_apps.write(folder)
    return folder


@pytest.mark.parametrize(
    ("split", "options", "count"),
    [
        ("train", {}, 7),
        ("test", {}, 3),
        ("train+test", {"training": True, "seed": 3}, 9),
        ("train", {"seed": 2**40 + 1, "drop_remainder": True}, 5),
        ("train", {"num_epochs": None, "seed": 5, "unannotated": "ignore"}, 9),
        ("train", {"unannotated": "weight", "with_info": True}, 4),
        ("train", {"label_form": "label_map", "class_weights": "inverse"}, 3),
        ("train", {"positive_fraction": 1.0, "unannotated": "ignore"}, 5),
        ("train", {"labels": "diagnosis", "classes": "inner"}, 4),
        ("train", {"image_size": "8,20", "normalize": "min_max"}, 3),
    ],
    ids=str,
)
def test_batches_are_those_of_input_fn(little, split, options, count):
    assert_same(little, split, InputOptions(batch_size=2, **options), count)


def test_augmented_batches_are_those_of_input_fn(sunnybrook_dataset):
    options = InputOptions(batch_size=5, augment="standard", seed=7, image_size=96)
    maker = assert_same(sunnybrook_dataset, "train", options, 9)
    # Another seed wants no other graph.
    other = InputOptions(batch_size=5, augment="standard", seed=8, image_size=96)
    wanted = by_input_fn(sunnybrook_dataset, "train", other, 2)
    found = maker.batch(8, 1)
    np.testing.assert_array_equal(found.arrays["image"], wanted[1][0])
    np.testing.assert_array_equal(found.arrays["mask"], wanted[1][1])


@pytest.mark.slow
def test_all_changes_are_those_of_input_fn(sunnybrook_dataset):
    options = InputOptions(
        batch_size=4, augment="mr", num_epochs=None, unannotated="weight", seed=1
    )
    assert_same(sunnybrook_dataset, "train", options, 12)


def test_images_of_several_sizes(tmp_path):
    frames = [synthetic.Frame(shape=(10 + n, 20 - n, 1)) for n in range(5)]
    synthetic.write_dataset(tmp_path / "sizes", {"train": {"p": frames}})
    options = InputOptions(batch_size=2, image_size="12,18", augment="light")
    assert_same(tmp_path / "sizes", "train", options, 5)


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
def test_compressed_data_sets(tmp_path, compression):
    folder = tmp_path / compression
    served_apps.write(folder, compression=compression)
    assert_same(folder, "train", InputOptions(batch_size=3, cache="memory"), 4)


def test_what_a_batch_says_of_itself(little):
    maker = maker_of(served(little), "train", InputOptions(batch_size=3))
    found = maker.batch(0, 5)  # 4 examples have both classes
    assert (found.step, found.epoch) == (5, 2)
    assert (found.steps_per_epoch, found.examples_per_epoch) == (2, 4)
    assert len(found.arrays["image"]) == 1


def test_makers_are_kept_and_forgotten(little):
    one, makers = served(little), batch_maker.BatchMakers()
    first = makers.get(one, "train", InputOptions(seed=1))
    assert makers.get(one, "train", InputOptions(seed=2)) is first
    for size in range(2, 10):
        makers.get(one, "train", InputOptions(batch_size=size + 10))
    assert makers.get(one, "train", InputOptions(seed=1)) is not first


def test_what_is_refused_takes_no_room(little):
    room = Room(1)
    options = InputOptions(training=True, positive_fraction=0.5, classes="inner")
    with pytest.raises(ApiError, match="positive_fraction"):
        batch_maker.BatchMakers(room).get(served(little), "test", options)
    assert room._configurations == 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
