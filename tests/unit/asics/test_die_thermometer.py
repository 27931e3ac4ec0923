"""The thermometer in the die of a BM1368, over the line, and what a rig makes of it."""

from __future__ import annotations

import asyncio

import pytest

from controller.model import Cause, GuardState
from drivers.asics import ASICS
from drivers.asics.dies import DIE_EVERY_S
from drivers.boards import BOARDS
from drivers.codecs.bm13xx import encode
from emulator.benches import BENCHES, BenchSettings
from tests.scenarios.gamma import stand
from tests.unit.boards.on_a_bench import OnBench, bitaxe

SUPRA, SUPRA_HEX, GAMMA = "bitaxe-supra-401", "bitaxe-supra-hex", "bitaxe-gamma"
THERMOMETER = ASICS["BM1368"].thermometer
assert THERMOMETER is not None


def test_a_word_is_a_temperature_when_it_says_so_and_a_die_can_be_it() -> None:
    assert THERMOMETER is not None
    assert THERMOMETER.celsius(0x8000_0832) == pytest.approx(59.96, abs=0.005)  # the vector of the reply of chip 40
    assert THERMOMETER.celsius(0x0000_0832) is None
    for impossible in (0x8000_0000, 0x8000_FFFF, 0x8000_0A43):
        assert THERMOMETER.celsius(impossible) is None


def test_the_frames_that_begin_a_measurement_are_those_that_were_published() -> None:
    assert THERMOMETER is not None
    assert [encode(step.addressed(0)).hex(" ").upper() for step in THERMOMETER.start] == [
        "55 AA 51 09 00 B0 80 00 00 00 0F",
        "55 AA 51 09 00 B0 00 02 00 00 1F",
        "55 AA 51 09 00 B0 01 02 00 00 16",
        "55 AA 51 09 00 B0 10 02 00 00 1B",
    ]


async def live(on: OnBench) -> None:
    await on.board.first_contact()
    await on.power_up()


async def measured(on: OnBench) -> None:
    """Until each chip has been measured once: the first round finds nothing and begins."""
    chain = on.board.chain
    for _ in chain.chips:
        await chain.read_die()
    await asyncio.sleep(DIE_EVERY_S)
    for _ in chain.chips:
        await chain.read_die()


@pytest.mark.parametrize("board", [SUPRA, SUPRA_HEX])
async def test_each_chip_tells_how_warm_it_is(board: str) -> None:
    async with bitaxe(board) as on:
        await live(on)
        await asyncio.sleep(60.0)
        chain = on.board.chain
        for _ in chain.chips:
            await chain.read_die()
        assert all(chip.die_c is None for chip in chain.chips)  # nothing was measured yet
        truth = [on.bench.plant.die_of_c(chip.index) for chip in chain.chips]
        await measured(on)
        for chip, true_c in zip(chain.chips, truth, strict=True):
            assert chip.die_c == pytest.approx(true_c, abs=1.5)


async def test_it_is_measured_every_15_seconds_and_not_more_often_and_a_reset_forgets_it() -> None:
    async with bitaxe(SUPRA) as on:
        await live(on)
        seen = len(on.data_frames.frames)
        for _ in range(30 * 5):
            await on.board.read()
            await asyncio.sleep(0.2)
        begun = [frame for frame in on.data_frames.frames[seen:] if frame.lower().startswith("55 aa 51 09 00 b0 10")]
        assert len(begun) in (2, 3)
        assert on.board.chain.chips[0].die_c is not None
        await on.board.safe_off()
        assert on.board.chain.chips[0].die_c is None


async def test_a_chip_without_one_is_asked_nothing() -> None:
    async with bitaxe(GAMMA) as on:
        await live(on)
        seen = len(on.data_frames.frames)
        await on.board.chain.read_die()
        assert len(on.data_frames.frames) == seen


async def test_a_chip_that_says_twice_that_it_is_too_hot_is_believed() -> None:
    """The board's own thermometer reads too little, by no more than the power can show."""
    settings = BenchSettings(ambient_c=25.0)
    async with stand(settings, kind=BOARDS[SUPRA], build=BENCHES[SUPRA]) as s:  # type: ignore[arg-type]
        await s.power_up()
        await asyncio.sleep(60.0)
        snapshot = s.rig.snapshot().boards[0]
        assert snapshot.chains[0].chips[0].die_c == pytest.approx(s.bench.plant.hottest_die_c, abs=1.5)
        s.bench.faults.offset("chip_c", -25.0, over_s=60.0)
        s.bench.faults.ambient_c(65.0)
        fault = await s.fault(within_s=900.0)
        assert fault.cause is Cause.CHIP_TEMPERATURE
        assert "chip 0 reads" in fault.detail
        assert "2 times in a row" in fault.detail
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED
