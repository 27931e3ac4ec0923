"""Trends: a ring of seconds against a naive list of everything that was ever added."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.tui.trend import SPAN_S, Range, Trend, span_of

SPAN = int(SPAN_S)
Added = list[tuple[float, float | None]]


class Naive:
    """Keeps everything, and looks through all of it each time."""

    def __init__(self, added: Added) -> None:
        self.seconds: dict[int, list[float]] = {}
        self.first = self.newest = math.floor(added[0][0])
        for at_s, value in added:
            second = math.floor(at_s)
            if second < self.newest:
                continue
            self.newest = second
            if value is not None:
                self.seconds.setdefault(second, []).append(value)

    def columns(self, count: int, span_s: float) -> list[Range | None]:
        seconds = min(SPAN, max(1, round(span_s)))
        first = self.newest - seconds + 1
        found: list[Range | None] = []
        for column in range(count):
            if count > seconds:
                own = [first + column * seconds // count]
            else:
                own = [first + offset for offset in range(seconds) if offset * count // seconds == column]
            values = [value for second in own for value in self.seconds.get(second, [])]
            found.append((min(values), max(values)) if values else None)
        return found


values = st.one_of(st.none(), st.floats(-1e6, 1e6))
steps = st.one_of(st.floats(0.0, 3.0), st.floats(-5.0, 900.0))


@st.composite
def additions(draw: st.DrawFn) -> Added:
    at_s = draw(st.floats(0.0, 1e6))
    added: Added = []
    for step, value in draw(st.lists(st.tuples(steps, values), min_size=1, max_size=60)):
        at_s += step
        added.append((at_s, value))
    return added


@settings(max_examples=200, deadline=None)
@given(additions(), st.integers(1, 300), st.sampled_from([1.0, 60.0, 120.0, 300.0, SPAN_S, 2 * SPAN_S]))
def test_a_trend_shows_what_a_list_of_everything_would_show(added: Added, count: int, span_s: float) -> None:
    trend, naive = Trend(), Naive(added)
    for at_s, value in added:
        trend.add(at_s, value)
    assert trend.columns(count, span_s) == naive.columns(count, span_s)
    assert trend.known_s == min(SPAN_S, naive.newest - naive.first + 1)


def test_more_columns_than_seconds_repeat_each_second() -> None:
    trend = Trend()
    for second in range(60):
        trend.add(float(second), float(second))
    assert trend.columns(120, 60.0) == [(float(at // 2), float(at // 2)) for at in range(120)]


@pytest.mark.parametrize("rate_per_s", [-0.5, 0.0, 0.125, 2.0])
def test_the_slope_of_a_straight_line_is_its_slope(rate_per_s: float) -> None:
    trend = Trend()
    for second in range(40):
        trend.add(float(second), 50.0 + rate_per_s * second)
    assert trend.slope_per_s() == pytest.approx(rate_per_s, abs=1e-9)


def test_a_slope_of_which_less_than_half_is_known_is_unknown() -> None:
    trend = Trend()
    assert trend.slope_per_s() is None
    for second in range(14):
        trend.add(float(second), 50.0)
    assert trend.slope_per_s() is None
    trend.add(14.0, 50.0)
    assert trend.slope_per_s() == 0.0


def test_an_empty_trend_has_columns_and_no_span() -> None:
    trend = Trend()
    assert trend.columns(3) == [None, None, None]
    assert trend.known_s == 0.0
    assert span_of(trend.columns(3)) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_a_gap_and_a_moment_that_is_none_does_not_count(value: float) -> None:
    trend = Trend()
    trend.add(0.0, 20.0)
    trend.add(1.0, value)
    trend.add(value, 30.0)
    assert trend.columns(2, 2.0) == [(20.0, 20.0), None]


def test_the_span_is_that_of_the_lowest_low_and_the_highest_high() -> None:
    assert span_of([None, (2.0, 3.0), (1.0, 2.5), None]) == (1.0, 3.0)
