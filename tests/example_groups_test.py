import dataclasses
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import example_groups
from tfdicom.example_groups import Group, arrangement
from tfdicom.example_table import ExampleTable
from tfdicom.input_options import InputOptions
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    synthetic.write_dataset(folder, {"train": {"a": synthetic.frames(1)}}, shards=1)
    return load_manifest(folder)


def _table(data_set: str, present: str) -> ExampleTable:
    """One digit for each example: its data set; 1 positive, 0 negative, - neither."""
    count = len(data_set)
    zeros = np.zeros(count, np.int64)
    return ExampleTable(
        paths=("a",),
        shard=zeros,
        number=np.arange(count),
        offset=zeros,
        data_set=np.array(list(data_set), np.int64),
        present=np.array(list(present)) == "1",
        absent=np.array(list(present)) == "0",
        keys=np.array([b"key"] * count),
    )


def _groups(manifest, table, *, training=True, **fields):
    plan = plan_reading(manifest, "train", InputOptions(training=training))
    # The weights are of several data sets, the plan is of one.
    plan = dataclasses.replace(plan, options=InputOptions(**fields))
    return example_groups.example_groups(table, plan)


def _counts(groups) -> list[tuple[list[int], int]]:
    return [(one.places.tolist(), one.draws) for one in groups]


TABLE = _table("0000000111", "0100010011")
EVERYTHING = [(list(range(10)), 10)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, EVERYTHING),
        ({"weights": "0.7,0.3"}, [(list(range(7)), 7), ([7, 8, 9], 3)]),
        ({"weights": [1, 1]}, [(list(range(7)), 5), ([7, 8, 9], 5)]),
        # 3.33 and 6.67: the larger remainder gets the one that is left.
        ({"weights": "1,2"}, [(list(range(7)), 3), ([7, 8, 9], 7)]),
        (
            {"positive_fraction": 0.5},
            [([1, 5, 8, 9], 5), ([0, 2, 3, 4, 6, 7], 5)],
        ),
        ({"positive_fraction": 0.26}, [([1, 5, 8, 9], 3), ([0, 2, 3, 4, 6, 7], 7)]),
        ({"positive_fraction": 1.0}, [([1, 5, 8, 9], 10)]),
        ({"positive_fraction": 0.0}, [([0, 2, 3, 4, 6, 7], 10)]),
        # 4.8, 3.2, 1.2, 0.8
        (
            {"weights": "0.8,0.2", "positive_fraction": 0.6},
            [([1, 5], 5), ([0, 2, 3, 4, 6], 3), ([8, 9], 1), ([7], 1)],
        ),
    ],
)
def test_shares_become_draws(manifest, fields, expected):
    groups = _groups(manifest, TABLE, **fields)
    assert _counts(groups) == expected
    assert sum(one.draws for one in groups) == len(TABLE)


def test_groups_know_whether_they_are_positive(manifest):
    fields = {"weights": "1,1", "positive_fraction": 0.5}
    found = [one.positive for one in _groups(manifest, TABLE, **fields)]
    assert found == [True, False, True, False]
    assert _groups(manifest, TABLE, weights="1,1")[0].positive is None


@pytest.mark.parametrize("fields", [{"weights": "9,1"}, {"positive_fraction": 0.9}])
def test_without_training_every_example_comes_once(manifest, fields):
    assert _counts(_groups(manifest, TABLE, training=False, **fields)) == EVERYTHING


def test_draws_are_within_one_of_their_share_and_add_up():
    random = np.random.default_rng(0)
    for _ in range(500):
        total = int(random.integers(1, 5000))
        shares = random.random(random.integers(1, 7)) ** 3
        shares /= shares.sum()
        draws = np.array(example_groups._shared_out(total, shares.tolist()))
        assert draws.sum() == total
        assert (abs(draws - shares * total) < 1).all() and (draws >= 0).all()
        # Nobody who got one more had a smaller remainder than one who did not.
        remainder = shares * total - np.floor(shares * total)
        more = draws > shares * total
        if more.any() and not more.all():
            assert remainder[more].min() >= remainder[~more].max() - 1e-6


def test_sums_that_are_whole_up_to_rounding_are_whole():
    # 0.07 * 100 is 7.000000000000001, 0.29 * 100 is 28.999999999999996.
    assert example_groups._shared_out(100, [0.07, 0.29, 0.64]) == [7, 29, 64]


