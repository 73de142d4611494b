import collections
import statistics
import sys

import pytest

from tfdicom import label_kinds
from tfdicom.label_kinds import LabelInfo

STAGE = LabelInfo("stage", "class", ("low", "mid", "high"))
AGE = LabelInfo("age", "number")


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("age", "age", ()),
        (" age ", "age", ()),
        ("stage:low|mid", "stage", ("low", "mid")),
        ("stage : low | mid", "stage", ("low", "mid")),
        ("time: ms", "time: ms", ()),
        ("ratio a:b:x|y", "ratio a:b", ("x", "y")),
        ("a|b", "a|b", ()),
    ],
)
def test_splits_name_and_words(text, name, words):
    assert label_kinds.words_of(text) == (name, words)


@pytest.mark.parametrize("text", ["stage:low|", "stage:|low", "stage:a|b|a", " :a|b"])
def test_words_are_there_once(text):
    with pytest.raises(ValueError, match="'name:word|word' is wanted, each word once"):
        label_kinds.words_of(text)


@pytest.mark.parametrize(
    ("annotated", "values", "pattern"),
    [
        ((1, 0), None, "10"),
        ((1, 0), ("", "x", "0"), "10011"),
        ((), ("", "3"), "01"),
        ((), None, ""),
    ],
)
def test_pattern_is_of_classes_then_labels(annotated, values, pattern):
    assert label_kinds.known_pattern(annotated, values) == pattern


def _counts(*values):
    found = {}
    for pair in values:
        label_kinds.count_labels(found, ("stage", "age"), pair)
    return found


def test_frequencies_are_those_of_the_examples():
    ages = [40.5, 7.0, 40.5, 62.25]
    first = _counts(("low", "40.5"), ("", "7"), ("high", ""), ("", ""))
    second = _counts(("low", "4.05e1"), ("low", "62.25"))
    label_kinds.merge_counts(first, second)
    label_kinds.count_labels(first, None, None)  # a record without labels
    found = label_kinds.label_frequencies([STAGE, AGE], first)
    assert (found["stage"].known, found["stage"].examples) == (4, (3, 0, 1))
    age = found["age"]
    assert (age.known, age.examples) == (4, ())
    assert age.mean == pytest.approx(statistics.fmean(ages))
    assert age.deviation == pytest.approx(statistics.pstdev(ages))
    assert (age.minimum, age.maximum) == (7.0, 62.25)


def test_frequencies_do_not_depend_on_the_order():
    values = [("low", f"{n / 7:.9f}") for n in range(50)]
    for order in (1, -1):
        counts = _counts(*values[::order])
        found = label_kinds.label_frequencies([AGE], counts)
        assert found == label_kinds.label_frequencies([AGE], _counts(*values))


def test_nothing_known_is_no_number():
    found = label_kinds.label_frequencies([STAGE, AGE], {"age": collections.Counter()})
    assert (found["stage"].known, found["stage"].examples) == (0, (0, 0, 0))
    assert (found["age"].known, found["age"].mean) == (0, None)


def test_words_for_people():
    counts = _counts(("low", "40"), ("high", "50"), ("low", ""))
    found = label_kinds.label_frequencies([STAGE, AGE], counts)
    describe = label_kinds.describe_label
    assert describe(STAGE) == "0 low, 1 mid, 2 high"
    assert describe(STAGE, found["stage"]) == "low 2, mid 0, high 1"
    assert describe(AGE) == "number"
    assert describe(AGE, found["age"]) == (
        "number, mean 45, deviation 5, 40 to 50, 2 known"
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
