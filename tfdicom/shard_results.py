"""What came of a shard: a file beside the data set's own, one for each shard.

It holds, patient by patient, all that a later conversion needs to keep the records
without reading their sources again: which files they are made of and what those held,
where the records lie, what they add up to, and what became of each candidate. Files
are named by pseudonym, as everywhere in a data set. Each ends in a checksum of its own.
"""

from __future__ import annotations

import base64
import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tfdicom import sealed_json, shard_content
from tfdicom.dataset_index import IndexEntry
from tfdicom.manifest import LedgerEntry, ShardInfo
from tfdicom.shard_content import ShardContent

#: Folder of a data set that holds what only later conversions need.
CONVERSION = ".conversion"


@dataclasses.dataclass(frozen=True, slots=True)
class ExampleTrace:
    """What of an example must not be in two splits.

    Attributes:
      candidate: Pseudonym of the frame.
      study: Pseudonym of the study.
      series: Pseudonym of the series.
      instance: Pseudonym of the SOP Instance.
      pixel_hash: SHA-256 of the pixels; None where all are equal.
      signature: Of ``image_signature``, in base64; None where there is nothing to see.
    """

    candidate: str
    study: str
    series: str
    instance: str
    pixel_hash: str | None
    signature: str | None = None


def signature_text(signature: bytes | None) -> str | None:
    """A signature as a trace holds it."""
    return base64.b64encode(signature).decode() if signature else None


def signature_bytes(trace: ExampleTrace) -> bytes | None:
    """The signature of a trace."""
    return base64.b64decode(trace.signature) if trace.signature else None


@dataclasses.dataclass(frozen=True)
class PatientResult:
    """What came of a patient.

    Attributes:
      patient: Pseudonym.
      plan: Keyed digest of all that was planned and of the rules.
      sources: Keyed digest of size and checksum of each file that was read, by
        candidate: without the key nobody can test what else a file may have held.
      entries: Where the records lie; one after the other.
      traces: One for each entry.
      content: What the examples add up to.
      ledger: What became of the candidates.
      labels: Keyed digest of the labels of each frame, by candidate; empty without a
        table of labels.
    """

    patient: str
    plan: str
    sources: Mapping[str, str]
    entries: tuple[IndexEntry, ...]
    traces: tuple[ExampleTrace, ...]
    content: ShardContent
    ledger: tuple[LedgerEntry, ...]
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """What came of a shard: its file, and its patients in the records' order."""

    split: str
    info: ShardInfo
    patients: tuple[PatientResult, ...]

    def slim(self) -> ShardResult:
        """What index and audit need: a small part of the whole."""
        nothing = ShardContent()
        patients = (
            dataclasses.replace(one, sources={}, ledger=(), content=nothing, labels={})
            for one in self.patients
        )
        return dataclasses.replace(self, patients=tuple(patients))


def path_of(folder: pathlib.Path, shard_file: str) -> pathlib.Path:
    """Where the result of a shard lies below a data set's folder."""
    return folder / CONVERSION / f"{shard_file}.json"


def write(folder: pathlib.Path, result: ShardResult) -> None:
    """Writes a result, whole or not at all; equal results give equal bytes."""
    fields = {
        "split": result.split,
        "info": dataclasses.asdict(result.info),
        "patients": [_patient_to_json(one) for one in result.patients],
    }
    sealed_json.write(path_of(folder, result.info.file), fields, indent=None)


def read(folder: pathlib.Path, shard_file: str) -> ShardResult:
    """Reads a result.

    Raises:
      FileNotFoundError: There is none.
      ValueError: It is not what was written; names the file.
    """
    path = path_of(folder, shard_file)
    try:
        fields = sealed_json.read(path)
        info = ShardInfo(**fields["info"])
        patients = (_patient_from_json(one, info.file) for one in fields["patients"])
        return ShardResult(fields["split"], info, tuple(patients))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise sealed_json.unreadable(path, folder, error) from error


_ENTRY = ("key", "offset", "length", "annotated", "present")
_TRACE = tuple(field.name for field in dataclasses.fields(ExampleTrace))


def _patient_to_json(one: PatientResult) -> dict[str, Any]:
    return {
        "patient": one.patient,
        "plan": one.plan,
        "sources": dict(one.sources),
        "entries": _rows(one.entries, _ENTRY),
        "traces": _rows(one.traces, _TRACE),
        "content": one.content.to_json(),
        "ledger": [entry.told for entry in one.ledger],
        "labels": dict(one.labels),
    }


def _rows(values: Sequence[Any], names: Sequence[str]) -> list[list[Any]]:
    return [[getattr(one, name) for name in names] for one in values]


def _once(value: Any) -> Any:
    """The value; a text is the one object of all that are equal: many recur."""
    return sys.intern(value) if isinstance(value, str) else value


def _patient_from_json(fields: Mapping[str, Any], shard: str) -> PatientResult:
    return PatientResult(
        patient=fields["patient"],
        plan=fields["plan"],
        sources=dict(fields["sources"]),
        entries=tuple(
            IndexEntry(shard=shard, **dict(zip(_ENTRY, map(_once, row), strict=True)))
            for row in fields["entries"]
        ),
        traces=tuple(ExampleTrace(*map(_once, row)) for row in fields["traces"]),
        content=shard_content.content_from_json(fields["content"]),
        ledger=tuple(
            LedgerEntry(
                **{name: _once(value) for name, value in entry.items()}
                | {"findings": tuple(map(_once, entry.get("findings", ())))}
            )
            for entry in fields["ledger"]
        ),
        labels=dict(fields["labels"]),
    )
