"""What became of each file: the ledger's entries while a conversion runs."""

from __future__ import annotations

import collections
import contextlib
import pathlib
from collections.abc import Iterable, Iterator

from tfdicom import files, manifest
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms, write_crosswalk
from tfdicom.manifest import CONVERTED, LEFT_OUT, SKIPPED, LedgerEntry
from tfdicom.plan import Plan
from tfdicom.reasons import FINDINGS, REASONS
from tfdicom.shards import ShardResult
from tfdicom.sources.candidates import IMAGE, KINDS, OBJECT, OTHER, LeftFile

_SHOWN_FOR_EACH_REASON = 5
_TOLERATED_ERRORS = 10


class Ledger:
    """Collects one entry for each file; paths stay in memory, never in an entry."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        """Starts empty."""
        self._pseudonyms = pseudonyms
        self._entries: dict[str, LedgerEntry] = {}
        self._details: dict[str, str] = {}

    @property
    def key_fingerprint(self) -> str:
        """Equal for equal keys; tells nothing else about the key."""
        return self._pseudonyms.fingerprint

    def candidate(self, path: str) -> str:
        """The pseudonym of a file."""
        return self._pseudonyms.of("candidate", path)

    def leave(self, left: Iterable[LeftFile]) -> None:
        """Enters files that became nothing; a later entry for a file counts."""
        for one in left:
            status = SKIPPED if REASONS[one.reason].fault else LEFT_OUT
            candidate = self.candidate(one.path)
            self._entries[one.path] = LedgerEntry(
                candidate, one.kind, status, one.reason
            )
            self._details[one.path] = one.detail

    def add_shard(self, result: ShardResult) -> None:
        """Enters the files of a shard."""
        self.leave(result.left)
        for one in result.converted:
            self._entries[one.path] = LedgerEntry(
                self.candidate(one.path),
                one.kind,
                CONVERTED,
                # An object may be a part of many examples; its parts name them.
                key=one.key or None,
                split=result.split,
                findings=one.findings,
            )

    def close(self, objects: Iterable[str]) -> None:
        """Enters the objects of which nothing was converted, once all shards are."""
        missing = [path for path in objects if path not in self._entries]
        statuses: dict[str, set[str]] = {path: set() for path in missing}
        for name, entry in self._entries.items():
            path = name.rpartition("#")[0]
            if path in statuses:
                statuses[path].add(entry.status)
        for path, found in statuses.items():
            policy = found == {LEFT_OUT}
            reason = "object_left_out" if policy else "object_without_mask"
            self.leave([LeftFile(path, OBJECT, reason)])

    def counts(self) -> dict[str, dict[str, int]]:
        """Numbers by kind and status, by reason and by finding, most first."""
        kinds: dict[str, collections.Counter] = {}
        reasons: collections.Counter = collections.Counter()
        findings: collections.Counter = collections.Counter()
        for entry in self._entries.values():
            kinds.setdefault(entry.kind, collections.Counter())[entry.status] += 1
            findings.update(entry.findings)
            if entry.reason:
                reasons[entry.reason] += 1
        ordered = {kind: kinds[kind] for kind in KINDS if kind in kinds}
        tables = {**ordered, "reasons": reasons, "findings": findings}
        return {name: dict(sorted(table.items())) for name, table in tables.items()}

    def check(self, options: ConvertOptions) -> None:
        """Applies ``on_error``, ``max_error_rate`` and ``fail_on``.

        Raises:
          ValueError: More went wrong than the options allow.
        """
        entries = self._entries.values()
        drawn = [e for e in entries if e.kind not in (IMAGE, OBJECT, OTHER)]
        failed = sum(
            entry.status == SKIPPED and not _is_stray_contour(name, entry)
            for name, entry in self._entries.items()
            if entry.kind not in (IMAGE, OBJECT, OTHER)
        )
        wrong = sum(entry.status == SKIPPED for entry in entries)
        rate = failed / max(len(drawn), 1)
        forbidden = self._forbidden(options.fail_on_codes)
        if options.on_error == "fail" and wrong:
            verdict = f"{wrong} candidates cannot be used, and on_error=fail"
        elif failed > _TOLERATED_ERRORS and rate > options.max_error_rate:
            verdict = (
                f"{failed} of {len(drawn)} annotations cannot be used, which is more "
                f"than max_error_rate={options.max_error_rate:g} allows"
            )
        elif forbidden:
            verdict = f"fail_on: {', '.join(forbidden)}"
        else:
            return
        raise ValueError("\n".join([verdict, *self.problem_lines()]))

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
                detail = self._details[path]
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
        lines = []
        for entry in sorted(self._entries.values(), key=lambda one: one.candidate):
            reason = REASONS.get(entry.reason or "")
            words = (reason.sentence, reason.hint) if reason else ("", "")
            lines.append(manifest.ledger_line(entry, sentence=words[0], hint=words[1]))
        files.write_text(path, "".join(lines))

    def write_crosswalk(self, path: pathlib.Path, plan: Plan) -> None:
        """Writes which candidate and patient is which file and person."""
        owners = {frame.name: patient for _, patient, frame in plan.frames}
        for _, patient, frame in plan.frames:
            for one in frame.annotations:
                owners.update((name, patient) for name in (*one.candidates, one.path))
        rows = []
        for source, entry in sorted(self._entries.items()):
            owner = owners.get(source)
            who = (owner.patient, owner.source_patient) if owner else ("", "")
            rows.append((entry.candidate, *who, source))
        write_crosswalk(path, rows)


def _is_stray_contour(name: str, entry: LedgerEntry) -> bool:
    """Whether it is one of the crumbs that structure sets have beside outlines."""
    crumbs = ("contour_too_short", "contour_outside_image")
    return "#" in name and entry.reason in crumbs
