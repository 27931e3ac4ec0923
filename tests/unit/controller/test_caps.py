"""A chip that runs slower than its board, as the guard judges it: what may be asked, and what no step may do."""

from __future__ import annotations

import math

import pytest

from controller.model import (
    CapChip,
    Cause,
    FaultRecord,
    GuardState,
    LimitSession,
    PowerDown,
    PowerUp,
    Quality,
    SessionLimits,
    SetOperatingPoint,
)
from controller.safety.caps import Stack
from controller.safety.commanded import Commanded, Realise, mean_mhz
from drivers.boards import BOARDS
from drivers.boards.board import Channel, CoreVoltage, Frequency, Step, SweepWindow
from drivers.errors import Latched, Refused, UsageError
from drivers.units import Megahertz, Volts
from tests.unit.controller.guarding import START, Scene
from tests.unit.controller.test_supply import input_v

THREE = Stack(chips=3)
SERIES = Stack(chips=3, domains=3)


def cap(scene: Scene, chip: int, mhz: float | None, *, preset: bool = False) -> tuple[Step, ...]:
    return scene.guard.judge(CapChip(chip=chip, frequency_mhz=mhz, preset=preset), scene.now())


def live(mhz: float = 525.0, stack: Stack = THREE, realise: Realise | None = None, **caps: float) -> Scene:
    """With these caps from before its power-up: `chip1=450.0`."""
    scene = Scene(stack=stack, realise=realise).safe()
    for chip, cap_mhz in caps.items():
        assert cap(scene, int(chip[4:]), cap_mhz) == ()
    return scene.live(mhz)


def clocks(scene: Scene) -> list[float | None]:
    return [scene.guard.commanded.clock_of(chip) for chip in range(scene.stack.chips)]


def ramp(steps: tuple[Step, ...], chip: int) -> list[float]:
    """The clocks that a chip goes through."""
    return [min(s.frequency_mhz, s.caps_mhz.get(chip, math.inf)) for s in steps if isinstance(s, Frequency)]


def refused(scene: Scene, step: Step, why: str) -> None:
    with pytest.raises(Refused, match=why):
        scene.guard.permit(step, scene.now())


# --- what moves -------------------------------------------------------------------------------------------------------


def test_a_chip_goes_down_by_slew_steps_and_its_window_follows_and_goes_up_behind_its_window() -> None:
    scene = live()
    down = cap(scene, 1, 490.0)
    assert ramp(down, 1) == [518.75, 512.5, 506.25, 500.0, 493.75, 490.0]
    assert set(ramp(down, 0)) == {525.0}
    assert down[-1] == SweepWindow(Megahertz(525.0), caps_mhz={1: Megahertz(490.0)})
    assert {step.settle_s for step in down[:-1]} == {0.1}
    scene.follow(down)
    assert clocks(scene) == [525.0, 490.0, 525.0]
    up = cap(scene, 1, None)
    assert ramp(up, 1) == [493.75, 500.0, 506.25, 512.5, 518.75, 525.0]
    assert up[0] == SweepWindow(Megahertz(525.0))
    assert up[-1] == Frequency(Megahertz(525.0))
    scene.follow(up)
    assert clocks(scene) == [525.0] * 3
    assert scene.guard.caps.wanted == {}


def test_a_cap_above_the_boards_clock_moves_nothing_and_holds_when_that_rises() -> None:
    scene = live(450.0)
    assert cap(scene, 2, 475.0) == ()
    steps = scene.guard.judge(SetOperatingPoint(frequency_mhz=500.0), scene.now())
    assert max(ramp(steps, 2)) == 475.0
    assert max(ramp(steps, 0)) == 500.0
    scene.follow(steps)
    assert clocks(scene) == [500.0, 500.0, 475.0]
    assert scene.guard.commanded.window_of(2) == 475.0
    assert cap(scene, 2, 510.0) != ()
    back = live(450.0, chip2=475.0)
    assert cap(back, 2, 510.0) == ()
    assert cap(back, 2, None) == ()


def test_every_way_that_writes_a_clock_goes_through_the_caps() -> None:
    scene = Scene(stack=THREE).safe()
    cap(scene, 0, 450.0)
    up = scene.guard.judge(PowerUp(frequency_mhz=500.0), scene.now())
    assert all(step.caps_mhz == {0: 450.0} for step in up if isinstance(step, Frequency | SweepWindow))
    scene.guard.started()
    scene.follow(up)
    scene.guard.reached()
    down = scene.guard.judge(PowerDown(), scene.now())
    assert ramp(down, 0)[:10] == [450.0] * 8 + [443.75, 437.5]
    assert down[-1].frequency_mhz == 0.0  # type: ignore[union-attr]
    scene.values.update({Channel.CHIP_C: 58.0, Channel.VR_C: 55.0, Channel.CORE_A: 11.0, Channel.POWER_W: 17.0})
    assert max(ramp(scene.guard.chips_again(scene.now()), 0)) == 450.0


