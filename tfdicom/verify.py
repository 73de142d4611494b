"""Checks a data set from its files alone: every record, and all that is said of them.

Shards are read in parallel, each record once. What is kept of each is its key, the
names that must not be in two splits, and the signature of its image.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import pathlib
from collections.abc import Iterator, Sequence

from tfdicom import (
    files,
    folder_checks,
    processes,
    shard_checks,
    split_checks,
)
from tfdicom.index_scan import scan_index
from tfdicom.leakage import LeakageAudit, Place
from tfdicom.manifest import Manifest, load_manifest
from tfdicom.near_duplicates import LikeImages
from tfdicom.progress import Progress
from tfdicom.shard_checks import ShardFound, ShardToCheck
from tfdicom.shard_content import ShardContent
from tfdicom.verification import ProblemList, VerifyResult

_NAMED = 20  # pairs of patients in the notes


def verify(data_dir: str | pathlib.Path, *, num_workers: int = 0) -> VerifyResult:
    """Checks a data set.

    Args:
      data_dir: Folder of the data set, local or with a scheme.
      num_workers: Processes; 0: one for each processor.

    Returns:
      What is wrong, and what else was found.

    Raises:
      FileNotFoundError: The folder holds no data set.
      ValueError: The manifest cannot be read; without it nothing else can be checked.
    """
    folder = files.path_of(data_dir)
    manifest = load_manifest(data_dir)
    problems = ProblemList()
    problems.extend(folder_checks.check_manifest(folder, manifest))
    problems.extend(folder_checks.check_files(folder, manifest))
    problems.extend(folder_checks.check_checksums(folder))
    notes = []
    with_results = folder_checks.has_results(folder)
    if with_results:
        problems.extend(folder_checks.check_state(folder, manifest))
    else:
        notes.append("without .conversion this data set cannot be extended or repaired")
    whole = _Whole(manifest, problems)
    shards = _shards(folder, manifest, problems)
    total = sum(one.info.examples for one in shards)
    check = functools.partial(shard_checks.check_shard, folder, manifest, with_results)
    with Progress("records", total, "records") as progress:
        found = processes.map_in_processes(
            check,
            shards,
            workers=num_workers or processes.default_workers(),
            progress=progress,
        )
        for shard, one in zip(shards, found, strict=True):
            whole.add(shard, one)
    whole.finish()
    problems.extend(folder_checks.check_ledger(folder, manifest, whole.split_of))
    notes += whole.notes()
    return VerifyResult(
        str(data_dir),
        tuple(whole.rows()),
        tuple(problems),
        tuple(notes),
        tuple(one.info.file for one in shards),
    )


def _shards(
    folder: pathlib.Path, manifest: Manifest, problems: ProblemList
) -> list[ShardToCheck]:
    named = [
        (split, shard)
        for split, info in manifest.splits.items()
        for shard in info.shards
    ]
    scan = scan_index(folder, [shard.file for _, shard in named])
    problems.extend(scan.problems)
    return [ShardToCheck(*one, scan.spans.get(one[1].file)) for one in named]


class _Whole:
    """What all shards together tell; they are added in the manifest's order."""

    def __init__(self, manifest: Manifest, problems: ProblemList) -> None:
        self._manifest, self._problems = manifest, problems
        self.split_of: dict[bytes, str] = {}
        self._patients = split_checks.PatientChecks(manifest)
        self._contents = {name: ShardContent() for name in manifest.splits}
        self._incomplete: set[str] = set()
        self._audit = LeakageAudit()
        self._images = LikeImages()

    def add(self, shard: ShardToCheck, found: ShardFound) -> None:
        file, split = shard.info.file, shard.split
        self._problems.extend(found.problems)
        self._problems.extend(self._patients.check_shard(split, file, found.examples))
        self._contents[split].merge(found.content)
        if not found.complete:
            self._incomplete.add(split)
        for one, signature in zip(found.examples, found.signatures, strict=True):
            self._audit.add(one)
            place = Place(one.split, one.patient, one.name)
            self._images.add(signature, place, one.pixel_hash)
            self._add_key(one.name, split, file)
        for key in found.lost:  # which the ledger has, and rightly
            with contextlib.suppress(ValueError):
                self.split_of.setdefault(bytes.fromhex(key), split)

    def _add_key(self, key: str, split: str, file: str) -> None:
        try:
            name = bytes.fromhex(key)
        except ValueError:
            return  # which its own check says
        if name in self.split_of:
            text = "another example has the same key"
            self._problems.add("key_twice", text, file=file, key=key)
        self.split_of[name] = split

    def finish(self) -> None:
        """What only all shards together tell."""
        self._problems.extend(self._patients.check_order())
        for name, info in self._manifest.splits.items():
            if name not in self._incomplete:  # else they cannot be the same
                self._problems.extend(
                    split_checks.check_totals(
                        name, info, self._manifest, self._contents[name]
                    )
                )
        for one in self._audit.leaks:
            self._problems.add(f"leak_{one.kind}", str(one))

    def notes(self) -> Iterator[str]:
        """What is not wrong."""
        within = [one for one in self._audit.shared if not one.is_leak]
        yield from _some([str(one) for one in within], "pairs of patients")
        pairs = self._images.patients()
        yield from _some(
            [str(one) for one in pairs], "pairs of patients that look alike"
        )

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The table of what was read."""
        names = self._manifest.class_names
        yield ("split", "shards", "patients", "examples", *names)
        for split, info in self._manifest.splits.items():
            content = self._contents[split]
            yield (
                split,
                str(len(info.shards)),
                str(self._patients.number(split)),
                str(content.frames.total()),
                *(_shown(content, name) for name in names),
            )


def _shown(content: ShardContent, name: str) -> str:
    figures = content.classes.get(name, collections.Counter())
    return f"{figures['positive']}/{figures['annotated']}"


def _some(sentences: Sequence[str], what: str) -> Iterator[str]:
    yield from sentences[:_NAMED]
    if len(sentences) > _NAMED:
        yield f"and {len(sentences) - _NAMED} more {what}"
