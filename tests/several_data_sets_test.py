"""Several data sets read together, from their folders to finished batches."""

import collections
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom import announcements
from tfdicom.augment.presets import AugmentOptions
from tfdicom.input_pipeline import input_fn
from tfdicom.manifest import load_manifest

pytestmark = pytest.mark.long

HEART, CHEST = ("inner", "outer"), ("rv", "outer", "LV")
# The channels that are asked for, and their places in each of the data sets.
CLASSES, CLASS_MAP = "outer;inner;rv", "inner=LV"
PLACES = {"heart": (1, 0, None), "chest": (1, 2, 0)}
KEY = {"identity_key": "k"}


def _frames(count, annotated, **fields):
    """Frames whose masks are empty in every third one."""
    empty = np.zeros((len(annotated), *fields.get("shape", (12, 16, 1))[:2]), bool)
    return [
        synthetic.Frame(
            annotated=annotated, masks=empty if n % 3 == 2 else None, **fields
        )
        for n in range(count)
    ]


def _write(root, *, shapes=((12, 16, 1),) * 2, options=KEY, **fields):
    """Two data sets, of 7 and 5 examples in train; returns folders and examples."""
    patients = {
        "heart": {"a": _frames(4, "11", shape=shapes[0]), "b": _frames(3, "11")},
        "chest": {
            "c": _frames(3, "111", shape=shapes[1]),
            "d": _frames(2, "110", shape=shapes[1]),
        },
    }
    examples = {
        name: synthetic.write_dataset(
            root / name,
            {
                "train": patients[name],
                "test": {f"test-{name}": _frames(1, "1" * count)},
            },
            classes=classes,
            first_number=100 * count,
            options=options,
            **fields,
        )["train"]
        for name, classes in (("heart", HEART), ("chest", CHEST))
        for count in [len(classes)]
    }
    return [root / name for name in examples], examples


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("several"))


def _data(folders, **fields):
    fields = {"unannotated": "ignore", "classes": CLASSES, **fields}
    fields = {"class_map": CLASS_MAP, "jit_compile": False, **fields}
    return input_fn(folders, with_info=True, **fields)


def _gathered(batches):
    """Keys, images and masks of the batches of a pass."""
    keys = [key.decode() for batch in batches for key in batch[-1]["key"]]
    images, masks = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
    return keys, images, masks


def _read(folders, **fields):
    return _gathered(list(_data(folders, **fields).as_numpy_iterator()))


def _places(examples):
    return {
        one.key: (one, PLACES[name]) for name, some in examples.items() for one in some
    }


def _expected_mask(example, places, unknown=255):
    planes = [
        np.full(example.image.shape[:2], unknown, np.uint8)
        if place is None or not example.annotated[place]
        else example.masks[place].astype(np.uint8)
        for place in places
    ]
    return np.stack(planes, axis=-1)


def _expected_image(example):
    mean, deviation = example.series_statistics[:2]
    values = example.image * example.rescale_slope + example.rescale_intercept
    return (values - mean) / deviation


def _keys_of(examples, *names):
    return [one.key for name in names for one in examples[name]]


# --- Which examples, and what they show ---------------------------------------------


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_each_example_shows_its_own_classes(data_sets, cache):
    folders, examples = data_sets
    keys, images, masks = _read(folders, cache=cache, training=False, batch_size=5)
    assert keys == _keys_of(examples, "heart", "chest")
    by_key = _places(examples)
    for key, image, mask in zip(keys, images, masks, strict=True):
        np.testing.assert_allclose(image, _expected_image(by_key[key][0]), atol=1e-5)
        np.testing.assert_array_equal(mask, _expected_mask(*by_key[key]))


def test_data_sets_may_be_of_different_sizes(tmp_path):
    folders, examples = _write(tmp_path, shapes=((10, 9, 1), (12, 16, 1)))
    keys, images, masks = _read(folders, image_size="20,16", batch_size=5)
    assert sorted(keys) == sorted(_keys_of(examples, "heart", "chest"))
    by_key = _places(examples)
    for key, image, mask in zip(keys, images, masks, strict=True):
        example, places = by_key[key]
        rows, columns = example.image.shape[:2]
        top, left = (20 - rows) // 2, (16 - columns) // 2
        window = np.s_[top : top + rows, left : left + columns]
        np.testing.assert_allclose(image[window], _expected_image(example), atol=1e-5)
        np.testing.assert_array_equal(mask[window], _expected_mask(example, places))


