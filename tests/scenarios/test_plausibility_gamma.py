"""Sensors of an emulated Gamma: a healthy board raises no doubt, and a broken sensor is named by its rule."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from controller.model import Cause, FaultLatched, StartWork
from drivers.boards.board import Channel
from emulator.benches import BenchSettings
from emulator.physics import PlantSettings
from tests.scenarios.gamma import NAME, stand
from tests.scenarios.honest_life import Doubts, honest, lead


async def test_a_healthy_board_raises_no_doubt_and_no_fault_through_starts_ramps_work_moves_and_stops() -> None:
    doubts, faults = await lead(seed=7, for_s=60.0)
    assert doubts.readings > 5_000
    assert not doubts.found
    assert not faults


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(400, 430))
async def test_healthy_boards_in_cold_and_warm_rooms_raise_no_doubt_in_an_hour_each(seed: int) -> None:
    doubts, faults = await lead(seed, for_s=3600.0)
    assert not doubts.found
    assert not faults


async def test_a_diode_that_starts_out_wrong_by_its_set_up_moves_without_a_doubt() -> None:
    settings = dataclasses.replace(honest(3), ambient_c=30.0, rail_on_at_power_up=True)
    doubts = Doubts()
    async with stand(settings) as s:
        watching = asyncio.create_task(doubts.watch(s))
        await asyncio.sleep(5.0)
        before_c = s.rig.snapshot().boards[0].channels[Channel.CHIP_C].value
        await s.power_up(400.0, 1.0)
        await asyncio.sleep(5.0)
        assert before_c is not None
        assert before_c > 37.0  # ideality and beta of another diode: 8.75 C too warm until the lock-down
    await watching
    assert not doubts.found


async def struck(fault: str, arguments: tuple[Any, ...], after_s: float, seed: int = 1) -> tuple[FaultLatched, float]:
    """What latches a board at work after this fault, and how long it takes. Nothing is in doubt before it."""
    doubts = Doubts()
    async with stand(BenchSettings(seed=seed, dilution=1 << 31)) as s:
        watching = asyncio.create_task(doubts.watch(s))
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="synthetic"))
        await asyncio.sleep(after_s)
        assert not doubts.found
        assert not s.find(FaultLatched)
        began_s = asyncio.get_running_loop().time()
        getattr(s.bench.faults, fault)(*arguments)
        found = await s.fault(200.0)
        assert s.bench.truth(asyncio.get_running_loop().time())["rail_on"] is False or fault == "nak"
    await watching
    return found, found.at_s - began_s


_DIODE_HIGH = 0x01
_READ_IOUT = 0x8C
_READ_TEMPERATURE = 0x8D


@pytest.mark.parametrize(
    ("fault", "arguments", "after_s", "cause", "sensor", "rule", "within_s"),
    [
        ("open_diode", (), 10.0, Cause.SENSOR_INVALID, "chip_c", "range: faulty: diode open (reads 127.0 C)", 0.8),
        (
            "short_diode",
            (),
            10.0,
            Cause.SENSOR_INVALID,
            "chip_c",
            "range: faulty: diode shorted (reads 127.875 C)",
            0.8,
        ),
        ("nak", ("emc2101",), 10.0, Cause.SENSOR_STALE, "chip_c", "no good value for 2.0 s", 2.2),
        ("nak", ("tps546",), 10.0, Cause.SENSOR_STALE, "vr_c", "no good value for 2.0 s", 2.2),
        ("freeze", ("emc2101",), 10.0, Cause.SENSOR_INVALID, "chip_c", "stuck: read ", 70.0),
        ("freeze", ("tps546",), 10.0, Cause.SENSOR_INVALID, "core_a", "stuck: read ", 70.0),
        (
            "stick",
            ("emc2101", _DIODE_HIGH, "14"),
            200.0,
            Cause.SENSOR_INVALID,
            "chip_c",
            "disagreement: chip_c reads 20.",
            15.0,
        ),
        ("stick", ("emc2101", _DIODE_HIGH, "50"), 10.0, Cause.SENSOR_INVALID, "chip_c", "rate: read 80", 0.8),
        (
            "stick",
            ("tps546", _READ_TEMPERATURE, "14e8"),
            200.0,
            Cause.SENSOR_INVALID,
            "vr_c",
            "disagreement: chip_c reads",
            45.0,  # 10 s of doubt, 30 s with less
        ),
        ("offset", ("chip_c", -9.6, 30.0), 220.0, Cause.SENSOR_INVALID, "chip_c", "drift: chip_c reads ", 160.0),
        ("offset", ("vr_c", 9.6, 0.0), 220.0, Cause.SENSOR_INVALID, "chip_c", "drift: chip_c reads ", 130.0),
        ("stick", ("tps546", _READ_IOUT, "0000"), 40.0, Cause.SENSOR_INVALID, "core_a", "power: core_w 0.0 W", 12.0),
        ("stick", ("tps546", _READ_IOUT, "00d1"), 40.0, Cause.SENSOR_INVALID, "core_a", "power: core_w 4.5 W", 12.0),
    ],
)
async def test_each_fault_of_a_sensor_is_named_by_its_rule_and_its_channel_in_time(
    fault: str, arguments: tuple[Any, ...], after_s: float, cause: Cause, sensor: str, rule: str, within_s: float
) -> None:
    found, took_s = await struck(fault, arguments, after_s)
    assert (found.cause, found.sensor) == (cause, sensor)
    assert found.detail.startswith(rule)
    assert took_s <= within_s


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize(("part", "sensors"), [("emc2101", {"chip_c"}), ("tps546", {"vr_c", "input_v", "core_v"})])
async def test_a_part_that_answers_noise_is_a_sensor_fault_and_no_heat_no_sag_and_no_fault_of_the_regulator(
    part: str, sensors: set[str], seed: int
) -> None:
    found, took_s = await struck("garbage", (part,), after_s=10.0, seed=seed)
    assert found.cause is Cause.SENSOR_INVALID
    assert found.sensor in sensors
    assert took_s < 2.5


async def test_one_lost_reply_is_one_doubtful_sample_and_ends_nothing() -> None:
    doubts = Doubts()
    async with stand() as s:
        watching = asyncio.create_task(doubts.watch(s))
        await s.power_up()
        for _ in range(20):
            await asyncio.sleep(1.03)
            s.bench.faults.lose_replies(1)
        assert not s.find(FaultLatched)
    await watching
    assert 0 < len(doubts.found) < 120


async def test_a_heatsink_that_came_off_is_heat_and_not_a_broken_sensor() -> None:
    async with stand(BenchSettings(dilution=1 << 31, plant=PlantSettings(ambient_c=30.0))) as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="synthetic"))
        await asyncio.sleep(300.0)
        s.bench.faults.loosen_heatsink()
        found = await s.fault()
    assert found.cause in (Cause.CHIP_TEMPERATURE, Cause.RUNAWAY)
    assert found.sensor == "chip_c"
