"""What tells of a patient who is to be withdrawn, and the proof that none is left.

What tells are pseudonyms, keys and checksums, which stand nowhere else by chance, and
words that only this patient's labels had, which are looked for where labels are.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tfdicom import conversion_state, dataset_texts, files
from tfdicom.example_schema import FEATURES
from tfdicom.label_kinds import CLASS, LabelInfo
from tfdicom.manifest import Manifest, load_manifest
from tfdicom.shard_results import PatientResult, ShardResult
from tfdicom.tfrecord_file import read_records

_HEXADECIMAL = re.compile(rb"[0-9a-f]{16,}")
# Where labels stand: in records; in the manifest and beside the shards.
_LABEL_KEYS = (FEATURES["label_values"].key, ".vocabulary", ".labels")


@dataclasses.dataclass(frozen=True)
class Traces:
    """Everything that tells of a patient, and of nobody else.

    Attributes:
      digests: Pseudonyms, keys and checksums.
      words: Words of labels.
    """

    digests: frozenset[str]
    words: frozenset[str] = frozenset()

    def __len__(self) -> int:
        """Number of what is searched for."""
        return len(self.digests) + len(self.words)


def traces_of(
    patient: str,
    results: Sequence[ShardResult],
    lines: Iterable[Mapping[str, Any]],
    labels: Sequence[LabelInfo],
) -> Traces:
    """Gathers what tells of a patient.

    Args:
      patient: Pseudonym of the patient.
      results: What came of each shard.
      lines: Of the ledger.
      labels: Those of the data set.
    """
    ours: set[str] = {patient}
    others: set[str] = set()
    for result in results:
        for one in result.patients:
            (ours if one.patient == patient else others).update(_names(one))
    for line in lines:
        found = ours if line.get("patient") == patient else others
        found.add(line["candidate"])
    left = left_labels(labels, results, patient)
    known = {word for one in left for word in one.vocabulary}
    gone = {word for one in labels for word in one.vocabulary} - known
    return Traces(frozenset(ours - others), frozenset(gone))


def left_labels(
    labels: Sequence[LabelInfo], results: Sequence[ShardResult], patient: str
) -> tuple[LabelInfo, ...]:
    """The labels without words that only one patient had.

    A word that nobody has was given with the table, and stays.

    Raises:
      ValueError: No word of a label would be left.
    """
    ours, others = (_words(results, patient, theirs=theirs) for theirs in (True, False))
    found = []
    for label in labels:
        gone = ours.get(label.name, set()) - others.get(label.name, set())
        words = tuple(word for word in label.vocabulary if word not in gone)
        if label.kind == CLASS and not words:
            raise ValueError(
                f"withdraw: nobody else has a value of label {label.name!r}, which "
                "cannot be without words; take the patient out of the input, and that "
                "column out of the table, and convert anew with --overwrite"
            )
        found.append(dataclasses.replace(label, vocabulary=words))
    return tuple(found)


def _words(
    results: Iterable[ShardResult], patient: str, *, theirs: bool
) -> dict[str, set[str]]:
    """Values of each label that the patient has, or that the others have."""
    found: dict[str, set[str]] = {}
    for result in results:
        for one in result.patients:
            if (one.patient == patient) == theirs:
                for name, values in one.content.labels.items():
                    found.setdefault(name, set()).update(values)
    return found


def _names(one: PatientResult) -> Iterator[str]:
    yield one.patient
    yield from one.sources
    yield from (entry.candidate for entry in one.ledger)
    yield from (entry.key for entry in one.entries)
    for trace in one.traces:
        yield from (trace.candidate, trace.study, trace.series, trace.instance)
        if trace.pixel_hash:
            yield trace.pixel_hash


def prove(output: pathlib.Path, traces: Traces) -> int:
    """Searches every file of the data set, as it is now, for the traces.

    Returns:
      Number of files.

    Raises:
      RuntimeError: One is left.
    """
    found = load_manifest(output)
    width = conversion_state.DIGITS  # in the state they are cut short
    short = {one[:width].encode() for one in traces.digests}
    searched = 0
    for name, content in _contents(output, found.compression):
        searched += 1
        for match in _HEXADECIMAL.finditer(content):
            run = match[0]
            starts = range(len(run) - width + 1)
            if any(run[at : at + width] in short for at in starts):
                raise _left(name)
    if traces.words:
        _prove_words(output, found, traces.words)
    return searched


def _prove_words(output: pathlib.Path, found: Manifest, words: frozenset[str]) -> None:
    wanted = {word.encode() for word in words}
    for piece in dataset_texts.pieces(output, found):
        if piece.key.endswith(_LABEL_KEYS) and piece.data in wanted:
            raise _left(piece.file)


def _left(name: str) -> RuntimeError:
    return RuntimeError(
        f"{name} still tells of the patient who was withdrawn. That is a defect of "
        "tfdicom: report it, take the patient out of the input, and convert anew with "
        "--overwrite"
    )


def _contents(output: pathlib.Path, compression: str) -> Iterator[tuple[str, bytes]]:
    """Every file of the data set; of a shard, the records."""
    for path in (output / name for name in files.walk(output)):
        if path.name.endswith(".tfrecord"):
            records = read_records(path, compression=compression)
            yield path.name, b"\n".join(records)
        else:
            yield path.name, files.read_bytes(path)
