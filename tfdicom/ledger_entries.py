"""Entries of the ledger: those for what became nothing, and how they are counted."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from tfdicom.manifest import LEFT_OUT, SKIPPED, LedgerEntry
from tfdicom.reasons import REASONS
from tfdicom.sources.candidates import IMAGE, KINDS, LeftFile


def left_entry(
    candidate: str,
    left: LeftFile,
    patient: str | None = None,
    image: str | None = None,
) -> LedgerEntry:
    """The entry: skipped where something is wrong, left out where a policy says so.

    Args:
      candidate: Pseudonym of the file or part.
      left: What became nothing.
      patient: Pseudonym of the patient, where it is known.
      image: Pseudonym of the image that an annotation is on, where it is known.
    """
    status = SKIPPED if REASONS[left.reason].fault else LEFT_OUT
    return LedgerEntry(
        candidate,
        left.kind,
        status,
        left.reason,
        patient=patient,
        image=None if left.kind == IMAGE else image,
    )


def count_entries(entries: Iterable[LedgerEntry]) -> dict[str, dict[str, int]]:
    """Numbers by kind and status, by reason and by finding."""
    kinds: dict[str, collections.Counter] = {}
    reasons: collections.Counter = collections.Counter()
    findings: collections.Counter = collections.Counter()
    for entry in entries:
        kinds.setdefault(entry.kind, collections.Counter())[entry.status] += 1
        findings.update(entry.findings)
        if entry.reason:
            reasons[entry.reason] += 1
    ordered = {kind: kinds[kind] for kind in KINDS if kind in kinds}
    tables = {**ordered, "reasons": reasons, "findings": findings}
    return {name: dict(sorted(table.items())) for name, table in tables.items()}
