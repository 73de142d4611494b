"""Takes a patient out of a data set, and proves that nothing of them is left.

Shards are written again without the patient's records; nothing of the sources is read.
The state of the data set keeps a keyed digest of who was withdrawn, so that a later
conversion does not bring them back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tfdicom import conversion_state, deidentify, files, output_folder, shard_results
from tfdicom.conversion_state import ConversionState
from tfdicom.convert_options import ConvertOptions
from tfdicom.dataset_files import merge_contents, split_infos, write_index
from tfdicom.deidentify import Pseudonyms
from tfdicom.ledger import Owner
from tfdicom.ledger_entries import count_entries
from tfdicom.manifest import (
    LEDGER,
    MANIFEST,
    LedgerEntry,
    Manifest,
    load_manifest,
    read_ledger,
)
from tfdicom.shard_content import ShardContent
from tfdicom.shard_results import CONVERSION, PatientResult, ShardResult
from tfdicom.sharding import virtual_bucket
from tfdicom.shards import copy_without
from tfdicom.tfrecord_file import read_records

_HEXADECIMAL = re.compile(rb"[0-9a-f]{16,}")


@dataclasses.dataclass(frozen=True)
class Withdrawal:
    """What was taken out.

    Attributes:
      split: The patient's split.
      shard: The shard that was written again.
      examples: Number of records that went.
      searched: Number of files in which nothing of the patient was found afterwards.
      traces: Number of pseudonyms and keys that were searched for.
    """

    split: str
    shard: str
    examples: int
    searched: int
    traces: int


def withdraw(options: ConvertOptions, pseudonyms: Pseudonyms) -> Withdrawal:
    """Takes the patient that ``options.withdraw`` names out of ``output_dir``.

    Args:
      options: The patient's source identifier, or their pseudonym; and the data set.
      pseudonyms: Made with the data set's key.

    Raises:
      FileNotFoundError: There is no data set.
      ValueError: The patient is not in it, was the last of a split, the key is another
        one, or a conversion into the data set is unfinished.
    """
    output = files.path_of(options.output_dir)
    if not files.exists(output / output_folder.ASIDE / MANIFEST):
        load_manifest(output)  # or there is none, and nothing is to be made
    with output_folder.workspace(output) as aside:
        manifest = load_manifest(output)
        state = _state(output, aside, pseudonyms)
        name = options.withdraw or ""
        patient = _pseudonym(name, manifest, state, pseudonyms)
        results = list(_results(output, manifest))
        if patient in manifest.split_table:
            traces = _traces(results, list(read_ledger(output)), patient)
            with _all_or_nothing(aside):
                gone, shard = _write(
                    output, aside, manifest, state, results, patient, pseudonyms
                )
            examples, split = len(gone.entries), manifest.split_table[patient]
            output_folder.take_place(output)
        else:  # this was stopped after the records had gone
            traces = frozenset(
                {patient, *_known_to_crosswalk(output, pseudonyms, patient)}
            )
            examples, split, shard = 0, "", ""
    searched = _prove(output, manifest.compression, traces)
    _forget(output, pseudonyms, patient)
    return Withdrawal(split, shard, examples, searched, len(traces))


def _state(
    output: pathlib.Path, aside: pathlib.Path, pseudonyms: Pseudonyms
) -> ConversionState:
    """The data set's state, where a patient may be withdrawn from it."""
    state = conversion_state.read_state(output)
    if state is None:
        raise ValueError(
            f"{output} has no folder {CONVERSION}, without which no patient can be "
            "withdrawn; take them out of the input and convert anew with --overwrite"
        )
    if state.identity_key != pseudonyms.fingerprint:
        raise ValueError(
            f"{output} was made with another key of the pseudonyms; name that key with "
            "--id_key_file"
        )
    unfinished = conversion_state.read_state(aside)
    if unfinished and len(unfinished.withdrawn) > len(state.withdrawn):
        output_folder.clear(aside)  # a withdrawal that was stopped
    elif unfinished:
        raise ValueError(
            f"{output}: a conversion into this data set is unfinished; let it end first"
        )
    return state


