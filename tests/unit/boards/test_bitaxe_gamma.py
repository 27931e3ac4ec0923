"""Bitaxe Gamma on the emulated bench: steps move what they say, readings are honest, nothing is energised unlocked."""

from __future__ import annotations

import asyncio

import pytest

from controller.safety import ordering
from drivers.boards.bitaxe_gamma import BITAXE_GAMMA
from drivers.boards.board import (
    BringUp,
    Channel,
    CoreVoltage,
    FanDuty,
    FanTable,
    Frequency,
    LockDown,
    Protection,
    RailOn,
    ReleaseReset,
    Step,
    VerifyRail,
)
from drivers.errors import LimitError, Nack, NoReply, Unplugged, UsageError, VerifyError
from drivers.transports.memory import memory_pair
from drivers.units import Megahertz, Ratio, Volts
from emulator.benches import BenchSettings
from emulator.ports.memory import MemoryPort
from tests.unit.boards.on_a_bench import gamma

LOCKED = (FanDuty(Ratio(1.0)), LockDown())
ENERGISED = (*LOCKED, CoreVoltage(Volts(1.150)), RailOn())


# --- the row ---------------------------------------------------------------------------------------------------------


def test_the_limits_nest() -> None:
    e = BITAXE_GAMMA.envelope
    assert e.stock_core_v in e.core_v
    assert e.stock_frequency_mhz in e.frequency_mhz
    assert e.core_v.high <= e.core_v_hard
    assert e.frequency_mhz.high <= e.frequency_hard_mhz
    assert e.power_operator_w < e.power_hard_w
    assert e.input_v_low_trip < e.input_v_low_warn < e.input_v_enable.low
    assert e.chip_c_warn < e.chip_c_throttle < e.chip_c_trip < e.chip_c_emergency
    assert e.vr_c_warn < e.vr_c_throttle < e.vr_c_trip < e.vr_c_emergency
    assert e.core_a_warn < e.core_a_trip


# --- first contact ---------------------------------------------------------------------------------------------------


async def test_first_contact_puts_the_fan_up_and_only_reads_otherwise() -> None:
    async with gamma() as on:
        identity = await on.board.first_contact()
        assert identity.parts == {"regulator": "TPS546D24A", "fan controller": "EMC2101"}
        assert not identity.hashing_suspected
        frames = on.control_frames.frames
        assert [frame[6:8] and frame[12:] for frame in frames[:2]] == ["05 20 4c 4a 23", "05 20 4c 4c 3f"]
        others = {frame[12:17] for frame in frames[2:]}
        assert others <= {"05 40", "06 00"}, "write-reads of a register, and the reset latch"
        assert all(len(frame.split()) == 6 for frame in frames if frame[12:17] == "06 00"), "got, not set"
        assert on.data_frames.writes == []
        assert on.truth("fan_duty") == 1.0


async def test_a_board_found_hashing_is_suspected_and_left_as_it_is() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up(400.0)
        fresh, wire = memory_pair("control again")
        MemoryPort(on.bench.control, wire)
        on.board.replace_control(fresh)
        identity = await on.board.first_contact()
        assert identity.hashing_suspected
        assert on.truth("rail_on") is True
        assert on.truth("reset_asserted") is False


async def test_a_regulator_that_starts_by_itself_is_suspected_and_can_be_switched_off() -> None:
    async with gamma(BenchSettings(rail_on_at_power_up=True)) as on:
        await asyncio.sleep(0.1)
        assert on.truth("rail_on") is True
        assert (await on.board.first_contact()).hashing_suspected
        report = await on.board.safe_off()
        assert report.confirmed
        assert on.truth("rail_on") is False


async def test_a_part_that_is_missing_is_none_and_the_other_is_still_found() -> None:
    async with gamma() as on:
        on.bench.faults.nak("emc2101")
        identity = await on.board.first_contact()
        assert identity.parts == {"regulator": "TPS546D24A", "fan controller": None}


