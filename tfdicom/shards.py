"""Writes one shard: what a worker does, on this machine or on another."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import IO

from tfdicom import (
    current_run,
    dataset_index,
    example_schema,
    files,
    image_signature,
    input_stamps,
    processes,
    remote_files,
    shard_results,
    tfrecord_file,
)
from tfdicom.dataset_index import IndexEntry
from tfdicom.deidentify import Pseudonyms
from tfdicom.drawing import AnnotationRules
from tfdicom.examples import FrameOutcome, series_outcomes
from tfdicom.manifest import ShardInfo
from tfdicom.patient_ledger import PatientLedger
from tfdicom.plan import PatientPlan, ShardPlan
from tfdicom.shard_content import ShardContent
from tfdicom.shard_results import ExampleTrace, PatientResult, ShardResult
from tfdicom.source_contents import FileContent, content_of
from tfdicom.tfrecord_file import TFRecordWriter


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """What all shards of a conversion have in common.

    Attributes:
      input_dir: The input folder.
      output_dir: Folder to write to.
      rules: How annotations become masks.
      compression: One of ``tfrecord_file.COMPRESSIONS``.
      pseudonyms: Makes pseudonyms of candidates.
      run: Name of the run that may write there (``current_run``); empty for any.
    """

    input_dir: pathlib.Path
    output_dir: pathlib.Path
    rules: AnnotationRules
    compression: str
    pseudonyms: Pseudonyms
    run: str = ""

    def digest(self, patient: PatientPlan) -> str:
        """Equal where a patient is planned, and would be drawn, in the same way."""
        planned = repr((patient.series, self.rules))
        return self.pseudonyms.of("plan of a patient", planned)

    def labels(self, patient: PatientPlan) -> dict[str, str]:
        """Keyed digest of the labels of each frame, by candidate, where a table is."""
        digests = {
            self.pseudonyms.of("candidate", frame.name): self.pseudonyms.of(
                "labels", *(text for pair in frame.labels for text in pair)
            )[:16]
            for series in patient.series
            for frame in series.frames
            if frame.labels
        }
        return dict(sorted(digests.items()))


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """A shard that is to be written.

    Attributes:
      shard: Its plan.
      earlier: Folder that holds it as it was; None for none.
      kept: Pseudonyms of the patients whose records are taken from there.
      without: Files that are not to be opened again: workers died of them.
    """

    shard: ShardPlan
    earlier: pathlib.Path | None = None
    kept: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()


@dataclasses.dataclass
class ShardNotes:
    """What stays on this machine: paths, and words that may name them.

    Attributes:
      contents: What each file held, by path.
      details: What exactly was wrong, by candidate's name.
    """

    contents: dict[str, FileContent] = dataclasses.field(default_factory=dict)
    details: dict[str, str] = dataclasses.field(default_factory=dict)


def write_shard(job: ShardJob, task: ShardTask) -> ShardNotes:
    """Writes a shard and its result, each under a temporary name at first.

    Raises:
      RuntimeError: The job's run has ended, or another has begun.
      ValueError: A source file is gone, or an earlier shard damaged.
    """
    shard, notes = task.shard, ShardNotes()

    def write_patients(writer: TFRecordWriter) -> Iterator[PatientResult]:
        with contextlib.closing(_earlier_patients(job, task)) as earlier:
            for patient in shard.patients:
                if patient.patient in task.kept:
                    kept = next(one for one in earlier if _is_of(one, patient))
                    yield _kept(*kept, writer)
                else:
                    with remote_files.with_copies(job.input_dir, patient.sources):
                        result = _converted(job, task, patient, writer, notes)
                    yield result

    _write_file(
        job.output_dir,
        shard.split,
        shard.file,
        job.compression,
        write_patients,
        run=job.run,
    )
    return notes


def write_empty(folder: pathlib.Path, split: str, file: str, compression: str) -> None:
    """Writes a shard without a patient, as a withdrawal may leave one."""
    _write_file(folder, split, file, compression, lambda writer: iter(()))


def copy_without(
    folder: pathlib.Path,
    output: pathlib.Path,
    result: ShardResult,
    patient: str,
    compression: str,
) -> ShardResult:
    """Writes a shard again without a patient; the others' records stay what they are.

    Args:
      folder: Holds the shard.
      output: Folder to write to.
      result: What is known of the shard.
      patient: Pseudonym of the patient.
      compression: Of the data set.

    Raises:
      ValueError: The shard is damaged.
    """

    def write_patients(writer: TFRecordWriter) -> Iterator[PatientResult]:
        for before, records in _records_of(folder, result, compression):
            if before.patient != patient:
                yield _kept(before, records, writer)

    return _write_file(
        output, result.split, result.info.file, compression, write_patients
    )


def _write_file(
    output: pathlib.Path,
    split: str,
    name: str,
    compression: str,
    write_patients: Callable[[TFRecordWriter], Iterator[PatientResult]],
    *,
    run: str = "",
) -> ShardResult:
    """Writes a shard of what a function writes, and then its result."""
    with files.written_whole(output / name) as file:
        hashed = _Hashed(file)
        writer = TFRecordWriter(hashed, compression=compression)  # type: ignore[arg-type]
        patients = tuple(write_patients(writer))
        writer.finish()
        if run:
            current_run.check_run(output, run)
        # Stopped before the new one is there, the shard is not taken for an older one.
        files.remove(shard_results.path_of(output, name))
    content = ShardContent()
    for one in patients:
        content.merge(one.content)
    entries = [entry for one in patients for entry in one.entries]
    info = ShardInfo(
        file=name,
        examples=len(entries),
        size=hashed.size,
        data_size=sum(entry.length for entry in entries),
        sha256=hashed.digest.hexdigest(),
        annotated=dict(sorted(content.annotated.items())),
    )
    result = ShardResult(split, info, patients)
    if run:
        current_run.check_run(output, run)
    shard_results.write(output, result)
    return result


class _Hashed:
    """A file that is written, with its size and SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)


