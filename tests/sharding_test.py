import hashlib
import random
import sys

import pytest

from tfdicom import sharding


def pseudonym(number):
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def sizes_of(count):
    rng = random.Random(count)
    return {pseudonym(n): rng.randint(1, 1000) for n in range(count)}


def shard_of(table, patient):
    return table[sharding.virtual_bucket(patient)]


@pytest.mark.parametrize(
    ("patients", "asked", "shards"),
    [(1, 1, 1), (3, 8, 3), (40, 1, 1), (40, 7, 7), (500, 16, 16)],
)
def test_every_shard_gets_someone_and_their_sizes_are_alike(patients, asked, shards):
    sizes = sizes_of(patients)
    table = sharding.fill_shards(sizes, asked)
    load = dict.fromkeys(range(shards), 0)
    for patient, size in sizes.items():
        load[shard_of(table, patient)] += size
    assert min(load.values()) > 0
    # The emptiest shard gets the next bucket: none is ahead by more than one bucket.
    assert max(load.values()) - min(load.values()) <= 2 * max(sizes.values())


def test_order_of_the_patients_does_not_matter():
    sizes = sizes_of(30)
    shuffled = dict(random.Random(1).sample(list(sizes.items()), 30))
    assert list(sharding.fill_shards(sizes, 4)) == list(
        sharding.fill_shards(shuffled, 4)
    )
    assert sharding.fill_shards(sizes, 4) == sharding.fill_shards(shuffled, 4)


def test_patients_of_one_bucket_stay_together():
    first = "00000001" + "a" * 24
    second = f"{1 + sharding.VIRTUAL_BUCKETS:08x}" + "b" * 24
    assert sharding.virtual_bucket(first) == sharding.virtual_bucket(second) == 1
    assert sharding.fill_shards({first: 5, second: 7}, 2) == {1: 0}


def test_buckets_are_used_evenly():
    buckets = {sharding.virtual_bucket(pseudonym(n)) for n in range(1000)}
    assert min(buckets) >= 0 and max(buckets) < sharding.VIRTUAL_BUCKETS
    # 1000 balls in 4096 bins fill 887 of them on average, deviation 10.
    assert 837 < len(buckets) < 937


def test_buckets_that_have_a_shard_keep_it():
    sizes = sizes_of(40)
    first = {one: sizes[one] for one in list(sizes)[:25]}
    before = sharding.fill_shards(first, 4)
    after = sharding.fill_shards(sizes, 4, before)
    assert before.items() <= after.items()
    assert {sharding.virtual_bucket(one) for one in sizes} == set(after)
    load = dict.fromkeys(range(4), 0)
    for patient, size in sizes.items():
        load[shard_of(after, patient)] += size
    assert max(load.values()) - min(load.values()) <= 2 * max(sizes.values())


def test_who_comes_one_by_one_moves_nobody():
    sizes = sizes_of(30)
    table, known = {}, {}
    for patient, size in sizes.items():
        known[patient] = size
        shards = sharding.fill_shards(known, 3, table or None)
        assert table.items() <= shards.items()
        table = shards
    assert set(table.values()) == {0, 1, 2}


def test_shard_of_patients_who_are_gone_stays():
    # Their bucket keeps its shard, which may be empty now; the count does not change.
    sizes = sizes_of(3)
    before = sharding.fill_shards(sizes, 3)
    gone, *others = sizes
    after = sharding.fill_shards({one: sizes[one] for one in others}, 3, before)
    assert after == before
    newcomer = {pseudonym(77): 10, **{one: sizes[one] for one in others}}
    after = sharding.fill_shards(newcomer, 3, before)
    assert shard_of(after, pseudonym(77)) == shard_of(before, gone)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
