import sys
from types import SimpleNamespace

import pytest

from tests import synthetic
from tfdicom.example_table import shard_paths
from tfdicom.input_options import InputOptions
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    synthetic.write_dataset(
        folder,
        {
            "train": {
                "a": synthetic.frames(5),
                "b": synthetic.frames(3, annotated="10"),
                "c": synthetic.frames(4, annotated="01"),
            },
            "test": {"d": synthetic.frames(3)},
            "empty": {"e": synthetic.frames(2, annotated="00")},
        },
        shards=3,
    )
    return folder


def _plan(folder, split="train", *, params=None, input_context=None, **fields):
    options = InputOptions(**{"normalize": "none", **fields})
    plan = plan_reading(
        load_manifest(folder),
        split,
        options,
        params=params,
        input_context=input_context,
    )
    shard_paths([folder], plan)
    return plan


@pytest.mark.parametrize(
    ("fields", "examples", "left_out"),
    [
        ({}, 5, 7),
        ({"classes": "inner"}, 8, 4),
        ({"classes": "outer"}, 9, 3),
        ({"unannotated": "weight"}, 12, 0),
        ({"unannotated": "ignore", "classes": "outer"}, 12, 0),
    ],
)
def test_counts_what_is_annotated(folder, fields, examples, left_out):
    plan = _plan(folder, **fields)
    assert (plan.examples, plan.left_out) == (examples, left_out)


@pytest.mark.parametrize(
    ("fields", "batches"),
    [
        ({}, 1),
        ({"batch_size": 5}, 1),
        ({"batch_size": 4}, 2),
        ({"batch_size": 4, "drop_remainder": True}, 1),
        ({"batch_size": 4, "num_epochs": 3}, 4),
        ({"batch_size": 4, "num_epochs": 3, "drop_remainder": True}, 3),
        ({"num_epochs": None}, None),
        ({"num_epochs": 0}, None),
    ],
)
def test_counts_batches(folder, fields, batches):
    assert _plan(folder, **fields).batches == batches


def test_training_is_for_train_unless_said(folder):
    assert _plan(folder).training and not _plan(folder, "test").training
    assert not _plan(folder, "train+test").training
    assert _plan(folder, "train+test", training=True).training
    assert not _plan(folder, training=False).training
    assert _plan(folder, augment="standard").augmentation.moves
    assert not _plan(folder, "test", augment="standard").augmentation.moves


def test_splits_are_read_in_the_order_named(folder):
    files = [one.info.file for one in _plan(folder, "test+train").shards]
    assert files == ["test-00000-of-00003.tfrecord"] + [
        f"train-0000{i}-of-00003.tfrecord" for i in range(3)
    ]


def test_caches_what_fits_or_what_it_is_told(tmp_path):
    big = synthetic.frames(6, shape=(512, 512, 1))
    synthetic.write_dataset(tmp_path, {"train": {"a": big}})
    # A record has 0.56 MiB.
    for memory, cache, caches in (
        (4, "auto", True),
        (3, "auto", False),
        (3, "memory", True),
        (4, "none", False),
        (4, "folder", False),
    ):
        plan = _plan(tmp_path, cache_memory_mb=memory, cache=cache)
        assert plan.caches == caches
        assert plan.copies_to == ("folder" if cache == "folder" else None)


def _context(count, index, replicas=1):
    return SimpleNamespace(
        num_input_pipelines=count,
        input_pipeline_id=index,
        get_per_replica_batch_size=lambda size: size // replicas,
    )


def test_pipelines_share_the_shards(folder):
    plans = [
        _plan(folder, unannotated="ignore", input_context=_context(2, index, 4))
        for index in (0, 1)
    ]
    assert [len(plan.shards) for plan in plans] == [2, 1]
    first, second = ({one.info.file for one in plan.shards} for plan in plans)
    assert not first & second
    assert sum(plan.examples for plan in plans) == 12
    assert [plan.options.batch_size for plan in plans] == [2, 2]