async def test_the_20_ampere_regulator_is_named_and_never_energised() -> None:
    async with gamma(BenchSettings(regulator="TPS546B24A")) as on:
        identity = await on.board.first_contact()
        assert identity.parts["regulator"] == "TPS546B24A"
        with pytest.raises(LimitError, match="TPS546B24A"):
            await on.board.apply(LockDown())
        with pytest.raises(UsageError, match="only after lock-down"):
            await on.board.apply(RailOn())
        assert on.truth("rail_on") is False


async def test_a_control_port_that_says_nothing_is_no_reply() -> None:
    async with gamma() as on:
        on.bench.faults.panic()
        with pytest.raises(NoReply):
            await on.board.first_contact()


# --- steps -----------------------------------------------------------------------------------------------------------


async def test_the_rail_stays_off_until_its_limits_hold() -> None:
    async with gamma() as on:
        await on.apply(FanDuty(Ratio(1.0)), CoreVoltage(Volts(1.150)))
        with pytest.raises(UsageError, match="limits must hold first"):
            await on.board.apply(RailOn())
        assert on.truth("rail_on") is False


async def test_lock_down_proves_the_limits_and_writes_the_fan_table() -> None:
    async with gamma() as on:
        assert on.board.protections() == frozenset()
        await on.apply(*LOCKED)
        assert on.board.protections() == {Protection.REGULATOR_LIMITS}
        assert on.truth("fan_duty") == 1.0
        await on.apply(FanTable())
        assert on.board.protections() == {Protection.REGULATOR_LIMITS, Protection.FAN_TABLE}
        assert on.truth("fan_table") is True
        await on.apply(FanDuty(Ratio(0.7)))
        assert on.board.protections() == {Protection.REGULATOR_LIMITS}
        assert on.truth("flash_stores") == 0


async def test_lock_down_works_on_a_regulator_that_an_earlier_run_left_locked() -> None:
    async with gamma() as on:
        await on.apply(*ENERGISED)
        await on.board.safe_off()
        await on.apply(*ENERGISED, VerifyRail(Volts(1.150)))
        assert on.truth("rail_on") is True


async def test_a_limit_that_does_not_hold_keeps_the_board_unprotected_and_the_rail_off() -> None:
    async with gamma() as on:
        await on.apply(*LOCKED)
        on.bench.faults.stick("tps546", 0x24, "00 04")
        with pytest.raises(VerifyError, match="VOUT_MAX"):
            await on.board.apply(LockDown())
        assert on.board.protections() == frozenset()
        with pytest.raises(UsageError):
            await on.board.apply(RailOn())


async def test_the_table_is_not_handed_the_fan_before_it_was_written() -> None:
    async with gamma() as on:
        with pytest.raises(UsageError, match="fan table"):
            await on.board.apply(FanTable())


async def test_the_regulator_clamps_whatever_is_commanded_above_its_own_limit() -> None:
    async with gamma() as on:
        await on.apply(*ENERGISED)
        # As another program would, past this driver's own refusal: 1.6 V.
        await on.board.bridge.i2c().write(0x24, bytes.fromhex("21 33 03"))
        await asyncio.sleep(0.1)
        assert on.truth("rail_set_v") == pytest.approx(1.398, abs=0.001)


@pytest.mark.parametrize("core_v", [0.9, 1.36, float("nan")])
async def test_a_voltage_outside_the_absolute_limits_is_refused_by_the_driver(core_v: float) -> None:
    async with gamma() as on:
        await on.apply(*LOCKED)
        with pytest.raises(LimitError):
            await on.board.apply(CoreVoltage(Volts(core_v)))


async def test_a_rail_that_is_not_where_it_should_be_fails_its_check() -> None:
    async with gamma() as on:
        await on.apply(*ENERGISED, VerifyRail(Volts(1.150)))
        on.bench.faults.regulation_error(-0.100)
        await asyncio.sleep(0.1)
        with pytest.raises(VerifyError, match="core rail"):
            await on.board.apply(VerifyRail(Volts(1.150)))


async def test_a_chip_that_was_not_in_reset_is_reset_before_it_is_released() -> None:
    async with gamma() as on:
        await on.apply(*ENERGISED, ReleaseReset())
        before = len(on.bench.actuations)
        await on.apply(ReleaseReset())
        moves = [actuation.what for actuation in on.bench.actuations[before:]]
        assert moves[:2] == ["reset asserted", "reset released"]


