"""Searches bytes for many patterns at once, in one pass.

Every window of a few bytes is hashed into a table of bits, which says for nearly all of
them that no pattern begins there; what is left is compared. It takes a hundred thousand
patterns as easily as ten.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator

import numpy as np

_DTYPES = {4: np.uint32, 8: np.uint64}
# Odd numbers whose bits are mixed: multiplying spreads neighbours over the table.
_FACTORS = {4: 0x9E3779B1, 8: 0x9E3779B97F4A7C15}
_LEAST_BITS, _MOST_BITS = 16, 24
_CHUNK = 4 << 20  # bytes searched at a time, so that windows stay small


class ByteSearch:
    """Finds patterns of at least ``width`` bytes; upper case of ASCII counts as lower.

    Attributes:
      width: Bytes that every pattern has at least: 4 or 8.
    """

    def __init__(self, patterns: Iterable[bytes], *, width: int) -> None:
        """Takes the patterns; shorter ones than ``width`` are left out."""
        self.width = width
        lower = {one.lower() for one in patterns}
        self._patterns: dict[bytes, list[bytes]] = collections.defaultdict(list)
        for one in sorted(one for one in lower if len(one) >= width):
            self._patterns[one[:width]].append(one)
        self._longest = max(map(len, lower), default=0)
        dtype = _DTYPES[width]
        self._starts = np.frombuffer(b"".join(self._patterns), dtype).copy()
        self._starts.sort()
        bits = max(len(self._starts), 1).bit_length() + 7
        bits = min(max(bits, _LEAST_BITS), _MOST_BITS)
        self._factor, self._shift = dtype(_FACTORS[width]), dtype(8 * width - bits)
        self._table = np.zeros(1 << bits, bool)
        self._table[self._hash(self._starts)] = True

    def __len__(self) -> int:
        """Number of patterns."""
        return sum(map(len, self._patterns.values()))

    def _hash(self, windows: np.ndarray) -> np.ndarray:
        return (windows * self._factor) >> self._shift

    def find(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Start and pattern of everything found, patterns as they were searched for."""
        if not len(self._starts):
            return
        for at in range(0, len(data), _CHUNK):
            chunk = data[at : at + _CHUNK + self._longest].lower()
            for start in self._candidates(chunk):
                if start >= _CHUNK:
                    continue  # the next chunk finds it again
                for pattern in self._patterns[chunk[start : start + self.width]]:
                    if chunk.startswith(pattern, start):
                        yield at + start, pattern

    def _candidates(self, data: bytes) -> list[int]:
        """Where the first bytes of a pattern stand, in order."""
        found = []
        for offset in range(min(self.width, max(len(data) - self.width + 1, 0))):
            count = (len(data) - offset) // self.width
            windows = np.frombuffer(data, self._starts.dtype, count, offset)
            maybe = np.flatnonzero(self._table[self._hash(windows)])
            wanted = windows[maybe]
            places = np.searchsorted(self._starts, wanted)
            places[places == len(self._starts)] = 0
            maybe = maybe[self._starts[places] == wanted]
            found += (maybe * self.width + offset).tolist()
        return sorted(found)
