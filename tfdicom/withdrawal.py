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
from collections.abc import Collection, Iterable, Iterator

from tfdicom import (
    conversion_state,
    crosswalks,
    deidentify,
    file_checksums,
    files,
    output_folder,
    shard_results,
    withdrawal_proof,
)
from tfdicom.conversion_state import ConversionState
from tfdicom.convert_options import ConvertOptions
from tfdicom.dataset_files import merge_contents, split_infos, write_index
from tfdicom.deidentify import Pseudonyms, key_to_name
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
from tfdicom.withdrawal_proof import Traces
from tfdicom.withdrawal_result import Withdrawal
from tfdicom.withdrawn_patients import withdrawn_digest


def withdraw(options: ConvertOptions, pseudonyms: Pseudonyms) -> Withdrawal:
    """Takes the patient that ``options.withdraw`` names out of ``output_dir``.

    Args:
      options: The patient's source identifier, or their pseudonym; and the data set.
      pseudonyms: Made with the data set's key.

    Raises:
      FileNotFoundError: There is no data set.
      ValueError: The patient is not in it, was the last of a split, the key is another
        one, a file is damaged, or a conversion into the data set is unfinished.
    """
    output = files.path_of(options.output_dir)
    if not files.exists(output / output_folder.ASIDE / MANIFEST):
        load_manifest(output)  # or there is none, and nothing is to be made
    with output_folder.workspace(output) as aside:
        manifest = load_manifest(output)
        _refuse_damaged(output)
        state = _state(output, aside, pseudonyms)
        name = options.withdraw or ""
        lines = list(read_ledger(output))
        listed = {line.get("patient") for line in lines}
        candidates = {line["candidate"] for line in lines}
        place = str(output.absolute())
        walks = crosswalks.of_data_set(pseudonyms, place, candidates)
        known = {*manifest.split_table, *listed}
        patient = _pseudonym(name, known, manifest, state, pseudonyms)
        results = list(_results(output, manifest))
        examples, shard = 0, ""
        if patient in known:
            traces = withdrawal_proof.traces_of(
                patient, results, lines, manifest.labels
            )
            with _all_or_nothing(aside):
                examples, shard = _write(
                    output, aside, manifest, state, results, lines, patient, pseudonyms
                )
            output_folder.take_place(output)
        else:  # this was stopped after the records had gone
            traces = Traces(frozenset({patient, *_known_to(walks, patient)}))
    searched = withdrawal_proof.prove(output, traces)
    _forget(walks, patient)
    after = load_manifest(output)
    return Withdrawal(
        manifest.split_table.get(patient, ""),
        shard,
        examples,
        searched,
        len(traces),
        labels=_with_fewer_words(manifest, after),
        classes=_without_annotation(manifest, after),
        unowned=sum("patient" not in line for line in read_ledger(output)),
    )


def _with_fewer_words(before: Manifest, after: Manifest) -> tuple[str, ...]:
    pairs = zip(before.labels, after.labels, strict=True)
    return tuple(one.name for one, now in pairs if one.vocabulary != now.vocabulary)


def _without_annotation(before: Manifest, after: Manifest) -> tuple[str, ...]:
    def annotated(one: Manifest, name: str) -> int:
        return sum(split.classes[name].annotated for split in one.splits.values())

    return tuple(
        name
        for name in before.class_names
        if annotated(before, name) and not annotated(after, name)
    )


def _refuse_damaged(output: pathlib.Path) -> None:
    """Damage that is copied into the new files would be taken for their content."""
    wrong = file_checksums.wrong_files(output)
    if wrong:
        raise ValueError(
            f"{output}: {', '.join(wrong)} is not what was written; mend it first with "
            f"tfdicom_inspect repair --data_dir={output}"
        )


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
            f"{output} was made with another key of the pseudonyms; "
            f"{key_to_name(state.identity_key)}"
        )
    unfinished = conversion_state.read_unfinished(aside)
    if unfinished and len(unfinished.withdrawn) > len(state.withdrawn):
        output_folder.clear(aside)  # a withdrawal that was stopped
    elif unfinished:
        raise ValueError(
            f"{output}: a conversion into this data set is unfinished; let it end, "
            f"or delete {aside} to give it up: the data set is whole without it"
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
    name: str,
    known: Collection[str | None],
    manifest: Manifest,
    state: ConversionState,
    pseudonyms: Pseudonyms,
) -> str:
    for patient in (pseudonyms.of("patient", name), name):
        if patient in known:
            return patient
        if withdrawn_digest(pseudonyms, patient) in state.withdrawn:
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
    ledger: Iterable[dict],
    patient: str,
    pseudonyms: Pseudonyms,
) -> tuple[int, str]:
    """Writes aside all that changes, the manifest last.

    Returns:
      Number of records that went, and their shard; none of a patient of whom the
      ledger alone tells.
    """
    labels = withdrawal_proof.left_labels(manifest.labels, results, patient)
    ours = [line for line in ledger if line.get("patient") == patient]
    lines = [line for line in ledger if line.get("patient") != patient]
    digests = {line["candidate"][: conversion_state.DIGITS] for line in ours}
    table = {one: name for one, name in manifest.split_table.items() if one != patient}
    buckets, examples, shard = manifest.buckets, 0, ""
    if patient in manifest.split_table:
        _refuse_last(manifest, patient)
        place, gone = _place(results, patient)
        results[place] = copy_without(
            output, aside, results[place], patient, manifest.compression
        )
        buckets = _without_bucket(manifest, table, patient)
        digests |= {one[: conversion_state.DIGITS] for one in gone.sources}
        examples, shard = len(gone.entries), results[place].info.file
    conversion_state.write_state(
        aside,
        dataclasses.replace(
            state,
            split_table=table,
            buckets=buckets,
            inputs=tuple(one for one in state.inputs if one not in digests),
            held=tuple(one for one in state.held if one not in digests),
            withdrawn=tuple(
                sorted({*state.withdrawn, withdrawn_digest(pseudonyms, patient)})
            ),
        ),
    )
    write_index(aside, results)
    contents = {name: ShardContent() for name in manifest.splits}
    merge_contents(contents, results)
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    files.write_text(aside / LEDGER, text)
    left = dataclasses.replace(
        manifest,
        splits=split_infos(results, contents, manifest.class_names, labels),
        split_table=table,
        buckets=buckets,
        ledger=count_entries(map(_entry, lines)),
        labels=labels,
    )
    file_checksums.write_manifest(aside, left)
    return examples, shard


def _refuse_last(manifest: Manifest, patient: str) -> None:
    split = manifest.split_table[patient]
    if len(manifest.splits[split].patients) == 1:
        raise ValueError(
            f"withdraw: the patient is the only one of split {split!r}, which cannot "
            "be empty; take them out of the input and convert anew with --overwrite"
        )


def _place(results: list[ShardResult], patient: str) -> tuple[int, PatientResult]:
    """Place of the patient's shard, and what came of them."""
    return next(
        (number, one)
        for number, result in enumerate(results)
        for one in result.patients
        if one.patient == patient
    )


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


def _known_to(walks: Iterable[pathlib.Path], patient: str) -> Iterator[str]:
    """Candidates of a patient, by crosswalks."""
    for path in walks:
        for candidate, owner, _, _ in deidentify.read_crosswalk(path):
            if owner == patient:
                yield candidate


def _forget(walks: Iterable[pathlib.Path], patient: str) -> None:
    """Takes the patient out of crosswalks."""
    for path in walks:
        rows = [row for row in deidentify.read_crosswalk(path) if row[1] != patient]
        deidentify.write_crosswalk(path, rows)
