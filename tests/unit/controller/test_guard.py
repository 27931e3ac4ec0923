"""What the guard allows, in which order, and what it refuses."""

from __future__ import annotations

import itertools
import math

import pytest

from controller.model import (
    Cause,
    ClearFault,
    FaultRecord,
    GuardState,
    PowerDown,
    PowerUp,
    Quality,
    SafeOff,
    SetOperatingPoint,
    StartWork,
)
from drivers.boards.board import (
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
from tests.unit.controller.guarding import START, Scene


def kinds(steps: tuple[Step, ...]) -> list[str]:
    """Names of the steps, runs of the same one folded."""
    names: list[str] = []
    for step in steps:
        name = type(step).__name__
        if not names or names[-1] != name:
            names.append(name)
    return names


def record(cause: Cause = Cause.CHIP_TEMPERATURE) -> FaultRecord:
    return FaultRecord(cause=cause, sensor="chip_c", detail="76 C", at_s=1.0, at_utc=START)


# --- power-up ---------------------------------------------------------------------------------------------------------


def test_power_up_goes_fan_limits_voltage_rail_reset_chips_clock_window_link() -> None:
    steps = Scene().safe().guard.judge(PowerUp(), Scene().safe().now())
    assert kinds(steps) == [
        "FanDuty",
        "LockDown",
        "CoreVoltage",
        "RailOn",
        "VerifyRail",
        "ReleaseReset",
        "BringUp",
        "Frequency",
        "SweepWindow",
        "FastLink",
    ]
    assert steps[0] == FanDuty(Ratio(1.0))
    assert steps[2] == CoreVoltage(Volts(1.150))
    assert steps[3] == RailOn(settle_s=0.5)
    assert steps[-2:] == (SweepWindow(Megahertz(525.0)), FastLink())


def test_the_clock_ramps_in_slew_steps_from_50_mhz_and_pauses_once_half_way() -> None:
    scene = Scene().safe()
    ramp = [step for step in scene.guard.judge(PowerUp(), scene.now()) if isinstance(step, Frequency)]
    assert [step.frequency_mhz for step in ramp[:2]] == [56.25, 62.5]
    assert ramp[-1].frequency_mhz == 525.0
    assert all(0 < b.frequency_mhz - a.frequency_mhz <= 6.25 for a, b in itertools.pairwise(ramp))
    assert [step.frequency_mhz for step in ramp if step.settle_s == 2.0] == [262.5]
    assert {step.settle_s for step in ramp} == {0.1, 2.0}


def test_a_target_off_the_grid_is_reached_exactly_by_a_last_short_step() -> None:
    scene = Scene().safe()
    ramp = [s for s in scene.guard.judge(PowerUp(frequency_mhz=490.0), scene.now()) if isinstance(s, Frequency)]
    assert [step.frequency_mhz for step in ramp[-2:]] == [487.5, 490.0]


def test_a_power_up_that_the_world_obeys_ends_live() -> None:
    scene = Scene().live()
    assert scene.guard.commanded.frequency_mhz == 525.0
    assert scene.guard.granted.core_v == 1.150


@pytest.mark.parametrize(
    ("frequency_mhz", "core_v"),
    [(626.0, None), (399.0, None), (None, 0.999), (None, 1.251), (math.nan, None), (None, math.inf), (-525.0, None)],
)
def test_a_point_outside_the_operator_range_is_refused_and_never_clamped(
    frequency_mhz: float | None, core_v: float | None
) -> None:
    scene = Scene().safe()
    with pytest.raises(Refused) as refused:
        scene.guard.judge(PowerUp(frequency_mhz=frequency_mhz, core_v=core_v), scene.now())
    assert refused.value.rule == "envelope"
    assert scene.guard.granted.frequency_mhz is None


def test_a_frequency_that_the_clock_cannot_give_within_1_mhz_is_refused() -> None:
    scene = Scene().safe()
    scene.guard._realise = lambda wish: Megahertz(wish + 1.5)
    with pytest.raises(Refused, match="nearest clock is 526"):
        scene.guard.judge(PowerUp(), scene.now())


@pytest.mark.parametrize(
    ("channel", "value", "rule"),
    [
        (Channel.CHIP_C, None, "fresh"),
        (Channel.CHIP_C, 46.0, "interlock"),
        (Channel.INPUT_V, 4.79, "interlock"),
        (Channel.INPUT_V, 5.51, "interlock"),
        (Channel.VR_C, None, "fresh"),
    ],
)
def test_power_up_is_refused_when_a_reading_is_unknown_or_out_of_bounds(
    channel: Channel, value: float | None, rule: str
) -> None:
    scene = Scene().safe()
    scene.values[channel] = value
    with pytest.raises(Refused) as refused:
        scene.guard.judge(PowerUp(), scene.now())
    assert refused.value.rule == rule


@pytest.mark.parametrize("quality", [Quality.SUSPECT, Quality.INVALID])
def test_power_up_is_refused_on_a_reading_that_is_not_good(quality: Quality) -> None:
    scene = Scene().safe()
    scene.quality[Channel.CHIP_C] = quality
    with pytest.raises(Refused, match=quality.value):
        scene.guard.judge(PowerUp(), scene.now())


def test_power_up_is_refused_on_a_reading_older_than_a_second() -> None:
    scene = Scene().safe()
    scene.taken_at_s[Channel.CHIP_C] = scene.at_s - 1.1
    with pytest.raises(Refused, match=r"1\.1 s old"):
        scene.guard.judge(PowerUp(), scene.now())


def test_power_up_starts_from_safe_off_alone() -> None:
    with pytest.raises(Refused, match="the board is unknown"):
        Scene().guard.judge(PowerUp(), Scene().now())
    live = Scene().live()
    with pytest.raises(Refused, match="the board is live"):
        live.guard.judge(PowerUp(), live.now())


def test_a_warm_board_may_restart_below_65_c_but_not_after_a_fault() -> None:
    scene = Scene().live().safe()
    scene.values[Channel.CHIP_C] = 60.0
    scene.guard.judge(PowerUp(), scene.now())
    faulty = Scene().live()
    faulty.guard.latch(record())
    faulty.safe()
    faulty.guard.clear(faulty.now())
    faulty.values[Channel.CHIP_C] = 60.0
    with pytest.raises(Refused, match="less than 45"):
        faulty.guard.judge(PowerUp(), faulty.now())


# --- moves ------------------------------------------------------------------------------------------------------------


def test_rising_writes_voltage_in_10_mv_steps_then_reads_back_then_the_shorter_window_then_the_clock() -> None:
    scene = Scene().live()
    steps = scene.guard.judge(SetOperatingPoint(frequency_mhz=550.0, core_v=1.180), scene.now())
    assert steps == (
        CoreVoltage(Volts(1.160), settle_s=0.2),
        CoreVoltage(Volts(1.170), settle_s=0.2),
        CoreVoltage(Volts(1.180), settle_s=0.2),
        VerifyRail(Volts(1.180)),
        SweepWindow(Megahertz(550.0)),
        Frequency(Megahertz(531.25), settle_s=0.1),
        Frequency(Megahertz(537.5), settle_s=0.1),
        Frequency(Megahertz(543.75), settle_s=0.1),
        Frequency(Megahertz(550.0), settle_s=0.1),
    )
    scene.follow(steps)


def test_falling_moves_the_clock_then_the_longer_window_then_the_voltage() -> None:
    scene = Scene().live()
    steps = scene.guard.judge(SetOperatingPoint(frequency_mhz=510.0, core_v=1.120), scene.now())
    assert kinds(steps) == ["Frequency", "SweepWindow", "CoreVoltage", "VerifyRail"]
    assert [s.frequency_mhz for s in steps if isinstance(s, Frequency)] == [518.75, 512.5, 510.0]
    scene.follow(steps)


@pytest.mark.parametrize(
    ("frequency_mhz", "core_v", "order"),
    [
        (550.0, 1.120, ["SweepWindow", "Frequency", "CoreVoltage", "VerifyRail"]),
        (500.0, 1.160, ["Frequency", "SweepWindow", "CoreVoltage", "VerifyRail"]),
    ],
)
def test_mixed_moves_keep_the_voltage_until_the_higher_clock_is_left_or_reached(
    frequency_mhz: float, core_v: float, order: list[str]
) -> None:
    scene = Scene().live()
    steps = scene.guard.judge(SetOperatingPoint(frequency_mhz=frequency_mhz, core_v=core_v), scene.now())
    assert kinds(steps) == order
    scene.follow(steps)


def test_a_move_of_more_than_50_mv_or_50_mhz_needs_a_preset() -> None:
    scene = Scene().live()
    for command in (SetOperatingPoint(core_v=1.210), SetOperatingPoint(frequency_mhz=470.0)):
        with pytest.raises(Refused) as refused:
            scene.guard.judge(command, scene.now())
        assert refused.value.rule == "change"
        assert scene.guard.judge(command.model_copy(update={"preset": True}), scene.now())


def test_a_move_up_is_refused_without_fresh_readings_and_a_move_down_is_not() -> None:
    scene = Scene().live()
    scene.quality[Channel.CHIP_C] = Quality.SUSPECT
    with pytest.raises(Refused):
        scene.guard.judge(SetOperatingPoint(frequency_mhz=550.0), scene.now())
    for step in scene.guard.judge(SetOperatingPoint(frequency_mhz=500.0), scene.now()):
        if isinstance(step, Frequency):
            scene.take(step)


@pytest.mark.parametrize(("channel", "value"), [(Channel.CHIP_C, 65.0), (Channel.INPUT_V, 4.75)])
def test_above_stock_needs_a_cool_die_and_a_strong_supply(channel: Channel, value: float) -> None:
    scene = Scene().live()
    scene.values[channel] = value
    with pytest.raises(Refused, match="above stock"):
        scene.guard.judge(SetOperatingPoint(frequency_mhz=530.0), scene.now())
    scene.guard.judge(SetOperatingPoint(core_v=1.160), scene.now())


def test_a_move_of_nothing_is_a_mistake_of_the_caller() -> None:
    scene = Scene().live()
    with pytest.raises(UsageError):
        scene.guard.judge(SetOperatingPoint(), scene.now())


def test_only_a_live_board_is_moved_or_given_work() -> None:
    scene = Scene().safe()
    for command in (SetOperatingPoint(core_v=1.160), StartWork(work="pattern")):
        with pytest.raises(Refused, match="safe_off"):
            scene.guard.judge(command, scene.now())


def test_a_ticket_difficulty_is_a_power_of_two() -> None:
    scene = Scene().live()
    with pytest.raises(UsageError):
        scene.guard.judge(StartWork(work="synthetic", ticket_difficulty=48), scene.now())
    steps = scene.guard.judge(StartWork(work="synthetic", ticket_difficulty=64), scene.now())
    assert steps == (TicketDifficulty(64),)


def test_an_orderly_stop_takes_the_clock_down_and_then_stops_hashing() -> None:
    scene = Scene().live()
    steps = scene.guard.judge(PowerDown(), scene.now())
    assert kinds(steps) == ["Frequency", "SweepWindow"]
    assert steps[-2:] == (Frequency(Megahertz(50.0), settle_s=0.1), SweepWindow(Megahertz(0.0)))
    scene.follow(steps)


# --- interlocks -------------------------------------------------------------------------------------------------------


def test_no_step_is_permitted_before_a_power_up_has_begun_but_more_fan_always_is() -> None:
    scene = Scene().safe()
    with pytest.raises(Refused):
        scene.guard.permit(RailOn(), scene.now())
    scene.guard.permit(FanDuty(Ratio(1.0)), scene.now())


def starting(*taken: Step) -> Scene:
    scene = Scene().safe()
    scene.guard.judge(PowerUp(), scene.now())
    scene.guard.started()
    scene.follow(taken)
    return scene


BEFORE_RAIL = (FanDuty(Ratio(1.0)), LockDown(), CoreVoltage(Volts(1.150)))


@pytest.mark.parametrize(
    ("channel", "value", "why"),
    [
        (Channel.FAN_RPM, 2500.0, "rpm"),
        (Channel.CHIP_C, 45.0, "chip_c"),
        (Channel.INPUT_V, 4.7, "input_v"),
        (Channel.RESET_RELEASED, 1.0, "reset"),
    ],
)
def test_the_rail_stays_off_until_fan_die_supply_and_reset_are_as_they_should_be(
    channel: Channel, value: float, why: str
) -> None:
    scene = starting(*BEFORE_RAIL)
    scene.values[channel] = value
    with pytest.raises(Refused, match=why):
        scene.guard.permit(RailOn(), scene.now())
    assert scene.guard.patience_s(RailOn()) == 3.0


def test_the_rail_stays_off_while_the_fan_is_commanded_to_less_than_full() -> None:
    scene = starting(*BEFORE_RAIL, FanDuty(Ratio(0.6)))
    with pytest.raises(Refused, match="not commanded to full"):
        scene.guard.permit(RailOn(), scene.now())


def test_the_rail_stays_off_until_the_regulators_own_limits_are_written() -> None:
    scene = starting(FanDuty(Ratio(1.0)))
    with pytest.raises(Refused, match="limits"):
        scene.guard.permit(CoreVoltage(Volts(1.150)), scene.now())
    with pytest.raises(Refused, match="limits"):
        scene.guard.permit(RailOn(), scene.now())


def test_reset_stays_asserted_until_the_rail_has_been_within_5_percent_for_200_ms() -> None:
    scene = starting(*BEFORE_RAIL)
    scene.take(RailOn())
    scene.obey()
    scene.look(0.1)
    scene.take(VerifyRail(Volts(1.150)))
    with pytest.raises(Refused, match="within 5 %"):
        scene.guard.permit(ReleaseReset(), scene.now())
    scene.look(0.2)
    scene.guard.permit(ReleaseReset(), scene.now())


def test_reset_stays_asserted_while_the_regulator_says_that_power_is_not_good() -> None:
    scene = starting(*BEFORE_RAIL, RailOn(), VerifyRail(Volts(1.150)))
    scene.values[Channel.STATUS_WORD] = float(0x0800)
    with pytest.raises(Refused, match="power is not good"):
        scene.guard.permit(ReleaseReset(), scene.now())


def test_the_clock_stays_at_56_mhz_when_a_chip_is_missing() -> None:
    scene = starting(*BEFORE_RAIL, RailOn(), VerifyRail(Volts(1.150)), ReleaseReset(), BringUp())
    scene.chips = 0
    scene.take(Frequency(Megahertz(56.25)))
    with pytest.raises(Refused, match="0 of 1 BM1370"):
        scene.guard.permit(Frequency(Megahertz(62.5)), scene.now())


def test_a_clock_step_beyond_the_slew_or_the_envelope_or_the_window_is_refused() -> None:
    scene = Scene().live()
    for clock, why in ((540.0, "in one step"), (631.25, "above"), (math.nan, "above"), (531.25, "too long")):
        with pytest.raises(Refused, match=why):
            scene.guard.permit(Frequency(Megahertz(clock)), scene.now())


def test_the_clock_does_not_rise_on_a_voltage_that_was_not_read_back() -> None:
    scene = Scene().live()
    scene.take(SweepWindow(Megahertz(531.25)))
    scene.take(CoreVoltage(Volts(1.160)))
    with pytest.raises(Refused, match="not read back"):
        scene.guard.permit(Frequency(Megahertz(531.25)), scene.now())


def test_a_window_longer_than_the_share_of_a_core_is_refused_and_none_at_all_is_always_allowed() -> None:
    scene = Scene().live()
    with pytest.raises(Refused, match="longer than the share"):
        scene.guard.permit(SweepWindow(Megahertz(500.0)), scene.now())
    scene.guard.permit(SweepWindow(Megahertz(0.0)), scene.now())


def test_a_voltage_step_above_10_mv_is_refused_on_a_live_rail() -> None:
    scene = Scene().live()
    with pytest.raises(Refused, match="in one step"):
        scene.guard.permit(CoreVoltage(Volts(1.165)), scene.now())
    with pytest.raises(Refused, match="outside"):
        scene.guard.permit(CoreVoltage(Volts(0.99)), scene.now())


def test_less_fan_needs_cool_and_valid_temperatures() -> None:
    scene = Scene().live()
    scene.guard.permit(FanDuty(Ratio(0.6)), scene.now())
    for channel, value in ((Channel.CHIP_C, 61.0), (Channel.VR_C, 76.0), (Channel.CHIP_C, None)):
        scene = Scene().live()
        scene.values[channel] = value
        for step in (FanDuty(Ratio(0.6)), FanTable()):
            with pytest.raises(Refused):
                scene.guard.permit(step, scene.now())
        scene.guard.permit(FanDuty(Ratio(1.0)), scene.now())


def test_more_fan_than_all_or_less_than_none_is_refused() -> None:
    scene = Scene().live()
    for ratio in (1.01, -0.01, math.nan):
        with pytest.raises(Refused):
            scene.guard.permit(FanDuty(Ratio(ratio)), scene.now())


# --- latch ------------------------------------------------------------------------------------------------------------


def test_a_latch_refuses_every_move_away_from_safety_and_allows_safe_off() -> None:
    scene = Scene().live()
    scene.guard.latch(record())
    for command in (SetOperatingPoint(core_v=1.160), StartWork(work="pattern"), PowerUp()):
        with pytest.raises(Latched, match="chip_temperature"):
            scene.guard.judge(command, scene.now())
    with pytest.raises(Latched):
        scene.guard.permit(CoreVoltage(Volts(1.160)), scene.now())
    assert scene.guard.judge(SafeOff(), scene.now()) == ()


def test_the_first_cause_stays_when_a_second_fault_follows() -> None:
    scene = Scene().live()
    assert scene.guard.latch(record(Cause.FAN))
    assert not scene.guard.latch(record(Cause.CHIP_TEMPERATURE))
    assert scene.guard.fault is not None
    assert scene.guard.fault.cause is Cause.FAN


def test_the_latch_opens_only_when_the_board_is_off_and_its_readings_are_healthy() -> None:
    scene = Scene().live()
    scene.guard.latch(record())
    with pytest.raises(Refused, match="no safe-off"):
        scene.guard.judge(ClearFault(), scene.now())
    scene.safe()
    assert scene.now().state is GuardState.LATCHED
    for channel, value in ((Channel.CHIP_C, 45.0), (Channel.CHIP_C, None), (Channel.CORE_V, 0.6)):
        healthy = scene.values[channel]
        scene.values[channel] = value
        with pytest.raises(Refused):
            scene.guard.clear(scene.now())
        scene.values[channel] = healthy
    assert scene.guard.clear(scene.now()) is Cause.CHIP_TEMPERATURE
    scene.guard.judge(PowerUp(), scene.now())


def test_there_is_nothing_to_clear_without_a_fault() -> None:
    scene = Scene().safe()
    with pytest.raises(Refused, match="nothing is latched"):
        scene.guard.judge(ClearFault(), scene.now())


def test_a_board_whose_control_port_is_gone_is_unprotected_until_a_confirmed_safe_off() -> None:
    scene = Scene().live()
    scene.guard.unprotected(record(Cause.CONTROL_PORT_LOST))
    scene.guard.latch(record(Cause.DATA_PORT_LOST))
    assert scene.now().state is GuardState.UNPROTECTED
    with pytest.raises(Latched, match="control_port_lost"):
        scene.guard.judge(PowerUp(), scene.now())
    scene.guard.not_safe(reached=False)
    assert scene.now().state is GuardState.UNPROTECTED
    scene.safe()
    assert scene.now().state is GuardState.LATCHED


def test_a_board_that_is_reached_again_is_not_unprotected_but_neither_is_it_safe() -> None:
    scene = Scene().live()
    scene.guard.unprotected(record(Cause.CONTROL_PORT_LOST))
    scene.guard.not_safe(reached=True)
    assert scene.now().state is GuardState.LATCHED
    with pytest.raises(Refused, match="no safe-off was confirmed yet"):
        scene.guard.judge(ClearFault(), scene.now())
