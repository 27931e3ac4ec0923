"""EmberOne00: twelve chips in series, pins of another bridge, no fan on the bus."""

from __future__ import annotations

import asyncio

import pytest

from controller.model import Cause, FanMode, GuardState, PowerDown, SetFan
from drivers.boards import BOARDS
from drivers.boards.bitaxe_safe_off import IO, RAIL, RESET
from drivers.boards.board import Channel, CoreVoltage, FanDuty, LockDown
from drivers.errors import LimitError, Refused
from drivers.units import Ratio, Volts
from emulator.benches import BENCHES, BenchSettings
from tests.scenarios.gamma import NAME, stand
from tests.unit.boards.on_a_bench import OnBench, bitaxe

EMBERONE = "emberone00"


def on_a_stand(settings: BenchSettings | None = None):  # type: ignore[no-untyped-def]
    return stand(settings, kind=BOARDS[EMBERONE], build=BENCHES[EMBERONE])  # type: ignore[arg-type]


def pins_set(frames: list[str]) -> list[str]:
    """Pin and level of each GPIO write among these requests."""
    split = [frame.split() for frame in frames]
    return [" ".join(words[5:]) for words in split if len(words) == 7 and words[4] == "06"]


async def live(on: OnBench) -> None:
    await on.board.first_contact()
    await on.power_up()


def levels(on: OnBench) -> dict[str, bool]:
    return dict(on.bench.firmware.levels)  # type: ignore[attr-defined]


async def test_its_reset_pin_is_high_when_it_wakes_and_low_before_anything_else_moves() -> None:
    async with bitaxe(EMBERONE) as on:
        assert levels(on) == {"ASIC_RESETN": True, "PWR_EN": False, "IO_PWR_EN": False}
        report = await on.board.safe_off()
        assert [action.name for action in report.actions] == [RESET, RAIL, IO]
        assert report.confirmed
        assert levels(on) == {"ASIC_RESETN": False, "PWR_EN": False, "IO_PWR_EN": False}


async def test_power_comes_in_the_order_io_rail_reset_and_goes_the_other_way() -> None:
    async with bitaxe(EMBERONE) as on:
        await on.board.first_contact()
        await on.board.safe_off()
        seen = len(on.control_frames.frames)
        await on.power_up()
        pins = pins_set(on.control_frames.frames[seen:])
        assert pins == ["02 01", "01 01", "00 01"]
        seen = len(on.control_frames.frames)
        await on.board.safe_off()
        pins = pins_set(on.control_frames.frames[seen:])
        assert pins == ["00 00", "01 00", "02 00"]


async def test_the_rail_carries_twelve_times_the_volts_of_a_chip() -> None:
    async with bitaxe(EMBERONE) as on:
        await live(on)
        assert on.truth("rail_set_v") == pytest.approx(12 * 0.275, abs=0.002)
        reading = await on.board.read()
        assert reading.channels[Channel.CORE_V] == pytest.approx(0.275, abs=0.004)
        assert [chip.address for chip in on.board.chain.chips] == [16 * index for index in range(12)]


async def test_either_the_pin_or_the_bus_takes_the_rail_down() -> None:
    """A bus that is held leaves the pin, and a bridge that sets no pin leaves the bus."""
    async with bitaxe(EMBERONE) as on:
        await live(on)
        on.bench.faults.nak("tps546")
        report = await on.board.safe_off()
        assert not on.truth("rail_on")
        assert [action.name for action in report.actions if not action.confirmed] == [RAIL]  # nobody could look


async def test_a_regulator_that_loses_its_enable_pin_is_off_by_itself() -> None:
    async with on_a_stand() as s:
        await s.power_up()
        s.bench.regulator.set_enable_pin(False, asyncio.get_running_loop().time())
        fault = await s.fault()
        assert fault.cause in (Cause.REGULATOR_OFF, Cause.CORE_VOLTAGE)


async def test_a_volt_that_would_be_small_elsewhere_is_refused_here() -> None:
    async with bitaxe(EMBERONE) as on:
        await on.board.first_contact()
        await on.board.apply(LockDown())
        for volts in (0.249, 0.330, 1.2):
            with pytest.raises(LimitError):
                await on.board.apply(CoreVoltage(Volts(volts)))


async def test_no_fan_can_be_reached_and_none_is_made_up() -> None:
    async with on_a_stand() as s:
        await s.power_up()
        await s.rig.request(NAME, SetFan(mode=FanMode.AUTO, target_chip_c=60.0))
        await asyncio.sleep(60.0)
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LIVE
        assert board.fan is not None
        assert board.fan.why_full == "no fan of this board can be reached"
        assert board.channels[Channel.FAN_RPM].value is None
        await s.rig.request(NAME, PowerDown())
        await asyncio.sleep(120.0)  # a fan that follows slows down by now, where there is one
        board = s.rig.snapshot().boards[0]
        assert board.fan is not None
        assert board.fan.why_full == "no fan of this board can be reached"
    async with bitaxe(EMBERONE) as on:
        await live(on)
        with pytest.raises(LimitError, match="no fan"):
            await on.board.apply(FanDuty(Ratio(0.6)))


async def test_an_open_diode_is_the_cause_and_not_heat() -> None:
    async with on_a_stand() as s:
        await s.power_up()
        s.bench.faults.open_diode()
        fault = await s.fault()
        assert fault.cause in (Cause.SENSOR_INVALID, Cause.SENSOR_STALE)
        assert fault.sensor == Channel.CHIP_C


async def test_heat_of_the_chip_that_is_measured_trips() -> None:
    async with on_a_stand() as s:
        await s.power_up(core_v=0.325, frequency_mhz=550.0)
        s.bench.faults.loosen_heatsink(30.0)
        fault = await s.fault(within_s=300.0)
        assert fault.cause in (Cause.CHIP_TEMPERATURE, Cause.RUNAWAY)
        assert s.is_safe()


async def test_more_than_the_operator_may_ask_for_is_refused() -> None:
    async with on_a_stand() as s:
        with pytest.raises(Refused, match="core_v"):
            await s.power_up(core_v=0.330)
        with pytest.raises(Refused, match="frequency_mhz"):
            await s.power_up(frequency_mhz=575.0)
