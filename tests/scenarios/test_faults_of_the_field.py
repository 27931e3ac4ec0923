"""What the field has seen, thrown at a rig that hashes: the cause it must name, and how soon the board must be safe.

Each row is one injection with its time: the debounce of docs/safety.md 3, and one sweep of 0.2 s for the look.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.model import Cause, GuardState, OperatorLimits, Reach, SafeOffDone, StartWork
from drivers.boards import BOARDS
from drivers.boards.board import Channel
from emulator.benches import BENCHES, BenchSettings
from emulator.script import Script
from tests.campaign.subject import subject_of
from tests.scenarios.gamma import NAME, Stand, stand

LIMITED = sorted(name for name, row in BOARDS.items() if Channel.CORE_V in row.own_limits)
"""Boards whose regulator has limits of its own."""
STALE_OR_INVALID = {Cause.SENSOR_INVALID, Cause.SENSOR_STALE}


async def hash_on(s: Stand) -> None:
    await s.power_up()
    await s.rig.request(NAME, StartWork(work="pattern"))
    await asyncio.sleep(5.0)


@pytest.mark.parametrize(
    ("do", "arguments", "causes", "sensor", "within_s"),
    [
        ("misread", {"channel": "chip_c", "value": 127.0}, STALE_OR_INVALID, "chip_c", 3.0),
        ("misread", {"channel": "chip_c", "value": 127.875}, STALE_OR_INVALID, "chip_c", 3.0),
        ("misread", {"channel": "chip_c", "value": -1.0}, STALE_OR_INVALID, "chip_c", 3.0),
        ("misread", {"channel": "chip_c", "value": 255.0}, STALE_OR_INVALID, "chip_c", 3.0),
        ("misread", {"channel": "chip_c", "value": 0.0}, STALE_OR_INVALID, "chip_c", 3.0),
        ("misread", {"channel": "vr_c", "value": 200.0}, STALE_OR_INVALID, "vr_c", 33.0),  # 30 s with less
        ("misread", {"channel": "input_v", "value": 1600.0}, STALE_OR_INVALID, "input_v", 3.0),
        ("misread", {"channel": "input_v", "value": -183.0}, STALE_OR_INVALID, "input_v", 3.0),
        ("nak", {"part": "emc2101"}, {Cause.SENSOR_STALE}, "chip_c", 3.0),
        ("stall_fan", {}, {Cause.FAN}, "fan_rpm", 8.0),
        ("lose_tach", {}, {Cause.FAN}, "fan_rpm", 6.0),
        ("degrade_fan", {"ratio": 0.2}, {Cause.FAN}, "fan_rpm", 10.0),
        ("loosen_heatsink", {"factor": 8.0}, {"chip_temperature", "runaway"}, None, 30.0),
        ("source_ohm", {"ohm": 0.4}, {Cause.INPUT_LOW}, None, 2.0),
        ("source_ohm", {"ohm": 0.4, "over_s": 5.0}, {Cause.INPUT_LOW}, None, 7.0),
        ("regulation_error", {"volts": 0.12}, {Cause.CORE_VOLTAGE}, "core_v", 1.0),
        ("regulation_error", {"volts": -0.15}, {Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT}, None, 1.5),
        ("run_away", {"v_per_s": 0.1}, {Cause.CORE_VOLTAGE}, "core_v", 2.5),
        ("trip_rail", {}, {Cause.REGULATOR_OFF}, None, 1.0),
        ("silence_chip", {}, {Cause.CHIP_SILENT}, None, 35.0),
    ],
)
async def test_a_fault_of_the_field_is_named_and_the_board_made_safe_in_time(
    do: str, arguments: dict[str, Any], causes: set[str], sensor: str | None, within_s: float
) -> None:
    async with stand() as s:
        await hash_on(s)
        began_s = asyncio.get_running_loop().time()
        s.bench.faults.do(do, arguments)
        fault = await s.fault(60.0)
        assert fault.cause in causes
        assert sensor is None or fault.sensor == sensor
        assert fault.at_s - began_s <= within_s
        assert s.bench.plant.burnt is None
        truth = s.bench.truth(asyncio.get_running_loop().time())
        assert truth["reset_asserted"]
        assert not truth["rail_on"]
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED


@pytest.mark.parametrize("board", LIMITED)
async def test_a_rail_just_below_the_regulators_own_limit_is_real_and_trips_at_the_first_reading(board: str) -> None:
    kind, e = BOARDS[board], BOARDS[board].envelope
    async with stand(kind=kind, build=BENCHES[board], operator=OperatorLimits(unlock=Reach.HARD)) as s:  # type: ignore[arg-type]
        await s.power_up(core_v=float(e.core_v_hard))
        began_s = asyncio.get_running_loop().time()
        above_v = 0.225 * e.core_v_hard * s.bench.plant.settings.board_domains  # it goes off by itself above 25 %
        s.bench.faults.regulation_error(above_v)
        fault = await s.fault()
        assert (fault.cause, fault.sensor) == (Cause.CORE_VOLTAGE, "core_v")
        assert fault.at_s - began_s <= 0.4  # a sweep, and the one that was under way
        assert s.is_safe()


@pytest.mark.parametrize("board", [name for name in LIMITED if not subject_of(name).rail_follows_bridge])
async def test_a_rail_that_starts_by_itself_with_its_supply_is_made_safe_on_a_board_that_was_off(board: str) -> None:
    settings = BenchSettings(rail_on_at_power_up=True)
    async with stand(settings, kind=BOARDS[board], build=BENCHES[board]) as s:  # type: ignore[arg-type]
        await s.wait_for(SafeOffDone)
        assert s.is_safe()
        s.bench.faults.power_cycle()
        assert s.bench.truth(asyncio.get_running_loop().time())["rail_on"]
        fault = await s.fault()
        assert fault.cause is Cause.ACTUATION
        assert s.is_safe()


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ("run_away", 100.0),  # SEED=9 ONLY=7130: above its limit; a status word that does not agree with itself
        ("regulation_error", -0.19),  # SEED=10 ONLY=5451: below it
    ],
)
async def test_a_regulator_that_starts_again_and_again_and_is_cut_short_by_itself_is_told_to_be_off(
    fault: str, number: float
) -> None:
    """Found by the campaign: it reads 0 V and off whenever a sweep comes by."""
    async with stand(BenchSettings(rail_on_at_power_up=True)) as s:
        await s.wait_for(SafeOffDone)
        getattr(s.bench.faults, fault)(number)
        await asyncio.sleep(1.0)
        began_s = asyncio.get_running_loop().time()
        s.bench.faults.power_cycle()
        found = await s.fault()
        assert (found.cause, found.sensor) == (Cause.ACTUATION, "status_word")
        assert found.at_s - began_s <= 3.0
        await asyncio.sleep(0.5)
        starts = len(s.bench.actuations)
        await asyncio.sleep(5.0)
        assert len(s.bench.actuations) == starts
        assert s.is_safe()


async def test_a_bus_held_low_is_a_bus_fault_the_chip_is_reset_at_once_and_the_rail_cut_when_the_bus_is_free() -> None:
    async with stand() as s:
        await hash_on(s)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        s.bench.faults.stuck_bus()
        fault = await s.fault()
        assert fault.cause is Cause.SENSOR_BUS
        assert fault.at_s - began_s <= 3.0
        truth = s.bench.truth(loop.time())
        assert (truth["reset_asserted"], truth["rail_on"]) == (True, True)
        assert not s.find(SafeOffDone)[-1].report.confirmed
        s.bench.faults.stuck_bus(off=True)
        await asyncio.sleep(3.0)  # it tries again every 2 s
        assert s.is_safe()
        assert s.find(SafeOffDone)[-1].report.confirmed


@pytest.mark.parametrize(
    ("do", "arguments"),
    [
        ("garbage_once", {"channel": "vr_c", "value": 127.88}),
        ("garbage_once", {"channel": "input_v", "value": 80.88}),
        ("garbage_once", {"channel": "chip_c", "value": -1.0, "count": 2}),
        ("garbage_once", {"channel": "core_v", "value": 1.65}),
        ("flip_bits", {"p": 0.0005, "port": "control"}),
        ("dip", {"by_v": 0.3, "for_s": 0.02}),
        ("nak", {"part": "tps546", "p": 0.02}),
        ("lose_bytes", {"p": 0.0005, "port": "control"}),
        ("flip_bits", {"p": 0.0005, "port": "data"}),
        ("chop", {}),
        ("late", {"by_s": 0.01}),
        ("duplicate_storm", {}),
        ("kill_domain", {"domain": 1}),
        ("wrong_id", {"count": 2}),
        ("lose_replies", {"count": 2}),
        ("stall_bridge", {"for_s": 0.4}),
        ("ignore_writes", {"command": "FAN_SETTING", "part": "emc2101"}),
    ],
)
async def test_what_the_field_gets_over_trips_nothing(do: str, arguments: dict[str, Any]) -> None:
    async with stand(BenchSettings(first_temperature_quirk=False)) as s:
        await hash_on(s)
        s.bench.faults.do(do, arguments)
        await asyncio.sleep(30.0)
        assert s.rig.snapshot().boards[0].state is GuardState.LIVE
        work = s.rig.snapshot().boards[0].work
        assert work is not None
        assert work.answers_found


async def test_volts_that_only_a_fault_can_make_trip_when_a_second_reading_in_the_same_sweep_says_so_too() -> None:
    async with stand(BenchSettings(first_temperature_quirk=False)) as s:
        await hash_on(s)
        began_s = asyncio.get_running_loop().time()
        s.bench.faults.garbage_once(Channel.CORE_V, 1.65, 2)
        fault = await s.fault()
        assert (fault.cause, fault.sensor) == (Cause.CORE_VOLTAGE, "core_v")
        assert fault.at_s - began_s <= 0.2
        assert s.is_safe()


async def test_a_script_of_a_bad_night_ends_with_the_first_of_its_faults_that_is_dangerous() -> None:
    text = """
schema = "hashbridge.faults/1"
[[between]]
from_s = 1.0
to_s = 30.0
do = "chop"
[[between]]
from_s = 2.0
to_s = 3.0
do = "duplicate_storm"
[[at]]
s = 5.0
do = "garbage_once"
channel = "vr_c"
value = 127.88
[[at]]
s = 8.0
do = "stall_fan"
"""
    async with stand() as s:
        await hash_on(s)
        player = Script.parse(text, s.bench.faults).play(s.bench.faults)
        began_s = asyncio.get_running_loop().time()
        fault = await s.fault(60.0)
        assert fault.cause is Cause.FAN
        assert 8.0 < fault.at_s - began_s < 16.0
        assert s.is_safe()
        assert (player.done, player.failed) == (5, [])
