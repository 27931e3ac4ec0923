"""The rig: boards behind one door. In-process; other processes reach it through a socket (controller/host.py).

An async context manager: entering makes first contact and safe-off with every board, leaving is safe-off always, even
when the one who leaves is being cancelled. In between it watches each board five times a second, carries out what the
guard allows and tells what happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from controller.clock import Clock, SystemClock
from controller.feed import Feed
from controller.flight import Carry, in_thread
from controller.journal import Journal
from controller.model import BoardInfo, Cause, Command, Event, GuardState, SafeOffRecord, Snapshot
from controller.poller import PERIOD_S
from controller.runner import BoardRunner
from controller.warden import RigBoard
from drivers.errors import UsageError
from drivers.traits import Transport

_PUBLISH_S: Final = 0.95 * PERIOD_S


class Rig:
    """A `RigPort`. `observe`: look only; no safe-off on entering, none on leaving unless one was asked for.

    `trips`: a directory for the flight records of trips; `carry` runs what writes them.
    """

    def __init__(
        self,
        boards: Sequence[RigBoard],
        *,
        journal: Journal | None = None,
        clock: Clock | None = None,
        observe: bool = False,
        trips: Path | None = None,
        carry: Carry = in_thread,
    ) -> None:
        names = [given.attached.name for given in boards]
        if len(set(names)) != len(names):
            raise UsageError("boards", names, "a name of its own for each board")
        self._clock = clock or SystemClock()
        infos = [given.info for given in boards]
        self._feed = Feed(self._clock, journal, boards=infos, trips=trips, carry=carry)
        self._runners = {
            given.attached.name: BoardRunner(given, self._feed, self._clock, self._swept, observe=observe)
            for given in boards
        }
        self._published_s = float("-inf")
        self._published_states: list[GuardState] = []

    async def __aenter__(self) -> Self:
        started: list[BoardRunner] = []
        try:
            for runner in self._runners.values():
                started.append(runner)
                await runner.start()
        except BaseException:
            await self._finish(started)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._finish(list(self._runners.values()))

    async def _finish(self, runners: list[BoardRunner]) -> None:
        """Every board is closed whatever happens to the one who leaves: cancellation waits until it is done."""
        closing = asyncio.gather(*(runner.close() for runner in runners), return_exceptions=True)
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError as error:
                cancelled = error
        self._publish()
        self._feed.close()
        for result in closing.result():
            if isinstance(result, BaseException):
                raise result
        if cancelled is not None:
            raise cancelled

    # --- the door -----------------------------------------------------------------------------------------------------

    @property
    def info(self) -> tuple[BoardInfo, ...]:
        return tuple(runner.info for runner in self._runners.values())

    @property
    def boards(self) -> tuple[str, ...]:
        return tuple(self._runners)

    async def request(self, board: str, command: Command) -> None:
        """Returns when the command is done. Raises `Refused`, `Latched`, `UsageError` or another project error."""
        await self._runner(board).request(command)

    def events(self) -> AsyncIterator[Event]:
        """From the first event on, in order, none lost."""
        return self._feed.events()

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """The newest wins, none queue up."""
        return self._feed.snapshots()

    async def safe_off(self, reason: str) -> dict[str, SafeOffRecord]:
        """All boards at once; what each of them confirmed."""
        records = await asyncio.gather(*(runner.safe_off(reason) for runner in self._runners.values()))
        return dict(zip(self._runners, records, strict=True))

    def snapshot(self) -> Snapshot:
        """The rig as it is known now."""
        at_s = asyncio.get_running_loop().time()
        return Snapshot.model_construct(
            schema_="hashbridge.snapshot/1",
            at_s=at_s,
            at_utc=self._clock.utc(at_s),
            boards=tuple(runner.poller.snapshot(full=True) for runner in self._runners.values()),
        )

    # --- for whoever keeps the process and the sentinel ---------------------------------------------------------------

    def trip(self, board: str, cause: Cause, detail: str) -> None:
        """Latch and stop a board for a reason from outside, such as a lost owner. Safe-off is on its way."""
        self._runner(board).trip(cause, detail)

    def control_lost(self, board: str, reason: str) -> None:
        """The control port is gone: UNPROTECTED, and the hashing is stopped through the data port."""
        self._runner(board).control_lost(reason)

    def control_restored(
        self, board: str, record: SafeOffRecord | None, control: Transport | None = None, *, path: str | None = None
    ) -> None:
        """It is back, through `control` if that is a new one; `record` is the sentinel's safe-off, `path` what the port
        is called now."""
        self._runner(board).control_restored(record, control, path=path)

    def sentinel_lost(self, board: str, control: Transport | None, why: str = "the sentinel died") -> None:
        """The sentinel died; `control` is its port, opened here, or None when that is gone as well."""
        self._runner(board).sentinel_lost(control, why)

    def fenced(self, board: str, why: str, record: SafeOffRecord | None) -> None:
        """The sentinel has fenced us off and made the board safe: the control port is not ours any more."""
        self._runner(board).fenced(why, record)

    def lateness_s(self, board: str) -> tuple[float, ...]:
        """How late each of the last 3,000 sweeps began, in seconds."""
        return tuple(self._runner(board).poller.lateness_s)

    def _runner(self, board: str) -> BoardRunner:
        runner = self._runners.get(board)
        if runner is None:
            raise UsageError("board", board, ", ".join(self._runners) or "none: this rig has no board")
        return runner

    def _swept(self) -> None:
        """A board has news. Published at most five times a second, and only when somebody looks; another state at once:
        a board out of reach is swept no more, and nothing would bring it later."""
        if not self._feed.wanted:
            return
        now_s = asyncio.get_running_loop().time()
        if now_s - self._published_s >= _PUBLISH_S or self._states() != self._published_states:
            self._publish()

    def _publish(self) -> None:
        if self._feed.wanted:
            self._published_s, self._published_states = asyncio.get_running_loop().time(), self._states()
            self._feed.publish(self.snapshot())

    def _states(self) -> list[GuardState]:
        return [runner.guard.state for runner in self._runners.values()]


__all__ = ["Rig", "RigBoard"]
