"""Rows, columns and pixels of the output; no TensorFlow.

With a target spacing each output pixel is a step of source pixels, and the manifest
says how long a step can get.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfdicom.input_options import InputOptions
from tfdicom.manifest import SplitInfo


@dataclasses.dataclass(frozen=True)
class OutputGrid:
    """Of every output.

    Attributes:
      size: Rows and columns.
      longest_step: No output pixel is further from the next than so many source
        pixels, along rows' numbers (downwards) and along columns'.
      shortest_step: Nor nearer than so many.
    """

    size: tuple[int, int]
    longest_step: tuple[float, float] = (1.0, 1.0)
    shortest_step: tuple[float, float] = (1.0, 1.0)


def output_grid(
    splits: Sequence[SplitInfo],
    source_size: tuple[int, int],
    options: InputOptions,
    *,
    split: str,
) -> OutputGrid:
    """What ``image_size`` and ``target_spacing`` make of the sources.

    Args:
      splits: What is read.
      source_size: Rows and columns of the sources; the largest where they differ, which
        is only allowed with ``image_size``.
      options: What is asked for.
      split: Its name, for messages.

    Raises:
      ValueError: A target spacing is asked for and no image of a split has a spacing,
        or the size of the output does not follow from it.
    """
    target = options.spacing
    if target is None:
        return OutputGrid(options.size or source_size)
    lowest, highest = _spacings(splits, options, split)
    size = options.size or _resampled(source_size, lowest, target)
    if options.size is None and size != _resampled(source_size, highest, target):
        raise ValueError(
            f"target_spacing={options.target_spacing!r}: the pixels of split {split!r} "
            f"measure {lowest:g} to {highest:g} mm between rows and columns, so the "
            "size of the output is not the same for all; choose "
            "image_size='ROWS,COLUMNS'"
        )
    return OutputGrid(
        size,
        (target[0] / lowest, target[1] / lowest),
        (target[0] / highest, target[1] / highest),
    )


def _spacings(
    splits: Sequence[SplitInfo], options: InputOptions, split: str
) -> tuple[float, float]:
    """Smallest and largest distance between rows or columns, mm."""
    found = [one.pixel_spacing for one in splits if one.examples]
    known = [spacing for several in found if several for spacing in several]
    if not known or not all(found):
        raise ValueError(
            f"target_spacing={options.target_spacing!r}: the images of split {split!r} "
            "do not say their pixel spacing, (0028,0030) 'Pixel Spacing'; leave "
            "target_spacing out"
        )
    return min(known), max(known)


def _resampled(
    source_size: tuple[int, int], spacing: float, target: tuple[float, float]
) -> tuple[int, int]:
    rows, columns = (
        max(1, round(length * spacing / wanted))
        for length, wanted in zip(source_size, target, strict=True)
    )
    return rows, columns
