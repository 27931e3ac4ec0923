"""One measurement lies while the others live on: as the real drivers read it."""

from __future__ import annotations

import asyncio

import pytest

from drivers.codecs import pmbus
from emulator.benches import BenchSettings
from emulator.faults.sensors import CHANNELS, SEEN, Seen
from tests.unit.boards.on_a_bench import bitaxe, gamma
from tests.unit.emulator.faults.asking import byte, put, several, shown, word

CALM = BenchSettings(first_temperature_quirk=False)
BROKEN = {127.0, 127.875}
"""What the driver of the diode reports as a broken sensor."""


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_frozen_channel_stands_still_to_the_last_bit_while_the_others_live_on(channel: str) -> None:
    async with bitaxe("bitaxe-ultra-205" if channel == "input_w" else "bitaxe-gamma", CALM) as on:
        await on.power_up()
        other = {"input_v": "core_a", "input_w": "fan_rpm"}.get(channel, "input_v")
        on.bench.faults.freeze_channel(channel)
        assert len(set(await several(on, channel))) == 1
        assert len(set(await several(on, other))) > 1
        on.bench.faults.freeze_channel(channel, off=True)
        assert len(set(await several(on, channel, 30))) > 1


async def test_a_frozen_tachometer_hides_a_fan_that_stops() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.freeze_channel("fan_rpm")
        before = await shown(on, "fan_rpm")
        assert before is not None
        assert before > 4000.0
        on.bench.faults.stall_fan()
        await asyncio.sleep(20.0)
        assert on.truth("fan_rpm") == 0.0
        assert await shown(on, "fan_rpm") == before


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: f"{seen.channel} {seen.value:g}")
async def test_a_reading_seen_in_the_field_comes_once_and_in_the_format_of_its_part(seen: Seen) -> None:
    async with gamma(CALM) as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.garbage_once(seen.channel, seen.value)
        found = await shown(on, seen.channel)
        if seen.value in BROKEN and seen.channel == "chip_c":
            assert found is None
        elif seen.value == 255.0:
            assert found == -1.0
        else:
            assert found == pytest.approx(seen.value, rel=0.001, abs=0.005)
        after = await shown(on, seen.channel)
        assert after is not None
        assert 4.0 < after < 60.0


@pytest.mark.parametrize(
    ("channel", "value", "registers"),
    [
        ("chip_c", -1.0, {0x01: 0xFF, 0x10: 0x00}),
        ("chip_c", 127.0, {0x01: 0x7F, 0x10: 0x00}),
        ("chip_c", 127.875, {0x01: 0x7F, 0x10: 0xE0}),
        ("chip_c", 255.0, {0x01: 0xFF, 0x10: 0x00}),
        ("chip_c", 0.0, {0x01: 0x00, 0x10: 0x00}),
        ("fan_rpm", 0.0, {0x46: 0xFF, 0x47: 0xFF}),
    ],
)
async def test_a_fixed_value_is_in_the_registers_of_the_fan_controller(
    channel: str, value: float, registers: dict[int, int]
) -> None:
    async with gamma() as on:
        await put(on, 0x4C, "03 04")
        on.bench.faults.misread(channel, value)
        for _ in range(3):
            assert {register: await byte(on, register) for register in registers} == registers
        on.bench.faults.misread(channel, off=True)
        on.bench.faults.garbage_once(channel, value, count=3)
        on.bench.faults.garbage_once(channel, off=True)
        assert not on.bench.faults.channels.any()


@pytest.mark.parametrize(
    ("channel", "value", "found"),
    [("vr_c", 127.88, 0xEBFF), ("input_v", 1600.0, None), ("input_v", -183.0, None), ("input_v", 80.88, None)],
)
async def test_a_fixed_value_is_a_word_of_the_regulator(channel: str, value: float, found: int | None) -> None:
    async with gamma() as on:
        on.bench.faults.misread(channel, value)
        command = {"vr_c": 0x8D, "input_v": 0x88}[channel]
        read = await word(on, command)
        assert found is None or read == found
        assert pmbus.decode_linear11(read) == pytest.approx(value, rel=0.001)


async def test_garbage_comes_as_often_as_it_was_asked_for() -> None:
    async with gamma() as on:
        on.bench.faults.garbage_once("vr_c", 90.0, count=3)
        found = await several(on, "vr_c", 5)
        assert [value == 90.0 for value in found] == [True, True, True, False, False]