@pytest.mark.parametrize(
    ("table", "fields", "message"),
    [
        (
            _table("0000", "0101"),
            {"weights": "0.7,0.3"},
            r"^weights='0.7,0.3': there is no example in data set 2 in the shards",
        ),
        (
            _table("0101", "0000"),
            {"positive_fraction": 0.5},
            r"^positive_fraction=0.5: there is no example with inner or outer in the",
        ),
        (
            _table("0101", "1111"),
            {"positive_fraction": 0.5},
            "there is no example without inner or outer in the split",
        ),
        (
            _table("00110011", "01110111"),
            {"positive_fraction": 0.5, "weights": [1, 1]},
            r"^weights=\[1, 1\], positive_fraction=0.5: there is no example without "
            "inner or outer in data set 2 in the shards",
        ),
    ],
)
def test_an_empty_group_is_named(manifest, table, fields, message):
    with pytest.raises(ValueError, match=message):
        _groups(manifest, table, **fields)


def test_an_empty_group_of_which_none_is_wanted_is_none(manifest):
    table = _table("0101", "1111")
    found = _groups(manifest, table, positive_fraction=1.0)
    assert _counts(found) == [([0, 1, 2, 3], 4)]


def _in_windows(is_member: np.ndarray, size: int) -> tuple[int, int]:
    """The fewest and the most members in any so many neighbours."""
    sums = np.cumsum([0, *is_member])
    counts = sums[size:] - sums[:-size]
    return counts.min(), counts.max()


def _arranged(draws, positive=None):
    """Which group each draw of an epoch is of."""
    groups = [
        Group(np.arange(3), count, None if positive is None else positive[number])
        for number, count in enumerate(draws)
    ]
    order = arrangement(groups)
    np.testing.assert_array_equal(np.sort(order), np.arange(sum(draws)))
    member = np.repeat(np.arange(len(draws)), draws)[order]
    for number in range(len(draws)):  # each group's draws stay in their order
        assert (np.diff(order[member == number]) == 1).all()
    return member


@pytest.mark.parametrize(
    "draws", [(5, 5), (1, 9), (7, 6), (13, 29), (100, 1), (64, 192), (1, 1)]
)
def test_any_stretch_has_the_shares_of_two_groups(draws):
    member, total = _arranged(draws), sum(draws)
    for size in range(1, total + 1):
        share = draws[0] * size / total
        fewest, most = _in_windows(member == 0, size)
        assert np.floor(share) <= fewest <= most <= np.ceil(share), (size, share)
        # From the beginning on: neither group comes early.
        assert abs((member[:size] == 0).sum() - share) <= 0.5 + 1e-9


@pytest.mark.parametrize("draws", [(5, 3, 1, 1), (40, 17, 3, 29), (8, 8, 8, 8)])
def test_any_stretch_has_its_positive_share_of_several_data_sets(draws):
    member, total = _arranged(draws, [True, False, True, False]), sum(draws)
    positive = draws[0] + draws[2]
    for size in range(1, total + 1):
        share = positive * size / total
        fewest, most = _in_windows(member % 2 == 0, size)
        assert np.floor(share) <= fewest <= most <= np.ceil(share), (size, share)
    for kind in (0, 1):  # and among the positive, and the others, the data sets'
        of_kind = member[member % 2 == kind]
        for size in range(1, len(of_kind) + 1):
            share = draws[kind] * size / len(of_kind)
            fewest, most = _in_windows(of_kind == kind, size)
            assert np.floor(share) <= fewest <= most <= np.ceil(share)


@pytest.mark.parametrize("draws", [(5, 3, 1), (40, 17, 3, 29), (1, 2, 3, 4, 5)])
def test_any_stretch_has_nearly_the_shares_of_many_groups(draws):
    member, total = _arranged(draws), sum(draws)
    for number, count in enumerate(draws):
        # Rounding moves each group by half a draw at most, at either end.
        bound = 1 + count / total * (len(draws) - 2) + 1e-9
        for size in range(1, total + 1):
            fewest, most = _in_windows(member == number, size)
            assert most - count * size / total <= bound
            assert count * size / total - fewest <= bound


def test_what_is_neither_is_in_no_balanced_epoch(manifest):
    table = _table("0000000", "1-00--1")
    groups = _groups(manifest, table, positive_fraction=0.5)
    assert _counts(groups) == [([0, 6], 4), ([2, 3], 3)]
    plan = plan_reading(manifest, "train", InputOptions(positive_fraction=0.5))
    (warning,) = example_groups.without_neither(plan, table).warnings
    assert "positive_fraction is without 3 examples that show none" in warning
    plan = plan_reading(manifest, "train", InputOptions())
    assert example_groups.without_neither(plan, table).warnings == ()
    assert _counts(_groups(manifest, table)) == [(list(range(7)), 7)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"positive_fraction": 0.01}, "positive_fraction=0.01: .* those with .* less"),
        ({"positive_fraction": 0.99}, "those without .* is less than one"),
        ({"weights": "0.99,0.01"}, "those in data set 2 is less than one"),
    ],
)
def test_a_share_of_less_than_one_example(manifest, fields, message):
    with pytest.raises(ValueError, match=message):
        _groups(manifest, _table("0000011111", "0101010101"), **fields)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
