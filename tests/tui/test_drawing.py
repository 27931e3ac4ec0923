"""Braille curves and bars, drawn from numbers alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.tui.trend import Trend
from controller.tui.widgets.chart import Curve, TrendPanel, braille
from controller.tui.widgets.gauge import bar, look_of, sign_of
from controller.tui.widgets.panel import Word, width_of

numbers = st.one_of(st.none(), st.floats())


def text_of(words: list[Word]) -> str:
    return "".join(text for text, _ in words)


def dots(char: str) -> int:
    return (ord(char) - 0x2800).bit_count()


# --- curves -----------------------------------------------------------------------------------------------------------


def test_the_lowest_value_is_the_lowest_dot_and_the_highest_the_highest() -> None:
    assert braille([(0.0, 0.0), (1.0, 1.0)], 0.0, 1.0, 1) == ["⡈"]
    assert braille([(0.0, 0.0), (1.0, 1.0)], 0.0, 1.0, 2) == ["⠈", "⡀"]


def test_a_column_reaches_from_its_lowest_to_its_highest_value() -> None:
    assert braille([(0.0, 1.0)], 0.0, 1.0, 1) == ["⡇"]
    assert braille([None, (0.0, 1.0)], 0.0, 1.0, 2) == ["⢸", "⢸"]


def test_a_gap_is_blank_and_what_lies_outside_is_drawn_at_the_edge() -> None:
    assert braille([None, None], 0.0, 1.0, 1) == ["⠀"]
    assert braille([(-5.0, -5.0), (9.0, 9.0)], 0.0, 1.0, 1) == braille([(0.0, 0.0), (1.0, 1.0)], 0.0, 1.0, 1)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.tuples(st.floats(-1e308, 1e308), st.floats(-1e308, 1e308))), max_size=30),
    st.floats(-1e308, 1e308),
    st.floats(-1e308, 1e308),
    st.integers(1, 5),
)
def test_every_curve_is_made_of_braille_as_wide_and_high_as_asked(
    columns: list[tuple[float, float] | None], low: float, high: float, rows: int
) -> None:
    ordered = [None if part is None else (min(part), max(part)) for part in columns]
    drawn = braille(ordered, low, high, rows)
    assert [len(row) for row in drawn] == [(len(columns) + 1) // 2] * rows
    assert all(0x2800 <= ord(char) <= 0x28FF for row in drawn for char in row)
    assert sum(dots(char) for row in drawn for char in row) >= sum(part is not None for part in columns)


def test_a_chart_takes_the_shortest_span_that_holds_what_is_known_and_never_a_shorter_axis_than_the_least() -> None:
    trend = Trend()
    panel = TrendPanel([Curve("die °C", 1, 4.0, lambda: trend), Curve("none", 1, 1.0, lambda: None)])
    for second in range(90):
        trend.add(float(second), 50.0 + second % 2 / 10)
    lines = panel.lines(60, 6)
    assert panel.name_shown == "Last 2 minutes"
    shown = [text_of(list(line)) for line in lines]
    assert shown[0].startswith("die °C")
    assert shown[0].endswith("┤52.0")  # 50.05 with two above and below
    assert shown[2].endswith("┤48.0")
    assert shown[3].split() == ["none", "—"]
    assert all(width_of(line) <= 60 for line in lines)


# --- bars -------------------------------------------------------------------------------------------------------------


def test_a_bar_shows_now_staged_and_both_marks_in_their_order() -> None:
    assert text_of(bar(28, 20.0, 66.0, 70.0, 45.0, 60.0)).replace("─", "") == "●○┊┃"
    assert text_of(bar(28, 20.0, 66.0, 70.0, None, 90.0))[-1] == "○"
    assert text_of(bar(28, 20.0, 66.0, 70.0, -10.0))[0] == "●"


def test_a_value_at_a_mark_hides_the_mark_and_takes_its_look() -> None:
    for value, look, hidden in ((66.0, "warn", "┊"), (70.0, "bad", "┃")):
        words = bar(28, 20.0, 66.0, 70.0, value)
        assert [name for text, name in words if "●" in text] == [look]
        assert hidden not in text_of(words)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 80), numbers, numbers)
def test_a_bar_is_as_wide_as_asked_whatever_it_shows(width: int, value: float | None, staged: float | None) -> None:
    words = bar(width, 20.0, 66.0, 70.0, value, staged)
    text = text_of(words)
    assert len(text) == width
    if width >= 4:
        assert ("●" in text) == (value is not None and not math.isnan(value))


@pytest.mark.parametrize(("low", "hard"), [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_an_axis_that_is_none_is_left_blank(low: float, hard: float) -> None:
    assert text_of(bar(10, low, 0.5, hard, 0.7)) == " " * 10


@pytest.mark.parametrize(
    ("value", "look", "sign"),
    [(None, "stale", " "), (math.nan, "stale", " "), (65.9, "value", " "), (66.0, "warn", "▲"), (70.0, "bad", "‼")],
)
def test_marks_count_as_reached(value: float | None, look: str, sign: str) -> None:
    assert look_of(value, 66.0, 70.0) == look
    assert sign_of(value, 66.0, 70.0) == sign
