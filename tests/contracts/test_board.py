"""What every board of BOARDS promises, on its emulated bench."""

from __future__ import annotations

import asyncio
import itertools
import math

import pytest

from controller.safety import ordering
from drivers.boards import BOARDS, BoardKind
from drivers.boards.board import AssertReset, Channel, CoreVoltage, FanDuty, Frequency, LockDown, RailOn
from drivers.bridges.firmware import FIRMWARES
from drivers.errors import LimitError, Unplugged, UsageError
from drivers.transports.memory import memory_pair
from drivers.units import Megahertz, Ratio, Volts
from emulator.benches import BenchSettings
from emulator.ports.memory import MemoryPort
from tests.fakes import SinkLog
from tests.unit.boards.on_a_bench import ROWS, OnBench, bitaxe, row_of

every_board = pytest.mark.parametrize("name", ROWS)


def is_safe(on: OnBench) -> bool:
    return bool(on.truth("reset_asserted") and rail_is_safe(on) and on.truth("fan_duty") == 1.0)


def rail_is_safe(on: OnBench) -> bool:
    """Off, or as low as it goes."""
    rests_at_v, set_v = on.board.kind.envelope.means.rests_at_v, on.truth("rail_set_v")
    assert isinstance(set_v, float)
    return not on.truth("rail_on") if rests_at_v is None else rests_at_v - 0.005 < set_v <= rests_at_v


def wakes_released(on: OnBench) -> bool:
    """The bridge leaves the chips out of reset when it wakes."""
    wiring = on.board._wiring
    return any(pin.high_at_power_up for pin in FIRMWARES[wiring.firmware].pins if pin.number == wiring.reset_pin)


def never_measured(kind: BoardKind) -> set[Channel]:
    """Power is measured at one end of the regulator: where its input is, the regulator has no bus."""
    fan = set() if kind.envelope.means.sees(Channel.FAN_RPM) else {Channel.FAN_RPM, Channel.FAN_RATIO}
    if kind.envelope.means.sees(Channel.CORE_A):
        return {Channel.INPUT_W} | fan
    return fan | {Channel.STATUS_WORD, Channel.CORE_A, Channel.VR_C}


async def live(on: OnBench) -> None:
    await on.board.first_contact()
    await on.power_up()


async def slower(on: OnBench) -> None:
    """The fan, where there is one."""
    if on.board.kind.envelope.means.sees(Channel.FAN_RPM):
        await on.board.apply(FanDuty(Ratio(0.6)))


async def sweeps(on: OnBench, count: int) -> dict[Channel, float]:
    """The last value of each channel in so many sweeps."""
    found: dict[Channel, float] = {}
    for _ in range(count):
        for channel, value in (await on.board.read()).channels.items():
            if value is not None:
                found[channel] = value
        await asyncio.sleep(0.2)
    return found


# --- contact ---------------------------------------------------------------------------------------------------------


@every_board
@pytest.mark.parametrize("rail_on", [False, True])
async def test_first_contact_moves_the_fan_and_nothing_else(name: str, rail_on: bool) -> None:
    async with bitaxe(name, BenchSettings(rail_on_at_power_up=rail_on)) as on:
        before = on.truth("reset_asserted"), on.truth("rail_on"), on.truth("rail_set_v")
        seen = len(on.bench.actuations)
        identity = await on.board.first_contact()
        assert (on.truth("reset_asserted"), on.truth("rail_on"), on.truth("rail_set_v")) == before
        assert {move.what for move in on.bench.actuations[seen:]} <= {"fan duty"}
        assert on.truth("fan_duty") == 1.0
        assert all(identity.parts.values())
        held = on.board._wiring.rail_pin is not None  # by a bridge that keeps the rail off
        switches = on.board.kind.envelope.means.rests_at_v is None  # a rail that is always up says nothing
        assert identity.hashing_suspected is (wakes_released(on) or (rail_on and switches and not held))
        assert not (held and on.truth("rail_on"))


