"""What channels say of each other: a good trace raises no doubt, a bad one is doubted in time and by its name."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest

from controller.model import Quality
from controller.safety.commanded import Commanded
from controller.safety.crosschecks import odd_efficiency
from drivers.boards import BOARDS
from drivers.boards.board import Channel, PowerLaw
from drivers.boards.plausibility import CoreFromInput
from tests.unit.controller.guarding import ENVELOPE
from tests.unit.controller.living import LIMITS, PERIOD_S, K, Spoil, World, frozen, holds


@pytest.mark.parametrize("seed", range(4))
def test_a_board_that_lives_raises_no_doubt_through_starts_moves_rest_and_stops(seed: int) -> None:
    world = World(seed=seed)
    for core_v in (1.0, 1.15, 1.18):
        world.run(20.0).point(50.0, core_v).run(2.0).point(400.0, core_v).run(40.0)
        world.point(575.0, core_v).run(150.0).point(400.0, 1.0).run(100.0).off().run(30.0)
    assert world.bad == []


def test_a_settled_board_raises_no_doubt_in_an_hour_even_when_its_regulator_shows_whole_degrees() -> None:
    world = World().point(525.0)
    world.spoil = lambda at_s, values: values.update({Channel.VR_C: float(round(world.vr_c))})
    assert world.run(3600.0).bad == []


def test_a_board_that_somebody_else_has_powered_raises_no_doubt_in_one_who_only_looks() -> None:
    world = World()
    world.told, world.working = Commanded(), False
    assert world.point(525.0).run(900.0).bad == []


# --- stuck ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "after_s"),
    [(Channel.CHIP_C, 60.0), (Channel.CORE_A, 60.0), (Channel.CORE_V, 120.0), (Channel.INPUT_V, 120.0)],
)
def test_a_value_that_repeats_itself_while_the_board_works_is_doubted_and_then_invalid(
    channel: Channel, after_s: float
) -> None:
    world = World().point(525.0).run(300.0)
    world.spoil = frozen(world, channel)
    assert world.until(Quality.SUSPECT, channel, 300.0) == pytest.approx(after_s, abs=2.0)
    assert world.evidence(channel).startswith("stuck: read ")
    assert "samples over" in world.evidence(channel)
    assert world.until(Quality.INVALID, channel, 10.0) == pytest.approx(LIMITS.doubt_s, abs=0.3)
    assert world.channels() <= {channel, Channel.CORE_W}


def test_repeating_itself_is_allowed_while_the_board_is_off_or_draws_little() -> None:
    world = World()
    world.spoil = holds(chip_c=33.0)
    assert world.run(200.0).bad == []
    assert world.point(50.0).run(200.0).bad == []


def test_a_die_that_stays_where_it_was_after_a_power_step_is_doubted_20_s_later() -> None:
    world = World().point(400.0, 1.0).run(400.0)
    still_c = world.readings[Channel.CHIP_C].value or 0.0
    world.spoil = lambda at_s, values: values.update({Channel.CHIP_C: still_c + 0.125 * world.rng.randrange(2)})
    world.run(10.0).point(575.0, 1.15)
    assert world.until(Quality.SUSPECT, Channel.CHIP_C, 40.0) == pytest.approx(LIMITS.chip.moves_within_s, abs=6.0)
    assert world.evidence(Channel.CHIP_C).startswith("stuck: moved by 0.")
    assert re.search(r"after the core power went from 5\.\d to 1\d\.\d W", world.evidence(Channel.CHIP_C))


def test_a_current_that_was_misread_during_a_small_move_leaves_no_doubt_of_the_die() -> None:
    """The power seems to rise from nothing to what it was; the die, which knows better, stays where it is."""
    world = World().point(450.0, 1.1).run(400.0)
    world.spoil = holds(core_a=-0.5)
    world.point(475.0, 1.1).run(5.0)
    world.spoil = lambda at_s, values: None
    world.run(60.0)
    assert Channel.CHIP_C not in world.channels()
    assert Channel.VR_C not in world.channels()


def test_a_regulator_that_stays_where_it_was_is_doubted_only_when_it_was_settled_before() -> None:
    for settled_s, bad in ((400.0, True), (100.0, False)):
        world = World().point(400.0, 1.0).run(settled_s)
        world.spoil = frozen(world, Channel.VR_C)
        world.point(525.0, 1.1).run(140.0)
        assert (Channel.VR_C in world.channels()) is bad


def still(world: World) -> Spoil:
    """A die that reads what it read last, but for its noise."""
    at_c = world.readings[Channel.CHIP_C].value or 0.0
    return lambda at_s, values: values.update({Channel.CHIP_C: at_c + 0.125 * world.rng.randrange(2)})


def test_a_step_that_was_not_over_when_the_rail_went_off_is_forgotten() -> None:
    world = World().point(400.0, 1.0).run(400.0)
    world.spoil = still(world)
    world.point(575.0, 1.15).run(15.0).off().run(4.0).point(50.0, 1.0).run(15.0)
    assert [each for each in world.bad if each[3].startswith("stuck")] == []


def test_what_a_board_drew_before_its_rail_went_off_is_no_step_of_the_next_start() -> None:
    for law in (LIMITS.power_law, None):  # without a law, any step was asked for
        world = World(dataclasses.replace(LIMITS, power_law=law, die_from_regulator=None)).point(575.0).run(200.0)
        world.spoil = still(world)
        world.off().run(1.0).point(50.0, 1.0).run(40.0)
        assert world.bad == []


def test_a_peak_of_power_between_two_moves_is_no_level_that_a_step_leaves() -> None:
    """Gamma, SEED=5 ONLY=9204: the clock rises for 3 s, then the voltage falls. The peak has warmed nothing."""
    world = World().point(400.0, 1.2).run(200.0)
    for step in range(1, 29):
        world.point(400.0 + 6.25 * step, 1.2).run(0.1 if step % 2 else PERIOD_S)
    world.point(575.0, 1.06).run(60.0)
    assert world.bad == []


def test_what_was_asked_for_before_the_rail_went_off_is_not_asked_for_after_it() -> None:
    """A current that is misread at the start, and then is right, steps by what the point before it would explain."""
    world = World(dataclasses.replace(LIMITS, die_from_regulator=None)).point(575.0).run(200.0)
    world.spoil = still(world)
    world.off().run(1.0).point(50.0, 1.0)
    die = world.spoil

    def misread(at_s: float, values: dict[Channel, float | None]) -> None:
        die(at_s, values)
        values[Channel.CORE_A] = (values[Channel.CORE_A] or 0.0) + 10.0

    world.spoil = misread
    world.run(4.5)
    world.spoil = die
    world.run(40.0)
    assert world.bad == []


def test_where_no_law_of_power_is_known_a_step_that_nobody_commanded_says_nothing_of_the_die() -> None:
    world = World(dataclasses.replace(LIMITS, power_law=None, die_from_regulator=None)).point(575.0).run(100.0)
    world.spoil = still(world)
    world.excess_w = -6.0
    assert world.run(50.0).bad == []


def test_a_doubt_goes_when_the_sensor_lives_again() -> None:
    world = World().point(525.0).run(100.0)
    world.spoil = frozen(world, Channel.CHIP_C)
    world.until(Quality.INVALID, Channel.CHIP_C, 100.0)
    world.spoil = lambda at_s, values: None
    world.run(5.0)
    assert world.readings[Channel.CHIP_C].quality is Quality.GOOD


# --- two thermometers -------------------------------------------------------------------------------------------------


def test_a_die_that_reads_far_from_what_the_regulator_lets_expect_is_doubted_with_both_numbers() -> None:
    world = World().point(525.0).run(400.0)
    true_c = world.readings[Channel.CHIP_C].value or 0.0
    low_by_c = 0.0

    def drift(at_s: float, values: dict[Channel, float | None]) -> None:
        nonlocal low_by_c
        low_by_c = min(30.0, low_by_c + 0.2)
        values[Channel.CHIP_C] = (values[Channel.CHIP_C] or 0.0) - low_by_c

    world.spoil = drift
    took_s = world.until(Quality.SUSPECT, Channel.CHIP_C, 60.0)
    assert 20.0 < took_s < 40.0
    assert world.readings[Channel.VR_C].quality is Quality.SUSPECT
    evidence = world.evidence(Channel.CHIP_C)
    assert evidence.startswith("disagreement: chip_c reads ")
    assert ", vr_c " in evidence
    assert "C apart (limit 20 C); one of both is wrong, or the die has lost its heatsink" in evidence
    assert f"lets expect {true_c:.1f} C"[:14] in evidence


@pytest.mark.parametrize(("channel", "other"), [(Channel.CHIP_C, Channel.VR_C), (Channel.VR_C, Channel.CHIP_C)])
def test_the_one_of_two_that_jumped_before_is_the_one_that_is_doubted(channel: Channel, other: Channel) -> None:
    world = World().point(525.0).run(400.0)
    world.spoil = holds(**{channel.value: 20.0})
    assert world.until(Quality.SUSPECT, channel, 1.0) == 0.2
    assert world.run(0.4).readings[channel].quality is Quality.GOOD
    assert world.until(Quality.SUSPECT, channel, 10.0) < 7.0
    world.until(Quality.INVALID, channel, 7.0)
    assert other not in world.channels()
    assert "one of both" not in world.evidence(channel)


def warmer_and_warmer(world: World, up_to_c: float) -> Spoil:
    high_by_c = 0.0

    def drift(at_s: float, values: dict[Channel, float | None]) -> None:
        nonlocal high_by_c
        high_by_c = min(up_to_c, high_by_c + 0.4)
        values[Channel.CHIP_C] = (values[Channel.CHIP_C] or 0.0) + high_by_c

    return drift


def test_a_die_that_is_too_warm_for_its_regulator_is_doubted_below_the_warning_level_and_believed_above() -> None:
    world = World(ambient_c=10.0).point(400.0, 1.0).run(600.0)
    world.spoil = warmer_and_warmer(world, 24.0)
    world.until(Quality.INVALID, Channel.CHIP_C, 40.0)
    assert "or the die has lost its heatsink" in world.evidence(Channel.CHIP_C)
    world = World().point(525.0).run(600.0)
    world.spoil = warmer_and_warmer(world, 28.0)
    assert world.run(60.0).bad == []
    assert (world.readings[Channel.CHIP_C].value or 0.0) > ENVELOPE.chip_c_trip


def test_a_doubted_current_above_its_trip_level_is_invalid_at_once() -> None:
    world = World().point(525.0).run(400.0)
    world.spoil = lambda at_s, values: values.update({Channel.CORE_A: 30.0 + 0.03 * world.rng.randrange(3)})
    assert world.until(Quality.INVALID, Channel.CORE_A, 10.0) <= 5.0
    assert ", and 30" in world.evidence(Channel.CORE_A)
    assert "is at or above its trip level" in world.evidence(Channel.CORE_A)


# --- power ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("input_w", "core_w", "percent"),
    [(20.0, 17.0, None), (20.0, 13.0, 65), (20.0, 19.8, 99), (0.0, 12.0, math.inf), (4.0, 0.5, None)],
)
def test_an_efficiency_outside_70_to_97_per_cent_is_odd_where_there_is_power_to_tell(
    input_w: float, core_w: float, percent: float | None
) -> None:
    found = odd_efficiency(input_w, core_w, LIMITS)
    if percent is None:
        assert found is None
    else:
        assert found == f"core_w {core_w:.1f} W of input_w {input_w:.1f} W is {percent:.0f} %, outside 70 to 97 %"


def test_what_never_reaches_the_regulator_is_not_held_against_it() -> None:
    limits = dataclasses.replace(LIMITS, auxiliary_w=4.0)
    assert odd_efficiency(14.0, 9.0, limits) is None
    assert odd_efficiency(14.0, 9.0, LIMITS) is not None


def test_an_input_power_that_does_not_fit_is_doubted_after_3_s_and_then_invalid() -> None:
    world = World().point(525.0).run(100.0)
    world.spoil = holds(input_w=40.0)
    took_s = world.until(Quality.SUSPECT, Channel.INPUT_W, 10.0)
    assert 3.0 <= took_s <= 5.0
    assert world.evidence(Channel.INPUT_W).startswith("efficiency: core_w ")
    world.until(Quality.INVALID, Channel.INPUT_W, 7.0)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5])
def test_a_current_that_does_not_fit_volts_clock_and_die_is_doubted_within_5_s(factor: float) -> None:
    world = World().point(525.0).run(400.0)

    def scale(at_s: float, values: dict[Channel, float | None]) -> None:
        values[Channel.CORE_A] = (values[Channel.CORE_A] or 0.0) * factor + 0.03 * world.rng.randrange(3)

    world.spoil = scale
    assert 3.0 <= world.until(Quality.SUSPECT, Channel.CORE_A, 10.0) <= 5.0
    assert world.evidence(Channel.CORE_A).startswith("power: core_w ")
    assert re.search(r" from core_v 1\.\d{3} V and core_a \d+\.\d\d A, ", world.evidence(Channel.CORE_A))
    assert "W of this board at 525 MHz and chip_c " in world.evidence(Channel.CORE_A)
    world.until(Quality.INVALID, Channel.CORE_A, 7.0)
    assert world.channels() == {Channel.CORE_A, Channel.CORE_W}


def test_where_nothing_measures_the_core_current_the_power_at_the_input_is_doubted() -> None:
    world = World(dataclasses.replace(LIMITS, core_from_input=CoreFromInput(auxiliary_w=2.0, efficiency=0.85)))
    factor = 1.0

    def at_input(at_s: float, values: dict[Channel, float | None]) -> None:
        watts = 2.0 + factor * world.core_w / 0.85
        values.update({Channel.INPUT_W: watts + 0.03 * world.rng.randrange(3), Channel.CORE_A: None})

    world.spoil = at_input
    world.point(525.0).run(400.0)
    factor = 1.7
    assert 3.0 <= world.until(Quality.SUSPECT, Channel.INPUT_W, 10.0) <= 5.0
    assert re.search(r"^power: core_w \d+\.\d W from input_w \d+\.\d W, ", world.evidence(Channel.INPUT_W))


def alternating(world: World, odd_s: float, even_s: float, odd: Spoil, even: Spoil) -> Spoil:
    def spoil(at_s: float, values: dict[Channel, float | None]) -> None:
        (odd if at_s % (odd_s + even_s) < odd_s else even)(at_s, values)

    return spoil


def half_as_much_again(at_s: float, values: dict[Channel, float | None]) -> None:
    values[Channel.CORE_A] = (values[Channel.CORE_A] or 0.0) * 1.5


def test_a_power_that_does_not_fit_counts_from_the_last_moment_that_was_no_measure_of_it() -> None:
    world = World().point(525.0).run(400.0)
    world.spoil = half_as_much_again
    for _ in range(8):
        world.run(4.0).point(525.0)  # judged for 2 s of each 4
    assert world.bad == []
    world = World().point(525.0).run(400.0)
    world.spoil = alternating(world, 2.0, 2.0, half_as_much_again, holds(core_v=0.4))
    world.run(30.0)
    assert [each for each in world.bad if each[3].startswith("power")] == []


def test_a_load_too_small_to_tell_is_not_judged() -> None:
    world = World().point(50.0).run(60.0)
    world.spoil = lambda at_s, values: values.update({Channel.CORE_A: 3.0 + 0.03 * world.rng.randrange(3)})
    assert world.run(60.0).bad == []


def test_a_load_too_small_to_tell_teaches_nothing() -> None:
    world = World()
    world.spoil = lambda at_s, values: values.update({Channel.CORE_A: (values[Channel.CORE_A] or 0.0) * 0.65})
    world.point(50.0).run(120.0)
    world.spoil = lambda at_s, values: None
    assert world.point(575.0).run(20.0).bad == []


def test_a_die_that_is_not_known_may_be_any_that_the_regulator_lets_expect() -> None:
    world = World(ambient_c=-10.0).point(575.0).run(400.0)
    assert world.die_c < 22.0
    world.spoil = lambda at_s, values: values.update({Channel.CHIP_C: None})
    world.run(60.0)
    assert not world.channels() & {Channel.CORE_A, Channel.CORE_W}


def test_what_the_die_read_before_the_rail_went_off_bears_no_witness_after_it() -> None:
    world = World(dataclasses.replace(LIMITS, die_from_regulator=None)).point(575.0).run(400.0)
    world.off().run(400.0)
    world.spoil = lambda at_s, values: values.update({Channel.CORE_A: 15.0 + 0.03 * world.rng.randrange(3)})
    world.point(575.0)
    world.until(Quality.SUSPECT, Channel.CORE_A, 10.0)
    assert "the die has followed" not in world.evidence(Channel.CORE_A)
    assert "or the die is warmer than it reads" in world.evidence(Channel.CORE_A)


def test_a_current_that_stays_while_the_clock_rises_is_the_sensors_fault_and_not_the_chips() -> None:
    world = World().point(400.0).run(300.0)
    still_a = world.readings[Channel.CORE_A].value or 0.0
    world.spoil = lambda at_s, values: values.update({Channel.CORE_A: still_a + 0.03 * world.rng.randrange(3)})
    world.point(625.0)
    assert world.until(Quality.SUSPECT, Channel.CORE_A, 10.0) <= 7.0
    assert "the die has followed" not in world.evidence(Channel.CORE_A)
    assert world.channels() == {Channel.CORE_A, Channel.CORE_W}


def test_a_power_that_the_die_has_followed_is_believed_and_not_blamed_on_a_sensor() -> None:
    world = World().point(525.0).run(400.0)
    world.excess_w = 6.0
    world.until(Quality.INVALID, Channel.CORE_W, 15.0)
    assert "; the die has followed: the chips draw too much" in world.evidence(Channel.CORE_W)
    assert world.evidence(Channel.CORE_W).startswith("power: core_w ")
    assert world.channels() == {Channel.CORE_W}


def test_chips_that_stop_are_no_fault_of_the_current_sensor() -> None:
    world = World().point(525.0).run(400.0)
    world.excess_w = -11.0
    assert world.run(20.0).bad == []


def test_a_power_that_another_die_would_explain_names_both() -> None:
    world = World(dataclasses.replace(LIMITS, die_from_regulator=None, power_step_w=1000.0))
    world.spoil = lambda at_s, values: values.update({Channel.CHIP_C: 25.0 + 0.125 * world.rng.randrange(2)})
    world.k, world.sink_c = 0.0225, 50.0
    world.point(525.0)
    world.until(Quality.SUSPECT, Channel.CHIP_C, 200.0)
    assert world.readings[Channel.CORE_A].quality is Quality.SUSPECT
    assert world.evidence(Channel.CHIP_C) == world.evidence(Channel.CORE_A)
    assert "; or the die is warmer than it reads" in world.evidence(Channel.CHIP_C)


@pytest.mark.parametrize(("k", "doubted"), [(0.0105, False), (0.0092, True)])
def test_the_colder_a_die_the_less_is_known_of_what_its_board_draws(k: float, doubted: bool) -> None:
    """Gamma, SEED=9 ONLY=9690: a frugal unit in a cold room, 0.58 of its kind, where 0.6 holds at 60 C alone."""
    world = World(LIMITS, ambient_c=4.0)
    world.k = k
    world.point(400.0, 1.25).run(29.0)
    assert ({Channel.CORE_A, Channel.CHIP_C} <= world.channels()) is doubted
    assert doubted or world.bad == []


def test_how_much_a_chip_without_work_draws_at_least_is_not_known_and_not_judged() -> None:
    world = World()
    world.working = False
    world.point(525.0)
    world.run(5.0)
    world.excess_w = -8.0
    assert world.run(120.0).bad == []


def test_what_a_board_has_taught_is_forgotten_with_its_rail() -> None:
    """Gamma, SEED=8 ONLY=3945: a current that was misread on a board without work, which nobody could switch off."""
    world = World()
    world.working = False
    world.point(525.0)
    world.spoil = lambda at_s, values: values.update({Channel.CORE_A: (values[Channel.CORE_A] or 0.0) * 0.5})
    world.run(70.0).off().run(5.0)
    world.spoil = lambda at_s, values: None
    world.bad.clear()
    assert world.point(525.0).run(60.0).bad == []


def test_work_that_begins_starts_the_learning_anew() -> None:
    world = World()
    world.working = False
    world.excess_w = -4.0
    world.point(525.0).run(120.0)
    world.excess_w, world.working = 0.0, True
    assert world.run(120.0).bad == []


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_a_persistent_jump_can_be_believed_before_it_is_invalid_on_every_board(board: str) -> None:
    limits = BOARDS[board].plausibility
    assert limits.agreeing <= limits.bad_in_a_row
    for sensor in (limits.chip, limits.vr):
        assert sensor.rate_moving_c_per_s >= sensor.rate_c_per_s > 0.0
        jump_in_a_sweep_c = sensor.rate_moving_c_per_s * (PERIOD_S + sensor.age_s) + sensor.jitter_c
        assert jump_in_a_sweep_c < 20.0  # bitaxeGamma issue 16


def test_a_row_of_boards_may_override_any_limit() -> None:
    patient = dataclasses.replace(LIMITS, doubt_s=30.0, power_law=PowerLaw(k_w_per_v2_mhz=K))
    world = World(patient).point(525.0).run(100.0)
    world.spoil = frozen(world, Channel.CHIP_C)
    world.until(Quality.SUSPECT, Channel.CHIP_C, 100.0)
    assert world.until(Quality.INVALID, Channel.CHIP_C, 40.0) == pytest.approx(30.0, abs=0.3)
