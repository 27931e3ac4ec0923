"""Supply, heat, fan and regulator: what happens around the chip, at the moment at which it was asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.benches.bitaxe import BitaxeGamma
from tests.unit.boards.on_a_bench import OnBench, gamma
from tests.unit.emulator.faults.asking import byte, put, word

STATUS_WORD, STATUS_DETAILS = 0x79, (0x7A, 0x7B, 0x7C, 0x7D, 0x7E)


def value(on: OnBench, key: str) -> float:
    found = on.truth(key)
    assert isinstance(found, float)
    return found


async def hash_hard(on: OnBench) -> None:
    """Full load, as when every core hashes."""
    await on.power_up(525.0, 1.150)
    on.bench.plant.set_load(525.0, 1.0, asyncio.get_running_loop().time())


async def test_a_fan_at_30_percent_turns_at_30_percent_of_its_speed_and_the_die_gets_hotter() -> None:
    async with gamma() as on:
        await hash_hard(on)
        await asyncio.sleep(300.0)
        rpm, die_c = value(on, "fan_rpm"), value(on, "die_c")
        on.bench.faults.degrade_fan(0.3)
        await asyncio.sleep(300.0)
        assert value(on, "fan_rpm") == pytest.approx(0.3 * rpm, rel=0.01)
        assert value(on, "die_c") > die_c + 5.0
        on.bench.faults.degrade_fan(off=True)
        await asyncio.sleep(10.0)
        assert value(on, "fan_rpm") == pytest.approx(rpm, rel=0.01)


async def test_a_stalled_fan_turns_again_when_it_is_freed() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.stall_fan()
        await asyncio.sleep(20.0)
        assert value(on, "fan_rpm") == 0.0
        on.bench.faults.stall_fan(off=True)
        await asyncio.sleep(20.0)
        assert value(on, "fan_rpm") == pytest.approx(5230.0, rel=0.01)


async def test_paste_that_creeps_ends_where_paste_that_is_gone_at_once_is() -> None:
    async with gamma() as on:
        await hash_hard(on)
        await asyncio.sleep(900.0)
        good_c = value(on, "die_c")
        on.bench.faults.loosen_heatsink(3.0, over_s=100.0)
        await asyncio.sleep(50.0)
        assert on.bench.heatsink_factor == pytest.approx(2.0, abs=0.01)
        await asyncio.sleep(900.0)
        crept_c = value(on, "die_c")
        on.bench.faults.loosen_heatsink(3.0)
        assert on.bench.heatsink_factor == 3.0
        await asyncio.sleep(100.0)
        assert value(on, "die_c") == pytest.approx(crept_c, abs=0.2)
        assert crept_c > good_c + 8.0
        on.bench.faults.loosen_heatsink(off=True)
        await asyncio.sleep(900.0)
        assert value(on, "die_c") == pytest.approx(good_c, abs=0.5)


async def test_a_ramp_of_the_supply_is_half_way_at_half_time_and_a_newer_one_replaces_it() -> None:
    bench = BitaxeGamma()
    bench.clock = lambda: 10.0
    bench.faults.source_v(4.38, over_s=10.0)
    bench.faults.source_ohm(0.19, over_s=4.0)
    bench.clock = lambda: 12.0
    assert bench.source_v == pytest.approx(5.18)
    assert bench.source_ohm == pytest.approx(0.14)
    bench.faults.source_v(5.0)
    bench.clock = lambda: 30.0
    assert (bench.source_v, bench.source_ohm) == (5.0, 0.19)
    bench.faults.source_v(off=True)
    bench.faults.source_ohm(off=True)
    assert (bench.source_v, bench.source_ohm) == (bench.built_source_v, bench.built_source_ohm) == (5.38, 0.09)


async def brown_out(on: OnBench) -> None:
    """The trace that was seen in public: off, input back up, STATUS_WORD 0840, nothing latched."""
    assert on.truth("rail_on") is False
    assert await word(on, STATUS_WORD) == 0x0840
    assert [await byte(on, status, 0x24) for status in STATUS_DETAILS] == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("do", "arguments"),
    [
        ("source_ohm", {"ohm": 0.6}),
        ("source_ohm", {"ohm": 0.6, "over_s": 20.0}),
        ("dip", {"by_v": 1.2, "for_s": 0.02}),
        ("dip", {"by_v": 1.2, "for_s": 0.001}),
    ],
)
async def test_a_weak_supply_ends_in_a_rail_that_is_off_without_a_latched_bit(
    do: str, arguments: dict[str, Any]
) -> None:
    async with gamma() as on:
        await hash_hard(on)
        on.bench.faults.do(do, arguments)
        await asyncio.sleep(30.0)
        assert value(on, "input_v") > 4.75
        await brown_out(on)


async def test_a_dip_lasts_exactly_as_long_as_it_was_asked_to_although_nobody_looks() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        seen: list[tuple[float, float]] = []
        on.bench.plant.input_watchers.append(lambda volts, at_s: seen.append((at_s, volts)))
        began_s = asyncio.get_running_loop().time()
        on.bench.faults.dip(by_v=0.4, for_s=0.0123)
        await asyncio.sleep(1.0)
        on.bench.advance(asyncio.get_running_loop().time())
        low = [at_s for at_s, volts in seen if volts < 4.9]
        over_s = min(at_s for at_s, volts in seen if volts > 4.9 and at_s > began_s)
        assert min(low) == pytest.approx(began_s)
        assert over_s == pytest.approx(began_s + 0.0123)
        assert on.truth("rail_on") is True


async def test_a_dip_comes_off_a_supply_that_is_on_its_way_and_can_be_ended() -> None:
    bench = BitaxeGamma()
    bench.clock = lambda: 1.0
    bench.faults.source_v(4.38, over_s=2.0)
    bench.faults.dip(by_v=1.0, for_s=0.5)
    bench.clock = lambda: 1.4
    assert bench.source_v == pytest.approx(5.38 - 0.2 - 1.0)
    bench.clock = lambda: 1.6
    assert bench.source_v == pytest.approx(5.38 - 0.3)
    bench.clock = lambda: 5.0
    bench.faults.dip(by_v=1.0, for_s=60.0)
    assert bench.source_v == pytest.approx(3.38)
    bench.faults.dip(off=True)
    assert bench.source_v == pytest.approx(4.38)


async def test_the_air_is_as_warm_as_asked_and_then_as_it_was() -> None:
    async with gamma() as on:
        on.bench.faults.ambient_c(41.5)
        assert value(on, "ambient_c") == 41.5
        on.bench.faults.ambient_c(off=True)
        assert value(on, "ambient_c") == 25.0


# --- the regulator


async def test_a_rail_regulates_beside_its_set_point_by_what_was_asked() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        before_v = value(on, "rail_v")
        on.bench.faults.regulation_error(-0.040)
        assert value(on, "rail_v") == pytest.approx(before_v - 0.040, abs=0.001)
        assert await word(on, 0x8B) / 512 == pytest.approx(before_v - 0.040, abs=0.006)
        on.bench.faults.regulation_error(off=True)
        assert value(on, "rail_v") == pytest.approx(before_v, abs=0.001)


async def test_a_rail_that_runs_away_climbs_at_its_pace_until_the_regulators_own_limit() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        before_v = value(on, "rail_v")
        on.bench.faults.run_away(v_per_s=0.1)
        await asyncio.sleep(1.0)
        assert value(on, "rail_v") == pytest.approx(before_v + 0.1, abs=0.006)
        await asyncio.sleep(10.0)
        assert on.truth("rail_on") is False, "over-voltage at 125 %, latched"
        assert await byte(on, 0x7A, 0x24) & 0x80
        assert on.truth("burnt") is None


@pytest.mark.parametrize("v_per_s", [1.0, 100.0])
async def test_no_step_of_a_rail_that_runs_away_is_quicker_than_the_regulators_own_limit(v_per_s: float) -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        seen_v: list[float] = []
        on.bench.plant.rail_watchers.append(lambda core_v, _: seen_v.append(core_v))
        on.bench.faults.run_away(v_per_s=v_per_s)
        await asyncio.sleep(1.0)
        assert on.truth("rail_on") is False
        assert await byte(on, 0x7A, 0x24) & 0x80
        assert 1.40 < max(seen_v) <= 1.25 * 1.150 + 0.002
        assert on.truth("burnt") is None


async def test_a_rail_that_runs_away_stops_when_it_is_told_to_and_regulates_again() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        before_v = value(on, "rail_v")
        on.bench.faults.run_away(v_per_s=0.05, up_to_v=0.06)
        await asyncio.sleep(10.0)
        assert value(on, "rail_v") == pytest.approx(before_v + 0.06, abs=0.001)
        on.bench.faults.run_away(off=True)
        await asyncio.sleep(10.0)
        assert value(on, "rail_v") == pytest.approx(before_v, abs=0.001)


async def test_a_regulator_that_goes_off_by_itself_says_no_cause_and_needs_to_be_commanded_off_and_on() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.trip_rail()
        await asyncio.sleep(5.0)
        await brown_out(on)
        await put(on, 0x24, "01 80")
        assert on.truth("rail_on") is False
        await put(on, 0x24, "01 00")
        await put(on, 0x24, "01 80")
        assert on.truth("rail_on") is True
        on.bench.faults.trip_rail()
        on.bench.faults.trip_rail(off=True)
        assert on.truth("rail_on") is True


async def test_ending_a_trip_does_not_undo_one_that_the_regulator_had_a_reason_for() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.trip_rail()
        await put(on, 0x24, "01 00")
        await put(on, 0x24, "01 80")
        await asyncio.sleep(0.1)
        on.bench.faults.regulation_error(0.4)
        await asyncio.sleep(0.2)
        assert on.truth("rail_on") is False
        on.bench.faults.heal()
        await asyncio.sleep(1.0)
        assert on.truth("rail_on") is False


async def test_two_faults_at_once_a_stalled_fan_and_a_supply_that_sags() -> None:
    async with gamma() as on:
        await hash_hard(on)
        on.bench.faults.stall_fan()
        on.bench.faults.source_ohm(0.25, over_s=5.0)
        on.bench.faults.ambient_c(35.0)
        await asyncio.sleep(30.0)
        assert value(on, "fan_rpm") == 0.0
        assert value(on, "input_v") < 4.8
        on.bench.faults.heal()
        await asyncio.sleep(30.0)
        assert value(on, "fan_rpm") > 5000.0
        assert value(on, "input_v") > 5.0
        assert value(on, "ambient_c") == 25.0
