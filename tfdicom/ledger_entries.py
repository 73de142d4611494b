"""Entries of the ledger for candidates that became nothing."""

from __future__ import annotations

from tfdicom.manifest import LEFT_OUT, SKIPPED, LedgerEntry
from tfdicom.reasons import REASONS
from tfdicom.sources.candidates import LeftFile


def left_entry(
    candidate: str, left: LeftFile, patient: str | None = None
) -> LedgerEntry:
    """The entry: skipped where something is wrong, left out where a policy says so."""
    status = SKIPPED if REASONS[left.reason].fault else LEFT_OUT
    return LedgerEntry(candidate, left.kind, status, left.reason, patient=patient)
