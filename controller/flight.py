"""The flight recorder: the last minute at full rate, on disk for every trip, in a file that opens like a rig.

It keeps the lines of the last 60 s of each board in memory, as a journal of that board has them. When it latches, they
become a file of its own, and what follows for 10 s goes into it too. The file is forced to the disk once the safe-off
is done; until it is there, a latch cannot be cleared. Everything that touches the disk runs in a thread: one that is
slow, full or broken holds up neither the safe-off nor the watch. A record that could not be written is kept, and
written anew when somebody wants to clear the latch. One file is written at a time: boards on one supply trip together,
and a rig that is busy with its records is taken for a frozen one.

`hashbridge tui --open FILE` shows it in the screens, `controller.recording.RecordedRig` in a script.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from controller.journal import Journal
from controller.model import BoardInfo, FaultLatched

log = logging.getLogger(__name__)

BEFORE_S: Final = 60.0
AFTER_S: Final = 10.0
Carry = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs what writes to the disk; raises what it raises."""
Saved = Callable[[FaultLatched, Path, str | None], None]
"""Told of a trip when it is on the disk, and once before that if it could not be: its fault, the file, and why not."""


async def in_thread(write: Callable[[], None]) -> None:
    """A slow disk must not hold up the watch over the boards."""
    await asyncio.to_thread(write)


@dataclass(slots=True, eq=False)
class _Trip:
    fault: FaultLatched
    path: Path
    board: BoardInfo
    until_s: float
    lines: list[str]
    written: int = 0
    """So many lines of them are in the file."""
    safe: bool = False
    """The safe-off is done: what there is has to be on the disk."""
    complete: bool = False
    """All that belongs to it has been kept."""
    told: bool = False
    """It is on the disk, as far as the safe-off."""
    broken: str | None = None
    """Why the last attempt failed."""
    saving: asyncio.Task[None] | None = None
    journal: Journal | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, *, sync: bool) -> None:
        """All that was kept so far, in order. Raises `OSError`. Runs in a thread."""
        with self.lock:
            try:
                self._write(sync)
            except OSError:
                if self.journal is not None:
                    self.journal.close()
                self.journal = None  # the next attempt begins with the first line
                raise

    def _write(self, sync: bool) -> None:
        if self.journal is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)  # what an attempt that failed has left
            self.journal, self.written = Journal(self.path, boards=[self.board]), 0
        while self.written < len(self.lines):
            self.journal.line(self.lines[self.written])
            self.written += 1
        self.journal.flush()
        if self.journal.broken is not None:
            raise OSError(self.journal.broken)
        if sync and self.journal.descriptor is not None:
            os.fsync(self.journal.descriptor)


class FlightRecorder:
    """One per rig. `keep` takes every line of each board, in order; `begin` and `save` what a trip needs."""

    def __init__(
        self, directory: Path, boards: Sequence[BoardInfo], on_saved: Saved, *, carry: Carry = in_thread
    ) -> None:
        self._directory, self._on_saved, self._carry = directory, on_saved, carry
        self._boards = {board.name: board for board in boards}
        self._rings: dict[str, deque[tuple[float, str]]] = {board.name: deque() for board in boards}
        self._trips: list[_Trip] = []
        self._one_at_a_time = asyncio.Semaphore(1)

    def keep(self, at_s: float, board: str, line: str) -> None:
        """One line of the life of a board. `at_s` never falls."""
        ring = self._rings[board]
        ring.append((at_s, line))
        while at_s - ring[0][0] > BEFORE_S:
            ring.popleft()
        for trip in self._trips:
            if trip.fault.board != board:
                continue
            if trip.until_s >= at_s:
                trip.lines.append(line)
            elif not trip.complete:
                trip.complete = True
                self._save(trip)

    def begin(self, fault: FaultLatched) -> None:
        """A board has latched. The line of the event itself has been kept before. Touches no disk: that comes after."""
        stamp = f"{fault.at_utc:%Y%m%dT%H%M%S}.{fault.at_utc.microsecond // 1000:03d}Z"
        path = self._directory / f"{stamp}-{fault.board}-{fault.cause.value}.jsonl"
        lines = [line for _, line in self._rings[fault.board]]
        trip = _Trip(fault, path, self._boards[fault.board], fault.at_s + AFTER_S, lines)
        self._trips.append(trip)
        self._save(trip)

    def save(self, board: str) -> None:
        """The safe-off of this board is done: what there is of its trips goes to the disk now."""
        for trip in self._trips:
            if trip.fault.board == board:
                self._force(trip)

    async def settled(self, board: str) -> str | None:
        """Until every trip of this board is on the disk. Why one is not; None when all are."""
        trips = [trip for trip in self._trips if trip.fault.board == board and not trip.told]
        for trip in trips:
            self._force(trip)
        waiting = [trip.saving for trip in trips if trip.saving is not None]
        if waiting:
            await asyncio.wait(waiting)
        return next((f"{trip.path}: {trip.broken or 'not written'}" for trip in trips if not trip.told), None)

    def close(self) -> None:
        """The rig ends. What was being written ends with it, on the disk if the disk takes it."""
        for trip in self._trips:
            try:
                trip.write(sync=True)
            except OSError as error:
                log.error("no flight record of %s in %s: %s", trip.fault.cause.value, trip.path, error)
            if trip.journal is not None:
                trip.journal.close()
        self._trips.clear()

    def _force(self, trip: _Trip) -> None:
        if not trip.told:
            trip.safe = True
            self._save(trip)

    def _save(self, trip: _Trip) -> None:
        if trip.saving is None or trip.saving.done():
            trip.saving = asyncio.create_task(self._on_disk(trip), name=f"flight record of {trip.fault.board}")

    async def _on_disk(self, trip: _Trip) -> None:
        """What there is; once more when more is wanted of it meanwhile. Closed when it is complete."""
        while trip in self._trips:
            safe, complete = trip.safe, trip.complete
            broken: str | None = None
            try:
                async with self._one_at_a_time:
                    await self._carry(partial(trip.write, sync=safe or complete))
            except OSError as error:
                broken = str(error)
            if trip not in self._trips:
                return  # the rig has ended meanwhile
            before, trip.broken = trip.broken, broken
            if broken is not None:
                if before is None and not trip.told:
                    self._on_saved(trip.fault, trip.path, broken)
                return  # asked for again when there is more of it, and by who wants to clear the latch
            if not trip.told and (safe or complete):
                trip.told = True
                self._on_saved(trip.fault, trip.path, None)
            if complete:
                self._trips.remove(trip)
                if trip.journal is not None:
                    trip.journal.close()
            elif (safe, complete) == (trip.safe, trip.complete):
                return