def test_a_class_that_one_lacks_has_no_weight_there(data_sets):
    folders, examples = data_sets
    data = _data(folders, unannotated="weight", training=False, batch_size=12)
    ((_, masks, weights, info),) = data.as_numpy_iterator()
    by_key = _places(examples)
    for n, key in enumerate(info["key"]):
        example, places = by_key[key.decode()]
        expected = _expected_mask(example, places, unknown=0)
        for channel, (name, place) in enumerate(
            zip(CLASSES.split(";"), places, strict=True)
        ):
            known = place is not None and example.annotated[place]
            assert weights[name][n, 0, 0] == known
            np.testing.assert_array_equal(
                masks[name][n, ..., 0], expected[..., channel]
            )


def test_classes_that_all_have_are_read_by_default_rules(data_sets):
    folders, examples = data_sets
    keys, _, masks = _read(folders, unannotated="drop", classes="inner", batch_size=12)
    # Two of the second data set were not annotated for it.
    assert sorted(keys) == sorted(_keys_of(examples, "heart", "chest")[:10])
    by_key = _places(examples)
    for key, mask in zip(keys, masks, strict=True):
        example, places = by_key[key]
        np.testing.assert_array_equal(mask, _expected_mask(example, places[1:2]))


def test_of_one_order_of_classes_too(tmp_path):
    frames = synthetic.frames(3)
    written = [
        synthetic.write_dataset(
            tmp_path / name, {"train": {name: frames}}, first_number=n, options=KEY
        )["train"]
        for n, name in ((0, "a"), (10, "b"))
    ]
    keys, _, masks = _gathered(
        list(
            input_fn(
                [tmp_path / "a", str(tmp_path / "b")], with_info=True, jit_compile=False
            ).as_numpy_iterator()
        )
    )
    by_key = {one.key: one for some in written for one in some}
    assert sorted(keys) == sorted(by_key)
    for key, mask in zip(keys, masks, strict=True):
        np.testing.assert_array_equal(mask, by_key[key].masks.transpose(1, 2, 0))


def test_crops_are_about_the_foreground_of_what_is_read(tmp_path):
    """One pixel of each class, far from the others; rv is not read, one lacks la."""
    at = {"inner": (16, 14), "LV": (26, 7), "outer": (6, 25), "rv": (25, 26)}
    at["la"] = (27, 17)
    folders, expected = [], {}
    for name, classes in (("heart", HEART), ("chest", (*CHEST, "la"))):
        masks = np.zeros((len(classes), 32, 32), bool)
        for place, one in enumerate(classes):
            masks[(place, *at[one])] = True
        frame = synthetic.Frame(
            shape=(32, 32, 1), masks=masks, annotated="1" * len(classes)
        )
        folders.append(tmp_path / name)
        synthetic.write_dataset(
            folders[-1],
            {"train": {name: [frame] * 10}},
            classes=classes,
            first_number=100 * len(classes),
            options=KEY,
        )
        expected[name] = {at[one] for one in classes if one != "rv"}
    augment = AugmentOptions(foreground_crop=1.0)
    fields = {"classes": "outer;inner;la", "augment": augment, "image_size": 9}
    data = _data(folders, num_epochs=4, **fields)
    seen = collections.defaultdict(set)
    for _, masks, info in data.as_numpy_iterator():
        for mask, patient, matrix in zip(
            masks, info["patient"], info["matrix"], strict=True
        ):
            ((row, column, _),) = np.argwhere(mask == 1)  # one, and not that of rv
            source = np.rint(matrix @ (column, row, 1)).astype(int)
            seen[patient.decode()].add((source[1], source[0]))
    assert seen == expected


# --- In which shares ----------------------------------------------------------------


def _epochs(folders, count=2, **fields):
    data = _data(folders, **fields)
    return [list(data.as_numpy_iterator()) for _ in range(count)]


def test_without_weights_every_example_comes_once(data_sets):
    folders, examples = data_sets
    orders = [_gathered(batches)[0] for batches in _epochs(folders, batch_size=5)]
    everything = sorted(_keys_of(examples, "heart", "chest"))
    assert [sorted(order) for order in orders] == [everything] * 2
    assert orders[0] != orders[1]


def test_weights_are_the_shares_of_an_epoch_and_of_each_batch(data_sets):
    folders, examples = data_sets
    heart = set(_keys_of(examples, "heart"))
    by_key = _places(examples)
    for batches in _epochs(folders, weights="0.25,0.75", batch_size=4, cache="none"):
        shares = [
            sum(key.decode() in heart for key in batch[2]["key"]) for batch in batches
        ]
        assert shares == [1, 1, 1]  # of 4, in an epoch of 12
        keys, images, masks = _gathered(batches)
        counts = collections.Counter(keys)
        chest = _keys_of(examples, "chest")
        assert sorted(counts[key] for key in chest) == [1, 2, 2, 2, 2]
        assert max(counts[key] for key in heart) == 1
        for key, image, mask in zip(keys, images, masks, strict=True):
            example, places = by_key[key]
            np.testing.assert_allclose(image, _expected_image(example), atol=1e-5)
            np.testing.assert_array_equal(mask, _expected_mask(example, places))


