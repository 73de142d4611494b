"""Everything that a finished data set holds, piece by piece, with the place of each.

Texts come one by one; bytes that are no text (pixels, planes) come as they are. Strings
that the package itself writes, whatever the source, are not among them; of the name of
a shard's file, only the split is.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from tfdicom import (
    contour_origin,
    conversion_state,
    dataset_index,
    example_wire,
    file_checksums,
    files,
    known_terms,
    label_kinds,
    manifest,
    privacy_options,
    shard_results,
    tfrecord_file,
    value_counts,
)
from tfdicom.convert_options import ConvertOptions
from tfdicom.example_schema import BYTES, FEATURES, TEXT
from tfdicom.manifest import Manifest
from tfdicom.reasons import FINDINGS, REASONS
from tfdicom.sources import candidates

#: Key of a piece that is the name of a file.
FILE_NAME = "name of the file"
_BY_KEY = {feature.key: feature for feature in FEATURES.values()}
# What the user typed: classes, structures and the columns of a table of labels.
_CHOSEN = frozenset(
    FEATURES[name].key
    for name in (
        "classes",
        "class_expressions",
        "contour_structures",
        "label_names",
        "label_values",
    )
)
# Counts of grey values in a sidecar: letters, and no words.
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{64,}={0,2}")
# A shard's file, and the one beside the shards that is about it.
_SHARD_NAME = re.compile(
    rf"(?:{re.escape(shard_results.CONVERSION)}/)?(?P<split>.+)"
    r"-\d{5}-of-\d{5}\.tfrecord(?:\.json)?"
)
_JOINED = re.compile("[+:,]")
_PART = re.compile(r"0?\.\d+|1")  # of a split
_INDEX_TEXTS = 2  # the columns key and shard; the others are numbers and patterns


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A text or some bytes of a data set.

    Attributes:
      file: Relative path of the file.
      record: Number of the record, from 0; None outside of records.
      key: Key of the feature, or path of the value in a JSON file.
      data: The text in UTF-8, or the bytes.
      is_text: Whether it is a text.
      chosen: Whether it is what the user typed: a class, a label.
    """

    file: str
    record: int | None
    key: str
    data: bytes
    is_text: bool = True
    chosen: bool = False


def pieces(data_dir: str | pathlib.Path, found: Manifest) -> Iterator[Piece]:
    """Every piece of a data set, other files in its folder included.

    Raises:
      ValueError: A shard is damaged.
    """
    folder = files.path_of(data_dir)
    chosen = _chosen_texts(found)
    for name in files.walk(folder):
        if (said := _said(name, found)) is not None:
            data = said.encode(errors="surrogateescape")
            yield Piece(name, None, FILE_NAME, data, chosen=said in found.splits)
        if name.endswith(".tfrecord"):
            yield from _records(folder / name, name, found.compression)
        else:
            yield from _other(folder / name, name, chosen, found)


def _said(text: str, found: Manifest) -> str | None:
    """The text; of the name of a shard's file, the split; None if it is fixed."""
    match = _SHARD_NAME.fullmatch(text)
    if match and match["split"] in found.splits:
        text = match["split"]
    if text in FIXED_TEXTS:
        return None
    parts = _JOINED.split(text)  # as contours+rtstruct, train:0.7,test:0.3
    known = (
        one in FIXED_TEXTS or one in found.splits or _PART.fullmatch(one)
        for one in parts
    )
    return None if len(parts) > 1 and all(known) else text