def test_params_win(folder):
    assert _plan(folder, params={"batch_size": 3}).options.batch_size == 3
    assert _plan(folder, params={"rate": 0.1}).options.batch_size == 8
    with pytest.raises(ValueError, match="batch_size=0"):
        _plan(folder, params={"batch_size": 0})


@pytest.mark.parametrize(
    ("split", "fields", "message"),
    [
        ("valid", {}, "no split 'valid'; this data set has train, test, empty"),
        ("train+train", {}, "names a split twice"),
        ("train", {"classes": "rv"}, "no class 'rv'; this data set has inner, outer"),
        ("empty", {}, "'empty' has no example to read: of 2, each is not annotated"),
        (
            "train",
            {"input_context": _context(4, 0)},
            "'train' has 3 shards .* fewer than the 4 .*--num_shards=4",
        ),
        ("train", {"normalize": "zscore_dataset"}, None),
    ],
)
def test_says_what_is_wrong_and_known(folder, split, fields, message):
    if message is None:
        assert _plan(folder, split, **fields).rules["MR"].constants
        return
    with pytest.raises(ValueError, match=message):
        _plan(folder, split, **fields)


def test_says_where_no_data_set_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no data set"):
        _plan(tmp_path)


def _write(folder, *frames):
    synthetic.write_dataset(folder, {"train": {"a": list(frames)}}, shards=1)
    return folder / "train-00000-of-00001.tfrecord"


def test_missing_and_shortened_shards_are_named(tmp_path):
    shard = _write(tmp_path, synthetic.Frame())
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-5])
    message = f"train-00000-of-00001.tfrecord has {size - 5} bytes.* says {size}"
    with pytest.raises(ValueError, match=message):
        _plan(tmp_path)
    shard.unlink()
    with pytest.raises(FileNotFoundError, match="00001.tfrecord is missing"):
        _plan(tmp_path)


def test_differing_sizes_want_an_image_size(tmp_path):
    _write(tmp_path, synthetic.Frame(), synthetic.Frame(shape=(9, 20, 1)))
    with pytest.raises(ValueError, match=r"differ \(9x20, 12x16\): choose image_size"):
        _plan(tmp_path)
    plan = _plan(tmp_path, image_size="8,8")
    assert (plan.shape, plan.size, plan.uniform) == ((12, 20, 1), (8, 8), False)


def test_resampling_is_packed_unless_it_smooths(folder):
    fields = {"image_size": 8, "augment": "rotation=5"}
    assert not _plan(folder, image_size=8).warps
    for target, smooths in ((None, False), ("1.8", False), ("1.8,2", True)):
        for training in (False, True):
            plan = _plan(folder, target_spacing=target, training=training, **fields)
            assert (plan.smooths, plan.packed) == (smooths, not smooths)
            assert plan.warps == (training or target is not None)
            assert plan.crops == (not plan.warps)


def test_what_is_resampled_is_sampled_as_in_training(folder):
    ways = {
        "image_interpolation": "cubic",
        "mask_interpolation": "nearest",
        "edge": "reflect",
    }
    augment = "rotation=5," + ",".join("=".join(pair) for pair in ways.items())
    for training in (False, True):
        found = _plan(folder, augment=augment, training=training).augmentation
        assert {name: getattr(found, name) for name in ways} == ways
        assert found.moves == training


def test_a_padding_that_is_not_constant_is_sampled(folder):
    fields = {"unannotated": "ignore", "training": False, "augment": "edge=nearest"}
    assert _plan(folder, image_size="13,16", **fields).warps
    assert not _plan(folder, image_size="12,15", **fields).warps
    assert not _plan(folder, **fields).warps


def test_a_far_fill_does_not_share_a_word_with_the_pixels(folder):
    fields = {"unannotated": "ignore", "augment": "rotation=5"}
    assert _plan(folder, image_fill=-100, **fields).packed
    assert not _plan(folder, image_fill=-1000, **fields).packed


def test_grey_and_colour_do_not_mix(tmp_path):
    _write(tmp_path, synthetic.Frame(), synthetic.Frame(shape=(12, 16, 3)))
    with pytest.raises(ValueError, match=r"\[1, 3\] samples per pixel are mixed"):
        _plan(tmp_path, image_size=8)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
