"""Charts as SVG, for pages that allow no script or style in them.

Colours come from the class attributes that ``static/style.css`` knows, ``series-0``
and so on; lines differ by their dashes as well, for who tells no colours apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup, escape

_WIDTH, _RIGHT, _LETTER = 520, 60, 8.5
_BAR, _GAP = 20, 8
_HEIGHT, _TOP, _BOTTOM, _MARGIN = 220, 10, 34, 46
_KINDS = 7  # colours and dashes
_CUT = 2.5  # a bin that is so many times as high as the others is cut off


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
    names = [_short(name) for name, _, _ in rows]
    start = max(map(len, names), default=0) * _LETTER + 2 * _GAP
    scale = (_WIDTH - start - _RIGHT) / longest
    parts = []
    for number, (_, length, text) in enumerate(rows):
        top = _GAP + number * (_BAR + _GAP)
        middle, width = top + _BAR * 0.72, length * scale
        parts += [
            _text(start - _GAP, middle, names[number], anchor="end"),
            Markup(
                '<rect class="bar" x="{}" y="{}" width="{:.1f}" height="{}"/>'
            ).format(start, top, max(width, 1), _BAR),
            _text(start + width + 6, middle, text),
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
    top, cut = _highest(lines)
    low, span = edges[0], (edges[-1] - edges[0]) or 1
    width, foot = _WIDTH - _MARGIN - 10, _HEIGHT - _BOTTOM

    def across(value: float) -> float:
        return _MARGIN + (value - low) / span * width

    def up(share: float) -> float:
        return foot - min(share / top, 1) * (foot - _TOP)

    parts = [
        Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(
            _MARGIN, _TOP, foot, _MARGIN + width
        ),
        _text(_MARGIN - 6, _TOP + 8, f"{top:.0%}", anchor="end"),
        _text(_MARGIN - 6, foot, "0", anchor="end"),
        _text(_MARGIN + width / 2, _HEIGHT - 4, axis, anchor="middle"),
    ]
    if cut:
        words_of_cut = f"the highest bin goes on to {cut:.0%}"
        parts.append(_text(_WIDTH - 10, _TOP + 8, words_of_cut, anchor="end"))
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


def _highest(lines: Sequence[Line]) -> tuple[float, float]:
    """Where the chart ends, and how high a bin goes that is cut off there; 0 for none.

    Air around a patient would flatten all else: one such bin of each line.
    """
    ranked = sorted((share for line in lines for share in line.shares), reverse=True)
    other = next((share for share in ranked[len(lines) :] if share), 0)
    if other and ranked[0] > _CUT * other:
        return 1.2 * other, ranked[0]
    return (ranked[0] if ranked else 0) or 1, 0.0


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
    return name if len(name) <= 21 else name[:20] + "…"
