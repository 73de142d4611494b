"""Which frames a label volume annotates: those of the series that lie on its grid."""

from __future__ import annotations

import collections
from collections.abc import Collection, Sequence

import numpy as np

from tfdicom import spatial
from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.sources import nifti
from tfdicom.sources.annotation_objects import (
    AnnotationObject,
    LeftItem,
    Match,
    Matches,
)
from tfdicom.sources.nifti import Placement, Volume


def match_volume(
    volume: Volume,
    described: AnnotationObject,
    frames: Sequence[FrameHeader],
    items: Collection[int],
) -> Matches:
    """Finds the frames that a volume covers.

    Without a word on the series, it is the one whose frames' pixels are voxels of the
    volume; its frames in between are resampled. A series that was named is resampled
    as a whole if need be. Several frames in one place: those that were named.

    Args:
      volume: The volume.
      described: Its object; it names series and images where a table does.
      frames: All frames that it may mean.
      items: Values that classes use; 0 means any value but zero.
    """
    named = set(described.referenced_series)
    places = [
        place
        for place, frame in enumerate(frames)
        if frame.plane is not None and (not named or frame.series in named)
    ]
    where = _placement(volume, [frames[place] for place in places])
    reason, detail, chosen = _chosen([frames[place] for place in places], where, named)
    if reason:
        return Matches((), (LeftItem(None, None, reason, detail),))
    left = _uncovered(chosen, where)
    chosen &= where.covered
    chosen, ambiguous = _one_at_each_place(
        volume,
        [frames[place] for place in places],
        where,
        chosen,
        set(described.referenced_instances),
    )
    matches = [
        match
        for at in np.flatnonzero(chosen).tolist()
        for match in _frame_matches(volume, frames, places[at], where, at, items)
    ]
    findings = volume.findings
    if (chosen & ~where.on_grid).any():
        findings = (*findings, "mask_resampled")
    return Matches(
        tuple(matches),
        (*left, *ambiguous),
        {item: findings for item in items} if findings else {},
    )


def draw_volume(volume: Volume, item: int, header: FrameHeader) -> np.ndarray:
    """What an item covers on a frame, bool ``[rows, columns]``.

    Raises:
      InputSkipped: The frame says no plane.
    """
    if header.plane is None:
        raise InputSkipped("mask_off_images", "the frame says no plane")
    where = _placement(volume, [header])
    return _plane(_labels(volume, header, where, 0), item)


def _placement(volume: Volume, frames: Sequence[FrameHeader]) -> Placement:
    planes = [frame.plane for frame in frames if frame.plane is not None]
    return nifti.place(volume, planes, [(one.rows, one.columns) for one in frames])


def _labels(
    volume: Volume, header: FrameHeader, where: Placement, at: int
) -> np.ndarray:
    size = (header.rows, header.columns)
    return nifti.sample(volume, where.steps[at], size, on_grid=bool(where.on_grid[at]))


def _chosen(
    frames: Sequence[FrameHeader], where: Placement, named: Collection[str]
) -> tuple[str, str, np.ndarray]:
    """A reason code and detail why there is no series; else which frames are of it."""
    exact = where.on_grid & where.covered
    series = [(frame.study, frame.series) for frame in frames]
    found = {series[at] for at in np.flatnonzero(exact)}
    none = np.zeros(len(frames), bool)
    if len(found) > 1 and not named:
        return "mask_series_unclear", f"{len(found)} series lie on its grid", none
    if found and not named:
        return "", "", np.array([one in found for one in series], bool)
    if named and where.covered.any():
        return "", "", ~none
    reached = where.touched & (where.on_grid | bool(named))
    if reached.any():
        return "mask_too_small", f"{reached.sum()} frames reach over its edge", none
    return "mask_off_images", f"{len(frames)} frames were compared", none


def _uncovered(chosen: np.ndarray, where: Placement) -> tuple[LeftItem, ...]:
    partly = int((chosen & where.touched & ~where.covered).sum())
    if not partly:
        return ()
    detail = f"{partly} frames reach over its edge"
    return (LeftItem(None, None, "mask_too_small", detail),)


def _one_at_each_place(
    volume: Volume,
    frames: Sequence[FrameHeader],
    where: Placement,
    chosen: np.ndarray,
    named: Collection[str],
) -> tuple[np.ndarray, tuple[LeftItem, ...]]:
    """Takes out frames that share a place, as phases do, but for those named."""
    groups = collections.defaultdict(list)
    for at in np.flatnonzero(chosen).tolist():
        series = frames[at].study, frames[at].series
        groups[(*series, int(where.across[at]))].append(at)
    kept, dropped = chosen.copy(), 0
    for (*_, axis), members in groups.items():
        by_slice = collections.defaultdict(list)
        distances = _distances(volume, frames, where, members, axis)
        for index, at in zip(spatial.slice_indices(distances), members, strict=True):
            by_slice[index].append(at)
        for here in by_slice.values():
            is_named = [frames[at].instance in named for at in here]
            if len(here) > 1 and not all(is_named):
                kept[here] = is_named
                dropped += 0 if any(is_named) else len(here)
    if not dropped:
        return kept, ()
    detail = f"{dropped} frames share their places with others"
    return kept, (LeftItem(None, None, "mask_frames_unclear", detail),)


def _distances(
    volume: Volume,
    frames: Sequence[FrameHeader],
    where: Placement,
    members: Sequence[int],
    axis: int,
) -> list[float]:
    """Of the middles of frames along one axis of the voxels, mm."""
    middles = np.array(
        [[1, (frames[at].columns - 1) / 2, (frames[at].rows - 1) / 2] for at in members]
    )
    along = (where.steps[members, :, axis] * middles).sum(axis=1)
    return (along / np.linalg.norm(volume.to_voxel[axis, :3])).tolist()


def _frame_matches(
    volume: Volume,
    frames: Sequence[FrameHeader],
    place: int,
    where: Placement,
    at: int,
    items: Collection[int],
) -> list[Match]:
    header = frames[place]
    labels = _labels(volume, header, where, at)
    axis = int(where.across[at])
    middle = where.steps[at].T @ [1, (header.columns - 1) / 2, (header.rows - 1) / 2]
    part = int(np.rint(middle[axis]).clip(0, volume.shape[axis] - 1)) + 1
    return [
        Match(place, item, (part,) if _plane(labels, item).any() else ())
        for item in sorted(items)
    ]


def _plane(labels: np.ndarray, item: int) -> np.ndarray:
    """Where an item is; 0 means any value but zero."""
    return labels == item if item else labels != 0
