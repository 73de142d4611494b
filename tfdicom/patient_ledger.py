"""What became of the candidates of one patient, while the patient is converted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tfdicom.deidentify import Pseudonyms
from tfdicom.examples import FrameOutcome
from tfdicom.ledger_entries import left_entry
from tfdicom.manifest import CONVERTED, LedgerEntry
from tfdicom.sources.candidates import IMAGE, OBJECT, TEXT


class PatientLedger:
    """Collects outcomes by the candidates' names.

    Attributes:
      details: What exactly was wrong, by name; for the terminal.
    """

    def __init__(self, pseudonyms: Pseudonyms, patient: str, split: str) -> None:
        """Starts empty, for a patient by pseudonym and their split."""
        self._pseudonyms, self._patient, self._split = pseudonyms, patient, split
        self._left: dict[str, LedgerEntry] = {}
        self._converted: dict[str, LedgerEntry] = {}
        self._findings: dict[str, dict[str, None]] = {}
        self.details: dict[str, str] = {}

    def add(self, outcome: FrameOutcome) -> None:
        """Adds what became of a frame and of what is drawn on it."""
        image = self._pseudonyms.of("candidate", outcome.frame.name)
        for left in outcome.left:
            candidate = self._pseudonyms.of("candidate", left.path)
            self._left[left.path] = left_entry(candidate, left, self._patient, image)
            if left.detail:
                self.details[left.path] = left.detail
        for name, codes in outcome.findings.items():
            self._findings.setdefault(name, {}).update(dict.fromkeys(codes))
        if outcome.example is None:
            return
        frame = outcome.frame
        skipped = {one.path for one in outcome.left}
        self._enter(frame.name, IMAGE, frame.key)
        for one in frame.annotations:
            used = [name for name in one.candidates if name not in skipped]
            for name in used:
                self._enter(name, one.candidate_kind, frame.key)
            if used and one.kind != TEXT:
                # An object may be a part of many examples; its parts name them.
                self._enter(one.path, OBJECT, None)

    def _enter(self, name: str, kind: str, key: str | None) -> None:
        candidate = self._pseudonyms.of("candidate", name)
        self._converted[name] = LedgerEntry(
            candidate,
            kind,
            CONVERTED,
            key=key,
            split=self._split,
            patient=self._patient,
        )

    def entries(self) -> tuple[LedgerEntry, ...]:
        """One for each candidate, by its pseudonym."""
        converted = {
            name: dataclasses.replace(one, findings=tuple(self._findings.get(name, ())))
            for name, one in self._converted.items()
        }
        entries: Mapping[str, LedgerEntry] = self._left | converted
        return tuple(sorted(entries.values(), key=lambda one: one.candidate))
