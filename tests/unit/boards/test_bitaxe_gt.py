"""Bitaxe GT: two regulators that are one, and a diode in each of two chips."""

from __future__ import annotations

import asyncio

import pytest

from drivers.boards.board import FAULTY, Channel
from drivers.errors import VerifyError
from tests.unit.boards.on_a_bench import bitaxe


async def test_lock_down_writes_what_makes_two_regulators_one_and_reads_it_back() -> None:
    async with bitaxe("bitaxe-gt") as on:
        await on.board.first_contact()
        await on.power_up()
        frames = on.control_frames.frames
        for written in ("24 ec 01 00", "24 e4 d0", "24 04 ff", "24 b1 05 12 34 42 21 04"):
            assert any(frame.endswith(written) for frame in frames), written
        before = next(at for at, frame in enumerate(frames) if frame.endswith("24 ec 01 00"))
        rail_on = next(at for at, frame in enumerate(frames) if frame.endswith("24 01 80"))
        assert before < rail_on


@pytest.mark.parametrize(("register", "data"), [(0xEC, "0000"), (0xE4, "10"), (0xB1, "052218c21d06")])
async def test_a_stack_that_does_not_hold_keeps_the_rail_off(register: int, data: str) -> None:
    async with bitaxe("bitaxe-gt") as on:
        await on.board.first_contact()
        on.bench.faults.stick("tps546", register, data)
        with pytest.raises(VerifyError):
            await on.power_up()
        assert not on.truth("rail_on")


async def test_the_warmer_die_is_shown_and_a_broken_diode_leaves_none() -> None:
    async with bitaxe("bitaxe-gt") as on:
        await on.board.first_contact()
        await on.power_up()
        await asyncio.sleep(60.0)
        worse = on.bench.plant.units[0]._replace(die_to_sink_k_per_w=1.5)
        on.bench.plant.set_unit(worse, asyncio.get_running_loop().time(), chip=0)
        await asyncio.sleep(10.0)
        await on.board.read()
        reading = await on.board.read()
        hotter, cooler = on.bench.plant.die_of_c(0), on.bench.plant.die_of_c(1)
        assert hotter > cooler + 5.0
        assert reading.channels[Channel.CHIP_C] == pytest.approx(hotter, abs=0.8)
        on.bench.faults.open_diode()
        reading = await on.board.read()
        assert reading.channels[Channel.CHIP_C] is None
        assert reading.notes[Channel.CHIP_C].startswith(f"{FAULTY}: diode 1: ")