async def test_an_offset_of_the_current_is_there_at_once_and_one_that_creeps_takes_its_time() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.misread("chip_c", 50.0)
        on.bench.faults.offset("core_a", by=-2.0)
        truth = on.truth("core_a")
        assert isinstance(truth, float)
        assert await shown(on, "core_a") == pytest.approx(truth - 2.0, abs=0.5)
        on.bench.faults.offset("input_v", by=-1.0, over_s=10.0)
        await asyncio.sleep(5.0)
        halfway = await shown(on, "input_v")
        await asyncio.sleep(10.0)
        volts = on.truth("input_v")
        assert isinstance(volts, float)
        assert halfway == pytest.approx(volts - 0.5, abs=0.05)
        assert await shown(on, "input_v") == pytest.approx(volts - 1.0, abs=0.03)
        on.bench.faults.offset("input_v", off=True)
        assert await shown(on, "input_v") == pytest.approx(volts, abs=0.03)


async def test_a_jumping_die_is_off_by_20_degrees_in_the_share_that_was_asked_for() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        await asyncio.sleep(200.0)
        calm = on.truth("die_c")
        assert isinstance(calm, float)
        on.bench.faults.jumps("chip_c", by=20.0, p=0.2)
        off_by = [round((value or 0.0) - calm) for value in await several(on, "chip_c", 200)]
        jumped = [by for by in off_by if abs(by) > 10]
        assert 20 <= len(jumped) <= 60
        assert {round(by, -1) for by in jumped} == {-20, 20}


async def test_the_parts_own_limits_go_on_with_what_is_true_but_for_a_broken_diode() -> None:
    async with gamma() as on:
        for write in ("4A 20", "50 00", "51 0C", "52 32", "53 17", "54 50", "55 2E", "4A 00"):
            await put(on, 0x4C, write)
        await asyncio.sleep(5.0)  # the spin-up at full speed is over
        low = on.truth("fan_duty")
        on.bench.faults.misread("chip_c", 100.0)
        await asyncio.sleep(1.0)
        assert on.truth("fan_duty") == low
        on.bench.faults.open_diode()
        await asyncio.sleep(1.0)
        assert on.truth("fan_duty") == 1.0
        on.bench.faults.open_diode(off=True)
        on.bench.faults.short_diode()
        await asyncio.sleep(1.0)
        assert on.truth("fan_duty") == 1.0
        on.bench.faults.restore_diode()
        await asyncio.sleep(1.0)
        assert on.truth("fan_duty") == low


async def test_a_lost_tachometer_shows_no_pulses_of_a_fan_that_turns() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        await put(on, 0x4C, "48 00 08")  # the part reports a fan below 2637 rpm
        await asyncio.sleep(10.0)
        assert not await byte(on, 0x02) & 0x01
        on.bench.faults.lose_tach()
        assert await shown(on, "fan_rpm") == 0.0
        assert await byte(on, 0x02) & 0x01, "the part itself sees no pulses"
        assert on.truth("fan_rpm") == pytest.approx(5230.0, rel=0.01)
        on.bench.faults.lose_tach(off=True)
        assert await shown(on, "fan_rpm") == pytest.approx(5230.0, rel=0.02)


@pytest.mark.parametrize("from_the_start", [True, False])
async def test_the_first_temperature_after_enabling_can_be_made_wrong_and_right(from_the_start: bool) -> None:
    async with gamma(BenchSettings(first_temperature_quirk=not from_the_start)) as on:
        on.bench.faults.first_temperature(off=not from_the_start)
        await put(on, 0x24, "02 1B")
        await put(on, 0x24, "01 80")
        await asyncio.sleep(0.1)
        first, second = [await shown(on, "vr_c") for _ in range(2)]
        assert (first == 127.875) is from_the_start
        assert second == pytest.approx(25.0, abs=3.0)


async def test_two_channels_can_be_wrong_in_two_ways_at_once() -> None:
    async with gamma(CALM) as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.freeze_channel("chip_c")
        on.bench.faults.misread("input_v", 1600.0)
        on.bench.faults.garbage_once("vr_c", 127.88)
        assert len(set(await several(on, "chip_c"))) == 1
        assert await shown(on, "input_v") == 1600.0
        assert await shown(on, "vr_c") == 127.875
        on.bench.faults.heal()
        assert not on.bench.faults.channels.any()
        assert len(set(await several(on, "chip_c"))) > 1
        assert await shown(on, "input_v") == pytest.approx(5.0, abs=0.4)
