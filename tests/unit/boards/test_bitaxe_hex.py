"""Bitaxe Hex: three domains on one rail, a fan controller without a table, thermometers beside the chips."""

from __future__ import annotations

import asyncio

import pytest

from controller.safety import ordering
from drivers.boards import BOARDS
from drivers.boards.board import FAULTY, Channel, CoreVoltage, FanDuty, FanTable, Protection, VerifyRail
from drivers.errors import DeviceError, HashbridgeError, LimitError, UsageError, VerifyError
from drivers.units import Ratio, Volts
from tests.unit.boards.on_a_bench import OnBench, bitaxe

HEX = "bitaxe-hex"


async def live(on: OnBench) -> None:
    await on.board.first_contact()
    await on.power_up()


async def test_the_rail_carries_three_times_the_volts_of_a_chip_and_a_chips_are_shown() -> None:
    async with bitaxe(HEX) as on:
        await live(on)
        assert on.truth("rail_set_v") == pytest.approx(3.6, abs=0.003)
        await on.board.read()
        now = (await on.board.read()).channels
        assert now[Channel.CORE_V] == pytest.approx(3.575 / 3, abs=0.005)
        core_v, core_a = now[Channel.CORE_V], now[Channel.CORE_A]
        assert core_v is not None
        assert core_a is not None
        assert now[Channel.CORE_W] == pytest.approx(3 * core_v * core_a)
        assert now[Channel.POWER_W] == pytest.approx(3 * core_v * core_a + 12.0)
        # VOUT_COMMAND 1.2 V x 3 in steps of 2**-9 V: 0x0733, low byte first.
        assert any("24 21 33 07" in frame for frame in on.control_frames.frames)


@pytest.mark.parametrize("name", [HEX, "bitaxe-supra-hex"])
async def test_more_than_a_chips_hard_limit_is_refused_by_the_driver_whoever_asks(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        before_v = on.truth("rail_set_v")
        for core_v in (on.board.kind.envelope.core_v_hard + 0.01, 3.6, 0.99):
            with pytest.raises(LimitError, match=r"allowed: 3\.000 to 4\.050 V"):
                await on.board.apply(CoreVoltage(Volts(core_v)))
        assert on.truth("rail_set_v") == before_v


async def test_a_rail_that_is_off_by_more_than_a_chip_may_be_is_named_in_volts_of_a_chip() -> None:
    async with bitaxe(HEX) as on:
        await live(on)
        on.bench.faults.regulation_error(0.3)
        with pytest.raises(VerifyError, match=r"core rail: wrote '1\.200 V \+- 0\.048 V', read back '1\.29"):
            await on.board.apply(VerifyRail(Volts(1.2)))


async def test_the_chips_are_as_warm_as_the_warmer_thermometer_and_10_c() -> None:
    async with bitaxe(HEX) as on:
        await live(on)
        await asyncio.sleep(60.0)
        await on.board.read()
        chip_c = (await on.board.read()).channels[Channel.CHIP_C]
        assert chip_c == pytest.approx(on.bench.plant.die_c, abs=0.5)


async def test_a_thermometer_that_is_gone_or_far_from_the_other_leaves_no_temperature() -> None:
    async with bitaxe(HEX) as on:
        await live(on)
        await asyncio.sleep(1.0)
        on.bench.faults.open_diode()
        for _ in range(2):
            reading = await on.board.read()
        assert reading.channels[Channel.CHIP_C] is None
        assert reading.notes[Channel.CHIP_C] == f"{FAULTY}: thermometer 0x4a: reads ffff, as a bus without a part does"
        on.bench.faults.restore_diode()
        on.bench.faults.stick("tmp1075_b", 0x00, "5000")
        for _ in range(2):
            reading = await on.board.read()
        assert reading.channels[Channel.CHIP_C] is None
        assert "more than 15 C apart" in reading.notes[Channel.CHIP_C]


async def test_safe_off_asserts_reset_cuts_the_rail_and_brings_both_outputs_to_full() -> None:
    async with bitaxe(HEX) as on:
        await live(on)
        await on.board.apply(FanDuty(Ratio(0.6)))
        assert on.truth("fan_duty") == pytest.approx(0.6, abs=0.003)
        report = await on.board.safe_off()
        assert report.confirmed
        assert on.truth("reset_asserted") is True
        assert on.truth("rail_on") is False
        assert on.truth("fan_duty") == 1.0
        on.bench.faults.deafen("emc2302")
        on.bench.faults.nak("tmp1075_a")
        assert (await on.board.safe_off()).confirmed  # full already, and thermometers are none of its business
        on.bench.faults.nak("emc2302")
        report = await on.board.safe_off()
        assert [action.name for action in report.actions if not action.confirmed] == ["fan full"]


async def test_it_has_no_fan_table_and_says_so() -> None:
    async with bitaxe(HEX) as on:
        await live(on)
        assert Protection.FAN_TABLE not in on.board.protections()
        with pytest.raises(UsageError, match="the EMC2302 of this board has none"):
            await on.board.apply(FanTable())


@pytest.mark.parametrize("board", sorted(BOARDS))
@pytest.mark.parametrize("taken_for", ["bitaxe-gamma", "bitaxe-gt", HEX, "bitaxe-ultra-205"])
async def test_a_board_with_other_parts_than_its_name_says_never_gets_a_rail(board: str, taken_for: str) -> None:
    """One chip on 3.6 V would be gone at once: what is on the bus tells the kinds of boards apart, before lock-down."""
    async with bitaxe(board) as own, bitaxe(board, taken_for=taken_for) as on:
        if (await own.board.first_contact()).parts == (identity := await on.board.first_contact()).parts:
            return  # the same parts: its chip will tell, tests/scenarios/test_every_board.py
        assert None in identity.parts.values()
        seen = len(on.bench.actuations)
        with pytest.raises(HashbridgeError):
            await on.power_up()
        limits = on.board.kind.envelope
        for step in ordering.power_up(limits, limits.stock_core_v, limits.stock_frequency_mhz, None):
            try:
                await on.board.apply(step)
            except (DeviceError, UsageError, VerifyError):
                continue
            except HashbridgeError:
                break
        assert not any(move.what.startswith("rail") and move.what != "rail off" for move in on.bench.actuations[seen:])