async def test_a_chain_without_chips_is_an_error_that_says_so() -> None:
    async with gamma() as on:
        await on.apply(*ENERGISED)
        with pytest.raises(VerifyError, match="chips that answer: wrote 1, read back 0"):
            await on.board.apply(BringUp())


async def test_a_part_that_does_not_answer_fails_the_step() -> None:
    async with gamma() as on:
        await on.apply(*LOCKED)
        on.bench.faults.nak("tps546")
        with pytest.raises(Nack):
            await on.board.apply(CoreVoltage(Volts(1.150)))


# --- readings --------------------------------------------------------------------------------------------------------


async def test_the_first_sweep_reads_every_channel_of_a_board_that_is_off() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        reading = await on.board.read()
        unknown = {channel for channel, value in reading.channels.items() if value is None}
        assert set(reading.channels) == set(Channel)
        assert unknown == {Channel.INPUT_W, Channel.FREQUENCY_MHZ}
        assert reading.channels[Channel.CORE_V] == 0.0
        assert reading.channels[Channel.RESET_RELEASED] == 0.0
        assert reading.channels[Channel.FAN_RATIO] == 1.0
        assert not reading.bus_silent


async def test_power_is_core_power_and_what_axeos_adds() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up()
        now = (await on.board.read()).channels
        core_v, core_a = now[Channel.CORE_V], now[Channel.CORE_A]
        assert core_v is not None
        assert core_a is not None
        assert now[Channel.CORE_W] == core_v * core_a
        assert now[Channel.POWER_W] == core_v * core_a + 5.0


async def test_a_normal_sweep_takes_eight_requests_at_most_and_five_cover_every_channel() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up()
        await on.board.read()
        seen: set[Channel] = set()
        counts = []
        for _ in range(5):
            before = len(on.control_frames.writes)
            reading = await on.board.read()
            counts.append(len(on.control_frames.writes) - before)
            seen |= {channel for channel, value in reading.channels.items() if value is not None}
        assert sum(count <= 8 for count in counts) >= 4
        assert max(counts) <= 9
        assert seen == set(Channel) - {Channel.INPUT_W}


async def test_what_a_sweep_leaves_out_says_that_it_was_left_out() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.board.read()
        reading = await on.board.read()
        assert reading.channels[Channel.FAN_RPM] is None
        assert reading.notes[Channel.FAN_RPM].startswith("blanked")


@pytest.mark.parametrize("last", [RailOn(settle_s=0.0), ReleaseReset(settle_s=0.0)])
async def test_the_diode_is_blanked_after_rail_enable_and_reset_release_until_what_was_converted_then_is_gone(
    last: Step,
) -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.apply(*ENERGISED)
        await asyncio.sleep(1.0)
        assert (await on.board.read()).channels[Channel.CHIP_C] is not None
        await on.board.apply(last)
        for _ in range(3):
            reading = await on.board.read()
            assert reading.channels[Channel.CHIP_C] is None
            assert reading.notes[Channel.CHIP_C].startswith("blanked")
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.05)
        found = (await on.board.read()).channels[Channel.CHIP_C]
        assert found is not None
        assert abs(found - 25.0) < 2.0


async def test_the_first_regulator_temperature_after_switching_on_is_dropped() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.apply(*ENERGISED)
        first = await on.board.read()
        assert first.channels[Channel.VR_C] is None
        assert first.notes[Channel.VR_C].startswith("blanked")
        second = (await on.board.read()).channels[Channel.VR_C]
        assert second is not None
        assert second < 60.0


@pytest.mark.parametrize(
    ("part", "channels"),
    [
        ("tps546", {Channel.STATUS_WORD, Channel.INPUT_V, Channel.CORE_V, Channel.CORE_A, Channel.VR_C}),
        ("emc2101", {Channel.CHIP_C}),
    ],
)
async def test_a_silent_part_reads_none_with_a_reason_and_the_other_goes_on(part: str, channels: set[Channel]) -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.board.read()
        on.bench.faults.nak(part)
        reading = await on.board.read()
        for channel in channels:
            assert reading.channels[channel] is None
            assert "I2C" in reading.notes[channel]
        others = {Channel.INPUT_V, Channel.CHIP_C} - channels
        assert all(reading.channels[channel] is not None for channel in others)
        assert not reading.bus_silent


