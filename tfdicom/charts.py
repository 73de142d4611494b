"""Charts as SVG text that needs no script and no font, and can be told without colour.

Series have colours of at least 3 : 1 against white which colour-blind people tell
apart, and each has a dash or a mark of its own besides; the seventh has the colour of
the first with another dash. A chart has a title and a
description for those who do not see it.

What a page's style sheet may change has a class: ``plot``, ``axis``, ``grid``, ``bar``,
and ``series-0`` and so on for the colours of lines and marks.
"""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Iterator, Sequence

import numpy as np

#: Okabe and Ito's colours that are dark enough for a line on white.
COLORS = ("#0072b2", "#d55e00", "#007a5a", "#a8558a", "#444444", "#7a6a00")
_DASHES = ("", "7 3", "2 2", "9 3 2 3", "12 4", "4 4")
_WIDTH, _HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 30, 40
_LEGEND_ROW, _LEGEND_COLUMNS = 16, 3
_MARK = 2.6  # radius of a dot
_CUT = 2.5  # a bin that is so many times as high as the others is cut off
_MANY = 8  # bins, that one is cut off
_NAME = 22  # letters of a bar's name


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart: its title, what is to be seen in it as words, and its SVG."""

    title: str
    description: str
    svg: str


@dataclasses.dataclass(frozen=True)
class Line:
    """A histogram as one line: its name, and the height of each bin."""

    name: str
    heights: Sequence[float] | np.ndarray


@dataclasses.dataclass(frozen=True)
class Dots:
    """Points of one series, ``[n, 2]``: across, and down from the top."""

    name: str
    points: np.ndarray


@dataclasses.dataclass(frozen=True)
class Axis:
    """What an axis shows: its words and its range."""

    words: str
    low: float
    high: float

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers within the range."""
        return round_numbers(self.low, self.high, count)


