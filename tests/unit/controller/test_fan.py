"""How the fan is led: when it has to be full, how it follows, and what is made of a fan that turns too slowly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from controller.model import Cause, FanMode, FaultRecord, OperatingPoint, PowerUp, Quality, SetFan, SetOperatingPoint
from controller.safety import fan
from controller.safety.fan import LEAST_RATIO
from controller.safety.trips import FAN_JUDGED_ABOVE_RATIO, expected_rpm
from drivers.boards.board import Channel, Envelope, FanDuty, Means
from drivers.errors import Latched, Refused
from drivers.units import Ratio, Volts
from tests.unit.controller.guarding import ENVELOPE, START, Scene

AUTO = SetFan(mode=FanMode.AUTO)


class Windy:
    """A live board whose fan does what it is told, and everybody knows it."""

    def __init__(self, wish: SetFan = AUTO, envelope: Envelope = ENVELOPE, **values: float) -> None:
        self.scene = Scene(envelope).live()
        self.guard = self.scene.guard
        self.guard.fan.ask(wish)
        self.guard.requested = OperatingPoint(frequency_mhz=525.0, core_v=1.150)
        self.told: list[float] = []
        self.see(chip_c=50.0, vr_c=50.0, **values)

    def see(self, **values: float | None) -> Windy:
        for name, value in values.items():
            self.scene.values[Channel(name)] = value
        return self

    @property
    def ratio(self) -> float:
        assert self.guard.commanded.fan_ratio is not None
        return self.guard.commanded.fan_ratio

    def run(self, seconds: float, **values: float | None) -> Windy:
        self.see(**values)
        turning = "fan_rpm" not in values
        for _ in range(round(seconds * 5)):
            self.scene.at_s += 0.2
            if turning:
                self.scene.values[Channel.FAN_RPM] = expected_rpm(ENVELOPE, self.ratio)
            self.scene.values[Channel.FAN_RATIO] = self.ratio
            now = self.scene.now()
            step = self.guard.fan_step(now)
            if step is not None:
                try:
                    self.guard.permit(step, now)
                except Refused:
                    continue
                self.guard.applied(step, self.scene.at_s)
                self.told.append(float(step.ratio))
        return self

    def following(self) -> Windy:
        self.run(120.0)
        assert self.ratio == pytest.approx(LEAST_RATIO, abs=fan.STEP_RATIO)
        assert self.guard.fan.status().why_full is None
        self.told.clear()
        return self


# --- full is the rule -------------------------------------------------------------------------------------------------


def test_a_fan_that_nobody_has_asked_anything_of_stays_at_full() -> None:
    windy = Windy(SetFan()).run(600.0)
    assert windy.told == []
    assert windy.guard.fan.status().why_full == "as it was asked for"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"chip_c": None}, "chip_c is not known"),
        ({"vr_c": None}, "vr_c is not known"),
        ({"core_a": None}, "core_a is not known"),
        ({"chip_c": 66.5}, "chip_c is above its warning level, 66 C"),
        ({"vr_c": 86.5}, "vr_c is above its warning level, 86 C"),
    ],
)
def test_whatever_is_missing_or_too_warm_means_full_with_the_next_sweep(values: dict[str, Any], why: str) -> None:
    windy = Windy().following().run(0.2, **values)
    assert windy.told == [1.0]
    assert windy.guard.fan.status().why_full == why


def test_a_doubtful_or_an_old_reading_means_full() -> None:
    doubtful = Windy().following()
    doubtful.scene.quality[Channel.CHIP_C] = Quality.SUSPECT
    assert doubtful.run(0.2).told == [1.0]
    old = Windy().following()
    old.scene.taken_at_s[Channel.VR_C] = old.scene.at_s
    assert old.run(0.8).told == []
    assert old.run(0.6).told == [1.0]


@pytest.mark.parametrize(("frequency_mhz", "core_v"), [(550.0, 1.150), (525.0, 1.160)])
def test_a_point_above_stock_that_is_only_asked_for_means_full(frequency_mhz: float, core_v: float) -> None:
    windy = Windy().following()
    windy.guard.requested = OperatingPoint(frequency_mhz=frequency_mhz, core_v=core_v)
    assert windy.run(0.2).told == [1.0]
    assert windy.guard.fan.status().why_full == "the point is above stock"


def test_a_move_above_stock_has_the_fan_at_full_before_its_first_step() -> None:
    windy = Windy().following()
    steps = windy.guard.judge(SetOperatingPoint(frequency_mhz=550.0), windy.scene.now())
    assert steps[0] == FanDuty(Ratio(1.0))
    assert not any(isinstance(step, FanDuty) for step in steps[1:])
    below = Windy().following()
    steps = below.guard.judge(SetOperatingPoint(frequency_mhz=500.0), below.scene.now())
    assert not any(isinstance(step, FanDuty) for step in steps)


def test_a_board_that_was_just_powered_up_has_its_fan_at_full_until_it_is_warm_or_a_minute_is_over() -> None:
    cold = Windy().run(59.0, chip_c=49.0)
    assert cold.told == []
    assert cold.guard.fan.status().why_full == "the board has just been powered up"
    assert cold.run(30.0, chip_c=49.0).told
    assert Windy().run(30.0, chip_c=51.0).told


def test_after_a_warning_the_fan_stays_full_until_the_die_is_3_c_below_it() -> None:
    windy = Windy().following().run(1.0, chip_c=66.5).run(10.0, chip_c=63.5)
    assert windy.ratio == 1.0
    assert "warning level" in (windy.guard.fan.status().why_full or "")
    windy.run(1.0, chip_c=62.5)
    assert windy.guard.fan.status().why_full is None


# --- following --------------------------------------------------------------------------------------------------------


def test_it_slows_down_one_step_a_second_at_most_and_never_below_what_the_trip_judges() -> None:
    assert LEAST_RATIO > FAN_JUDGED_ABOVE_RATIO
    windy = Windy().run(120.0)
    assert windy.told == sorted(windy.told, reverse=True)
    assert windy.told[-1] == pytest.approx(LEAST_RATIO, abs=fan.STEP_RATIO)
    assert min(windy.told) >= LEAST_RATIO


def test_it_rises_with_the_die_and_with_the_regulator_whichever_is_worse() -> None:
    for hot in ({"chip_c": 63.0}, {"vr_c": 78.0}):
        windy = Windy().following().run(5.0, **hot)
        assert windy.ratio > LEAST_RATIO + 0.1
        assert windy.told == sorted(windy.told)


def test_it_does_not_slow_down_while_the_die_is_at_its_target_or_above() -> None:
    windy = Windy().following().run(10.0, chip_c=64.0)
    high = windy.ratio
    windy.told.clear()
    windy.run(20.0, chip_c=60.0)
    assert windy.ratio >= high
    windy.run(20.0, chip_c=57.0)
    assert windy.ratio < high


def test_it_comes_back_from_full_without_a_jump() -> None:
    windy = Windy().following().run(1.0, chip_c=66.5).run(0.2, chip_c=58.0)
    windy.told.clear()
    windy.run(60.0)
    assert len(windy.told) > 2
    assert windy.told[0] > 0.95
    assert windy.told == sorted(windy.told, reverse=True)


def test_the_integral_does_not_wind_up_at_an_end_of_its_range() -> None:
    windy = Windy().following().run(600.0, chip_c=40.0).run(4.0, chip_c=63.0)
    assert windy.ratio > LEAST_RATIO + 0.1, "ten minutes of cold cost nothing"


def test_a_floor_is_a_floor_and_never_a_ceiling() -> None:
    windy = Windy(SetFan(mode=FanMode.AUTO, floor_ratio=0.7)).run(120.0)
    assert 0.7 <= windy.ratio < 0.7 + fan.STEP_RATIO
    assert windy.run(5.0, chip_c=66.5).ratio == 1.0


def test_another_target_is_another_interlock_too() -> None:
    windy = Windy(SetFan(mode=FanMode.AUTO, target_chip_c=45.0)).run(120.0, chip_c=46.0)
    assert windy.ratio == 1.0
    with pytest.raises(Refused, match="less fan needs less than 45"):
        windy.guard.permit(FanDuty(Ratio(0.8)), windy.scene.now())
    assert windy.run(60.0, chip_c=44.0).ratio < 1.0


@pytest.mark.parametrize(
    ("target_chip_c", "floor_ratio"), [(34.9, 0.0), (63.1, 0.0), (60.0, -0.1), (60.0, 1.1), (float("nan"), 0.0)]
)
def test_a_target_or_a_floor_out_of_its_range_is_no_wish(target_chip_c: float, floor_ratio: float) -> None:
    with pytest.raises(ValidationError):
        SetFan(mode=FanMode.AUTO, target_chip_c=target_chip_c, floor_ratio=floor_ratio)


# --- the interlock ----------------------------------------------------------------------------------------------------


def test_more_fan_needs_no_permission_and_less_needs_all_of_it() -> None:
    windy = Windy().following()
    hot = windy.see(chip_c=74.0).scene.now()
    windy.guard.permit(FanDuty(Ratio(0.6)), hot)
    windy.guard.commanded.fan_ratio = 1.0
    with pytest.raises(Refused, match="less fan needs less than 60"):
        windy.guard.permit(FanDuty(Ratio(0.6)), hot)
    cool = windy.see(chip_c=50.0).scene.now()
    windy.guard.commanded.frequency_mhz = 550.0
    with pytest.raises(Refused, match="above stock: the fan stays at full"):
        windy.guard.permit(FanDuty(Ratio(0.6)), cool)
    windy.guard.commanded.frequency_mhz, windy.guard.commanded.core_v = 525.0, 1.160
    with pytest.raises(Refused, match="above stock: the fan stays at full"):
        windy.guard.permit(FanDuty(Ratio(0.6)), cool)
    windy.guard.commanded.core_v = 1.150
    windy.guard.permit(FanDuty(Ratio(0.6)), cool)
    with pytest.raises(Refused, match=r"outside 0.45 to 1"):
        windy.guard.permit(FanDuty(Ratio(0.3)), cool)


def test_a_fan_that_moves_mutes_its_own_read_back_and_no_other() -> None:
    windy = Windy().following()
    guard = windy.guard
    guard.permit(FanDuty(Ratio(0.6)), windy.scene.now())
    assert (guard.commanded.fan_moving, guard.commanded.moving) == (True, False)
    guard.commanded.moving = True
    guard.applied(FanDuty(Ratio(0.6)), windy.scene.at_s)
    assert (guard.commanded.fan_moving, guard.commanded.moving) == (False, True)


# --- the tachometer ---------------------------------------------------------------------------------------------------


def test_a_fan_that_turns_too_slowly_for_5_s_is_degraded_and_gets_full_until_somebody_sets_it_again() -> None:
    windy = Windy().following()
    slow = 0.65 * expected_rpm(ENVELOPE, LEAST_RATIO)
    assert windy.run(4.8, fan_rpm=slow).told == []
    windy.run(0.6, fan_rpm=slow)
    assert windy.told == [1.0]
    degraded = windy.guard.fan.status().degraded
    assert degraded is not None
    assert f"{slow:.0f} rpm at duty 0.45, 65 % of what is expected" in degraded
    assert windy.run(300.0).told == [1.0], "it is no better for being at full"
    windy.guard.fan.ask(AUTO)
    assert windy.run(60.0).ratio < 1.0


def test_a_fan_is_held_against_what_it_did_itself_at_full_within_15_percent() -> None:
    weak = Windy(SetFan()).run(20.0, fan_rpm=0.9 * 5200.0)
    assert weak.guard.fan._speed == pytest.approx(0.9)
    assert weak.run(20.0, fan_rpm=0.64 * 5200.0).guard.fan.status().degraded is None, "71 % of its own"
    assert weak.run(20.0, fan_rpm=0.60 * 5200.0).guard.fan.status().degraded is not None
    dying = Windy(SetFan()).run(20.0, fan_rpm=0.75 * 5200.0)
    assert dying.guard.fan._speed == pytest.approx(1.0 - fan.LEARN_WITHIN), "no reason to expect so little"


def test_a_fan_that_has_just_been_told_another_speed_is_given_3_s() -> None:
    windy = Windy().following()
    windy.run(2.6, chip_c=66.5, fan_rpm=3000.0)
    assert windy.ratio == 1.0
    windy.run(5.2, fan_rpm=3000.0)
    assert windy.guard.fan.status().degraded is None
    windy.run(1.0, fan_rpm=3000.0)
    assert windy.guard.fan.status().degraded is not None


# --- while the board is off -------------------------------------------------------------------------------------------


class Resting(Windy):
    """A board that was switched off a moment ago, still warm."""

    def __init__(self, wish: SetFan = AUTO, envelope: Envelope = ENVELOPE) -> None:
        self.scene = Scene(envelope).safe()
        self.guard = self.scene.guard
        self.guard.went_safe(self.scene.at_s)
        self.guard.fan.ask(wish)
        self.told = []
        self.see(chip_c=55.0, vr_c=52.0)


COOL = {"chip_c": 45.0, "vr_c": 46.0}


def resting(**values: float | None) -> Resting:
    board = Resting()
    board.run(30.0, **COOL)
    assert board.ratio == fan.OFF_RATIO
    board.told.clear()
    board.run(0.2, **values)
    return board


def test_a_fan_that_follows_goes_to_30_percent_once_the_board_is_off_and_below_50_c() -> None:
    board = Resting().run(60.0)
    assert (board.told, board.ratio) == ([], 1.0)
    assert board.guard.fan.status().why_full == "chip_c reads 55, less than 50 is wanted"
    assert board.run(1.0, chip_c=49.9).ratio == 1.0, "the regulator is warm"
    assert board.run(1.0, vr_c=49.9).ratio == 0.30
    assert board.guard.fan.status().why_full is None
    assert board.run(3600.0, chip_c=25.0, vr_c=25.0).told == [0.30], "it never stands still"


def test_it_is_full_for_10_s_however_cool_the_die() -> None:
    board = Resting().run(9.8, **COOL)
    assert board.told == []
    assert board.run(0.4).told == [0.30]


def test_a_floor_holds_while_off_too_and_full_means_full() -> None:
    assert Resting(SetFan(mode=FanMode.AUTO, floor_ratio=0.6)).run(30.0, **COOL).told == [0.6]
    assert Resting(SetFan()).run(600.0, **COOL).told == []


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"chip_c": 53.0}, "chip_c reads 53, less than 53 is wanted"),
        ({"vr_c": 53.0}, "vr_c reads 53, less than 53 is wanted"),
        ({"core_v": 0.5}, "core_v reads 0.5, less than 0.5 is wanted"),
        ({"reset_released": 1.0}, "reset_released reads 1, less than 0.5 is wanted"),
        ({"chip_c": None}, "chip_c is not known"),
        ({"vr_c": None}, "vr_c is not known"),
        ({"core_v": None}, "core_v is not known"),
        ({"reset_released": None}, "reset_released is not known"),
    ],
)
def test_what_is_warm_or_not_known_brings_it_back_to_full_at_once(values: dict[str, float | None], why: str) -> None:
    board = resting(**values)
    assert board.told == [1.0]
    assert board.guard.fan.status().why_full == why


def test_3_c_of_hysteresis_keep_it_from_going_to_and_fro() -> None:
    board = resting(chip_c=52.9, vr_c=52.9)
    assert board.told == []
    assert board.run(1.0, chip_c=53.0).run(1.0, chip_c=51.0).told == [1.0]


@pytest.mark.parametrize("quality", [Quality.SUSPECT, Quality.INVALID])
def test_a_doubtful_die_is_a_hot_one(quality: Quality) -> None:
    board = resting()
    board.scene.quality[Channel.CHIP_C] = quality
    assert board.run(0.2).told == [1.0]
    board = Resting()
    board.scene.quality[Channel.CHIP_C] = quality
    assert board.run(60.0, **COOL).told == []


def test_an_old_reading_of_the_die_is_none() -> None:
    board = resting()
    board.scene.taken_at_s[Channel.CHIP_C] = board.scene.at_s
    assert board.run(1.8).told == []
    assert board.run(0.4).told == [1.0]


def test_a_latched_board_stays_at_full_until_it_is_cleared() -> None:
    board = Resting()
    record = FaultRecord(cause=Cause.FAN, sensor=None, detail="x", at_s=board.scene.at_s, at_utc=START)
    board.guard.latch(record)
    board.guard.went_safe(board.scene.at_s)
    assert board.run(600.0, chip_c=40.0, vr_c=40.0).told == []
    with pytest.raises(Latched):
        board.guard.permit(FanDuty(Ratio(0.3)), board.scene.now())
    board.guard.clear(board.scene.now())
    assert board.run(1.0).told == [0.30]


def test_an_off_that_was_not_confirmed_is_none() -> None:
    board = resting()
    board.guard.not_safe(reached=True)
    board.guard.commanded.fan_ratio = 1.0
    assert board.run(60.0).told == []
    with pytest.raises(Refused, match="no safe-off was confirmed"):
        board.guard.permit(FanDuty(Ratio(0.3)), board.scene.now())


@pytest.mark.parametrize(
    ("means", "why"),
    [
        (Means(rests_at_v=Volts(1.0)), "the core rail cannot be switched off"),
        (Means(sensors=(Channel.CHIP_C, Channel.CORE_V, Channel.FAN_RPM)), "vr_c is not measured on this board"),
        (Means(sensors=(Channel.CHIP_C, Channel.CORE_V)), "no fan of this board can be reached"),
    ],
)
def test_a_board_that_cannot_be_switched_off_or_measures_too_little_stays_at_full(means: Means, why: str) -> None:
    board = Resting(envelope=replace(ENVELOPE, means=means)).run(60.0, **COOL)
    assert board.told == []
    assert board.guard.fan.status().why_full == why


def test_a_fan_that_nobody_can_reach_is_not_turned() -> None:
    sensors = tuple(each for each in Means().sensors if each is not Channel.FAN_RPM)
    scene = Scene(replace(ENVELOPE, means=Means(sensors=sensors))).live()
    with pytest.raises(Refused, match="no fan of this board can be reached"):
        scene.guard.permit(FanDuty(Ratio(0.6)), scene.now())


@pytest.mark.parametrize("missing", [Channel.VR_C, Channel.CORE_A])
def test_a_live_board_that_measures_too_little_keeps_its_fan_at_full(missing: Channel) -> None:
    sensors = tuple(each for each in Means().sensors if each is not missing)
    scene = Scene(replace(ENVELOPE, means=Means(sensors=sensors))).live()
    scene.values.update({Channel.VR_C: 40.0, Channel.CORE_A: 8.0})
    scene.look()
    with pytest.raises(Refused, match=f"{missing.value} is not measured on this board: the fan stays full"):
        scene.guard.permit(FanDuty(Ratio(0.6)), scene.now())


def test_a_stray_step_while_off_is_held_to_the_same_rules() -> None:
    board = resting()
    for ratio in (0.29, 0.0, -1.0):
        with pytest.raises(Refused, match="is outside"):
            board.guard.permit(FanDuty(Ratio(ratio)), board.scene.now())
    board = Resting()
    with pytest.raises(Refused, match="the fan stays full: the board has just been switched off"):
        board.guard.permit(FanDuty(Ratio(0.5)), board.scene.now())


def test_a_power_up_begins_with_a_full_fan_again() -> None:
    board = resting()
    board.scene.safe_values()
    steps = board.guard.judge(PowerUp(), board.scene.now())
    assert steps[0] == FanDuty(Ratio(1.0))
    board.guard.started()
    with pytest.raises(Refused, match=r"outside 0\.45 to 1"):
        board.guard.permit(FanDuty(Ratio(0.29)), board.scene.now())


# --- a board that gives way -------------------------------------------------------------------------------------------


def test_a_board_that_gives_way_has_a_full_fan_however_cool_it_is() -> None:
    windy = Windy().following()
    scene = windy.scene
    for _ in range(4):  # the input is weak for longer than half a second
        scene.look(input_v=4.70)
        if (give := windy.guard.give_way(scene.now())) is not None:
            break
    assert give is not None
    windy.guard.commanded.frequency_mhz = give.point.frequency_mhz
    windy.run(0.2, input_v=5.1)
    assert windy.told == [1.0]
    assert windy.guard.fan.status().why_full == "the board gives way"


@pytest.mark.parametrize(("channel", "sees"), [(Channel.VR_C, Channel.CORE_A), (Channel.CORE_A, Channel.VR_C)])
def test_a_board_that_does_not_measure_what_the_loop_rests_on_has_a_full_fan(channel: Channel, sees: Channel) -> None:
    sensors = (Channel.CHIP_C, Channel.INPUT_V, Channel.CORE_V, Channel.FAN_RPM, sees)
    windy = Windy(envelope=replace(ENVELOPE, means=Means(sensors=sensors))).run(120.0)
    assert windy.told == []
    assert windy.guard.fan.status().why_full == f"{channel.value} is not measured on this board"


@pytest.mark.parametrize("wish", [OperatingPoint(core_v=1.150), OperatingPoint(frequency_mhz=525.0)])
def test_a_point_that_is_not_known_is_no_point_at_stock(wish: OperatingPoint) -> None:
    windy = Windy().following()
    windy.guard.requested = wish
    assert windy.run(0.2).told == [1.0]
    assert windy.guard.fan.status().why_full == "no point is known"
