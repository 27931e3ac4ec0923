"""What every core rail promises, each on the bench of a board that has it."""

from __future__ import annotations

import asyncio
import math

import pytest

from drivers.boards import BOARDS
from drivers.boards.board import Channel
from drivers.boards.rails import Rail, RailDecay
from drivers.boards.sweep import Sweep
from drivers.bridges.firmware import EMBERONE
from drivers.errors import LimitError, Nack
from drivers.units import Volts
from emulator.benches import BenchSettings
from tests.unit.boards.on_a_bench import OnBench, bitaxe

every_rail = pytest.mark.parametrize(
    ("board", "part"),
    [
        ("bitaxe-gamma", "tps546"),
        ("bitaxe-gt", "tps546"),  # two of them, stacked
        ("bitaxe-hex", "tps546"),  # three domains
        ("emberone00", "tps546"),  # twelve, and its EN pin is driven
        ("bitaxe-ultra-205", "ds4432u"),
        ("bitaxe-max", "ds4432u"),
        ("emberone00-v2", "ds4432u"),  # twelve, and switched by the pin alone
        ("emberone00-v4", "ds4432u"),  # with twice the steps
    ],
)


def by_pin_alone(on: OnBench, part: str) -> bool:
    """Its bytes on the bus take it to its lowest, and a pin of the bridge takes it down."""
    return part == "ds4432u" and on.board._wiring.rail_pin is not None


async def opened(on: OnBench) -> Rail:
    await on.board.first_contact()
    return await on.board._open_rail()


async def decayed(on: OnBench, decay: RailDecay) -> bytes:
    """What the voltage that has to fall reads, as the bridge gives it."""
    down, bridge = decay.proof, on.board.bridge
    if decay.by_adc:
        return (await bridge.adc(down.register)).to_bytes(2, "little")
    return await bridge.i2c().write_read(on.board._parts.rail.bytes.address, bytes([down.register]), len(down.value))


def rail_v(on: OnBench) -> float:
    found = on.truth("rail_set_v")
    assert isinstance(found, float)
    return found


def within_v(on: OnBench) -> float:
    """One step of the coarser part, of a chip: 3.7 mV of a DAC, 2 mV of a rail."""
    return 0.0038 if on.board.kind.envelope.means.rests_at_v is not None else 0.002


@every_rail
async def test_a_voltage_is_that_of_a_chip_and_never_more_than_a_step_off(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        rail, e = await opened(on), on.board.kind.envelope
        await rail.lock_down()
        for core_v in (e.core_v.low, e.stock_core_v, e.core_v.high, e.core_v_hard):
            await rail.set_core(Volts(core_v))
            assert rail_v(on) / on.board.kind.plausibility.domains == pytest.approx(core_v, abs=within_v(on))


@every_rail
async def test_a_voltage_outside_is_refused_and_the_rail_stays(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        rail = await opened(on)
        await rail.lock_down()
        before = rail_v(on)
        for core_v in (0.0, -1.0, on.board.kind.envelope.core_v_hard + 0.01, 100.0, math.nan, math.inf):
            with pytest.raises(LimitError):
                await rail.set_core(Volts(core_v))
        assert rail_v(on) == before


@every_rail
async def test_lock_down_leaves_the_rail_at_its_safest_and_may_be_repeated(board: str, part: str) -> None:
    async with bitaxe(board, BenchSettings(rail_on_at_power_up=True)) as on:
        rail, rests_at_v = await opened(on), on.board.kind.envelope.means.rests_at_v
        for _ in range(2):
            assert await rail.lock_down()
            assert await rail.is_locked()
            assert not on.truth("rail_on") if rests_at_v is None else rail_v(on) <= rests_at_v


@every_rail
async def test_its_safe_bytes_are_the_safest_state_and_prove_it(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        await on.board.first_contact()
        await on.power_up()
        kind, i2c = on.board._parts.rail.bytes, on.board.bridge.i2c()
        for _ in range(2):
            for data in kind.moves:
                await i2c.write(kind.address, data)
        if by_pin_alone(on, part):
            e = on.board.kind.envelope
            assert rail_v(on) / on.board.kind.plausibility.domains == pytest.approx(e.core_v.low, abs=within_v(on))
            await on.board.bridge.gpio(EMBERONE.pin("PWR_EN").number).set(False)
        await asyncio.sleep(0.5)
        rests_at_v = on.board.kind.envelope.means.rests_at_v
        assert not on.truth("rail_on") if rests_at_v is None else rail_v(on) <= rests_at_v
        for proof in kind.proofs:
            found = await i2c.write_read(kind.address, bytes([proof.register]), len(proof.value))
            assert all((a ^ b) & m == 0 for a, b, m in zip(found, proof.value, proof.mask, strict=True)), proof.what
        assert kind.decay is not None
        assert kind.decay.volts(await decayed(on, kind.decay)) < kind.decay.below_v


@every_rail
async def test_the_safe_bytes_prove_nothing_while_the_rail_is_up(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        await on.board.first_contact()
        await on.power_up()
        kind, i2c = on.board._parts.rail.bytes, on.board.bridge.i2c()
        for proof in kind.proofs:
            found = await i2c.write_read(kind.address, bytes([proof.register]), len(proof.value))
            assert any((a ^ b) & m for a, b, m in zip(found, proof.value, proof.mask, strict=True)), proof.what
        assert kind.decay is not None
        assert kind.decay.volts(await decayed(on, kind.decay)) > kind.decay.below_v


@every_rail
async def test_a_sweep_has_a_value_or_a_reason_for_every_channel_of_power(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        await on.board.first_contact()
        await on.power_up()
        rail, kind = await on.board._open_rail(), on.board._parts.rail
        await rail.read(sweep := Sweep())
        reading = sweep.reading()
        assert {channel for channel, value in reading.channels.items() if value is not None} == set(kind.channels)
        assert set(kind.channels) >= {
            channel
            for channel in BOARDS[board].envelope.means.sensors
            if channel not in (Channel.CHIP_C, Channel.FAN_RPM)
        }
        assert all(reading.notes.get(channel) for channel, value in reading.channels.items() if value is None)


@every_rail
async def test_a_supply_that_went_and_came_is_seen_as_one_that_holds_no_limits(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        await on.board.first_contact()
        await on.power_up()
        rail = await on.board._open_rail()
        assert await rail.is_locked()
        on.bench.faults.power_cycle()
        await asyncio.sleep(0.1)
        assert not await rail.is_locked()


@every_rail
async def test_a_part_that_does_not_answer_raises_what_the_bus_raises(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        rail = await opened(on)
        on.bench.faults.nak(part)
        stock_v = on.board.kind.envelope.stock_core_v
        seen = () if by_pin_alone(on, part) else (rail.core_v(),)  # by the bridge's ADC
        for question in (*seen, rail.set_core(stock_v), rail.lock_down(), rail.is_locked()):
            with pytest.raises(Nack):
                await question


@every_rail
async def test_other_parts_are_not_opened_and_named_where_they_can_be(board: str, part: str) -> None:
    async with bitaxe(board) as on:
        await on.board.first_contact()
        kind, i2c = on.board._parts.rail, on.board.bridge.i2c()
        assert await kind.unusable(i2c)
