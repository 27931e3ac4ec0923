"""The log: every event of every rig that this screen has seen, narrowed by level, words or cause, and followed.

Only the rows on the screen are drawn. What passes the filter is found in portions, so that neither a flood of events
nor a new filter over a long history holds anything up.
"""

from __future__ import annotations

from typing import ClassVar, Final

from textual.binding import BindingType
from textual.message import Message

from controller.model import OperatingPoint
from controller.tui import causes, words
from controller.tui.desk import Desk
from controller.tui.store import LogRow
from controller.tui.widgets.facts import LEVEL_LOOKS, LEVEL_SIGNS
from controller.tui.widgets.listing import MARK_KEYS
from controller.tui.widgets.panel import Line, Panel, Word, column, fit, no_more_than, width_of, wrap

PORTION: Final = 20_000
"""Events looked at in one go: about 40 ms."""
_RANKS: Final = {"detail": 0, "info": 1, "warn": 2, "error": 3}


class LogView(Panel, can_focus=True):
    """The rows that pass, the newest at the bottom while following."""

    HELP = (
        "Every event in order, none left out. l narrows to a level, / to words, esc lifts both. f follows the newest. "
        "c shows only what led to the marked event and what came of it. y copies the marked line. The mark moves with "
        "the arrows, page up and down, home and end; moving it stops following."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*MARK_KEYS]

    class Moved(Message):
        """Another row is marked."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="log")
        self._desk = desk
        self.following = True
        self.level = "info"
        self.words = ""
        self._wanted: list[str] = []
        self.chain_of: int | None = None
        """The place in the log whose causes and effects are shown; None for everything."""
        self._passed: list[int] = []
        self._looked_at = 0
        self._cursor = 0
        self._top = 0
        self._mark: LogRow | None = None

    # --- what passes --------------------------------------------------------------------------------------------------

    def narrow(self, *, level: str | None = None, words: str | None = None) -> None:
        """Change the filter; the marked event stays marked where it still passes."""
        if level is not None:
            self.level = level
        if words is not None:
            self.words = words
            self._wanted = words.casefold().split()
        self.chain_of = None
        self._begin()

    def show_chain(self) -> None:
        """Only what belongs to the marked event, or everything again."""
        row = self.marked_index()
        self.chain_of = None if self.chain_of is not None or row is None else row
        self._begin()

    def _begin(self) -> None:
        self._mark = self.marked()
        self._passed.clear()
        self._looked_at = 0
        self._cursor = self._top = 0
        if self.chain_of is not None:
            self._passed = causes.chain(self._desk.store.log, self.chain_of)
            self._find_mark()
        self.take()
        self.freshen()
        self.post_message(self.Moved())

    def take(self) -> None:
        """Look at the events that came, a portion of them at the most. Paints nothing."""
        log = self._desk.store.log
        if max(self._looked_at, 0 if self.chain_of is None else self._passed[-1] + 1) > len(log):
            self.chain_of = None  # a recording was moved back
            self._passed.clear()
            self._looked_at = self._cursor = self._top = 0
        if self.chain_of is None:
            end = min(len(log), self._looked_at + PORTION)
            self._passed += [place for place in range(self._looked_at, end) if self._passes(log[place])]
            self._looked_at = end
            if self.following:
                self._cursor = max(0, len(self._passed) - 1)
            else:
                self._find_mark()
                if not self.behind:
                    self._mark = None  # it has not passed
        self._update_title()

    def _find_mark(self) -> None:
        """After a filter changed: back to the event that was marked, once it has passed."""
        if self._mark is None:
            return
        log = self._desk.store.log
        for at in range(len(self._passed) - 1, -1, -1):
            if log[self._passed[at]] is self._mark:
                self._cursor, self._mark = at, None
                return

    def _passes(self, row: LogRow) -> bool:
        event = row.event
        if self.level != "all" and _RANKS[words.level(event)] < _RANKS[self.level]:
            return False
        if self._wanted:
            text = f"{words.kind(event)} {event.board} {words.summary(event)}".casefold()
            return all(word in text for word in self._wanted)
        return True

    @property
    def behind(self) -> int:
        """Events not looked at yet."""
        return 0 if self.chain_of is not None else len(self._desk.store.log) - self._looked_at

    def _update_title(self) -> None:
        log = self._desk.store.log
        parts = [f"Log  {len(self._passed)} of {len(log)}", f"level {self.level}"]
        if self.words:
            parts.append(f"/{self.words}")
        if self.chain_of is not None:
            parts = [f"Log  cause chain of #{log[self.chain_of].event.seq}"]
        if self.behind:
            parts.append(f"looking … {self.behind} to go")
        parts.append("following" if self.following else "not following")
        self.entitle("  ".join(parts))

    # --- the mark -----------------------------------------------------------------------------------------------------

    def marked_index(self) -> int | None:
        """The place of the marked event in the log."""
        return self._passed[self._cursor] if self._cursor < len(self._passed) else None

    def marked(self) -> LogRow | None:
        index = self.marked_index()
        return None if index is None else self._desk.store.log[index]

    def action_move(self, by: int) -> None:
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        self._go(self._cursor + by * max(1, self.content_size.height - 1))

    def action_end(self, which: int) -> None:
        self._go(0 if which < 0 else len(self._passed) - 1)

    def follow(self) -> None:
        self.following = not self.following
        self._mark = None
        if self.following:
            self._cursor = max(0, len(self._passed) - 1)
        self._update_title()
        self.freshen()
        self.post_message(self.Moved())

    def _go(self, to: int) -> None:
        self._mark = None
        self._cursor = max(0, min(len(self._passed) - 1, to))
        self.following = False
        self._update_title()
        self.freshen()
        self.post_message(self.Moved())

    # --- drawing ------------------------------------------------------------------------------------------------------

    def lines(self, width: int, height: int) -> list[Line]:
        if not self._passed:
            return [[("no event passes" if self._desk.store.log else "no event yet", "label")]]
        self._top = max(0, min(self._top, len(self._passed) - height))
        if self._cursor < self._top:
            self._top = self._cursor
        elif self._cursor >= self._top + height:
            self._top = self._cursor - height + 1
        log, several = self._desk.store.log, len(self._desk.store.boards) > 1
        shown = range(self._top, min(len(self._passed), self._top + height))
        return [self._row(log[self._passed[at]], at == self._cursor, width, several) for at in shown]

    def _row(self, row: LogRow, marked: bool, width: int, several: bool) -> Line:
        event = row.event
        level = words.level(event)
        look = LEVEL_LOOKS[level]
        line: list[Word] = [
            ("▸" if marked else " ", "mark"),
            (f"{words.clock(event.at_utc, thousandths=width >= 100)} ", "label"),
            (f"{LEVEL_SIGNS[level]} ", look),
        ]
        if several:
            line.append((f"{column(event.board, 12)} ", "label"))
        line.append((f"{words.kind(event):<17} ", look or "label"))
        room = width - width_of(line)
        line.append((fit(words.summary(event), room), "value" if marked and not look else look))
        return line


class Detail(Panel):
    """The marked event, whole."""

    HELP = "Everything that the marked event says."

    def __init__(self, desk: Desk, view: LogView) -> None:
        super().__init__(id="detail")
        self._desk, self._view = desk, view

    def lines(self, width: int, height: int) -> list[Line]:
        row = self._view.marked()
        if row is None:
            self.entitle("Event")
            return []
        event = row.event
        rig = f"  rig {row.rig + 1}" if self._desk.store.rig > 0 else ""
        self.entitle(f"#{event.seq}{rig}  {words.kind(event)}")
        fields = event.model_dump(mode="json", exclude={"kind", "seq", "snapshot"}, exclude_none=True)
        everywhere = {name: fields.pop(name) for name in ("board", "at_utc", "at_s")}
        lines: list[Line] = []
        for name, value in (*fields.items(), *everywhere.items()):
            for key, text in _flat(name, value):
                for at, piece in enumerate(wrap(text, max(10, width - 16))):
                    lines.append([(f"{key if at == 0 else '':<15} ", "label"), *piece])
        return no_more_than(lines, height)


def _flat(name: str, value: object) -> list[tuple[str, str]]:
    """Nested fields by their own names, but for points, which are said as points are."""
    if isinstance(value, dict):
        if set(value) == {"frequency_mhz", "core_v"}:
            return [(name, words.point(OperatingPoint(**value)))]
        return [pair for key, inner in value.items() for pair in _flat(key, inner)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [(name, ", ".join(f"{key} {inner}" for key, inner in item.items())) for item in value]
    return [(name, str(value))]
