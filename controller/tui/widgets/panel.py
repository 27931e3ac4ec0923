"""The base of every widget here: lines of styled text, painted only where they changed.

A panel answers `lines(width, height)`; how a word looks is one of the names below, and the style sheet says what the
name means in the theme of the moment. Whatever text comes in is made harmless here, in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
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
    DEFAULT_CSS = """
    Panel { height: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        self._looks: dict[str, Style] = {}
        self._shown: list[Line] = []
        self._made_for = Size(0, 0)
        self.name_shown = ""
        """What stands in the border."""
        super().__init__(id=id)
        self.set_class(self.FRAMED, "framed")

    def lines(self, width: int, height: int) -> list[Line]:
        """What to show in so many columns and rows; more rows are cut off, longer lines too. Nothing, if not said."""
        return []

    def entitle(self, text: str) -> None:
        """Name it in its border: as plain text, whatever it contains, and without a repaint when nothing changes."""
        if text != self.name_shown:
            self.name_shown = text
            self.border_title = Content(printable(text))

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
        line = crop(self._line(self._shown, y), size.width)
        return Strip([Segment(printable(text), self.look(name)) for text, name in line if text]).adjust_cell_length(
            size.width, self.look("")
        )

    def look(self, name: str) -> Style:
        """The style of a look in the present theme, on the ground of this panel."""
        style = self._looks.get(name)
        if style is None:
            style = self._looks[name] = self._styled(name) if name else self.rich_style
        return style

    def _styled(self, name: str) -> Style:
        """The screen has the looks, once: a dozen of them for each panel took a third of the program's start."""
        styles = self.screen.get_component_styles(f"look--{name}")
        _, ground = self.background_colors
        if styles.has_rule("background"):
            ground += styles.background
        colour = styles.color if styles.has_rule("color") else self.styles.color
        colours = Style.from_color((ground + colour).rich_color, ground.rich_color if ground.a else None)
        return self.rich_style + styles.text_style + colours


@lru_cache(maxsize=8192)
def cells(text: str) -> int:
    """How many columns it takes on the screen, once it is harmless: a wide character takes two."""
    return len(text) if text.isascii() else cell_len(printable(text))


def width_of(line: Line) -> int:
    return sum(cells(text) for text, _ in line)


def cut(text: str, width: int) -> str:
    """As much of its beginning as fits into so many columns; never half of a wide character."""
    width = max(0, width)
    if text.isascii():
        return text[:width]
    kept = printable(text[:width])
    while cell_len(kept) > width:
        kept = kept[:-1]
    return kept


def fit(text: str, width: int) -> str:
    """Cut to `width` columns, with a sign that something is missing."""
    if cells(text) <= width:
        return text
    return cut(text, width - 1) + "…" if width > 0 else ""


def column(text: str, width: int) -> str:
    """Exactly `width` columns: cut, or filled with blanks."""
    kept = fit(text, width)
    return kept + " " * (width - cells(kept))


def pad(line: Line, width: int) -> list[Word]:
    """Blanks up to `width`, for a second column behind."""
    missing = width - width_of(line)
    return [*line, (" " * missing, "")] if missing > 0 else list(line)


def right(left: Line, end: Line, width: int) -> list[Word]:
    """`left`, and `end` pinned to the right edge; `left` gives way."""
    end = crop(end, width)
    room = width - width_of(end)
    return [*pad(crop(left, room), room), *end]


def crop(line: Line, width: int) -> list[Word]:
    """The line, no wider than this, with a sign where something is missing."""
    if width_of(line) <= width:
        return list(line)
    kept: list[Word] = []
    left = width - 1
    for text, name in line:
        if cells(text) > left:
            kept.append((cut(text, left) + "…" if width > 0 else "", name))
            break
        kept.append((text, name))
        left -= cells(text)
    return kept


def wrap(text: str, width: int, look: str = "") -> list[Line]:
    """Words over as many lines as they need. A word that is too long goes on in the next line."""
    if width < 2:  # less than a wide character
        return [[(fit(text, width), look)]]
    lines: list[Line] = []
    rest = ""
    for word in text.split():
        if rest and cells(rest) + 1 + cells(word) > width:
            lines.append([(rest, look)])
            rest = ""
        rest += f" {word}" if rest else word
        while cells(rest) > width:
            piece = cut(rest, width)
            lines.append([(piece, look)])
            rest = rest[len(piece) :]
    return [*lines, [(rest, look)]] if rest else lines


def no_more_than(lines: Sequence[Line], height: int) -> list[Line]:
    """So many lines at the most; the last one says how many are missing. For what nobody may think complete."""
    if len(lines) <= height:
        return list(lines)
    kept = max(0, height - 1)
    return [*lines[:kept], [(f"… {len(lines) - kept} more", "label")]][: max(0, height)]