def test_caps_outlive_a_safe_off_and_a_latch_and_what_the_chips_were_told_does_not() -> None:
    scene = live(500.0, chip1=450.0)
    scene.guard.latch(FaultRecord(cause=Cause.FAN, sensor=None, detail="x", at_s=scene.at_s, at_utc=START))
    for mhz in (475.0, None):
        with pytest.raises(Latched):
            cap(scene, 1, mhz)
    scene.guard.went_safe(scene.at_s)
    assert scene.guard.caps.wanted == {1: 450.0}
    assert scene.guard.commanded.caps_mhz == {}
    assert scene.guard.commanded.chips == 3


def test_asking_alone_is_remembered_nowhere() -> None:
    scene = live()
    scene.guard.check(CapChip(chip=1, frequency_mhz=500.0, dry_run=True), scene.now())
    assert scene.guard.caps.wanted == {}


def test_a_board_that_has_stopped_short_gets_the_window_that_fits_each_of_its_chips() -> None:
    scene = live()
    assert scene.guard.window_steps() == ()
    steps = cap(scene, 1, 475.0)
    scene.follow(steps[:3])
    assert scene.guard.window_steps() == (SweepWindow(Megahertz(525.0), caps_mhz={1: Megahertz(506.25)}),)
    scene.follow(scene.guard.window_steps())
    assert scene.guard.window_steps() == ()
    scene.follow(scene.guard.cap_steps(1))
    assert clocks(scene) == [525.0, 475.0, 525.0]
    scene.guard.state = GuardState.STARTING
    scene.guard.commanded.window_mhz = 500.0
    assert scene.guard.window_steps() == ()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stack", "chip", "mhz", "why"),
    [
        (Stack(), 1, 450.0, "chip: 1 is not allowed; allowed: 0, the only one"),
        (THREE, 3, 450.0, "chip: 3 is not allowed; allowed: 0 to 2"),
        (Stack(), 0, 450.0, "cap: the only chip runs at the board's clock: lower that"),
        (THREE, 0, math.nan, "envelope: frequency_mhz nan"),
        (THREE, 0, math.inf, "envelope: frequency_mhz inf"),
        (THREE, 0, 399.0, "envelope: frequency_mhz 399 MHz is outside 400 to 625 MHz"),
        (THREE, 0, 626.0, "envelope: frequency_mhz 626 MHz is outside 400 to 625 MHz"),
        (THREE, 0, 450.0, "change: 75 MHz in one command; at most 50 MHz without a preset"),
    ],
)
def test_what_cannot_be_is_refused_live_and_off(stack: Stack, chip: int, mhz: float, why: str) -> None:
    for scene in (Scene(stack=stack).live(), Scene(stack=stack).safe()):
        if scene.guard.state is GuardState.SAFE_OFF and why.startswith("change"):
            continue  # a board that is off has no clock to be far from
        with pytest.raises((Refused, UsageError)) as found:
            cap(scene, chip, mhz)
        assert str(found.value).startswith(why)
        assert scene.guard.caps.wanted == {}
    assert cap(Scene(stack=THREE).live(), 0, 450.0, preset=True)


def test_what_the_clock_cannot_give_is_no_cap_and_no_way_to_one() -> None:
    scene = live()
    scene.guard._realise = lambda wish: Megahertz(wish + 1.5)
    with pytest.raises(Refused, match="nearest clock is 501"):
        cap(scene, 1, 500.0)

    def only_the_goal(wish: Megahertz) -> Megahertz:
        if wish not in (500.0, 525.0):
            raise UsageError("frequency_mhz", wish, "what the PLL reaches")
        return wish

    scene.guard._realise = only_the_goal
    with pytest.raises(Refused, match="no way there in steps of the slew"):
        cap(scene, 1, 500.0)
    assert scene.guard.caps.wanted == {}


def test_one_chip_at_least_has_no_cap() -> None:
    scene = live(chip0=500.0, chip1=500.0)
    with pytest.raises(Refused, match="cap: chip 2, the last one without a cap, runs at the board's clock"):
        cap(scene, 2, 500.0)
    assert cap(scene, 1, 490.0)
    scene.guard.caps.wanted = {0: Megahertz(500.0)}
    assert cap(scene, 2, 500.0)


