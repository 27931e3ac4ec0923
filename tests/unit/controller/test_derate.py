"""A regulator whose thermometer has failed: full fan, less clock, half a minute; and when not even that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.model import Cause, OperatingPoint, Quality, SetOperatingPoint
from controller.safety.derate import AT_MOST_S, GOOD_FOR_S
from drivers.boards.board import Channel, Means
from drivers.errors import Refused
from drivers.units import Volts
from tests.unit.controller.guarding import ENVELOPE, Scene

DERATED_MHZ = 362.5
"""0.7 of 525 MHz is 367.5: the next lower step."""


class Blind(Scene):
    """A live board that has lost the regulator's thermometer, and does what the guard says."""

    def begin(self, most_c: float | None = 60.0) -> Blind:
        self.live()
        self.vr_most_c = most_c
        self.lose()
        return self

    def lose(self) -> None:
        self.quality[Channel.VR_C] = Quality.INVALID
        self.taken_at_s[Channel.VR_C] = self.at_s

    def come_back(self) -> None:
        self.quality.pop(Channel.VR_C, None)
        self.taken_at_s.pop(Channel.VR_C, None)

    def step(self, *, obeys: bool = True) -> tuple[str, str | None] | None:
        """One sweep, and what follows from it. Cause and sensor of the fault, if there is one."""
        fault = self.look()
        if fault is not None:
            return fault.cause.value, fault.sensor
        give = self.guard.give_way(self.now())
        if give is not None and obeys:
            for each in self.guard.steps_of(give):
                self.take(each)
            self.obey()
            self.guard.stopped_short()
        return None

    def until_fault(self, limit_s: float, *, obeys: bool = True) -> tuple[str, str | None, float]:
        for count in range(1, round(limit_s * 5) + 1):
            fault = self.step(obeys=obeys)
            if fault is not None:
                return (*fault, round(0.2 * count, 1))
        raise AssertionError(f"no fault in {limit_s} s")

    def hold(self, seconds: float) -> Blind:
        for _ in range(round(seconds * 5)):
            assert self.step() is None
        return self

    def derated(self) -> bool:
        return self.guard.derate.active is not None

    @property
    def clock_mhz(self) -> float | None:
        return self.guard.commanded.frequency_mhz


def test_it_goes_to_the_step_below_0_7_of_stock_and_says_why() -> None:
    scene = Blind().begin().hold(0.4)
    assert scene.clock_mhz == DERATED_MHZ
    assert scene.guard.limited is not None
    assert (scene.guard.limited.cause, scene.guard.limited.sensor) == (Cause.SENSOR_INVALID, "vr_c")
    assert "by die and power it is below 60 C, for 30 s at most" in scene.guard.limited.detail
    assert scene.guard.requested == OperatingPoint(frequency_mhz=525.0, core_v=1.150)
    news = scene.guard.derate.news()
    assert news is not None
    assert news.startswith("vr_c is not known, full fan and 362.5 MHz at most: ")
    assert scene.guard.derate.news() is None, "once"


@pytest.mark.parametrize("quality", [Quality.INVALID, Quality.SUSPECT])
def test_it_trips_when_the_thermometer_is_not_back_in_30_s(quality: Quality) -> None:
    """Invalid with a fresh value, and one that was lost and became old."""
    scene = Blind().begin()
    scene.quality[Channel.VR_C] = quality
    cause, sensor, took_s = scene.until_fault(60.0)
    assert cause in (Cause.SENSOR_INVALID.value, Cause.SENSOR_STALE.value)
    assert sensor == "vr_c"
    begins_s = 0.2 if quality is Quality.INVALID else 2.0
    assert took_s == pytest.approx(begins_s + AT_MOST_S, abs=0.21)


@pytest.mark.parametrize("most_c", [None, 95.0, 120.0])
def test_a_regulator_that_nothing_bounds_below_its_throttle_level_trips_at_once(most_c: float | None) -> None:
    assert Blind().begin(most_c).until_fault(1.0) == ("sensor_invalid", "vr_c", 0.2)


def test_a_bound_that_is_lost_or_rises_ends_it_at_once() -> None:
    for most_c in (None, 95.0):
        scene = Blind().begin().hold(5.0)
        scene.lose()
        scene.vr_most_c = most_c
        assert scene.until_fault(1.0)[1:] == ("vr_c", 0.2)


@pytest.mark.parametrize(
    "channel",
    [Channel.CHIP_C, Channel.CORE_V, Channel.CORE_A, Channel.INPUT_V, Channel.STATUS_WORD, Channel.FAN_RPM],
)
@pytest.mark.parametrize("quality", [Quality.SUSPECT, Quality.INVALID])
def test_whatever_it_rests_on_has_to_be_good_then_and_later(channel: Channel, quality: Quality) -> None:
    scene = Blind().begin()
    scene.quality[channel] = quality
    assert scene.until_fault(1.0)[2] == 0.2
    scene = Blind().begin().hold(5.0)
    scene.lose()
    scene.quality[channel] = quality
    assert scene.until_fault(1.0)[2] == 0.2


