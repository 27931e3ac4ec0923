"""The base of every widget here: lines of styled text, painted only where they changed.

A panel answers `lines(width, height)`; how a word looks is one of the names below, and the style sheet says what the
name means in the theme of the moment. Whatever text comes in is made harmless here, in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from controller.text import printable

Word = tuple[str, str]
"""Text and the name of its look: one of LOOKS, or "" for plain."""
Line = Sequence[Word]

LOOKS: Final = (
    "label",  # what something is
    "value",  # what it reads
    "good",
    "warn",
    "bad",
    "alarm",  # bad, and on a ground of its own
    "stale",  # too old to trust
    "key",  # a key to press
    "off",  # not possible now
    "mark",  # the cursor, the staged value
    "title",
    "trace",  # the line of a chart
)


class Panel(Widget):
    """Made of lines. `freshen` makes them anew and repaints those that differ."""

    FRAMED: ClassVar = True
    """With a border and a title in it."""
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"look--{name}" for name in LOOKS}
    DEFAULT_CSS = """
    Panel { height: 1fr; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        self._looks: dict[str, Style] = {}
        self._shown: list[Line] = []
        self._made_for = Size(0, 0)
        self._entitled = ""
        super().__init__(id=id, classes=classes)
        self.set_class(self.FRAMED, "framed")

    def entitle(self, title: str) -> None:
        """The title in the border. Said again it costs nothing; whatever stands in it is text, never markup."""
        if title != self._entitled:
            self._entitled = title
            self.border_title = Text(printable(title))

    def lines(self, width: int, height: int) -> list[Line]:
        """What to show in so many columns and rows; more rows are cut off, longer lines too."""
        raise NotImplementedError

    def freshen(self) -> None:
        """Make the lines anew and repaint where they differ."""
        size = self.content_size
        if not size or not self.is_mounted:
            return
        before, self._shown = self._shown, self._make(size)
        if size != self._made_for:
            self._made_for = size
            self.refresh()
            return
        changed = [
            Region(0, y, size.width, 1)
            for y in range(size.height)
            if self._line(before, y) != self._line(self._shown, y)
        ]
        if changed:
            self.refresh(*changed)

    def _make(self, size: Size) -> list[Line]:
        return self.lines(size.width, size.height)[: size.height]

    @staticmethod
    def _line(lines: list[Line], y: int) -> Line:
        return lines[y] if y < len(lines) else ()

    def notify_style_update(self) -> None:
        """The theme has changed: the looks are asked for again."""
        self._looks.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        size = self.content_size
        if size != self._made_for:
            self._shown, self._made_for = self._make(size), size
        return Strip(
            [Segment(printable(text), self.look(name)) for text, name in self._line(self._shown, y) if text]
        ).adjust_cell_length(size.width, self.look(""))

    def look(self, name: str) -> Style:
        """The style of a look in the present theme."""
        style = self._looks.get(name)
        if style is None:
            style = self.rich_style if not name else self.get_component_rich_style(f"look--{name}")
            self._looks[name] = style
        return style


def width_of(line: Line) -> int:
    return sum(cell_len(text) for text, _ in line)


def fit(text: str, width: int) -> str:
    """Cut to `width`, with a sign that something is missing."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def pad(line: Line, width: int) -> list[Word]:
    """Blanks up to `width`, for a second column behind."""
    missing = width - width_of(line)
    return [*line, (" " * missing, "")] if missing > 0 else list(line)


def right(left: Line, end: Line, width: int) -> list[Word]:
    """`left`, and `end` pinned to the right edge; `left` gives way."""
    room = max(0, width - width_of(end))
    return [*pad(crop(left, room), room), *end]


def crop(line: Line, width: int) -> list[Word]:
    """The line, no wider than this, with a sign where something is missing."""
    if width_of(line) <= width:
        return list(line)
    kept: list[Word] = []
    left = width
    for text, name in line:
        if len(text) >= left:
            kept.append((text[: max(0, left - 1)] + "…" if left > 0 else "", name))
            break
        kept.append((text, name))
        left -= len(text)
    return kept


def wrap(text: str, width: int, look: str = "", indent: str = "") -> list[Line]:
    """Words over as many lines as they need."""
    lines: list[Line] = []
    rest = indent
    for word in text.split():
        if len(rest) + len(word) + (rest.strip() != "") > width and rest.strip():
            lines.append([(rest, look)])
            rest = indent
        rest += (" " if rest.strip() else "") + word
        while len(rest) > width > len(indent):
            lines.append([(rest[:width], look)])
            rest = indent + rest[width:]
    return [*lines, [(rest, look)]] if rest.strip() else lines