@pytest.mark.parametrize("state", [GuardState.UNKNOWN, GuardState.STARTING])
def test_a_board_that_is_neither_live_nor_off_is_not_asked(state: GuardState) -> None:
    scene = live()
    scene.guard.state = state
    with pytest.raises(Refused, match=f"state: a chip is capped .*, not {state.value}"):
        cap(scene, 1, 500.0)


def test_the_minimum_of_a_session_binds_caps_and_its_maximum_only_the_board() -> None:
    scene = live(500.0, chip1=450.0)
    with pytest.raises(Refused, match="chip 1: frequency_mhz 450 MHz is outside 475 to 625 MHz, the limit of this"):
        scene.guard.judge(LimitSession(limits=SessionLimits(frequency_mhz_min=475.0)), scene.now())
    off = Scene(stack=THREE).safe()
    cap(off, 1, 600.0)
    assert off.guard.judge(LimitSession(limits=SessionLimits(frequency_mhz_max=500.0)), off.now()) == ()


def test_a_raised_chip_needs_what_a_raised_board_needs_and_a_slowed_one_does_not() -> None:
    def of(mhz: float = 550.0) -> Scene:
        scene = live(mhz, chip1=520.0)
        scene.look()
        return scene

    scene = of()
    scene.quality[Channel.VR_C] = Quality.SUSPECT
    with pytest.raises(Refused, match="fresh: vr_c is suspect"):
        cap(scene, 1, None)
    assert cap(scene, 1, 500.0)
    scene = of()
    scene.chips = 2
    with pytest.raises(Refused, match="interlock: 2 of 3 BM1370 answered"):
        cap(scene, 1, None)
    assert cap(scene, 1, 500.0)
    scene = of()
    scene.values[Channel.CHIP_C] = 66.0
    with pytest.raises(Refused, match="above stock needs less than 65 C"):
        cap(scene, 1, None)
    assert cap(scene, 1, 500.0)
    cooler = of()
    cooler.values[Channel.CHIP_C] = 66.0
    assert cap(cooler, 1, 525.0), "up to stock there is no such limit"


def test_a_weak_supply_is_asked_for_the_mean_of_the_chips() -> None:
    scene = live(525.0, chip0=400.0, chip1=400.0)
    supply = scene.guard.supply
    supply.forget()
    for number in range(100):
        watts = 6.0 + 10.0 * min(1.0, number / 80)
        scene.at_s += 0.2
        scene.values[Channel.INPUT_V] = input_v(5.35, 0.16, watts)
        scene.values[Channel.POWER_W], scene.values[Channel.CORE_W] = watts, watts - 5.0
        supply.look(scene.now(), scene.guard.commanded)
    scene.values[Channel.CORE_W] = 11.0
    with pytest.raises(Refused, match=r"supply: the supply has 0\.16 ohm"):
        cap(scene, 0, None, preset=True)
    assert cap(scene, 0, 406.25)
    # One chip of three rises with the board; all three would be too many.
    assert scene.guard.judge(SetOperatingPoint(frequency_mhz=560.0), scene.now())
    scene.guard.caps.wanted = {}
    with pytest.raises(Refused, match="supply: "):
        scene.guard.judge(SetOperatingPoint(frequency_mhz=560.0), scene.now())


def test_while_the_board_gives_way_no_chip_is_raised_and_any_may_be_slowed() -> None:
    scene = live(525.0, chip1=500.0)
    scene.values[Channel.CHIP_C] = 71.0
    give = None
    for _ in range(30):
        scene.look()
        give = give or scene.guard.give_way(scene.now())
    assert give is not None
    scene.follow(scene.guard.steps_of(give))
    assert clocks(scene) == [518.75, 500.0, 518.75]
    for mhz in (None, 510.0):
        with pytest.raises(Refused, match=r"throttle: chip_c: .* nothing is raised until the board is back"):
            cap(scene, 1, mhz)
    assert cap(scene, 1, 490.0)


# --- before each step -------------------------------------------------------------------------------------------------


def test_no_step_takes_a_chip_above_its_cap_whoever_made_it() -> None:
    scene = live(481.25, chip1=475.0)
    scene.take(SweepWindow(Megahertz(487.5)))
    caps: dict[int, Megahertz]
    for caps in ({}, {1: Megahertz(481.25)}):
        refused(scene, Frequency(Megahertz(481.25), caps_mhz=caps), "chip 1 is capped at 475 MHz: not at 481.25 MHz")
    refused(scene, Frequency(Megahertz(478.0)), "chip 1 is capped at 475 MHz: not at 478 MHz")
    refused(
        scene, Frequency(Megahertz(487.5), caps_mhz={1: Megahertz(480.0)}), "chip 1 is capped at 475 MHz: not at 480"
    )
    scene.take(Frequency(Megahertz(487.5), caps_mhz={1: Megahertz(475.0)}))
    assert clocks(scene) == [487.5, 475.0, 487.5]


