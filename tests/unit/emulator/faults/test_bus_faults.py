"""Faults of the I2C bus, asked for through the real bridge driver."""

from __future__ import annotations

import asyncio

import pytest

from drivers.boards.board import CoreVoltage
from drivers.errors import Nack, VerifyError
from drivers.peripherals.emc2101 import Emc2101
from drivers.units import Ratio, Volts
from tests.unit.boards.on_a_bench import gamma
from tests.unit.emulator.faults.asking import FAN, REGULATOR, byte, put, shown, word

VOUT_COMMAND = 0x21


@pytest.mark.parametrize("part", ["emc2101", "tps546"])
async def test_a_part_that_acknowledges_nothing_leaves_the_other_alone_until_it_is_healed(part: str) -> None:
    async with gamma() as on:
        dead, alive = ("chip_c", "vr_c") if part == "emc2101" else ("vr_c", "chip_c")
        on.bench.faults.nak(part)
        with pytest.raises(Nack):
            await shown(on, dead)
        assert await shown(on, alive) == pytest.approx(30.0, abs=10.0)
        on.bench.faults.nak(part, off=True)
        assert await shown(on, dead) == pytest.approx(30.0, abs=10.0)


async def test_a_part_that_fails_now_and_then_fails_in_the_share_that_was_asked_for() -> None:
    async with gamma() as on:
        on.bench.faults.nak("tps546", p=0.25)
        failed = 0
        for _ in range(400):
            try:
                await word(on, 0x88)
            except Nack:
                failed += 1
        assert 60 <= failed <= 140


async def test_a_bus_held_low_fails_every_transfer_and_the_reset_pin_still_works() -> None:
    async with gamma() as on:
        on.bench.faults.stuck_bus()
        for address in (FAN, REGULATOR):
            with pytest.raises(Nack):
                await byte(on, 0x00, address)
            with pytest.raises(Nack):
                await put(on, address, "00 00")
        await on.board.bridge.set_i2c_frequency(400_000)
        with pytest.raises(Nack):  # nothing that the bridge offers gives the bus its nine clocks
            await byte(on, 0x00)
        pin = on.board.bridge.gpio(0)
        await pin.set(True)
        assert await pin.get()
        on.bench.faults.stuck_bus(off=True)
        assert await byte(on, 0xFD) == 0x16


async def test_a_power_cycle_frees_a_bus_held_low_and_leaves_a_silent_part_silent() -> None:
    async with gamma() as on:
        on.bench.faults.stuck_bus()
        on.bench.faults.nak("tps546")
        on.bench.faults.power_cycle()
        await asyncio.sleep(0.1)
        assert await byte(on, 0xFD) == 0x16
        with pytest.raises(Nack):
            await word(on, 0x88)


async def test_ignored_writes_are_acknowledged_and_only_so_many() -> None:
    async with gamma() as on:
        on.bench.faults.ignore_writes("VOUT_COMMAND", count=2)
        for hex_bytes, found in (("21 66 02", 0x019A), ("21 67 02", 0x019A), ("21 68 02", 0x0268)):
            await put(on, REGULATOR, hex_bytes)
            assert await word(on, VOUT_COMMAND) == found
        on.bench.faults.ignore_writes(VOUT_COMMAND, count=5)
        on.bench.faults.ignore_writes(VOUT_COMMAND, off=True)
        await put(on, REGULATOR, "21 66 02")
        assert await word(on, VOUT_COMMAND) == 0x0266


async def test_the_driver_finds_an_ignored_write_by_reading_back() -> None:
    async with gamma() as on:
        part = await Emc2101.open(on.board.bridge.i2c())
        on.bench.faults.ignore_writes("FAN_SETTING", part="emc2101")
        with pytest.raises(VerifyError, match=r"register 0x4c"):
            await part.set_duty(Ratio(0.5))
        await part.set_duty(Ratio(0.5))


async def test_a_doubled_voltage_is_written_twice_as_high_once() -> None:
    async with gamma() as on:
        await put(on, REGULATOR, "24 00 04")
        on.bench.faults.double_writes("VOUT_COMMAND")
        await put(on, REGULATOR, "21 00 01")
        assert await word(on, VOUT_COMMAND) == 0x0200
        await put(on, REGULATOR, "21 00 01")
        assert await word(on, VOUT_COMMAND) == 0x0100


async def test_a_doubled_command_ends_at_the_limit_that_the_regulator_was_given() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.double_writes()
        await put(on, REGULATOR, "21 4D 02")
        assert on.truth("rail_set_v") == pytest.approx(1.400, abs=0.002)


async def test_an_old_answer_is_one_write_behind_while_the_write_acts() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.answer_old("VOUT_COMMAND")
        before = await word(on, VOUT_COMMAND)
        await put(on, REGULATOR, "21 66 02")
        assert await word(on, VOUT_COMMAND) == before
        assert on.truth("rail_set_v") == pytest.approx(1.2, abs=0.002)
        await put(on, REGULATOR, "21 5C 02")
        assert await word(on, VOUT_COMMAND) == 0x0266
        with pytest.raises(VerifyError, match="VOUT_COMMAND"):
            await on.board.apply(CoreVoltage(Volts(1.15)))
        on.bench.faults.answer_old("VOUT_COMMAND", off=True)
        assert await word(on, VOUT_COMMAND) == 0x024D


async def test_healing_one_part_leaves_the_trouble_of_the_other() -> None:
    async with gamma() as on:
        faults = on.bench.faults
        faults.ignore_writes("VOUT_COMMAND", count=9)
        faults.answer_old("VOUT_MAX")
        faults.garbage("tps546")
        faults.stick("emc2101", 0xFD, "28")
        faults.heal("tps546")
        await put(on, REGULATOR, "21 66 02")
        assert await word(on, VOUT_COMMAND) == 0x0266
        assert await byte(on, 0xFD) == 0x28
        faults.stick("emc2101", 0xFD, off=True)
        assert await byte(on, 0xFD) == 0x16
        assert not faults.bus.armed


async def test_a_frozen_part_repeats_itself_and_a_deaf_one_takes_nothing() -> None:
    async with gamma() as on:
        faults = on.bench.faults
        faults.freeze("tps546")
        found = {await word(on, 0x88) for _ in range(20)}
        assert len(found) == 1
        faults.freeze("tps546", off=True)
        assert len({await word(on, 0x88) for _ in range(20)}) > 1
        faults.deafen("tps546")
        await put(on, REGULATOR, "21 66 02")
        assert await word(on, VOUT_COMMAND) == 0x019A
        faults.deafen("tps546", off=True)
        faults.garbage("emc2101")
        assert len({await byte(on, 0xFD) for _ in range(20)}) > 10
        faults.garbage("emc2101", off=True)
        assert {await byte(on, 0xFD) for _ in range(20)} == {0x16}
