import sys

import pytest

from tfdicom.class_layout import ABSENT, class_layout
from tfdicom.label_kinds import LabelInfo
from tfdicom.label_layout import (
    absent_labels,
    check_names,
    label_layout,
    lacking,
    pattern_places,
)

AGE = LabelInfo("age", "number")
SEX = LabelInfo("sex", "class", ("f", "m"))
TURNED = LabelInfo("sex", "class", ("m", "f"))
WORDS = LabelInfo("age", "class", ("old", "young"))


def _layout(data_sets, *asked):
    wanted = [LabelInfo(name, "", words) for name, words in asked]
    return label_layout(data_sets, wanted, names=["one", "two"][: len(data_sets)])


def test_places_are_those_of_each_data_set():
    found = _layout([(AGE, SEX), (SEX,)], ("sex", ()), ("age", ()))
    assert found.labels == (SEX, AGE) and found.names == ("sex", "age")
    assert found.places == ((1, 0), (0, ABSENT))
    assert absent_labels(found, ["one", "two"]) == [
        "two has no label age: read as without a value there"
    ]
    # In a pattern the labels come after the classes of the data set.
    classes = class_layout([("a", "b"), ("b", "c", "a")], classes=["b"])
    found = _layout([(AGE, SEX), (SEX, AGE)], ("sex", ()))
    assert pattern_places(classes, found, 0) == (1, 3)
    assert pattern_places(classes, found, 1) == (0, 3)


def test_nothing_asked_is_nothing():
    found = _layout([(AGE,), ()])
    assert (found.labels, found.places) == ((), ((), ()))
    assert pattern_places(class_layout([("a",), ("a",)]), found, 1) == (0,)


@pytest.mark.parametrize("words", [("m", "f"), ("f", "m", "x")])
def test_a_vocabulary_can_be_given(words):
    found = _layout([(SEX,), (TURNED,)], ("sex", words))
    assert found.labels == (LabelInfo("sex", "class", words),)


@pytest.mark.parametrize(
    ("data_sets", "asked", "message"),
    [
        ([(AGE, SEX)], ("side", ()), "no label 'side'; there is age, sex"),
        ([()], ("side", ()), "no labels here at all; convert with --labels=TABLE"),
        ([(AGE,), (WORDS,)], ("age", ()), "of one kind .one: number, two: class"),
        (
            [(SEX,), (TURNED,)],
            ("sex", ()),
            r"other words, or another order.* labels='sex:f\|m'",
        ),
        ([(SEX,)], ("sex", ("f",)), "'sex' has the words f, m; .* got f$"),
        ([(AGE,)], ("age", ("f", "m")), "'age' has numbers; its vocabulary"),
    ],
)
def test_says_what_there_is(data_sets, asked, message):
    with pytest.raises(ValueError, match=message):
        _layout(data_sets, asked)


@pytest.mark.parametrize("name", ["mask", "inner"])
def test_one_name_means_one_thing(name):
    found = _layout([(LabelInfo(name, "number"),)], (name, ()))
    check_names(found, [])
    check_names(found, ["other"]) if name != "mask" else None
    with pytest.raises(ValueError, match=f"label '{name}' is called like what is read"):
        check_names(found, ["inner"])


@pytest.mark.parametrize(
    ("classes", "asked", "words"),
    [
        (["a", "b"], [], "not annotated for all of a, b"),
        ([], ["age", "sex"], "without a value for age or sex"),
        (["a"], ["age"], "not annotated for all of a, or without a value for age"),
    ],
)
def test_words_for_what_is_left_out(classes, asked, words):
    found = _layout([(AGE, SEX)], *((name, ()) for name in asked))
    assert lacking(classes, found) == words


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
