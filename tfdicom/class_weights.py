"""Weights that let a rare class count as much as a common one, from the manifest.

No TensorFlow, and no pixel is read: the manifest counts those of each class. A weight
is 1 / frequency (``inverse``) or the square root of that (``inverse_sqrt``), scaled so
that the expected weight of a pixel is 1: a loss keeps its size.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tfdicom.class_layout import ABSENT, ClassLayout
from tfdicom.input_options import INVERSE_SQRT
from tfdicom.manifest import Manifest, SplitInfo

_TRAIN = "train"


@dataclasses.dataclass(frozen=True)
class ClassPixels:
    """How common a class is.

    Attributes:
      name: Of the class.
      pixels: Those of the class.
      examined: Those of all frames on which it was annotated.
    """

    name: str
    pixels: float
    examined: float


def count_pixels(
    data_sets: Sequence[Manifest], splits: Sequence[str], layout: ClassLayout
) -> tuple[tuple[ClassPixels, ...], int | None]:
    """Pixels of each class in the training splits.

    Args:
      data_sets: Of each the split ``train`` counts, so that the weights of a validation
        are those of the training; where there is none, the splits that are read.
      splits: Those.
      layout: The classes that are read.

    Returns:
      The classes, and the number of pixels that are of at least one of them: None where
      the manifest does not tell, as other classes are annotated too.
    """
    parts = [
        [found.splits[name] for name in _chosen(found, splits)] for found in data_sets
    ]
    names = [found.class_names for found in data_sets]
    counts = []
    for channel, name in enumerate(layout.names):
        pixels, examined = 0.0, 0.0
        for known, places, part in zip(names, layout.indices, parts, strict=True):
            if places[channel] != ABSENT:
                its_name = known[places[channel]]
                for split in part:
                    pixels += split.classes[its_name].pixels
                    examined += split.classes[its_name].annotated * _frame(split)
        counts.append(ClassPixels(name, pixels, examined))
    reads_all = all(
        len(set(places) - {ABSENT}) == count
        for places, count in zip(layout.indices, layout.counts, strict=True)
    )
    every = [split for part in parts for split in part]
    return tuple(counts), sum(map(_foreground, every)) if reads_all else None


def _chosen(found: Manifest, splits: Sequence[str]) -> Sequence[str]:
    return [_TRAIN] if _TRAIN in found.splits else splits


def _frame(split: SplitInfo) -> float:
    """Pixels of a frame; their mean, where frames differ in size."""
    pixels = sum(math.prod(one.shape[:2]) * one.examples for one in split.frames)
    return pixels / max(sum(one.examples for one in split.frames), 1)


def _foreground(split: SplitInfo) -> int:
    statistics = split.intensities["foreground"]
    samples = split.frames[0].shape[2] if split.frames else 1
    return statistics.count // samples if statistics else 0


def side_weights(
    kind: str, classes: Sequence[ClassPixels]
) -> tuple[tuple[float, ...], ...]:
    """Weights of the two sides of each class.

    Args:
      kind: ``inverse`` or ``inverse_sqrt``.
      classes: From ``count_pixels``.

    Returns:
      For each class the weight of a pixel that is not of it, and of one that is.

    Raises:
      ValueError: A class has no pixel, or every pixel is of it.
    """
    _check_present(kind, classes)
    return tuple(
        _weights(kind, [1.0 - share, share], [f"pixel without {one.name}", one.name])
        for one in classes
        for share in [one.pixels / one.examined]
    )


def label_weights(
    kind: str,
    classes: Sequence[ClassPixels],
    *,
    order: Sequence[int],
    foreground: int | None = None,
) -> tuple[float, ...]:
    """Weights of the numbers of a label map.

    In a label map a class has only the pixels that none before it takes. How many those
    are is exact for classes that do not overlap, and for two that do. Of more, all but
    the first are taken to lose the same share.

    Args:
      kind: ``inverse`` or ``inverse_sqrt``.
      classes: From ``count_pixels``, in the order of their numbers.
      order: Their places, the one that wins first.
      foreground: Pixels that are of at least one of them; None counts them as if none
        overlapped.

    Returns:
      The weight of the background, then that of each class.

    Raises:
      ValueError: A class has no pixel, or the classes leave no background.
    """
    _check_present(kind, classes)
    pixels = [one.pixels for one in classes]
    taken = max(sum(pixels) - foreground, 0.0) if foreground is not None else 0.0
    later = order[1:]
    rest = sum(pixels[place] for place in later)
    for place in later:
        pixels[place] *= max(1.0 - taken / rest, 0.0)
    shares = [count / one.examined for one, count in zip(classes, pixels, strict=True)]
    names = ["background", *(one.name for one in classes)]
    return _weights(kind, [1.0 - sum(shares), *shares], names)


def _check_present(kind: str, classes: Sequence[ClassPixels]) -> None:
    for one in classes:
        if not one.pixels:
            raise ValueError(
                f"class_weights={kind!r}: the manifest counts no pixel of class "
                f"{one.name!r}, so it has no weight; choose class_weights='none'. (A "
                "source that is not converted has no counts.)"
            )


def _weights(
    kind: str, shares: Sequence[float], names: Sequence[str]
) -> tuple[float, ...]:
    for share, name in zip(shares, names, strict=True):
        if share <= 0:
            raise ValueError(
                f"class_weights={kind!r}: by the manifest's counts there is no {name}, "
                "so it has no weight; choose class_weights='none'"
            )
    power = -0.5 if kind == INVERSE_SQRT else -1.0
    expected = sum(share ** (1.0 + power) for share in shares)
    return tuple(share**power / expected for share in shares)