@every_board
async def test_the_row_of_a_board_is_whole(name: str) -> None:
    kind = row_of(name)
    e = kind.envelope
    assert e.core_v.low <= e.stock_core_v <= e.core_v.high <= e.core_v_hard
    assert e.floor_frequency_mhz <= e.frequency_mhz.low <= e.stock_frequency_mhz <= e.frequency_mhz.high
    assert e.frequency_mhz.high <= e.frequency_hard_mhz
    assert e.power_operator_w < e.power_hard_w
    assert (
        e.input_v_low_trip < e.input_v_low_warn <= e.input_v_enable.low < e.input_v_enable.high <= e.input_v_high_trip
    )
    assert e.chip_c_warn < e.chip_c_throttle < e.chip_c_trip < e.chip_c_emergency
    assert e.vr_c_warn < e.vr_c_throttle < e.vr_c_trip < e.vr_c_emergency
    assert kind.matches
    assert kind.safe_off_recipe
    if e.means.sees(Channel.CORE_A):  # by a regulator on the bus
        assert {Channel.CORE_V, Channel.CORE_A, Channel.INPUT_V, Channel.VR_C} <= set(kind.own_limits)
    else:  # nothing acts by itself: nobody gets above stock without saying so
        assert not kind.own_limits
        assert (e.core_v.high, e.frequency_mhz.high) == (e.stock_core_v, e.stock_frequency_mhz)
    assert e.means.rests_at_v is None or e.means.rests_at_v <= e.core_v.low
    law = kind.plausibility.power_law
    assert law is not None
    stock_w = law.k_w_per_v2_mhz * e.stock_core_v**2 * e.stock_frequency_mhz
    assert stock_w < e.power_operator_w
    assert stock_w / kind.plausibility.domains / e.stock_core_v < e.core_a_warn


# --- order -----------------------------------------------------------------------------------------------------------


@every_board
async def test_nothing_is_energised_out_of_order(name: str) -> None:
    async with bitaxe(name) as on:
        await on.board.first_contact()
        before = on.truth("rail_on"), on.truth("rail_set_v")
        for step in (RailOn(), Frequency(Megahertz(56.25))):
            with pytest.raises(UsageError):
                await on.board.apply(step)
        assert (on.truth("rail_on"), on.truth("rail_set_v")) == before
        assert on.truth("frequency_mhz") == 0.0


