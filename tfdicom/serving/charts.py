"""Charts as SVG, for pages that allow no script or style in them.

Colours come from the class attributes that ``static/style.css`` knows, ``series-0``
and so on; lines differ by their dashes as well, for who tells no colours apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup, escape

_WIDTH, _LEFT, _RIGHT = 520, 110, 60
_BAR, _GAP = 20, 8
_HEIGHT, _TOP, _BOTTOM, _MARGIN = 220, 10, 34, 46
_KINDS = 7  # colours and dashes


@dataclasses.dataclass(frozen=True)
class Line:
    """One outline of a histogram: its name, and a share for each bin."""

    name: str
    shares: Sequence[float]


def bars(rows: Sequence[tuple[str, float, str]], *, words: str) -> Markup:
    """Horizontal bars.

    Args:
      rows: Name, length (not below 0), and what is written behind the bar.
      words: What the chart says, for who does not see it.
    """
    longest = max((length for _, length, _ in rows), default=0) or 1
    height = len(rows) * (_BAR + _GAP) + _GAP
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    parts = []
    for number, (name, length, text) in enumerate(rows):
        top = _GAP + number * (_BAR + _GAP)
        middle, width = top + _BAR * 0.72, length * scale
        parts += [
            _text(_LEFT - 8, middle, _short(name), anchor="end"),
            Markup(
                '<rect class="bar" x="{}" y="{}" width="{:.1f}" height="{}"/>'
            ).format(_LEFT, top, max(width, 1), _BAR),
            _text(_LEFT + width + 6, middle, text),
        ]
    return _svg(height, words, parts)


def outlines(
    edges: Sequence[float], lines: Sequence[Line], *, axis: str, words: str
) -> Markup:
    """Histograms over each other, as step lines.

    Args:
      edges: Of the bins, one more than these.
      lines: What to draw.
      axis: What the numbers along the bottom are.
      words: What the chart says, for who does not see it.
    """
    highest = max((share for line in lines for share in line.shares), default=0) or 1
    low, span = edges[0], (edges[-1] - edges[0]) or 1
    width, foot = _WIDTH - _MARGIN - 10, _HEIGHT - _BOTTOM

    def across(value: float) -> float:
        return _MARGIN + (value - low) / span * width

    def up(share: float) -> float:
        return foot - share / highest * (foot - _TOP)

    parts = [
        Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(
            _MARGIN, _TOP, foot, _MARGIN + width
        ),
        _text(_MARGIN - 6, _TOP + 8, f"{highest:.0%}", anchor="end"),
        _text(_MARGIN - 6, foot, "0", anchor="end"),
        _text(_MARGIN + width / 2, _HEIGHT - 4, axis, anchor="middle"),
    ]
    for place, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        value = low + span * place
        parts.append(_text(across(value), foot + 14, f"{value:,.4g}", anchor=anchor))
    for number, line in enumerate(lines):
        steps = "".join(
            f"H{across(left):.1f}V{up(share):.1f}"
            for left, share in zip(edges, line.shares, strict=False)
        )
        path = f"M{_MARGIN} {foot}{steps}H{across(edges[-1]):.1f}V{foot}"
        parts.append(
            Markup('<path class="line series-{}" d="{}"/>').format(
                number % _KINDS, path
            )
        )
    return _svg(_HEIGHT, words, parts) + _legend([line.name for line in lines])


def _legend(names: Sequence[str]) -> Markup:
    """The lines' names, each behind a piece of its line."""
    items = [
        Markup(
            '<li><svg class="sample" viewBox="0 0 30 10" aria-hidden="true">'
            '<path class="line series-{}" d="M0 5H30"/></svg> {}</li>'
        ).format(number % _KINDS, name)
        for number, name in enumerate(names)
    ]
    return Markup('<ul class="names">{}</ul>').format(Markup("").join(items))


def _svg(height: int, words: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, height, words, Markup("").join(parts))


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, escape(text)
    )


def _short(name: str) -> str:
    return name if len(name) <= 15 else name[:14] + "…"
