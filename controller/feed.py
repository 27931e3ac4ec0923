"""What a rig tells: events, which are history and never lost, and snapshots, of which only the newest matters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from controller.clock import Clock
from controller.journal import Journal
from controller.model import Event, EventBase, Note, Snapshot

E = TypeVar("E", bound=EventBase)


class Feed:
    """One per rig. Any number of subscribers; a slow one delays nobody."""

    def __init__(self, clock: Clock, journal: Journal | None = None) -> None:
        self._clock, self._journal = clock, journal
        self._events: list[Event] = []
        self._snapshot: Snapshot | None = None
        self._snapshots = 0
        self._subscribers = 0
        self._news: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Somebody looks at snapshots: they are worth building in full."""
        return self._subscribers > 0 or self._journal is not None

    def add(self, kind: type[E], board: str, **fields: Any) -> E:
        """Makes the next event of this kind, keeps it, writes it down and wakes who waits."""
        at_s = asyncio.get_running_loop().time()
        event = kind(seq=len(self._events) + 1, at_s=at_s, at_utc=self._clock.utc(at_s), board=board, **fields)
        self._events.append(event)  # type: ignore[arg-type]
        if self._journal is not None:
            self._journal.event(event)  # type: ignore[arg-type]
            self._check_journal(board)
        self._wake()
        return event

    def publish(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._snapshots += 1
        if self._journal is not None:
            self._journal.snapshot(snapshot)
            self._check_journal(snapshot.boards[0].board if snapshot.boards else "")
        self._wake()

    def _check_journal(self, board: str) -> None:
        journal = self._journal
        if journal is not None and journal.broken is not None:
            self._journal = None
            self.add(Note, board, level="error", text=f"the journal {journal.path} ends here: {journal.broken}")

    async def events(self) -> AsyncIterator[Event]:
        """From the first event on. Ends when the rig has closed and everything was told."""
        index = 0
        while True:
            while index < len(self._events):
                event = self._events[index]
                index += 1
                yield event
            if self._closed:
                return
            await self._wait()

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
                    await self._wait()
        finally:
            self._subscribers -= 1

    def close(self) -> None:
        """No more news. The journal is closed too."""
        self._closed = True
        if self._journal is not None:
            self._journal.close()
        self._wake()

    async def _wait(self) -> None:
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)
