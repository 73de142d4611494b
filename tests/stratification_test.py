import collections
import random
import statistics
import sys

import pytest

from tfdicom import split_sizes, splits
from tfdicom.stratification import stratify

FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}
FOLDS = {f"fold{number}": 0.2 for number in range(5)}


def draw(kind, number, seed):
    """Amounts of patients as such data sets have them."""
    random_ = random.Random(f"{kind} {number} {seed}")
    amounts = {}
    for at in range(number):
        mine = {random_.choices("abc", [6, 3, 1])[0]: 1}
        if kind == "classes":
            mine = {"large": random_.randint(8, 40)}
            if random_.random() < 0.5:
                mine["some"] = random_.randint(3, 20)
            if random_.random() < 0.15:
                mine["rare"] = random_.randint(1, 6)
        elif kind == "images":
            mine = {"inner": random_.randint(5, 60)}
        amounts[f"P{at}"] = mine
    return amounts


def imbalance(split_of, amounts):
    """Mean distance of a split's part of a label from its part of the patients."""
    sizes = collections.Counter(split_of.values())
    totals = collections.Counter()
    have = collections.defaultdict(collections.Counter)
    for patient, mine in amounts.items():
        totals.update(mine)
        have[split_of[patient]].update(mine)
    return statistics.mean(
        abs(have[name][label] / totals[label] - sizes[name] / len(amounts))
        for name in sizes
        for label in totals
    )


def by_chance(patients, places):
    names = [name for name, number in places.items() for _ in range(number)]
    return dict(zip(patients, names, strict=True))


@pytest.mark.parametrize("fractions", [FRACTIONS, FOLDS], ids=["splits", "folds"])
@pytest.mark.parametrize(
    ("kind", "number", "part"),
    [
        ("label", 20, 0.8),
        ("label", 100, 0.4),
        ("classes", 20, 0.7),
        ("classes", 100, 0.2),
        ("images", 20, 0.15),
        ("images", 100, 0.05),
    ],
)
def test_balance_is_better_than_chance(kind, number, part, fractions):
    places = split_sizes.exact_counts(fractions, number)
    found, chance = [], []
    for seed in range(20):
        amounts = draw(kind, number, seed)
        patients = list(amounts)
        split_of = stratify(patients, amounts, places, {})
        assert list(split_of) == patients
        assert collections.Counter(split_of.values()) == places
        found.append(imbalance(split_of, amounts))
        chance.append(imbalance(by_chance(patients, places), amounts))
    assert statistics.mean(found) < part * statistics.mean(chance)


def test_each_split_gets_its_share_where_that_can_be():
    # 30 patients: 10 of each of three labels, to 3 splits of 15, 9 and 6.
    amounts = {f"P{at}": {"abc"[at % 3]: 1} for at in range(30)}
    split_of = stratify(list(amounts), amounts, {"x": 15, "y": 9, "z": 6}, {})
    counts = collections.Counter((split_of[p], *amounts[p]) for p in amounts)
    assert counts == {
        (name, label): number
        for name, number in {"x": 5, "y": 3, "z": 2}.items()
        for label in "abc"
    }


def test_a_rare_label_is_parted_before_it_is_too_late():
    amounts = {f"P{at}": {"often": 1} for at in range(20)}
    amounts["P18"]["rare"] = amounts["P19"]["rare"] = 1
    for seed in range(50):
        patients = random.Random(seed).sample(list(amounts), 20)
        split_of = stratify(patients, amounts, {"a": 10, "b": 10}, {})
        assert split_of["P18"] != split_of["P19"]


def test_what_a_split_has_already_counts():
    amounts = {f"P{at}": {"ill" if at < 10 else "well": 1} for at in range(20)}
    members = {"a": [f"P{at}" for at in range(5)]}
    new = [p for p in amounts if p not in members["a"]]
    split_of = stratify(new, amounts, {"a": 5, "b": 10}, members)
    # All five places beside five who are ill go to those who are well.
    joined = [p for p in new if split_of[p] == "a"]
    assert all(amounts[p] == {"well": 1} for p in joined)
    assert collections.Counter(split_of.values()) == {"a": 5, "b": 10}


@pytest.mark.parametrize("amounts", [{}, {"P0": {}}, {"P0": {"a": 0}}])
def test_without_any_label_the_order_decides(amounts):
    split_of = stratify(["P0", "P1", "P2"], amounts, {"a": 1, "b": 0, "c": 2}, {})
    assert split_of == {"P0": "a", "P1": "c", "P2": "c"}


def test_some_have_no_label():
    amounts = {"P0": {"a": 1}, "P1": {"a": 1}}
    patients = [f"P{at}" for at in range(6)]
    split_of = stratify(patients, amounts, {"x": 3, "y": 3}, {})
    assert split_of["P0"] != split_of["P1"]
    assert collections.Counter(split_of.values()) == {"x": 3, "y": 3}


def test_salt_draws_again_and_gives_the_same_again():
    amounts = draw("label", 40, 0)
    rule = splits.parse_split("train:0.5,test:0.5")
    draws = [
        splits.assign(rule, list(amounts), salt=str(salt), strata=amounts)
        for salt in (0, 1, 2, 0)
    ]
    assert draws[0] == draws[3]
    assert len({tuple(sorted(one.items())) for one in draws}) == 3
    shuffled = random.Random(0).sample(list(amounts), 40)
    assert splits.assign(rule, shuffled, salt="0", strata=amounts) == draws[0]


def test_many_patients_are_dealt_without_comparing_all():
    amounts = draw("classes", 6000, 0)
    places = split_sizes.exact_counts(FRACTIONS, 6000)
    split_of = stratify(list(amounts), amounts, places, {})
    assert collections.Counter(split_of.values()) == places
    assert imbalance(split_of, amounts) < 0.002


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