def test_each_chip_is_held_to_slew_floor_and_window() -> None:
    scene = live(500.0, chip1=475.0)
    scene.guard.caps.wanted = {}
    refused(scene, Frequency(Megahertz(500.0), caps_mhz={1: Megahertz(487.5)}), "12.5 MHz in one step")
    refused(
        scene, Frequency(Megahertz(500.0), caps_mhz={1: Megahertz(481.25)}), "the window is for 475 MHz: too long for"
    )
    for mhz in (500.0, 493.75):
        caps = {1: Megahertz(475.0), 2: Megahertz(40.0)}
        refused(scene, Frequency(Megahertz(mhz), caps_mhz=caps), "40 MHz is below the floor")
    refused(scene, Frequency(Megahertz(506.25), caps_mhz={1: Megahertz(475.0)}), "the window is for 500 MHz: too long")
    refused(
        scene,
        SweepWindow(Megahertz(500.0), caps_mhz={0: Megahertz(490.0)}),
        "490 MHz is longer than the share of a core",
    )
    refused(scene, SweepWindow(Megahertz(490.0)), "490 MHz is longer than the share of a core at 500")
    scene.take(SweepWindow(Megahertz(500.0), caps_mhz={1: Megahertz(481.25)}))
    scene.take(Frequency(Megahertz(500.0), caps_mhz={1: Megahertz(481.25)}))
    assert scene.guard.commanded.window_of(1) == clocks(scene)[1] == 481.25


def test_a_round_in_which_no_chip_rises_needs_no_permission_not_even_of_a_latched_board() -> None:
    scene = live(500.0, chip1=475.0)
    scene.guard.latch(FaultRecord(cause=Cause.FAN, sensor=None, detail="x", at_s=scene.at_s, at_utc=START))
    scene.take(Frequency(Megahertz(493.75), caps_mhz={1: Megahertz(468.75)}))
    with pytest.raises(Latched):
        scene.guard.permit(Frequency(Megahertz(487.5), caps_mhz={1: Megahertz(475.0)}), scene.now())


# --- chips in series --------------------------------------------------------------------------------------------------


def test_a_slow_chip_in_series_takes_volts_from_the_others() -> None:
    """The same current through all: c f V is the same, so that 1/f shares the rail."""
    assert Stack(chips=12, domains=12).highest_v(0.275, 300.0, {}) == pytest.approx(0.275)
    assert Stack(chips=12, domains=12).highest_v(0.275, 300.0, {5: 150.0}) == pytest.approx(12 * 0.275 * 2 / 13)
    # Two in parallel are as slow as both together, and the slowest are taken to be neighbours.
    six = Stack(chips=6, domains=3)
    assert six.highest_v(1.2, 500.0, {0: 250.0}) == pytest.approx(3.6 / 750 / (1 / 750 + 2 / 1000))
    assert six.highest_v(1.2, 500.0, {0: 250.0, 5: 250.0}) == pytest.approx(3.6 / 500 / (1 / 500 + 2 / 1000))
    assert Stack(chips=2, domains=1).highest_v(1.15, 525.0, {0: 100.0}) == pytest.approx(1.15)


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_the_chips_of_a_row_stand_in_domains_of_equal_size(name: str) -> None:
    """And at its stock point a chip may be slowed down by a twentieth, whichever board it is on."""
    kind = BOARDS[name]
    stack = Stack(chips=kind.chips, domains=kind.plausibility.domains)
    assert stack.chips % stack.domains == 0
    e = kind.envelope
    slow = 0.95 * e.stock_frequency_mhz
    assert stack.highest_v(e.stock_core_v, e.stock_frequency_mhz, {0: slow}) < e.core_v_hard


def test_what_would_give_a_slow_chip_more_than_the_hard_limit_is_refused_whoever_asks() -> None:
    # At 1.15 V for each of three, 1.35 V at most: not below 0.778 of the board's clock.
    assert SERIES.highest_v(1.15, 525.0, {0: 408.4}) == pytest.approx(1.350, abs=1e-3)
    scene = live(525.0, SERIES)
    with pytest.raises(
        Refused, match=r"stack: chip 1 at 406 MHz, the others at 525 MHz: of 1.15 V .* would take 1\.355"
    ):
        cap(scene, 1, 406.0, preset=True)
    scene.follow(cap(scene, 1, 420.0, preset=True))
    for wish in ({"frequency_mhz": 550.0}, {"core_v": 1.2}, {"frequency_mhz": 545.0, "core_v": 1.11}):
        with pytest.raises(Refused, match="stack: chip 1 at 420 MHz"):
            scene.guard.judge(SetOperatingPoint.model_validate({**wish, "preset": True}), scene.now())
    off = Scene(stack=SERIES).safe()
    cap(off, 1, 406.0)
    with pytest.raises(Refused, match="stack: chip 1 at 406 MHz"):
        off.guard.judge(PowerUp(), off.now())
    assert off.guard.judge(PowerUp(frequency_mhz=450.0), off.now())


