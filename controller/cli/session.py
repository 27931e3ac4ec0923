"""One run from power-up to the confirmed safe-off, told to a `RigPort`. What `hashbridge run` does, without its ports.

The rig guards the board; this only asks, watches and waits. When it is interrupted, or the rig trips, it asks for
safe-off (a second time does no harm) and waits for the report of it.
"""

from __future__ import annotations

import asyncio
import math
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from controller.cli.result import Outcome, self_test_failure
from controller.cli.talk import Talk, number
from controller.model import (
    BoardAttached,
    BoardSnapshot,
    Cause,
    Command,
    Event,
    FaultLatched,
    FaultRecorded,
    GuardState,
    Note,
    PowerDown,
    PowerUp,
    RigPort,
    SafeOff,
    SafeOffDone,
    SafeOffRecord,
    SetFan,
    Snapshot,
    StartWork,
    StateChanged,
    StepApplied,
    StopWork,
    WorkSnapshot,
    WorkStopped,
)
from drivers.boards.board import Channel
from drivers.errors import HashbridgeError, Latched, NoReply, TransportError

SAFE_OFF_WAIT_S: Final = 10.0
UNPROTECTED_WAIT_S: Final = 2.0
RESULT_WAIT_S: Final = 5.0
ATTACH_WAIT_S: Final = 15.0
LIVE_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `seconds` None: until interrupted. `fan` None: as a rig leads it that nobody has asked."""

    board: str
    emulated: bool
    dilution: int
    seed: int | None
    work: StartWork
    work_kind: str
    frequency_mhz: float | None = None
    core_v: float | None = None
    self_test_s: float | None = None
    seconds: float | None = None
    fan: SetFan | None = None


class Interrupted(Exception):
    """A person stopped the run."""


class Tripped(Exception):
    """The rig latched a fault."""


class RigGone(TransportError):
    """The rig process went away in the middle of the run."""


@dataclass(slots=True)
class Session:
    port: RigPort
    plan: Plan
    talk: Talk
    on_snapshot: Callable[[Snapshot], None] | None = None
    on_event: Callable[[Event], None] | None = None
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    rig_gone: bool = False
    """The rig process ended, or hung up, before the run did."""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _attached: asyncio.Event = field(default_factory=asyncio.Event)
    _safe_off_done: asyncio.Event = field(default_factory=asyncio.Event)
    _work_stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _trips: list[FaultLatched] = field(default_factory=list)
    _safe_off: SafeOffRecord | None = None
    _latest: BoardSnapshot | None = None
    _working: BoardSnapshot | None = None
    _result: WorkSnapshot | None = None
    _self_test: WorkSnapshot | None = None
    _work_began: bool = False
    _phase: str = "waking"
    _energised: bool = False
    _failure: HashbridgeError | None = None
    _next_live_s: float = 0.0
    _safe_off_from_s: float = math.inf
    _unprotected: bool = False
    _patience: asyncio.Timeout | None = None

    async def run(self) -> Outcome:
        """Power up, test, work, power down. Returns when the board is safe, or when that could not be confirmed.

        Raises `Refused` or another project error when the power-up was refused before anything was energised.
        """
        watchers = [
            asyncio.create_task(self._watch_snapshots(), name="snapshots"),
            asyncio.create_task(self._watch_events(), name="events"),
        ]
        try:
            await self._main_line()
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            self.talk.settle()
        return Outcome(
            board=self.plan.board,
            emulated=self.plan.emulated,
            dilution=self.plan.dilution,
            seed=self.plan.seed,
            work_kind=self.plan.work_kind,
            snapshot=self._working or self._latest,
            work=self._result,
            self_test=self._self_test,
            trips=tuple(self._trips),
            safe_off=self._safe_off,
            failure=self._failure,
        )

    async def _main_line(self) -> None:
        plan = self.plan
        try:
            await self._wait(self._attached.wait(), ATTACH_WAIT_S, "first contact")
            if plan.fan is not None:
                await self._ask(plan.fan)
            self._phase = "powering up"
            await self._ask(PowerUp(frequency_mhz=plan.frequency_mhz, core_v=plan.core_v))
            if plan.self_test_s is not None:
                self._phase = "self-test"
                pattern = StartWork(work="pattern", seed=plan.work.seed)
                self._self_test = await self._work(pattern, plan.self_test_s)
                self._tell_self_test()
            self._phase = plan.work_kind
            self._work_began = True
            self._result = await self._work(plan.work, plan.seconds)
            self._phase = "powering down"
            self._forget_safe_off()
            await self._ask(PowerDown())
        except Interrupted:
            self.talk.say("interrupted: making the board safe (once more Ctrl+C leaves that to the rig)")
            await self._make_safe("interrupted by the user")
        except Tripped:
            await self._make_safe(None)
        except Latched:
            # The trip came while a command was on its way; its event may still be behind us in the queue.
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._ended.wait()
            await self._make_safe(None)
        except HashbridgeError as error:
            if not self._energised:
                raise
            self._failure = error
            await self._make_safe("the run failed")
        else:
            await self._await_safe_off()

    async def _work(self, command: StartWork, seconds: float | None) -> WorkSnapshot | None:
        self._work_stopped.clear()
        self._result = None
        await self._ask(command)
        await self._sleep(seconds)
        await self._ask(StopWork())
        await self._wait(self._work_stopped.wait(), RESULT_WAIT_S, "the result of the work")
        return self._result

    def _tell_self_test(self) -> None:
        self.talk.settle()
        if self._self_test is None:
            return
        why_not = self_test_failure(self._self_test)
        found, due = self._self_test.answers_found, self._self_test.answers_due
        if why_not is None:
            self.talk.say(f"self-test passed: {found} of {due} nonces of real blocks found again", "good")
        else:
            self.talk.warn(f"self-test FAILED: {why_not}")

    # --- asking and waiting, with an ear for the end ------------------------------------------------------------------

    async def _ask(self, command: Command) -> None:
        await self._wait(self.port.request(self.plan.board, command), None, command.kind)

    async def _sleep(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        self._raise_if_ended()

    async def _wait(self, what: object, seconds: float | None, name: str) -> None:
        """Wait for a coroutine, but not beyond an interruption, a trip or the loss of the rig."""
        assert asyncio.iscoroutine(what)
        task: asyncio.Task[object] = asyncio.ensure_future(what)
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({task, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                return
            self._raise_if_ended()
            raise NoReply(name, seconds or 0.0)
        finally:
            for pending in (task, ended):
                pending.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)

    def _raise_if_ended(self) -> None:
        if self._trips:
            raise Tripped
        if self.interrupted.is_set():
            raise Interrupted
        if self.rig_gone:
            raise RigGone("the rig process went away; its sentinel makes the board safe")

    def interrupt(self) -> None:
        """A person wants to stop. Called from a signal handler of the loop."""
        self.interrupted.set()
        self._ended.set()

    async def _make_safe(self, reason: str | None) -> None:
        if self.rig_gone:
            return  # nobody to ask; its sentinel does it
        if reason is not None:
            self._forget_safe_off()
            try:
                async with asyncio.timeout(SAFE_OFF_WAIT_S):
                    await self.port.request(self.plan.board, SafeOff(reason=reason))
            except (HashbridgeError, OSError) as error:
                self.talk.warn(f"safe-off: {error}")
        await self._await_safe_off()

    def _forget_safe_off(self, at_s: float | None = None) -> None:
        """An earlier report (of the first contact, say) must not pass for the one that is to come."""
        self._safe_off_from_s = asyncio.get_running_loop().time() if at_s is None else at_s
        self._safe_off = None
        self._safe_off_done.clear()

    def accept(self, outcome: Outcome, late: SafeOffRecord | None) -> Outcome:
        """The outcome with a report that came while the rig was closed, if that was made after the run had ended.

        Client and rig are processes of one machine: the times of both are CLOCK_MONOTONIC.
        """
        if late is None or outcome.safe_off_confirmed or late.at_s < self._safe_off_from_s:
            return outcome
        return replace(outcome, safe_off=late)

    async def _await_safe_off(self) -> None:
        """Until the report comes. A board without a control port cannot give one: then not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SAFE_OFF_WAIT_S) as patience:
                self._patience = patience
                if self._unprotected:
                    self._lose_patience()
                await self._safe_off_done.wait()

    def _lose_patience(self) -> None:
        self._unprotected = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + UNPROTECTED_WAIT_S)

    # --- what the rig tells -------------------------------------------------------------------------------------------

    async def _watch_snapshots(self) -> None:
        async for snapshot in self.port.snapshots():
            if self.on_snapshot:
                self.on_snapshot(snapshot)
            for board in snapshot.boards:
                if board.board == self.plan.board:
                    self._take(board)
        self._lost()

    def _take(self, board: BoardSnapshot) -> None:
        self._latest = board
        if self._work_began and board.work is not None and board.work.running:
            self._working = board
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_live_s and board.state in (GuardState.STARTING, GuardState.LIVE):
            self._next_live_s = now_s + LIVE_EVERY_S
            self.talk.live(live_parts(self._phase, board), now_s)

    async def _watch_events(self) -> None:
        async for event in self.port.events():
            if self.on_event:
                self.on_event(event)
            if event.board == self.plan.board:
                self._hear(event)
        self._lost()

    def _hear(self, event: Event) -> None:
        if isinstance(event, BoardAttached):
            firmware = f", firmware {event.firmware}" if event.firmware else ""
            found = ", found powered: presumed hot and hashing" if event.hashing_suspected else ""
            parts = ", ".join(f"{part} {said or 'SILENT'}" for part, said in event.parts.items())
            who = "found" if self.talk.name else event.board
            self.talk.say(f"{who}{firmware}: {parts}{found}")
            self._attached.set()
        elif isinstance(event, FaultLatched):
            if event.cause is not Cause.STOP_REQUESTED:
                if not self._trips:
                    self._forget_safe_off(event.at_s)  # the report that counts is the one that answers this trip
                self._trips.append(event)
                self.talk.settle()
                self.talk.warn(
                    f"TRIP {event.cause.value}{f' ({event.sensor})' if event.sensor else ''}: {event.detail}"
                )
                self._ended.set()
        elif isinstance(event, FaultRecorded):
            self.talk.say(f"its last minute: hashbridge tui --open {shlex.quote(event.path)}")
        elif isinstance(event, StepApplied):
            self._energised = True
        elif isinstance(event, SafeOffDone):
            self._safe_off = event.report
            self._safe_off_done.set()
        elif isinstance(event, WorkStopped):
            self._result = event.result
            self._work_stopped.set()
        elif isinstance(event, StateChanged) and event.after is GuardState.UNPROTECTED:
            self.talk.warn(f"UNPROTECTED: {event.why}")
            self._lose_patience()
        elif isinstance(event, Note) and event.level != "info":
            self.talk.warn(f"{event.level}: {event.text}")

    def _lost(self) -> None:
        if not self.rig_gone:
            self.rig_gone = True
            self._forget_safe_off(self._latest.at_s if self._latest else None)
        self._ended.set()


