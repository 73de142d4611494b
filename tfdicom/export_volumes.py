"""Which examples make up a volume, and where its voxels lie.

A volume is a stack of parallel frames of one series at equal steps, without a gap, once
or in several phases that follow each other. What has a gap, or steps of two sizes, is
several volumes: nothing is put where nothing is known.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfdicom.example_schema import FrameExample
from tfdicom.spatial import ImagePlane

#: From DICOM's LPS to NIfTI's RAS.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_STEP_TOLERANCE = 0.01  # of a step; and of a mm, for what is stored in 32 bits
_UNKNOWN_STEP_MM = 1.0


@dataclasses.dataclass(frozen=True)
class Stack:
    """Frames that make up a volume.

    Attributes:
      phases: The phases in their order, each with its frames along the normal.
      is_part: Whether the series has more slices here than the stack.
      phase_name: Of its phases; empty where the series has no others here.
    """

    phases: tuple[tuple[FrameExample, ...], ...]
    is_part: bool = False
    phase_name: str = ""

    @property
    def first(self) -> FrameExample:
        """The frame at voxel 0."""
        return self.phases[0][0]

    @property
    def name(self) -> str:
        """Tells it from others of its patient; made of pseudonyms and numbers."""
        one = self.first
        parts = [one.series[:16]]
        if one.acquisition_group:
            parts.append(f"g{one.acquisition_group}")
        if one.rater:
            parts.append(f"r{one.rater[:8]}")
        if self.is_part:
            parts.append(span("s", [f.slice_index for f in self.phases[0]]))
        return "_".join(filter(None, [*parts, self.phase_name]))


def span(letter: str, numbers: Sequence[int | None]) -> str:
    """The first and last of some numbers as a part of a name: ``s002-010``."""
    known = [number for number in numbers if number is not None]
    if not known:
        return ""
    first, last = known[0], known[-1]
    return f"{letter}{first:03d}" + (f"-{last:03d}" if last != first else "")


def plane_of(example: FrameExample) -> ImagePlane | None:
    """Where a frame lies; None where the record does not say."""
    place = (example.position, example.orientation, example.pixel_spacing)
    if any(one is None for one in place):
        return None
    return ImagePlane(*(tuple(map(float, one or ())) for one in place))  # type: ignore[arg-type]


def stacks(examples: Sequence[FrameExample]) -> Iterator[Stack]:
    """Volumes of one patient's examples, which all have a place.

    Args:
      examples: In any order.
    """
    groups: dict[Any, list[FrameExample]] = collections.defaultdict(list)
    for one in examples:
        stored = (one.shape, one.dtype, one.photometric_interpretation)
        groups[one.study, one.series, one.acquisition_group, one.rater, stored].append(
            one
        )
    for members in groups.values():
        yield from _stacks_of_group(members)


def _stacks_of_group(members: Sequence[FrameExample]) -> Iterator[Stack]:
    by_phase: dict[int, list[FrameExample]] = collections.defaultdict(list)
    for one in members:
        by_phase[one.phase_index or 0].append(one)
    # Phases in which the same slices stand together, by those slices.
    alike: dict[Any, dict[int, tuple[FrameExample, ...]]] = {}
    for phase, frames in sorted(by_phase.items()):
        for run in _runs(frames):
            where = [np.round(frame.position or (), 2).tolist() for frame in run]
            alone = 0  # frames in one place and phase are no phases
            while phase in alike.setdefault((repr(where), alone), {}):
                alone += 1
            alike[repr(where), alone][phase] = run
    for found in alike.values():
        for numbers in consecutive(list(found)):
            phases = tuple(found[number] for number in numbers)
            count = members[0].slice_count
            yield Stack(
                phases,
                is_part=count is not None and len(phases[0]) < count,
                phase_name=span("p", numbers) if _has_phases(members[0]) else "",
            )


def _has_phases(example: FrameExample) -> bool:
    return (example.phase_count or 1) > 1


def consecutive(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Ascending numbers in parts that have no gap."""
    for _, part in itertools.groupby(
        enumerate(numbers), lambda pair: pair[1] - pair[0]
    ):
        yield [number for _, number in part]


