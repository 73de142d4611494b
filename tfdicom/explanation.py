"""One example in words: the files it came from, the rules, and how much it holds.

Files and patients are named where the crosswalk beside the key names them, else by
pseudonym.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfdicom import (
    dataset_index,
    deidentify,
    example_schema,
    files,
    rasterize,
    tfrecord_file,
)
from tfdicom.dataset_index import IndexEntry
from tfdicom.deidentify import Pseudonyms
from tfdicom.example_schema import FrameExample
from tfdicom.manifest import (
    SKIPPED,
    Manifest,
    ledger_of,
    load_manifest,
    read_ledger,
)
from tfdicom.sources.candidates import IMAGE

_UNION = "union"
_MANY_FILES = 40

#: What a line is about, and what it says.
Line = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Crosswalk:
    """Names by pseudonym.

    Attributes:
      path: The file; None where there is none.
      sources: Path of a candidate.
      patients: The source's identifier of a patient.
    """

    path: pathlib.Path | None = None
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    patients: Mapping[str, str] = dataclasses.field(default_factory=dict)


def explain(
    data_dir: str | pathlib.Path, key: str, id_key_file: str | None = None
) -> str:
    """Explains an example.

    Args:
      data_dir: Folder of the data set.
      key: Key of the example, or its beginning.
      id_key_file: The key that the data set was made with; None for the user's own,
        if it is that.

    Raises:
      ValueError: No example, or several, have such a key; or the file holds another
        key than the data set was made with.
    """
    found = load_manifest(data_dir)
    pseudonyms = _pseudonyms(found, data_dir, id_key_file)
    entry = _entry(data_dir, key)
    example = _read(files.path_of(data_dir) / entry.shard, entry, found)
    names = _crosswalk(data_dir, pseudonyms)
    lines = [
        *_place(entry, example, found, names),
        *history(example, ledger_of(data_dir, example.key), names),
        *_dropped(data_dir, example.patient, names),
    ]
    return "\n".join(f"{topic:<10}{text}" for topic, text in lines)


def history(
    example: FrameExample,
    ledger: Sequence[Mapping[str, Any]],
    names: Crosswalk | None = None,
) -> list[Line]:
    """How an example and its masks came to be: files, rules, areas.

    Args:
      example: The example.
      ledger: The ledger's lines of its key.
      names: Names to say; pseudonyms are said without them.
    """
    return [
        *_files(ledger, names or Crosswalk()),
        *_rules(example),
        *_outlines(example),
        *_classes(example),
    ]


def _pseudonyms(
    found: Manifest, data_dir: str | pathlib.Path, id_key_file: str | None
) -> Pseudonyms | None:
    pseudonyms = deidentify.existing_pseudonyms(id_key_file)
    made_with = found.options.get("identity_key")
    if pseudonyms is None or pseudonyms.fingerprint == made_with:
        return pseudonyms
    if id_key_file:
        raise ValueError(
            f"id_key_file={id_key_file!r}: {data_dir} was made with another key "
            f"(fingerprint {made_with}, not {pseudonyms.fingerprint})"
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


def _crosswalk(
    data_dir: str | pathlib.Path, pseudonyms: Pseudonyms | None
) -> Crosswalk:
    output = str(files.path_of(data_dir).absolute())
    path = deidentify.crosswalk_path(pseudonyms, output) if pseudonyms else None
    if path is None or not path.exists():
        return Crosswalk()
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    return Crosswalk(
        path,
        {row["candidate"]: row["source_path"] for row in rows},
        {row["patient"]: row["source_patient"] for row in rows if row["patient"]},
    )


def _place(
    entry: IndexEntry, example: FrameExample, found: Manifest, names: Crosswalk
) -> Iterator[Line]:
    split = found.split_table.get(example.patient, "?")
    yield "example", example.key
    yield "in", f"{entry.shard} at byte {entry.offset}, split {split}"
    yield "patient", _named(example.patient, names.patients)
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
    if names.path is None:
        yield (
            "names",
            "none: the crosswalk lies beside the key of the pseudonyms, on "
            "the machine that converted (--id_key_file); public data has none",
        )


def _named(pseudonym: str, names: Mapping[str, str]) -> str:
    name = names.get(pseudonym)
    return f"{name} ({pseudonym})" if name else pseudonym


def _files(ledger: Sequence[Mapping[str, Any]], names: Crosswalk) -> Iterator[Line]:
    """The candidates that became this example or a part of it."""
    for line in sorted(ledger, key=_order)[:_MANY_FILES]:
        odd = f": {', '.join(line['findings'])}" if line.get("findings") else ""
        yield line["kind"], _named(line["candidate"], names.sources) + odd
    if len(ledger) > _MANY_FILES:
        yield "", f"and {len(ledger) - _MANY_FILES} more"


def _dropped(
    data_dir: str | pathlib.Path, patient: str, names: Crosswalk
) -> Iterator[Line]:
    """Annotations of the patient, on any image, that a fault kept from a mask."""
    found = [
        line
        for line in read_ledger(data_dir)
        if line.get("patient") == patient
        and line["kind"] != IMAGE
        and line["status"] == SKIPPED
    ]
    for line in sorted(found, key=_order)[:_MANY_FILES]:
        what = f"{line['kind']} {_named(line['candidate'], names.sources)}"
        reason = f"{line['reason']}. {line['sentence']}"
        yield "dropped", f"of this patient, {what}: {reason}"
    if len(found) > _MANY_FILES:
        yield "", f"and {len(found) - _MANY_FILES} more"


def _order(line: Mapping[str, Any]) -> tuple[bool, str, str]:
    return line["kind"] != "image", line["kind"], line["candidate"]


def _rules(example: FrameExample) -> Iterator[Line]:
    rules = []
    if example.edge_rule:
        rules.append(f"edge rule {example.edge_rule}")
    if example.hole_rule:
        rules.append(f"hole rule {example.hole_rule}")
    if example.contour_origin and example.contour_shift:
        column, row = example.contour_shift
        rules.append(
            f"contour origin {example.contour_origin} (shift {column:g}, {row:g})"
        )
    if rules:
        yield "rules", ", ".join(rules)


def _outlines(example: FrameExample) -> Iterator[Line]:
    """The contours that the masks were filled from, as the record holds them."""
    contours = example.contours
    roles = example.contour_roles or ("",) * len(contours)
    on_path = example.contour_centres_on_path or (None,) * len(contours)
    rows = list(zip(contours, roles, on_path, strict=True))
    for (structure, vertices), role, centres in rows[:_MANY_FILES]:
        area = abs(rasterize.polygon_area(vertices)) if len(vertices) >= 3 else 0.0
        kind = f", {role}" if role else ""
        on = "" if centres is None else f", {centres} pixel centres on its path"
        text = f"{len(vertices)} vertices{kind}, encloses {area:.1f} pixels{on}"
        yield "outline", f"{structure}: {text}"
    if len(rows) > _MANY_FILES:
        yield "", f"and {len(rows) - _MANY_FILES} more"


def _classes(example: FrameExample) -> Iterator[Line]:
    areas = contour_areas(example)
    spacing = example.pixel_spacing
    pixel_mm2 = spacing[0] * spacing[1] if spacing else None
    rows = zip(
        example.classes,
        example.class_expressions,
        example.annotated,
        example.pixel_count,
        strict=True,
    )
    for name, expression, annotated, pixels in rows:
        made = "" if name == expression else f" = {expression}"
        if not annotated:
            yield "class", f"{name}{made}: not annotated"
            continue
        area = areas.get(expression)
        compared = ""
        if area:
            more = (pixels / area - 1) * 100
            compared = f", contours enclose {area:.1f} (mask {more:+.1f} %)"
        in_mm2 = f" ({pixels * pixel_mm2:.4g} mm2)" if pixel_mm2 else ""
        yield "class", f"{name}{made}: {pixels} pixels{in_mm2}{compared}"
    used = set(example.class_expressions)
    for structure, area in areas.items():
        if structure not in used:
            yield "structure", f"{structure}: contours enclose {area:.1f} pixels"


def contour_areas(example: FrameExample) -> dict[str, float]:
    """Area that the stored contours of each structure enclose, in pixels.

    A contour inside an odd number of others of its structure is a hole, unless holes
    are not made (hole rule ``union``).
    """
    outlines: dict[str, list[Any]] = {}
    for structure, vertices in example.contours:
        if len(vertices) >= 3:
            outlines.setdefault(structure, []).append(vertices)
    holes = example.hole_rule != _UNION
    return {name: _enclosed(each, holes=holes) for name, each in outlines.items()}


def _enclosed(outlines: Sequence[Any], *, holes: bool) -> float:
    areas = [abs(rasterize.polygon_area(one)) for one in outlines]
    total = 0.0
    for at, (one, area) in enumerate(zip(outlines, areas, strict=True)):
        depth = sum(
            other_area > area and rasterize.shared_area(one, other) > area / 2
            for place, (other, other_area) in enumerate(
                zip(outlines, areas, strict=True)
            )
            if place != at
        )
        if holes:
            total += -area if depth % 2 else area
        elif not depth:
            total += area
    return total
