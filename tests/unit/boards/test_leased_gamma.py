"""The board behind the firmware with a lease: its rail obeys the bridge, its safe-off is confirmed in dialect B."""

from __future__ import annotations

import asyncio

import pytest

from drivers.boards import BOARDS
from drivers.boards.bitaxe_gamma import BITAXE_GAMMA
from drivers.boards.bitaxe_safe_off import FAN, RAIL, RESET
from drivers.boards.board import Channel, Protection
from drivers.boards.leased_gamma import LEASED_GAMMA
from drivers.codecs.dialect_b import ErrorCode
from drivers.errors import BridgeRefused
from emulator.benches import BENCHES
from emulator.benches.leased_gamma import LeasedGamma as Bench
from tests.fakes import SinkLog
from tests.unit.boards.on_a_bench import leased


def test_it_is_no_board_that_can_be_asked_for() -> None:
    assert LEASED_GAMMA.name not in BOARDS
    assert Bench.board not in BENCHES
    assert LEASED_GAMMA.matches == ()
    assert LEASED_GAMMA.envelope == BITAXE_GAMMA.envelope


async def test_first_contact_names_the_firmware_and_energises_nothing() -> None:
    async with leased() as on:
        identity = await on.board.first_contact()
        assert identity.firmware == "bonanza-bridge 0.1.0, protocol 1.0, reply dialect B"
        assert identity.parts == {"regulator": "TPS546D24A", "fan controller": "EMC2101"}
        assert not identity.hashing_suspected
        assert on.truth("lease") == "safe_off"


async def test_a_rail_that_is_asked_for_without_a_lease_stays_off() -> None:
    async with leased() as on:
        await on.board.first_contact()
        with pytest.raises(BridgeRefused) as refused:
            await on.power_up()
        assert refused.value.code == ErrorCode.DENIED
        assert on.truth("rail_on") is False


async def test_a_board_that_runs_is_made_safe_by_its_firmware_alone() -> None:
    async with leased() as on:
        await on.board.first_contact()
        async with on.kept():
            await on.power_up()
        assert [on.truth(key) for key in ("rail_on", "reset_asserted")] == [True, False]
        await asyncio.sleep(2.1)
        assert [on.truth(key) for key in ("rail_on", "reset_asserted", "fan_duty")] == [False, True, 1.0]


async def test_safe_off_is_confirmed_by_read_back_and_a_sweep_reads_every_sensor() -> None:
    async with leased() as on:
        await on.board.first_contact()
        async with on.kept():
            await on.power_up()
            known: set[Channel] = set()
            for _ in range(10):
                await asyncio.sleep(0.2)
                reading = await on.board.read()
                known |= {channel for channel, value in reading.channels.items() if value is not None}
            assert known == set(Channel) - {Channel.INPUT_W}
            assert on.board.protections() == {Protection.REGULATOR_LIMITS}
            report = await on.board.safe_off()
        assert [action.name for action in report.actions] == [RESET, RAIL, FAN]
        assert report.confirmed, report
        assert on.truth("rail_v") == 0.0
        assert on.truth("bridge_fault") == "none"


async def test_safe_off_is_confirmed_while_the_firmware_is_latched() -> None:
    async with leased() as on:
        await on.board.first_contact()
        async with on.kept():
            await on.power_up()
        await asyncio.sleep(2.1)
        assert on.truth("bridge_fault") == "lease_expired"
        assert (await on.board.safe_off()).confirmed


async def test_the_recipe_of_the_sentinel_makes_it_safe_in_the_same_order() -> None:
    async with leased() as on:
        await on.board.first_contact()
        async with on.kept():
            await on.power_up()
        sink, transport = SinkLog(), on.new_control()
        transport.start(sink)
        before = len(on.bench.actuations)
        for number, action in enumerate(LEASED_GAMMA.safe_off_recipe):
            heard = len(sink.data)
            await transport.write(action.request[:2] + bytes((number,)) + action.request[3:])
            await asyncio.sleep(0.02 + action.pause_s)
            answer = bytes(sink.data[heard:])
            wanted = action.reply[:2] + bytes((number,)) + action.reply[3:]
            assert len(answer) == len(wanted), action
            assert all((a ^ b) & m == 0 for a, b, m in zip(answer, wanted, action.mask, strict=True)), action
        assert [move.what for move in on.bench.actuations[before:]] == ["reset asserted", "5 V off", "rail off"]


async def test_a_new_control_port_has_the_lease_of_the_same_firmware() -> None:
    async with leased() as on:
        await on.board.first_contact()
        await on.board.lease.arm()
        on.board.replace_control(on.new_control())
        assert (await on.board.lease.heartbeat()).armed
