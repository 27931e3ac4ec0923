"""Talk for people: stderr only, so that stdout stays data. Honours NO_COLOR, --quiet and terminals that are none."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final, TextIO

from controller import text as words

PLAIN_LINE_EVERY_S: Final = 2.0
"""How often progress writes a line when stderr is not a terminal: a log must not fill with every repaint."""
NAMED_LINE_EVERY_S: Final = 10.0
"""How often each of several boards does, on a terminal as well: there is no one line that all could share."""

_STYLES: Final[Mapping[str, str]] = {"bold": "1", "good": "32", "warn": "33", "bad": "31", "dim": "2"}


def colours(stream: TextIO) -> bool:
    """Whether to colour: a terminal, NO_COLOR not set, and a terminal type that can."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"


def paint(text: str, style: str, stream: TextIO) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colours(stream) else text


@dataclass(slots=True)
class Talk:
    """Says things on stderr. A live line is overwritten in place on a terminal, and written now and then elsewhere."""

    quiet: bool = False
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    name: str = ""
    """Of the board that speaks, where there are several."""
    _live: bool = False
    _last_plain_s: float | None = None

    def say(self, line: str, style: str | None = None) -> None:
        """One line, unless --quiet."""
        if not self.quiet:
            line = self._named(_printable(line))
            self._write_line(paint(line, style, self.stream) if style else line)

    def warn(self, line: str) -> None:
        """One line that --quiet does not silence."""
        self._write_line(paint(self._named(_printable(line)), "bad", self.stream))

    def live(self, parts: Sequence[str], at_s: float, *, every_s: float = PLAIN_LINE_EVERY_S) -> None:
        """The progress line of the moment `at_s`: as many of its parts as fit into one line of the terminal. `every_s`:
        how often at most where there is no terminal."""
        if self.quiet:
            return
        if self.name or not self.stream.isatty():
            every_s = max(every_s, NAMED_LINE_EVERY_S) if self.name else every_s
            if self._last_plain_s is None or at_s - self._last_plain_s >= every_s:
                self._last_plain_s = at_s
                self._write(self._named("  ".join(parts)) + "\n")
            return
        width = shutil.get_terminal_size().columns - 1
        text = parts[0][:width]
        for part in parts[1:]:
            if len(text) + 2 + len(part) > width:
                break
            text += f"  {part}"
        self._write(f"\r{text:<{width}}")
        self._live = True

    def of(self, name: str) -> Talk:
        """The talk of one board among several."""
        return Talk(self.quiet, self.stream, name)

    def _named(self, line: str) -> str:
        return f"{self.name}: {line}" if self.name else line

    def settle(self) -> None:
        """Leave the live line as it is and go on below it."""
        if self._live:
            self._write("\n")
            self._live = False

    def _write_line(self, text: str) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r{'':<{width}}\r")
            self._live = False
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError:  # a pipe that broke or is full, a terminal that hung up
            # Whoever read our talk is gone or slow. The board matters more.
            self.quiet = True


def _printable(text: str) -> str:
    """Boards have their say in what we tell, but not over the terminal. Lines stay lines."""
    return "\n".join(words.printable(line) for line in text.split("\n"))


def table(rows: Sequence[Sequence[str]], *, header: Sequence[str] | None = None, indent: str = "") -> str:
    """Columns, left-aligned and padded; no trailing blanks. Rows may be shorter than the longest one."""
    everything = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    if not everything:
        return ""
    widths = [
        max((len(row[column]) for row in everything if column < len(row)), default=0)
        for column in range(max(len(row) for row in everything))
    ]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) for row in everything]
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)


def facts(rows: Sequence[tuple[str, str]], width: int = 80) -> str:
    """Names on the left, what is said of them on the right, wrapped so that it fits into `width` columns."""
    margin = max((len(name) for name, _ in rows), default=0) + 2
    lines: list[str] = []
    for name, text in rows:
        wrapped = textwrap.wrap(_printable(text), max(width - margin, 20)) or [""]
        lines += [f"{label:<{margin}}{part}".rstrip() for label, part in zip_longest([name], wrapped, fillvalue="")]
    return "\n".join(lines)


def hashrate(value_hs: float | None) -> str:
    """Hashes per second as people read them."""
    return words.hashrate(value_hs, unknown="unknown")


def number(value: float | None, digits: int, unit: str = "") -> str:
    """A number with its unit. What is not known is never shown as zero."""
    return words.number(value, digits, unit, unknown="unknown")