def test_a_board_that_has_given_way_is_held_to_the_point_that_it_comes_back_to() -> None:
    scene = live(525.0, SERIES)
    scene.values[Channel.CHIP_C] = 71.0
    for _ in range(40):
        scene.look()
        if (give := scene.guard.give_way(scene.now())) is not None:
            scene.follow(scene.guard.steps_of(give))
            scene.values[Channel.CHIP_C] = 71.0
    assert (scene.guard.commanded.frequency_mhz or 0.0) < 520.0
    with pytest.raises(Refused, match="stack: chip 1 at 406 MHz, the others at 525 MHz"):
        cap(scene, 1, 406.0, preset=True)


def test_no_step_makes_the_volts_of_chips_in_series_uneven_not_even_one_that_only_falls() -> None:
    scene = live(525.0, SERIES, chip1=418.75)
    refused(scene, Frequency(Megahertz(525.0), caps_mhz={1: Megahertz(406.25)}), "stack: chip 1 at 406.25 MHz")
    scene.take(SweepWindow(Megahertz(545.0), caps_mhz={1: Megahertz(418.75)}))
    scene.take(Frequency(Megahertz(531.25), caps_mhz={1: Megahertz(418.75)}))
    scene.take(Frequency(Megahertz(537.5), caps_mhz={1: Megahertz(418.75)}))
    refused(scene, Frequency(Megahertz(543.75), caps_mhz={1: Megahertz(418.75)}), "stack: chip 1 at 418.75 MHz")
    refused(scene, CoreVoltage(Volts(1.16)), "stack: chip 1 at 418.75 MHz")
    scene.take(Frequency(Megahertz(525.0), caps_mhz={1: Megahertz(418.75)}))


# --- what is reckoned -------------------------------------------------------------------------------------------------


def test_power_goes_by_the_mean_of_the_clocks() -> None:
    assert mean_mhz(500.0, {0: 400.0, 2: 600.0}, 4) == 475.0
    assert Commanded(chips=2, frequency_mhz=500.0, caps_mhz={1: 400.0}).mean_mhz == 450.0
    assert Commanded(chips=2, caps_mhz={1: 400.0}).mean_mhz is None
    assert Commanded(chips=2, caps_mhz={1: 400.0}).clock_of(1) is None


def test_a_chip_that_reads_another_clock_than_its_own_is_a_fault_and_one_that_reads_its_cap_is_none() -> None:
    scene = live(500.0, chip1=475.0)
    scene.reads_mhz = {0: 500.0, 1: 475.4, 2: 500.0}
    for _ in range(20):
        assert scene.look() is None
    scene.reads_mhz[1] = 500.0
    assert scene.look() is None, "once is no fault"
    fault = scene.look()
    assert (fault.cause, fault.sensor) == (Cause.ACTUATION, "frequency_mhz")
    assert fault.detail == "chip 1: commanded 475, reads 500, 2 times (tolerance 1)"


def test_a_cap_is_held_to_what_the_clock_of_its_chip_can_give_for_it() -> None:
    scene = live(500.0, realise=lambda wish: Megahertz(474.2) if wish == 475.0 else wish, chip1=475.0)
    scene.reads_mhz = {0: 500.0, 1: 473.5, 2: 500.0}
    for _ in range(5):
        assert scene.look() is None
    scene.reads_mhz[1] = 475.4
    scene.look()
    assert scene.look().detail == "chip 1: commanded 474.2, reads 475.4, 2 times (tolerance 1)"


def test_what_was_read_before_a_chip_was_moved_or_while_it_is_moved_counts_not() -> None:
    scene = live(500.0)
    scene.reads_mhz = dict.fromkeys(range(3), 500.0)
    (step, *_) = cap(scene, 2, 493.75)
    scene.guard.permit(step, scene.now())
    for _ in range(3):
        assert scene.look() is None
    scene.guard.applied(step, scene.at_s)
    scene.reads_mhz[2] = 493.75
    for _ in range(3):
        assert scene.look() is None
