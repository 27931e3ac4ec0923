"""The flight recorder: the last minute at full rate, on disk for every trip, in a file that opens like a rig.

It keeps the lines of the last 60 s in memory, as a journal has them. When a board latches, they become a file of its
own, and what follows for 10 s goes into it too. The file is forced to the disk once the safe-off is done; until then a
latch cannot be cleared. A disk that is full or broken costs the record, never the safe-off.

`hashbridge tui --open FILE` shows it in the screens, `controller.recording.RecordedRig` in a script.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.journal import Journal
from controller.model import BoardInfo, FaultLatched

BEFORE_S: Final = 60.0
AFTER_S: Final = 10.0
Sync = Callable[[int], Awaitable[None]]
Saved = Callable[[FaultLatched, Path, str | None], None]
"""Told once a trip: its fault, the file, and what went wrong with it."""


async def sync_in_thread(descriptor: int) -> None:
    """A slow disk must not hold up the watch over the boards."""
    await asyncio.to_thread(os.fsync, descriptor)


@dataclass(slots=True)
class _Trip:
    fault: FaultLatched
    journal: Journal
    until_s: float
    saving: asyncio.Task[None] | None = None
    told: bool = False
    complete: bool = False
    """All that belongs to it has been kept."""


class FlightRecorder:
    """One per rig. `keep` takes every line that the rig tells, in order; `begin` and `save` what a trip needs."""

    def __init__(
        self, directory: Path, boards: Sequence[BoardInfo], on_saved: Saved, *, sync: Sync = sync_in_thread
    ) -> None:
        self._directory, self._boards, self._on_saved, self._sync = directory, tuple(boards), on_saved, sync
        self._ring: deque[tuple[float, str]] = deque()
        self._trips: list[_Trip] = []

    def keep(self, at_s: float, line: str) -> None:
        """One line of the rig's life. `at_s` never falls."""
        self._ring.append((at_s, line))
        while at_s - self._ring[0][0] > BEFORE_S:
            self._ring.popleft()
        for trip in self._trips:
            if trip.until_s >= at_s:
                trip.journal.line(line)
            elif not trip.complete:
                trip.complete = True
                self._save(trip)

    def begin(self, fault: FaultLatched) -> None:
        """A board has latched. The line of the event itself has been kept before. Never raises."""
        stamp = f"{fault.at_utc:%Y%m%dT%H%M%S}.{fault.at_utc.microsecond // 1000:03d}Z"
        path = self._directory / f"{stamp}-{fault.board}-{fault.cause.value}.jsonl"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            journal = Journal(path, boards=self._boards)
        except OSError as error:
            self._on_saved(fault, path, str(error))
            return
        for _, line in self._ring:
            journal.line(line)
        self._trips.append(_Trip(fault, journal, fault.at_s + AFTER_S))

    def save(self, board: str) -> None:
        """The safe-off of this board is done: what there is of its trips goes to the disk now."""
        for trip in self._trips:
            if trip.fault.board == board and not trip.told:
                self._save(trip)

    async def settled(self) -> None:
        """Until every trip is on the disk, as far as the disk takes it."""
        for trip in self._trips:
            if not trip.told:
                self._save(trip)
        waiting = [trip.saving for trip in self._trips if trip.saving is not None and not trip.told]
        if waiting:
            await asyncio.wait(waiting)

    def close(self) -> None:
        """The rig ends. What was being written ends with it, on the disk."""
        for trip in self._trips:
            trip.journal.flush()
            if trip.journal.descriptor is not None:
                os.fsync(trip.journal.descriptor)
            trip.journal.close()
        self._trips.clear()

    def _save(self, trip: _Trip) -> None:
        if trip.saving is None or trip.saving.done():
            trip.saving = asyncio.create_task(self._on_disk(trip), name=f"flight record of {trip.fault.board}")

    async def _on_disk(self, trip: _Trip) -> None:
        """What there is; once more when the rest has come meanwhile. Only then is the file closed."""
        while True:
            complete = trip.complete
            trip.journal.flush()
            broken = trip.journal.broken
            if broken is None and trip.journal.descriptor is not None:
                try:
                    await self._sync(trip.journal.descriptor)
                except OSError as error:
                    broken = str(error)
            if not trip.told:
                trip.told = True
                self._on_saved(trip.fault, trip.journal.path, broken)
            if complete:
                trip.journal.close()
                self._trips.remove(trip)
                return
            if not trip.complete:
                return