@contextlib.contextmanager
def _all_or_nothing(aside: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        output_folder.remove(aside)
        raise


def _pseudonym(
    name: str, manifest: Manifest, state: ConversionState, pseudonyms: Pseudonyms
) -> str:
    for patient in (pseudonyms.of("patient", name), name):
        if patient in manifest.split_table:
            return patient
        if _digest(pseudonyms, patient) in state.withdrawn:
            return patient
    raise ValueError(
        f"withdraw={name!r}: no such patient is among the {len(manifest.split_table)} "
        "of the data set; wanted is what names the patient in the source, or the "
        "pseudonym"
    )


def _results(output: pathlib.Path, manifest: Manifest) -> Iterator[ShardResult]:
    for split in manifest.splits.values():
        for shard in split.shards:
            yield shard_results.read(output, shard.file)


def _write(
    output: pathlib.Path,
    aside: pathlib.Path,
    manifest: Manifest,
    state: ConversionState,
    results: list[ShardResult],
    patient: str,
    pseudonyms: Pseudonyms,
) -> tuple[PatientResult, str]:
    """Writes aside all that changes, the manifest last."""
    split = manifest.split_table[patient]
    if len(manifest.splits[split].patients) == 1:
        raise ValueError(
            f"withdraw: the patient is the only one of split {split!r}, which cannot "
            "be empty; take them out of the input and convert anew with --overwrite"
        )
    place, gone = next(
        (number, one)
        for number, result in enumerate(results)
        for one in result.patients
        if one.patient == patient
    )
    results[place] = copy_without(
        output, aside, results[place], patient, manifest.compression
    )
    lines = [line for line in read_ledger(output) if line.get("patient") != patient]
    ours = [line for line in read_ledger(output) if line.get("patient") == patient]
    table = {one: name for one, name in manifest.split_table.items() if one != patient}
    buckets = _without_bucket(manifest, table, patient)
    digests = {line["candidate"][: conversion_state.DIGITS] for line in ours}
    digests |= {one[: conversion_state.DIGITS] for one in gone.sources}
    conversion_state.write_state(
        aside,
        dataclasses.replace(
            state,
            split_table=table,
            buckets=buckets,
            inputs=tuple(one for one in state.inputs if one not in digests),
            withdrawn=tuple(sorted({*state.withdrawn, _digest(pseudonyms, patient)})),
        ),
    )
    write_index(aside, results)
    contents = {name: ShardContent() for name in manifest.splits}
    merge_contents(contents, results)
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    files.write_text(aside / LEDGER, text)
    left = dataclasses.replace(
        manifest,
        splits=split_infos(results, contents, manifest.class_names, manifest.labels),
        split_table=table,
        buckets=buckets,
        ledger=count_entries(map(_entry, lines)),
    )
    files.write_text(aside / MANIFEST, left.to_json())
    return gone, results[place].info.file


def _entry(line: dict) -> LedgerEntry:
    names = {field.name for field in dataclasses.fields(LedgerEntry)}
    return LedgerEntry(**{name: value for name, value in line.items() if name in names})


def _without_bucket(
    manifest: Manifest, table: dict[str, str], patient: str
) -> dict[str, dict[str, int]]:
    """The buckets; that of the patient goes, unless somebody else is in it."""
    split = manifest.split_table[patient]
    bucket = virtual_bucket(patient)
    shared = any(
        virtual_bucket(one) == bucket for one, name in table.items() if name == split
    )
    buckets = {name: dict(one) for name, one in manifest.buckets.items()}
    if not shared:
        buckets[split].pop(str(bucket), None)
    return buckets


def _traces(
    results: Sequence[ShardResult], lines: Sequence[dict[str, Any]], patient: str
) -> frozenset[str]:
    """Everything that would tell of the patient, and of nobody else."""
    ours: set[str] = set()
    others: set[str] = set()
    for result in results:
        for one in result.patients:
            (ours if one.patient == patient else others).update(_names(one))
    for line in lines:
        found = ours if line.get("patient") == patient else others
        found.add(line["candidate"])
    return frozenset(ours - others)


def _names(one: PatientResult) -> Iterator[str]:
    yield one.patient
    yield from one.sources
    yield from (entry.candidate for entry in one.ledger)
    yield from (entry.key for entry in one.entries)
    for trace in one.traces:
        yield from (trace.candidate, trace.study, trace.series, trace.instance)
        if trace.pixel_hash:
            yield trace.pixel_hash


def _prove(output: pathlib.Path, compression: str, traces: frozenset[str]) -> int:
    """Searches every file of the data set, as it is now, for the traces.

    Returns:
      Number of files.

    Raises:
      RuntimeError: One is left.
    """
    width = conversion_state.DIGITS  # in the state they are cut short
    short = {one[:width].encode() for one in traces}
    searched = 0
    for name, content in _contents(output, compression):
        searched += 1
        for match in _HEXADECIMAL.finditer(content):
            run = match[0]
            starts = range(len(run) - width + 1)
            if any(run[at : at + width] in short for at in starts):
                raise RuntimeError(
                    f"{name} still tells of the patient who was withdrawn. That is a "
                    "defect of tfdicom: report it, take the patient out of the input, "
                    "and convert anew with --overwrite"
                )
    return searched


def _contents(output: pathlib.Path, compression: str) -> Iterator[tuple[str, bytes]]:
    """Every file of the data set; of a shard, the records."""
    for path in sorted(output.rglob("*")):
        if path.is_dir():
            continue
        if path.name.endswith(".tfrecord"):
            records = read_records(path, compression=compression)
            yield path.name, b"\n".join(records)
        else:
            yield path.name, path.read_bytes()


def withdrawn_from(output: pathlib.Path) -> tuple[str, ...]:
    """Digests of the patients who were withdrawn from a data set."""
    states = map(conversion_state.read_state, (output, output / output_folder.ASIDE))
    return tuple(sorted({one for state in states if state for one in state.withdrawn}))


def refuse_withdrawn(
    output: pathlib.Path,
    withdrawn: Collection[str],
    pseudonyms: Pseudonyms,
    owners: Mapping[str, Owner],
) -> None:
    """Refuses an input folder that still has files of patients who were withdrawn.

    Args:
      output: The data set that they were withdrawn from.
      withdrawn: From ``withdrawn_from``.
      pseudonyms: Made with its key.
      owners: Patients of the input files, by path.

    Raises:
      ValueError: There are such files; names the first few.
    """
    if not withdrawn:
        return
    gone = {
        patient: _digest(pseudonyms, patient) in withdrawn
        for patient in {patient for patient, _ in owners.values()}
    }
    found = sorted(
        path
        for path, (patient, _) in owners.items()
        if "#" not in path and gone[patient]
    )
    if found:
        more = ", ..." if len(found) > 5 else ""
        raise ValueError(
            f"{len(found)} input files are of patients who were withdrawn from "
            f"{output}: {', '.join(found[:5])}{more}. Take them out of the input "
            "folder; or convert to another --output_dir, if the patients may come back"
        )


def _digest(pseudonyms: Pseudonyms, patient: str) -> str:
    return pseudonyms.of("withdrawn", patient)


def _known_to_crosswalk(
    output: pathlib.Path, pseudonyms: Pseudonyms, patient: str
) -> Iterator[str]:
    """Candidates of a patient."""
    path = deidentify.crosswalk_path(pseudonyms, str(output.absolute()))
    for candidate, owner, _, _ in deidentify.read_crosswalk(path):
        if owner == patient:
            yield candidate


def _forget(output: pathlib.Path, pseudonyms: Pseudonyms, patient: str) -> None:
    """Takes the patient out of the crosswalk."""
    path = deidentify.crosswalk_path(pseudonyms, str(output.absolute()))
    rows = [row for row in deidentify.read_crosswalk(path) if row[1] != patient]
    if path is not None and path.exists():
        deidentify.write_crosswalk(path, rows)
