import sys

import pytest

from tfdicom.class_layout import ABSENT, class_layout

A, B = ("inner", "outer"), ("rv", "LV", "outer")


def test_all_classes_of_one_in_its_order():
    found = class_layout([B])
    assert found.names == B
    assert (found.indices, found.counts) == (((0, 1, 2),), (3,))
    assert found.is_one


def test_classes_of_several_in_the_order_in_which_they_come():
    found = class_layout([A, B])
    assert found.names == ("inner", "outer", "rv", "LV")
    assert found.indices == ((0, 1, ABSENT, ABSENT), (ABSENT, 2, 0, 1))
    assert found.counts == (2, 3)
    assert not found.is_one


@pytest.mark.parametrize(
    ("data_sets", "classes", "is_one"),
    [
        ([A, A], None, True),
        ([A, A], ["outer"], True),
        ([A, A[::-1]], None, False),
        # The same places, but records of another length.
        ([A, (*A, "rv")], ["inner", "outer"], False),
        ([("inner", "rv"), ("inner", "outer")], ["inner"], True),
    ],
)
def test_knows_whether_all_are_alike(data_sets, classes, is_one):
    assert class_layout(data_sets, classes=classes).is_one == is_one


@pytest.mark.parametrize(
    ("class_map", "names", "indices"),
    [
        # A name that a class has in one of them only.
        (
            {"cavity": ["inner", "LV"]},
            ("cavity", "outer", "rv"),
            ((0, 1, -1), (1, 2, 0)),
        ),
        ({"LV": ["inner"]}, ("LV", "outer", "rv"), ((0, 1, -1), (1, 2, 0))),
        ({"inner": ["LV"]}, ("inner", "outer", "rv"), ((0, 1, -1), (1, 2, 0))),
        ({"inner": ["LV", "inner"]}, ("inner", "outer", "rv"), ((0, 1, -1), (1, 2, 0))),
    ],
)
def test_names_may_differ(class_map, names, indices):
    found = class_layout([A, B], class_map=class_map)
    assert (found.names, found.indices) == (names, indices)


def test_names_may_be_exchanged():
    class_map = {"inner": ["outer"], "outer": ["inner"]}
    found = class_layout([A], classes=A, class_map=class_map)
    assert found.indices == ((1, 0),)


def test_classes_are_asked_for_by_their_new_names():
    found = class_layout(
        [A, B], classes=["outer", "cavity"], class_map={"cavity": ["inner", "LV"]}
    )
    assert found.indices == ((1, 0), (2, 1))


@pytest.mark.parametrize(
    ("data_sets", "fields", "message"),
    [
        ([A], {"classes": ["rv"]}, "no class 'rv'; this data set has inner, outer"),
        (
            [A, B],
            {"classes": ["outer", "la"]},
            "no class 'la' in any data set; they have 1: inner, outer; 2: rv, LV, out",
        ),
        (
            [A, B],
            {"classes": ["la"], "class_map": {"la": ["LA", "atrium"]}},
            "no class 'la' or 'LA' or 'atrium' in any data set; they have 1: inner",
        ),
        (
            [("inner",), ("LV",)],
            {"class_map": {"inner": ["LV", "typo"]}},
            "class_map: typo is in no data set",
        ),
        (
            [A, B],
            {"class_map": {"x": ["inner"], "y": ["LV", "inner"]}},
            "class_map: inner stands for two classes",
        ),
        (
            [A, B],
            {"class_map": {"cavity": ["rv", "LV"]}},
            "class_map: one data set has rv and LV, which are both 'cavity'; a class "
            "comes from one of them",
        ),
        # Its own name counts too.
        (
            [A, B],
            {"class_map": {"inner": ["outer"]}},
            "one data set has inner and outer, which are both 'inner'",
        ),
        (
            [A, B],
            {"classes": ["inner"], "class_map": {"cavity": ["inner"]}},
            "class_map: cavity is not among the classes that are read, which are inner",
        ),
        (
            [A],
            {"class_map": {"cavity": ["LV"]}},
            "class_map: cavity is not among the classes that are read, which are "
            "inner, outer",
        ),
    ],
)
def test_says_what_is_wrong_and_known(data_sets, fields, message):
    with pytest.raises(ValueError, match=message):
        class_layout(data_sets, **fields)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