def live_parts(phase: str, board: BoardSnapshot) -> list[str]:
    """The progress line: phase, how the work goes, point, heat. What cannot be told is left out; what tells most comes
    first, since a narrow terminal drops the end."""

    def channel(name: Channel, digits: int, unit: str) -> str | None:
        reading = board.channels.get(name)
        return None if reading is None or reading.value is None else number(reading.value, digits, unit)

    work = board.work if board.work is not None and board.work.running else None
    parts: list[str | None] = [phase]
    if work:
        parts[0] = f"{phase} {work.elapsed_s:.0f} s"
        if work.answers_due is not None:
            parts.append(f"{work.answers_found}/{work.answers_due} answers")
        elif work.hashrate_hs is not None:
            parts.append(f"{work.hashrate_hs / 1e12:.3f} TH/s")
            parts.append(f"{work.verified} verified")
        if work.hw_errors:
            parts.append(f"{work.hw_errors} wrong")
    clock_mhz = board.point.achieved.frequency_mhz
    if clock_mhz is None and board.chains:
        clock_mhz = board.chains[0].frequency_mhz
    parts += [
        None if clock_mhz is None else f"{clock_mhz:.1f} MHz",
        channel(Channel.CORE_V, 3, "V"),
        channel(Channel.CORE_W, 1, "W"),
        channel(Channel.CHIP_C, 1, "C"),
        channel(Channel.FAN_RPM, 0, "rpm"),
    ]
    return [part for part in parts if part is not None]
