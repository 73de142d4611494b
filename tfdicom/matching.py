"""Which annotations lie on which frames, and which of several is taken.

Contour text files and mask images are paired with their images by name; objects are
matched with frames by what they refer to and by geometry, each in a worker process.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from tfdicom import processes
from tfdicom.annotated_frames import AnnotatedFrame, DrawnHere, resolved
from tfdicom.frame_headers import FrameHeader
from tfdicom.processes import Death
from tfdicom.reasons import REASONS, InputSkipped
from tfdicom.runners import Runner
from tfdicom.scan import ScannedFrame
from tfdicom.sources.annotation_objects import (
    AnnotationObject,
    LeftItem,
    Match,
    Matches,
)
from tfdicom.sources.candidates import (
    CONTOUR,
    IMAGE,
    MASKS,
    OBJECT,
    Annotation,
    LeftFile,
    Loss,
    candidate_name,
    loss_of,
)
from tfdicom.sources.readers import READERS
from tfdicom.structures import items_unused, items_used, terms_of

_OBJECTS_TOGETHER = 64
_NOWHERE = -1  # an item that no frame has
# Why an ROI is of no use where that takes nothing from its class.
_ADDS_NOTHING = ("roi_without_contours", "roi_of_points")
# Why an annotation is of no use whose image is not there.
_IMAGE_MISSING = (
    "contour_image_missing",
    "roi_images_missing",
    "seg_image_missing",
    "series_missing",
)


@dataclasses.dataclass(frozen=True)
class _Task:
    """An object, the frames it may mean, and its items that classes use."""

    described: AnnotationObject
    places: tuple[int, ...]
    frames: tuple[FrameHeader, ...]
    items: Mapping[int, tuple[str, ...]]
    terms: tuple[str, ...]
    killed_by: str = ""  # how a worker died of it, if two did


def match_annotations(
    folder: pathlib.Path,
    frames: Sequence[ScannedFrame],
    paired: Mapping[str, tuple[Annotation, ...]],
    objects: Sequence[AnnotationObject],
    terms: Sequence[str],
    *,
    policy: str,
    runner: Runner,
    progress: Callable[[int], None],
    left_out: Collection[str] = (),
) -> tuple[list[AnnotatedFrame], list[LeftFile]]:
    """Brings frames and annotations together.

    Args:
      folder: The input folder.
      frames: Frames of images.
      paired: Contour text files by the path of their image.
      objects: Annotation objects.
      terms: Structures that the classes use.
      policy: What to do where two objects draw one structure on one frame:
        ``newest``, ``raters`` or ``error``.
      runner: Who reads the objects.
      progress: Told how many objects are done.
      left_out: SOP Instance UIDs of images that a policy left out.

    Returns:
      Every frame; one for each rater where raters are kept apart. And what became
      nothing.

    Raises:
      ValueError: Two objects draw one structure on one frame, and the policy is
        ``error``.
    """
    left: list[LeftFile] = []
    drawn = [DrawnHere([], [], []) for _ in frames]
    for place, frame in enumerate(frames):
        for one in paired.get(frame.path, ()):
            used = terms_of([one.structure], terms)
            for term in used:
                bound = dataclasses.replace(one, structure=term)
                drawn[place].annotations.append((None, bound))
            if not used:
                kind = one.candidate_kind
                loss = loss_of(one, frame.name)
                left.append(LeftFile(one.path, kind, "structure_not_used", loss=loss))
    tasks = list(_tasks(frames, objects, terms, left))
    results = runner.map(
        functools.partial(_match, runner.whereabouts(folder)),
        tasks,
        progress=progress,
        on_death=_given_up,
        together=_OBJECTS_TOGETHER,
    )
    with contextlib.closing(results):
        for task, matches in zip(tasks, results, strict=True):
            if isinstance(matches, Matches):
                _enter(task, matches, frames, drawn, left)
            else:
                left.append(_lost_object(task.described, task.terms, *matches))
    annotated = [
        found
        for frame, one in zip(frames, drawn, strict=True)
        for found in resolved(frame, one, policy, left)
    ]
    names = {one.header.instance: one.name for one in reversed(frames)}
    return annotated, [_by_images(one, names, left_out) for one in left]


def _by_images(
    left: LeftFile, names: Mapping[str, str], left_out: Collection[str]
) -> LeftFile:
    """What is left, with its images by their names; not for a fault if a policy's."""
    if left.loss is None or not left.loss.images:
        return left
    images = left.loss.images
    if left.reason in _IMAGE_MISSING and left_out and set(images) <= set(left_out):
        return dataclasses.replace(left, reason="image_left_out")
    named = tuple(names.get(one, one) for one in images)
    return dataclasses.replace(left, loss=dataclasses.replace(left.loss, images=named))


