"""Reads the headers of files, in parallel: images, annotation objects, and the rest."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tfdicom import (
    file_scan,
    files,
    header_cache,
    processes,
    redaction,
    remote_files,
    stores,
)
from tfdicom.file_scan import FileToScan, Found, ScanRules
from tfdicom.frame_headers import FrameHeader
from tfdicom.input_stamps import UNKNOWN, InputStamps
from tfdicom.processes import Death
from tfdicom.reasons import InputSkipped
from tfdicom.runners import Runner
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import IMAGE, OBJECT, LeftFile
from tfdicom.stores import RemoteFact

_FILES_PER_TASK = 64
_TASKS_TOGETHER = 32
_RULES = ScanRules()


@dataclasses.dataclass(frozen=True)
class _Task:
    """Files that a worker reads; and of some, how they killed workers before."""

    files: tuple[FileToScan, ...]
    killers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class ScannedFrame:
    """A frame of an image: its file, relative, and its header."""

    path: str
    header: FrameHeader

    @property
    def name(self) -> str:
        """The file, and the frame's number where it has several."""
        return frame_name(self.path, self.header)


def frame_name(path: str, header: FrameHeader) -> str:
    """Name of a frame in the ledger: ``scan.dcm``, or ``scan.dcm#7`` of several."""
    return path if header.frame_count == 1 else f"{path}#{header.frame_number}"


@dataclasses.dataclass(frozen=True)
class Scan:
    """What the headers tell.

    Attributes:
      frames: Frames of images.
      objects: Annotation objects.
      left: What is neither, or of no use.
      named: Patient ID and Study Instance UID of files that give no frame, by path.
      left_out: SOP Instance UIDs of images that a policy leaves out.
      shared: First frames of the files that have a SOP Instance UID in common with
        another; most of them are left.
    """

    frames: tuple[ScannedFrame, ...]
    objects: tuple[AnnotationObject, ...]
    left: tuple[LeftFile, ...]
    named: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    shared: tuple[ScannedFrame, ...] = ()


def scan_files(
    folder: pathlib.Path,
    files: Sequence[FileToScan],
    *,
    runner: Runner,
    rules: ScanRules = _RULES,
    cache: pathlib.Path | None = None,
    stamps: InputStamps | None = None,
    progress: Callable[[int], None],
) -> Scan:
    """Reads every header; a file that kills two worker processes is left.

    Args:
      folder: The input folder.
      files: What to read.
      runner: Who reads them; with one process it is this one that a file would kill.
      rules: What is asked of them.
      cache: File with headers that were read before; None for none.
      stamps: Of the files, for the cache; None takes them now.
      progress: Told how many files are done.
    """
    results = _with_cache(folder, files, rules, runner, cache, stamps, progress)
    frames: list[ScannedFrame] = []
    objects: list[AnnotationObject] = []
    left: list[LeftFile] = []
    left_out: set[str] = set()
    for file, found in zip(files, results, strict=True):
        if isinstance(found, LeftFile):
            left.append(found)
        elif isinstance(found, AnnotationObject):
            objects.append(found)
        elif found[0].text_risk and not rules.text_risk:
            left.append(LeftFile(file.path, IMAGE, "pixel_text_risk"))
            left_out.add(found[0].instance)
        else:
            frames += [ScannedFrame(file.path, header) for header in found]
    redaction.note_headers(frame.header for frame in frames)
    for one in objects:
        redaction.note_structures(name for item in one.items for name in item.names)
        redaction.note_structures(name for item in one.left for name in item.names)
    shared = _shared(frames)
    copies = _copies(folder, frames, objects)
    left += (LeftFile(path, kind, "identical_copy") for path, kind in copies.items())
    frames = [one for one in frames if one.path not in copies]
    objects = [one for one in objects if one.path not in copies]
    usable = tuple(_without_duplicates(frames, left))
    alone = tuple(_without_duplicate_objects(objects, left))
    used = {one.path for one in usable}
    named = {}
    for file, found in zip(files, results, strict=True):
        header = found[0] if isinstance(found, tuple) else found
        if file.path not in used and (header.patient_id or header.study):
            named[file.path] = (header.patient_id, header.study)
    return Scan(usable, alone, tuple(left), named, frozenset(left_out), shared)


def _copies(
    folder: pathlib.Path,
    frames: Sequence[ScannedFrame],
    objects: Sequence[AnnotationObject],
) -> dict[str, str]:
    """Kind by path, of files that are another file's copy byte for byte."""
    paths: dict[tuple[str, str], dict[str, None]] = collections.defaultdict(dict)
    for frame in frames:
        paths[IMAGE, frame.header.instance][frame.path] = None
    for one in objects:
        paths[OBJECT, one.instance][one.path] = None
    found: dict[str, str] = {}
    for (kind, instance), same in paths.items():
        contents: set[str] = set()
        for path in sorted(same) if instance and len(same) > 1 else ():
            digest = files.sha256_of(folder / path)
            if digest in contents:
                found[path] = kind
            contents.add(digest)
    return found


