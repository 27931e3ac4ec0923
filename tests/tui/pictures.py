"""A screen as an SVG file whose text is the same whenever the screen is the same, and baselines to hold it against.

How the library that draws the screens writes SVG changes with its releases, and what a character is changes with those
of Python. So the baselines belong to one release of both (`versions.json` beside them); elsewhere nothing is compared.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from controller.tui.app import HashbridgeApp

ROOT: Final = Path(__file__).parents[2]
SNAPSHOTS: Final = Path(__file__).parent / "snapshots"
VERSIONS: Final = "versions.json"
ACCEPT: Final = "pytest tests/tui/test_pictures.py --hb-accept"

_FONTS: Final = "'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
_TIDY: Final = (
    (re.compile(r"<!-- Generated .*?-->\n *"), ""),
    (re.compile(r"terminal-\d+-"), "hb-"),  # made of the content: one letter would change every line
    (re.compile(r" *@font-face \{.*?\n    \}\n\n?", re.DOTALL), ""),  # no picture fetches anything
    (re.compile(r"font-family: Fira Code, monospace"), f"font-family: {_FONTS}"),
    (re.compile(r"<clipPath id=\"hb-line-\d+\">.*?</clipPath>\n?", re.DOTALL), ""),
    (re.compile(r" clip-path=\"url\(#hb-line-\d+\)\""), ""),
    (re.compile(r"(</text>|/>)(?=<(?:text|rect))"), "\\1\n"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
    (re.compile(r"\n{2,}"), "\n"),
)
_RECT: Final = re.compile(
    r'<rect fill="(?P<fill>[^"]*)" x="(?P<x>[^"]*)" y="(?P<y>[^"]*)" width="(?P<width>[^"]*)" (?P<rest>[^>]*)/>\n?'
)


def svg_of(app: HashbridgeApp, title: str) -> str:
    """The screen as it is painted now, without anything that changes while the screen does not."""
    text = app.export_screenshot(title=title, simplify=True)
    for pattern, instead in _TIDY:
        text = pattern.sub(instead, text)
    return "".join(_merged(text.strip().splitlines(keepends=True))) + "\n"


def _merged(lines: list[str]) -> Iterator[str]:
    """Grounds of one colour beside each other become one: a third of the file."""
    held: dict[str, str] | None = None
    for line in lines:
        found = _RECT.fullmatch(line.strip())
        now = None if found is None else found.groupdict()
        if held is not None and now is not None and _beside(held, now):
            held["width"] = f"{float(held['width']) + float(now['width']):g}"
            continue
        if held is not None:
            yield _rect(held)
        held = now
        if now is None:
            yield line
    if held is not None:
        yield _rect(held)


def _beside(left: dict[str, str], right: dict[str, str]) -> bool:
    end = float(left["x"]) + float(left["width"])
    same = all(left[key] == right[key] for key in ("fill", "y", "rest"))
    return same and abs(end - float(right["x"])) < 0.1


def _rect(parts: dict[str, str]) -> str:
    return '<rect fill="{fill}" x="{x}" y="{y}" width="{width}" {rest}/>\n'.format(**parts)


@dataclass(frozen=True)
class Versions:
    """What a picture hangs on besides the screen."""

    python: str
    textual: str
    rich: str

    @classmethod
    def here(cls) -> Versions:
        return cls(f"{sys.version_info.major}.{sys.version_info.minor}", version("textual"), version("rich"))

    @classmethod
    def of(cls, directory: Path) -> Versions:
        return cls(**json.loads((directory / VERSIONS).read_text(encoding="utf-8")))

    def write(self, directory: Path) -> None:
        (directory / VERSIONS).write_text(json.dumps(self.__dict__, indent=2) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        return f"Python {self.python}, textual {self.textual}, rich {self.rich}"


def compare(new: str, baseline: Path, beside: Path, *, accept: bool, renew: str = ACCEPT) -> None:
    """Holds a picture against its baseline, text by text. `accept` makes it the baseline instead.

    A picture that differs is written below `beside`, for eyes to compare; the message names `renew`, the command that
    makes the baseline anew. On other versions than those of the baseline, the test is skipped.
    """
    here = Versions.here()
    if accept:
        baseline.parent.mkdir(parents=True, exist_ok=True)
        baseline.write_text(new, encoding="utf-8")
        here.write(baseline.parent)
        return
    known = Versions.of(baseline.parent)
    if known != here:
        # Another version of the framework draws other borders and gaps: red there would say nothing about a screen.
        # What the screens say and do is held by the other tests on every version.
        pytest.skip(f"the pictures are of {known}, here are {here}")  # borders and gaps differ, screens do not
    if baseline.exists() and baseline.read_text(encoding="utf-8") == new:
        return
    beside.mkdir(parents=True, exist_ok=True)
    written = beside / baseline.name
    written.write_text(new, encoding="utf-8")
    what = "differs from" if baseline.exists() else "has no baseline at"
    pytest.fail(f"{written} {what} {baseline}; when it is right: {renew}")
