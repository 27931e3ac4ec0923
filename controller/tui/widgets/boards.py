"""All boards of a rig: a line each, and the marked one's remarks whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from controller.model import BoardSnapshot, Channel
from controller.overview import FAULTY, GRAVEST_FIRST, rate_hs, remarks, states, value_of, work_text
from controller.text import hashrate, number
from controller.tui import words
from controller.tui.desk import Desk
from controller.tui.widgets.gauge import look_of, sign_of
from controller.tui.widgets.listing import Listing
from controller.tui.widgets.panel import Line, Panel, Word, cells, column, fit, no_more_than, pad, wrap
from controller.tui.widgets.readings import axis

_NAME: Final = (8, 19)
"""Columns of a name, at least and at most: what is left over is for remarks."""
_POINT_FROM: Final = 100
"""Narrower, clock and core voltage are left to the screen of the board."""


class Boards(Listing[str]):
    """Name, state, die, power, work, what is out of the ordinary. The marked board is the one that keys act on."""

    HELP = (
        "Every board of the rig. The marked one is named in the heading: keys act on it, and Enter opens it. ▲ beside "
        "a reading means warning, ‼ beyond the limit that trips, brackets that it is too old to trust, a dash that it "
        "is unknown. o shows the gravest first. ^X stops all of them at once."
    )

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="boards")
        self._desk = desk
        self.gravest_first = False

    def turn(self) -> None:
        """The other order."""
        self.gravest_first = not self.gravest_first
        self.freshen()

    def keys(self) -> Sequence[str]:
        names = list(self._desk.store.boards)
        return sorted(names, key=self._gravity) if self.gravest_first else names

    def _gravity(self, name: str) -> tuple[int, bool]:
        board = self._desk.store.board(name)
        if board is None:
            return -1, False
        at = GRAVEST_FIRST.index(board.state)
        return (at if board.state in FAULTY else len(FAULTY), not remarks(board))

    def marked(self) -> str | None:
        return self._desk.selected or None

    def mark(self, key: str) -> None:
        self._desk.look_at(key)

    def titled(self) -> str:
        store = self._desk.store
        boards = () if store.snapshot is None else store.snapshot.boards
        title = [f"Boards  {len(store.boards)}"]
        title += [f"{count} {words.STATES[state][0]}" for state, count in states(boards)]
        together = rate_hs(boards)
        if together is not None:
            title.append(f"{hashrate(together)} together")
        if self.gravest_first:
            title.append("gravest first")
        return "  ".join(title)

    def lines(self, width: int, height: int) -> list[Line]:
        if not self._desk.store.boards:
            return [[("no board yet", "label")]]
        return self.listed(width, height)

    @property
    def _name_columns(self) -> int:
        return max(_NAME[0], min(_NAME[1], max(map(cells, self._desk.store.boards), default=0)))

    def head(self, width: int) -> Line:
        point = f"{'clock MHz':>11}{'core V':>8}" if width >= _POINT_FROM else ""
        text = f"{'board':<{self._name_columns}} {'state':<11}{point} {'die °C':>7}{'power W':>9} {'work':>11}  remarks"
        return [(text, "label")]

    def row(self, key: str, width: int) -> Line:
        board = self._desk.store.board(key)
        name: Word = (f"{column(key, self._name_columns)} ", "value" if key == self._desk.selected else "")
        if board is None:
            return [name, ("nothing read yet", "label")]
        up = self._desk.store.line.up
        text, look = words.STATES[board.state]
        line: list[Word] = [name, (f"{text if up else f'({text})':<11}"[:12], look if up else "stale")]
        if width >= _POINT_FROM:
            achieved = board.point.achieved
            line.append((f"{number(achieved.frequency_mhz, 2):>11}{number(achieved.core_v, 3):>8}", self._plain(up)))
        line += [
            (" ", ""),
            *self._reading(key, board, Channel.CHIP_C, 7),
            *self._reading(key, board, Channel.POWER_W, 9),
            (f" {fit(work_text(board), 11):>11}  ", self._plain(up)),
        ]
        line.append(_remark(board, up))
        return line

    @staticmethod
    def _plain(up: bool) -> str:
        return "" if up else "stale"

    def _reading(self, name: str, board: BoardSnapshot, channel: Channel, width: int) -> list[Word]:
        """A value with its sign before it, in brackets when it is old: without colour it says the same."""
        value, stale = value_of(board, channel), _is_old(self._desk, name, board, channel)
        marks = axis(channel, self._desk.store.boards[name].envelope)
        sign, look = (" ", "") if marks is None else (sign_of(value, *marks[1:]), look_of(value, *marks[1:], ""))
        text = f"({number(value, 1)})" if stale and value is not None else f"{sign}{number(value, 1)}"
        return [(f"{text:>{width}}", "stale" if stale or value is None else look)]


def _is_old(desk: Desk, name: str, board: BoardSnapshot, channel: Channel) -> bool:
    store, reading = desk.store, board.channels.get(channel)
    return reading is not None and (not store.line.up or store.is_stale(store.boards[name], channel, reading))


def _remark(board: BoardSnapshot, up: bool) -> Word:
    said = remarks(board)
    if not said:
        return "", ""
    more = f" (+{len(said) - 1})" if len(said) > 1 else ""
    return f"{said[0]}{more}", ("bad" if board.state in FAULTY else "warn") if up else "stale"


class BoardRemarks(Panel):
    """What is out of the ordinary on the marked board, whole."""

    HELP = "Everything that is wrong or out of the ordinary on the marked board. Enter opens it."

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="remarks")
        self._desk = desk

    def lines(self, width: int, height: int) -> list[Line]:
        board = self._desk.board
        self.entitle(self._desk.selected or "Board")
        if board is None:
            return []
        achieved = board.point.achieved
        facts: list[Word] = [("at ", "label"), (f"{words.point(achieved)}  ", "")]
        for channel in (Channel.VR_C, Channel.INPUT_V, Channel.FAN_RPM):
            text, old = (
                words.reading(channel, value_of(board, channel)),
                _is_old(self._desk, board.board, board, channel),
            )
            label = f"{words.CHANNELS[channel].label} "
            facts += [(label, "label"), (f"({text})  " if old else f"{text}  ", "stale" if old else "")]
        look = "bad" if board.state in FAULTY else "warn"
        said = [line for text in remarks(board) for line in wrap(text, width, look)]
        if not said:
            said = [[("nothing out of the ordinary", "label")]]
        return no_more_than([pad(facts, width), *said], height)
