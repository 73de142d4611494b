"""A data set as one HTML page that opens without a network, a script or a server."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tfdicom import files, report_facts, report_figures, report_pictures, report_tables
from tfdicom.charts import Chart
from tfdicom.contact_sheet import COLORS
from tfdicom.leakage import AuditedExample, LeakageAudit, Place
from tfdicom.manifest import Manifest, load_manifest
from tfdicom.near_duplicates import LikeImages
from tfdicom.privacy_options import KEPT
from tfdicom.report_facts import DatasetFacts, ExampleFacts
from tfdicom.report_gallery import Gallery
from tfdicom.report_pictures import Row
from tfdicom.report_tables import Table
from tfdicom.version import VERSION

TEMPLATE = "report.html"
_MOST_PAIRS = 100  # of patients with something in common


@dataclasses.dataclass(frozen=True)
class ReportResult:
    """What was written.

    Attributes:
      out: The file.
      examples: Records that were read.
      pictures: Pictures in the page.
      size: Of the file, bytes.
      seconds: That all of it took.
    """

    out: str
    examples: int
    pictures: int
    size: int
    seconds: float

    def __str__(self) -> str:
        """For a terminal."""
        rate = self.examples / max(self.seconds, 1e-9)
        return (
            f"{self.out}: {self.examples} examples, {self.pictures} pictures, "
            f"{self.size / 1e6:.1f} MB, {self.seconds:.1f} s ({rate:.0f} examples/s)"
        )


def report(
    data_dir: str | pathlib.Path,
    out: str | pathlib.Path,
    *,
    examples: int = 4,
    num_workers: int = 0,
) -> ReportResult:
    """Writes a page about a data set.

    Args:
      data_dir: Folder of the data set, local or with a scheme.
      out: The HTML file; one that is there is replaced.
      examples: Pictures in each row of a contact sheet.
      num_workers: Processes; 0: one for each processor.

    Raises:
      FileNotFoundError: The folder holds no data set.
      ValueError: A record is damaged, or there is none; or jinja2 is not installed.
    """
    started = time.monotonic()
    template = _template()
    folder = files.path_of(data_dir)
    manifest = load_manifest(data_dir)
    facts = report_facts.gather(folder, manifest, num_workers=num_workers)
    if not facts.examples:
        raise ValueError(f"{data_dir} holds no example: there is nothing to report")
    findings = report_facts.findings_by_key(folder)
    sheets = report_pictures.sheets(manifest, facts.examples, findings, examples)
    cases = report_pictures.cases(facts.examples, findings, examples)
    rows = [row for sheet in sheets for row in sheet.rows] + list(cases.values())
    drawn = report_pictures.draw(
        folder,
        manifest.compression,
        report_pictures.to_draw(rows),
        num_workers=num_workers,
    )
    known = _known(folder, manifest, facts, cases)

    def page(budget: int) -> tuple[str, int]:
        gallery = Gallery(manifest, findings, rows, drawn, budget)
        text = template.render(
            sheets=[gallery.sheet(one) for one in sheets],
            cases=gallery.cases(cases, facts.examples),
            **known,
        )
        return text, gallery.count

    left = report_pictures.PAGE_BUDGET - len(page(0)[0].encode())
    text, pictures = page(min(left, report_pictures.BUDGET))
    files.write_text(files.path_of(out), text)
    return ReportResult(
        str(out),
        len(facts.examples),
        pictures,
        len(text.encode()),
        time.monotonic() - started,
    )


def _known(
    folder: pathlib.Path,
    manifest: Manifest,
    facts: DatasetFacts,
    cases: Mapping[str, Row],
) -> dict[str, Any]:
    """What the template shows besides pictures."""
    shown = report_pictures.shown_classes(manifest)
    ledger = [
        report_tables.files(manifest.ledger),
        report_tables.reasons(manifest.ledger),
    ]
    return {
        "name": _name(folder),
        "version": VERSION,
        "kept": manifest.options.get("identifiers") == KEPT,
        "total": len(facts.examples),
        "classes": [vars(one) for one in manifest.classes],
        "shown": [manifest.class_names[one] for one in shown],
        "sections": _sections(manifest, facts),
        "colors": _legend(manifest),
        "findings": report_tables.findings(manifest, cases),
        "leaks": _leaks(facts.examples),
        "patients": report_tables.patients(manifest, facts.examples),
        "files": report_tables.with_rows(ledger),
        "made": _made(manifest),
        "reading": reading_code(manifest, _name(folder)),
        "tile": report_pictures.TILE,
    }


def _template() -> Any:
    try:
        import jinja2  # an extra, and no other verb needs it
    except ModuleNotFoundError:
        raise ValueError(
            "the report needs jinja2: pip install 'tfdicom[report]'"
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfdicom"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(TEMPLATE)


def _name(folder: pathlib.Path) -> str:
    """The data set's name: that of its folder, without the path to it."""
    absolute = folder.absolute() if isinstance(folder, pathlib.Path) else folder
    return absolute.name or "data set"


