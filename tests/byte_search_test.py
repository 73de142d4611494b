import sys

import numpy as np
import pytest

from tfdicom import byte_search
from tfdicom.byte_search import ByteSearch


def _found(patterns, data, width=4):
    return list(ByteSearch(patterns, width=width).find(data))


def test_case_of_ascii_does_not_count():
    assert _found([b"Doe^John"], b"xx DOE^john yy") == [(3, b"doe^john")]


def test_patterns_may_begin_alike_and_overlap():
    found = _found([b"smith", b"smithson", b"thso"], b"-SMITHSON-")
    assert found == [(1, b"smith"), (1, b"smithson"), (4, b"thso")]


@pytest.mark.parametrize("data", [b"", b"s", b"smi", b"smit"])
def test_short_data_holds_nothing(data):
    assert _found([b"smith"], data) == []
    assert _found([], data + b"smith") == []


@pytest.mark.parametrize("width", [4, 8])
def test_shorter_patterns_are_left_out(width):
    patterns = [b"a" * length for length in range(1, 12)]
    assert len(ByteSearch(patterns, width=width)) == 12 - width


@pytest.mark.parametrize("width", [4, 8])
def test_everything_planted_is_found_and_nothing_else(width, monkeypatch):
    monkeypatch.setattr(byte_search, "_CHUNK", 1000)  # so that some lie across two
    random = np.random.default_rng(5)
    data = bytearray(random.bytes(30_000).lower())
    patterns = [
        random.bytes(length).lower() for length in random.integers(width, 40, 300)
    ]
    planted = []
    for number, pattern in enumerate(patterns):
        at = number * 95 + int(random.integers(50))
        data[at : at + len(pattern)] = pattern
        planted.append((at, pattern))
    expected = [
        (at, pattern)
        for pattern in set(patterns)
        for at in range(len(data))
        if data.startswith(pattern, at)
    ]
    assert set(planted) <= set(expected)
    assert sorted(_found(patterns, bytes(data), width)) == sorted(expected)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
