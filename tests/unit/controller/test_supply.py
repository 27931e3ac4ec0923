"""The source impedance from voltage and current of a power-up, and what may be asked of a weak supply."""

from __future__ import annotations

import math
import random

import pytest

from controller.model import Quality, SetOperatingPoint
from controller.safety.supply import Supply
from drivers.boards.board import Channel
from drivers.errors import Refused
from tests.unit.controller.guarding import ENVELOPE, Scene


def input_v(open_v: float, ohm: float, watts: float) -> float:
    return (open_v + math.sqrt(open_v**2 - 4 * ohm * watts)) / 2


def ramp(ohm: float, open_v: float = 5.25, most_w: float = 18.0, sweeps: int = 100, noise_v: float = 0.004) -> Scene:
    scene = Scene().live()
    supply = scene.guard.supply
    supply.forget()
    chance = random.Random(1)
    for number in range(sweeps):
        watts = 6.0 + (most_w - 6.0) * min(1.0, number / 80)
        scene.at_s += 0.2
        volts = input_v(open_v, ohm, watts) + chance.gauss(0.0, noise_v)
        scene.values[Channel.INPUT_V] = round(volts * 128) / 128
        scene.values[Channel.POWER_W], scene.values[Channel.CORE_W] = watts, watts - 5.0
        supply.look(scene.now(), scene.guard.commanded)
    return scene


@pytest.mark.parametrize("ohm", [0.05, 0.12, 0.2, 0.4])
def test_the_impedance_and_the_open_voltage_come_out_of_a_ramp(ohm: float) -> None:
    found = ramp(ohm, most_w=12.0).guard.supply.status()
    assert found is not None
    assert found.ohm == pytest.approx(ohm, abs=4 * found.ohm_sigma)
    assert found.ohm_sigma < 0.01
    assert found.open_v == pytest.approx(5.25, abs=0.02)
    assert found.estimated
    assert found.weak is (ohm >= 0.2)


def test_nothing_is_said_without_a_spread_of_the_current_or_from_doubtful_or_old_samples() -> None:
    assert ramp(0.2, most_w=6.5).guard.supply.status() is None
    assert ramp(0.2, sweeps=15).guard.supply.status() is None
    scene = ramp(0.2)
    before = scene.guard.supply.status()
    scene.values[Channel.INPUT_V] = 3.0
    scene.guard.supply.look(scene.now(), scene.guard.commanded)
    assert scene.guard.supply.status() == before, "the same sample twice"
    scene.at_s += 0.2
    scene.quality[Channel.INPUT_V] = Quality.SUSPECT
    scene.guard.supply.look(scene.now(), scene.guard.commanded)
    assert scene.guard.supply.status() == before
    del scene.quality[Channel.INPUT_V]
    scene.guard.commanded.rail_on = False
    scene.guard.supply.look(scene.now(), scene.guard.commanded)
    assert scene.guard.supply.status() == before


def test_a_measured_input_power_is_no_estimate() -> None:
    scene = Scene().live()
    supply = Supply(ENVELOPE)
    for number in range(60):
        scene.at_s += 0.2
        watts = 6.0 + 0.2 * number
        scene.values[Channel.INPUT_V] = input_v(5.2, 0.3, watts)
        scene.values[Channel.INPUT_W], scene.values[Channel.POWER_W] = watts, 99.0
        supply.look(scene.now(), scene.guard.commanded)
    found = supply.status()
    assert found is not None
    assert not found.estimated
    assert found.ohm == pytest.approx(0.3, rel=0.02)


def test_a_weak_supply_is_told_once_a_power_up() -> None:
    supply = ramp(0.2).guard.supply
    news = supply.news()
    assert news is not None
    assert news.startswith("weak supply: 0.2")
    assert supply.news() is None
    supply.forget()
    assert supply.news() is None
    assert ramp(0.1).guard.supply.news() is None


def test_a_rise_that_a_weak_supply_would_not_stand_is_refused_and_a_fall_never() -> None:
    weak = ramp(0.18, open_v=5.4, most_w=14.0)
    assert weak.guard.judge(SetOperatingPoint(frequency_mhz=531.25), weak.now())
    with pytest.raises(Refused, match=r"the supply has 0.1\d ohm \(estimated\): .* less than 4.80 V") as refused:
        weak.guard.judge(SetOperatingPoint(frequency_mhz=600.0, core_v=1.25, preset=True), weak.now())
    assert refused.value.rule == "supply"
    assert weak.guard.judge(SetOperatingPoint(frequency_mhz=500.0), weak.now())
    worse = ramp(0.45, open_v=6.4, most_w=10.0)
    with pytest.raises(Refused, match="more than half of the"):
        worse.guard.judge(SetOperatingPoint(frequency_mhz=625.0, core_v=1.25, preset=True), worse.now())
    good = ramp(0.08, open_v=5.25, most_w=14.0)
    assert good.guard.judge(SetOperatingPoint(frequency_mhz=600.0, core_v=1.25, preset=True), good.now())
