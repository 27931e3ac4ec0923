"""A bar with marks: where a value stands below its soft and its hard limit, and where it would stand. Pure."""

from __future__ import annotations

import math
from typing import TypeGuard

from controller.tui.widgets.panel import Word


def bar(
    width: int,
    low: float,
    soft: float,
    hard: float,
    value: float | None,
    staged: float | None = None,
) -> list[Word]:
    """`width` columns: ● now, ○ staged, ┊ the soft and ┃ the hard mark. The axis ends a little beyond the hard mark.

    A value outside the axis is drawn at its end. Values that are unknown or no number are not drawn at all.
    """
    if width < 4 or not low < hard < math.inf:
        return [(" " * max(0, width), "")]
    high = hard + (hard - low) * 0.08
    cells = ["─"] * width
    looks = ["label"] * width

    def place(number: float) -> int:
        return round((min(high, max(low, number)) - low) / (high - low) * (width - 1))

    for at in range(place(soft), place(hard)):
        looks[at] = "warn"
    for at in range(place(hard), width):
        looks[at] = "bad"
    for mark, sign, look in ((soft, "┊", "warn"), (hard, "┃", "bad")):
        cells[place(mark)], looks[place(mark)] = sign, look
    if known(staged):
        cells[place(staged)], looks[place(staged)] = "○", look_of(staged, soft, hard, "mark")
    if known(value):
        cells[place(value)], looks[place(value)] = "●", look_of(value, soft, hard, "good")
    words: list[Word] = []
    for cell, look in zip(cells, looks, strict=True):
        if words and words[-1][1] == look:
            words[-1] = (words[-1][0] + cell, look)
        else:
            words.append((cell, look))
    return words


def known(value: float | None) -> TypeGuard[float]:
    """A number that there is; infinite ones are."""
    return value is not None and not math.isnan(value)


def look_of(value: float | None, soft: float, hard: float, usual: str = "value") -> str:
    """How a value is shown that grows toward a limit."""
    if not known(value):
        return "stale"
    return "bad" if value >= hard else "warn" if value >= soft else usual


def sign_of(value: float | None, soft: float, hard: float) -> str:
    """The same without colour: ▲ at the soft mark and above, ‼ at the hard one."""
    if not known(value) or value < soft:
        return " "
    return "‼" if value >= hard else "▲"
