"""How an example and its masks came to be: files, rules, outlines, areas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfdicom import rasterize
from tfdicom.crosswalks import Crosswalk
from tfdicom.example_schema import FrameExample

_UNION = "union"
#: Lines of one kind that are shown.
MANY = 40

#: What a line is about, and what it says.
Line = tuple[str, str]


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


def named(pseudonym: str, names: Mapping[str, str]) -> str:
    """A pseudonym, behind the name where there is one."""
    name = names.get(pseudonym)
    return f"{name} ({pseudonym})" if name else pseudonym


def _files(ledger: Sequence[Mapping[str, Any]], names: Crosswalk) -> Iterator[Line]:
    """The candidates that became this example or a part of it."""
    for line in sorted(ledger, key=order)[:MANY]:
        odd = f": {', '.join(line['findings'])}" if line.get("findings") else ""
        yield line["kind"], named(line["candidate"], names.sources) + odd
    if len(ledger) > MANY:
        yield "", f"and {len(ledger) - MANY} more"


def order(line: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Sorts lines of a ledger: the image first."""
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
    for (structure, vertices), role, centres in rows[:MANY]:
        area = abs(rasterize.polygon_area(vertices)) if len(vertices) >= 3 else 0.0
        kind = f", {role}" if role else ""
        on = "" if centres is None else f", {centres} pixel centres on its path"
        text = f"{len(vertices)} vertices{kind}, encloses {area:.1f} pixels{on}"
        yield "outline", f"{structure}: {text}"
    if len(rows) > MANY:
        yield "", f"and {len(rows) - MANY} more"


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
