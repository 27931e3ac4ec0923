"""One run from power-up to the confirmed safe-off, told to a `RigPort`. What `hashbridge run` does, without its ports.

The rig guards the board; this only asks, watches and waits. When it is interrupted, or the rig trips, it asks for
safe-off (a second time does no harm) and waits for the report of it. Where the operator lets the board come back by
itself after a trip, it waits for that first, as long as the run has time, and goes on where it was cut short.
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
    CapChip,
    Cause,
    Command,
    Event,
    FaultLatched,
    FaultRecorded,
    GuardState,
    Note,
    OperatingPoint,
    PowerDown,
    PowerUp,
    RetryEnded,
    RetryPlanned,
    RetryRefused,
    RetryStatus,
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
    WorkStarted,
    WorkStopped,
)
from controller.safety.retry import RETRIED
from drivers.boards.board import Channel
from drivers.errors import HashbridgeError, Latched, NoReply, Refused, TransportError

SAFE_OFF_WAIT_S: Final = 10.0
UNPROTECTED_WAIT_S: Final = 2.0
RESULT_WAIT_S: Final = 5.0
ATTACH_WAIT_S: Final = 15.0
LIVE_EVERY_S: Final = 0.25
WAITING_EVERY_S: Final = 30.0
"""How often the wait for a retry is told where there is no terminal."""
TRIP_WAIT_S: Final = 1.0
"""For the event of a trip that a command has run into: it may still be behind us in the queue."""
RIG_GONE: Final = "the rig process went away; its sentinel makes the board safe"
DECISION_WAIT_S: Final = 30.0
"""For the rig's word on a retry. It speaks once the board is safe."""


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
    caps: tuple[CapChip, ...] = ()
    """Before the first power-up."""
    retry: bool = False
    """The board may come back by itself after a trip."""


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
    _fed: bool = False
    _powered: bool = False
    _tested: bool = False
    _until_s: float | None = None
    """When the time of the run is over: since its work began first."""
    _overcome: int = 0
    """So many of the trips the board has come back from by itself."""
    _retries: int = 0
    _decided: bool = False
    """The rig has said whether the board will come back after the last trip."""
    _given_up: bool = False
    _retry_news: asyncio.Event = field(default_factory=asyncio.Event)

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
            overcome=self._overcome,
            retries=self._retries,
            safe_off=self._safe_off,
            failure=self._failure,
        )

    async def _main_line(self) -> None:
        plan = self.plan
        try:
            await self._wait(self._attached.wait(), ATTACH_WAIT_S, "first contact")
            if plan.fan is not None:
                await self._ask(plan.fan)
            for cap in plan.caps:
                await self._ask(cap)
            while not await self._through():
                pass  # the board has come back by itself: on with what is left
            self._phase = "powering down"
            self._forget_safe_off()
            await self._ask(PowerDown())
        except Interrupted:
            self.talk.say("interrupted: making the board safe (once more Ctrl+C leaves that to the rig)")
            await self._make_safe("interrupted by the user")
        except Tripped:
            # Where it may come back by itself nobody would be there any more: what a person asks for ends that.
            await self._make_safe("the run is over" if self._may_come_back else None)
        except Latched:
            await self._hear_of_trip()
            await self._make_safe(None)
        except HashbridgeError as error:
            if not self._energised:
                raise
            self._failure = error
            await self._make_safe("the run failed")
        else:
            await self._await_safe_off()

    async def _through(self) -> bool:
        """Power-up, test and work, as far as they have not been done. False: cut short by a trip that the board has
        come back from. Raises `Tripped` for one that stands."""
        plan = self.plan
        try:
            if not self._powered:
                self._phase = "powering up"
                await self._ask(PowerUp(frequency_mhz=plan.frequency_mhz, core_v=plan.core_v))
                self._powered = True
            if plan.self_test_s is not None and not self._tested:
                self._phase = "self-test"
                pattern = StartWork(work="pattern", seed=plan.work.seed)
                if self._fed:  # the rig goes on with what was cut short; its counts begin anew
                    await self._end_work()
                self._self_test = await self._work(pattern, plan.self_test_s)
                self._tested = True
                self._tell_self_test()
            self._phase = plan.work_kind
            self._work_began = True
            if plan.seconds is not None and self._until_s is None:
                self._until_s = asyncio.get_running_loop().time() + plan.seconds
            self._result = await self._work(plan.work, self._left_s())
        except (Tripped, Latched, Refused) as error:
            refused = isinstance(error, Refused) and error.rule != "safe_off"  # for a reason of its own
            if not plan.retry or refused or not (self._tripped or await self._hear_of_trip()):
                raise
            if not await self._comes_back():
                raise Tripped from error
            return False
        return True

    def _left_s(self) -> float | None:
        return None if self._until_s is None else max(0.0, self._until_s - asyncio.get_running_loop().time())

    async def _work(self, command: StartWork, seconds: float | None) -> WorkSnapshot | None:
        """`seconds` of it. A rig that has brought its board back by itself feeds it already."""
        if not self._fed:
            self._result = None
            await self._ask(command)
        await self._sleep(seconds)
        await self._end_work()
        return self._result

    async def _end_work(self) -> None:
        self._work_stopped.clear()
        await self._ask(StopWork())
        await self._wait(self._work_stopped.wait(), RESULT_WAIT_S, "the result of the work")

    # --- coming back by itself ----------------------------------------------------------------------------------------

    async def _hear_of_trip(self) -> bool:
        """The trip that a command has run into. False: there was none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TRIP_WAIT_S):
                await self._ended.wait()
        return self._tripped

    async def _comes_back(self) -> bool:
        """Waits until the board has come back by itself after a trip. False: it does not, or no time is left."""
        self._phase = "coming back"
        while self._tripped:
            if self.interrupted.is_set():
                raise Interrupted
            if self.rig_gone:
                raise RigGone(RIG_GONE)
            if not self._may_come_back:
                return False
            self._retry_news.clear()
            left_s = self._left_s()
            wait_s = left_s if self._decided else min(DECISION_WAIT_S, math.inf if left_s is None else left_s)
            try:
                async with asyncio.timeout(wait_s):
                    await self._retry_news.wait()
            except TimeoutError:
                why = "the time of the run is over" if self._decided or left_s == wait_s else "the rig says nothing"
                self.talk.warn(f"no retry: {why}")
                return False
        self._powered = True
        if not self.interrupted.is_set() and not self.rig_gone:
            self._ended.clear()
        return True

    @property
    def _tripped(self) -> bool:
        """A trip stands that the board has not come back from."""
        return len(self._trips) > self._overcome

    @property
    def _may_come_back(self) -> bool:
        """Nothing says that it will not."""
        causes = {trip.cause for trip in self._trips[self._overcome :]}
        return self.plan.retry and not self._given_up and causes <= RETRIED

    def _hear_retry(self, event: RetryPlanned | RetryEnded | RetryRefused) -> None:
        self.talk.settle()
        if isinstance(event, RetryPlanned):
            self._decided = True
            self._next_live_s = 0.0
            self.talk.say(
                f"retry {event.number} of {event.of} in {event.wait_s:g} s, {_point(event.point)} instead of "
                f"{_point(event.wanted)}"
            )
        elif isinstance(event, RetryRefused):
            self._given_up = True
            self.talk.warn(f"no retry after {event.cause.value}: {event.why}")
        elif event.how == "done":
            self._overcome = len(self._trips)
            self._retries += 1
            self.talk.say(f"retry {event.number}: the board is back{f', {event.why}' if event.why else ''}", "good")
        else:
            self._given_up = True
            self.talk.warn(f"retry {event.number} {event.how}: {event.why}")
        self._retry_news.set()

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
        if self._tripped:
            raise Tripped
        if self.interrupted.is_set():
            raise Interrupted
        if self.rig_gone:
            raise RigGone(RIG_GONE)

    def interrupt(self) -> None:
        """A person wants to stop. Called from a signal handler of the loop."""
        self.interrupted.set()
        self._retry_news.set()
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
        elif now_s >= self._next_live_s and self.plan.retry and board.retry and board.retry.due_s is not None:
            self._next_live_s = now_s + 1.0
            self.talk.live(waiting_parts(board, board.retry), now_s, every_s=WAITING_EVERY_S)

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
                if not self._tripped:
                    self._forget_safe_off(event.at_s)  # the report that counts is the one that answers this trip
                self._trips.append(event)
                self._decided = False
                self._retry_news.set()
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
        elif isinstance(event, RetryPlanned | RetryEnded | RetryRefused):
            if self.plan.retry:
                self._hear_retry(event)
        elif isinstance(event, WorkStarted):
            self._fed = True
        elif isinstance(event, WorkStopped):
            self._fed = False
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
        self._retry_news.set()
        self._ended.set()


def _point(wish: OperatingPoint) -> str:
    return f"{number(wish.frequency_mhz, 2, 'MHz')} at {number(wish.core_v, 3, 'V')}"


def waiting_parts(board: BoardSnapshot, retry: RetryStatus) -> list[str]:
    """The progress line of a board that is latched and will come back by itself."""
    left_s = max(0.0, (retry.due_s or board.at_s) - board.at_s)
    when = f"in {left_s:.0f} s" if left_s > 0.0 else "as soon as the board lets it"
    return [f"latched: {retry.cause.value}", f"retry {retry.number} of {retry.of} {when}", _point(retry.point)]


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
