"""Checks what stands beside the shards: manifest, ledger, state, and foreign files."""

from __future__ import annotations

import collections
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfdicom import conversion_state, files, shard_results
from tfdicom.dataset_index import INDEX
from tfdicom.file_checksums import CHECKSUMS, wrong_files
from tfdicom.folder_lock import LOCK
from tfdicom.manifest import CONVERTED, LEDGER, MANIFEST, Manifest
from tfdicom.output_folder import ASIDE
from tfdicom.reasons import FINDINGS, REASONS
from tfdicom.verification import Problem


def check_manifest(folder: pathlib.Path, manifest: Manifest) -> Iterator[Problem]:
    """Whether the file is as the converter writes it, and agrees with itself."""
    if files.read_text(folder / MANIFEST) != manifest.to_json():
        text = "holds more than this version knows, or in another form"
        yield Problem("manifest_form", text, MANIFEST)
    seen: set[str] = set()
    for name, info in manifest.splits.items():
        for place, shard in enumerate(info.shards):
            if shard.file in seen:
                text = f"names {shard.file} twice"
                yield Problem("manifest_shards", text, MANIFEST)
            seen.add(shard.file)
            wanted = f"{name}-{place:05d}-of-{len(info.shards):05d}.tfrecord"
            if shard.file != wanted:
                text = f"shard {place} of split {name!r} is {shard.file}, not {wanted}"
                yield Problem("manifest_shards", text, MANIFEST)
        total = sum(shard.examples for shard in info.shards)
        if total != info.examples:
            text = f"split {name!r} has {info.examples} examples, its shards {total}"
            yield Problem("manifest_shards", text, MANIFEST)


def check_files(folder: pathlib.Path, manifest: Manifest) -> Iterator[Problem]:
    """Files of the folder that do not belong to the data set."""
    shards = {one.file for info in manifest.splits.values() for one in info.shards}
    known = {MANIFEST, INDEX, LEDGER, CHECKSUMS, LOCK, *shards}
    known |= {f"{shard_results.CONVERSION}/{shard}.json" for shard in shards}
    known.add(f"{shard_results.CONVERSION}/{conversion_state.STATE}")
    names = files.walk(folder)
    for name in names:
        if name not in known and not name.startswith(f"{ASIDE}/"):
            yield Problem("file_foreign", "is no file of this data set", name)
    if any(name.startswith(f"{ASIDE}/") for name in names):
        text = "a conversion was not finished: run it again, or delete this folder"
        yield Problem("file_foreign", text, ASIDE)


def check_checksums(folder: pathlib.Path) -> Iterator[Problem]:
    """Whether index, ledger and manifest are, byte for byte, what was written."""
    for name in wrong_files(folder):
        yield Problem("file_checksum", "its bytes are not those written first", name)


def has_results(folder: pathlib.Path) -> bool:
    """Whether what later conversions go on from lies beside the data set."""
    return files.exists(folder / shard_results.CONVERSION)


def check_state(folder: pathlib.Path, manifest: Manifest) -> Iterator[Problem]:
    """Whether the state of the conversion agrees with the manifest."""
    name = f"{shard_results.CONVERSION}/{conversion_state.STATE}"
    try:
        state = conversion_state.read_state(folder)
    except (ValueError, OSError) as error:
        yield Problem("state_damaged", str(error), name)
        return
    if state is None:
        yield Problem("state_damaged", "there is no such file", name)
        return
    told = {
        "split_table": (state.split_table, manifest.split_table),
        "buckets": (state.buckets, manifest.buckets),
        "identity_key": (state.identity_key, manifest.options.get("identity_key")),
    }
    for field, (one, other) in told.items():
        if one != other:
            yield Problem("state_differs", f"{field} is not the manifest's", name)


def check_ledger(
    folder: pathlib.Path, manifest: Manifest, split_of: Mapping[bytes, str]
) -> Iterator[Problem]:
    """Whether the ledger tells of each example, and of nothing else as converted.

    Args:
      folder: Of the data set.
      manifest: Its manifest, whose counts are compared.
      split_of: Split by key, 16 bytes, of every example.
    """
    path = folder / LEDGER
    if not files.exists(path):
        yield Problem("ledger_missing", "there is no such file", LEDGER)
        return
    counts: dict[str, collections.Counter] = collections.defaultdict(
        collections.Counter
    )
    told: set[bytes] = set()
    candidates: set[str] = set()
    with files.opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                entry = json.loads(line)
                candidate, kind, status = (
                    entry[name] for name in ("candidate", "kind", "status")
                )
                key = bytes.fromhex(entry.get("key") or "")
                wrong = list(_wrong_entry(entry, split_of.get(key)))
            except (AttributeError, KeyError, TypeError, ValueError):
                yield Problem("ledger_line", f"line {number} is damaged", LEDGER)
                continue
            for text in wrong:
                yield Problem("ledger_entry", f"line {number}: {text}", LEDGER)
            if candidate in candidates:
                text = f"line {number}: a candidate is listed twice"
                yield Problem("ledger_entry", text, LEDGER)
            candidates.add(candidate)
            counts[kind][status] += 1
            counts["findings"].update(entry.get("findings", ()))
            counts["reasons"].update(filter(None, [entry.get("reason")]))
            if key:
                told.add(key)
    missing = split_of.keys() - told
    # An image has one line, with one key, and with raters it is several examples.
    if missing and manifest.options.get("several_annotations") != "raters":
        text = f"{len(missing)} examples are in no line, as {min(missing).hex()}"
        yield Problem("ledger_keys", text, LEDGER)
    if _without_nothing(counts) != _without_nothing(manifest.ledger):
        text = "its counts are not the manifest's"
        yield Problem("ledger_counts", text, LEDGER)


def _wrong_entry(entry: Mapping[str, Any], split: str | None) -> Iterator[str]:
    status, reason, key = (entry.get(name) for name in ("status", "reason", "key"))
    if (status == CONVERTED) != (reason is None):
        yield f"{status} with the reason {reason}"
    if reason is not None and reason not in REASONS:
        yield f"unknown reason {reason!r}"
    for finding in entry.get("findings", ()):
        if finding not in FINDINGS:
            yield f"unknown finding {finding!r}"
    if not key:
        return
    if split is None:
        yield f"{key} is the key of no example"
    elif entry.get("split") != split:
        yield f"{key} is in split {split!r}, not {entry.get('split')!r}"


def _without_nothing(counts: Mapping[str, Mapping[str, int]]) -> dict:
    return {name: dict(table) for name, table in counts.items() if table}