def test_positive_examples_are_in_each_batch(data_sets):
    folders, examples = data_sets
    by_key = _places(examples)
    positive = {
        key
        for key, (one, places) in by_key.items()
        if one.masks[[place for place in places if place is not None]].any()
    }
    assert len(positive) == 9  # of 12
    for batches in _epochs(folders, positive_fraction=0.5, batch_size=4):
        for _, masks, info in batches:
            shown = [key.decode() in positive for key in info["key"]]
            assert sum(shown) == 2
            assert [(mask == 1).any() for mask in masks] == shown


def test_both_at_once(data_sets):
    folders, examples = data_sets
    heart = set(_keys_of(examples, "heart"))
    fields = {"weights": [1, 1], "positive_fraction": 1 / 3}
    (batches,) = _epochs(folders, 1, batch_size=6, **fields)
    counts = collections.Counter()
    for _, masks, info in batches:
        shown = [(mask == 1).any() for mask in masks]
        assert sum(shown) == 2
        counts.update(
            (key.decode() in heart, one)
            for key, one in zip(info["key"], shown, strict=True)
        )
    assert counts == {
        (True, True): 2,
        (True, False): 4,
        (False, True): 2,
        (False, False): 4,
    }


@pytest.mark.slow
def test_an_example_that_comes_again_looks_otherwise(data_sets):
    folders, examples = data_sets
    fields = {"augment": AugmentOptions(brightness=0.5), "batch_size": 5}
    weighed = {"weights": "0.05,0.95", **fields}
    (batches,), (again,) = (_epochs(folders, 1, **weighed) for _ in range(2))
    keys, images, _ = _gathered(batches)
    np.testing.assert_array_equal(images, _gathered(again)[1])
    looks = collections.defaultdict(list)
    for key, image in zip(keys, images, strict=True):
        looks[key].append(image)
    assert sorted(map(len, looks.values())) == [1, 2, 2, 2, 2, 3]
    for several in looks.values():
        for n, image in enumerate(several):
            for other in several[:n]:
                assert abs(image - other).max() > 0.01
    # The first time as it would have looked without weights.
    (plain,) = _epochs(folders, 1, **fields)
    for key, image in zip(*_gathered(plain)[:2], strict=True):
        if key in looks:
            np.testing.assert_allclose(looks[key][0], image, atol=1e-5)


@pytest.mark.slow
def test_weights_go_on_from_any_step(data_sets):
    folders, _ = data_sets
    fields = {"weights": "0.3,0.7", "num_epochs": 3, "batch_size": 5, "cache": "none"}
    whole, rest = _read(folders, **fields)[0], _read(folders, start_step=4, **fields)[0]
    assert len(whole) == 36
    assert rest == whole[20:]


def test_without_training_weights_change_nothing(data_sets):
    folders, examples = data_sets
    fields = {"weights": "0.1,0.9", "positive_fraction": 0.5, "training": False}
    keys, _, _ = _read(folders, **fields)
    assert keys == _keys_of(examples, "heart", "chest")


@pytest.mark.slow
def test_a_graph_gives_the_same(data_sets):
    folders, _ = data_sets
    fields = {"weights": "0.3,0.7", "positive_fraction": 0.5, "num_epochs": 2}
    keys, images, masks = _read(folders, **fields)
    with tf.Graph().as_default():
        data = _data(folders, **fields)
        element = tf.compat.v1.data.make_one_shot_iterator(data).get_next()
        with tf.compat.v1.Session() as session:
            batches = [session.run(element) for _ in range(3)]
    found = _gathered(batches)
    assert found[0] == keys
    np.testing.assert_array_equal(found[1], images)
    np.testing.assert_array_equal(found[2], masks)


# --- What does not go together, and what cannot be told -----------------------------


def test_a_patient_of_two_splits_is_refused(tmp_path):
    frames = synthetic.frames(2)
    for name, splits in (
        ("a", {"train": {"p": frames}, "test": {"q": frames}}),
        ("b", {"train": {"q": frames}, "test": {"r": frames}}),
    ):
        synthetic.write_dataset(tmp_path / name, splits, options=KEY)
    folders = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(
        ValueError, match=rf"{folders[1]}, split train, .* {folders[0]}"
    ):
        input_fn(folders)
    with pytest.raises(ValueError, match=r"split test, are in .*: q \(train\)"):
        input_fn(folders, "test")
    input_fn(folders, "train+test")  # one set of all


