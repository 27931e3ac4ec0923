"""`permit` and `judge`, one row at a time: whatever else is in order, this one thing is enough to refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest

from controller.model import PowerUp, Quality, SetOperatingPoint
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
from tests.unit.controller.guarding import Scene


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
