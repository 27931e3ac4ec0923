"""The judge: every wish passes here before it becomes steps, and every sweep passes here before it becomes news. Pure.

One guard per board. It opens nothing, waits for nothing and reads no clock: time comes with the snapshot. Three rules:

- G1  A move toward safety needs no permission. A move away from it needs fresh readings, the right order and no latch.
- G2  Nothing outside the envelope becomes a step.
- G3  Refuse, never clamp.

`judge` turns a command into steps, `permit` looks again immediately before each step, `applied` is told of each step
that was carried out, `watch` looks at every sweep.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from controller.model import (
    AddRemark,
    BoardSnapshot,
    CapChip,
    Cause,
    ClearFault,
    Command,
    FaultRecord,
    GuardState,
    KeepPoint,
    Limited,
    LimitSession,
    OperatingPoint,
    PowerDown,
    PowerUp,
    RevertPoint,
    SafeOff,
    SetFan,
    SetOperatingPoint,
    SetReach,
    StartWork,
    StopWork,
)
from controller.safety import caps, ordering
from controller.safety.caps import ChipCaps, Stack
from controller.safety.commanded import Commanded, Realise, mean_mhz
from controller.safety.derate import Derate
from controller.safety.envelope import Envelopes, fits
from controller.safety.fan import OFF_RATIO, FanLoop
from controller.safety.interlocks import (
    NEAR,
    PATIENCE_ELSE_S,
    PATIENCE_S,
    REALISABLE_WITHIN_MHZ,
    Interlocks,
    need,
    power_of_two,
)
from controller.safety.supply import Supply
from controller.safety.throttle import Give, Throttle
from controller.safety.trips import Trips
from drivers.boards.board import (
    AssertReset,
    BringUp,
    Channel,
    CoreVoltage,
    FanDuty,
    FanTable,
    FastLink,
    Frequency,
    LockDown,
    RailOn,
    ReleaseReset,
    Step,
    SweepWindow,
    TicketDifficulty,
    VerifyRail,
)
from drivers.errors import Latched, Refused, UsageError
from drivers.units import Megahertz, Ratio, Volts

_CLEAR_BELOW_CHIP_C: Final = 45.0
_CLEAR_BELOW_VR_C: Final = 95.0


class Guard:
    """One board: what may be done with it now, and whether it has to stop."""

    def __init__(
        self,
        board: str,
        envelopes: Envelopes,
        realise: Realise | None = None,
        *,
        leased: bool = False,
        stack: Stack | None = None,
    ) -> None:
        """`leased`: the firmware of the board has a host lease, without which the rail stays off. `stack`: its chips;
        None: one."""
        self.board, self.envelopes = board, envelopes
        self.envelope = envelope = envelopes.row
        self._realise: Realise = realise or (lambda wish: wish)
        self.state = GuardState.UNKNOWN
        self.fault: FaultRecord | None = None
        self.caps = ChipCaps(envelope, stack or Stack())
        self.commanded = Commanded(chips=self.caps.stack.chips)
        self.requested = OperatingPoint()
        self.granted = OperatingPoint()
        self._trips = Trips(envelope, self._realise)
        self.silence = self._trips.silence
        self._again = False
        """The board is being started because its chips are initialised again, in the midst of its life."""
        self._throttle, self.derate = Throttle(envelope), Derate(envelope)
        self.fan, self.supply = FanLoop(envelope), Supply(envelope)
        self._interlocks = Interlocks(
            envelopes,
            lambda: self.commanded,
            self._trips.core_in_band_s,
            lambda: self.fan.target_chip_c,
            self.caps,
            leased=leased,
        )
        self._off = False
        """The last safe-off was confirmed, and nothing has been energised since."""

    # --- wishes -------------------------------------------------------------------------------------------------------

    def judge(self, command: Command, now: BoardSnapshot) -> tuple[Step, ...]:
        """The steps that carry out `command`, in order. Raises `Refused`, `Latched` or `UsageError`; then no step."""
        match command:
            case SafeOff() | StopWork() | KeepPoint() | RevertPoint() | AddRemark() | SetFan():
                return ()  # none of them moves anything; a way back is asked for as a `SetOperatingPoint`
            case PowerDown():
                clock = self.commanded.frequency_mhz
                if self.state is not GuardState.LIVE or clock is None:
                    return ()
                return self._capped(ordering.power_down(self.envelope, Megahertz(clock)))
            case PowerUp():
                return self._judge_power_up(command, now)
            case SetOperatingPoint():
                return self._judge_move(command, now)
            case CapChip():
                return self._judge_cap(command, now)
            case StartWork():
                return self._judge_work(command)
            case SetReach() | LimitSession():
                wish, after = self.requested, self.envelopes.after(command, now.protections)
                fits(after, wish.core_v, wish.frequency_mhz)
                for chip, cap in self.caps.wanted.items():  # the most that there is binds the board's clock, not a cap
                    fits(after, None, min(cap, after.frequency_mhz_max.value), f"chip {chip}: frequency_mhz")
                return ()
            case ClearFault():
                self._check_clear(now)
                return ()

    def check(self, command: Command, now: BoardSnapshot) -> None:
        """As `judge`, but for the answer alone: nothing is remembered of it."""
        requested, granted, wanted = self.requested, self.granted, self.caps.wanted
        try:
            self.judge(command, now)
        finally:
            self.requested, self.granted, self.caps.wanted = requested, granted, wanted

    # --- giving way ---------------------------------------------------------------------------------------------------

    @property
    def limited(self) -> Limited | None:
        """Why the board runs below what was requested; None when it does not."""
        return self._throttle.limited

    def give_way(self, now: BoardSnapshot) -> Give | None:
        """After each sweep: a move that heat or a weak supply ask for, or one back. Only of a live board."""
        if self._again:
            return None  # it goes back to where it is now, however far that is below its wish
        if self.state is not GuardState.LIVE or self.fault is not None:
            self._throttle.forget()
            self.derate.forget()
            return None
        why = self.derate.active
        derated = None if why is None else (self.derate.clock_mhz, why)
        return self._throttle.look(now, self.commanded, self.requested, derated=derated)

    def fan_step(self, now: BoardSnapshot) -> FanDuty | None:
        """After each sweep: what the fan has to be told; None when it has that already. Of a board that is live, or off
        and cool."""
        if self.state is GuardState.SAFE_OFF and self._off and self.fault is None:
            at_rest = self.fan.look_off(now, self.commanded)
            return None if at_rest is None else FanDuty(Ratio(at_rest))
        if self.state is not GuardState.LIVE or self.fault is not None:
            self.fan.forget()
            return None
        ratio = self.fan.look(now, self.commanded, self.requested, gives_way=self.limited is not None)
        return None if ratio is None else FanDuty(Ratio(ratio))

    def chips_again(self, now: BoardSnapshot) -> tuple[Step, ...]:
        """The steps that take the chips of a live board through reset and back to the point where it is. Raises
        `Refused` or `Latched`. The board is being started from now on, until `reached`."""
        self._no_latch()
        core_v, clock = self.commanded.core_v, self.commanded.frequency_mhz
        if self.state is not GuardState.LIVE or core_v is None or clock is None:
            raise Refused("state", f"only chips of a live board are initialised again, this one is {self.state.value}")
        ticket = None if now.work is None else now.work.ticket_difficulty
        again = ordering.chips_again(self.envelope, Volts(core_v), Megahertz(clock), ticket)
        steps = self._passable(self._capped(again))
        self.silence.begun(now.at_s)
        self.state, self._again = GuardState.STARTING, True
        return steps

    def steps_of(self, give: Give) -> tuple[Step, ...]:
        """One move of the clock or of the voltage, in the order that every move has. Never above what was requested."""
        c, to, wish = self.commanded, give.point, self.requested
        if c.core_v is None or c.frequency_mhz is None or to.core_v is None or to.frequency_mhz is None:
            return ()
        to_v = Volts(min(to.core_v, wish.core_v or to.core_v))
        to_mhz = Megahertz(min(to.frequency_mhz, wish.frequency_mhz or to.frequency_mhz))
        return self._capped(ordering.move(self.envelope, Volts(c.core_v), Megahertz(c.frequency_mhz), to_v, to_mhz))

    def window_steps(self) -> tuple[Step, ...]:
        """Of a live board that has stopped short: the sweep window that fits its clocks, where it has another."""
        c = self.commanded
        fits_now = all(c.window_of(chip) == c.clock_of(chip) for chip in range(self.caps.stack.chips))
        if self.state is not GuardState.LIVE or c.frequency_mhz is None or fits_now:
            return ()
        in_force = {chip: Megahertz(cap) for chip, cap in c.caps_mhz.items()}
        return (SweepWindow(Megahertz(c.frequency_mhz), caps_mhz=in_force),)

    def cap_steps(self, chip: int) -> tuple[Step, ...]:
        """The steps that take a live chip to its cap as it is wanted."""
        return tuple(caps.steps(self.envelope, self.commanded, chip, self.caps.wanted.get(chip)))

    def _judge_power_up(self, command: PowerUp, now: BoardSnapshot) -> tuple[Step, ...]:
        self._no_latch()
        if self.state is not GuardState.SAFE_OFF:
            raise Refused("state", f"power-up starts from safe_off, the board is {self.state.value}")
        e = self.envelope
        core_v = Volts(e.stock_core_v if command.core_v is None else command.core_v)
        clock = Megahertz(e.stock_frequency_mhz if command.frequency_mhz is None else command.frequency_mhz)
        granted = self._inside(core_v, clock, now)
        self._interlocks.fresh(now, self.envelope.means.sensors)
        self._interlocks.cool_enough(now)
        self._interlocks.input_inside(now)
        self.caps.even(core_v, clock, self.caps.wanted)
        steps = self._passable(self._capped(ordering.power_up(e, core_v, clock, None)))
        self.requested = OperatingPoint(frequency_mhz=clock, core_v=core_v)
        self.granted = OperatingPoint(frequency_mhz=granted, core_v=core_v)
        return steps

    def _judge_move(self, command: SetOperatingPoint, now: BoardSnapshot) -> tuple[Step, ...]:
        if command.core_v is None and command.frequency_mhz is None:
            raise UsageError("set_operating_point", None, "a frequency, a core voltage or both")
        self._no_latch()
        from_v, from_mhz = self.commanded.core_v, self.commanded.frequency_mhz
        if self.state is not GuardState.LIVE or from_v is None or from_mhz is None:
            raise Refused("state", f"only a live board can be moved, this one is {self.state.value}")
        to_v = Volts(from_v if command.core_v is None else command.core_v)
        to_mhz = Megahertz(from_mhz if command.frequency_mhz is None else command.frequency_mhz)
        granted = self._inside(to_v, to_mhz, now)
        self.caps.even(max(from_v, to_v), to_mhz, self.caps.wanted)
        if self.limited is not None:
            return self._judge_limited_move(to_v, to_mhz, granted)
        if not command.preset:
            self._small_enough(from_v, to_v, from_mhz, to_mhz)
        if to_v > from_v + NEAR or to_mhz > from_mhz + NEAR:
            self._interlocks.fresh(now, self.envelope.means.sensors)
            self._interlocks.chips_complete(now)
        if to_mhz > from_mhz + NEAR:
            self._interlocks.room_above_stock(now, to_mhz)
        from_mean, to_mean = self.commanded.mean_mhz or from_mhz, self.caps.mean_mhz(to_mhz)
        self.supply.room(now, (to_v * to_v * to_mean) / (from_v * from_v * from_mean))
        e = self.envelope
        steps = self._passable(self._capped(ordering.move(e, Volts(from_v), Megahertz(from_mhz), to_v, to_mhz)))
        self.requested = OperatingPoint(frequency_mhz=to_mhz, core_v=to_v)
        self.granted = OperatingPoint(frequency_mhz=granted, core_v=to_v)
        slow = self.commanded.fan_ratio != 1.0
        return (FanDuty(Ratio(1.0)), *steps) if slow and e.above_stock(to_v, to_mhz) else steps

    def _judge_limited_move(self, to_v: Volts, to_mhz: Megahertz, granted: Megahertz) -> tuple[Step, ...]:
        """A board that has given way may be asked for less, not for more; it comes back by itself."""
        c, wish = self.commanded, self.requested
        from_v, from_mhz = c.core_v, c.frequency_mhz
        assert from_v is not None
        assert from_mhz is not None
        most_v, most_mhz = wish.core_v or from_v, wish.frequency_mhz or from_mhz
        if to_v > most_v + NEAR or to_mhz > most_mhz + NEAR:
            self._not_limited()
        self.requested = OperatingPoint(frequency_mhz=to_mhz, core_v=to_v)
        down_v, down_mhz = Volts(min(to_v, from_v)), Megahertz(min(granted, from_mhz))
        self.granted = OperatingPoint(frequency_mhz=down_mhz, core_v=down_v)
        return self._capped(ordering.move(self.envelope, Volts(from_v), Megahertz(from_mhz), down_v, down_mhz))

    def _judge_cap(self, command: CapChip, now: BoardSnapshot) -> tuple[Step, ...]:
        """A cap moves its chip alone, and no further than it would be allowed to the whole board."""
        wanted = self.caps.after(command)
        self._no_latch()
        if command.frequency_mhz is not None:
            self._settable(command.frequency_mhz, now)
        if self.state is GuardState.SAFE_OFF:
            self.caps.wanted = wanted
            return ()
        c, chip, wish = self.commanded, command.chip, self.requested
        clock, present, core_v = c.frequency_mhz, c.clock_of(chip), c.core_v
        if self.state is not GuardState.LIVE or clock is None or present is None or core_v is None:
            raise Refused("state", f"a chip is capped on a board that is live or safe_off, not {self.state.value}")
        most_v, most_mhz = max(core_v, wish.core_v or core_v), max(clock, wish.frequency_mhz or clock)
        self.caps.even(most_v, most_mhz, wanted)
        goal = min(clock, wanted.get(chip, clock))
        if min(most_mhz, wanted.get(chip, most_mhz)) > min(most_mhz, self.caps.wanted.get(chip, most_mhz)) + NEAR:
            self._not_limited()
        if not command.preset:
            self._small_enough(core_v, core_v, present, goal)
        if goal > present + NEAR:
            self._interlocks.fresh(now, self.envelope.means.sensors)
            self._interlocks.chips_complete(now)
            self._interlocks.room_above_stock(now, goal)
            self.supply.room(now, mean_mhz(clock, wanted, c.chips) / (c.mean_mhz or clock))
        steps = self._passable(caps.steps(self.envelope, c, chip, wanted.get(chip)))
        self.caps.wanted = wanted
        return steps

    def _not_limited(self) -> None:
        if (limited := self.limited) is not None:
            raise Refused("throttle", f"{limited.sensor}: {limited.detail}; nothing is raised until the board is back")

    def _judge_work(self, command: StartWork) -> tuple[Step, ...]:
        self._no_latch()
        if self.state is not GuardState.LIVE:
            raise Refused("state", f"work needs a live board, this one is {self.state.value}")
        if command.ticket_difficulty is None:
            return ()
        power_of_two(command.ticket_difficulty)
        return (TicketDifficulty(command.ticket_difficulty),)

    def _inside(self, core_v: float, frequency_mhz: float, now: BoardSnapshot) -> Megahertz:
        """Checks a point against the limits that hold now; returns what the clock can give for it."""
        for name, value in (("core_v", core_v), ("frequency_mhz", frequency_mhz)):
            if not math.isfinite(value):
                raise Refused("envelope", f"{name} {value} is not a number that can be set")
        fits(self.envelopes.limits(now.protections), core_v, frequency_mhz)
        return self._realisable(frequency_mhz)

    def _settable(self, frequency_mhz: float, now: BoardSnapshot) -> None:
        """Checks a clock that one chip is not to pass: as far down and up as the board's own may be asked for."""
        fits(self.envelopes.limits(now.protections), None, frequency_mhz)
        self._realisable(frequency_mhz)

    def _realisable(self, frequency_mhz: float) -> Megahertz:
        try:
            granted = self._realise(Megahertz(frequency_mhz))
        except UsageError as error:
            raise Refused("realisable", str(error)) from error
        if not math.isfinite(granted) or abs(granted - frequency_mhz) > REALISABLE_WITHIN_MHZ:
            raise Refused("realisable", f"{frequency_mhz:g} MHz cannot be set; the nearest clock is {granted:.2f} MHz")
        return granted

    def _capped(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Whatever tells all chips a clock tells them their caps with it."""
        wanted = self.caps.wanted
        return tuple(
            replace(step, caps_mhz=wanted) if isinstance(step, Frequency | SweepWindow) and wanted else step
            for step in steps
        )

    def _passable(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Every clock on the way has to be one, however coarse."""
        for step in steps:
            if isinstance(step, Frequency):
                try:
                    for clock in (step.frequency_mhz, *step.caps_mhz.values()):
                        self._realise(clock)
                except UsageError as error:
                    raise Refused("realisable", f"no way there in steps of the slew: {error}") from error
        return tuple(steps)

    def _small_enough(self, from_v: float, to_v: float, from_mhz: float, to_mhz: float) -> None:
        most_v, most_mhz = self.envelope.command_core_v_max_change_v, self.envelope.command_frequency_max_change_mhz
        if abs(to_v - from_v) > most_v + NEAR:
            text = f"{abs(to_v - from_v) * 1000:.0f} mV in one command; at most {most_v * 1000:.0f} mV without a preset"
            raise Refused("change", text)
        if abs(to_mhz - from_mhz) > most_mhz + NEAR:
            text = f"{abs(to_mhz - from_mhz):g} MHz in one command; at most {most_mhz:g} MHz without a preset"
            raise Refused("change", text)

    # --- before each step ---------------------------------------------------------------------------------------------

    def patience_s(self, step: Step) -> float:
        """How long `permit` may be asked again before a refusal is final."""
        return PATIENCE_S.get(type(step), PATIENCE_ELSE_S)

    def permit(self, step: Step, now: BoardSnapshot) -> None:
        """May this step be taken right now? Raises `Refused` or `Latched`. Marks the board as moving."""
        if not self._toward_safety(step):
            self._no_latch()
            if isinstance(step, FanDuty) and self.state is GuardState.SAFE_OFF:
                self._permit_less_fan_while_off(step, now)
            else:
                self._permit_while_on(step, now)
        if isinstance(step, FanDuty):
            self.commanded.fan_moving = True
        else:
            self.commanded.moving = True

    def _permit_while_on(self, step: Step, now: BoardSnapshot) -> None:
        if self.state not in (GuardState.STARTING, GuardState.LIVE):
            raise Refused("state", f"{_name(step)} on a board that is {self.state.value}")
        if isinstance(step, AssertReset) and self.state is GuardState.LIVE:
            raise Refused("state", "reset is asserted at the beginning of a start, or by a safe-off")
        self._interlocks.permit(step, now)

    def _permit_less_fan_while_off(self, step: FanDuty, now: BoardSnapshot) -> None:
        need(self._off, "no safe-off was confirmed: the fan stays full")
        if not OFF_RATIO - NEAR <= step.ratio <= 1.0:
            raise Refused("envelope", f"fan duty {step.ratio} is outside {OFF_RATIO:g} to 1")
        why = self.fan.full_while_off(now, self.commanded)
        need(why is None, f"the fan stays full: {why}")

    def _toward_safety(self, step: Step) -> bool:
        c = self.commanded
        match step:
            case FanDuty(ratio=ratio):
                return ratio == 1.0 or (c.fan_ratio is not None and c.fan_ratio <= ratio < 1.0)
            case Frequency():
                return self._interlocks.only_falls(step)
            case SweepWindow(frequency_mhz=clock):
                return clock == 0.0
            case VerifyRail():
                return True
            case _:
                return False

    def _no_latch(self) -> None:
        if self.fault is not None:
            raise Latched(self.fault.cause.value, self.fault.detail)

    # --- what happened ------------------------------------------------------------------------------------------------

    def applied(self, step: Step, at_s: float, *, done: bool = True) -> None:
        """The step was carried out; or, with `done=False`, it failed and only the mark of `permit` is taken back."""
        c = self.commanded
        if isinstance(step, FanDuty):
            c.fan_moving = False
        else:
            c.moving = False
        if not done:
            return
        match step:
            case FanDuty(ratio=ratio):
                c.fan_ratio, c.fan_changed_s = float(ratio), at_s
            case FanTable():
                c.fan_ratio, c.fan_changed_s = None, at_s
            case LockDown():
                c.locked_down = True
            case CoreVoltage(core_v=target):
                falls = c.core_v is not None and target <= c.core_v
                # A rail that was good for more is good for less: only a rise has to be read back again.
                c.verified_v = target if falls and c.verified_v is not None and c.rail_on else None
                c.core_v, c.core_v_changed_s = float(target), at_s
            case RailOn():
                c.rail_on, c.rail_changed_s = True, at_s
            case VerifyRail(core_v=target):
                c.verified_v = float(target)
            case AssertReset():
                c.reset_released, c.reset_changed_s = False, at_s
                c.brought_up, c.window_mhz = False, None
                c.frequency_mhz, c.frequency_changed_s, c.caps_mhz = None, at_s, {}
            case ReleaseReset():
                c.reset_released, c.reset_changed_s = True, at_s
            case BringUp():
                c.brought_up = True
                c.frequency_mhz, c.frequency_changed_s = float(ordering.CHIP_RESET_MHZ), at_s
            case Frequency(frequency_mhz=clock, caps_mhz=told):
                c.frequency_mhz, c.frequency_changed_s, c.caps_mhz = float(clock), at_s, told
            case SweepWindow(frequency_mhz=clock, caps_mhz=told):
                c.window_mhz, c.window_caps_mhz = float(clock), told
            case FastLink() | TicketDifficulty():
                return

    def started(self) -> None:
        """A power-up begins."""
        self._trips.forget()
        self.fan.started()
        self.supply.forget()
        self._off = self._again = False
        self.state = GuardState.STARTING

    def reached(self) -> None:
        """The power-up is complete."""
        if self.state is GuardState.STARTING:
            self.state, self._again = GuardState.LIVE, False

    def stopped_short(self) -> None:
        """A command ended between two of its steps: what holds now is what was commanded last."""
        self.commanded.moving = False
        self.granted = OperatingPoint(frequency_mhz=self.commanded.frequency_mhz, core_v=self.commanded.core_v)

    def went_safe(self, at_s: float) -> None:
        """A safe-off was carried out and confirmed."""
        orderly = self.fault is None and self.state in (GuardState.LIVE, GuardState.SAFE_OFF)
        self._interlocks.warm = orderly and (self._interlocks.warm or self.state is GuardState.LIVE)
        self._powered_off(at_s)
        self.state = GuardState.SAFE_OFF if self.fault is None else GuardState.LATCHED

    def not_safe(self, *, reached: bool) -> None:
        """A safe-off was carried out and not all of it could be confirmed: nothing counts as off. `reached`: some of it
        was, so the control port is there, and "nobody can cut the rail" is true no more."""
        self._off = False
        if reached and self.state is GuardState.UNPROTECTED:
            self.state = GuardState.LATCHED

    def _powered_off(self, at_s: float) -> None:
        self._off, self._again = True, False
        self.commanded = Commanded(
            chips=self.caps.stack.chips, rail_changed_s=at_s, reset_changed_s=at_s, fan_ratio=1.0, fan_changed_s=at_s
        )
        self.requested = OperatingPoint()
        self.granted = OperatingPoint()
        self._trips.forget()

    def unprotected(self, record: FaultRecord) -> None:
        """The control port is gone: nobody can cut the rail."""
        self.fault = self.fault or record
        self._off = False
        self.state = GuardState.UNPROTECTED

    # --- trips --------------------------------------------------------------------------------------------------------

    def watch(self, now: BoardSnapshot, *, vr_most_c: float | None = None) -> FaultRecord | None:
        """Holds one sweep against every trip. A fault is returned, not latched: the caller latches and acts.

        `vr_most_c`: how warm the regulator can be, by everything but its own thermometer; None: nothing bounds it."""
        if self.state in (GuardState.STARTING, GuardState.LIVE):
            self.supply.look(now, self.commanded)
            live = self.state is GuardState.LIVE and self.fault is None
            without = Channel.VR_C if live and self.derate.look(now, self.commanded, vr_most_c) else None
            return self._trips.watch(now, self.commanded, without)
        if self.state in (GuardState.SAFE_OFF, GuardState.LATCHED) and not self.commanded.rail_on:
            return self._trips.watch_off(now, self.commanded)
        return None

    def latch(self, record: FaultRecord) -> bool:
        """Only a person opens the latch again. The first cause stays; False when one was there already."""
        if self.state is not GuardState.UNPROTECTED:
            self.state = GuardState.LATCHED
        if self.fault is not None:
            return False
        self.fault = record
        self._interlocks.warm = False
        return True

    def clear(self, now: BoardSnapshot) -> Cause:
        """Opens the latch when the board is safe and healthy; returns what had latched it. Raises `Refused`."""
        cause = self._check_clear(now)
        self.fault = None
        self.state = GuardState.SAFE_OFF
        self._trips.forget()
        return cause

    def _check_clear(self, now: BoardSnapshot) -> Cause:
        if self.fault is None:
            raise Refused("state", f"nothing is latched, the board is {self.state.value}")
        if self.state is not GuardState.LATCHED:
            raise Refused("state", f"the board is {self.state.value}: not yet safe")
        need(self._off, "no safe-off was confirmed yet")
        levels = (
            (Channel.CHIP_C, _CLEAR_BELOW_CHIP_C),
            (Channel.VR_C, _CLEAR_BELOW_VR_C),
            (Channel.CORE_V, self.envelope.core_off_below_v),
            (Channel.RESET_RELEASED, 0.5),
        )
        asked = [level for level in levels if level[0] is not Channel.VR_C or self.envelope.means.sees(Channel.VR_C)]
        self._interlocks.fresh(now, tuple(channel for channel, _ in asked))
        for channel, below in asked:
            value = self._interlocks.reads(now, channel)
            if value is None or value >= below:
                raise Refused("interlock", f"{channel.value} is {value}; clearing needs less than {below:g}")
        return self.fault.cause


def _name(step: Step) -> str:
    return type(step).__name__


__all__ = ["Guard"]
