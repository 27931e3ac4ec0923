"""What the screens know of a rig: one store, many views. Plain Python, clock injected, nothing of Textual.

The store takes snapshots and events as they come and counts its changes; a view compares the count with the one it has
painted. Nothing in here waits, and nothing here grows but the history itself.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from controller.model import (
    BoardInfo,
    BoardSnapshot,
    Channel,
    Event,
    Reading,
    SafeOffDone,
    Snapshot,
)
from controller.tui.points import Change, Points
from controller.tui.trend import Trend

RECENT_S: Final = 60.0
"""The window of the recent hash rate."""
SLOW_CHANNELS: Final = frozenset({Channel.FAN_RPM, Channel.FAN_RATIO, Channel.RESET_RELEASED, Channel.FREQUENCY_MHZ})
"""Read once in five sweeps when nothing moves."""
SLOW_STALE_S: Final = 2.5
TREND_CHANNELS: Final = (
    Channel.CHIP_C,
    Channel.VR_C,
    Channel.POWER_W,
    Channel.INPUT_V,
)


@dataclass(frozen=True, slots=True)
class LogRow:
    """One event as the log holds it. `rig` counts the rigs that this screen has seen, from 0."""

    rig: int
    event: Event


@dataclass(frozen=True, slots=True)
class Line:
    """The connection to the rig. `since_s` in the screen's own time."""

    up: bool
    since_s: float
    why: str = ""


@dataclass(slots=True)
class Stop:
    """An emergency stop as it goes: when it was asked for, and what of each board has come back."""

    asked_s: float
    after: tuple[int, int]
    """Rig and sequence number of the last event before it."""
    reports: dict[str, SafeOffDone] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class BoardView:
    """What is derived of one board."""

    points: Points = field(default_factory=Points)
    trends: dict[Channel, Trend] = field(default_factory=lambda: {channel: Trend() for channel in TREND_CHANNELS})
    rate: Trend = field(default_factory=Trend)
    counts: deque[tuple[float, int, int]] = field(default_factory=deque)
    """Time, verified nonces and ticket difficulty of the last minute of one spell of work."""
    recent_hs: float | None = None
    newest_s: float = -math.inf

    def begin_trends(self) -> None:
        """Times have gone back: another rig, with another clock."""
        self.trends = {channel: Trend() for channel in TREND_CHANNELS}
        self.rate = Trend()
        self.counts.clear()