def without_terms(left: Iterable[LeftFile], terms: Sequence[str]) -> Iterator[LeftFile]:
    """Contour files that were left for a fault, and that no class uses anyway."""
    for one in left:
        is_fault = one.kind == CONTOUR and REASONS[one.reason].fault
        if is_fault and one.loss and not terms_of(one.loss.names, terms):
            yield dataclasses.replace(one, reason="structure_not_used", loss=None)


def _tasks(
    frames: Sequence[ScannedFrame],
    objects: Sequence[AnnotationObject],
    terms: Sequence[str],
    left: list[LeftFile],
) -> Iterator[_Task]:
    find = Finder(frames if objects else ())
    for one in objects:
        left += (_left_file(one, _judged(item, terms)) for item in one.left)
        left += (
            _left_file(one, LeftItem(item.number, None, "structure_not_used"))
            for item in items_unused(one, terms)
            if one.kind != MASKS  # every mask has the values of all masks as items
        )
        used = items_used(one, terms)
        places = find.frames_of(one)
        if one.problem and (used or not one.items):
            problem = one.problem
            left.append(_lost_object(one, terms, problem.reason, problem.detail))
        elif not used:
            left.append(LeftFile(one.path, OBJECT, "object_not_used"))
        elif not places:
            left.append(_lost_object(one, terms, "series_missing"))
        else:
            headers = tuple(frames[place].header for place in places)
            yield _Task(one, places, headers, used, tuple(terms))


def _judged(left: LeftItem, terms: Sequence[str]) -> LeftItem:
    """An item of no use, which is a fault only where a class wants it."""
    if left.names and not terms_of(left.names, terms):
        return dataclasses.replace(left, reason="structure_not_used")
    return left


class Finder:
    """Finds the frames that an object may mean, by what it refers to."""

    def __init__(self, frames: Sequence[ScannedFrame]) -> None:
        """Sorts the frames by what an object can name."""
        self._series: dict[str, list[int]] = collections.defaultdict(list)
        self._reference: dict[str, list[int]] = collections.defaultdict(list)
        self._series_of: dict[str, str] = {}
        self._folders: dict[str, list[int]] = collections.defaultdict(list)
        for place, one in enumerate(frames):
            header = one.header
            self._series[header.series].append(place)
            self._series_of[header.instance] = header.series
            for folder in pathlib.PurePosixPath(one.path).parents:
                self._folders[str(folder)].append(place)
            if header.frame_of_reference:
                self._reference[header.frame_of_reference].append(place)

    def frames_of(self, described: AnnotationObject) -> tuple[int, ...]:
        """Places of all frames of the series that it may mean, in order.

        A volume that names nothing may mean every image of the nearest folder above
        it that holds any.
        """
        named = {
            self._series_of[instance]
            for instance in described.referenced_instances
            if instance in self._series_of
        }
        series = named or set(described.referenced_series) & set(self._series)
        places = [place for one in series for place in self._series[one]]
        if not places:
            places = self._reference.get(described.frame_of_reference, [])
        if not places and described.kind == MASKS:
            above = pathlib.PurePosixPath(described.path).parents
            near = (self._folders[str(one)] for one in above)
            places = next((found for found in near if found), [])
        return tuple(sorted(places))


def _given_up(task: _Task, death: Death) -> _Task:
    """The task as it is tried after a worker's death; after two, it reads nothing."""
    return task if death.count == 1 else dataclasses.replace(task, killed_by=death.how)


def _match(folder: pathlib.Path, task: _Task) -> Matches | tuple[str, str]:
    described = task.described
    processes.now_at(described.path)
    try:
        if task.killed_by:
            raise InputSkipped("worker_died", task.killed_by)
        path = folder / described.path
        match = READERS[described.kind].match
        return match(path, described, task.frames, tuple(task.items))
    except InputSkipped as skipped:
        return skipped.code, skipped.detail
    finally:
        processes.count_done()


def _left_file(described: AnnotationObject, left: LeftItem) -> LeftFile:
    kind = Annotation(described.kind, described.path, "").candidate_kind
    name = candidate_name(described.path, left.item, left.part)
    kind = OBJECT if left.item is None else kind
    own = (one.names for one in described.items if one.number == left.item)
    loss = Loss(left.names or next(own, ()), left.images)
    return LeftFile(name, kind, left.reason, left.detail, loss=loss)


