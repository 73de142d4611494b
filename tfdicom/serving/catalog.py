"""Every example of a data set in memory, in columns: what searching looks at."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping

import numpy as np

from tfdicom import dataset_index, files, manifest
from tfdicom.dataset_index import IndexEntry
from tfdicom.manifest import LEDGER, MANIFEST, Manifest
from tfdicom.serving import facts
from tfdicom.serving.facts import Facts
from tfdicom.shard_results import path_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Catalog:
    """The examples of a data set, in the manifest's order; arrays ``[n, ...]``.

    Attributes:
      keys: Bytes, 32 hexadecimal digits each.
      places: Place of each key, as text.
      splits: Names of the splits.
      split: int16: place in ``splits``.
      shards: Names of the files.
      shard: int32: place in ``shards``.
      offset: int64, of the record.
      length: int64, of the record, bytes.
      annotated: bool ``[n, classes]``.
      present: bool ``[n, classes]``.
      finding_codes: Findings that occur.
      findings: bool ``[n, finding_codes]``.
      facts: What the records say; filled while the server runs.
      facts_file: Where they are kept.
    """

    keys: np.ndarray
    places: Mapping[str, int]
    splits: tuple[str, ...]
    split: np.ndarray
    shards: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    annotated: np.ndarray
    present: np.ndarray
    finding_codes: tuple[str, ...]
    findings: np.ndarray
    facts: Facts
    facts_file: pathlib.Path

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.keys)

    def record_of(self, place: int) -> tuple[str, int, int]:
        """Shard, offset and length of the record at a place."""
        shard = self.shards[self.shard[place]]
        return shard, int(self.offset[place]), int(self.length[place])


def read_catalog(folder: pathlib.Path, whole: Manifest) -> Catalog:
    """Reads index and ledger, and the facts if they were read before.

    Args:
      folder: Of the data set.
      whole: Its manifest.

    Raises:
      FileNotFoundError: The index is missing.
      ValueError: The index does not agree with the manifest.
    """
    split_of = {
        shard.file: number
        for number, split in enumerate(whole.splits.values())
        for shard in split.shards
    }
    shards = tuple(split_of)
    entries = list(dataset_index.read_index(folder))
    _check(entries, whole, split_of, folder)
    numbers = {name: number for number, name in enumerate(shards)}
    keys = [entry.key for entry in entries]
    places = {key: place for place, key in enumerate(keys)}
    count = len(whole.classes)
    known = Facts(len(keys), count, [one.name for one in whole.labels])
    texts = [
        files.read_bytes(folder / name) for name in (MANIFEST, dataset_index.INDEX)
    ]
    facts_file = facts.cache_path(*texts)
    codes, findings, patients = _ledger(folder, places)
    if not known.load(facts_file):
        for place, patient in patients.items():
            known.patient[place] = known.code("patient", patient)
        _learn_series(folder, shards, places, known)
    return Catalog(
        keys=np.array([key.encode() for key in keys], "S32"),
        places=places,
        splits=tuple(whole.splits),
        split=np.array([split_of[one.shard] for one in entries], np.int16),
        shards=shards,
        shard=np.array([numbers[one.shard] for one in entries], np.int32),
        offset=np.array([one.offset for one in entries], np.int64),
        length=np.array([one.length for one in entries], np.int64),
        annotated=_flags([one.annotated[:count] for one in entries], count),
        present=_flags([one.present for one in entries], count),
        finding_codes=codes,
        findings=findings,
        facts=known,
        facts_file=facts_file,
    )


def _check(
    entries: list[IndexEntry],
    whole: Manifest,
    split_of: Mapping[str, int],
    folder: pathlib.Path,
) -> None:
    wanted = sum(split.examples for split in whole.splits.values())
    strange = next((one.shard for one in entries if one.shard not in split_of), None)
    if strange is not None or len(entries) != wanted:
        raise ValueError(
            f"{folder / dataset_index.INDEX} and {MANIFEST} differ: "
            + (
                f"{len(entries)} and {wanted} examples"
                if strange is None
                else f"the manifest has no {strange}"
            )
            + "; copy both again, or convert again"
        )


def _flags(texts: list[str], count: int) -> np.ndarray:
    """Flags ``[n, count]`` from texts of 0 and 1."""
    joined = np.frombuffer("".join(texts).encode(), np.uint8)
    return (joined == ord("1")).reshape(len(texts), count)


def _ledger(
    folder: pathlib.Path, places: Mapping[str, int]
) -> tuple[tuple[str, ...], np.ndarray, dict[int, str]]:
    """Findings that occur, on which examples, and whose these are."""
    found: dict[str, set[int]] = {}
    patients: dict[int, str] = {}
    lines = manifest.read_ledger(folder) if files.exists(folder / LEDGER) else ()
    for line in lines:
        place = places.get(line.get("key", ""))
        if place is None:
            continue
        if "patient" in line:
            patients[place] = line["patient"]
        for code in line.get("findings", ()):
            found.setdefault(code, set()).add(place)
    codes = tuple(sorted(found))
    flags = np.zeros((len(places), len(codes)), bool)
    for number, code in enumerate(codes):
        flags[list(found[code]), number] = True
    return codes, flags, patients


def _learn_series(
    folder: pathlib.Path,
    shards: tuple[str, ...],
    places: Mapping[str, int],
    known: Facts,
) -> None:
    """Takes series and patients from what the conversion left, where it is there."""
    for shard in shards:
        path = path_of(folder, shard)
        try:
            patients = json.loads(files.read_bytes(path))["patients"]
            for one in patients:
                patient = known.code("patient", one["patient"])
                for entry, trace in zip(one["entries"], one["traces"], strict=True):
                    place = places.get(entry[0])
                    if place is not None:
                        known.patient[place] = patient
                        known.series[place] = known.code("series", trace[2])
        except (OSError, KeyError, IndexError, TypeError, ValueError):
            continue  # the records say it too
