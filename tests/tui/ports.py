"""`ScriptedPort`: a rig that says what a test has written for it, keeps what it was asked, and answers as it is told.

The screens cannot tell it from a live one. What it says was recorded: snapshots and events of tests/tui/recorded.py,
changed only where a test says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

from controller.bell import Bell, each
from controller.model import (
    BoardInfo,
    BoardSnapshot,
    Command,
    Event,
    PowerUp,
    Reading,
    SafeOff,
    SafeOffDone,
    SetOperatingPoint,
    Snapshot,
)
from drivers.boards.board import Channel
from drivers.errors import HashbridgeError, Unplugged
from tests.tui.recorded import Run

Answer = Callable[[str, Command], HashbridgeError | None]
TREND_S: Final = 60.0
"""So much of the past is given to the trends."""


def granted(_board: str, _command: Command) -> None:
    """The answer of a rig that does everything."""


class ScriptedPort:
    """A `RigPort`. Every snapshot is handed on, in order: what a trend shows does not hang on the test's timing."""

    def __init__(
        self, info: Sequence[BoardInfo], events: Iterable[Event] = (), snapshots: Iterable[Snapshot] = ()
    ) -> None:
        self._info = tuple(info)
        self._events, self._snapshots = list(events), list(snapshots)
        self._news = Bell()
        self.lost: HashbridgeError | None = None
        self.answer: Answer = granted
        self.held: asyncio.Event | None = None
        """While it is set to an event, an answer waits for it."""
        self.asked: list[tuple[str, Command]] = []
        """Every wish but the dry runs, in order."""
        self.dry_runs: list[tuple[str, Command]] = []

    # --- RigPort ------------------------------------------------------------------------------------------------------

    @property
    def info(self) -> tuple[BoardInfo, ...]:
        return self._info

    async def request(self, board: str, command: Command) -> None:
        if self.lost is not None:
            raise self.lost
        dry = isinstance(command, PowerUp | SetOperatingPoint) and command.dry_run
        (self.dry_runs if dry else self.asked).append((board, command))
        if self.held is not None:
            await self.held.wait()
        if self.lost is not None:
            raise self.lost
        if (error := self.answer(board, command)) is not None:
            raise error

    def snapshots(self) -> AsyncIterator[Snapshot]:
        return each(self._snapshots, self._news, self._is_over)

    def events(self) -> AsyncIterator[Event]:
        return each(self._events, self._news, self._is_over)

    def _is_over(self) -> bool:
        return self.lost is not None

    # --- the script ---------------------------------------------------------------------------------------------------

    @property
    def newest(self) -> Snapshot:
        return self._snapshots[-1]

    @property
    def seq(self) -> int:
        """Of the newest event."""
        return self._events[-1].seq if self._events else 0

    def asked_of(self, board: str) -> list[Command]:
        return [command for name, command in self.asked if name == board]

    def show(self, snapshot: Snapshot) -> None:
        self._snapshots.append(snapshot)
        self._news.ring()

    def tell(self, *events: Event) -> None:
        """Numbered on from the newest, whatever their own numbers are."""
        for event in events:
            self._events.append(event.model_copy(update={"seq": self.seq + 1}))
        self._news.ring()

    def change(self, board: str | None = None, **fields: Any) -> None:
        """Show the newest snapshot again with other fields for this board, or for all of them."""
        self.show(changed(self.newest, board, **fields))

    def hang_up(self, why: str = "the rig process hung up") -> None:
        self.lost = Unplugged("rig", why)
        if self.held is not None:
            self.held.set()
        self._news.ring()


def changed(snapshot: Snapshot, board: str | None = None, **fields: Any) -> Snapshot:
    """The same moment with other fields for this board, or for all of them."""
    boards = tuple(
        each.model_copy(update=fields) if board is None or each.board == board else each for each in snapshot.boards
    )
    return snapshot.model_copy(update={"boards": boards})


def with_readings(board: BoardSnapshot, **values: Any) -> dict[Channel, Reading]:
    """The channels of this board with other values, each a number, None or a whole `Reading`; for `change`."""
    channels = dict(board.channels)
    for name, value in values.items():
        channel = Channel(name)
        before = channels[channel]
        channels[channel] = value if isinstance(value, Reading) else before.model_copy(update={"value": value})
    return channels


def scripted(run: Run, position_s: float, *, names: Sequence[str] = ()) -> ScriptedPort:
    """A rig as it was at this moment of the recorded run. `names`: so many boards, each one the recorded board."""
    events = run.events(position_s)
    snapshots = [one for one in run.snapshots(position_s) if one.at_s >= run.began_s + position_s - TREND_S]
    if not names:
        return ScriptedPort(run.items.boards, events, snapshots)
    info = [run.info.model_copy(update={"name": name}) for name in names]
    spread = [event.model_copy(update={"board": name}) for event in events for name in names]
    numbered = [event.model_copy(update={"seq": seq}) for seq, event in enumerate(spread, 1)]
    return ScriptedPort(info, numbered, [_spread(snapshot, names) for snapshot in snapshots])


def _spread(snapshot: Snapshot, names: Sequence[str]) -> Snapshot:
    (board,) = snapshot.boards
    return snapshot.model_copy(update={"boards": tuple(board.model_copy(update={"board": name}) for name in names)})


def safe_off_done(run: Run, board: str, *, confirmed: bool = True, at: Snapshot | None = None) -> SafeOffDone:
    """What a rig tells after an emergency stop; not confirmed: the rail was cut but could not be read back.

    `at`: the moment of this snapshot.
    """
    told = [event for event in run.items.events if isinstance(event, SafeOffDone)][-1]
    actions = told.report.actions
    if not confirmed:
        actions = tuple(
            action.model_copy(update={"confirmed": False, "detail": "no answer from the regulator"})
            if action.name == "rail off"
            else action
            for action in actions
        )
    report = told.report.model_copy(update={"confirmed": confirmed, "actions": actions})
    moment = told if at is None else at
    when = {"at_s": moment.at_s, "at_utc": moment.at_utc}
    return told.model_copy(update={"board": board, "report": report, "reason": "emergency stop", **when})


def is_safe_off(wish: tuple[str, Command]) -> bool:
    return isinstance(wish[1], SafeOff)


__all__ = [
    "ScriptedPort",
    "changed",
    "is_safe_off",
    "safe_off_done",
    "scripted",
    "with_readings",
]
