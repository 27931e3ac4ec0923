"""Watches one board of a rig and stops it: the poll loop, the latch, lost ports, and the safe-off that goes first.

Nothing here decides what is safe; the guard does. What an exception means is decided at the boundary of the task: the
board is latched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from controller.clock import Clock
from controller.feed import Feed
from controller.lease import LeaseKeeper
from controller.model import (
    ActionRecord,
    BoardAttached,
    BoardInfo,
    BoardLost,
    BoardSnapshot,
    Cause,
    FaultLatched,
    FaultRecord,
    GuardState,
    Limits,
    LimitsChanged,
    Note,
    OperatorLimits,
    SafeOffDone,
    SafeOffRecord,
    StateChanged,
    WorkSnapshot,
)
from controller.poller import PERIOD_S, Poller
from controller.safety.caps import Stack
from controller.safety.envelope import Envelopes
from controller.safety.guard import Guard
from controller.tasks import end_tasks
from controller.tried import Kept
from drivers.asics import pll
from drivers.boards.board import (
    Attached,
    Board,
    Protection,
    SafeOffReport,
)
from drivers.errors import HashbridgeError, TransportError, Unplugged
from drivers.traits import Transport

log = logging.getLogger(__name__)

CONTROL_GRACE_S: Final = 0.4
"""After the control port has gone silent for good: whoever owns the sentinel may know better, and says so sooner."""
RETRY_SAFE_OFF_S: Final = 2.0
REOPEN_DATA_EVERY_S: Final = 0.5
BROKEN_PAUSE_S: Final = 1.0
LAST_SWEEPS: Final = 5
"""Some channels have a turn in one sweep of five."""
FIRST_SWEEPS: Final = 5
"""A sensor may blank its first samples. After so many sweeps the rig is open, with what is known by then."""


@dataclass(frozen=True, slots=True)
class RigBoard:
    """A board handed to a rig: opened, with the ports it was opened on. `beat` is called after each completed sweep.

    `control` and `data` name the ports to people. `operator`: what its operator has unlocked or taken away.
    `reopen_data` opens the data port again after it was lost; it raises `TransportError` while there is none. `kept`:
    where the retries of this board are counted for the next rig.
    """

    board: Board
    attached: Attached
    beat: Callable[[], None] | None = None
    control: str = ""
    data: str = ""
    operator: OperatorLimits | None = None
    reopen_data: Callable[[], Awaitable[Transport]] | None = None
    kept: Kept | None = None

    @property
    def info(self) -> BoardInfo:
        kind, attached = self.board.kind, self.attached
        return BoardInfo(
            name=attached.name,
            kind=kind.name,
            title=kind.title,
            chip=kind.chip,
            chips=kind.chips,
            emulated=attached.emulated,
            dilution=attached.dilution,
            seed=attached.seed,
            control=self.control,
            data=self.data,
            envelope=Envelopes(kind.envelope, self.operator).row,
            unswitchable=kind.unswitchable,
        )


class Warden(ABC):
    """What keeps a board safe. `BoardRunner` adds what moves it."""

    def __init__(
        self, given: RigBoard, feed: Feed, clock: Clock, swept: Callable[[], None], *, observe: bool = False
    ) -> None:
        self.board, self.attached, self.info = given.board, given.attached, given.info
        self.name = given.attached.name
        self._beat, self._feed, self._clock, self._swept = given.beat, feed, clock, swept
        self._observe, self._reopen_data = observe, given.reopen_data
        kind = given.board.chains[0].kind
        self.guard = Guard(
            self.name,
            Envelopes(given.board.kind.envelope, given.operator),
            # Asked for each step of a ramp, and again for the next one.
            lambda wish: pll.nearest(wish, kind.pll_rule, kind.pll_shape).actual_mhz,
            leased=given.board.lease is not None,
            stack=Stack(given.board.kind.chips, given.board.kind.plausibility.domains),
        )
        self._lease = LeaseKeeper(lambda: self.board.lease)
        self.poller = Poller(given.board, given.attached, self.guard, clock)
        self.poller.work = self._work_snapshot
        self.poller.protections = self.protections
        self._epoch = 0
        self._safe_off: asyncio.Task[SafeOffRecord] | None = None
        self._polling: asyncio.Task[None] | None = None
        self._others: set[asyncio.Task[None]] = set()
        self._sentinel = given.beat is not None
        self._fence: SafeOffRecord | None = None
        self._fenced = asyncio.Event()
        self._told_lost = False
        self._stopping = asyncio.Lock()
        self._stopped_by_data = False
        """The chips were stopped through the data port, and nothing has answered on the control port since."""
        self._touched = False
        self._unconfirmed = False
        self._retry_at_s = 0.0
        self._announced = GuardState.UNKNOWN
        self._told_limits: Limits | None = None
        self._control_ok = asyncio.Event()
        self._control_ok.set()
        self._gone: asyncio.TimerHandle | None = None
        self._awaits_data = False

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """First contact, then safe-off: a board is presumed hot and hashing. Then watch it."""
        for chain in self.board.chains:
            chain.on_lost = self._data_lost
        identity = await self.board.first_contact()
        self._feed.add(
            BoardAttached,
            self.name,
            firmware=identity.firmware,
            parts=identity.parts,
            hashing_suspected=identity.hashing_suspected,
            emulated=self.attached.emulated,
            dilution=self.attached.dilution,
            seed=self.attached.seed,
        )
        self._tell_sentinel()
        if not self._observe:
            await self.safe_off("found at start: presumed hot")
            self._tell_sentinel()
        for _ in range(FIRST_SWEEPS):
            await self.poller.sweep()
            self._tell_sentinel()
            if self.poller.knows(self.guard.envelope.means.sensors):
                break
            await asyncio.sleep(PERIOD_S)
        self._tell_limits("as the rig starts")
        self._polling = asyncio.create_task(self._poll(), name=f"{self.name} poll")

    async def close(self) -> None:
        """Safe-off, always, unless the rig only looked; then stop watching and close the ports."""
        if self._touched or not self._observe:
            await self.safe_off("the rig closes")
            await end_tasks(self._polling)
            await self._last_look()
        self._epoch += 1
        await self._end_command()
        if self._gone is not None:
            self._gone.cancel()
        await end_tasks(self._polling, *self._others)
        for chain in self.board.chains:
            chain.on_lost = None
        await self.board.aclose()

    async def _last_look(self) -> None:
        """What is told last of a board is how it was left, not how it was a moment before."""
        if self._fence is not None or not self._control_ok.is_set():
            return
        with contextlib.suppress(
            HashbridgeError, TimeoutError
        ):  # it could not be looked at: the safe-off said what it was
            for _ in range(LAST_SWEEPS):
                await self.poller.sweep()
                self._tell_sentinel()

    def protections(self) -> frozenset[Protection]:
        """What guards the board now: its own, and ours."""
        reaches = self._control_ok.is_set() and self.guard.state is not GuardState.UNPROTECTED
        ours = {Protection.SOFTWARE_TRIPS} if self._polling is not None and reaches else set()
        if self._sentinel and reaches:
            ours.add(Protection.SENTINEL)
        if self._lease.held():
            ours.add(Protection.HOST_LEASE)
        return self.board.protections() | ours

    # --- what the one who moves the board adds ------------------------------------------------------------------------

    @abstractmethod
    async def _end_command(self) -> None:
        """Cancels the command in flight and waits until it has ended."""

    @abstractmethod
    async def _stop_work(self, *, abort: bool) -> None:
        """Stops feeding the chips; without `abort` the last window may end."""

    @abstractmethod
    def _looked(self, snapshot: BoardSnapshot) -> None:
        """After each sweep, when the trips have had their say. Its `work` has no intervals."""

    @abstractmethod
    def _work_snapshot(self, intervals: bool) -> WorkSnapshot | None: ...

    # --- watching -----------------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        due_s = asyncio.get_running_loop().time()
        while True:
            due_s = await self.poller.pace(due_s)
            try:
                await self._look()
            except Exception as error:
                # The boundary of the task: whatever went wrong, the board is made safe, and the sentinel gets no beat.
                log.exception("%s: the poll loop failed", self.name)
                await self._trip(Cause.INTERNAL, None, f"{type(error).__name__}: {error}")
                await asyncio.sleep(BROKEN_PAUSE_S)

    async def _look(self) -> None:
        await self._until_safe_off_ends()
        await self._control_ok.wait()
        slept_s = self._clock.slept_s()
        if slept_s is not None:
            await self._trip(Cause.SUSPENDED, None, f"the machine slept for {slept_s:.1f} s, nobody watched")
        try:
            await self.poller.sweep()
        except Unplugged as error:
            self._control_gone(str(error))
            return
        except TimeoutError as error:
            await self._trip(Cause.SENSOR_BUS, None, f"a sweep did not end: {error}")
            return
        snapshot = self.poller.glance()
        fault = self.guard.watch(snapshot, vr_most_c=self.poller.vr_most_c)
        self._tell_sentinel()
        self._swept()
        if fault is not None:
            await self._latch(fault)
        elif self._unconfirmed and snapshot.at_s >= self._retry_at_s:
            await self.safe_off("the last one was not confirmed")
        elif not await self._keep_lease():
            return
        self._tell_limits("the protections of the board have changed")
        if self._safe_off is None or self._safe_off.done():  # nothing is moved beside one that has begun meanwhile
            self._looked(snapshot)

    async def _keep_lease(self) -> bool:
        """A heartbeat if one is due, after a sweep and nowhere else. False: the control port is gone."""
        try:
            ended = await self._lease.look(watched=self.poller.watched())
        except Unplugged as error:
            self._control_gone(str(error))
            return False
        if ended is not None:
            await self._trip(ended.cause, None, ended.detail)
        return True

    async def _give_lease_back(self) -> None:
        """The board is confirmed safe. A fault that its firmware has latched is one of the board."""
        try:
            ended = await self._lease.disarm()
        except (HashbridgeError, TimeoutError) as error:
            self._feed.add(Note, self.name, level="warn", text=f"the lease was not given back, it will end: {error}")
            return
        if ended is not None and (self.guard.fault is None or self.guard.fault.cause is not ended.cause):
            self._announce_fault(self._record(ended.cause, None, ended.detail))

    def _tell_limits(self, why: str) -> None:
        limits = self.guard.envelopes.limits(self.protections())
        if limits != self._told_limits:
            self._told_limits = limits
            self._feed.add(LimitsChanged, self.name, limits=limits, why=why)

    def _tell_sentinel(self) -> None:
        if self._beat is not None and self._sentinel:
            self._beat()

    async def _trip(self, cause: Cause, sensor: str | None, detail: str) -> None:
        await self._latch(self._record(cause, sensor, detail))

    def _record(self, cause: Cause, sensor: str | None, detail: str) -> FaultRecord:
        at_s = asyncio.get_running_loop().time()
        return FaultRecord(cause=cause, sensor=sensor, detail=detail, at_s=at_s, at_utc=self._clock.utc(at_s))

    def trip(self, cause: Cause, detail: str) -> None:
        """Stop this board for a reason that its sensors do not know. Returns at once; safe-off is on its way."""
        self._spawn(self._trip(cause, None, detail), "trip")

    async def _latch(self, record: FaultRecord) -> None:
        if (ended := await self._lease.explain(record.cause)) is not None:
            record = self._record(ended.cause, record.sensor, f"{ended.detail}; seen as {record.detail}")
        self._announce_fault(record)
        # A board that is latched and safe already is made safe again all the same: the reason may be new.
        await self.safe_off(f"{record.cause.value}: {record.detail}")

    def _announce_fault(self, record: FaultRecord) -> None:
        snapshot = self.poller.snapshot(full=True)
        if self.guard.latch(record):
            self._feed.add(
                FaultLatched,
                self.name,
                cause=record.cause,
                sensor=record.sensor,
                detail=record.detail,
                snapshot=snapshot,
            )
        else:
            text = f"while latched: {record.cause.value}: {record.detail}"
            self._feed.add(Note, self.name, level="warn", text=text)
        self._announce_state(f"{record.cause.value}: {record.detail}")

    def _announce_state(self, why: str) -> None:
        if self.guard.state is not self._announced:
            before, self._announced = self._announced, self.guard.state
            self._feed.add(StateChanged, self.name, before=before, after=self._announced, why=why)

    # --- lost ports ---------------------------------------------------------------------------------------------------

    def _data_lost(self, error: Unplugged) -> None:
        self._feed.add(BoardLost, self.name, port="data", detail=str(error))
        self.trip(Cause.DATA_PORT_LOST, str(error))
        if self._reopen_data is not None and not self._awaits_data:
            self._awaits_data = True
            self._spawn(self._data_back(self._reopen_data), "data port")

    async def _data_back(self, reopen: Callable[[], Awaitable[Transport]]) -> None:
        """Asks for the data port until it is there, and again when it is lost meanwhile. A board that nobody could make
        safe is stopped by it."""
        while any(chain.lost is not None for chain in self.board.chains):
            await asyncio.sleep(REOPEN_DATA_EVERY_S)
            try:
                port = await reopen()
                await self.board.replace_data(port)
            except TransportError as error:
                log.debug("%s: the data port: %s", self.name, error)
                continue
            other = f": {port.name} now" if self.info.data not in ("", port.name) else ""
            self._feed.add(Note, self.name, level="info", text=f"the data port is back{other}")
            if self._unconfirmed or self.guard.state is GuardState.UNPROTECTED:
                self._stopped_by_data = False
                await self._stop_hashing()
        self._awaits_data = False

    def _control_gone(self, reason: str) -> None:
        """The port hung up under us. Wait a moment for the owner of the sentinel to say what happened."""
        if self._control_ok.is_set():
            self._control_ok.clear()
            loop = asyncio.get_running_loop()
            self._gone = loop.call_later(CONTROL_GRACE_S, self.control_lost, reason)

    def control_lost(self, reason: str) -> None:
        """Nobody can cut the rail any more: stop the hashing through the data port, and say so."""
        if self._told_lost:
            return
        self._told_lost = True
        if self._gone is not None:
            self._gone.cancel()
        self._control_ok.clear()
        self._feed.add(BoardLost, self.name, port="control", detail=reason)
        record = self._record(Cause.CONTROL_PORT_LOST, None, reason)
        snapshot = self.poller.snapshot(full=True)
        self.guard.unprotected(record)
        self._feed.add(FaultLatched, self.name, cause=record.cause, sensor=None, detail=reason, snapshot=snapshot)
        self._announce_state(reason)
        if (left_s := self._lease.left_s()) is not None:
            text = f"its firmware makes the board safe when the lease ends, in {left_s:.1f} s"
            self._feed.add(Note, self.name, level="warn", text=text)
        self._lease.rest()
        self._swept()
        self._spawn(self._stop_hashing(), "stop hashing")

    async def _stop_hashing(self) -> None:
        """Through the data port, unless that was done and confirmed."""
        async with self._stopping:
            if self._stopped_by_data:
                return
            self._epoch += 1
            await self._end_command()
            await self._stop_work(abort=True)
            self._stopped_by_data = await self.board.stop_hashing()
            text = "confirmed" if self._stopped_by_data else "NOT confirmed"
            self._feed.add(Note, self.name, level="warn", text=f"hashing stopped through the data port: {text}")

    def control_restored(
        self, record: SafeOffRecord | None, control: Transport | None = None, *, path: str | None = None
    ) -> None:
        """The control port is back; `record` is what the sentinel did with it, if it did. Safe-off follows anyway."""
        if path is not None and path != self.info.control:
            self._feed.add(Note, self.name, level="info", text=f"the control port is {path} now")
        if record is not None:
            self._feed.add(SafeOffDone, self.name, reason="the control port returned", report=record)
        self._take_control(control)
        self._spawn(self._make_safe("the control port returned"), "control restored")

    def sentinel_lost(self, control: Transport | None, why: str) -> None:
        """The sentinel died. With its port, opened here: make safe through it. Without: nobody can cut the rail."""
        self._sentinel = False
        if control is None:
            self.control_lost(why)
            return
        self._take_control(control)
        self.trip(Cause.SENTINEL_LOST, why)

    def fenced(self, why: str, record: SafeOffRecord | None) -> None:
        """The sentinel made the board safe without us, because we were silent. Its port is not ours to use any more.

        Told again when its report comes late.
        """
        if self._fence is not None and record is not None:
            self._fence = record
            self._feed.add(SafeOffDone, self.name, reason=why, report=record)
            self._spawn(self._after_fence(record), "fenced")
            return
        self._sentinel = False
        self._control_ok.clear()
        if self._gone is not None:
            self._gone.cancel()
        self._epoch += 1
        self._lease.rest()
        at_s = asyncio.get_running_loop().time()
        self._fence = record or SafeOffRecord(at_s=at_s, confirmed=False, by="sentinel", actions=())
        self._fenced.set()
        # After a sleep of the machine it is a matter of milliseconds who notices first. The cause is the same.
        cause = Cause.SENTINEL_LOST if self._clock.slept_s() is None else Cause.SUSPENDED
        self._announce_fault(self._record(cause, None, why))
        self._feed.add(SafeOffDone, self.name, reason=why, report=self._fence)
        self._spawn(self._after_fence(self._fence), "fenced")

    async def _after_fence(self, record: SafeOffRecord) -> None:
        await self._end_command()
        await self._stop_work(abort=True)
        if record.confirmed:
            self.guard.went_safe(asyncio.get_running_loop().time())
        elif _nothing_reached(record):
            await self._out_of_reach("fenced off by the sentinel, which has confirmed nothing so far")
        self._announce_state("fenced by the sentinel")
        self._swept()

    def _take_control(self, control: Transport | None) -> None:
        if self._gone is not None:
            self._gone.cancel()  # it is back before anybody said that it was gone
        if control is not None:
            self.board.replace_control(control)
        self._told_lost = False
        self._control_ok.set()

    async def _make_safe(self, reason: str) -> None:
        await self.safe_off(reason)

    # --- safe-off -----------------------------------------------------------------------------------------------------

    async def safe_off(self, reason: str) -> SafeOffRecord:
        """Now, before everything else. One at a time: who asks while it runs gets its report."""
        if self._safe_off is None or self._safe_off.done():
            self._epoch += 1
            self._touched = True
            self._safe_off = asyncio.create_task(self._run_safe_off(reason), name=f"{self.name} safe-off")
        return await asyncio.shield(self._safe_off)

    async def _until_safe_off_ends(self) -> None:
        """What is asked for while a board is being made safe is judged by what it is afterwards."""
        running = self._safe_off
        if running is not None and not running.done():
            await asyncio.wait((running,))

    async def _run_safe_off(self, reason: str) -> SafeOffRecord:
        await self._end_command()
        await self._stop_work(abort=True)
        if self._fence is not None:
            return await self._left_to(self._fence)
        self._lease.rest()
        report = await self.board.safe_off()
        if not report.confirmed and (fence := await self._fence_in_between(report)) is not None:
            return await self._left_to(fence)
        record = SafeOffRecord(
            at_s=report.at_s,
            confirmed=report.confirmed,
            by="rig",
            actions=tuple(
                ActionRecord(name=action.name, sent=action.sent, confirmed=action.confirmed, detail=action.detail)
                for action in report.actions
            ),
        )
        self._unconfirmed = not report.confirmed and self._control_ok.is_set()
        self._retry_at_s = asyncio.get_running_loop().time() + RETRY_SAFE_OFF_S
        self._feed.add(SafeOffDone, self.name, reason=reason, report=record)
        if any(action.confirmed for action in report.actions):
            self._stopped_by_data = False
        if report.confirmed:
            await self._give_lease_back()  # first: nobody may power up before the lease is where it should be
            self.guard.went_safe(asyncio.get_running_loop().time())
        else:
            reached = self._control_ok.is_set() and any(action.confirmed for action in report.actions)
            self.guard.not_safe(reached=reached)
            failed = ", ".join(action.name for action in report.actions if not action.confirmed) or "everything"
            self._announce_fault(self._record(Cause.ACTUATION, None, f"safe-off not confirmed: {failed}"))
            if not reached and self._control_ok.is_set():
                await self._out_of_reach("the control port answers nothing")
        self._announce_state(reason)
        self._swept()
        return record

    async def _out_of_reach(self, reason: str) -> None:
        """The port is there, and nothing behind it answers: a bridge that hangs holds the rail as it was. The same as a
        port that is gone, but for the tries to make safe, which go on."""
        if self.guard.state is not GuardState.UNPROTECTED:
            self.guard.unprotected(self._record(Cause.ACTUATION, None, reason))
            self._announce_state(reason)
            self._swept()
        await self._stop_hashing()

    async def _left_to(self, fence: SafeOffRecord) -> SafeOffRecord:
        """The control port is not ours: the sentinel has done this, or tried to. The data port is, also when the rig
        closes, and nobody else will stop the chips."""
        if _nothing_reached(fence):
            await self._stop_hashing()
        return fence

    async def _fence_in_between(self, report: SafeOffReport) -> SafeOffRecord | None:
        """What the sentinel did, when it took the port from under a safe-off: after a sleep of the machine both begin.

        The port is dead before the owner of the sentinel says why. Only an action that was not sent is waited for.
        """
        if self._sentinel and any(not action.sent for action in report.actions):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONTROL_GRACE_S):
                    await self._fenced.wait()
        return self._fence

    def _spawn(self, coroutine: Coroutine[Any, Any, None], what: str) -> None:
        task = asyncio.create_task(coroutine, name=f"{self.name} {what}")
        self._others.add(task)
        task.add_done_callback(self._others.discard)


def _nothing_reached(record: SafeOffRecord) -> bool:
    return not record.confirmed and not any(action.confirmed for action in record.actions)
