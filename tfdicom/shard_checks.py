"""Checks one shard: its file, each record, the index's lines and the stored result."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

from tfdicom import (
    dataset_index,
    example_schema,
    files,
    image_signature,
    processes,
    record_checks,
    result_checks,
    shard_results,
    tfrecord_file,
)
from tfdicom.dataset_index import IndexEntry
from tfdicom.example_schema import FrameExample
from tfdicom.index_scan import entries_of
from tfdicom.leakage import AuditedExample
from tfdicom.manifest import Manifest, ShardInfo
from tfdicom.result_checks import FoundShard
from tfdicom.shard_content import ShardContent
from tfdicom.shard_results import ExampleTrace
from tfdicom.tfrecord_file import SalvagedRecord
from tfdicom.verification import Problem, ProblemList

_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class ShardToCheck:
    """A shard, its split, and where its lines lie in the index."""

    split: str
    info: ShardInfo
    span: tuple[int, int] | None


@dataclasses.dataclass(frozen=True)
class ShardFound:
    """What a shard holds.

    Attributes:
      problems: What is wrong with it.
      examples: Its examples, in order, those that can be read.
      signatures: Of each example; None where there is none.
      content: What they add up to.
      lost: Keys, as the index has them, of examples that cannot be read.
      complete: Whether every record could be read.
    """

    problems: tuple[Problem, ...]
    examples: tuple[AuditedExample, ...]
    signatures: tuple[bytes | None, ...]
    content: ShardContent
    lost: tuple[str, ...]
    complete: bool


def check_shard(
    folder: pathlib.Path, manifest: Manifest, with_results: bool, shard: ShardToCheck
) -> ShardFound:
    """Checks a shard.

    Args:
      folder: Of the data set.
      manifest: Its manifest.
      with_results: Whether what came of each shard is stored beside the data set.
      shard: Which one.
    """
    check = _ShardCheck(manifest, shard)
    path = folder / shard.info.file
    entries = entries_of(folder, shard.span, shard.info.file)
    if not files.exists(path):
        check.problems.add("shard_missing", "there is no such file", file=path.name)
        check.lost += (one.key for one in entries)
        processes.count_done(shard.info.examples)
        return check.found(complete=False)
    _check_bytes(path, shard.info, check.problems)
    check.check_records(path, entries)
    found = check.found(complete=check.complete)
    if not with_results:
        return found
    traces = check.traces if found.complete else None
    stored = FoundShard(shard.split, shard.info, entries, traces, found.content)
    check.problems.extend(result_checks.check_result(folder, stored))
    return check.found(complete=check.complete)


def _check_bytes(path: pathlib.Path, info: ShardInfo, problems: ProblemList) -> None:
    digest, size = hashlib.sha256(), 0
    with files.opened(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    if size != info.size:
        text = f"{size} bytes, the manifest says {info.size}"
        problems.add("shard_size", text, file=info.file)
    if digest.hexdigest() != info.sha256:
        problems.add("shard_checksum", "SHA-256 is not the manifest's", file=info.file)


class _ShardCheck:
    """One walk through a shard's records, and what was seen on it."""

    def __init__(self, manifest: Manifest, shard: ShardToCheck) -> None:
        self._manifest, self._shard = manifest, shard
        self.problems = ProblemList()
        self.traces: list[ExampleTrace] = []
        self.lost: list[str] = []
        self.complete = True
        self._examples: list[AuditedExample] = []
        self._signatures: list[bytes | None] = []
        self._content = ShardContent()
        self._last: FrameExample | None = None

    def found(self, *, complete: bool) -> ShardFound:
        return ShardFound(
            tuple(self.problems),
            tuple(self._examples),
            tuple(self._signatures),
            self._content,
            tuple(self.lost),
            complete,
        )

    def check_records(self, path: pathlib.Path, entries: Sequence[IndexEntry]) -> None:
        """Reads all records, whole or not, and follows the index beside them."""
        info = self._shard.info
        waiting = {one.offset: one for one in entries}
        self._check_order(entries, waiting)
        count = size = 0
        for record in tfrecord_file.salvage_records(
            path, compression=self._manifest.compression, offsets=sorted(waiting)
        ):
            count += 1
            size += len(record.data or b"")
            self._check_record(record, waiting.pop(record.offset, None))
            processes.count_done()
        for one in waiting.values():
            text = f"no record at offset {one.offset}, where the index has one"
            self.problems.add("index_offset", text, file=info.file, key=one.key)
            self.lost.append(one.key)
        self._compare("shard_examples", "records", count, info.examples)
        if self.complete:
            self._compare("shard_size", "bytes of records", size, info.data_size)
            patterns = dict(self._content.annotated)
            self._compare("shard_annotated", "known", patterns, dict(info.annotated))

    def _compare(self, code: str, what: str, found: object, told: object) -> None:
        if found != told:
            text = f"{what}: {found}, the manifest says {told}"
            self.problems.add(code, text, file=self._shard.info.file)

    def _check_order(
        self, entries: Sequence[IndexEntry], by_offset: dict[int, IndexEntry]
    ) -> None:
        offsets = [one.offset for one in entries]
        if offsets != sorted(by_offset):
            text = "the index's lines of this shard are not in the records' order"
            self.problems.add("index_order", text, file=self._shard.info.file)

    def _check_record(self, record: SalvagedRecord, entry: IndexEntry | None) -> None:
        key = entry.key if entry else ""
        where: dict[str, Any] = {
            "file": self._shard.info.file,
            "record": record.number,
            "key": key,
        }
        if entry is None:
            text = "no line of the index leads to this record"
            self.problems.add("index_record", text, **where)
        if record.data is None:
            self._lose(entry)
            self.problems.add("record_damaged", record.error, **where)
            return
        try:
            example = example_schema.decode(record.data)
        except ValueError as error:
            self._lose(entry)
            self.problems.add("record_undecodable", str(error), **where)
            return
        where["key"] = example.key
        counts = record_checks.intensities(example)
        checks = (
            self._check_form(example, record.data),
            record_checks.check_example(example, self._manifest, counts),
            self._check_place(example),
            self._check_entry(example, record.data, entry),
        )
        for code, text in itertools.chain(*checks):
            self.problems.add(code, text, **where)
        self._take(example, counts)

    def _lose(self, entry: IndexEntry | None) -> None:
        self.complete = False
        if entry:
            self.lost.append(entry.key)

    def _check_form(self, example: FrameExample, data: bytes) -> record_checks.Wrong:
        if example_schema.encode(example) != data:
            yield "record_form", "holds more than the schema knows, or in another form"

    def _check_entry(
        self, example: FrameExample, data: bytes, entry: IndexEntry | None
    ) -> record_checks.Wrong:
        if entry is None:
            return
        told = dataset_index.entry_of(
            example, shard=entry.shard, offset=entry.offset, length=len(data)
        )
        for name in ("key", "length", "annotated", "present"):
            found, wanted = getattr(entry, name), getattr(told, name)
            if found != wanted:
                yield f"index_{name}", f"the index says {found}, the record {wanted}"

    def _check_place(self, example: FrameExample) -> record_checks.Wrong:
        """Within a patient: series by series, slices in space, then in time."""
        last, self._last = self._last, example
        if last and last.patient == example.patient and _place(last) > _place(example):
            yield "order", f"belongs before the record before it, {last.key}"

    def _take(
        self, example: FrameExample, counts: record_checks.Intensities | None
    ) -> None:
        """Keeps what is to be compared with other shards, and adds to the totals."""
        pixel_hash = signature = None
        if counts is None:
            self.complete = False
        else:
            pixel_hash = image_signature.pixel_hash(example.image)
            signature = image_signature.signature(example.image)
            self._content.add(example, counts)
        self._signatures.append(signature)
        names = example.study, example.series, example.instance, pixel_hash
        text = shard_results.signature_text(signature)
        self.traces.append(ExampleTrace("", *names, signature=text))
        self._examples.append(
            AuditedExample(
                split=self._shard.split,
                patient=example.patient,
                study=example.study,
                series=example.series,
                instance=example.instance,
                pixel_hash=pixel_hash,
                name=example.key,
            )
        )


def _place(example: FrameExample) -> tuple:
    numbers = example.acquisition_group, example.slice_index, example.phase_index
    return (
        example.study,
        example.series,
        *(-1 if number is None else number for number in numbers),
    )
