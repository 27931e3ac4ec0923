"""The judge of the campaign: what it lets pass, what it declares, and what it calls a failure."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from controller.model import Cause, GuardState, PowerUp
from drivers.boards import BOARDS
from emulator.benches import BENCHES, BenchSettings
from emulator.faults import ACTIONS
from emulator.faults.actions import OFF
from tests.campaign import judge
from tests.campaign.catalogue import LEFT_OUT, Excuse, Fault, catalogue_of, channels, draw, inapplicable
from tests.campaign.life import Life, Move, Trip, Truth
from tests.campaign.report import bounds
from tests.campaign.scenario import scenario
from tests.campaign.subject import GAMMA, LEASED, subject_of

CALM: dict[str, Any] = {
    "die_c": 55.0,
    "vr_c": 60.0,
    "core_v": 1.125,
    "core_a": 12.0,
    "chip_w": 13.5,
    "input_w": 18.0,
    "input_v": 5.1,
    "rpm": 5000.0,
    "frequency_mhz": 525.0,
    "rail_on": True,
    "share_right": 0.99,
    "weakest_right": 0.99,
    "burnt": False,
}
ON_S = 2.0


def truth(*spells: tuple[float, dict[str, Any]], lasts_s: float = 120.0) -> list[Truth]:
    """The grid of the plant: off until 2 s, then calm, and from each moment on as told."""
    found = []
    for number in range(int(lasts_s * 20)):
        at_s = number / 20
        now = dict(CALM)
        if at_s < ON_S + 1.0:
            now["frequency_mhz"] = 0.0
        for since_s, change in spells:
            if at_s >= since_s:
                now |= change
        found.append(Truth(at_s=at_s, **now | ({"rail_on": False, "core_v": 0.0} if at_s < ON_S else {})))
    return found


def life(*spells: tuple[float, dict[str, Any]], **more: Any) -> Life:
    given: dict[str, Any] = {
        "truth": truth(*spells),
        "moves": [Move(ON_S, "rail on"), Move(ON_S + 0.5, "reset released")],
        "end_state": GuardState.LIVE,
        "end_rail_on": True,
        "end_reset_asserted": False,
    }
    return Life(**given | more)


def fault(
    action: str, at_s: float = 50.0, for_s: float | None = None, *excuses: Excuse, causes: tuple[Cause, ...] = ()
) -> Fault:
    return Fault(at_s, action, {}, for_s, frozenset(causes), frozenset(excuses))


def verdict(lived: Life, *faults: Fault, board: str = GAMMA) -> judge.Verdict:
    told = scenario(1, 0, 2.0)
    settled = type(told)(1, 0, 2.0, BenchSettings(), told.operator, (), faults, board)
    return judge.judge(settled, lived)


def test_a_calm_life_keeps_every_promise() -> None:
    assert verdict(life()) == judge.Verdict((), ())


# --- excursions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"die_c": 78.1}, "die 78.100 C"),
        ({"vr_c": 106.5}, "regulator 106.500 C"),
        ({"core_v": 1.41}, "core voltage 1.410 V"),
        ({"core_a": 31.6}, "core current 31.600 A"),
        ({"input_w": 41.5}, "input power 41.500 W"),
    ],
)
def test_each_quantity_beyond_its_bound_is_an_excursion(change: dict[str, Any], text: str) -> None:
    (failure,) = verdict(life((60.0, change))).failures
    assert text in failure


def test_power_may_be_too_high_for_as_long_as_its_debounce_takes() -> None:
    assert verdict(life((60.0, {"input_w": 45.0}), (60.7, {"input_w": 18.0}))).failures == ()
    assert len(verdict(life((60.0, {"input_w": 45.0}), (61.0, {"input_w": 18.0}))).failures) == 1


def test_a_heatsink_that_comes_off_is_declared_as_far_as_physics_goes_and_no_further() -> None:
    off = fault("loosen_heatsink", 50.0, None, Excuse.NO_COOLING)
    assert verdict(life((60.0, {"die_c": 90.0})), off).declared
    assert verdict(life((60.0, {"die_c": 91.5})), off).failures
    assert verdict(life((40.0, {"die_c": 90.0})), off).failures, "before it came off"
    assert verdict(life((60.0, {"die_c": 90.0})), fault("stall_fan", 50.0, None, Excuse.NO_COOLING)).failures


def test_one_fault_that_blinds_is_no_excuse_for_heat_but_two_are_declared() -> None:
    hot = life((60.0, {"die_c": 95.0}))
    blind = fault("misread", 40.0, None, Excuse.BLIND)
    heat = fault("stall_fan", 50.0, None, Excuse.NO_COOLING)
    assert verdict(hot, blind).failures
    assert verdict(hot, heat).failures
    both = verdict(hot, blind, heat)
    assert both.failures == ()
    assert "two faults: stall_fan and misread" in both.declared[0]
    assert verdict(hot, fault("misread", 20.0, 5.0, Excuse.BLIND), heat).failures, "it had ended"


def test_a_die_is_declared_where_neither_port_carries_a_byte_and_nowhere_else() -> None:
    hot = life((60.0, {"die_c": 95.0, "vr_c": 107.0}))
    dead = fault("panic", 50.0, None, Excuse.NOBODY_STOPS_IT)
    assert verdict(hot, dead).failures == ()
    assert len(verdict(hot, dead).declared) == 2
    assert verdict(hot, fault("panic", 70.0, None, Excuse.NOBODY_STOPS_IT)).failures, "it comes later"
    assert verdict(hot, fault("wedge", 50.0, None, Excuse.NOBODY_REACHES_IT, Excuse.RAIL_STAYS)).failures
    rng, about = random.Random(1), subject_of(GAMMA)
    dead_too = {
        action for action in catalogue_of(GAMMA) if Excuse.NOBODY_STOPS_IT in draw(rng, 1.0, about, action).excuses
    }
    assert dead_too == {"panic", "unplug_usb"}


def low(by: float, at_s: float, over_s: float = 0.0, for_s: float | None = None, channel: str = "chip_c") -> Fault:
    return Fault(at_s, "offset", {"channel": channel, "by": by, "over_s": over_s}, for_s, frozenset(), frozenset())


def hot_late(die_c: float, *more: tuple[float, dict[str, Any]]) -> Life:
    return life(truth=truth(*more, (500.0, {"die_c": die_c}), lasts_s=510.0))


def test_a_thermometer_that_reads_too_little_is_declared_as_far_as_it_does_and_nothing_can_tell() -> None:
    assert verdict(hot_late(82.0), low(-5.0, 300.0)).declared
    assert verdict(hot_late(83.1), low(-5.0, 300.0)).failures, "by more than it reads too little"
    assert verdict(hot_late(82.0), low(-5.0, 300.0, for_s=100.0)).failures, "it reads right again"
    assert verdict(hot_late(82.0), low(5.0, 300.0)).failures, "it reads too much"
    assert verdict(hot_late(82.0), low(-5.0, 300.0, channel="vr_c")).failures


def test_a_thermometer_that_reads_less_than_before_is_no_excuse_once_that_can_be_told() -> None:
    assert verdict(hot_late(85.0), low(-12.0, 300.0)).failures
    assert verdict(hot_late(85.0), low(-12.0, 100.0)).declared, "before the board was learned"
    assert verdict(hot_late(85.0), low(-12.0, 300.0, over_s=100.0)).declared, "not there for long enough"
    assert verdict(hot_late(85.0, (290.0, {"chip_w": 0.0}), (295.0, {"chip_w": 13.5})), low(-12.0, 300.0)).declared
    assert verdict(hot_late(85.0), low(-12.0, 300.0), board="bitaxe-gt").declared, "a model that was not fitted to it"


def test_what_a_die_draws_is_declared_where_its_heat_is_and_only_then() -> None:
    away = fault("panic", 40.0, None, Excuse.NOBODY_REACHES_IT)
    heat = fault("stall_fan", 50.0, None, Excuse.NO_COOLING)
    hot = life((60.0, {"die_c": 148.0, "input_w": 45.0, "core_a": 32.0}), (62.0, {"die_c": 148.0, "input_w": 45.0}))
    both = verdict(hot, away, heat)
    assert both.failures == ()
    assert len(both.declared) == 3
    assert len(verdict(hot, heat).failures) == 3
    cool = life((60.0, {"input_w": 45.0}), (62.0, {"input_w": 45.0}))
    assert verdict(cool, away, heat).failures


def test_a_chip_that_heat_destroys_is_declared_when_the_heat_is() -> None:
    gone = life((60.0, {"die_c": 151.0}), burnt="die at 150 C")
    away = fault("unplug_usb", 40.0, None, Excuse.NOBODY_REACHES_IT)
    heat = fault("loosen_heatsink", 50.0, None, Excuse.NO_COOLING)
    assert verdict(gone, heat).failures
    assert verdict(gone, away).failures
    both = verdict(gone, away, heat)
    assert both.failures == ()
    assert "destroyed: die at 150 C: two faults: loosen_heatsink and unplug_usb" in " ".join(both.declared)


def test_a_rail_of_its_own_will_is_declared_up_to_the_limit_of_the_regulator() -> None:
    own = fault("run_away", 50.0, None, Excuse.RAIL_IS_ITS_OWN)
    assert verdict(life((60.0, {"core_v": 1.5})), own).declared
    assert verdict(life((60.0, {"core_v": 1.7})), own).failures
    again = (
        (54.0, {"rail_on": False, "core_v": 0.0}),
        (60.0, {"rail_on": True, "core_v": 2.2}),
        (60.09, {"core_v": 1.1}),
    )
    assert verdict(life(*again), own).declared
    assert verdict(life(*again)).failures
    assert verdict(life(burnt="core rail raised to 1.500 V"), own).declared
    assert verdict(life(burnt="core rail raised to 1.500 V")).failures
    assert verdict(life(burnt="die at 125 C"), own).failures


# --- trips ------------------------------------------------------------------------------------------------------------


def test_a_trip_without_a_fault_is_false_and_one_with_another_name_is_wrong() -> None:
    tripped = life(trips=[Trip(60.0, Cause.SENSOR_BUS, None, "NAK")])
    assert verdict(tripped).failures[0].startswith("false trip: sensor_bus")
    bus = fault("nak", causes=(Cause.SENSOR_BUS,))
    assert verdict(tripped, bus).failures == ()
    tach = fault("lose_tach", causes=(Cause.FAN,))
    assert verdict(tripped, tach).failures[0].startswith("wrong cause after lose_tach: sensor_bus")


def test_a_fault_that_ended_long_ago_or_comes_later_explains_no_trip() -> None:
    tripped = life(trips=[Trip(60.0, Cause.SENSOR_BUS, None, "NAK")])
    assert verdict(tripped, fault("nak", 30.0, 20.0, causes=(Cause.SENSOR_BUS,))).failures == ()
    assert verdict(tripped, fault("nak", 30.0, 10.0, causes=(Cause.SENSOR_BUS,))).failures
    assert verdict(tripped, fault("nak", 61.0, None, causes=(Cause.SENSOR_BUS,))).failures
    assert verdict(tripped, fault("nak", 60.0 + 1e-9, None, causes=(Cause.SENSOR_BUS,))).failures == ()


def test_a_regulator_that_is_off_without_a_cause_is_right_when_a_second_fault_hides_the_input() -> None:
    tripped = life(trips=[Trip(60.0, Cause.REGULATOR_OFF, None, "")])
    sag = fault("source_ohm", causes=(Cause.INPUT_LOW,))
    assert verdict(tripped, sag).failures
    jumps = Fault(40.0, "jumps", {"channel": "input_v"}, None, frozenset(), frozenset())
    assert verdict(tripped, sag, jumps).failures == ()
    assert verdict(tripped, jumps).failures


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        (Cause.CHIP_TEMPERATURE, {"die_c": 75.0}),
        (Cause.VR_TEMPERATURE, {"vr_c": 104.0}),
        (Cause.INPUT_LOW, {"input_v": 4.7}),
        (Cause.INPUT_HIGH, {"input_v": 5.6}),
        (Cause.POWER, {"chip_w": 25.0}),
        (Cause.CURRENT, {"core_a": 28.5}),
        (Cause.CHIP_SILENT, {"weakest_right": 0.1}),
        (Cause.ERROR_RATE, {"share_right": 0.85}),
    ],
)
def test_a_trip_that_says_what_was_really_so_is_right(cause: Cause, change: dict[str, Any]) -> None:
    trip = Trip(60.0, cause, None, "")
    assert verdict(life((58.0, change), trips=[trip])).failures == ()
    assert verdict(life((58.0, change), trips=[Trip(57.0, cause, None, "")])).failures
    assert verdict(life(trips=[trip])).failures


@pytest.mark.parametrize("cause", [Cause.ACTUATION, Cause.CHIP_SILENT])
def test_a_chip_that_is_destroyed_answers_nothing(cause: Cause) -> None:
    trip = Trip(60.0, cause, None, "")
    assert verdict(life((40.0, {"burnt": True}), trips=[trip])).failures == ()
    assert verdict(life((61.0, {"burnt": True}), trips=[trip])).failures
    assert verdict(life((40.0, {"burnt": True}), trips=[Trip(60.0, Cause.SENSOR_BUS, None, "")])).failures


# --- order, confirmations, end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "text"),
    [
        ([Move(2.0, "rail on"), Move(2.1, "reset released")], "reset released before the rail stood"),
        ([Move(2.0, "reset released"), Move(2.5, "rail on")], "rail on while reset is released"),
        ([Move(2.0, "rail on"), Move(9.0, "rail off"), Move(9.5, "reset released")], "before the rail stood"),
    ],
)
def test_the_order_of_the_actuators_is_held(moves: list[Move], text: str) -> None:
    failures = verdict(life(moves=moves)).failures
    assert any(text in failure for failure in failures), failures
    itself = fault("power_cycle", 1.0, 10.0, Excuse.ACTS_BY_ITSELF)
    assert verdict(life(moves=moves), itself).failures == ()


def test_a_chip_that_runs_before_its_rail_stands_is_out_of_order() -> None:
    (failure,) = verdict(life((ON_S, {"frequency_mhz": 400.0}))).failures
    assert "400 MHz before the rail stood" in failure


def test_a_safe_off_is_not_confirmed_while_the_rail_is_on() -> None:
    assert verdict(life(confirmed_s=[1.0])).failures == ()
    assert verdict(life(confirmed_s=[60.0])).failures[0].startswith("false confirmation")


def test_a_board_that_says_safe_is_safe_and_one_that_says_live_lives() -> None:
    off = {"end_rail_on": False, "end_reset_asserted": True}
    assert verdict(life(end_state=GuardState.LATCHED, **off)).failures == ()
    assert verdict(life(end_state=GuardState.LIVE, **off)).failures
    assert verdict(life(end_state=GuardState.SAFE_OFF)).failures
    assert verdict(life(end_state=GuardState.STARTING, **off)).failures
    assert verdict(life(end_state=GuardState.UNPROTECTED)).failures


def test_a_rail_that_nobody_can_reach_is_declared_only_while_that_is_so() -> None:
    on = life(end_state=GuardState.LATCHED)
    assert verdict(on, fault("stuck_bus", 50.0, None, Excuse.RAIL_STAYS)).declared
    assert verdict(on, fault("stuck_bus", 50.0, 10.0, Excuse.RAIL_STAYS)).failures


def test_what_was_broken_fails() -> None:
    assert verdict(life(broken=["KeyError('x')"])).failures == ("broken: KeyError('x')",)


def test_the_page_has_the_bounds_of_the_judge() -> None:
    page = (Path(__file__).parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")
    assert bounds() in page


# --- other boards -----------------------------------------------------------------------------------------------------

DAC = "bitaxe-ultra-205"
AT_REST: dict[str, Any] = {"core_v": 0.975, "frequency_mhz": 0.0, "rail_on": True}


def dac_life(*spells: tuple[float, dict[str, Any]], **more: Any) -> Life:
    """One whose rail is on from the first moment: 1.458 V until a rig has been there, then at its lowest."""
    lived = life((0.0, {"core_v": 1.10}), *spells, **more)
    lived.truth = [
        now._replace(rail_on=True, core_v=1.433 if now.at_s < 0.5 else 0.975) if now.at_s < ON_S else now
        for now in lived.truth
    ]
    return lived


def test_a_rail_that_wakes_high_is_declared_until_a_rig_has_been_there_and_no_longer() -> None:
    calm = verdict(dac_life(), board=DAC)
    assert calm.failures == ()
    assert "core voltage 1.433 V" in calm.declared[0]
    assert Excuse.WAKES_HIGH.value in calm.declared[0]
    woken = (60.0, {"core_v": 1.433}), (61.0, {"core_v": 1.10})
    assert "core voltage 1.433 V at 60.00 s" in verdict(dac_life(*woken), board=DAC).failures[0]
    back = fault("power_cycle", 60.0, None, Excuse.ACTS_BY_ITSELF)
    assert verdict(dac_life(*woken), back, board=DAC).failures == ()
    higher = (60.0, {"core_v": 1.47}), (61.0, {"core_v": 1.10})
    assert verdict(dac_life(*higher), back, board=DAC).failures


def test_a_board_whose_rail_stays_on_is_safe_at_its_lowest_and_nowhere_else() -> None:
    off = {"end_state": GuardState.LATCHED, "end_rail_on": False, "end_reset_asserted": True}
    rests = dac_life((60.0, AT_REST), confirmed_s=[60.5], **off)
    assert verdict(rests, board=DAC).failures == ()
    higher = dac_life((60.0, AT_REST | {"core_v": 1.05}), confirmed_s=[60.5], **off)
    assert verdict(higher, board=DAC).failures[0].startswith("false confirmation")
    itself = fault("regulation_error", 50.0, None, Excuse.RAIL_IS_ITS_OWN)
    assert verdict(higher, itself, board=DAC).failures == ()
    seen = dac_life((60.0, AT_REST | {"core_v": 1.13}), confirmed_s=[60.5], **off)
    assert verdict(seen, itself, board=DAC).failures[0].startswith("false confirmation")
    assert subject_of(DAC).energised(1.05, True)
    assert not subject_of(DAC).energised(1.03, True)


def test_what_a_board_cannot_measure_is_not_promised() -> None:
    assert set(judge.bounds_of(DAC)) == {"die", "core voltage", "input power"}
    assert verdict(dac_life((60.0, {"vr_c": 200.0, "core_a": 99.0})), board=DAC).failures == ()


@pytest.mark.parametrize(
    ("board", "most"),
    [
        (GAMMA, {"die": 78.0, "core voltage": 1.400, "core current": 31.5, "input power": 41.0, "regulator": 106.0}),
        ("bitaxe-gt", {"core voltage": 1.400, "core current": 56.5, "input power": 61.0}),
        ("bitaxe-hex", {"die": 73.0, "core voltage": 4.100 / 3, "core current": 31.5, "input power": 91.0}),
        ("emberone00", {"core voltage": 3.950 / 12, "core current": 31.5, "input power": 121.0}),
        (DAC, {"die": 73.0, "core voltage": 1.304, "input power": 26.0}),
    ],
)
def test_bounds_are_those_of_the_row(board: str, most: dict[str, float]) -> None:
    known = judge.bounds_of(board)
    for name, value in most.items():
        assert known[name].most == pytest.approx(value, abs=1e-6), name


# --- the catalogue ----------------------------------------------------------------------------------------------------

EACH = pytest.mark.parametrize("board", sorted(BOARDS))


@EACH
def test_the_catalogue_has_every_action_of_the_emulator_or_says_why_not(board: str) -> None:
    known, left_out = set(catalogue_of(board)), LEFT_OUT | set(inapplicable(subject_of(board)))
    assert known | left_out == set(ACTIONS)
    assert not known & left_out


@EACH
def test_whatever_is_drawn_can_be_done_and_ended(board: str) -> None:
    about = subject_of(board)
    parts = BENCHES[board](BenchSettings()).faults.parts
    for action in catalogue_of(board):
        for number in range(60):
            drawn = draw(random.Random(number), 0.0, about, action)
            ACTIONS[action].check(drawn.arguments, parts)
            if "chip" in drawn.arguments:
                assert drawn.arguments["chip"] < about.chips
            if "channel" in drawn.arguments:
                assert drawn.arguments["channel"] in channels(about)
            if drawn.for_s is not None:
                ACTIONS[action].check({**drawn.arguments, OFF: True}, parts)


@EACH
def test_what_an_operator_in_his_right_mind_asks_for_is_inside_of_the_range(board: str) -> None:
    e = BOARDS[board].envelope
    for index in range(30):
        told = scenario(1, index, 2.0, board)
        up = next(command for _, command in told.commands if isinstance(command, PowerUp))
        assert (e.stock_frequency_mhz if up.frequency_mhz is None else up.frequency_mhz) in e.frequency_mhz
        assert (e.stock_core_v if up.core_v is None else up.core_v) in e.core_v


def test_to_a_board_with_a_host_lease_that_nobody_reaches_it_is_no_excuse() -> None:
    helpless = {Excuse.RAIL_STAYS, Excuse.NOBODY_REACHES_IT, Excuse.NOBODY_STOPS_IT}
    for action in catalogue_of(LEASED):
        with_a_lease = draw(random.Random(1), 0.0, subject_of(LEASED), action)
        without = draw(random.Random(1), 0.0, subject_of(GAMMA), action)
        assert not with_a_lease.excuses & helpless
        assert with_a_lease.excuses == without.excuses - helpless
        assert with_a_lease.causes >= without.causes
    gone = draw(random.Random(1), 0.0, subject_of(LEASED), "unplug")
    assert {Cause.LEASE_LOST, Cause.LEASE_EXPIRED} <= gone.causes
    assert not {Cause.LEASE_LOST, Cause.LEASE_EXPIRED} & draw(random.Random(1), 0.0, subject_of(GAMMA), "unplug").causes


@pytest.mark.parametrize(("rail_on", "failures"), [(False, 0), (True, 1)])
def test_a_leased_board_that_nobody_reaches_at_the_end_has_to_be_safe(rail_on: bool, failures: int) -> None:
    unplugged = draw(random.Random(1), 50.0, subject_of(LEASED), "unplug")
    lived = life(end_state=GuardState.UNPROTECTED, end_rail_on=rail_on, end_reset_asserted=not rail_on)
    found = judge.end([unplugged], lived, 120.0, subject_of(LEASED))
    assert [finding.excuse for finding in found] == [""] * failures
    on_a_gamma = draw(random.Random(1), 50.0, subject_of(GAMMA), "unplug")
    (declared,) = judge.end([on_a_gamma], lived, 120.0, subject_of(GAMMA))
    assert declared.excuse
