"""Moves one board of a rig: one command at a time, each step with the guard's permission, and the work it is given.

Safe-off goes first: it cancels the step in flight, and commands that were waiting are refused.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Final

from controller.clock import Clock
from controller.feed import Feed
from controller.model import (
    Cause,
    ClearFault,
    Command,
    CommandAccepted,
    CommandRefused,
    FaultCleared,
    GuardState,
    Note,
    PowerDown,
    PowerUp,
    SafeOff,
    SetOperatingPoint,
    StartWork,
    StepApplied,
    StopWork,
    WorkSnapshot,
    WorkStarted,
    WorkStopped,
)
from controller.warden import RigBoard, Warden, end_tasks
from controller.work.planning import WorkPlan, plan_work
from controller.work.session import WorkSession
from drivers.boards.board import (
    CoreVoltage,
    Frequency,
    RailOn,
    Step,
    SweepWindow,
    TicketDifficulty,
)
from drivers.errors import (
    DeviceError,
    HashbridgeError,
    Latched,
    ProtocolError,
    Refused,
    SafetyError,
    TransportError,
    Unplugged,
    UsageError,
)
from drivers.units import Megahertz

log = logging.getLogger(__name__)

_COMMAND_ENDS_S: Final = 2.0


class BoardRunner(Warden):
    """Everything a rig does with one board."""

    def __init__(
        self, given: RigBoard, feed: Feed, clock: Clock, swept: Callable[[], None], *, observe: bool = False
    ) -> None:
        super().__init__(given, feed, clock, swept, observe=observe)
        self._session: WorkSession | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._lock = asyncio.Lock()
        self._command: asyncio.Task[None] | None = None

    def _work_snapshot(self, intervals: bool) -> WorkSnapshot | None:
        return None if self._session is None else self._session.snapshot(intervals=intervals)

    async def _end_command(self) -> None:
        command, self._command = self._command, None
        if command is not None and not command.done():
            command.cancel()
            await asyncio.wait((command,), timeout=_COMMAND_ENDS_S)
        self.guard.stopped_short()

    # --- commands -----------------------------------------------------------------------------------------------------

    async def request(self, command: Command) -> None:
        """Carries out one command; returns when it is done. Raises what refused or broke it."""
        if isinstance(command, SafeOff):
            self._feed.add(CommandAccepted, self.name, command=command, steps=0)
            await self.safe_off(command.reason)
            return
        epoch = self._epoch
        async with self._lock:
            if epoch != self._epoch:
                self._refuse(command, Refused("safe_off", "a safe-off came first"))
            task = asyncio.create_task(self._carry_out(command), name=f"{self.name} {command.kind}")
            self._command = task
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError:
                # Who asked is gone. The board must not stay half way up.
                if isinstance(command, PowerUp):
                    await self.safe_off("whoever asked for power-up is gone")
                task.cancel()
                await asyncio.wait((task,))
                self.guard.stopped_short()
                raise
            finally:
                if self._command is task:
                    self._command = None
            if task.cancelled():
                if self.guard.fault is not None:
                    raise Latched(self.guard.fault.cause.value, self.guard.fault.detail)
                raise Refused("safe_off", "a safe-off ended this command")
            task.result()

    def _refuse(self, command: Command, error: SafetyError | UsageError) -> None:
        rule = error.rule if isinstance(error, Refused) else "latch" if isinstance(error, Latched) else "usage"
        self._feed.add(CommandRefused, self.name, command=command, rule=rule, reason=str(error))
        raise error

    async def _carry_out(self, command: Command) -> None:
        if not self._control_ok.is_set():
            self._refuse(command, Refused("unprotected", "the control port is gone"))
        if self._observe and not isinstance(command, StopWork):
            self._refuse(command, Refused("observe", "this rig only looks"))
        plan: WorkPlan | None = None
        try:
            if isinstance(command, StartWork):
                plan = self._plan(command)
            steps = self.guard.judge(command, self.poller.snapshot(full=False))
        except (SafetyError, UsageError) as error:
            self._refuse(command, error)
            return
        if plan is not None and not steps and plan.ticket_difficulty != plan.present_difficulty:
            steps = (TicketDifficulty(plan.ticket_difficulty),)
        self._feed.add(CommandAccepted, self.name, command=command, steps=len(steps))
        match command:
            case PowerUp():
                await self._power_up(steps)
            case SetOperatingPoint():
                await self._move(steps)
            case StartWork():
                await self._run(steps)
                if plan is not None:
                    self._start_work(plan)
            case StopWork():
                await self._stop_work(abort=False)
            case PowerDown():
                await self._power_down(steps)
            case ClearFault():
                cause = self.guard.clear(self.poller.snapshot(full=False))
                self._feed.add(FaultCleared, self.name, cause=cause)
                self._announce_state("cleared by a person")
            case SafeOff():
                return

    async def _power_up(self, steps: tuple[Step, ...]) -> None:
        self.guard.started()
        self._announce_state("power-up")
        try:
            await self._run(steps)
        except HashbridgeError as error:
            # The safe-off must not cancel the task that waits for it.
            self._command = None
            if self.guard.fault is None:
                await self.safe_off(f"power-up failed: {error}")
            raise
        self.guard.reached()
        self._announce_state("the point is reached")

    async def _move(self, steps: tuple[Step, ...]) -> None:
        if self._session is not None:
            self._session.hold()
        try:
            await self._run(steps)
        except SafetyError:
            self.guard.stopped_short()
            clock, window = self.guard.commanded.frequency_mhz, self.guard.commanded.window_mhz
            if self.guard.state is GuardState.LIVE and clock is not None and window != clock:
                await self._run((SweepWindow(Megahertz(clock)),))
            raise
        finally:
            if self._session is not None:
                self._session.resume()

    async def _power_down(self, steps: tuple[Step, ...]) -> None:
        await self._stop_work(abort=False)
        try:
            await self._run(steps)
        except HashbridgeError as error:
            self._feed.add(Note, self.name, level="warn", text=f"the orderly stop ended early: {error}")
        self._command = None
        await self.safe_off("power-down")

    async def _run(self, steps: tuple[Step, ...]) -> None:
        """One step after the other: permission, the move, its settle time. A device that fails latches the board."""
        loop = asyncio.get_running_loop()
        for step in steps:
            await self._permitted(step)
            try:
                await self.board.apply(step)
            except Unplugged:
                self.guard.applied(step, loop.time(), done=False)
                raise
            except (DeviceError, ProtocolError, TransportError, UsageError) as error:
                self.guard.applied(step, loop.time(), done=False)
                cause = Cause.INTERNAL if isinstance(error, UsageError) else Cause.ACTUATION
                self._command = None
                await self._trip(cause, None, f"{_describe(step)}: {error}")
                raise
            self.guard.applied(step, loop.time())
            self._feed.add(StepApplied, self.name, step=type(step).__name__, detail=_describe(step))
            if step.settle_s > 0.0:
                await asyncio.sleep(step.settle_s)

    async def _permitted(self, step: Step) -> None:
        """Asks until the guard agrees or its patience is over: a fan needs time to spin up, a sweep to come in."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.guard.patience_s(step)
        while True:
            try:
                self.guard.permit(step, self.poller.snapshot(full=False))
            except Refused:
                if loop.time() >= until_s:
                    raise
                await asyncio.sleep(0.02)
            else:
                return

    # --- work ---------------------------------------------------------------------------------------------------------

    def _plan(self, command: StartWork) -> WorkPlan:
        if self._session is not None and self._feeder is not None:
            raise Refused("state", f"work {self._session.kind} runs already")
        return plan_work(command, self.board.chains[0])

    def _start_work(self, plan: WorkPlan) -> None:
        loop = asyncio.get_running_loop()
        chain = self.board.chains[0]
        self._session = session = plan.begin(chain, self._numbers, loop.time, self.poller.watched)
        self._feed.add(WorkStarted, self.name, work=session.kind, ticket_difficulty=chain.ticket_difficulty)
        self._feeder = asyncio.create_task(self._feed_chips(session), name=f"{self.name} work")

    async def _feed_chips(self, session: WorkSession) -> None:
        try:
            await session.run()
        except Unplugged:
            # The chain has told `_data_lost` already.
            log.info("%s: work ends with the data port", self.name)
        except Exception as error:
            log.exception("%s: work failed", self.name)
            self.trip(Cause.INTERNAL, f"work failed: {type(error).__name__}: {error}")

    async def _stop_work(self, *, abort: bool) -> None:
        feeder, self._feeder = self._feeder, None
        session = self._session
        if feeder is None or session is None:
            return
        await end_tasks(feeder)
        try:
            if not abort:
                await session.finish()
        finally:
            session.abort()
            self._feed.add(WorkStopped, self.name, result=session.snapshot())


def _describe(step: Step) -> str:
    match step:
        case Frequency(frequency_mhz=clock) | SweepWindow(frequency_mhz=clock):
            return f"{type(step).__name__} {clock:g} MHz"
        case CoreVoltage(core_v=core_v):
            return f"CoreVoltage {core_v:.3f} V"
        case RailOn():
            return "RailOn"
        case _:
            return str(step)
