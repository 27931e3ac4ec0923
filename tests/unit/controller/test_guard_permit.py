"""`permit` and `judge`, one row at a time: whatever else is in order, this one thing is enough to refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from controller.model import (
    Cause,
    ClearFault,
    FaultRecord,
    OperatorLimits,
    PowerUp,
    Protection,
    Quality,
    SetOperatingPoint,
)
from controller.safety.envelope import Envelopes
from controller.safety.guard import Guard
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
)
from drivers.errors import Refused, UsageError
from drivers.units import Megahertz, Ratio, Volts
from tests.unit.controller.guarding import ENVELOPE, START, Scene


@pytest.mark.parametrize(
    ("step", "commanded", "why"),
    [
        (FanDuty(Ratio(1.01)), {}, "fan duty 1.01 is outside 0.45 to 1"),
        (FanTable(), {"locked_down": False}, "the fan table is not written"),
        (LockDown(), {}, "limits are written before the rail is on"),
        (CoreVoltage(Volts(1.160)), {"locked_down": False}, "the regulator's own limits are not written"),
        (CoreVoltage(Volts(1.170)), {}, "20 mV in one step"),
        (BringUp(), {"rail_on": False}, "after rail and reset"),
        (BringUp(), {"reset_released": False}, "after rail and reset"),
        (ReleaseReset(), {"rail_on": False}, "the rail is not on"),
        (ReleaseReset(), {"verified_v": None}, "the rail was not read back"),
        (Frequency(Megahertz(506.25)), {"frequency_mhz": 498.0}, "8.25 MHz in one step"),
        (Frequency(Megahertz(506.25)), {"frequency_mhz": 500.0, "brought_up": False}, "no chip was brought up"),
        (Frequency(Megahertz(506.25)), {"frequency_mhz": 500.0, "verified_v": None}, "not read back before the clock"),
        (Frequency(Megahertz(506.25)), {"frequency_mhz": 500.0, "window_mhz": 500.0}, "too long for 506.25 MHz"),
        (SweepWindow(Megahertz(525.0)), {"brought_up": False}, "no chip was brought up"),
        (SweepWindow(Megahertz(500.0)), {}, "longer than the share of a core"),
        (FastLink(), {"brought_up": False}, "no chip was brought up"),
        (TicketDifficulty(256), {"brought_up": False}, "no chip was brought up"),
    ],
)
def test_one_thing_that_does_not_hold_is_enough_to_refuse_a_step(
    step: Step, commanded: dict[str, Any], why: str
) -> None:
    scene = Scene().live()
    scene.values[Channel.CHIP_C] = 50.0
    for name, value in commanded.items():
        setattr(scene.guard.commanded, name, value)
    with pytest.raises(Refused, match=why):
        scene.guard.permit(step, scene.now())
    assert not scene.guard.commanded.moving


@pytest.mark.parametrize(
    ("step", "channel"),
    [
        (CoreVoltage(Volts(1.160)), Channel.VR_C),
        (Frequency(Megahertz(506.25)), Channel.VR_C),
        (RailOn(), Channel.VR_C),
        (ReleaseReset(), Channel.CORE_V),
        (ReleaseReset(), Channel.CHIP_C),
        (FanDuty(Ratio(0.8)), Channel.CORE_A),
        (FanTable(), Channel.CORE_A),
    ],
)
def test_a_step_away_from_safety_needs_fresh_readings_of_its_own(step: Step, channel: Channel) -> None:
    spoils: tuple[tuple[Callable[[Scene], object], str], ...] = (
        (lambda scene: scene.quality.update({channel: Quality.SUSPECT}), "suspect"),
        (lambda scene: scene.values.pop(channel), "is unknown"),
        (lambda scene: scene.values.update({channel: None}), "is unknown"),
        (lambda scene: scene.taken_at_s.update({channel: scene.at_s - 1.2}), "1.2 s old"),
    )
    for spoil, why in spoils:
        scene = Scene().live()
        scene.values[Channel.CHIP_C] = 40.0
        c = scene.guard.commanded
        c.frequency_mhz, c.window_mhz, c.fan_ratio = 500.0, None, 1.0
        if isinstance(step, RailOn):
            c.reset_released, scene.values[Channel.RESET_RELEASED] = False, 0.0
        spoil(scene)
        with pytest.raises(Refused, match=why) as refused:
            scene.guard.permit(step, scene.now())
        assert refused.value.rule == "fresh"
        assert channel.value in str(refused.value)


def test_chips_leave_reset_only_with_a_die_that_was_read_since_the_rail_came() -> None:
    """Else its two blankings, after the rail and after the release, are one, which a busy computer makes a trip of."""
    scene = Scene().live()
    scene.values[Channel.CHIP_C] = 40.0
    scene.taken_at_s[Channel.CHIP_C] = scene.at_s - 0.6
    with pytest.raises(Refused, match=r"chip_c is 0\.6 s old, needs 0\.5 s: it is not read after this"):
        scene.guard.permit(ReleaseReset(), scene.now())
    scene.taken_at_s[Channel.CHIP_C] = scene.at_s - 0.4
    scene.guard.permit(ReleaseReset(), scene.now())


def test_a_clock_below_the_floor_a_rail_without_a_voltage_and_an_odd_ticket_are_refused() -> None:
    scene = Scene().live()
    with pytest.raises(Refused, match="40 MHz is below 50 MHz"):
        scene.guard.permit(Frequency(Megahertz(40.0)), scene.now())
    with pytest.raises(UsageError, match="a power of two"):
        scene.guard.permit(TicketDifficulty(3), scene.now())
    scene.guard.commanded.core_v = None
    with pytest.raises(Refused, match="no core voltage is set"):
        scene.guard.permit(RailOn(), scene.now())


def test_a_board_with_a_host_lease_needs_it_armed_before_its_rail() -> None:
    scene = Scene().safe()
    for leased in (True, False):
        guard = Guard("gamma", Envelopes(ENVELOPE, OperatorLimits()), leased=leased)
        guard.went_safe(scene.at_s)
        guard.started()
        c = guard.commanded
        c.locked_down, c.core_v, c.fan_ratio, c.fan_changed_s = True, 1.150, 1.0, scene.at_s - 5.0
        now = scene.now()
        if leased:
            with pytest.raises(Refused, match="the host lease is not armed"):
                guard.permit(RailOn(), now)
            now = now.model_copy(update={"protections": frozenset({Protection.HOST_LEASE})})
        guard.permit(RailOn(), now)


def test_a_point_above_stock_needs_the_fan_at_full_or_its_own_table_in_command() -> None:
    for step in (CoreVoltage(Volts(1.160)), Frequency(Megahertz(531.25))):
        scene = Scene().live()
        scene.guard.commanded.window_mhz = None
        scene.guard.commanded.fan_ratio = 0.9
        with pytest.raises(Refused, match="above stock it has to be full"):
            scene.guard.permit(step, scene.now())
        for ratio in (None, 1.0):
            scene.guard.commanded.fan_ratio = ratio
            scene.guard.permit(step, scene.now())


def test_a_latch_is_not_cleared_on_old_readings_nor_before_the_board_is_safe() -> None:
    record = FaultRecord(cause=Cause.FAN, sensor=None, detail="", at_s=1.0, at_utc=START)
    scene = Scene().safe()
    scene.guard.latch(record)
    scene.guard.went_safe(scene.at_s)
    now = scene.now()
    assert scene.guard.judge(ClearFault(), now) == ()
    for channel in (Channel.CHIP_C, Channel.VR_C, Channel.CORE_V):
        scene.taken_at_s = {channel: scene.at_s - 1.2}
        with pytest.raises(Refused, match=f"{channel.value} is 1.2 s old"):
            scene.guard.judge(ClearFault(), scene.now())
    scene.taken_at_s = {}
    scene.guard.unprotected(record)
    with pytest.raises(Refused, match="the board is unprotected: not yet safe"):
        scene.guard.judge(ClearFault(), scene.now())


@pytest.mark.parametrize("step", [Frequency(Megahertz(56.25)), LockDown(), RailOn(), CoreVoltage(Volts(1.150))])
def test_a_board_that_is_off_takes_no_step_away_from_safety(step: Step) -> None:
    scene = Scene().safe()
    with pytest.raises(Refused) as refused:
        scene.guard.permit(step, scene.now())
    assert refused.value.rule == "state"


@pytest.mark.parametrize(
    "command", [SetOperatingPoint(core_v=1.190), SetOperatingPoint(frequency_mhz=550.0)], ids=["voltage", "clock"]
)
def test_a_rise_is_refused_before_it_has_any_step_when_a_sensor_is_doubtful_or_a_chip_is_missing(
    command: SetOperatingPoint,
) -> None:
    scene = Scene().live()
    scene.quality[Channel.VR_C] = Quality.SUSPECT
    with pytest.raises(Refused) as refused:
        scene.guard.judge(command, scene.now())
    assert refused.value.rule == "fresh"
    gone = Scene().live()
    now = gone.now()
    lonely = now.model_copy(update={"chains": tuple(c.model_copy(update={"chips": ()}) for c in now.chains)})
    with pytest.raises(Refused, match="0 of 1 BM1370 answered"):
        gone.guard.judge(command, lonely)
    with pytest.raises(Refused, match="no chain of chips"):
        gone.guard.judge(command, now.model_copy(update={"chains": ()}))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_called_so(value: float) -> None:
    scene = Scene().safe()
    with pytest.raises(Refused, match="is not a number that can be set"):
        scene.guard.judge(PowerUp(frequency_mhz=value), scene.now())
    with pytest.raises(Refused, match="is not a number that can be set"):
        scene.guard.judge(PowerUp(core_v=value), scene.now())


def test_a_point_to_which_no_step_of_the_slew_leads_is_refused_and_not_remembered() -> None:
    def gap(wish: Megahertz) -> Megahertz:
        if wish == 512.5:
            raise UsageError("frequency_mhz", wish, "what dividers allow")
        return wish

    off = Scene().safe()
    off.guard._realise = gap
    with pytest.raises(Refused, match=r"no way there in steps of the slew: .*512.5") as refused:
        off.guard.judge(PowerUp(), off.now())
    assert refused.value.rule == "realisable"
    assert off.guard.requested.frequency_mhz is None
    live = Scene().live()
    live.guard._realise = gap
    before = live.guard.requested
    with pytest.raises(Refused, match="no way there"):
        live.guard.judge(SetOperatingPoint(frequency_mhz=500.0), live.now())
    assert live.guard.requested == before
    assert live.guard.judge(SetOperatingPoint(frequency_mhz=518.75), live.now())


def test_what_the_clock_cannot_give_at_all_is_refused_in_the_words_of_the_clock() -> None:
    def cannot(wish: Megahertz) -> Megahertz:
        raise UsageError("frequency_mhz", wish, "what dividers allow")

    scene = Scene().safe()
    scene.guard._realise = cannot
    with pytest.raises(Refused, match="what dividers allow") as refused:
        scene.guard.judge(PowerUp(), scene.now())
    assert refused.value.rule == "realisable"
    scene.guard._realise = lambda _: Megahertz(math.nan)
    with pytest.raises(Refused, match="cannot be set"):
        scene.guard.judge(PowerUp(), scene.now())
