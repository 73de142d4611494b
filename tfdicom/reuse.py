"""What of an earlier or unfinished conversion need not be made again."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from tfdicom import files, shard_results
from tfdicom.conversion_state import InputsChanged
from tfdicom.deidentify import Pseudonyms
from tfdicom.plan import PatientPlan, Plan, ShardPlan
from tfdicom.plan_changes import PlanChanges
from tfdicom.shard_results import PatientResult, ShardResult
from tfdicom.shards import ShardJob, ShardTask
from tfdicom.source_contents import SourceContents


@dataclasses.dataclass(frozen=True)
class Work:
    """What there is to do.

    Attributes:
      tasks: Shards to write.
      whole: Folder that holds each shard that stays as it is, by file name.
      kept_patients: Patients whose records are copied or stay.
    """

    tasks: tuple[ShardTask, ...]
    whole: Mapping[str, pathlib.Path]
    kept_patients: int


def find_work(
    plan: Plan,
    job: ShardJob,
    folders: Sequence[pathlib.Path],
    contents: SourceContents,
    paths: Mapping[str, str],
    *,
    thorough: bool = False,
) -> Work:
    """Compares the plan with what is there.

    Args:
      plan: What the data set will be.
      job: How its shards are written.
      folders: Where shards may lie already, the newest first: what was left unfinished
        (the job's), and the data set that is extended.
      contents: What the source files hold.
      paths: Source files by candidate.
      thorough: Whether to read what is there, and to write damaged shards again.

    Raises:
      InputsChanged: A source file has changed since its records were made, or a table
        says something else of patients who are there.
      ValueError: A shard of the data set is damaged; names it.
    """
    planned = PlanChanges(job)
    changed: dict[str, None] = {}
    tasks: list[ShardTask] = []
    whole: dict[str, pathlib.Path] = {}
    kept_patients = 0
    for shard in plan.shards:
        found = _newest(folders, shard, job.output_dir, thorough=thorough)
        if found is None:
            tasks.append(ShardTask(shard))
            for patient in shard.patients:
                planned.add(patient, None)
            continue
        folder, result = found
        for one in result.patients:
            found_now = changed_sources(one, contents, paths, job.pseudonyms)
            changed |= dict.fromkeys(found_now)
            planned.know(one)
        kept = _kept(job, shard, result, planned)
        kept_patients += len(kept)
        before = [one.patient for one in result.patients]
        if before == [one.patient for one in shard.patients] and len(kept) == len(
            before
        ):
            whole[shard.file] = folder
        else:
            tasks.append(ShardTask(shard, folder, kept))
    if changed:
        shown = ", ".join(list(changed)[:5]) + (", ..." if len(changed) > 5 else "")
        raise InputsChanged(
            f"{len(changed)} source files have changed since their records were made: "
            f"{shown}. Restore them, or convert anew with --overwrite"
        )
    planned.refuse()
    return Work(tuple(tasks), whole, kept_patients)


def _newest(
    folders: Sequence[pathlib.Path],
    shard: ShardPlan,
    unfinished: pathlib.Path,
    *,
    thorough: bool,
) -> tuple[pathlib.Path, ShardResult] | None:
    """The first folder with both the shard, of its proper size, and its result.

    What is damaged in the unfinished folder is made again. A data set is extended only
    where it is whole: its damage may be anywhere.
    """
    for folder in folders:
        path = folder / shard.file
        try:
            result = shard_results.read(folder, shard.file)
            size, _ = files.stamp(path)
            if size != result.info.size:
                raise ValueError(
                    f"{path} has {size} bytes, and {result.info.size} were written: "
                    f"mend it with tfdicom_inspect repair --data_dir={folder}, then "
                    "give this command again"
                )
        except FileNotFoundError:
            continue
        except ValueError:
            if thorough or folder == unfinished:
                continue
            raise
        if result.split != shard.split:
            continue
        if not thorough or files.sha256_of(path) == result.info.sha256:
            return folder, result
    return None


def changed_sources(
    one: PatientResult,
    contents: SourceContents,
    paths: Mapping[str, str],
    pseudonyms: Pseudonyms,
) -> list[str]:
    """Files that a patient's records are made of and that hold something else by now.

    Args:
      one: What came of the patient.
      contents: What the source files hold.
      paths: Source files by candidate; those that are not among them do not count.
      pseudonyms: Made with the data set's key.
    """
    changed = []
    for candidate, digest in one.sources.items():
        path = paths.get(candidate)
        if path is None:
            continue  # gone: that is refused elsewhere
        try:
            now = contents.content(path)
        except OSError as error:
            changed.append(f"{path} ({error.strerror or error})")
            continue
        if now.digest(pseudonyms) != digest:
            changed.append(path)
    return changed


def _kept(
    job: ShardJob, shard: ShardPlan, result: ShardResult, planned: PlanChanges
) -> frozenset[str]:
    before = {one.patient: one for one in result.patients}
    kept = set()
    for one in shard.patients:
        known = before.get(one.patient)
        if known and _is_kept(job, one, known):
            kept.add(one.patient)
        else:
            planned.add(one, known)
    return frozenset(kept)


def _is_kept(job: ShardJob, patient: PatientPlan, before: PatientResult) -> bool:
    """Whether the plan is the same, and all of its files were read.

    Those that could not be read, or that workers died of, are tried again: rights may
    have been given, and memory may be enough with fewer workers.
    """
    if before.plan != job.digest(patient):
        return False
    candidates = (job.pseudonyms.of("candidate", one) for one in patient.sources)
    return all(one in before.sources for one in candidates)