def test_different_pseudonyms_are_told(tmp_path, capfd):
    announcements.say_once.cache_clear()
    for name in ("a", "b"):
        patients = {"train": {name: synthetic.frames(1)}}
        options = {"identity_key": name}
        synthetic.write_dataset(tmp_path / name, patients, options=options)
    input_fn([tmp_path / "a", tmp_path / "b"])
    assert "split train: the pseudonyms of these data sets" in capfd.readouterr().err


def test_absent_classes_are_told(tmp_path, capfd):
    folders, _ = _write(tmp_path)
    _data(folders)
    said = capfd.readouterr().err
    assert f"{folders[0]} has no class rv: read as not annotated there" in said
    assert f"{folders[1]} has no class" not in said


def test_ct_takes_the_figures_of_both(tmp_path):
    written, folders = [], [tmp_path / "a", tmp_path / "b"]
    for n, folder in enumerate(folders):
        frames = synthetic.frames(3 + n, modality="CT", slope=1.0 + n, intercept=-99.0)
        written += synthetic.write_dataset(
            folder, {"train": {str(n): frames}}, first_number=9 * n, options=KEY
        )["train"]
    values = {one.key: one.image * one.rescale_slope - 99.0 for one in written}
    inside = [values[one.key][one.masks.any(axis=0)] for one in written]
    counts = [sum(map(len, inside[:3])), sum(map(len, inside[3:]))]
    ends = [
        load_manifest(folder).splits["train"].intensities["foreground"].percentiles
        for folder in folders
    ]
    low, high = (
        np.average([end[place] for end in ends], weights=counts) for place in (0, -1)
    )
    inside = np.concatenate(inside)
    data = input_fn(folders, with_info=True, jit_compile=False)
    keys, images, _ = _gathered(list(data.as_numpy_iterator()))
    assert sorted(keys) == sorted(values)
    for key, image in zip(keys, images, strict=True):
        expected = (np.clip(values[key], low, high) - inside.mean()) / inside.std()
        np.testing.assert_allclose(image, expected, atol=1e-4)


def test_damage_is_skipped_in_any_of_them(tmp_path, capfd):
    folders, examples = _write(tmp_path)
    shard = folders[1] / "train-00000-of-00002.tfrecord"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    keys, _, masks = _read(folders, on_corrupt="skip", cache="none")
    lost = examples["chest"][2].key
    everything = _keys_of(examples, "heart", "chest")
    assert sorted(keys) == sorted(key for key in everything if key != lost)
    assert f"1 damaged records left out: {shard}, record 2" in capfd.readouterr().err
    by_key = _places(examples)
    for key, mask in zip(keys, masks, strict=True):
        np.testing.assert_array_equal(mask, _expected_mask(*by_key[key]))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="(?s)is damaged.*00000-of"
    ):
        _read(folders, cache="none")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weights": "1,1,1"}, "weights='1,1,1': 3 numbers for 2 data sets"),
        (
            {"unannotated": "drop"},
            "heart has no class 'rv': with unannotated='drop' none of its examples",
        ),
        ({"classes": "la", "class_map": None}, "no class 'la' in any data set; they"),
        ({"class_map": "rv=LV"}, "one data set has rv and LV, which are both 'rv'"),
    ],
)
def test_errors_come_at_the_call(data_sets, fields, message):
    folders, _ = data_sets
    with pytest.raises(ValueError, match=message):
        _data(folders, **fields)


def test_data_sets_are_named_once_and_agree(data_sets, tmp_path):
    folders, _ = data_sets
    for wrong in ([], [folders[0], str(folders[0])]):
        with pytest.raises(ValueError, match="name each data set once"):
            input_fn(wrong)
    for shape, compression, message in (
        ((12, 16, 1), "zlib", r"compressed differently \(none, zlib\); convert them"),
        ((12, 20, 1), "none", r"image sizes differ \(12x16, 12x20\): choose image_"),
        ((12, 16, 3), "none", r"images of \[1, 3\] samples per pixel are mixed"),
    ):
        patients = {"train": {"other": [synthetic.Frame(shape=shape)]}}
        fields = {"compression": compression, "options": KEY}
        synthetic.write_dataset(tmp_path, patients, **fields)
        with pytest.raises(ValueError, match=message):
            input_fn([folders[0], tmp_path])


def test_an_empty_group_is_named(tmp_path):
    frame = synthetic.Frame(masks=np.zeros((2, 12, 16), bool))
    synthetic.write_dataset(tmp_path, {"train": {"a": [frame] * 3}})
    message = "^positive_fraction=0.5: there is no example with inner or outer in the"
    with pytest.raises(ValueError, match=message):
        input_fn(tmp_path, positive_fraction=0.5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
