"""Talk for people: one live line on a terminal, plain lines elsewhere, colours only where they are wanted."""

from __future__ import annotations

import io
import os

import pytest

from controller.cli.talk import Talk, facts, hashrate, number, paint, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_the_live_line_stays_one_line_and_drops_whole_parts_from_its_end() -> None:
    stream = Terminal()
    talk = Talk(stream=stream)
    talk.live(["pattern 12 s", "596/596 answers", "x" * 40, "y" * 40], 0.0)
    line = stream.getvalue().removeprefix("\r")
    assert len(line) == 79
    assert line.rstrip() == f"pattern 12 s  596/596 answers  {'x' * 40}"


def test_a_word_in_between_clears_the_live_line_first() -> None:
    stream = Terminal()
    talk = Talk(stream=stream)
    talk.live(["powering up"], 0.0)
    talk.say("half way")
    assert stream.getvalue().endswith(f"\r{'':<79}\rhalf way\n")


def test_without_a_terminal_progress_is_a_line_every_two_seconds() -> None:
    stream = io.StringIO()
    talk = Talk(stream=stream)
    for tick in range(21):
        talk.live(["working", str(tick)], tick * 0.25)
    assert stream.getvalue().splitlines() == ["working  0", "working  8", "working  16"]


def test_quiet_silences_progress_and_talk_but_no_warning() -> None:
    stream = io.StringIO()
    talk = Talk(quiet=True, stream=stream)
    talk.say("hello")
    talk.live(["working"], 0.0)
    talk.warn("TRIP")
    assert stream.getvalue() == "TRIP\n"


def test_colours_are_for_terminals_and_only_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paint("x", "bad", Terminal()) == "\x1b[31mx\x1b[0m"
    assert paint("x", "bad", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "bad", Terminal()) == "x"


def test_a_reader_that_has_left_silences_the_talk_and_nothing_else() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    talk = Talk(stream=Gone())
    talk.say("hello")
    talk.warn("TRIP")
    assert talk.quiet


def test_facts_wrap_under_their_own_column() -> None:
    text = facts([("a", "word " * 30), ("longer", "short")], width=40)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[0].startswith("a       word")
    assert lines[1].startswith("        word")
    assert lines[-1] == "longer  short"


def test_a_table_has_no_trailing_blanks() -> None:
    assert table([("a", "b"), ("long", "")], header=("x", "y")) == "x     y\na     b\nlong"
    assert table([]) == ""


def test_unknown_is_said_and_never_shown_as_zero() -> None:
    assert number(None, 1, "W") == "unknown"
    assert number(0.0, 1, "W") == "0.0 W"
    assert hashrate(None) == "unknown"
    assert [hashrate(value) for value in (1.2e12, 5e9, 3e6, 2e3, 7)] == [
        "1.200 TH/s",
        "5.000 GH/s",
        "3.000 MH/s",
        "2.000 kH/s",
        "7 H/s",
    ]
