import itertools
import sys

import numpy as np
import pytest

from tfdicom import classes
from tfdicom.classes import SegmentationClass

# One pixel for each of the eight ways in which three structures can meet.
NAMES = ("a", "b", "c")
SETS = {
    name: {n for n in range(8) if n >> place & 1} for place, name in enumerate(NAMES)
}
PLANES = {name: np.array([n in s for n in range(8)]) for name, s in SETS.items()}


def _combine(expression: str, planes: dict[str, np.ndarray]) -> np.ndarray:
    (one,) = classes.parse_classes(f"x={expression}")
    return one.combine(planes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inner", [("inner", "inner")]),
        ("inner;outer", [("inner", "inner"), ("outer", "outer")]),
        ("outer , inner", [("outer", "outer"), ("inner", "inner")]),
        (
            "cavity=inner; myo = outer - inner;",
            [("cavity", "inner"), ("myo", "outer-inner")],
        ),
        ("x=(a + b)&c", [("x", "(a+b)&c")]),
        ("inner=outer", [("inner", "outer")]),
        ("_1=p1+p2", [("_1", "p1+p2")]),
    ],
)
def test_reads(text, expected):
    assert classes.parse_classes(text) == tuple(
        SegmentationClass(name, expression) for name, expression in expected
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "classes='': one or more classes with different names"),
        (" ; ", "one or more classes"),
        ("a;b;a", "classes='a;b;a': one or more classes with different names"),
        ("a=b;a=c", "different names"),
        ("left ventricle", "class 'left ventricle': a name of letters"),
        ("=a", "class '=a': a name of letters"),
        ("1a", "a name of letters"),
        ("a-b", "a name of letters"),
        ("höhle", "a name of letters"),
        *(
            (f"x={expression}", r"class expression .*: structures joined by \+")
            for expression in (
                "a-", "-a", "a--b", "a b", "(a", "a)", "()", "a&&b", "1", "a+1",
                "f(a)", "a if b else c", "/a/b/", "/a//b/",
                "/a/b", "a/b/",
            )
        ),
        ("x=a[b", r"the regular expression /a\[b/ cannot be read: unterminated"),
        ("x=/a(/-b", r"the regular expression /a\(/ cannot be read"),
    ],
)  # fmt: skip
def test_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        classes.parse_classes(text)


@pytest.mark.parametrize(
    ("text", "terms", "matching", "others"),
    [
        ("heart", ("heart",), ["heart", "HEART"], ["heart2", "my heart"]),
        ("x=^heart.*", ("/^heart.*/",), ["Heart", "heart wall"], ["the heart"]),
        ("x=lung_(l|r)", ("/lung_(l|r)/",), ["Lung_L", "lung_r"], ["lung", "lung_la"]),
        ("x=/GTV-1/", ("/GTV-1/",), ["gtv-1"], ["GTV"]),
        ("x=/[;,]{1,2}/", ("/[;,]{1,2}/",), [";,"], ["x"]),
        (r"x=/a\/b/", (r"/a\/b/",), ["a/b"], ["a"]),
        ("x=SCT:10200004", ("/SCT:10200004/",), ["SCT:10200004"], ["10200004"]),
        ("x=#1", ("/#1/",), ["#1"], ["#11"]),
        ("x=höhle", ("/höhle/",), ["Höhle"], ["hohle"]),
        ("x=True", ("True",), ["true"], []),
    ],
)
def test_a_term_names_structures(text, terms, matching, others):
    (one,) = classes.parse_classes(text)
    assert one.structures == terms
    assert all(classes.term_matches(terms[0], [name]) for name in matching)
    assert not any(classes.term_matches(terms[0], [name]) for name in others)


def test_regular_expressions_combine():
    (one,) = classes.parse_classes("myo=/outer 1/ - /inner.*/")
    assert one.expression == "/outer 1/-/inner.*/"
    planes = {
        "/outer 1/": np.array([True, True, False]),
        "/inner.*/": np.array([False, True, False]),
    }
    assert one.combine(planes).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("expression", "structures"),
    [
        ("a", ("a",)),
        ("outer-inner", ("outer", "inner")),
        ("b+a&b-(a+c2)", ("b", "a", "c2")),
    ],
)
def test_names_the_structures_that_it_needs(expression, structures):
    (one,) = classes.parse_classes(f"x={expression}")
    assert one.structures == structures
    assert one.annotated(dict.fromkeys((*structures, "other")))
    for missing in structures:
        assert not one.annotated(dict.fromkeys(set(structures) - {missing}))


A, B, C = SETS.values()
COMBINED = {
    "a": A,
    "(a)": A,
    "a+b": A | B,
    "a-b": A - B,
    "b-a": B - A,
    "a&b": A & B,
    "a&b&c": A & B & C,
    "a-a": set(),
    "a-b+c": (A - B) | C,
    "a-(b+c)": A - (B | C),
    "a-b-c": (A - B) - C,
    "a-(b-c)": A - (B - C),
    "a+b&c": A | (B & C),
    "(a+b)&c": (A | B) & C,
    "a&b+c": (A & B) | C,
    "a-b&c": A - (B & C),
    "(a-b)&c": (A - B) & C,
    "a+b-a&b": (A | B) - (A & B),
}


@pytest.mark.parametrize(("expression", "expected"), COMBINED.items(), ids=COMBINED)
def test_combines_as_sets_do(expression, expected):
    plane = _combine(expression, PLANES)
    assert plane.dtype == bool
    assert set(np.flatnonzero(plane)) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize(("expression", "expected"), COMBINED.items(), ids=COMBINED)
def test_numbers_combine_as_booleans_do(expression, expected, dtype):
    numbers = {name: plane.astype(dtype) for name, plane in PLANES.items()}
    combined = _combine(expression, numbers)
    assert combined.dtype == dtype
    assert set(combined.tolist()) <= {0, 1}
    assert set(np.flatnonzero(combined)) == expected


def test_fractions_of_nested_structures_are_exact():
    steps = [0.0, 0.25, 0.5, 1.0]
    nested = [(i, o) for i, o in itertools.product(steps, steps) if i <= o]
    inner, outer = np.array(nested).T
    planes = {"inner": inner, "outer": outer}
    assert np.array_equal(_combine("outer-inner", planes), outer - inner)
    assert np.array_equal(_combine("outer+inner", planes), outer)
    assert np.array_equal(_combine("outer&inner", planes), inner)


def test_planes_stay_as_they_were():
    planes = {name: plane.copy() for name, plane in PLANES.items()}
    for expression in COMBINED:
        _combine(expression, planes)
    assert all(np.array_equal(planes[name], PLANES[name]) for name in NAMES)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