async def test_power_is_unknown_when_the_current_is() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        on.bench.faults.nak("tps546")
        reading = await on.board.read()
        assert reading.channels[Channel.CORE_W] is None
        assert reading.channels[Channel.POWER_W] is None


@pytest.mark.parametrize(("fault", "word"), [("open_diode", "open"), ("short_diode", "shorted")])
async def test_a_broken_diode_reads_none_and_says_why(fault: str, word: str) -> None:
    async with gamma() as on:
        await on.board.first_contact()
        on.bench.faults.do(fault)
        await asyncio.sleep(0.2)
        reading = await on.board.read()
        assert reading.channels[Channel.CHIP_C] is None
        assert word in reading.notes[Channel.CHIP_C]


async def test_a_dead_bridge_ends_the_sweep_within_six_tenths_of_a_second() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.board.read()
        on.bench.faults.panic()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        reading = await on.board.read()
        assert loop.time() - began_s <= 0.6
        assert reading.bus_silent
        measured = {c: v for c, v in reading.channels.items() if v is not None}
        assert measured == {}


async def test_a_board_that_nobody_contacted_can_be_read() -> None:
    async with gamma() as on:
        reading = await on.board.read()
        assert reading.channels[Channel.INPUT_V] is not None
        assert reading.channels[Channel.CHIP_C] is not None


async def test_a_control_port_that_is_gone_is_unplugged() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        on.bench.faults.unplug("control")
        with pytest.raises(Unplugged):
            await on.board.read()


async def test_the_clock_is_what_the_chip_says_not_what_was_asked_for() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up(400.0)
        await asyncio.sleep(3.0)
        readings = [(await on.board.read()).channels[Channel.FREQUENCY_MHZ] for _ in range(5)]
        assert [clock for clock in readings if clock is not None] == [400.0]


async def test_right_after_a_clock_write_every_sweep_reads_the_clock_back() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up(400.0)
        await asyncio.sleep(3.0)
        await on.apply(Frequency(Megahertz(406.25)))
        for _ in range(5):
            assert (await on.board.read()).channels[Channel.FREQUENCY_MHZ] == 406.25


async def test_a_whole_move_up_and_down_keeps_the_read_backs_true() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up(400.0, 1.100)
        up = ordering.move(BITAXE_GAMMA.envelope, Volts(1.100), Megahertz(400.0), Volts(1.150), Megahertz(450.0))
        await on.apply(*up)
        assert on.truth("frequency_mhz") == 450.0
        down = ordering.move(BITAXE_GAMMA.envelope, Volts(1.150), Megahertz(450.0), Volts(1.100), Megahertz(400.0))
        await on.apply(*down)
        assert on.truth("frequency_mhz") == 400.0
        assert on.truth("rail_set_v") == pytest.approx(1.100, abs=0.002)


async def test_a_supply_that_went_and_came_takes_the_protections_with_it() -> None:
    async with gamma() as on:
        await on.apply(*LOCKED, FanTable())
        for _ in range(5):
            await on.board.read()
        assert on.board.protections() == {Protection.REGULATOR_LIMITS, Protection.FAN_TABLE}
        on.bench.faults.power_cycle()
        await asyncio.sleep(0.1)
        for _ in range(5):
            await on.board.read()
        assert on.board.protections() == frozenset()
        with pytest.raises(UsageError, match="limits must hold first"):
            await on.board.apply(RailOn())


# --- a new control port ----------------------------------------------------------------------------------------------


async def test_another_control_port_takes_over_and_the_limits_are_still_known_to_hold() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.apply(*ENERGISED)
        on.bench.faults.unplug("control")
        fresh, wire = memory_pair("control again")
        MemoryPort(on.bench.control, wire)
        on.board.replace_control(fresh)
        assert Protection.REGULATOR_LIMITS in on.board.protections()
        assert (await on.board.read()).channels[Channel.CORE_V] is not None
        assert (await on.board.safe_off()).confirmed