def _lost_object(
    described: AnnotationObject, terms: Sequence[str], reason: str, detail: str = ""
) -> LeftFile:
    """An object of which nothing can be used, with what is known to be lost."""
    used = [one for one in described.items if terms_of(one.names, terms)]
    loss = Loss(
        names=tuple(name for one in used for name in one.names),
        images=described.referenced_instances,
        count=max(1, sum(max(1, one.parts) for one in used)),
    )
    return LeftFile(described.path, OBJECT, reason, detail, loss=loss)


def _enter(
    task: _Task,
    matches: Matches,
    frames: Sequence[ScannedFrame],
    drawn: Sequence[DrawnHere],
    left: list[LeftFile],
) -> None:
    """Enters what an object says of its frames.

    A term that several items are parts of is known on a frame where all of them are:
    one ROI drawn and the other unknown is no mask of both.
    """
    described = task.described
    left += (_left_file(described, one) for one in matches.left)
    by_frame: dict[int, list[Match]] = collections.defaultdict(list)
    for match in matches.matches:
        by_frame[match.frame].append(match)
    wanted = _items_wanted(task, matches)
    is_drawn = False
    for place, here in by_frame.items():
        series = task.frames[place].series
        known = {match.item for match in here}
        frame = drawn[task.places[place]]
        for match, term in ((m, term) for m in here for term in task.items[m.item]):
            one = _annotation(described, match, term, matches)
            if not wanted[term, series] <= known:
                left += _incomplete(one, frames[task.places[place]].name)
            elif match.parts:
                is_drawn = True
                frame.annotations.append((described, one))
                # Of the object: any one of its parts may yet be left out.
                codes = matches.findings.get(match.item, ())
                frame.findings += ((described.path, code) for code in codes)
            else:
                frame.absent.append((described, term))
    if is_drawn or any(one.item is None for one in matches.left):
        return
    # A mask image that is empty is a negative; of other objects it is a loss.
    is_negative = described.kind == MASKS and matches.matches
    reason = "object_all_absent" if is_negative else "object_without_mask"
    left.append(LeftFile(described.path, OBJECT, reason))


def _annotation(
    described: AnnotationObject, match: Match, term: str, matches: Matches
) -> Annotation:
    edge_rule = matches.edge_rules.get(match.item, "")
    return Annotation(
        described.kind, described.path, term, match.item, match.parts, edge_rule
    )


def _incomplete(one: Annotation, image: str) -> Iterator[LeftFile]:
    """What is drawn on an image of a class of which another part is unknown."""
    loss = loss_of(one, image)
    for name in one.candidates if one.parts else ():
        yield LeftFile(name, one.candidate_kind, "class_incomplete", loss=loss)


def _items_wanted(task: _Task, matches: Matches) -> dict[tuple[str, str], set[int]]:
    """Items that a term needs on frames of a series.

    Those that are anywhere in the series, and those that should be and failed.
    """
    series_of: dict[int, set[str]] = collections.defaultdict(set)
    for match in matches.matches:
        series_of[match.item].add(task.frames[match.frame].series)
    failed = {one.item for one in matches.left} - set(series_of)
    wanted = collections.defaultdict(set)
    # An outline that is of no use leaves its class unknown.
    lost = [
        term
        for one in task.described.left
        if one.reason not in _ADDS_NOTHING
        for term in terms_of(one.names, task.terms)
    ]
    for series in {one.series for one in task.frames}:
        for item, terms in task.items.items():
            if series in series_of[item] or item in failed:
                for term in terms:
                    wanted[term, series].add(item)
        for term in lost:
            wanted[term, series].add(_NOWHERE)
    return wanted


def paired_left(
    paired: Mapping[str, tuple[Annotation, ...]], left: Iterable[LeftFile]
) -> Iterator[LeftFile]:
    """The contour files of images that cannot be used."""
    for one in left:
        if one.kind == IMAGE:
            where = f"{one.path}: {one.detail}" if one.detail else one.path
            reason = reason_without(one.path, [one])
            for contour in paired.get(one.path, ()):
                kind, loss = contour.candidate_kind, loss_of(contour, one.path)
                yield LeftFile(contour.path, kind, reason, where, one.path, loss=loss)


def reason_without(path: str, left: Iterable[LeftFile]) -> str:
    """Why an annotation becomes nothing whose image is among those that are left."""
    reasons = (one.reason for one in left if one.path == path)
    policy = any(not REASONS[reason].fault for reason in reasons)
    return "image_left_out" if policy else "image_unusable"
