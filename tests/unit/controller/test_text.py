"""Text for people: nothing foreign moves a terminal, nothing unknown looks like a number."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.text import UNKNOWN, duration, hashrate, number, printable


@given(st.text())
def test_what_is_printed_holds_nothing_that_a_terminal_obeys_and_keeps_its_length(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("TPS546D24A", "TPS546D24A"),
        ("\x1b[2J\x07", "␛[2J␇"),
        ("a\r\nb\tc", "a␍␊b␉c"),
        ("\x9b31m", "\ufffd31m"),
        ("safe\u202egnp.exe", "safe\ufffdgnp.exe"),
        ("\x7f", "␡"),
        ("naïve 21 °C", "naïve 21 °C"),
    ],
)
def test_foreign_text_is_shown_for_what_it_is(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_unknown_is_a_dash_and_zero_is_a_number() -> None:
    assert (number(None, 1, "C"), number(0.0, 1, "C"), number(61.625, 1, "C")) == (UNKNOWN, "0.0 C", "61.6 C")
    assert (hashrate(None), hashrate(0.0), hashrate(1.0714e12)) == (UNKNOWN, "0 H/s", "1.071 TH/s")
    assert [duration(s) for s in (None, 3.21, 61.0, 7500.0)] == [UNKNOWN, "3.2 s", "1 min 01 s", "2 h 05 min"]
