"""EmberOne00: twelve chips in series, pins of another bridge, no fan on the bus."""

from __future__ import annotations

import asyncio

import pytest

from controller.model import Cause, FanMode, GuardState, PowerDown, SetFan
from drivers.boards import BOARDS
from drivers.boards.bitaxe_safe_off import IO, RAIL, RESET
from drivers.boards.board import Channel, CoreVoltage, FanDuty, LockDown
from drivers.errors import LimitError, NoReply, Refused, UnknownPart, UsageError
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


# --- firmware that answers in dialect C, from 5.1.0 on


async def test_in_dialect_c_every_answer_has_a_status_and_the_board_says_so() -> None:
    async with bitaxe("emberone00:C") as on:
        identity = await on.board.first_contact()
        assert identity.firmware == "emberone-usbserial-fw, reply dialect C"
        assert identity.parts == {"regulator": "TPS546D24A", "thermometer": "TMP451"}
        recipe = on.board.kind.safe_off_recipe
        pin = next(action for action in recipe if action.name == "rail off: rail pin")
        assert (pin.request.hex(" "), pin.reply.hex(" ")) == ("06 00 00 00 06 01", "05 00 00 00 00")
        assert pin.mask == b"\xff" * 5


@pytest.mark.parametrize(("answers", "promised"), [("C", "A"), ("A", "C")])
async def test_a_firmware_that_answers_in_another_dialect_than_promised_is_refused_by_name(
    answers: str, promised: str
) -> None:
    async with bitaxe(f"emberone00:{answers}", taken_for=f"emberone00:{promised}") as on:
        before = levels(on)
        told = f"reply dialect: '{answers}' is not allowed; allowed: {promised}, as its USB descriptor says"
        with pytest.raises(UnknownPart, match=told):
            await on.board.first_contact()
        assert levels(on) == before
        report = await on.board.safe_off()  # requests are the same in every dialect: it is done, and not proved
        assert not report.confirmed
        assert levels(on) == {"ASIC_RESETN": False, "PWR_EN": False, "IO_PWR_EN": False}


async def test_one_that_answers_with_errors_alone_is_asked_for_its_dialect_too() -> None:
    """Errors have the same bytes in A and C: a bus on which nobody answers says nothing of the dialect."""
    async with bitaxe("emberone00:C", taken_for="emberone00:A") as on:
        for part in on.bench.faults.parts:
            on.bench.faults.nak(part)
        with pytest.raises(UnknownPart, match="reply dialect: 'C' is not allowed; allowed: A"):
            await on.board.first_contact()


async def test_a_bridge_that_says_nothing_at_all_is_an_error_and_not_an_empty_board() -> None:
    async with bitaxe(EMBERONE) as on:
        on.bench.faults.wedge()
        with pytest.raises(NoReply):
            await on.board.first_contact()
        assert on.board.bridge.dialect == "A"


def test_a_dialect_that_no_firmware_of_it_speaks_is_refused() -> None:
    with pytest.raises(UsageError, match="dialect: 'B' is not allowed; allowed: A, C: those of emberone00"):
        BOARDS[EMBERONE].behind("B")
    with pytest.raises(UsageError, match="those of bitaxe-gamma"):
        BOARDS["bitaxe-gamma"].behind("C")
    assert BOARDS[EMBERONE].behind(None) is BOARDS[EMBERONE].behind("A") is BOARDS[EMBERONE]
