"""Commands, readings and faults thrown at the guard in any order: no step it lets through is ever unsafe.

The machine keeps a model of its own of what the board has been told, and judges each permitted step by the rules of
docs/safety.md, written out anew here: the guard's own book-keeping is not believed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.model import (
    CapChip,
    Cause,
    ClearFault,
    FanMode,
    FaultRecord,
    GuardState,
    PowerDown,
    PowerUp,
    Quality,
    SetFan,
    SetOperatingPoint,
)
from controller.safety.caps import Stack
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
from drivers.errors import SafetyError, UsageError
from drivers.units import Megahertz, Ratio, Volts
from tests.properties.told import Told, highest_v, lower
from tests.unit.controller.guarding import ENVELOPE, LIVE, START, Scene

SENSORS = (Channel.CHIP_C, Channel.VR_C, Channel.INPUT_V, Channel.CORE_V, Channel.CORE_A, Channel.FAN_RPM)

clocks = st.one_of(
    st.sampled_from([0.0, 50.0, 56.25, 400.0, 518.75, 525.0, 531.25, 550.0, 625.0, 626.0, 1000.0, math.nan, math.inf]),
    st.floats(min_value=-10.0, max_value=1100.0),
)
volts = st.one_of(
    st.sampled_from([0.0, 0.999, 1.0, 1.14, 1.15, 1.16, 1.2, 1.25, 1.251, 1.35, 2.0, math.nan, -math.inf]),
    st.floats(min_value=-0.1, max_value=2.0),
)
capped = st.dictionaries(st.integers(0, 3), clocks.map(Megahertz), max_size=2)
caps_of_stacks = st.sampled_from([400.0, 450.0, 475.0, 500.0, 525.0, 531.25, 399.0, 700.0, math.nan])
steps = st.one_of(
    st.floats(min_value=-0.5, max_value=1.5).map(lambda ratio: FanDuty(Ratio(ratio))),
    st.just(FanDuty(Ratio(1.0))),
    st.just(FanTable()),
    st.just(LockDown()),
    volts.map(lambda value: CoreVoltage(Volts(value))),
    st.just(RailOn()),
    volts.map(lambda value: VerifyRail(Volts(value))),
    st.just(AssertReset()),
    st.just(ReleaseReset()),
    st.just(BringUp()),
    st.builds(lambda mhz, caps: Frequency(Megahertz(mhz), caps_mhz=caps), clocks, capped),
    st.builds(lambda mhz, caps: SweepWindow(Megahertz(mhz), caps_mhz=caps), clocks, capped),
    st.just(FastLink()),
    st.integers(min_value=-1, max_value=300).map(TicketDifficulty),
)
stops = st.one_of(st.integers(min_value=1, max_value=9), st.sampled_from([50, 200]))
odd_values = st.sampled_from([None, 0.0, 4.5, 30.0, 60.0, 74.0, 80.0, 300.0, 2000.0, 5200.0])


class GuardMachine(RuleBasedStateMachine):
    """A world that mostly obeys, sometimes lies, and asks for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()
        self.told = Told()
        self.plan: list[Step] = []
        self.goal_v = 0.0
        self.starting = False
        self.undo: tuple[int, Mapping[int, Megahertz]] | None = None
        """Of a chip on its way up: what was wanted before."""
        self.slows = False

    @initialize(stack=st.sampled_from([Stack(), Stack(chips=3), Stack(chips=3, domains=3)]))
    def safe(self, stack: Stack) -> None:
        self.scene = Scene(stack=stack)
        self.scene.safe()

    # --- the world

    def world(self) -> None:
        """Sensors follow what was told."""
        scene, told = self.scene, self.told
        if told.rail:
            scene.values.update(LIVE)
            scene.values[Channel.CORE_V] = (told.core_v or 0.0) - 0.025
            scene.values[Channel.RESET_RELEASED] = 1.0 if told.reset_released else 0.0
            scene.values[Channel.FREQUENCY_MHZ] = told.clock
            scene.values[Channel.FAN_RATIO] = told.fan
        else:
            scene.safe_values()
        scene.quality.clear()
        scene.taken_at_s.clear()

    @rule(after_s=st.sampled_from([0.1, 0.2, 0.5]))
    def a_while(self, after_s: float) -> None:
        self.time_passes(after_s)

    def time_passes(self, after_s: float) -> None:
        self.world()
        self.look(after_s)

    @rule(channel=st.sampled_from(SENSORS), value=odd_values, after_s=st.sampled_from([0.2, 1.0, 3.0]))
    def a_sensor_lies(self, channel: Channel, value: float | None, after_s: float) -> None:
        self.world()
        self.scene.values[channel] = value
        self.look(after_s)

    @precondition(lambda self: self.scene.guard.state is GuardState.LIVE)
    @rule(
        channel=st.sampled_from([Channel.CHIP_C, Channel.VR_C, Channel.INPUT_V]),
        looks=st.integers(min_value=1, max_value=60),
        cool_looks=st.integers(min_value=0, max_value=8),
    )
    def it_gets_hot_or_sags_and_comes_back(self, channel: Channel, looks: int, cool_looks: int) -> None:
        """Between the throttle level and the trip for a while; then cool for some minutes."""
        between = {Channel.CHIP_C: 72.0, Channel.VR_C: 98.0, Channel.INPUT_V: 4.70}[channel]
        for _ in range(looks):
            self.world()
            self.scene.values[channel] = between
            self.look(0.7)
        for _ in range(cool_looks):
            self.time_passes(0.7)
            self.time_passes(31.0)

    @rule(channel=st.sampled_from(SENSORS), quality=st.sampled_from([Quality.SUSPECT, Quality.INVALID]))
    def a_sensor_is_doubted(self, channel: Channel, quality: Quality) -> None:
        self.world()
        self.scene.quality[channel] = quality
        self.scene.taken_at_s[channel] = self.scene.at_s
        self.look(0.2)

    @precondition(lambda self: self.scene.guard.state is GuardState.LIVE)
    @rule(looks=st.integers(min_value=1, max_value=50), most_c=st.sampled_from([None, 60.0, 95.0]), back=st.booleans())
    def the_thermometer_of_the_regulator_fails(self, looks: int, most_c: float | None, back: bool) -> None:
        self.scene.vr_most_c = most_c
        for _ in range(looks):
            if self.scene.guard.fault is not None:
                break
            self.world()
            self.scene.quality[Channel.VR_C] = Quality.INVALID
            self.look(0.7)
        if back:
            for _ in range(looks):
                self.time_passes(0.7)
        self.scene.vr_most_c = None

    @rule(count=st.integers(min_value=0, max_value=3))
    def chips_answer(self, count: int) -> None:
        self.scene.chips = count

    def look(self, after_s: float) -> None:
        fault = self.scene.look(after_s)
        if fault is not None:
            self.latch(fault)
        self.gives_way()
        self.leads_the_fan()

    @rule(mode=st.sampled_from(FanMode), target_c=st.sampled_from([35.0, 60.0, 63.0]))
    def set_fan(self, mode: FanMode, target_c: float) -> None:
        wish = SetFan(mode=mode, target_chip_c=target_c)
        assert self.scene.guard.judge(wish, self.scene.now()) == ()
        self.scene.guard.fan.ask(wish)

    def leads_the_fan(self) -> None:
        """What the rig does after each sweep, beside everything else."""
        guard = self.scene.guard
        step = guard.fan_step(self.scene.now())
        if step is not None:
            assert guard.state in (GuardState.LIVE, GuardState.SAFE_OFF)
            moving = guard.commanded.moving
            taken = self.attempt(step)
            assert taken or step.ratio < 1.0, "full was refused"
            assert guard.commanded.moving is moving

    def gives_way(self) -> None:
        """What the rig does after each sweep: down goes before whatever is being raised, up waits for its turn."""
        guard, told, e = self.scene.guard, self.told, ENVELOPE
        wish, give = guard.requested, guard.give_way(self.scene.now())
        if give is None:
            return
        assert guard.state is GuardState.LIVE
        assert guard.fault is None
        assert give.point.core_v is not None
        assert give.point.core_v >= e.core_v.low
        assert give.point.frequency_mhz is not None
        assert give.point.frequency_mhz >= min(0.6 * e.stock_frequency_mhz, told.clock or 0.0) - 1e-5
        if give.up:
            if self.plan:
                return
            assert (self.good(Channel.CHIP_C) or 99.0) < 65.0
            assert (self.good(Channel.VR_C) or 99.0) < 90.0
        else:
            if self.slows:
                for step in self.plan:
                    assert self.attempt(step) or guard.fault is not None, "a slower chip was refused on its way"
            self.plan.clear()
            guard.stopped_short()
            if self.undo is not None:
                chip, guard.caps.wanted = self.undo
                for step in guard.cap_steps(chip):
                    assert self.attempt(step), "a way back to a cap was refused"
            self.undo, self.slows = None, False
            assert give.point.core_v <= (told.core_v or 0.0) + 1e-5
            assert give.point.frequency_mhz <= (told.clock or 0.0) + 1e-5
        for step in guard.steps_of(give):
            if not self.attempt(step):
                assert give.up, "a way down was refused"
                break
        guard.stopped_short()
        assert guard.requested == wish

    def latch(self, fault: FaultRecord) -> None:
        self.scene.guard.latch(fault)
        self.plan.clear()

    # --- wishes

    @rule(clock=st.none() | clocks, core_v=st.none() | volts)
    def power_up(self, clock: float | None, core_v: float | None) -> None:
        self.wish(PowerUp(frequency_mhz=clock, core_v=core_v))

    @rule(clock=st.none() | clocks, core_v=st.none() | volts, preset=st.booleans())
    def move(self, clock: float | None, core_v: float | None, preset: bool) -> None:
        self.wish(SetOperatingPoint(frequency_mhz=clock, core_v=core_v, preset=preset))

    @rule()
    def power_down(self) -> None:
        self.wish(PowerDown())

    @rule(chip=st.integers(0, 3), clock=st.none() | caps_of_stacks, preset=st.booleans())
    def cap_a_chip(self, chip: int, clock: float | None, preset: bool) -> None:
        guard = self.scene.guard
        if self.plan:
            return
        before, state = guard.caps.wanted, guard.state
        was, board = self.told.of(chip), guard.requested.frequency_mhz
        self.wish(CapChip(chip=chip, frequency_mhz=clock, preset=preset))
        wanted = guard.caps.wanted
        assert all(each in range(self.scene.stack.chips) for each in wanted)
        assert len(wanted) < self.scene.stack.chips
        assert all(400.0 <= mhz <= 625.0 for mhz in wanted.values())
        if wanted == before:
            return
        assert state in (GuardState.LIVE, GuardState.SAFE_OFF)
        rises = wanted.get(chip, math.inf) > before.get(chip, math.inf)
        if self.plan and was is not None:
            goal = lower(self.told.clock or 0.0, wanted, chip)
            assert preset or abs(goal - was) <= 50.0 + 1e-5
        if state is GuardState.LIVE and rises and board is not None:
            assert guard.limited is None or lower(board, wanted, chip) <= lower(board, before, chip) + 1e-5
        self.undo, self.slows = ((chip, before), False) if rises else (None, True)

    @rule(stop_at=stops)
    def the_chips_are_initialised_again(self, stop_at: int) -> None:
        """What the rig does when they are silent."""
        if self.plan:
            return
        guard = self.scene.guard
        before = guard.state
        try:
            self.plan = list(guard.chips_again(self.scene.now()))
        except (SafetyError, UsageError):
            assert guard.state is before
            return
        assert before is GuardState.LIVE
        self.starting = True
        self.carry_on(stop_at)

    def wish(self, command: PowerUp | SetOperatingPoint | PowerDown | CapChip) -> None:
        if self.plan:
            return
        guard = self.scene.guard
        before = guard.state
        try:
            steps_granted = guard.judge(command, self.scene.now())
        except (SafetyError, UsageError):
            assert guard.state is before
            return
        self.plan, self.undo, self.slows = list(steps_granted), None, False
        if isinstance(command, PowerUp):
            assert before is GuardState.SAFE_OFF
            guard.started()
            self.starting = True

    @precondition(lambda self: not self.plan and self.scene.guard.state is GuardState.SAFE_OFF)
    @rule(
        clock=st.sampled_from([None, 400.0, 490.0, 625.0]),
        stop_at=st.one_of(st.integers(min_value=1, max_value=9), st.sampled_from([50, 200])),
    )
    def start(self, clock: float | None, stop_at: int) -> None:
        """A power-up in a world that obeys; often to its end, else to any step before it."""
        self.scene.chips = self.scene.stack.chips
        self.world()
        self.look(2.0)
        self.wish(PowerUp(frequency_mhz=clock))
        if self.plan:
            self.carry_on(stop_at)

    @precondition(lambda self: self.plan)
    @rule(count=st.integers(min_value=1, max_value=40))
    def carry_on(self, count: int) -> None:
        """The rig carries out what was granted, in a world that obeys."""
        for _ in range(min(count, len(self.plan))):
            step = self.plan[0]
            self.world()
            self.look(max(0.2, step.settle_s))
            self.look(0.2)
            if not self.plan or not self.attempt(step):
                return
            self.plan.pop(0)
        if not self.plan:
            self.undo, self.slows = None, False
        if not self.plan and self.starting:
            self.starting = False
            self.scene.guard.reached()

    @rule(step=steps)
    def a_stray_step(self, step: Step) -> None:
        """A bug of the rig: a step that nobody judged, at any moment."""
        self.attempt(step)

    @precondition(lambda self: self.told.up and self.told.clock is not None)
    @rule(mhz=st.sampled_from([-6.25, -1.0, 1.0, 6.25, 7.0]), window=st.sampled_from([None, -6.25, 0.0, 6.25]))
    def a_stray_clock_near_the_present_one(self, mhz: float, window: float | None) -> None:
        self.a_stray_clock(mhz, window)

    def a_stray_clock(self, mhz: float, window: float | None) -> None:
        """With the caps that hold, or with one of them left out."""
        clock = self.told.clock or 0.0
        for caps in ({each: Megahertz(cap) for each, cap in self.told.caps.items()}, dict[int, Megahertz]()):
            if window is not None:
                self.attempt(SweepWindow(Megahertz(clock + window), caps_mhz=caps))
            self.attempt(Frequency(Megahertz(clock + mhz), caps_mhz=caps))

    @precondition(lambda self: self.told.core_v is not None)
    @rule(rise_v=st.sampled_from([-0.05, 0.005, 0.01, 0.02]), verified=st.booleans(), clock_too=st.booleans())
    def a_stray_voltage_near_the_present_one(self, rise_v: float, verified: bool, clock_too: bool) -> None:
        core_v = Volts((self.told.core_v or 0.0) + rise_v)
        if self.attempt(CoreVoltage(core_v)) and verified:
            self.attempt(VerifyRail(core_v))
        if clock_too:
            self.a_stray_clock(6.25, 6.25)

    @precondition(lambda self: self.told.core_v is not None and not self.told.rail)
    @rule(ratio=st.sampled_from([0.5, 1.0]))
    def a_stray_fan_and_rail(self, ratio: float) -> None:
        self.attempt(FanDuty(Ratio(ratio)))
        self.time_passes(0.2)
        self.attempt(RailOn())

    def attempt(self, step: Step) -> bool:
        guard = self.scene.guard
        try:
            guard.permit(step, self.scene.now())
        except (SafetyError, UsageError):
            return False
        self.check(step)
        guard.applied(step, self.scene.at_s)
        self.tell(step)
        return True

    # --- stops

    @rule(confirmed=st.booleans(), reached=st.booleans())
    def safe_off(self, confirmed: bool, reached: bool) -> None:
        self.plan.clear()
        self.starting = False
        guard = self.scene.guard
        guard.stopped_short()
        if confirmed:
            guard.went_safe(self.scene.at_s)
            self.told = Told(fan=1.0)
        else:
            guard.not_safe(reached=reached)
            self.latch(self.fault(Cause.ACTUATION))

    @rule(cause=st.sampled_from(Cause))
    def a_fault_from_outside(self, cause: Cause) -> None:
        self.latch(self.fault(cause))

    def fault(self, cause: Cause) -> FaultRecord:
        return FaultRecord(cause=cause, sensor=None, detail="x", at_s=self.scene.at_s, at_utc=START)

    @rule()
    def clear(self) -> None:
        guard = self.scene.guard
        try:
            guard.judge(ClearFault(), self.scene.now())
        except SafetyError:
            return
        assert not self.told.rail
        guard.clear(self.scene.now())
        self.scene.chips = self.scene.stack.chips

    # --- the promises

    def good(self, channel: Channel) -> float | None:
        sample = self.scene.now().channels.get(channel)
        return sample.value if sample is not None and sample.quality is Quality.GOOD else None

    def line(self) -> range:
        return range(self.scene.stack.chips)

    def check(self, step: Step) -> None:
        guard, told, e = self.scene.guard, self.told, ENVELOPE
        latched = guard.fault is not None
        match step:
            case FanDuty(ratio=ratio):
                assert 0.0 <= ratio <= 1.0
                if guard.state is GuardState.SAFE_OFF and ratio < 1.0:
                    assert ratio >= 0.3
                    assert not latched
                    assert not told.rail
                    assert guard.fan.wish.mode is FanMode.AUTO
                    assert (self.good(Channel.CHIP_C) or 99.0) < 53.0
                    assert (self.good(Channel.VR_C) or 99.0) < 53.0
                    assert self.good(Channel.CORE_V) is not None
                elif ratio < (1.0 if told.fan is None else told.fan):
                    assert (told.clock or 0.0) <= e.stock_frequency_mhz + 1e-5
                    assert told.core_v is None or told.core_v <= e.stock_core_v + 1e-5
                    chip_c, vr_c = self.good(Channel.CHIP_C), self.good(Channel.VR_C)
                    assert not latched
                    assert chip_c is not None
                    assert chip_c < guard.fan.target_chip_c
                    assert vr_c is not None
                    assert vr_c < 75.0
            case CoreVoltage(core_v=core_v):
                assert not latched
                assert told.locked
                assert e.core_v.low <= core_v <= min(e.core_v.high, e.core_v_hard)
                if told.rail and told.core_v is not None:
                    assert core_v <= told.core_v + e.core_v_step_v + 1e-5
                    if core_v > told.core_v and told.clock is not None:
                        now = [lower(told.clock, told.caps, chip) for chip in self.line()]
                        assert highest_v(self.scene.stack, core_v, now) <= e.core_v_hard + 1e-5
                    if core_v > max(told.core_v, e.stock_core_v) + 1e-5:
                        assert told.fan in (1.0, None)
            case RailOn():
                assert not latched
                assert told.locked
                assert told.fan == 1.0
                assert told.core_v is not None
                assert not told.reset_released
                rpm, supply, chip_c = self.good(Channel.FAN_RPM), self.good(Channel.INPUT_V), self.good(Channel.CHIP_C)
                assert rpm is not None
                assert rpm > 0.5 * e.fan_full_rpm
                assert supply is not None
                assert supply in e.input_v_enable
                assert chip_c is not None
                assert chip_c < e.warm_start_max_c
            case AssertReset():
                assert not latched
                assert told.rail
                assert guard.state is GuardState.STARTING, "a live board was put into reset"
            case ReleaseReset() | BringUp():
                assert not latched
                assert told.rail
                if isinstance(step, BringUp):
                    assert told.reset_released
            case Frequency(frequency_mhz=clock, caps_mhz=caps):
                assert told.up
                assert told.clock is not None
                now = [lower(clock, caps, chip) for chip in self.line()]
                before = [lower(told.clock, told.caps, chip) for chip in self.line()]
                assert all(mhz >= e.floor_frequency_mhz for mhz in now)
                assert highest_v(self.scene.stack, told.core_v or 0.0, now) <= e.core_v_hard + 1e-5
                if all(after <= was for after, was in zip(now, before, strict=True)):
                    return
                assert not latched
                assert clock <= min(e.frequency_mhz.high, e.frequency_hard_mhz)
                assert not told.risen, "the clock rose on a rail that was not read back"
                if clock > e.stock_frequency_mhz + 1e-5:
                    assert told.fan in (1.0, None)
                if clock > 56.25:
                    assert self.scene.chips == self.scene.stack.chips
                    assert all(self.good(channel) is not None for channel in SENSORS)
                for chip, (after, was) in enumerate(zip(now, before, strict=True)):
                    if after <= was:
                        continue
                    assert after - was <= e.frequency_step_mhz + 1.0
                    assert after <= guard.caps.wanted.get(chip, math.inf) + 1e-5, "a chip rose above its cap"
                    if told.window:
                        longest = lower(told.window, told.window_caps, chip)
                        assert after <= longest + 1e-5, "the clock rose under a window that is too long"
            case SweepWindow(frequency_mhz=clock, caps_mhz=caps):
                if clock != 0.0:
                    assert not latched
                    assert told.up
                    assert told.clock is not None
                    for chip in self.line():
                        assert lower(clock, caps, chip) >= lower(told.clock, told.caps, chip) - 1e-5
            case TicketDifficulty(difficulty=difficulty):
                assert not latched
                assert difficulty >= 1
                assert difficulty.bit_count() == 1
            case LockDown():
                assert not latched
                assert not told.rail
            case FanTable() | FastLink():
                assert not latched
            case VerifyRail():
                return

    def tell(self, step: Step) -> None:
        told = self.told
        match step:
            case FanDuty(ratio=ratio):
                told.fan = float(ratio)
            case FanTable():
                told.fan = None
            case LockDown():
                told.locked = True
            case CoreVoltage(core_v=core_v):
                told.risen = told.risen or told.core_v is None or core_v > told.core_v
                told.core_v = float(core_v)
            case RailOn():
                told.rail, told.risen = True, True
            case VerifyRail(core_v=core_v):
                told.risen = told.risen and core_v != told.core_v
            case AssertReset():
                told.reset_released = told.up = False
                told.clock, told.window, told.caps = None, None, {}
            case ReleaseReset():
                told.reset_released = True
            case BringUp():
                told.up, told.clock = True, 50.0
            case Frequency(frequency_mhz=clock, caps_mhz=caps):
                told.clock, told.caps = float(clock), caps
            case SweepWindow(frequency_mhz=clock, caps_mhz=caps):
                told.window, told.window_caps = float(clock), caps
            case FastLink() | TicketDifficulty():
                return

    @invariant()
    def a_latch_is_shown(self) -> None:
        guard = self.scene.guard
        if guard.fault is not None:
            assert guard.state in (GuardState.LATCHED, GuardState.UNPROTECTED)
        if guard.state is GuardState.LIVE:
            assert self.told.rail
            assert self.told.reset_released
            assert self.told.up

    @invariant()
    def what_is_granted_lies_inside_the_envelope(self) -> None:
        point = self.scene.guard.granted
        if point.core_v is not None:
            assert point.core_v in ENVELOPE.core_v
        if point.frequency_mhz is not None:
            assert 50.0 <= point.frequency_mhz <= ENVELOPE.frequency_mhz.high


GuardMachine.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


TestNoStepThatTheGuardLetsThroughIsEverUnsafe = GuardMachine.TestCase
