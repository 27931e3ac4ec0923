"""What a run reports at an operating point, held against the plant that made it and against public measurements.

Points P001 and P008: ccalvop/bitaxe-lab docs/06-results.md, in tests/vectors/physics_points.jsonl. Reported power is
core volts x core amperes + 5 W, as AxeOS has it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.model import StartWork, StopWork, WorkSnapshot, WorkStopped
from controller.work.statistics import poisson_interval, wilson_interval
from drivers.boards.board import Channel
from emulator.benches import BenchSettings
from emulator.physics import PlantSettings, domain_yields
from tests.scenarios.gamma import NAME, Stand, stand

SHARE_THAT_PASSES = 2.0**-8
"""At a dilution of 2^24 a wrong nonce still shows eight zero bits this often."""


async def work_and_watch(s: Stand, command: StartWork, seconds: int) -> tuple[WorkSnapshot, float]:
    """One work session, and the mean of the plant's own yields over it, looked at ten times a second."""
    await s.rig.request(NAME, command)
    loop = asyncio.get_running_loop()
    yields = []
    for _ in range(10 * seconds):
        await asyncio.sleep(0.1)
        yields.append(sum(s.bench.plant.yields(loop.time())) / 4)
    await s.rig.request(NAME, StopWork())
    return s.find(WorkStopped)[-1].result, sum(yields) / len(yields)


async def test_power_and_die_at_stock_are_those_of_the_public_point_p001() -> None:
    async with stand(BenchSettings(ambient_c=27.8)) as s:
        await s.power_up(525.0, 1.150)
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(1.0)
        await s.rig.request(NAME, StopWork())
        await asyncio.sleep(600.0)  # the chip goes on hashing its last job, at full power
        board = (await s.snapshot()).boards[0]
        channels = board.channels
    # The chip's own counter, in units of 2^32 hashes: about 249 a second, known to a second's work.
    assert board.chains[0].chip_hash_count == pytest.approx(601.0 * board.chains[0].expected_hs / 2**32, rel=0.02)
    assert channels[Channel.POWER_W].value == pytest.approx(17.0, abs=0.5)
    assert channels[Channel.CHIP_C].value == pytest.approx(62.0, abs=2.0)
    assert channels[Channel.INPUT_W].value is None  # nothing on this board measures it


async def test_at_1000_mv_the_answers_found_agree_with_the_plant_s_own_yield() -> None:
    async with stand() as s:
        await s.power_up(525.0, 1.000)
        result, true_yield = await work_and_watch(s, StartWork(work="pattern"), 60)
    assert 0.2 < true_yield < 0.9
    assert result.answers_due is not None
    assert result.answers_found is not None
    interval = wilson_interval(result.answers_found, result.answers_due, 0.9999)
    assert interval is not None
    assert interval[0] < true_yield < interval[1]
    low, high = poisson_interval(result.hw_errors, 0.9999)
    assert low < (1.0 - true_yield) * result.expected_hs / 2**32 * result.elapsed_s < high


async def test_at_1000_mv_rate_and_errors_agree_with_the_plant_s_own_yield() -> None:
    async with stand(BenchSettings(dilution=2**24)) as s:
        await s.power_up(525.0, 1.000)
        result, true_yield = await work_and_watch(s, StartWork(work="synthetic"), 20)
    nominal = result.expected_hs / 2**32 * result.elapsed_s
    wrong = (1.0 - true_yield) * nominal
    low, high = poisson_interval(result.verified, 0.9999)
    assert low < true_yield * nominal + SHARE_THAT_PASSES * wrong < high
    low, high = poisson_interval(result.hw_errors, 0.9999)
    assert low < (1.0 - SHARE_THAT_PASSES) * wrong < high
    assert result.verified + result.hw_errors == result.nonces


@pytest.mark.parametrize(("die_c", "expected"), [(54.6, 0.70), (60.0, 0.78)])
async def test_at_1000_mv_and_a_held_die_the_yield_is_that_of_the_public_point_p008(
    die_c: float, expected: float
) -> None:
    """P008 was taken at 54.6 C. At 60 C the same model stands higher on its cliff: warm silicon is faster here."""
    async with stand() as s:
        await s.power_up(525.0, 1.000)
        s.bench.plant.settings = replace(s.bench.plant.settings, hold_die_c=die_c)
        s.bench.plant.die_c = die_c
        result, true_yield = await work_and_watch(s, StartWork(work="pattern"), 60)
    assert true_yield == pytest.approx(sum(domain_yields(1000.0, 525.0, die_c, PlantSettings())) / 4, abs=0.002)
    assert true_yield == pytest.approx(expected, abs=0.01)
    assert result.yield_ratio == pytest.approx(expected, abs=0.06)


async def test_the_95_percent_interval_of_the_rate_covers_the_truth_in_95_of_100_runs() -> None:
    """200 seeds: 20 benches with ten sessions each. 95 +- 4 % is 2.6 standard deviations of a true 95 %."""
    inside = 0
    for bench in range(20):
        async with stand(BenchSettings(seed=1000 + bench, dilution=2**29)) as s:
            await s.power_up()
            for session in range(10):
                start = StartWork(work="synthetic", seed=100 * bench + session)
                result, true_yield = await work_and_watch(s, start, 1)
                assert result.hashrate_ci95_hs is not None
                low, high = result.hashrate_ci95_hs
                inside += low <= true_yield * result.expected_hs <= high
    assert 0.91 <= inside / 200 <= 0.99
