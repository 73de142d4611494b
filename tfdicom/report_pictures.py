"""Which examples a report shows, and their pictures, within a budget of bytes."""

from __future__ import annotations

import base64
import collections
import dataclasses
import functools
import io
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from tfdicom import (
    contact_sheet,
    example_schema,
    processes,
    tfrecord_file,
)
from tfdicom.dataset_reading import shard_examples, spread
from tfdicom.example_schema import FrameExample
from tfdicom.label_kinds import CLASS
from tfdicom.manifest import Manifest
from tfdicom.progress import Progress
from tfdicom.report_facts import ExampleFacts

#: Side of a picture, screen pixels.
TILE = 192
#: What all pictures of a report may take, as base64 with their words, bytes.
BUDGET = 7_000_000
#: What the whole page may take; pictures have what all else leaves of it.
PAGE_BUDGET = 9_500_000
_WORDS = 800  # bytes of a picture's words and markup, about
_MOST = 1200  # pictures, whatever their sizes
_QUALITY = 78
#: Classes that have pictures and charts of their own; of more, the most frequent.
MOST_CLASSES = 24
_CASES = 3  # times as many pictures of a finding as of a row of a sheet


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of pictures: a title, and the examples that it shows."""

    title: str
    examples: tuple[ExampleFacts, ...]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Rows that belong together: those of one split and one class."""

    title: str
    rows: tuple[Row, ...]


def shown_classes(manifest: Manifest) -> list[int]:
    """Places of the classes with charts and pictures, in the data set's order."""
    names = manifest.class_names
    positive = [
        sum(info.classes[name].positive for info in manifest.splits.values())
        for name in names
    ]
    order = sorted(range(len(names)), key=lambda place: -positive[place])
    return sorted(order[:MOST_CLASSES])


def sheets(
    manifest: Manifest,
    examples: Sequence[ExampleFacts],
    findings: Mapping[str, Sequence[str]],
    count: int,
) -> list[Sheet]:
    """A sheet for each split and class; without classes, for each split.

    Args:
      manifest: Of the data set.
      examples: All of them.
      findings: What is odd about them, by key.
      count: Pictures in each row.
    """
    by_split: dict[str, list[ExampleFacts]] = {name: [] for name in manifest.splits}
    for one in examples:
        by_split[one.split].append(one)
    found = []
    for split, members in by_split.items():
        if not manifest.classes:
            rows = tuple(_label_rows(manifest, members, count))
            found.append(Sheet(f"Split {split}", rows))
        for place in shown_classes(manifest) if manifest.classes else ():
            title = f"Split {split}, class {manifest.class_names[place]}"
            rows = tuple(_class_rows(members, place, findings, count))
            found.append(Sheet(title, rows))
    return [one for one in found if any(row.examples for row in one.rows)]


def _class_rows(
    members: Sequence[ExampleFacts],
    place: int,
    findings: Mapping[str, Sequence[str]],
    count: int,
) -> Iterator[Row]:
    known = all(one.spacing for one in members)
    sized = sorted(
        (one for one in members if one.pixels[place]),
        key=lambda one: (one.area(place) or 0) if known else one.pixels[place],
    )
    if len(sized) <= 3 * count:
        yield Row("All, smallest masks first", tuple(sized))
    else:
        middle = (len(sized) - count) // 2
        yield Row("Smallest masks", tuple(sized[:count]))
        yield Row("Masks of middle size", tuple(sized[middle : middle + count]))
        yield Row("Largest masks", tuple(sized[: -count - 1 : -1]))
    odd = [one for one in sized if findings.get(one.key)]
    odd.sort(key=lambda one: -len(findings[one.key]))
    if odd:
        yield Row("Most findings", tuple(odd[:count]))