@dataclasses.dataclass(frozen=True)
class _Section:
    """A part of the page about numbers: tables, and charts beside them."""

    anchor: str
    title: str
    words: str
    tables: Sequence[Table]
    charts: Sequence[Chart]


def _sections(manifest: Manifest, facts: DatasetFacts) -> list[_Section]:
    places = report_pictures.shown_classes(manifest)
    examples = facts.examples
    found = [
        _Section(
            "overview",
            "At a glance",
            "",
            [report_tables.overview(manifest, facts)],
            list(report_figures.presence(manifest, places)),
        ),
        _Section(
            "images",
            "Images",
            "",
            [
                report_tables.frames(manifest),
                report_tables.counted("Scanners", "maker and model", facts.equipment),
                report_tables.counted(
                    "Spacings, mm", "between rows x columns, slices", facts.places
                ),
            ],
            [],
        ),
        _Section(
            "labels",
            "Labels",
            "",
            report_tables.with_rows([report_tables.labels(manifest)]),
            [],
        ),
        _Section(
            "masks",
            "Masks: how large, and where",
            "A split that differs from the others here is another population, or "
            "another annotator.",
            report_tables.with_rows(
                [
                    report_tables.areas(manifest, examples, places),
                    report_tables.centres(manifest, examples, places),
                ]
            ),
            [
                *report_figures.areas(manifest, examples, places),
                *report_figures.positions(manifest, examples, places),
            ],
        ),
        _Section(
            "greys",
            "Grey values",
            "The charts go from the 0.5th to the 99.5th percentile.",
            [report_tables.greys(manifest, _of_classes(facts, manifest, places))],
            list(report_figures.greys(_of_classes(facts, manifest, places), manifest)),
        ),
    ]
    return [one for one in found if one.tables or one.charts]


def _of_classes(
    facts: DatasetFacts, manifest: Manifest, places: Sequence[int]
) -> DatasetFacts:
    """The same without the grey values of classes that are not shown."""
    names = {manifest.class_names[place] for place in places}
    greys = {
        key: counts
        for key, counts in facts.greys.items()
        if key[2] in names | {report_facts.ALL_PIXELS}
    }
    return dataclasses.replace(facts, greys=greys)


def _legend(manifest: Manifest) -> list[tuple[str, str]]:
    """Name and colour of each class, as the pictures have them."""
    return [
        (name, "#{:02x}{:02x}{:02x}".format(*COLORS[place % len(COLORS)]))
        for place, name in enumerate(manifest.class_names)
    ]


def _leaks(examples: Sequence[ExampleFacts]) -> dict[str, Any]:
    """What splits, or patients, have in common; as `verify` finds it."""
    audit, images = LeakageAudit(), LikeImages()
    for one in examples:
        audited = AuditedExample(
            split=one.split,
            patient=one.patient,
            study=one.study,
            series=one.series,
            instance=one.instance,
            pixel_hash=one.pixel_hash,
            name=one.key,
        )
        audit.add(audited)
        place = Place(one.split, one.patient, one.key)
        images.add(one.signature, place, one.pixel_hash)
    shared, alike = audit.shared, images.patients()
    leaks = [str(one) for one in shared if one.is_leak]
    notes = [str(one) for one in shared if not one.is_leak] + [
        str(one) for one in alike
    ]
    return {
        "leaks": leaks[:_MOST_PAIRS],
        "more_leaks": max(len(leaks) - _MOST_PAIRS, 0),
        "notes": notes[:_MOST_PAIRS],
        "more_notes": max(len(notes) - _MOST_PAIRS, 0),
    }


def _made(manifest: Manifest) -> list[Table]:
    expressions = {one.name: one.expression for one in manifest.classes}
    return report_tables.with_rows(
        [
            report_tables.key_values(
                "Classes and what they are made of",
                ("class", "structures"),
                expressions,
            ),
            report_tables.key_values(
                "Options of the conversion", ("option", "value"), manifest.options
            ),
            report_tables.key_values(
                "Versions that made it", ("part", "version"), manifest.versions
            ),
        ]
    )


def reading_code(manifest: Manifest, name: str) -> str:
    """Python code that reads the data set, and works where its folder lies here."""
    filled = [split for split, info in manifest.splits.items() if info.examples]
    split = "train" if "train" in filled else filled[0]
    words = [f'"{name}"', f'"{split}"', "batch_size=8"]
    shapes = [one.shape for info in manifest.splits.values() for one in info.frames]
    if len({shape[:2] for shape in shapes}) > 1:
        rows, columns = (max(shape[axis] for shape in shapes) for axis in (0, 1))
        words.append(f"image_size=({rows}, {columns})")
    if not manifest.classes:
        words.append(f"labels={[one.name for one in manifest.labels]!r}")
    second = "mask" if manifest.classes else "label"
    return (
        "import tfdicom\n\n"
        f"dataset = tfdicom.input_fn({', '.join(words)})\n"
        f"for image, {second} in dataset:\n"
        f"    ...  # image: float32 [batch, rows, columns, channels]"
    )