@every_board
async def test_values_outside_the_absolute_limits_are_refused_and_nothing_is_written(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        hard_v = on.board.kind.envelope.core_v_hard
        before = on.truth("rail_set_v"), on.truth("fan_duty"), on.truth("frequency_mhz")
        for core_v in (0.0, -1.0, hard_v + 0.01, 1e9, math.nan):
            with pytest.raises((LimitError, UsageError)):
                await on.board.apply(CoreVoltage(Volts(core_v)))
        for ratio in (-0.1, 1.1, math.nan):
            with pytest.raises((LimitError, UsageError)):
                await on.board.apply(FanDuty(Ratio(ratio)))
        for frequency_mhz in (0.0, -50.0, 1e6, math.nan, on.board.kind.envelope.stock_frequency_mhz + 50.0):
            with pytest.raises((LimitError, UsageError)):
                await on.board.apply(Frequency(Megahertz(frequency_mhz)))
        assert (on.truth("rail_set_v"), on.truth("fan_duty"), on.truth("frequency_mhz")) == before


@every_board
async def test_chips_go_through_reset_and_come_back_on_a_rail_that_stays(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        e = on.board.kind.envelope
        before = len(on.bench.actuations)
        for step in ordering.chips_again(e, e.stock_core_v, e.stock_frequency_mhz, 1):
            await on.board.apply(step)
            if isinstance(step, AssertReset):
                assert on.truth("reset_asserted")
                assert on.truth("frequency_mhz") == 0.0
                assert on.board.chains[0].frequency_mhz is None
        moves = [move.what for move in on.bench.actuations[before:] if move.what.startswith(("reset", "rail"))]
        assert moves == ["reset asserted", "reset released"]
        assert on.truth("frequency_mhz") == pytest.approx(e.stock_frequency_mhz, abs=1.0)
        assert on.board.chains[0].fast


# --- readings --------------------------------------------------------------------------------------------------------


@every_board
async def test_five_sweeps_of_a_live_board_read_every_channel_and_what_is_so(name: str) -> None:
    async with bitaxe(name, BenchSettings(ambient_c=25.0)) as on:
        await live(on)
        await asyncio.sleep(30.0)
        found = await sweeps(on, 5)
        kind = on.board.kind
        assert set(Channel) - set(found) == never_measured(kind)
        domains, sees = kind.plausibility.domains, kind.envelope.means.sees
        rail_v = on.truth("rail_v")
        assert isinstance(rail_v, float)
        # Without a regulator on the bus it is the set point that is told: up to 31 mV above what the chip gets.
        assert found[Channel.CORE_V] * domains == pytest.approx(rail_v, abs=0.01 if sees(Channel.CORE_A) else 0.031)
        assert found[Channel.CORE_W] == pytest.approx(on.truth("chip_w"), rel=0.15)
        power = "reported_power_w" if sees(Channel.CORE_A) else "input_w"
        assert found[Channel.POWER_W] == pytest.approx(on.truth(power), rel=0.1)
        assert found[Channel.CHIP_C] == pytest.approx(on.truth("die_c"), abs=1.5)
        if sees(Channel.VR_C):
            assert found[Channel.VR_C] == pytest.approx(on.truth("vr_c"), abs=2.0)
        if sees(Channel.INPUT_W):
            assert found[Channel.INPUT_W] == pytest.approx(on.truth("input_w"), rel=0.01)
        assert found[Channel.INPUT_V] == pytest.approx(on.truth("input_v"), abs=0.05)
        if sees(Channel.FAN_RPM):
            assert found[Channel.FAN_RPM] == pytest.approx(on.truth("fan_rpm"), rel=0.02)
        assert found[Channel.FREQUENCY_MHZ] == on.truth("frequency_mhz")
        assert found[Channel.RESET_RELEASED] == 1.0


@every_board
async def test_a_part_that_is_silent_leaves_its_channels_without_a_value_and_with_a_reason(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        for part in on.bench.faults.parts:
            on.bench.faults.nak(part)
            reading = await on.board.read()
            missing = [channel for channel, value in reading.channels.items() if value is None]
            assert missing
            assert all(reading.notes.get(channel) for channel in missing)
            assert not [value for value in reading.channels.values() if value is not None and math.isnan(value)]
            on.bench.faults.heal(part)


# --- the way out -----------------------------------------------------------------------------------------------------


@every_board
async def test_safe_off_is_confirmed_from_anywhere_and_may_run_again(name: str) -> None:
    async with bitaxe(name, BenchSettings(rail_on_at_power_up=True)) as on:
        assert (await on.board.safe_off()).confirmed  # nobody has been in contact
        assert is_safe(on)
        await live(on)
        await slower(on)
        for _ in range(2):
            assert (await on.board.safe_off()).confirmed
            assert is_safe(on)
        await on.power_up()
        assert not is_safe(on)


@every_board
async def test_safe_off_never_raises_and_never_confirms_what_it_did_not_see(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        for part in on.bench.faults.parts:
            on.bench.faults.nak(part)
        report = await on.board.safe_off()
        silent = {"reset asserted": True, "IO rail off": True}  # pins of the bridge, which answers
        assert [action.confirmed for action in report.actions] == [silent.get(a.name, False) for a in report.actions]
        on.control.hang_up("unplugged")
        report = await on.board.safe_off()
        assert not any(action.confirmed or action.sent for action in report.actions)


@every_board
async def test_the_bytes_of_the_sentinel_do_the_same_over_a_port_of_their_own(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        await slower(on)
        far, wire = memory_pair("sentinel")
        sink = SinkLog()
        far.start(sink)
        MemoryPort(on.bench.control, wire)
        proved: dict[str, bool] = {}
        for own_id, action in enumerate(row_of(name).safe_off_recipe, start=0x10):
            sink.data.clear()
            await far.write(action.request[:2] + bytes([own_id]) + action.request[3:])
            await asyncio.sleep(0.25 + action.pause_s)
            wanted = action.reply[:2] + bytes([own_id]) + action.reply[3:]
            same = all((a ^ b) & m == 0 for a, b, m in zip(sink.data, wanted, action.mask, strict=False))
            good = len(sink.data) == len(wanted) and same
            assert action.confirms is not None or good, action.name
            if action.confirms is not None:
                proved[action.confirms] = good
        assert all(proved.values()), proved
        assert is_safe(on)


@every_board
async def test_hashing_is_stopped_through_the_data_port_alone(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        on.control.hang_up("unplugged")
        assert await on.board.stop_hashing()
        assert on.truth("frequency_mhz") == 50.0
        assert on.truth("activity") == 0.0


@every_board
async def test_a_board_without_its_control_port_says_unplugged(name: str) -> None:
    async with bitaxe(name) as on:
        await live(on)
        on.control.hang_up("unplugged")
        with pytest.raises(Unplugged):
            await on.board.read()
        with pytest.raises(Unplugged):
            await on.board.apply(LockDown())


def test_the_steps_of_a_power_up_end_at_stock() -> None:
    for kind in BOARDS.values():
        e = kind.envelope
        steps = ordering.power_up(e, e.stock_core_v, e.stock_frequency_mhz, None)
        clocks = [step.frequency_mhz for step in steps if isinstance(step, Frequency)]
        assert clocks[-1] == e.stock_frequency_mhz
        assert max(after - before for before, after in itertools.pairwise(clocks)) <= 6.25
