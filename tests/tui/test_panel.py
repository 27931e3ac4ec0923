"""Lines that are never wider than they were asked to be, whatever characters they are made of."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from controller.text import printable
from controller.tui.widgets.panel import (
    Line,
    cells,
    column,
    crop,
    cut,
    fit,
    no_more_than,
    pad,
    right,
    width_of,
    wrap,
)

NASTY = ["\x1b[31m", "\n", "\t", "\u202e", "\u200b", "温", "😀", "é", "e\u0301", "\x9b", "—", "●", "\ufe0f", "❤\ufe0f"]
texts = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=6)), max_size=8).map("".join)
lines = st.lists(st.tuples(texts, st.sampled_from(["", "label", "bad"])), max_size=6)
widths = st.integers(-2, 40)


def shown(line: Line) -> str:
    return "".join(printable(text) for text, _ in line)


@settings(max_examples=300, deadline=None)
@given(texts, widths)
def test_what_is_cut_or_fitted_is_no_wider_than_asked_and_keeps_what_fits(text: str, width: int) -> None:
    assert cell_len(printable(cut(text, width))) <= max(0, width)
    fitted = fit(text, width)
    assert cell_len(printable(fitted)) <= max(0, width)
    if cells(text) <= width:
        assert fitted == text
    elif width > 0:
        assert fitted.endswith("…")
        assert printable(text).startswith(printable(fitted[:-1]))
    assert cells(text) == cell_len(printable(text))


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(0, 40))
def test_a_column_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    assert cells(column(text, width)) == width


@settings(max_examples=300, deadline=None)
@given(lines, lines, widths)
def test_cropped_and_pinned_lines_are_no_wider_than_asked(left: Line, end: Line, width: int) -> None:
    cropped = crop(left, width)
    assert width_of(cropped) <= max(0, width)
    if width_of(left) <= width:
        assert cropped == list(left)
    elif width > 0:
        assert shown(cropped).endswith("…")
    pinned = right(left, end, width)
    assert width_of(pinned) <= max(0, width)
    if width_of(end) <= width:
        assert width_of(pinned) == max(0, width)
        assert shown(pinned).endswith(shown(end))


@settings(max_examples=300, deadline=None)
@given(texts, widths)
def test_wrapped_lines_are_no_wider_than_asked_and_lose_nothing(text: str, width: int) -> None:
    wrapped = wrap(text, width, "bad")
    assert all(width_of(line) <= max(0, width) for line in wrapped)
    if width >= 2:
        kept = "".join(printable(part) for line in wrapped for part, _ in line)
        assert kept.replace(" ", "") == printable("".join(text.split())).replace(" ", "")


def test_words_are_wrapped_between_words_where_they_fit() -> None:
    wrapped = wrap("the supply of fan and bridge", 18)
    assert [shown(line) for line in wrapped] == ["the supply of fan", "and bridge"]


@pytest.mark.parametrize(("text", "width"), [("温度", 3), ("温度", 2), ("温", 1), ("😀😀", 3)])
def test_a_wide_character_is_never_cut_in_half(text: str, width: int) -> None:
    assert cells(cut(text, width)) == width - width % 2


def test_a_padded_line_counts_wide_characters_twice() -> None:
    assert width_of(pad([("温度", "")], 7)) == 7
    assert pad([("four", "")], 3) == [("four", "")]


@pytest.mark.parametrize("height", [0, 1, 2, 3, 9])
def test_lines_that_do_not_fit_are_counted_in_the_last_that_does(height: int) -> None:
    given_lines: list[Line] = [[(f"line {number}", "")] for number in range(3)]
    kept = no_more_than(given_lines, height)
    assert len(kept) == min(3, height)
    if 0 < height < 3:
        assert shown(kept[-1]) == f"… {3 - height + 1} more"
        assert kept[:-1] == given_lines[: height - 1]


def test_nothing_harmless_is_changed_in_one_that_is_not() -> None:
    assert all(unicodedata.category(char) not in ("Cc", "Cf") for char in printable("".join(NASTY)))
