import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.epoch_order import epoch_order
from tfdicom.example_groups import Group, arrangement


def _whole(count: int) -> tuple[Group, ...]:
    return (Group(np.arange(count), count),)


# Places of two data sets, positive or not; some come again and again, some seldom.
GROUPS = (
    Group(np.array([2, 5, 6]), 10, True),
    Group(np.arange(10, 50), 17, False),
    Group(np.array([7]), 4, True),
    Group(np.array([0, 1, 3, 4]), 4, False),
)


def _order(groups, *, seed=0, epoch=0, shuffled=True):
    places, occurrences = epoch_order(
        groups, seed, tf.constant(epoch, tf.int64), shuffled=shuffled
    )
    assert places.dtype == occurrences.dtype == tf.int64
    return places.numpy(), occurrences.numpy()


@pytest.mark.parametrize("count", [1, 2, 13, 1000])
@pytest.mark.parametrize("epoch", [0, 1, 2**40])
def test_every_example_comes_once(count, epoch):
    places, occurrences = _order(_whole(count), epoch=epoch)
    np.testing.assert_array_equal(np.sort(places), np.arange(count))
    assert not occurrences.any()


def test_orders_differ_by_epoch_and_seed_and_come_again():
    fields = [(seed, epoch) for seed in (0, 1, 2**63 - 1) for epoch in range(20)]
    orders = {
        (seed, epoch): tuple(_order(_whole(50), seed=seed, epoch=epoch)[0])
        for seed, epoch in fields
    }
    assert len(set(orders.values())) == len(fields)
    for seed, epoch in fields[::7]:
        again = _order(_whole(50), seed=seed, epoch=epoch)[0]
        assert tuple(again) == orders[seed, epoch]


def test_an_order_does_not_depend_on_the_programs_seed():
    before = _order(GROUPS)
    tf.random.set_seed(7)
    try:
        np.testing.assert_array_equal(_order(GROUPS), before)
    finally:
        tf.random.set_seed(None)


def test_any_example_comes_at_any_place():
    epochs = tf.data.Dataset.range(2000).map(
        lambda epoch: epoch_order(_whole(6), 3, epoch, shuffled=True)[0]
    )
    orders = np.stack(list(epochs.as_numpy_iterator()))
    counts = np.stack([(orders == place).sum(axis=0) for place in range(6)])
    # Mean 333, deviation 17.
    assert 333 - 80 < counts.min() and counts.max() < 333 + 80
    # And which comes after which is free as well: 5 x 6 pairs, 5 neighbours each.
    pairs = np.bincount((orders[:, :-1] * 6 + orders[:, 1:]).ravel(), minlength=36)
    pairs = pairs.reshape(6, 6)
    assert not np.diag(pairs).any()
    others = pairs[~np.eye(6, dtype=bool)]
    assert 333 - 80 < others.min() and others.max() < 333 + 80


def _of_group(places, group):
    return np.isin(places, group.places)


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_draws_of_the_groups_add_up(epoch):
    places, _ = _order(GROUPS, epoch=epoch)
    assert len(places) == sum(group.draws for group in GROUPS)
    for group in GROUPS:
        assert _of_group(places, group).sum() == group.draws


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_each_turn_of_a_group_is_a_whole_permutation(epoch):
    places, occurrences = _order(GROUPS, epoch=epoch)
    for group in GROUPS:
        mine = _of_group(places, group)
        found, turns = places[mine], occurrences[mine]
        size = len(group.places)
        for turn in range(-(-group.draws // size)):
            part = found[turn * size : (turn + 1) * size]
            assert (turns[turn * size : (turn + 1) * size] == turn).all()
            assert len(set(part)) == len(part)
            if len(part) == size:
                assert set(part) == set(group.places)


def test_occurrences_count_how_often_an_example_came_before():
    places, occurrences = _order(GROUPS, epoch=3)
    for place in set(places):
        mine = occurrences[places == place]
        np.testing.assert_array_equal(mine, np.arange(len(mine)))


def test_turns_of_a_group_are_in_different_orders():
    places, _ = _order((Group(np.arange(20), 60),))
    first, second, third = (tuple(part) for part in np.split(places, 3))
    assert first != second != third != first


def test_groups_are_drawn_apart():
    groups = tuple(Group(np.arange(20), 20, positive) for positive in (True, False))
    places, _ = _order(groups)
    parts = [places[arrangement(groups) // 20 == number] for number in (0, 1)]
    assert set(parts[0]) == set(parts[1]) == set(range(20))
    assert tuple(parts[0]) != tuple(parts[1])


def test_of_a_group_with_few_draws_another_part_comes_each_epoch():
    seen = [
        set(_order(GROUPS, epoch=epoch)[0]) & set(range(10, 50)) for epoch in (0, 1)
    ]
    assert [len(one) for one in seen] == [17, 17]
    assert seen[0] != seen[1]
    everything = set()
    for epoch in range(20):  # none is left out for ever: (23 / 40) ** 20 is 1e-5
        everything |= set(_order(GROUPS, epoch=epoch)[0])
    assert everything == {place for group in GROUPS for place in group.places}


@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_any_batch_has_its_share_of_the_positive(epoch):
    places, _ = _order(GROUPS, epoch=epoch)
    positive = _of_group(places, GROUPS[0]) | _of_group(places, GROUPS[2])
    assert positive.sum() == 14  # of 35: two of five
    for start in range(len(places) - 5):
        assert positive[start : start + 5].sum() == 2


def test_not_shuffled_is_the_tables_order():
    for epoch in (0, 1):
        places, occurrences = _order(_whole(13), epoch=epoch, shuffled=False)
        np.testing.assert_array_equal(places, np.arange(13))
        assert not occurrences.any()


@pytest.mark.parametrize("groups", [_whole(13), GROUPS], ids=["one", "several"])
def test_a_dataset_and_a_graph_give_the_same(groups):
    def order(epoch):
        return epoch_order(groups, 5, epoch, shuffled=True)

    expected = [_order(groups, seed=5, epoch=epoch) for epoch in range(3)]
    mapped = list(tf.data.Dataset.range(3).map(order).as_numpy_iterator())
    np.testing.assert_array_equal(mapped, expected)
    with tf.Graph().as_default():
        data = tf.data.Dataset.range(3).map(order)
        element = tf.compat.v1.data.make_one_shot_iterator(data).get_next()
        with tf.compat.v1.Session() as session:
            found = [session.run(element) for _ in range(3)]
    np.testing.assert_array_equal(found, expected)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
