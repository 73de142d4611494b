import pickle
import sys

import pytest

from tfdicom import interning
from tfdicom.interning import interned
from tfdicom.spatial import ImagePlane


def _plane(first):
    return ImagePlane((first, 2.0, 3.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1.5, 1.5))


@pytest.mark.parametrize(
    "make",
    [
        lambda: "".join(["1.2.", "840"]),
        lambda: (float("1.5"), float("0.5")),
        lambda: {"slope": float("2.5"), "units": None},
        lambda: _plane(float("1.5")),
    ],
    ids=["text", "tuple", "dict", "dataclass"],
)
def test_equal_values_are_one(make):
    assert make() is not make()
    assert interned(make()) is interned(make())
    assert interned(make()) == make()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0.0, 1.0), (-0.0, 1.0)),
        ((1,), (1.0,)),
        ((1,), (True,)),
        ({"a": 0.0}, {"a": -0.0}),
        (_plane(0.0), _plane(-0.0)),
    ],
)
def test_values_that_are_only_equal_stay_two(one, other):
    assert one == other
    assert interned(one) is one
    assert repr(interned(other)) == repr(other)


def test_it_does_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(interning, "_MOST", 10)
    monkeypatch.setattr(interning, "_seen", {})
    for number in range(100):
        assert interned((number,)) == (number,)
        assert len(interning._seen) <= 10
    last = (99,)
    assert interned(last) is interned(tuple([99]))


def test_pickle_writes_it_once():
    apart = [(float(n % 1 + 0.5), "text") for n in range(100)]
    once = [interned(one) for one in apart]
    assert len(pickle.dumps(once)) < len(pickle.dumps(apart)) / 5


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
