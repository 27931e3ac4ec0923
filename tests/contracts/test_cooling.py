"""What every way to cool a board promises, each on the bench of a board that has it."""

from __future__ import annotations

import asyncio
import math

import pytest

from drivers.boards.board import FanTable, Protection
from drivers.boards.cooling import Cooling, Fan
from drivers.errors import LimitError, Nack, UsageError
from drivers.units import Ratio
from tests.unit.boards.on_a_bench import OnBench, bitaxe

every_cooling = pytest.mark.parametrize(
    ("board", "part"),
    [
        ("bitaxe-gamma", "emc2101"),
        ("bitaxe-supra-402", "emc2101"),
        ("bitaxe-ultra-205", "emc2101"),  # without a diode
        ("bitaxe-hex", "emc2302"),
        ("bitaxe-gt", "emc2103"),
    ],
)


async def opened(on: OnBench) -> tuple[Cooling, Fan]:
    await on.board.first_contact()
    cooling = await on.board._open_cooling()
    assert cooling.fan is not None
    return cooling, cooling.fan


@every_cooling
async def test_a_duty_is_true_and_read_back(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        _, fan = await opened(on)
        await asyncio.sleep(4.0)  # an EMC2101 spins the fan up at full for 3.2 s, whatever is asked meanwhile
        for ratio in (1.0, 0.5, 0.75, 0.25, 1.0):
            await fan.set_duty(Ratio(ratio))
            assert on.truth("fan_duty") == pytest.approx(ratio, abs=0.015)
            assert await fan.duty() == pytest.approx(ratio, abs=0.015)


@every_cooling
@pytest.mark.parametrize("ratio", [-0.01, 1.01, math.nan, math.inf])
async def test_a_duty_outside_is_refused_and_the_fan_stays(board: str, part: str, ratio: float) -> None:
    async with bitaxe(board) as on:
        _, fan = await opened(on)
        with pytest.raises(LimitError):
            await fan.set_duty(Ratio(ratio))
        assert on.truth("fan_duty") == 1.0


@every_cooling
async def test_the_speed_is_the_fans_and_nothing_when_it_stands_or_says_nothing(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        cooling, fan = await opened(on)
        await cooling.configure()
        await asyncio.sleep(20.0)
        assert await fan.rpm() == pytest.approx(on.truth("fan_rpm"), rel=0.02)
        on.bench.faults.lose_tach()
        assert await fan.rpm() == 0.0
        on.bench.faults.lose_tach(off=True)
        on.bench.faults.stall_fan()
        await asyncio.sleep(20.0)
        assert await fan.rpm() == 0.0


@every_cooling
async def test_the_die_is_as_warm_as_it_is_and_a_broken_thermometer_leaves_none(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        await on.board.first_contact()
        await on.power_up()
        await asyncio.sleep(20.0)
        cooling = await on.board._open_cooling()
        found = await cooling.chip()
        assert found.chip_c == pytest.approx(on.truth("die_c"), abs=1.0)
        assert found.note is None
        on.bench.faults.open_diode()
        await asyncio.sleep(0.2)
        found = await cooling.chip()
        assert found.chip_c is None
        assert found.note


@every_cooling
async def test_a_part_that_does_not_answer_raises_what_the_bus_raises(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        cooling, fan = await opened(on)
        on.bench.faults.nak(part)
        for question in (fan.duty(), fan.rpm(), fan.set_duty(Ratio(0.5)), cooling.configure()):
            with pytest.raises(Nack):
                await question


@every_cooling
async def test_a_table_is_there_or_refused_by_name(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        await on.board.first_contact()
        await on.power_up()
        cooling = await on.board._open_cooling()
        if cooling.table is not None:
            await on.board.apply(FanTable())
            assert Protection.FAN_TABLE in on.board.protections()
            assert not await cooling.table.is_host_set()
        else:
            with pytest.raises(UsageError, match=cooling.name):
                await on.board.apply(FanTable())
            assert Protection.FAN_TABLE not in on.board.protections()
