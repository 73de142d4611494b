"""One example in words: the files it came from, the rules, and how much it holds.

Files and patients are named where a crosswalk names them, else by pseudonym.
"""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tfdicom import (
    crosswalks,
    dataset_index,
    deidentify,
    example_schema,
    files,
    tfrecord_file,
)
from tfdicom.crosswalks import Crosswalk
from tfdicom.dataset_index import IndexEntry
from tfdicom.deidentify import Pseudonyms
from tfdicom.example_history import MANY, Line, history, named, order
from tfdicom.example_schema import FrameExample
from tfdicom.manifest import (
    LEFT_OUT,
    SKIPPED,
    Manifest,
    ledger_of,
    load_manifest,
    read_ledger,
)
from tfdicom.sources.candidates import IMAGE


def explain(
    data_dir: str | pathlib.Path,
    key: str,
    id_key_file: str | None = None,
    crosswalk: str | None = None,
) -> str:
    """Explains an example.

    Args:
      data_dir: Folder of the data set.
      key: Key of the example, or its beginning.
      id_key_file: The key that the data set was made with; None for the user's own,
        if it is that. A crosswalk beside it that knows the example's files names them,
        also after the data set was moved or renamed.
      crosswalk: The crosswalk; None to look for it beside the key.

    Raises:
      ValueError: No example, or several, have such a key; the file holds another key
        than the data set was made with; or the crosswalk is none.
    """
    found = load_manifest(data_dir)
    entry = _entry(data_dir, key)
    example = _read(files.path_of(data_dir) / entry.shard, entry, found)
    ledger = ledger_of(data_dir, example.key)
    candidates = {line["candidate"] for line in ledger}
    if crosswalk:
        names = crosswalks.read(pathlib.Path(crosswalk).expanduser())
    else:
        pseudonyms = _pseudonyms(found, data_dir, id_key_file)
        names = _names(data_dir, pseudonyms, candidates)
    lines = [
        *_place(entry, example, found, names),
        *_about(names, candidates),
        *history(example, ledger, names),
        *_dropped(data_dir, example.patient, ledger, names),
    ]
    return "\n".join(f"{topic:<10}{text}" for topic, text in lines)


def _names(
    data_dir: str | pathlib.Path,
    pseudonyms: Pseudonyms | None,
    candidates: Collection[str],
) -> Crosswalk:
    if pseudonyms is None:
        return Crosswalk()
    place = str(files.path_of(data_dir).absolute())
    return crosswalks.find(pseudonyms, place, candidates)


def _about(names: Crosswalk, candidates: Collection[str]) -> Iterator[Line]:
    """Which crosswalk names the files, and what it does not know."""
    unknown = sum(one not in names.sources for one in candidates)
    if names.path is None:
        yield (
            "names",
            "none: no crosswalk that knows these files lies beside the key of the "
            "pseudonyms; name the key with --id_key_file, or the file with "
            "--crosswalk. They are on the machine that converted; public data has none",
        )
    elif unknown:
        yield (
            "names",
            f"from {names.path.name}, which does not know {unknown} of "
            f"{len(candidates)} files; is it another data set's?",
        )


def _pseudonyms(
    found: Manifest, data_dir: str | pathlib.Path, id_key_file: str | None
) -> Pseudonyms | None:
    pseudonyms = deidentify.existing_pseudonyms(id_key_file)
    made_with = found.options.get("identity_key")
    if pseudonyms is None or pseudonyms.fingerprint == made_with:
        return pseudonyms
    if id_key_file:
        raise ValueError(
            f"id_key_file={id_key_file!r}: {data_dir} was made with another key; "
            f"{deidentify.key_to_name(made_with)}"
        )
    return None


def _entry(data_dir: str | pathlib.Path, key: str) -> IndexEntry:
    entries = [e for e in dataset_index.read_index(data_dir) if e.key.startswith(key)]
    if len(entries) == 1:
        return entries[0]
    if not entries:
        raise ValueError(f"key={key!r}: no example of {data_dir} has a key like that")
    shown = ", ".join(one.key for one in entries[:3])
    raise ValueError(
        f"key={key!r}: {len(entries)} examples have such a key, {shown} among them; "
        "give more of its digits"
    )


def _read(path: pathlib.Path, entry: IndexEntry, found: Manifest) -> FrameExample:
    if found.compression == "none":
        return example_schema.decode(tfrecord_file.read_record_at(path, entry.offset))
    records = tfrecord_file.read_records(path, compression=found.compression)
    examples = map(example_schema.decode, records)
    return next(one for one in examples if one.key == entry.key)


def _place(
    entry: IndexEntry, example: FrameExample, found: Manifest, names: Crosswalk
) -> Iterator[Line]:
    split = found.split_table.get(example.patient, "?")
    yield "example", example.key
    yield "in", f"{entry.shard} at byte {entry.offset}, split {split}"
    yield "patient", named(example.patient, names.patients)
    yield "study", example.study
    frame = f", frame {example.frame_number}" if example.frame_number > 1 else ""
    place = ""
    if example.slice_index is not None:
        place = f", slice {example.slice_index} of {example.slice_count}"
    if example.phase_index is not None:
        place += f", phase {example.phase_index} of {example.phase_count}"
    yield "series", f"{example.series}{frame}{place}"
    shape = " x ".join(map(str, example.shape))
    yield "image", f"{example.modality or '?'}, {shape}, {example.dtype}"
    if example.rater:
        yield "rater", example.rater


def _dropped(
    data_dir: str | pathlib.Path,
    patient: str,
    ours: Iterable[Mapping[str, Any]],
    names: Crosswalk,
) -> Iterator[Line]:
    """Annotations that a fault, or a policy, kept from a mask.

    Those of the image, and those with a fault of the patient of which nobody knows the
    image; of those on other images, how many there are.
    """
    images = {line["candidate"] for line in ours if line["kind"] == IMAGE}
    found = [
        line
        for line in read_ledger(data_dir)
        if line.get("patient") == patient
        and line["kind"] != IMAGE
        and line["status"] in (SKIPPED, LEFT_OUT)
    ]
    here = [line for line in found if line.get("image") in images]
    faults = [line for line in found if line["status"] == SKIPPED]
    unplaced = [line for line in faults if "image" not in line]
    for words, lines in (
        ("of this image", here),
        ("of this patient, on an image that is not known", unplaced),
    ):
        for line in sorted(lines, key=order)[:MANY]:
            topic = "dropped" if line["status"] == SKIPPED else "left out"
            what = f"{line['kind']} {named(line['candidate'], names.sources)}"
            reason = f"{line['reason']}. {line['sentence']}"
            yield topic, f"{words}, {what}: {reason}"
        if len(lines) > MANY:
            yield "", f"and {len(lines) - MANY} more {words}"
    here_or_unplaced = {line["candidate"] for line in (*here, *unplaced)}
    elsewhere = sum(line["candidate"] not in here_or_unplaced for line in faults)
    if elsewhere:
        yield "dropped", f"{elsewhere} on other images of this patient"