def _runs(frames: Sequence[FrameExample]) -> Iterator[tuple[FrameExample, ...]]:
    """Frames of one phase in parts of equal steps, along the normal."""
    planes = {id(one): plane_of(one) for one in frames}
    first = planes[id(frames[0])]
    assert first is not None
    normal = first.normal
    order = sorted(frames, key=lambda one: float(np.dot(normal, one.position or ())))
    run = [order[0]]
    for one in order[1:]:
        if _goes_on(run, one, planes):
            run.append(one)
        else:
            yield tuple(run)
            run = [one]
    yield tuple(run)


def _goes_on(
    run: Sequence[FrameExample],
    one: FrameExample,
    planes: dict[int, ImagePlane | None],
) -> bool:
    last, plane = planes[id(run[-1])], planes[id(one)]
    if last is None or plane is None or not plane.is_parallel_to(last):
        return False
    before = run[-1].slice_index
    if None not in (before, one.slice_index) and one.slice_index != before + 1:  # type: ignore[operator]
        return False
    step = np.subtract(plane.position, last.position)
    if np.linalg.norm(step) <= _STEP_TOLERANCE:
        return False
    if len(run) == 1:
        return True
    usual = _step(run[0], run[1])
    tolerance = _STEP_TOLERANCE * max(1.0, float(np.linalg.norm(usual)))
    return bool(np.abs(step - usual).max() <= tolerance)


def _step(first: FrameExample, second: FrameExample) -> np.ndarray:
    """From one frame to another, ``[3]``, millimetres; both say where they lie."""
    return np.array(second.position, float) - np.array(first.position, float)


def affine(frames: Sequence[FrameExample]) -> np.ndarray:
    """From voxels (column, row, slice) to RAS millimetres, ``[4, 4]``.

    Of a single frame the third step is the slice spacing along the normal, or one
    millimetre where it is not known.

    Args:
      frames: Of one phase, along the normal.

    Raises:
      ValueError: A frame does not say where it lies.
    """
    plane = plane_of(frames[0])
    if plane is None:
        raise ValueError(f"example {frames[0].key} does not say where it lies")
    row, column = np.reshape(plane.orientation, (2, 3))
    if len(frames) > 1:
        step = _step(frames[0], frames[-1]) / (len(frames) - 1)
    else:
        step = plane.normal * (frames[0].slice_spacing or _UNKNOWN_STEP_MM)
    found = np.eye(4)
    found[:3, 0] = row * plane.pixel_spacing[1]
    found[:3, 1] = column * plane.pixel_spacing[0]
    found[:3, 2] = step
    found[:3, 3] = plane.position
    return _LPS_TO_RAS @ found


def alike_parts(
    stack: Stack, value_of: Callable[[FrameExample], Any]
) -> Iterator[tuple[Any, Stack, bool]]:
    """Parts of a stack whose frames have one value.

    Args:
      stack: The stack.
      value_of: What has to be the same in all frames of a part.

    Yields:
      The value, the part, and whether it is the whole stack. Where frames differ, the
      parts are of single phases.
    """
    values = [[value_of(frame) for frame in phase] for phase in stack.phases]
    first = values[0][0]
    if all(value == first for phase in values for value in phase):
        yield first, stack, True
        return
    for phase, told in zip(stack.phases, values, strict=True):
        at = 0
        for value, members in itertools.groupby(told):
            count = len(list(members))
            frames = phase[at : at + count]
            at += count
            number = frames[0].phase_index or 0
            name = span("p", [number]) if len(stack.phases) > 1 else stack.phase_name
            yield value, Stack((frames,), is_part=True, phase_name=name), False