def _label_rows(
    manifest: Manifest, members: Sequence[ExampleFacts], count: int
) -> Iterator[Row]:
    for number, label in enumerate(manifest.labels):
        for word in label.vocabulary if label.kind == CLASS else ():
            having = [
                one for one in members if one.words[number : number + 1] == (word,)
            ]
            yield Row(f"{label.name}: {word}", _some(having, count))
    yield Row("Evenly spread", _some(members, 2 * count))


def _some(members: Sequence[ExampleFacts], count: int) -> tuple[ExampleFacts, ...]:
    return tuple(members[place] for place in sorted(spread(len(members), count)))


def cases(
    examples: Sequence[ExampleFacts], findings: Mapping[str, Sequence[str]], count: int
) -> dict[str, Row]:
    """A row for each finding, by its code, the most frequent first: its examples."""
    having: dict[str, list[ExampleFacts]] = collections.defaultdict(list)
    for one in examples:
        for code in findings.get(one.key, ()):
            having[code].append(one)
    order = sorted(having, key=lambda code: (-len(having[code]), code))
    return {code: Row(code, tuple(having[code][: count * _CASES])) for code in order}


def to_draw(rows: Sequence[Row]) -> list[ExampleFacts]:
    """The examples of some rows, each once, as far as a report may hold them."""
    found = {one.key: one for _, one in itertools.islice(_in_turn(rows), _MOST)}
    return list(found.values())


def within_budget(
    rows: Sequence[Row], pictures: Mapping[str, str], budget: int
) -> set[tuple[int, str]]:
    """Number of the row and key of each picture that fits; each place costs anew."""
    found = set()
    for number, one in _in_turn(rows):
        if one.key not in pictures:
            continue
        budget -= len(pictures[one.key]) + _WORDS
        if budget < 0:
            break
        found.add((number, one.key))
    return found


def _in_turn(rows: Sequence[Row]) -> Iterator[tuple[int, ExampleFacts]]:
    """The first example of each row, then the second of each, and so on."""
    longest = max((len(row.examples) for row in rows), default=0)
    for place in range(longest):
        for number, row in enumerate(rows):
            if place < len(row.examples):
                yield number, row.examples[place]


def draw(
    folder: pathlib.Path,
    compression: str,
    examples: Sequence[ExampleFacts],
    *,
    num_workers: int = 0,
) -> dict[str, str]:
    """Data URIs of the pictures of some examples, by key.

    Args:
      folder: Of the data set.
      compression: Of its shards.
      examples: Which ones; each shard is opened once.
      num_workers: Processes; 0: one for each processor.
    """
    wanted: dict[str, dict[str, int]] = collections.defaultdict(dict)
    for one in examples:
        wanted[one.shard][one.key] = one.offset
    draw_some = functools.partial(_draw_shard, folder, compression)
    found: dict[str, str] = {}
    with Progress("pictures", len(examples), "pictures") as progress:
        for pictures in processes.map_in_processes(
            draw_some,
            list(wanted.items()),
            workers=num_workers or processes.default_workers(),
            progress=progress,
        ):
            found.update(pictures)
    return found


def _draw_shard(
    folder: pathlib.Path, compression: str, wanted: tuple[str, Mapping[str, int]]
) -> dict[str, str]:
    file, offsets = wanted
    found = {}
    for example in _read(folder / file, compression, offsets):
        found[example.key] = data_uri(example)
        processes.count_done(1)
    return found


def _read(
    path: pathlib.Path, compression: str, offsets: Mapping[str, int]
) -> Iterator[FrameExample]:
    if compression == "none":
        for offset in sorted(offsets.values()):
            yield example_schema.decode(tfrecord_file.read_record_at(path, offset))
        return
    for _, example in shard_examples(path, compression):
        if example.key in offsets:
            yield example


def data_uri(example: FrameExample) -> str:
    """The picture of an example as a data URI: image, masks and contours."""
    crop = contact_sheet.crop_around_masks(example)
    picture = contact_sheet.overlay(example, crop=crop, size=TILE)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=_QUALITY, method=4)
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/webp;base64,{text}"
