"""What a rig tells: events, which are history and never lost, and snapshots, of which only the newest matters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from controller.bell import Bell, each
from controller.clock import Clock
from controller.flight import Carry, FlightRecorder, in_thread
from controller.journal import Journal, SnapshotLines, event_line
from controller.model import (
    BoardInfo,
    Event,
    EventBase,
    FaultLatched,
    FaultRecorded,
    Note,
    SafeOffDone,
    Snapshot,
)

E = TypeVar("E", bound=EventBase)


class Feed:
    """One per rig. Any number of subscribers; a slow one delays nobody."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal | None = None,
        *,
        boards: Sequence[BoardInfo] = (),
        trips: Path | None = None,
        carry: Carry = in_thread,
    ) -> None:
        """`trips`: the directory to which each trip is recorded."""
        self._clock, self._journal = clock, journal
        self._flight = None if trips is None else FlightRecorder(trips, boards, self._saved, carry=carry)
        self._events: list[Event] = []
        self._snapshot: Snapshot | None = None
        self._snapshots = 0
        self._subscribers = 0
        self._news = Bell()
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Somebody looks at snapshots: they are worth building in full."""
        return self._subscribers > 0 or self._journal is not None or self._flight is not None

    def add(self, kind: type[E], board: str, **fields: Any) -> E:
        """Makes the next event of this kind, keeps it, writes it down and wakes who waits."""
        at_s = asyncio.get_running_loop().time()
        event = kind(seq=len(self._events) + 1, at_s=at_s, at_utc=self._clock.utc(at_s), board=board, **fields)
        self._events.append(event)  # type: ignore[arg-type]
        if self._journal is not None or self._flight is not None:
            line = event_line(event)  # type: ignore[arg-type]
            self._write(line, board, flush=True)
            if self._flight is not None:
                self._flight.keep(at_s, board, line)
        if self._flight is not None:
            if isinstance(event, FaultLatched):
                self._flight.begin(event)
            elif isinstance(event, SafeOffDone):
                self._flight.save(board)
        self._news.ring()
        return event

    def publish(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._snapshots += 1
        if self._journal is not None or self._flight is not None:
            lines = SnapshotLines(snapshot)  # made once for both: that costs more than to write it
            if self._journal is not None:
                self._write(lines.whole(), snapshot.boards[0].board if snapshot.boards else "", flush=False)
            if self._flight is not None:
                for board in snapshot.boards:
                    self._flight.keep(snapshot.at_s, board.board, lines.of(board.board))
        self._news.ring()

    def _write(self, line: str, board: str, *, flush: bool) -> None:
        if self._journal is not None:
            self._journal.line(line, flush=flush)
            self._check_journal(board)

    def _saved(self, fault: FaultLatched, path: Path, broken: str | None) -> None:
        if broken is None:
            self.add(FaultRecorded, fault.board, cause=fault.cause, path=str(path))
        else:
            self.add(Note, fault.board, level="error", text=f"no flight record of {fault.cause.value}: {broken}")

    async def recorded(self, board: str) -> str | None:
        """Until every trip of this board is on the disk. Which file is not there and why; None when all are."""
        return None if self._flight is None else await self._flight.settled(board)

    def _check_journal(self, board: str) -> None:
        journal = self._journal
        if journal is not None and journal.broken is not None:
            self._journal = None
            self.add(Note, board, level="error", text=f"the journal {journal.path} ends here: {journal.broken}")

    def events(self) -> AsyncIterator[Event]:
        """From the first event on. Ends when the rig has closed and everything was told."""
        return each(self._events, self._news, lambda: self._closed)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """The newest, then each newer one that the subscriber has time for."""
        seen = self._snapshots
        self._subscribers += 1
        try:
            while True:
                if seen != self._snapshots and self._snapshot is not None:
                    seen = self._snapshots
                    yield self._snapshot
                elif self._closed:
                    return
                else:
                    await self._news.wait()
        finally:
            self._subscribers -= 1

    def close(self) -> None:
        """No more news. The journal is closed too."""
        self._closed = True
        if self._flight is not None:
            self._flight.close()
        if self._journal is not None:
            self._journal.close()
        self._news.ring()
