"""Looks at one board of a rig from a moment on: the newest snapshot, the first fault, the end of the rig."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from controller.model import BoardSnapshot, FaultLatched, Playback, RigPort
from controller.port import LiveRig
from drivers.errors import Latched, NoReply, Unplugged

SILENCE_S: Final = 4.0
GRACE_S: Final = 1.0
"""A program that wakes from a freeze finds its timers due before it has read what came meanwhile."""
T = TypeVar("T")


class Eye:
    """An async context manager. Snapshots do not queue up: who is slow sees fewer of them.

    `faults`: `next` raises `Latched` as soon as the rig tells of one, snapshot or not. `silence`: it raises `NoReply`
    when the rig says nothing for 5 s.
    """

    def __init__(
        self,
        port: RigPort,
        board: str,
        seen: Callable[[BoardSnapshot], None],
        *,
        faults: bool = False,
        silence: bool = False,
    ) -> None:
        self._port, self._board, self._seen = port, board, seen
        self._faults, self._patience_s = faults, (SILENCE_S, GRACE_S) if silence else (math.inf,)
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._fresh: BoardSnapshot | None = None
        self._fault: FaultLatched | None = None
        self._ended: BaseException | None = None
        self._woken = False

    async def __aenter__(self) -> Self:
        # A rig and who looks at it are on one machine: the times of both are CLOCK_MONOTONIC. A recording has its own.
        recorded = isinstance(self._port, Playback)
        since_s = -math.inf if recorded else asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(self._watch(since_s), name="snapshots")]
        if self._faults:
            self._tasks.append(asyncio.create_task(self._listen(since_s), name="faults"))
        for task in self._tasks:
            task.add_done_callback(self._over)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """`next` returns None once."""
        self._woken = True
        self._news.set()

    async def next(self, until_s: float | None = None) -> BoardSnapshot | None:
        """The newest snapshot that was not yet given; None when `until_s` (the loop's time) comes first."""
        loop = asyncio.get_running_loop()
        end_s = math.inf if until_s is None else until_s
        for patience_s in self._patience_s:
            give_up_s = loop.time() + patience_s
            while True:
                if self._fault is not None:
                    raise Latched(self._fault.cause.value, self._fault.detail)
                if self._fresh is not None and loop.time() <= end_s:
                    fresh, self._fresh = self._fresh, None
                    self._seen(fresh)
                    return fresh
                if self._ended is not None:
                    raise self._ended
                if self._woken or loop.time() >= end_s:
                    self._woken = False
                    return None
                if loop.time() >= give_up_s:
                    break
                self._news.clear()
                due_s = min(end_s, give_up_s)
                try:
                    async with asyncio.timeout_at(due_s if math.isfinite(due_s) else None):
                        await self._news.wait()
                except TimeoutError:
                    continue
        raise NoReply("a snapshot of the board", sum(self._patience_s))

    def lost(self) -> Unplugged:
        """Why there is nothing more to see."""
        why = self._port.lost if isinstance(self._port, LiveRig) else None
        return Unplugged("rig", "the rig has ended" if why is None else why.why)

    async def _watch(self, since_s: float) -> None:
        while True:
            generation = self._generation
            async for snapshot in self._port.snapshots():
                for board in snapshot.boards:
                    if board.board == self._board and board.at_s > since_s:
                        self._fresh = board
                        self._news.set()
            if self._generation == generation:
                return

    @property
    def _generation(self) -> int:
        """A seek in a recording ends its iterators, and new ones begin."""
        return self._port.generation if isinstance(self._port, Playback) else 0

    async def _listen(self, since_s: float) -> None:
        async for event in self._port.events():
            if isinstance(event, FaultLatched) and event.board == self._board and event.at_s >= since_s:
                self._fault = self._fault or event
                self._news.set()

    def _over(self, task: asyncio.Task[None]) -> None:
        """An iterator has ended: so has the rig. What else went wrong in one goes to who looks."""
        if not task.cancelled() and self._ended is None:
            self._ended = task.exception() or self.lost()
            self._news.set()


async def through(what: Coroutine[Any, Any, T]) -> T:
    """Runs to its end although the caller is cancelled meanwhile; the cancellation is passed on afterwards."""
    task = asyncio.create_task(what)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and task.exception() is not None:
            cancelled.add_note(str(task.exception()))
        raise cancelled
    return task.result()
