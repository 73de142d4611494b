"""Whether patients who are in a data set already are planned as they were.

New files may change what is planned of a patient, and so may a file that could be read
only now. What else changes it is a table: whose the files are, what belongs together,
or which labels they have. That would make other records under the same name.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator

from tfdicom.conversion_state import InputsChanged
from tfdicom.plan import PatientPlan
from tfdicom.shard_results import PatientResult
from tfdicom.shards import ShardJob
from tfdicom.sources.candidates import MASKS, TEXT

_SHOWN = 5
_BY_PATH = (TEXT, MASKS)  # what tables and names pair with images
_MOVED = (
    "are now another patient's; whose they are, or what they belong to, says a link "
    "file, --mask_table, --patient_from or the folders' names"
)
_RELABELLED = "have other labels now than those in the records (--labels)"
_OTHERWISE = (
    "would be made otherwise than they are, though none of their files is new; has "
    "a table changed (link file, --mask_table, --patient_from, --labels), or does a "
    "second copy of one of their files lie in the input"
)


class PlanChanges:
    """Collects, shard by shard, who is planned otherwise; then judges."""

    def __init__(self, job: ShardJob) -> None:
        """Starts before the first shard."""
        self._job = job
        self._owners: dict[str, list[str]] = collections.defaultdict(list)
        self._others: list[tuple[PatientPlan, PatientResult | None]] = []

    def know(self, result: PatientResult) -> None:
        """Adds a patient whose records are there."""
        for candidate in result.sources:
            self._owners[candidate].append(result.patient)

    def add(self, patient: PatientPlan, before: PatientResult | None) -> None:
        """Adds a patient who is planned otherwise than before, or is new."""
        self._others.append((patient, before))

    def refuse(self) -> None:
        """Judges.

        Raises:
          InputsChanged: Something else than new files makes other records of patients
            who are there; names the first few.
        """
        found: dict[str, list[str]] = collections.defaultdict(list)
        for patient, before in self._others:
            moved = [*self._moved(patient)]
            found[_MOVED] += moved
            if before is None:
                continue
            relabelled = [*self._relabelled(patient, before)]
            found[_RELABELLED] += sorted(relabelled)
            if not moved and not relabelled and self._is_otherwise(patient, before):
                found[_OTHERWISE].append(patient.source_patient)
        told = [
            f"{', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''} "
            f"({len(names)}) {what}"
            for what, names in found.items()
            if names
        ]
        if told:
            raise InputsChanged(
                f"{'. '.join(told)}. Restore it as it was (lines for new patients may "
                "stay), or convert anew with --overwrite"
            )

    def _moved(self, patient: PatientPlan) -> Iterator[str]:
        """Files of the patient that are in the records of others alone."""
        for path in sorted(_named_paths(patient)):
            candidate = self._job.pseudonyms.of("candidate", path)
            owners = self._owners.get(candidate, ())
            if owners and patient.patient not in owners:
                yield path

    def _relabelled(self, patient: PatientPlan, before: PatientResult) -> Iterator[str]:
        now = self._job.labels(patient)
        names = {
            self._job.pseudonyms.of("candidate", frame.name): frame.name
            for series in patient.series
            for frame in series.frames
        }
        for candidate, digest in before.labels.items():
            if now.get(candidate, digest) != digest:
                yield names[candidate]

    def _is_otherwise(self, patient: PatientPlan, before: PatientResult) -> bool:
        if before.plan == self._job.digest(patient):
            return False
        return all(
            self._job.pseudonyms.of("candidate", path) in before.sources
            for path in patient.sources
        )


def _named_paths(patient: PatientPlan) -> set[str]:
    """Files that are the patient's, or belong to an image, because something says so.

    Objects name their images themselves, so that no table can move them alone.
    """
    frames = [frame for series in patient.series for frame in series.frames]
    return {frame.path for frame in frames}.union(
        one.path
        for frame in frames
        for one in frame.annotations
        if one.kind in _BY_PATH
    )
