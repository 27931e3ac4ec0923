"""Moves one board of a rig: one command at a time, and the work it is given.

Safe-off goes first: it cancels the step in flight, and commands that were waiting are refused.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final

from controller.clock import Clock
from controller.eye import through
from controller.fan import FanTurner
from controller.feed import Feed
from controller.keeper import RETRY_S, Keeper
from controller.model import (
    AddRemark,
    BoardSnapshot,
    CapChip,
    Cause,
    ChipCapped,
    ClearFault,
    Command,
    CommandAccepted,
    CommandRefused,
    FaultCleared,
    FaultRecord,
    GuardState,
    KeepPoint,
    LimitLifted,
    LimitSession,
    OperatingPoint,
    PendingPoint,
    PointKept,
    PointLimited,
    PointPending,
    PointReverted,
    PowerDown,
    PowerUp,
    Remark,
    RevertPoint,
    SafeOff,
    SetFan,
    SetOperatingPoint,
    SetReach,
    StartWork,
    StopWork,
    WorkSnapshot,
    WorkStarted,
    WorkStopped,
)
from controller.retrier import Retrier
from controller.safety.caps import Caps
from controller.safety.envelope import fits
from controller.safety.retry import Plan
from controller.safety.throttle import Give
from controller.stepper import Stepper
from controller.warden import RigBoard
from controller.work.feeder import Feeder
from controller.work.planning import WorkPlan, plan_work
from drivers.boards.board import (
    Protection,
    Step,
    TicketDifficulty,
)
from drivers.errors import (
    HashbridgeError,
    Latched,
    Refused,
    SafetyError,
    UsageError,
)

log = logging.getLogger(__name__)

_COMMAND_ENDS_S: Final = 2.0
_NO_DECISION: Final = (AddRemark, SetFan, SetReach, LimitSession, CapChip)
"""Commands that leave a retry as it is."""
THROTTLE: Final = "throttle"
SILENT: Final = "silent"


class BoardRunner(Stepper):
    """Everything a rig does with one board."""

    def __init__(
        self, given: RigBoard, feed: Feed, clock: Clock, swept: Callable[[], None], *, observe: bool = False
    ) -> None:
        super().__init__(given, feed, clock, swept, observe=observe)
        self._work = Feeder(self.name, self._work_failed)
        self._lock = asyncio.Lock()
        self._mover = False
        """The command in flight moves the point, or takes a chip up to it."""
        self._slows = False
        """It slows a chip: toward less heat, so that nothing cuts it short but what goes through reset."""
        self._limited_by: Cause | None = None
        self._fan = FanTurner(
            self.name,
            self.board,
            self.guard,
            lambda: self.poller.snapshot(full=False),
            self._trip,
            lambda text: self._note("warn", text),
        )
        self._keeper = Keeper(self.guard.envelope, self._trial_ends)
        self.poller.pending = lambda: self._keeper.pending
        self._fed: StartWork | None = None
        """The work that the chips are fed with, as it was asked for."""
        self._also: str | None = None
        """Another cause that came while the board was being made safe after a trip."""
        self._retrier = Retrier(self.name, feed, self._request, lambda: self.guard.fault, clock, given.kept)
        if given.operator is not None and given.operator.retry and not observe:
            self._retrier.allow(self.guard.envelope)
        self.poller.retry = lambda: self._retrier.status

    def _work_snapshot(self, intervals: bool) -> WorkSnapshot | None:
        session = self._work.session
        return None if session is None else session.snapshot(intervals=intervals)

    def _looked(self, snapshot: BoardSnapshot) -> None:
        self._keeper.look(snapshot.channels, snapshot.work)
        give = self.guard.give_way(snapshot)
        if give is not None:
            self._spawn(self._give_way(give), "gives way")
        self._tell_limit()
        if (why := self.guard.silence.ask()) is not None:
            self._spawn(self._chips_again(why), "initialises its chips again")
        if (quiet := self.guard.silence.news()) is not None:
            self._note("warn", quiet)
        self._fan.after_sweep(snapshot)
        for news in (self.guard.supply.news(), self.guard.derate.news()):
            if news is not None:
                self._note("warn", news)

    async def _end_command(self) -> None:
        self._keeper.forget()
        command, self._command = self._command, None
        fan, self._fan.turning = self._fan.turning, None
        running = [task for task in (command, fan) if task is not None and not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=_COMMAND_ENDS_S)
        self.guard.stopped_short()

    # --- commands -----------------------------------------------------------------------------------------------------

    async def request(self, command: Command) -> None:
        """Carries out one command; returns when it is done. Raises what refused or broke it."""
        if not isinstance(command, _NO_DECISION) and not _is_dry(command):
            self._retrier.cancel(f"somebody asks for {command.kind}")
        await self._request(command)

    async def _request(self, command: Command) -> None:
        if isinstance(command, SafeOff):
            self._feed.add(CommandAccepted, self.name, command=command, steps=0)
            await self.safe_off(command.reason)
            return
        if _is_dry(command):
            self.guard.check(command, self._as_armed(command))
            return
        if isinstance(command, AddRemark):
            self._feed.add(Remark, self.name, text=command.text)
            return
        epoch = self._epoch
        async with self._lock:
            await self._until_safe_off_ends()
            if epoch != self._epoch:
                self._refuse(command, Refused("safe_off", "a safe-off came first"))
            task = asyncio.create_task(self._carry_out(command), name=f"{self.name} {command.kind}")
            self._command = task
            self._mover = isinstance(command, SetOperatingPoint | RevertPoint)
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError:
                # Who asked is gone. The board must not stay half way up.
                if isinstance(command, PowerUp):
                    await self.safe_off("whoever asked for power-up is gone")
                if not isinstance(command, CapChip):  # seconds at most, and no chip stays between two of its caps
                    task.cancel()
                try:
                    await through(_ended(task))  # whoever hurries: what goes on is the command in flight
                finally:
                    self.guard.stopped_short()
                raise
            finally:
                self._mover = self._slows = False
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
            left, caps = self.guard.requested, self.guard.caps.wanted
            self._give_up = None
            steps = self.guard.judge(self._as_judged(command), self._as_armed(command))
        except (SafetyError, UsageError) as error:
            self._refuse(command, error)
            return
        if plan is not None and not steps and plan.ticket_difficulty != plan.present_difficulty:
            steps = (TicketDifficulty(plan.ticket_difficulty),)
        point = self.guard.requested if isinstance(command, PowerUp | SetOperatingPoint | RevertPoint) else None
        self._feed.add(CommandAccepted, self.name, command=command, steps=len(steps), point=point)
        match command:
            case PowerUp():
                await self._power_up(steps)
                self._keeper.keep(self.guard.requested)
            case SetOperatingPoint():
                await self._set_point(command, steps, left)
            case CapChip():
                await self._cap(command, steps, caps)
            case KeepPoint():
                self._keep("kept")
            case RevertPoint():
                await self._revert(command, steps, left)
            case StartWork():
                await self._run(steps)
                if plan is not None:
                    self._start_work(plan)
                    self._fed = command
            case StopWork():
                await self._stop_work(abort=False)
            case PowerDown():
                await self._power_down(steps)
            case ClearFault():
                # Nothing is re-enabled before the record of its trip is on the disk.
                if (missing := await self._feed.recorded(self.name)) is not None:
                    raise Refused("record", f"no flight record, {missing}; make room for it and clear again")
                await self._lease.clear()
                cause = self.guard.clear(self.poller.snapshot(full=False))
                self._feed.add(FaultCleared, self.name, cause=cause)
                self._announce_state("cleared by a person")
            case SetReach() | LimitSession():
                self.guard.envelopes.do(command)
                self._tell_limits(_why(command))
            case SetFan():
                self.guard.fan.ask(command)
            case SafeOff() | AddRemark():
                return

    async def _power_up(self, steps: tuple[Step, ...]) -> None:
        self.guard.started()
        self._announce_state("power-up")
        try:
            await self._take_lease()
            await self._run(steps)
        except HashbridgeError as error:
            # The safe-off must not cancel the task that waits for it.
            self._command = None
            if self.guard.fault is None:
                await self.safe_off(f"power-up failed: {error}")
            raise
        self.guard.reached()
        self._announce_state("the point is reached")

    async def _take_lease(self) -> None:
        """Before anything is energised. The rail asks for it once more."""
        ended = await self._lease.arm()
        if ended is not None:
            self._command = None
            await self._trip(ended.cause, None, ended.detail)
            raise Latched(ended.cause.value, ended.detail)

    def _as_armed(self, command: Command) -> BoardSnapshot:
        """What a command is judged by. The lease will be armed before the first step of a power-up."""
        now = self.poller.snapshot(full=False)
        if isinstance(command, PowerUp) and self._lease.there:
            return now.model_copy(update={"protections": now.protections | {Protection.HOST_LEASE}})
        return now

    async def _move(self, steps: tuple[Step, ...]) -> None:
        if self._work.session is not None:
            self._work.session.hold()
        try:
            await self._run(steps)
        except SafetyError:
            self.guard.stopped_short()
            await self._run(self.guard.window_steps())
            raise
        finally:
            if self._work.session is not None:
                self._work.session.resume()

    # --- a chip that runs slower --------------------------------------------------------------------------------------

    async def _cap(self, command: CapChip, steps: tuple[Step, ...], before: Caps) -> None:
        chip, guard = command.chip, self.guard
        rises = guard.caps.wanted.get(chip, math.inf) > before.get(chip, math.inf)
        self._mover, self._slows = rises, not rises
        try:
            await self._move(steps)
        except BaseException as error:
            if rises:  # what did not get there is not what the next power-up goes to
                guard.caps.wanted = before
                if isinstance(error, SafetyError) and guard.state is GuardState.LIVE and guard.fault is None:
                    self._mover, self._give_up = False, None
                    await self._move(guard.cap_steps(chip))
            raise
        self._feed.add(
            ChipCapped,
            self.name,
            chip=chip,
            cap_mhz=command.frequency_mhz,
            frequency_mhz=guard.commanded.clock_of(chip),
            note=command.note,
        )

    # --- changes on trial ---------------------------------------------------------------------------------------------

    async def _set_point(self, command: SetOperatingPoint, steps: tuple[Step, ...], before: OperatingPoint) -> None:
        try:
            await self._move(steps)
        except SafetyError as error:
            if isinstance(error, Refused) and error.rule in (THROTTLE, SILENT):
                self.guard.requested = before  # what was refused is not what the board comes back to
            if command.keep_within_s is not None and self.guard.state is GuardState.LIVE:
                # Neither here nor there is no point that anybody asked for.
                self._keeper.give_up(self.guard.requested, f"stopped short: {error}")
            raise
        if command.keep_within_s is None:
            self._keep("made to stay")
            return
        trial = self._keeper.try_out(self.guard.requested, command.keep_within_s)
        self._feed.add(
            PointPending,
            self.name,
            point=self.guard.requested,
            revert_to=trial.revert_to,
            until_s=trial.until_s,
            keep_within_s=trial.keep_within_s,
            note=command.note,
        )

    def _keep(self, why: str) -> None:
        self._keeper.keep(self.guard.requested)
        self._feed.add(PointKept, self.name, point=self.guard.requested, why=why)

    def _as_judged(self, command: Command) -> Command:
        """What the guard is asked. Raises `Refused` for a change on trial that is none."""
        match command:
            case RevertPoint():
                return self._way_back(command)
            case KeepPoint():
                self._way_back(command)
            case SetReach() | LimitSession() if self._keeper.pending is not None:
                back = self._keeper.pending.revert_to
                after = self.guard.envelopes.after(command, self.protections())
                fits(after, back.core_v, back.frequency_mhz)  # the way back has to stay open
            case SetOperatingPoint(keep_within_s=float(), core_v=core_v):
                self._even_on_the_way_back(core_v, self.guard.caps.wanted)
            case CapChip() if self._keeper.pending is not None:
                self._even_on_the_way_back(None, self.guard.caps.after(command))
        return command

    def _even_on_the_way_back(self, core_v: float | None, caps: Caps) -> None:
        """From a point with so many volts, None: those that it has, to the one that was kept last."""
        back, present_v = self._keeper.kept, core_v or self.guard.requested.core_v
        if back is not None and back.core_v is not None and present_v is not None:
            self.guard.caps.even(max(back.core_v, present_v), back.frequency_mhz, caps)

    def _way_back(self, command: KeepPoint | RevertPoint) -> SetOperatingPoint:
        """From the change on trial to where it goes back to. Raises `Refused` when that change is not on trial."""
        trial = self._keeper.pending
        if trial is None:
            raise Refused("state", "no change is on trial")
        if command.until_s is not None and command.until_s != trial.until_s:
            raise Refused("state", "another change is on trial by now")
        back = trial.revert_to
        return SetOperatingPoint(frequency_mhz=back.frequency_mhz, core_v=back.core_v, preset=True)

    async def _revert(self, command: RevertPoint, steps: tuple[Step, ...], left: OperatingPoint) -> None:
        trial = self._keeper.pending
        assert trial is not None  # `_way_back` has looked
        await self._move(steps)
        self._keeper.keep(trial.revert_to)
        self._feed.add(PointReverted, self.name, left=left, point=trial.revert_to, why=command.why)

    def _trial_ends(self, trial: PendingPoint, why: str) -> None:
        self._spawn(self._go_back(trial, why), "goes back")

    async def _go_back(self, trial: PendingPoint, why: str) -> None:
        """Back to the kept point, asked for until the guard agrees or somebody has decided otherwise."""
        told = False
        while (pending := self._keeper.pending) is not None and pending.until_s == trial.until_s:
            command = RevertPoint(why=why, until_s=trial.until_s)
            try:
                self.guard.check(self._way_back(command), self.poller.snapshot(full=False))
                await self._request(command)
                return
            except Refused as error:
                if self._keeper.refused(trial, str(error)) and not told:
                    told = True
                    self._note("error", f"the way back is refused for now: {error}")
            except HashbridgeError as error:
                log.info("%s: the trial ends otherwise: %s", self.name, error)
                return
            await asyncio.sleep(RETRY_S)

    async def _power_down(self, steps: tuple[Step, ...]) -> None:
        await self._stop_work(abort=False)
        try:
            await self._run(steps)
        except HashbridgeError as error:
            self._note("warn", f"the orderly stop ended early: {error}")
        self._command = None
        await self.safe_off("power-down")

    # --- coming back --------------------------------------------------------------------------------------------------

    async def _latch(self, record: FaultRecord) -> None:
        """As the warden does; and where the operator asked for it, a way back is planned once the board is safe."""
        guard = self.guard
        retries = self._retrier.retries if guard.fault is None else None
        seen, wanted, c = self.poller.glance(), guard.requested, guard.commanded
        was = OperatingPoint(frequency_mhz=c.frequency_mhz, core_v=c.core_v)
        if guard.state is GuardState.STARTING:
            was = wanted
        powered = guard.state in (GuardState.STARTING, GuardState.LIVE)
        work = self._fed if self._work.running else None
        if guard.fault is None:
            self._also = None
        await super()._latch(record)
        if retries is None:
            return
        plan: Plan | str
        if not powered:
            plan = "the board was off"
        elif guard.fault is not record:
            plan = "cleared meanwhile" if guard.fault is None else f"{guard.fault.cause.value} is left to a person"
        elif self._also is not None:
            plan = self._also
        else:
            plan = retries.plan(record, seen, was)
        await self._retrier.follow(plan, record, wanted, work)

    def _announce_fault(self, record: FaultRecord) -> None:
        if self.guard.fault is not None:
            self._also = f"{record.cause.value} as well: {record.detail}"
            self._retrier.cancel(self._also)
        super()._announce_fault(record)

    def control_lost(self, reason: str) -> None:
        self._retrier.cancel(f"the control port is gone: {reason}")
        super().control_lost(reason)

    async def close(self) -> None:
        self._retrier.cancel("the rig ends")
        await super().close()

    # --- giving way ---------------------------------------------------------------------------------------------------

    async def _give_way(self, give: Give) -> None:
        """One move of the throttle. Down goes before whatever a person is raising; up waits for its turn."""
        if not give.up and self._mover:
            self._give_up = Refused(THROTTLE, f"{give.sensor}: {give.detail}")
        await self._in_turn(lambda: self._carry_give(give), "gives way")

    async def _in_turn(self, carry: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
        """Something that the board does by itself, as one command among the others, while it is live."""
        epoch = self._epoch
        async with self._lock:
            self._give_up = None
            await self._until_safe_off_ends()
            if epoch != self._epoch or self.guard.state is not GuardState.LIVE:
                return
            task = self._command = asyncio.create_task(carry(), name=f"{self.name} {what}")
            try:
                await asyncio.wait((task,))
            finally:
                if self._command is task:
                    self._command = None
            if not task.cancelled() and (error := task.exception()) is not None:
                log.info("%s: %s: %s", self.name, what, error)  # what failed has latched the board

    async def _carry_give(self, give: Give) -> None:
        try:
            await self._move(self.guard.steps_of(give))
        except SafetyError as error:
            log.info("%s: %s", self.name, error)  # a way up that is not allowed yet; it is tried again
            return
        finally:
            self.guard.stopped_short()
        self._limited_by = give.cause
        self._feed.add(
            PointLimited,
            self.name,
            cause=give.cause,
            sensor=give.sensor,
            detail=give.detail,
            point=self.guard.granted,
        )

    def _tell_limit(self) -> None:
        """The board is back where it was asked to be."""
        cause = self._limited_by
        if cause is not None and self.guard.limited is None:
            self._limited_by = None
            if self.guard.state is GuardState.LIVE:
                self._feed.add(LimitLifted, self.name, cause=cause, point=self.guard.granted)

    # --- silent chips -------------------------------------------------------------------------------------------------

    async def _chips_again(self, why: str) -> None:
        """Once, before it is a trip: no work, reset, bring-up, ramp, and the same work goes on."""
        if self._mover or self._slows:
            self._give_up = Refused(SILENT, why)
        await self._in_turn(lambda: self._carry_chips_again(why), "initialises its chips again")

    async def _carry_chips_again(self, why: str) -> None:
        began_s = asyncio.get_running_loop().time()
        if not await self._work.pause():
            return  # it was stopped meanwhile
        steps = self.guard.chips_again(self.poller.snapshot(full=False))
        self._note("warn", f"the chips are initialised again: {why}")
        self._announce_state(f"chips initialised again: {why}")
        try:
            await self._run(steps, silent=why)
        except Refused as error:
            self._command = None  # the safe-off must not cancel the task that waits for it
            await self._trip(Cause.CHIP_SILENT, None, f"{why}; not initialised again: {error}")
            return
        self.guard.reached()
        self._announce_state("the chips are back at their point")
        self._work.resume()
        taken_s = asyncio.get_running_loop().time() - began_s
        self._note("info", f"the chips were initialised again in {taken_s:.1f} s, the work goes on")
        self._keeper.fail(f"chips were silent: {why}")

    # --- work ---------------------------------------------------------------------------------------------------------

    def _plan(self, command: StartWork) -> WorkPlan:
        if self._work.session is not None and self._work.running:
            raise Refused("state", f"work {self._work.session.kind} runs already")
        return plan_work(command, self.board.chains[0])

    def _start_work(self, plan: WorkPlan) -> None:
        chain = self.board.chains[0]
        session = self._work.begin(plan, chain, self.poller.watched)
        self._feed.add(WorkStarted, self.name, work=session.kind, ticket_difficulty=chain.ticket_difficulty)

    def _work_failed(self, error: Exception) -> None:
        self.trip(Cause.INTERNAL, f"work failed: {type(error).__name__}: {error}")

    async def _stop_work(self, *, abort: bool) -> None:
        if not self._work.running:
            return
        try:
            await self._work.stop(abort=abort)
        finally:
            assert self._work.session is not None
            self._feed.add(WorkStopped, self.name, result=self._work.session.snapshot())


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait((task,))


def _is_dry(command: Command) -> bool:
    return isinstance(command, PowerUp | SetOperatingPoint | CapChip) and command.dry_run


def _why(command: SetReach | LimitSession) -> str:
    note = f": {command.note}" if command.note else ""
    return f"reach {command.reach.value}{note}" if isinstance(command, SetReach) else f"limits of a session{note}"