def round_numbers(low: float, high: float, count: int) -> list[float]:
    """Some ``count`` numbers within a range, steps 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def histogram(
    title: str, description: str, edges: np.ndarray, lines: Sequence[Line], words: str
) -> Chart:
    """Histograms over each other, as steps.

    Args:
      title: What it shows.
      description: What is to be seen, for those who do not see it.
      edges: Of the bins, ascending, one more than each line has heights.
      lines: One for each series; heights are parts of the whole.
      words: What the axis below shows, with its unit.
    """
    top, cut = _highest(lines)
    across = Axis(words, float(edges[0]), float(edges[-1]))
    up = Axis("part of all, %", 0.0, top * 105)
    body = [*_frame(across, up, down=False)]
    if cut:
        body.append(_words_of_cut(lines, cut))
    for number, line in enumerate(lines):
        heights = np.repeat(np.asarray(line.heights, float) * 100, 2)
        heights = np.minimum(heights, up.high)
        x = _across(np.repeat(edges, 2)[1:-1], across)
        y = _up(heights, up)
        pairs = zip(x, y, strict=True)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)
        body.append(
            f'<polyline points="{points}" fill="none" {_stroke(number)} '
            f'stroke-width="1.8"{_dash(number)}/>'
        )
    body += _legend([line.name for line in lines], dots=False)
    return _chart(title, description, body, above=_room(len(lines)))


def scatter(
    title: str, description: str, series: Sequence[Dots], across: Axis, down: Axis
) -> Chart:
    """Points, down as in an image: the second axis grows downwards."""
    body = [*_frame(across, down, down=True)]
    for number, dots in enumerate(series):
        if not len(dots.points):
            continue
        x = _across(dots.points[:, 0], across)
        y = _down(dots.points[:, 1], down)
        marks = "".join(
            _mark(number, a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)
        )
        body.append(
            f'<path d="{marks}" fill="none" {_stroke(number)} '
            'stroke-width="1.2" stroke-opacity="0.75"/>'
        )
    body += _legend([dots.name for dots in series], dots=True)
    return _chart(title, description, body, above=_room(len(series)))


def bars(
    title: str,
    description: str,
    rows: Sequence[tuple[str, float, str]],
    whole: float = 0.0,
) -> Chart:
    """Bars from the left.

    Args:
      title: What it shows.
      description: What is to be seen, for those who do not see it.
      rows: Name, length (not below 0), and what is written behind the bar.
      whole: How long a bar could be; 0: as long as the longest is.
    """
    step, left = 20, 140
    height = step * len(rows) + 30
    longest = whole or max((length for _, length, _ in rows), default=0) or 1
    scale = (_WIDTH - left - 62) / longest
    body = []
    for row, (name, length, text) in enumerate(rows):
        y, width = 6 + row * step, length * scale
        shown = _short(name, _NAME)
        body.append(
            f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">'
            f"{html.escape(shown)}</text>"
            f'<rect class="bar" x="{left}" y="{y + 2}" width="{width:.1f}" '
            f'height="12" fill="{COLORS[0]}"/>'
            f'<text x="{left + width + 5:.1f}" y="{y + 12}">{html.escape(text)}</text>'
        )
    body.append(
        f'<line class="axis" x1="{left}" y1="4" x2="{left}" y2="{height - 24}" '
        'stroke="#444"/>'
    )
    return _chart(title, description, body, height=height)


def _highest(lines: Sequence[Line]) -> tuple[float, float]:
    """Where the plot ends, and how high a bin goes that is cut off there; 0 for none.

    Air around a patient would flatten all else: one such bin of each line.
    """
    ranked = sorted((float(h) for line in lines for h in line.heights), reverse=True)
    other = next((height for height in ranked[len(lines) :] if height), 0.0)
    if len(ranked) > _MANY * len(lines) and other and ranked[0] > _CUT * other:
        return 1.2 * other, ranked[0]
    return (ranked[0] if ranked else 0.0) or 1.0, 0.0


def _words_of_cut(lines: Sequence[Line], cut: float) -> str:
    """On the side where the highest bin is not."""
    line = max(lines, key=lambda one: max(one.heights, default=0))
    is_left = int(np.argmax(line.heights)) < len(line.heights) / 2
    x, anchor = (_WIDTH - _RIGHT, "end") if is_left else (_LEFT + 6, "start")
    return (
        f'<text x="{x}" y="{_TOP + 10}" text-anchor="{anchor}">'
        f"the highest bin goes on to {cut:.0%}</text>"
    )


def _short(name: str, most: int) -> str:
    """A name of so many letters: its begin and, behind a comma, its last word."""
    if len(name) <= most:
        return name
    begin, comma, end = name.rpartition(", ")
    if comma and len(end) < most / 2:
        return begin[: most - len(end) - 3] + "…, " + end
    return name[: most - 1] + "…"


def _stroke(number: int) -> str:
    place = number % len(COLORS)
    return f'class="series-{place}" stroke="{COLORS[place]}"'


def _dash(number: int) -> str:
    dash = _DASHES[(number + number // len(COLORS)) % len(_DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _mark(number: int, x: float, y: float) -> str:
    """A small figure as a path: circle, cross, square, plus, triangle, diamond."""
    r = _MARK
    d = 2 * r
    return (
        f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0",
        f"M{x - r:.1f} {y - r:.1f}l{d} {d}m0 -{d}l-{d} {d}",
        f"M{x - r:.1f} {y - r:.1f}h{d}v{d}h-{d}z",
        f"M{x - r:.1f} {y:.1f}h{d}m-{r} -{r}v{d}",
        f"M{x:.1f} {y - r:.1f}l{r} {d}h-{d}z",
        f"M{x:.1f} {y - r:.1f}l{r} {r}l-{r} {r}l-{r} -{r}z",
    )[(number + number // len(COLORS)) % len(COLORS)]


def _across(values: np.ndarray, axis: Axis) -> np.ndarray:
    return _LEFT + _part(values, axis) * (_WIDTH - _LEFT - _RIGHT)


def _up(values: np.ndarray, axis: Axis) -> np.ndarray:
    return _TOP + (1 - _part(values, axis)) * (_HEIGHT - _TOP - _BOTTOM)


def _down(values: np.ndarray, axis: Axis) -> np.ndarray:
    return _TOP + _part(values, axis) * (_HEIGHT - _TOP - _BOTTOM)


def _part(values: np.ndarray, axis: Axis) -> np.ndarray:
    span = axis.high - axis.low
    return (np.asarray(values, float) - axis.low) / (span or 1.0)


def _frame(across: Axis, side: Axis, *, down: bool) -> Iterator[str]:
    """Axes, their ticks and words."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for value in side.ticks():
        place = (_down if down else _up)(np.array([value]), side)[0]
        yield (
            f'<line class="grid" x1="{_LEFT}" y1="{place:.1f}" x2="{right}" '
            f'y2="{place:.1f}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 5}" y="{place + 4:.1f}" text-anchor="end">'
            f"{_number(value)}</text>"
        )
    for value in across.ticks():
        place = _across(np.array([value]), across)[0]
        yield (
            f'<line class="axis" x1="{place:.1f}" y1="{bottom}" x2="{place:.1f}" '
            f'y2="{bottom + 4}" stroke="#444"/><text x="{place:.1f}" '
            f'y="{bottom + 16}" text-anchor="middle">{_number(value)}</text>'
        )
    yield (
        f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" '
        'stroke="#444"/>'
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{html.escape(across.words)}</text>"
        f'<text transform="translate(12 {(_TOP + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{html.escape(side.words)}</text>'
    )


def _legend(names: Sequence[str], *, dots: bool) -> Iterator[str]:
    """Above the plot, where it hides nothing."""
    width = (_WIDTH - _LEFT - _RIGHT) / _LEGEND_COLUMNS
    rows = -(-len(names) // _LEGEND_COLUMNS)
    for number, name in enumerate(names):
        shown = _short(name, 14)
        row, column = divmod(number, _LEGEND_COLUMNS)
        x, y = _LEFT + column * width, _TOP - 12 - (rows - 1 - row) * _LEGEND_ROW
        if dots:
            path, dash = _mark(number, x + 14, y), ""
        else:
            path, dash = f"M{x:.0f} {y}h28", _dash(number)
        yield (
            f'<path d="{path}" fill="none" {_stroke(number)} '
            f'stroke-width="1.8"{dash}/>'
            f'<text x="{x + 33:.0f}" y="{y + 4}">{html.escape(shown)}</text>'
        )


def _room(names: int) -> int:
    """Height of the legend's rows after the first."""
    return max(-(-names // _LEGEND_COLUMNS) - 1, 0) * _LEGEND_ROW


def _number(value: float) -> str:
    if value and abs(value) >= 1e5:
        return f"{value:.0e}"
    return f"{value:.4g}"


def _chart(
    title: str,
    description: str,
    body: Sequence[str],
    *,
    height: int = _HEIGHT,
    above: int = 0,
) -> Chart:
    height += above
    svg = (
        f'<svg class="plot" viewBox="0 {-above} {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" '
        f'role="img" aria-label="{html.escape(f"{title}. {description}")}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{html.escape(title)}</title>'
        f"<desc>{html.escape(description)}</desc>{''.join(body)}</svg>"
    )
    return Chart(title, description, svg)