class RigStore:
    """`now` is the screen's clock, in seconds; ages are told by it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.changes = 0
        """Counts everything that may look different."""
        self.log: list[LogRow] = []
        self.snapshot: Snapshot | None = None
        self.received_s = 0.0
        self.line = Line(up=False, since_s=now(), why="connecting")
        self.boards: dict[str, BoardInfo] = {}
        self.views: dict[str, BoardView] = {}
        self.stop: Stop | None = None
        self.rig = -1
        self._seq = 0
        self._joining = False
        """The next event is the first of a connection."""
        self._first: Event | None = None
        """The first of this rig."""

    # --- the connection -----------------------------------------------------------------------------------------------

    def joined(self, info: tuple[BoardInfo, ...]) -> None:
        """A connection begins. Its events start again with the rig's first; those known already are not kept twice."""
        self.boards = {board.name: board for board in info}
        for name in self.boards:
            self.views.setdefault(name, BoardView())
        self.line = Line(up=True, since_s=self.now())
        self._joining = True
        self.changes += 1

    def lost(self, why: str) -> None:
        """The rig hung up. What was last known stays, and grows old."""
        self.line = Line(up=False, since_s=self.now() if self.line.up else self.line.since_s, why=why)
        self.changes += 1

    def rewind(self) -> None:
        """Begin anew: a recording was moved to another place."""
        self.log.clear()
        self.snapshot = None
        self.rig, self._seq = -1, 0
        self._first = None
        self.stop = None
        self.views = {name: BoardView() for name in self.boards}
        self.changes += 1

    # --- what comes in ------------------------------------------------------------------------------------------------

    def take_event(self, event: Event) -> None:
        if self._joining:
            self._joining = False
            self._begin(event)
        if event.seq <= self._seq:
            return
        self._seq = event.seq
        self.log.append(LogRow(self.rig, event))
        self.changes += 1
        view = self.views.setdefault(event.board, BoardView())
        view.points.take(event)
        if isinstance(event, SafeOffDone) and self.stop is not None and (self.rig, event.seq) > self.stop.after:
            self.stop.reports[event.board] = event

    def _begin(self, event: Event) -> None:
        """The first event of a connection: the same as the last rig's first means that it is the same rig."""
        if self._first == event:
            return
        self.rig += 1
        self._first = event
        self._seq = 0

    def take_snapshot(self, snapshot: Snapshot, *, past: bool = False) -> None:
        """`past`: only for the trends, of a recording that was opened in its middle."""
        for board in snapshot.boards:
            view = self.views.setdefault(board.board, BoardView())
            if board.at_s < view.newest_s:
                view.begin_trends()
            view.newest_s = board.at_s
            for channel, trend in view.trends.items():
                reading = board.channels.get(channel)
                fresh = reading is not None and board.at_s - reading.at_s < SLOW_STALE_S
                trend.add(board.at_s, reading.value if reading is not None and fresh else None)
            _rate(view, board)
        if not past:
            self.snapshot, self.received_s = snapshot, self.now()
            self.changes += 1

    # --- what is asked ------------------------------------------------------------------------------------------------

    def board(self, name: str) -> BoardSnapshot | None:
        """The newest of this board."""
        if self.snapshot is None:
            return None
        return self.snapshot.of(name)

    def rig_s(self) -> float | None:
        """The rig's time now, as far as this screen can tell: its clock goes on while nothing is heard."""
        return None if self.snapshot is None else self.snapshot.at_s + max(0.0, self.now() - self.received_s)

    def age_s(self, reading: Reading) -> float:
        """How old a reading is now, not when it was sent."""
        rig_s = self.rig_s()
        return 0.0 if rig_s is None else max(0.0, rig_s - reading.at_s)

    def silence_s(self) -> float | None:
        """Since the newest snapshot; None before the first."""
        return None if self.snapshot is None else max(0.0, self.now() - self.received_s)

    def is_stale(self, board: BoardInfo, channel: Channel, reading: Reading) -> bool:
        limit_s = SLOW_STALE_S if channel in SLOW_CHANNELS else board.envelope.stale_warn_s
        return self.age_s(reading) > limit_s

    def trial_left_s(self, board: BoardSnapshot) -> float | None:
        """Until the rig takes the change on trial back; None when there is none."""
        rig_s = self.rig_s()
        return None if board.pending is None or rig_s is None else max(0.0, board.pending.until_s - rig_s)

    def changes_of(self, name: str) -> Sequence[Change]:
        """The history of points, oldest first."""
        view = self.views.get(name)
        return () if view is None else view.points.changes

    # --- emergency stop -----------------------------------------------------------------------------------------------

    def stop_asked(self) -> Stop:
        self.stop = Stop(self.now(), (self.rig, self._seq))
        self.changes += 1
        return self.stop

    def stop_failed(self, board: str, why: str) -> None:
        if self.stop is not None:
            self.stop.errors[board] = why
            self.changes += 1

    def dismiss_stop(self) -> None:
        self.stop = None
        self.changes += 1


def _rate(view: BoardView, board: BoardSnapshot) -> None:
    """Verified tickets of the last minute. Work that begins anew counts anew."""
    work, counts = board.work, view.counts
    if work is None or not work.running or work.hashrate_hs is None:
        counts.clear()
        view.recent_hs = None
        view.rate.add(board.at_s, None)
        return
    if counts and (work.verified < counts[-1][1] or work.ticket_difficulty != counts[-1][2]):
        counts.clear()
    counts.append((board.at_s, work.verified, work.ticket_difficulty))
    while counts[-1][0] - counts[0][0] > RECENT_S:
        counts.popleft()
    span_s = counts[-1][0] - counts[0][0]
    if span_s >= 1.0:
        view.recent_hs = (counts[-1][1] - counts[0][1]) * counts[-1][2] * 2**32 / span_s
    view.rate.add(board.at_s, view.recent_hs)


__all__ = [
    "BoardView",
    "Line",
    "LogRow",
    "RigStore",
    "Stop",
]