def _chosen_texts(found: Manifest) -> frozenset[str]:
    classes = {text for one in found.classes for text in (one.name, one.expression)}
    labels = {text for one in found.labels for text in _strings(vars(one))}
    return frozenset(classes | labels | found.splits.keys())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _strings(key)
            yield from _strings(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _strings(one)


def _records(path: pathlib.Path, name: str, compression: str) -> Iterator[Piece]:
    records = tfrecord_file.read_records(path, compression=compression)
    for number, data in enumerate(records):
        for key, (kind, values) in example_wire.decode(data).items():
            feature = _BY_KEY.get(key)
            if feature is None:
                yield Piece(name, number, "key of a feature", key.encode())
            if kind != BYTES:
                continue
            is_text = feature is None or feature.kind == TEXT
            check = known_terms.CHECKED.get(feature.name) if feature else None
            for value in values:
                if is_text and (
                    value in _FIXED_BYTES or (check and check(value.decode()))
                ):
                    continue
                yield Piece(name, number, key, value, is_text, key in _CHOSEN)


def _other(
    path: pathlib.Path, name: str, chosen: frozenset[str], found: Manifest
) -> Iterator[Piece]:
    data = path.read_bytes()
    try:
        if name.endswith(".json"):
            documents = [json.loads(data)]
        elif name.endswith(".jsonl"):
            documents = [json.loads(line) for line in data.splitlines()]
        elif name.endswith(".index"):
            for line in data.splitlines():
                for cell in line.split(b"\t")[:_INDEX_TEXTS]:
                    said = _said(cell.decode(errors="surrogateescape"), found)
                    if said is not None:
                        data = said.encode(errors="surrogateescape")
                        yield Piece(name, None, "a line", data, chosen=said in chosen)
            return
        else:
            raise ValueError
    except ValueError:  # of another kind, or damaged
        yield Piece(name, None, "the file", data)
        return
    for document in documents:
        for key, text in _json_texts(document, ""):
            said = _said(text, found)
            if said is not None:
                value = said.encode(errors="surrogatepass")
                is_text = not _BASE64.fullmatch(value)
                yield Piece(name, None, key, value, is_text, said in chosen)


def _json_texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Path and text of every string, names of fields included; numbers are none."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield key, name
            yield from _json_texts(one, f"{key}.{name}" if name in FIXED_TEXTS else key)
    elif isinstance(value, list):
        for one in value:
            yield from _json_texts(one, key)


# Names of fields and values that stand in no declaration.
_WORDS = """
    CLOSED_PLANAR CLOSEDPLANAR_XOR OPEN_NONPLANAR OPEN_PLANAR POINT
    all annotated classes content contours converted counts deidentification dicom
    entries findings first foreground format frame frames gzip hint identifiers images
    instance intensities keyed ledger left_out low masks none numpy patient patients
    pixels plan positive public pydicom reasons sentence series size skipped source
    sources split steps study tag test tfdicom traces train validation values versions
    zlib
""".split()


def _fixed_texts() -> frozenset[str]:
    found: set[str] = {*REASONS, *FINDINGS, *FINDINGS.values()}
    for reason in REASONS.values():
        found |= {reason.sentence, reason.hint}
    modules = (manifest, label_kinds, shard_results, conversion_state, value_counts)
    for module in modules:
        for one in vars(module).values():
            if isinstance(one, type) and dataclasses.is_dataclass(one):
                found |= {field.name for field in dataclasses.fields(one)}
    for field in dataclasses.fields(ConvertOptions):
        found |= {field.name, *(field.metadata["choices"] or ())}
    found |= {*known_terms.MODALITIES, *known_terms.PHOTOMETRIC_INTERPRETATIONS}
    found |= {manifest.MANIFEST, manifest.LEDGER, dataset_index.INDEX}
    found.add(f"{shard_results.CONVERSION}/{conversion_state.STATE}")
    found.add(file_checksums.CHECKSUMS)
    found |= {*privacy_options.APPLIED_OPTIONS, *contour_origin.NAMED_SHIFTS}
    return frozenset(found | {*candidates.KINDS, *FEATURES, *_WORDS})


#: Strings that the package writes of its own, whatever the source holds.
FIXED_TEXTS = _fixed_texts()
_FIXED_BYTES = frozenset(text.encode() for text in FIXED_TEXTS)
