"""A list with a mark in it, as long as it needs to be: for the boards of a rig, and the chips of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Generic, TypeVar

from textual.binding import Binding, BindingType
from textual.message import Message

from controller.tui.widgets.panel import Line, Panel, Word

K = TypeVar("K")

MARK_KEYS: Final = (
    Binding("up", "move(-1)", "up", show=False),
    Binding("down", "move(1)", "down", show=False),
    Binding("pageup", "page(-1)", "page up", show=False),
    Binding("pagedown", "page(1)", "page down", show=False),
    Binding("home", "end(-1)", "first", show=False),
    Binding("end", "end(1)", "last", show=False),
)
"""What moves the mark, wherever there is one."""


class Listing(Panel, Generic[K], can_focus=True):
    """Rows with keys; the mark stays on its key when rows come, go or change places. A head line stays in place."""

    BINDINGS: ClassVar[list[BindingType]] = [*MARK_KEYS]

    class Moved(Message):
        """Another row is marked."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._top = 0
        self._hidden = self._hidden_shown = ""

    # --- what a list has ----------------------------------------------------------------------------------------------

    def keys(self) -> Sequence[K]:
        """Of all rows, in the order in which they are shown."""
        return ()

    def marked(self) -> K | None:
        """The key of the marked row; None where nothing is marked."""
        return None

    def mark(self, key: K) -> None:
        """Another row is to be marked."""

    def titled(self) -> str:
        """What stands in the frame."""
        return ""

    def head(self, width: int) -> Line:
        """What the columns are."""
        return []

    def row(self, key: K, width: int) -> Line:
        """One row, without the mark before it."""
        return []

    # --- the mark -----------------------------------------------------------------------------------------------------

    def _place(self, keys: Sequence[K]) -> int:
        marked = self.marked()
        return keys.index(marked) if marked is not None and marked in keys else 0

    def action_move(self, by: int) -> None:
        keys = self.keys()
        self._go(keys, self._place(keys) + by)

    def action_page(self, by: int) -> None:
        keys = self.keys()
        self._go(keys, self._place(keys) + by * max(1, self.content_size.height - 2))

    def action_end(self, which: int) -> None:
        keys = self.keys()
        self._go(keys, 0 if which < 0 else len(keys) - 1)

    def _go(self, keys: Sequence[K], to: int) -> None:
        if keys:
            self.mark(keys[max(0, min(len(keys) - 1, to))])
            self.freshen()
            self.post_message(self.Moved())

    # --- drawing ------------------------------------------------------------------------------------------------------

    def listed(self, width: int, height: int) -> list[Line]:
        """Head and as many rows as there is room for, the marked one among them; the frame says how many are not."""
        keys = self.keys()
        room = max(1, height - 1)
        at = self._place(keys)
        self._top = max(0, min(self._top, len(keys) - room))
        if at < self._top:
            self._top = at
        elif at >= self._top + room:
            self._top = at - room + 1
        marked = self.marked()
        shown = keys[self._top : self._top + room]
        hidden = len(shown) < len(keys)
        self._hidden = f"{self._top + 1} to {self._top + len(shown)} of {len(keys)}" if hidden else ""
        lines: list[Line] = [[("  ", ""), *self.head(width - 2)]]
        for key in shown:
            sign: Word = ("▸ ", "mark") if key == marked else ("  ", "")
            lines.append([sign, *self.row(key, width - 2)])
        return lines

    def freshen(self) -> None:
        """And the frame, whose change a repaint that is under way would not take up."""
        self.entitle(self.titled())
        super().freshen()
        if self._hidden != self._hidden_shown:
            self._hidden_shown = self.border_subtitle = self._hidden
