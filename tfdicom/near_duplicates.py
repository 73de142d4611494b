"""Finds images that are the same but for window, depth, codec, size or inversion.

Two images are *near duplicates* when the cells of their signatures
(``image_signature``) correlate by 0.93 or more, and so does by 0.8 or more what remains
of the cells without their smooth part; signs do not count, so that inverted images are
found. How often that errs stands in ``docs/verify.md``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from tfdicom.image_signature import CELLS, LENGTH
from tfdicom.leakage import Place

#: Least correlation of the cells, and of their detail.
LEAST_LIKENESS, LEAST_DETAIL = 0.93, 0.8

_COMPARED_ALL = 8192  # with so many images, each is compared with each
_BLOCK = 1024  # images compared with others at a time
_SMALL = 256
_ALONE = 1 << 18  # multiplications that one thread does
_TABLES = 24
_TABLES_FOR_ALL = 3
_LIKEST = 8  # of each image among others at a time, where very many are alike
_MOST_MEMBERS = 2048  # of a bucket that are compared with each other
_MEMBERS = 64  # of a bucket, aimed at
_MAIN_DIRECTIONS = 32


@dataclasses.dataclass(frozen=True)
class NearDuplicate:
    """Two images of different owners, by their places, and how alike they are.

    ``likeness`` is the smaller of the correlations of cells and of detail, up to 1.
    """

    first: int
    second: int
    likeness: float


@dataclasses.dataclass(frozen=True)
class LikePatients:
    """Two patients with images that look the same.

    Attributes:
      first: Example of the one.
      second: Example of the other: the pair that is most alike.
      likeness: Of this pair.
      count: Pairs of examples that were found.
    """

    first: Place
    second: Place
    likeness: float
    count: int

    @property
    def in_two_splits(self) -> bool:
        """Whether one of them may tell a model of the other."""
        return self.first.split != self.second.split

    def __str__(self) -> str:
        """The pair, in words."""
        more = f" (and {self.count - 1} more such)" if self.count > 1 else ""
        return (
            f"{self.first} and {self.second} look the same, likeness "
            f"{self.likeness:.3f}{more}: is one a re-export of the other?"
        )


class LikeImages:
    """Takes images one by one; ``patients`` compares those of different patients."""

    def __init__(self) -> None:
        """Starts without an image."""
        self._signatures: list[bytes | None] = []
        self._places: list[Place] = []
        self._hashes: list[str | None] = []

    def add(
        self, signature: bytes | None, place: Place, pixel_hash: str | None
    ) -> None:
        """Adds an image by its signature; one with equal pixels is no *near* one."""
        self._signatures.append(signature)
        self._places.append(place)
        self._hashes.append(pixel_hash and pixel_hash[:32])

    def patients(self) -> list[LikePatients]:
        """Pairs of patients with near duplicates; those in two splits first."""
        owners = [one.patient for one in self._places]
        by_patients: dict[tuple[str, str], list[NearDuplicate]] = {}
        for pair in find_near_duplicates(self._signatures, owners):
            if self._hashes[pair.first] != self._hashes[pair.second]:
                both = owners[pair.first], owners[pair.second]
                by_patients.setdefault(min(both, both[::-1]), []).append(pair)
        found = []
        for pairs in by_patients.values():
            best = max(pairs, key=lambda one: one.likeness)
            first, second = self._places[best.first], self._places[best.second]
            found.append(LikePatients(first, second, best.likeness, len(pairs)))
        return sorted(found, key=lambda one: not one.in_two_splits)


def find_near_duplicates(
    signatures: Sequence[bytes | None], owners: Sequence[str]
) -> list[NearDuplicate]:
    """Images that are near duplicates of another owner's.

    Up to 8,192 images each is compared with each; of more, those that fall into one
    bucket of one of 24 hash tables are, which takes time in proportion to their number.

    Args:
      signatures: Of each image, from ``image_signature.signature``.
      owners: Of each image: who may have images that are alike, as a patient.

    Returns:
      For each image with a near duplicate the likest one; each pair once, in order.
    """
    rows = [row for row, one in enumerate(signatures) if one is not None]
    cells = np.frombuffer(b"".join(filter(None, signatures)), np.int8)
    cells = cells.reshape(len(rows), LENGTH)
    _, owned = np.unique([owners[row] for row in rows], return_inverse=True)
    likest = _Likest(cells, owned)
    for members in _buckets(cells, likest):
        likest.compare(members)
    pairs = {
        tuple(sorted((place, int(other)))): float(likeness)
        for place, (other, likeness) in enumerate(
            zip(likest.other, likest.likeness, strict=True)
        )
        if other >= 0
    }
    return [
        NearDuplicate(rows[first], rows[second], likeness)
        for (first, second), likeness in sorted(pairs.items())
    ]


class _Likest:
    """For each image the likest one of another owner that was seen so far."""

    def __init__(self, cells: np.ndarray, owned: np.ndarray) -> None:
        self._cells, self._owned = cells, owned
        self.other = np.full(len(cells), -1, np.int64)
        self.likeness = np.zeros(len(cells), np.float32)

    def compare(self, members: np.ndarray) -> None:
        """Compares some images with each other."""
        if (self._owned[members] == self._owned[members[0]]).all():
            return
        for start in range(0, len(members), _BLOCK):
            some = members[start : start + _BLOCK]
            first = _unit(self._cells[some])
            for after in range(start, len(members), _BLOCK):
                others = members[after : after + _BLOCK]
                second = first if after == start else _unit(self._cells[others])
                alike = np.abs(_products(first, second))
                close = alike >= LEAST_LIKENESS
                close &= self._owned[some][:, np.newaxis] != self._owned[others]
                if np.count_nonzero(close) > _LIKEST * len(some):
                    close = _likest(np.where(close, alike, 0))
                ones, twos = np.nonzero(close)
                if len(ones):
                    self._enter(some[ones], others[twos], alike[ones, twos])

    def _enter(self, ones: np.ndarray, twos: np.ndarray, alike: np.ndarray) -> None:
        for start in range(0, len(ones), _BLOCK):
            part = slice(start, start + _BLOCK)
            one, two = ones[part], twos[part]
            details = _detail(self._cells[one]) * _detail(self._cells[two])
            detail = np.abs(details.sum(axis=1))
            likeness = np.minimum(detail, alike[part])
            found = detail >= LEAST_DETAIL
            for a, b in ((one, two), (two, one)):
                self._keep(a[found], b[found], likeness[found])

    def _keep(self, ones: np.ndarray, twos: np.ndarray, likeness: np.ndarray) -> None:
        # The likest of each image first; of several that are as alike, the first image.
        order = np.lexsort((twos, -likeness, ones))
        ones, twos, likeness = ones[order], twos[order], likeness[order]
        is_first = np.ones(len(ones), bool)
        is_first[1:] = ones[1:] != ones[:-1]
        ones, twos, likeness = ones[is_first], twos[is_first], likeness[is_first]
        before = self.likeness[ones]
        better = likeness > before
        better |= (likeness == before) & (twos < self.other[ones])
        self.other[ones[better]] = twos[better]
        self.likeness[ones[better]] = likeness[better]


def _products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``first @ second.T``, where it is small in parts of a few rows.

    NumPy's library gives products of this size to several threads, which wait for each
    other far longer than they work as soon as a processor has anything else to do.
    """
    if len(second) > _SMALL:
        return first @ second.T
    rows = _ALONE // second.size
    parts = range(0, len(first), rows)
    return np.concatenate([first[at : at + rows] @ second.T for at in parts])