#: What came of a patient before, and the records.
_Earlier = tuple[PatientResult, list[bytes]]


def _is_of(earlier: _Earlier, patient: PatientPlan) -> bool:
    return earlier[0].patient == patient.patient


def _earlier_patients(
    job: ShardJob, task: ShardTask
) -> Generator[_Earlier, None, None]:
    """The patients of the shard as it was, in order: the plan's, as both are sorted."""
    if task.earlier is None or not task.kept:
        return
    result = shard_results.read(task.earlier, task.shard.file)
    yield from _records_of(task.earlier, result, job.compression)


def _records_of(
    folder: pathlib.Path, result: ShardResult, compression: str
) -> Iterator[_Earlier]:
    """The patients of a shard, each with the records."""
    path = folder / result.info.file
    if files.sha256_of(path) != result.info.sha256:
        raise ValueError(
            f"{path} is damaged: it is not the file that was written. Mend it with "
            f"tfdicom_inspect repair --data_dir={folder}"
        )
    records = tfrecord_file.read_records(path, compression=compression)
    for one in result.patients:
        yield one, [next(records) for _ in one.entries]


def _kept(
    before: PatientResult, records: list[bytes], writer: TFRecordWriter
) -> PatientResult:
    """Copies the records of a patient."""
    entries = []
    for entry, data in zip(before.entries, records, strict=True):
        offset = writer.write(data)
        entries.append(dataclasses.replace(entry, offset=offset))
    return dataclasses.replace(before, entries=tuple(entries))


def _converted(
    job: ShardJob,
    task: ShardTask,
    patient: PatientPlan,
    writer: TFRecordWriter,
    notes: ShardNotes,
) -> PatientResult:
    """Converts a patient."""
    stamps = input_stamps.by_path(patient.sources, patient.stamps)
    sources = _sources(job, patient, task.without, notes, stamps)
    collected = PatientLedger(job.pseudonyms, patient.patient, task.shard.split)
    content = ShardContent()
    entries: list[IndexEntry] = []
    traces: list[ExampleTrace] = []
    rules = dataclasses.replace(job.rules, deadly=task.without)
    for outcome in patient_outcomes(job.input_dir, rules, patient):
        collected.add(outcome)
        example = outcome.example
        if example is None:
            continue
        parts = example_schema.encode_parts(example)
        offset = writer.write(*parts)
        entries.append(
            dataset_index.entry_of(
                example,
                shard=task.shard.file,
                offset=offset,
                length=sum(map(len, parts)),
            )
        )
        content.add(example, outcome.intensities)
        traces.append(
            ExampleTrace(
                job.pseudonyms.of("candidate", outcome.frame.name),
                example.study,
                example.series,
                example.instance,
                outcome.pixel_hash,
                shard_results.signature_text(image_signature.signature(example.image)),
            )
        )
        del outcome, example, parts  # the next frame needs the room
    input_stamps.refuse(job.input_dir, input_stamps.changed(job.input_dir, stamps))
    notes.details |= collected.details
    return PatientResult(
        patient.patient,
        job.digest(patient),
        sources,
        tuple(entries),
        tuple(traces),
        content,
        collected.entries(),
        job.labels(patient),
    )


def _sources(
    job: ShardJob,
    patient: PatientPlan,
    without: frozenset[str],
    notes: ShardNotes,
    stamps: Mapping[str, bytes],
) -> dict[str, str]:
    """Digest of what each file of a patient holds, by candidate."""
    found: dict[str, str] = {}
    for path in patient.sources:
        if path in without:
            continue
        processes.now_at(path)
        try:
            content = content_of(job.input_dir / path)
        except FileNotFoundError as error:
            raise ValueError(
                f"{job.input_dir / path} is gone, which was there when the headers "
                "were read. Is the folder still mounted? When it is back, the same "
                "command goes on where this one stopped"
            ) from error
        except OSError:
            continue  # it is listed when it is read
        if content.changed and path in stamps:  # it may be read at a wrong place
            now = input_stamps.stamp(content.size, content.changed)
            input_stamps.refuse(job.input_dir, [path] if now != stamps[path] else [])
        notes.contents[path] = content
        found[job.pseudonyms.of("candidate", path)] = content.digest(job.pseudonyms)
    return dict(sorted(found.items()))


def patient_outcomes(
    input_dir: pathlib.Path, rules: AnnotationRules, patient: PatientPlan
) -> Iterator[FrameOutcome]:
    """The outcomes of a patient's frames, in order, each counted as done."""
    for series in patient.series:
        yield from series_outcomes(input_dir, series, rules)
        processes.count_done(len(series.frames))
