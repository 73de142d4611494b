"""What became of each file: the ledger's entries while a conversion runs."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import pathlib
from collections.abc import Collection, Iterable, Iterator, Mapping

from tfdicom import files, manifest
from tfdicom.annotation_losses import AnnotationLosses, PatientLoss
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms, write_crosswalk
from tfdicom.ledger_entries import count_entries, left_entry
from tfdicom.manifest import LEFT_OUT, SKIPPED, LedgerEntry
from tfdicom.plan import Plan
from tfdicom.reasons import FINDINGS, REASONS
from tfdicom.shard_results import ShardResult
from tfdicom.sources.candidates import OBJECT, LeftFile, file_of

#: Pseudonym and source identifier of a patient.
Owner = tuple[str, str]
_SHOWN_FOR_EACH_REASON = 5
_TOLERATED_ERRORS = 10


class Ledger:
    """Collects one entry for each file; paths stay in memory, never in an entry."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        """Starts empty."""
        self._pseudonyms = pseudonyms
        self._entries: dict[str, LedgerEntry] = {}
        self._details: dict[str, str] = {}
        self._left: dict[str, LeftFile] = {}
        self._owners: Mapping[str, Owner] = {}
        self._names: dict[str, str] = {}

    @property
    def key_fingerprint(self) -> str:
        """Equal for equal keys; tells nothing else about the key."""
        return self._pseudonyms.fingerprint

    @property
    def left(self) -> Collection[LeftFile]:
        """What became nothing until now."""
        return self._left.values()

    @property
    def owners(self) -> Mapping[str, Owner]:
        """Whose the files are, by path or name of a part."""
        return self._owners

    def candidate(self, path: str) -> str:
        """The pseudonym of a file."""
        return self._pseudonyms.of("candidate", path)

    def leave(self, left: Iterable[LeftFile]) -> None:
        """Enters files that became nothing; a later entry for a file counts."""
        for one in left:
            images = one.loss.images if one.loss else ()
            image = self.candidate(images[0]) if len(images) == 1 else None
            self._entries[one.path] = left_entry(
                self.candidate(one.path), one, image=image
            )
            self._details[one.path] = one.detail
            self._left[one.path] = one

    def add_shard(
        self,
        result: ShardResult,
        names: Mapping[str, str],
    ) -> None:
        """Enters the candidates of a shard.

        Args:
          result: What came of it.
          names: Their paths, or names of parts, by pseudonym.
        """
        self._names |= names
        for patient in result.patients:
            for entry in patient.ledger:
                name = names.get(entry.candidate, entry.candidate)
                self._entries[name] = entry

    def add_details(self, details: Mapping[str, str]) -> None:
        """Adds what exactly was wrong, by path; for the terminal."""
        self._details |= details

    def name_of(self, candidate: str) -> str:
        """Path, or name of a part, of a candidate."""
        return self._names.get(candidate, candidate)

    def know_owners(self, owners: Mapping[str, Owner]) -> None:
        """Says whose the files are, by path or name of a part."""
        self._owners = owners

    def leave_others_out(self, patients: Collection[str]) -> None:
        """Enters files that failed of patients whom the split does not name.

        Args:
          patients: Source patients whom it names.
        """
        for path, one in list(self._left.items()):
            owner = self._owner(path) or self._owner(one.near)
            if owner and owner[1] not in patients and REASONS[one.reason].fault:
                code = "patient_not_in_split"
                self.leave([dataclasses.replace(one, reason=code, loss=None)])

    def close(self, objects: Iterable[str]) -> None:
        """Enters the objects of which nothing was converted, once all shards are."""
        missing = [path for path in objects if path not in self._entries]
        statuses: dict[str, set[str]] = {path: set() for path in missing}
        for name, entry in self._entries.items():
            path = file_of(name)
            if path in statuses:
                statuses[path].add(entry.status)
        for path, found in statuses.items():
            policy = found == {LEFT_OUT}
            reason = "object_left_out" if policy else "object_without_mask"
            self.leave([LeftFile(path, OBJECT, reason)])

    @property
    def losses(self) -> AnnotationLosses:
        """What of the annotations is lost until now."""
        return AnnotationLosses(self._entries, self._left)

    def counts(self) -> dict[str, dict[str, int]]:
        """Numbers by kind and status, by reason and by finding, most first."""
        return count_entries(self._entries.values())

    def check(self, options: ConvertOptions, plan: Plan) -> None:
        """Applies ``on_error``, ``max_error_rate`` and ``fail_on``.

        Args:
          options: What is tolerated.
          plan: Which says how many annotated images of a patient there are.

        Raises:
          ValueError: More went wrong than the options allow.
        """
        losses = self.losses
        failed, annotations = losses.failed, losses.annotations
        wrong = sum(entry.status == SKIPPED for entry in self._entries.values())
        rate = failed / max(annotations, 1)
        forbidden = self._forbidden(options.fail_on_codes)
        if options.on_error == "fail" and wrong:
            verdict = f"{wrong} candidates cannot be used, and on_error=fail"
        elif failed > _TOLERATED_ERRORS and rate > options.max_error_rate:
            verdict = (
                f"{failed} of {annotations} annotations cannot be used, which is more "
                f"than max_error_rate={options.max_error_rate:g} allows"
            )
        elif options.max_error_rate < 1 and (lost := self._lost(plan)):
            verdict = (
                f"{lost}; max_error_rate=1 allows it. To leave the patient out, take "
                "their files out of the input or, in a first conversion, --split by "
                "name"
            )
        elif forbidden:
            verdict = f"fail_on: {', '.join(forbidden)}"
        else:
            return
        raise ValueError("\n".join([verdict, *self.problem_lines()]))

    def _lost(self, plan: Plan) -> str:
        """Which patient loses over half of their annotated images; empty if none."""
        for one in self.lost_images(plan):
            if one.lost > one.annotated / 2:
                counts = f"{one.lost} of {one.annotated}"
                return f"{one.patient} loses {counts} annotated images"
        return ""

    def lost_images(self, plan: Plan) -> Iterator[PatientLoss]:
        """How many annotated images each patient loses, in the plan or before it."""

        def source_patient(name: str) -> str:
            owner = self._owner(name)
            return owner[1] if owner else ""

        return self.losses.patients(plan, source_patient)

    def _forbidden(self, codes: Iterable[str]) -> list[str]:
        """The codes that occur, with the number of candidates that have each."""
        found = self.counts()
        counts = {**found["findings"], **found["reasons"]}
        return [f"{counts[code]} x {code}" for code in codes if counts.get(code)]

    def problem_lines(self) -> Iterator[str]:
        """What went wrong, by reason, with the first few files of each."""
        by_reason = collections.defaultdict(list)
        for path, entry in sorted(self._entries.items()):
            if entry.status == SKIPPED and entry.reason:
                by_reason[entry.reason].append(path)
        for code, paths in by_reason.items():
            yield f"{len(paths)} skipped: {code}. {REASONS[code].sentence}"
            for path in paths[:_SHOWN_FOR_EACH_REASON]:
                detail = self._details.get(path, "")
                yield f"    {path}" + (f": {detail}" if detail else "")
            if len(paths) > _SHOWN_FOR_EACH_REASON:
                yield f"    and {len(paths) - _SHOWN_FOR_EACH_REASON} more"
            if REASONS[code].hint:
                yield f"    {REASONS[code].hint}"
        yield from self._finding_lines()

    def _finding_lines(self) -> Iterator[str]:
        """What was odd about what was converted, by code."""
        by_code = collections.defaultdict(list)
        for path, entry in sorted(self._entries.items()):
            for code in entry.findings:
                by_code[code].append(path)
        for code, paths in by_code.items():
            yield f"{len(paths)} found: {code}. {FINDINGS[code]}"
            yield (
                "    "
                + ", ".join(paths[:_SHOWN_FOR_EACH_REASON])
                + (", ..." if len(paths) > _SHOWN_FOR_EACH_REASON else "")
            )

    @contextlib.contextmanager
    def told_with_errors(self) -> Iterator[None]:
        """Adds to the body's ValueError what went wrong: it may be why."""
        try:
            yield
        except ValueError as error:
            message = "\n".join([str(error), *self.problem_lines()])
            raise ValueError(message) from error

    def write(self, path: pathlib.Path) -> None:
        """Writes ``ledger.jsonl``, ordered by pseudonym."""
        with files.written_whole(path) as file:
            for line in self._lines():
                file.write(line.encode())

    def _lines(self) -> Iterator[str]:
        ordered = sorted(self._entries.items(), key=lambda item: item[1].candidate)
        listed = {entry.candidate for entry in self._entries.values()}
        for name, entry in ordered:
            reason = REASONS.get(entry.reason or "")
            words = (reason.sentence, reason.hint) if reason else ("", "")
            owner = self._owner(name)
            if owner and not entry.patient:
                entry = dataclasses.replace(entry, patient=owner[0])
            if entry.image and entry.image not in listed:  # what it is on is not here
                entry = dataclasses.replace(entry, image=None)
            yield manifest.ledger_line(entry, sentence=words[0], hint=words[1])

    def _owner(self, name: str) -> Owner | None:
        """Whose a file is, or the file of a part."""
        return self._owners.get(name) or self._owners.get(file_of(name))

    def write_crosswalk(self, path: pathlib.Path) -> None:
        """Writes which candidate and patient is which file and person."""
        rows = []
        for source, entry in sorted(self._entries.items()):
            rows.append((entry.candidate, *(self._owner(source) or ("", "")), source))
        write_crosswalk(path, rows)