def _likest(alike: np.ndarray) -> np.ndarray:
    """Of a table of likenesses, the largest of each row and of each column."""
    chosen = np.zeros(alike.shape, bool)
    for axis in (0, 1):
        count = min(_LIKEST, alike.shape[axis])
        places = np.argpartition(alike, -count, axis=axis)
        places = np.take(places, np.arange(-count, 0), axis=axis)
        np.put_along_axis(chosen, places, values=True, axis=axis)
    return chosen & (alike > 0)


def _unit(cells: np.ndarray) -> np.ndarray:
    """Float32 ``[n, ...]`` of mean 0 and length 1, so that products correlate."""
    flat = cells.reshape(len(cells), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(length, np.finfo(np.float32).tiny)


def _detail(cells: np.ndarray) -> np.ndarray:
    """The cells without their smooth part (a 3 x 3 binomial blur), of length 1."""
    grid = cells.reshape(-1, CELLS, CELLS).astype(np.float32)
    padded = np.pad(grid, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    smooth = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 16
    return _unit(grid - smooth)


def _buckets(cells: np.ndarray, likest: _Likest) -> Iterator[np.ndarray]:
    """Places of images that may be alike; all of them, if they are few."""
    count = len(cells)
    if count <= _COMPARED_ALL:
        if count:
            yield np.arange(count)
        return
    tables = _hashes(cells, math.ceil(math.log2(count / _MEMBERS)))
    for table, hashes in enumerate(tables):
        order = np.argsort(hashes, kind="stable")
        ends = np.flatnonzero(np.diff(hashes[order])) + 1
        for members in np.split(order, ends):
            if table >= _TABLES_FOR_ALL:
                # Where very many look alike, one that was found is not looked at again.
                members = members[likest.other[members] < 0]
            yield from _parts(members, table)


def _parts(members: np.ndarray, table: int) -> Iterator[np.ndarray]:
    """A bucket; one of very many that all look alike in parts, others in each table."""
    if len(members) > _MOST_MEMBERS:
        members = np.roll(members, table * _MOST_MEMBERS // _TABLES)
    for start in range(0, len(members), _MOST_MEMBERS):
        if len(members) - start > 1:
            yield np.sort(members[start : start + _MOST_MEMBERS])


def _directions(cells: np.ndarray) -> np.ndarray:
    """``[256, 256]``: directions in which images of this collection differ alike.

    What all of them share, as the outline of a head, would put them into one bucket.
    """
    moments = np.zeros((LENGTH, LENGTH))
    for start in range(0, len(cells), _BLOCK):
        block = _unit(cells[start : start + _BLOCK])
        moments += block.T @ block
    sizes, vectors = np.linalg.eigh(moments)
    # Below the main directions there is noise, which is not to count as much.
    floor = max(sizes[-_MAIN_DIRECTIONS], 1e-6 * sizes[-1])
    return vectors / np.sqrt(np.maximum(sizes, 0) + floor)


def _hashes(cells: np.ndarray, bits: int) -> np.ndarray:
    """int32 ``[tables, n]``: on which sides of random planes an image lies."""
    random = np.random.default_rng(0)  # the same buckets each time
    normals = random.standard_normal((LENGTH, _TABLES * (bits + 1)))
    planes = (_directions(cells) @ normals).astype(np.float32)
    weights = 1 << np.arange(bits, dtype=np.int32)
    hashes = np.empty((_TABLES, len(cells)), np.int32)
    for start in range(0, len(cells), _BLOCK):
        block = _unit(cells[start : start + _BLOCK])
        sides = (block @ planes > 0).reshape(len(block), _TABLES, bits + 1)
        # Against the first one, so that an inverted image has the same hash.
        same = sides[..., 1:] == sides[..., :1]
        hashes[:, start : start + len(block)] = (same @ weights).T
    return hashes
