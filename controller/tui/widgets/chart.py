"""Trends as braille: eight dots a character, the range of each column drawn from its lowest to its highest value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.text import UNKNOWN
from controller.tui.trend import SPAN_S, Range, Trend, span_of
from controller.tui.widgets.panel import Line, Panel, Word, fit

_DOTS: Final = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""Braille dots of the left and the right column of a character, from the bottom up."""
_BLANK: Final = 0x2800
SPANS_S: Final = (60.0, 120.0, 300.0, SPAN_S)


def braille(columns: Sequence[Range | None], low: float, high: float, rows: int) -> list[str]:
    """Two columns a character, four dots a row. Top row first. Values outside the range are drawn at its edge."""
    width = (len(columns) + 1) // 2
    cells = [[_BLANK] * width for _ in range(rows)]
    top, span = rows * 4 - 1, high - low
    if not 0.0 < span < math.inf:  # nothing to scale by: all of it at the bottom
        low, span = high, 1.0
    for index, part in enumerate(columns):
        if part is None:
            continue
        first, last = (round(min(1.0, max(0.0, (value - low) / span)) * top) for value in part)
        for dot in range(first, last + 1):
            cells[rows - 1 - dot // 4][index // 2] |= _DOTS[index % 2][dot % 4]
    return ["".join(map(chr, row)) for row in cells]


@dataclass(frozen=True, slots=True)
class Curve:
    """One trend of a chart. `least` is the smallest span of the axis, so that noise does not look like an event.

    `scale` turns the trend's values into those that the label names.
    """

    label: str
    digits: int
    least: float
    trend: Callable[[], Trend | None]
    scale: float = 1.0


class TrendPanel(Panel):
    """Curves below each other, each with its range at the right, over the shortest span that holds what is known."""

    HELP = (
        "Each column goes from the lowest to the highest value of its time. The axis fits what is shown, but is never "
        "so short that noise looks like an event. Gaps are times without a good reading."
    )

    def __init__(self, curves: Sequence[Curve], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._curves = tuple(curves)

    def lines(self, width: int, height: int) -> list[Line]:
        known_s = max((trend.known_s for curve in self._curves if (trend := curve.trend()) is not None), default=0.0)
        span_s = next((one_s for one_s in SPANS_S if one_s >= known_s), SPANS_S[-1])
        self.entitle("Last minute" if span_s == 60.0 else f"Last {span_s / 60:g} minutes")
        count = len(self._curves)
        rows = max(1, height // count)
        spare = height - rows * count
        lines: list[Line] = []
        for index, curve in enumerate(self._curves):
            lines += self._curve(curve, span_s, width, rows + (1 if index < spare else 0))
        return lines

    def _curve(self, curve: Curve, span_s: float, width: int, rows: int) -> list[Line]:
        label_width, scale_width = 12, 12
        inner = max(4, width - label_width - scale_width)
        trend = curve.trend()
        columns = [] if trend is None else trend.columns(inner * 2, span_s)
        columns = [None if part is None else (part[0] * curve.scale, part[1] * curve.scale) for part in columns]
        span = span_of(columns)
        if span is None:
            head: Line = [(fit(f"{curve.label}", label_width).ljust(label_width), "label"), (UNKNOWN, "stale")]
            return [head, *([] for _ in range(rows - 1))]
        low, high = span
        if high - low < curve.least:
            middle = (low + high) / 2
            low, high = middle - curve.least / 2, middle + curve.least / 2
        drawn = braille(columns, low, high, rows)
        lines: list[Line] = []
        for row, text in enumerate(drawn):
            label = curve.label if row == 0 else ""
            words: list[Word] = [(fit(label, label_width).ljust(label_width), "label")]
            words.append((text, "trace"))
            words.append((self._scale(curve, row, rows, low, high, span), "label"))
            lines.append(words)
        return lines

    @staticmethod
    def _scale(curve: Curve, row: int, rows: int, low: float, high: float, span: Range) -> str:
        if rows == 1:
            return f" {span[0]:.{curve.digits}f}–{span[1]:.{curve.digits}f}"
        if row == 0:
            return f" ┤{high:.{curve.digits}f}"
        if row == rows - 1:
            return f" ┤{low:.{curve.digits}f}"
        return " │"