def test_a_warm_die_an_old_one_and_a_regulator_that_was_hot_are_no_ground_to_stand_on() -> None:
    scene = Blind().begin()
    scene.values[Channel.CHIP_C] = 66.0
    assert scene.until_fault(1.0) == ("sensor_invalid", "vr_c", 0.2)
    scene = Blind().begin().hold(1.0)
    scene.taken_at_s[Channel.CHIP_C] = scene.at_s
    assert scene.until_fault(3.0)[2] == pytest.approx(1.1, abs=0.11)
    scene = Blind().begin()
    scene.values[Channel.VR_C] = 95.0
    assert scene.until_fault(1.0) == ("sensor_invalid", "vr_c", 0.2)


def test_a_clock_that_does_not_come_down_and_a_fan_that_does_not_go_up_end_it() -> None:
    assert Blind().begin().until_fault(20.0, obeys=False)[2] == pytest.approx(12.2, abs=0.01)
    scene = Blind().begin()
    scene.guard.commanded.fan_ratio = 0.6
    scene.values[Channel.FAN_RATIO] = 0.6
    assert scene.until_fault(20.0)[1:] == ("vr_c", 1.2)
    scene = Blind().begin()
    scene.guard.commanded.fan_ratio = None
    assert scene.until_fault(1.0)[2] == 0.2


def test_a_board_that_is_slow_already_is_left_where_it_is_and_nothing_is_raised() -> None:
    scene = Blind().begin().hold(0.4)
    for _ in range(10):
        scene.step()
    with pytest.raises(Refused, match="throttle: vr_c: "):
        scene.guard.judge(SetOperatingPoint(frequency_mhz=531.25, preset=True), scene.now())
    slow = Blind()
    slow.live(400.0)
    slow.guard.commanded.frequency_mhz = 356.25
    slow.obey()
    slow.vr_most_c = 60.0
    slow.lose()
    slow.hold(5.0)
    assert slow.clock_mhz == 356.25
    with pytest.raises(Refused, match="fresh: vr_c is invalid"):
        slow.guard.judge(SetOperatingPoint(frequency_mhz=400.0), slow.now())


def test_it_comes_back_step_by_step_30_s_after_10_s_of_good_samples() -> None:
    scene = Blind().begin().hold(5.0)
    scene.come_back()
    scene.hold(GOOD_FOR_S)
    assert scene.derated()
    scene.hold(0.4)
    assert not scene.derated()
    assert scene.clock_mhz == DERATED_MHZ
    scene.hold(29.0)
    assert scene.clock_mhz == DERATED_MHZ, "30 s after the last moment without it"
    scene.hold(2.0)
    assert scene.clock_mhz == DERATED_MHZ + 6.25
    scene.hold(30.0)
    assert scene.clock_mhz == DERATED_MHZ + 12.5


def test_a_doubtful_sample_begins_the_10_s_anew() -> None:
    scene = Blind().begin().hold(2.0)
    scene.come_back()
    scene.hold(9.0)
    scene.quality[Channel.VR_C] = Quality.SUSPECT
    scene.hold(0.4)
    scene.come_back()
    scene.hold(9.0)
    assert scene.derated()
    scene.hold(1.4)
    assert not scene.derated()


def test_a_thermometer_that_comes_and_goes_has_30_s_in_all() -> None:
    scene = Blind().begin()
    trips = None
    for _ in range(40):
        scene.lose()
        for _ in range(5):
            trips = trips or scene.step()
        if trips is not None:
            break
        scene.come_back()
        scene.hold(1.0)
    assert trips is not None
    assert trips[1] == "vr_c"


def test_once_an_hour_and_never_over_a_new_start() -> None:
    for wait_s, trips in ((3400.0, True), (3700.0, False)):
        scene = Blind().begin().hold(2.0)
        scene.come_back()
        scene.hold(11.0)
        scene.look(wait_s)
        scene.lose()
        fault = scene.step()
        assert (fault is not None) is trips


def test_only_a_live_board_and_only_where_it_is_measured() -> None:
    scene = Blind()
    scene.safe()
    scene.guard.started()
    scene.vr_most_c = 60.0
    scene.lose()
    assert scene.look().sensor == "vr_c"
    means = Means(sensors=(Channel.CHIP_C, Channel.INPUT_V, Channel.CORE_V, Channel.CORE_A, Channel.FAN_RPM))
    blind = Blind(replace(ENVELOPE, means=means)).begin()
    assert blind.step() is None
    assert not blind.derated()


def test_what_the_throttle_took_for_heat_it_takes_as_well() -> None:
    scene = Blind().begin().hold(1.0)
    assert scene.clock_mhz == DERATED_MHZ
    assert scene.guard.commanded.core_v == Volts(1.150), "the voltage stays"