def _with_cache(
    folder: pathlib.Path,
    files: Sequence[FileToScan],
    rules: ScanRules,
    runner: Runner,
    cache: pathlib.Path | None,
    stamps: InputStamps | None,
    progress: Callable[[int], None],
) -> list[Found]:
    """What each file is; those that have not changed since are not opened."""
    before = header_cache.load(cache)
    facts: Mapping[str, RemoteFact] = {}
    if not isinstance(folder, pathlib.Path):
        facts = stores.facts(folder)
    asked = {}
    if cache is not None:
        stamps = stamps or InputStamps(folder, sorted(one.path for one in files))
        for file in files:
            if (stamp := stamps.of(file.path)) != UNKNOWN:
                about = (stamp, file.role, file.class_name, rules.mask_values)
                asked[file.path] = about
    known = {
        path: before[path][1]
        for path, about in asked.items()
        if path in before and before[path][0] == about
    }
    new = [_with_size(file, facts) for file in files if file.path not in known]
    starts = range(0, len(new), _FILES_PER_TASK)
    tasks = [_Task(tuple(new[at : at + _FILES_PER_TASK])) for at in starts]
    before_now = len(known)
    parts = runner.map(
        functools.partial(_read_all, runner.whereabouts(folder), rules),
        tasks,
        progress=lambda done: progress(done + before_now),
        on_death=_without_killer,
        together=_TASKS_TOGETHER,
    )
    with contextlib.closing(parts):
        found = (one for part in parts for one in part)
        known |= dict(zip((file.path for file in new), found, strict=True))
    if new or len(before) > len(known):
        kept = {
            path: (about, known[path])
            for path, about in asked.items()
            if _is_lasting(known[path])
        }
        header_cache.save(cache, kept)
    return [known[file.path] for file in files]


def _is_lasting(found: Found) -> bool:
    """Whether the file alone decides: not what is installed, or who may read it."""
    return not isinstance(found, LeftFile) or found.reason == "stray_file"


def _without_killer(task: _Task, death: Death) -> _Task:
    """What is tried after a death: the same, then without the file that killed."""
    if death.count == 1:
        return task
    if all(file.path != death.at for file in task.files):
        raise RuntimeError(
            f"a worker process died again ({death}), before its first file. Run the "
            "command again with fewer --num_workers"
        )
    return dataclasses.replace(task, killers={**task.killers, death.at: death.how})


def _with_size(file: FileToScan, facts: Mapping[str, RemoteFact]) -> FileToScan:
    fact = facts.get(file.path)
    return dataclasses.replace(file, size=fact.size) if fact else file


def _read_all(folder: pathlib.Path, rules: ScanRules, task: _Task) -> list[Found]:
    sizes = {one.path: one.size for one in task.files if one.size is not None}
    with remote_files.with_heads(folder, sizes):
        return _read_each(folder, rules, task)


def _read_each(folder: pathlib.Path, rules: ScanRules, task: _Task) -> list[Found]:
    results: list[Found] = []
    for file in task.files:
        if file.path in task.killers:
            died = InputSkipped("worker_died", task.killers[file.path])
            results.append(file_scan.unread(file, died, rules))
        else:
            processes.now_at(file.path)
            results.append(file_scan.read(folder, file, rules))
        processes.count_done()
    return results


def _shared(frames: Sequence[ScannedFrame]) -> tuple[ScannedFrame, ...]:
    """First frames of the files that have their SOP Instance UID from another."""
    firsts = [one for one in frames if one.header.frame_number == 1]
    count = collections.Counter(one.header.instance for one in firsts)
    return tuple(one for one in firsts if count[one.header.instance] > 1)


def _without_duplicates(
    frames: Sequence[ScannedFrame], left: list[LeftFile]
) -> Iterator[ScannedFrame]:
    """Takes out all files that share a SOP Instance UID: which is right, none says."""
    paths: dict[str, set[str]] = collections.defaultdict(set)
    for one in frames:
        paths[one.header.instance].add(one.path)
    for one in frames:
        if len(paths[one.header.instance]) == 1:
            yield one
        elif one.header.frame_number == 1:
            left.append(LeftFile(one.path, IMAGE, "duplicate_instance"))


def _without_duplicate_objects(
    objects: Iterable[AnnotationObject], left: list[LeftFile]
) -> Iterator[AnnotationObject]:
    objects = list(objects)
    count = collections.Counter(one.instance for one in objects)
    for one in objects:
        if not one.instance or count[one.instance] == 1:
            yield one
        else:
            left.append(LeftFile(one.path, OBJECT, "duplicate_instance"))
