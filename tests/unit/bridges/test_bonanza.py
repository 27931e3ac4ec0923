"""The lease of bonanza-bridge, driven over bytes: taken, kept, given back, lost, and never taken for granted."""

from __future__ import annotations

import asyncio

import pytest

from drivers.boards.leased_gamma import LeasedGamma
from drivers.bridges.bonanza import LEASE_S
from drivers.bridges.lease import HostLease, LeaseFault
from drivers.codecs.bridge_system import FirmwareInfo, State
from drivers.codecs.dialect_b import ErrorCode
from drivers.errors import BridgeRefused, NoReply, UnexpectedReply, VerifyError
from emulator.benches.leased_gamma import LeasedGamma as Bench
from emulator.firmware import bonanza_bridge
from emulator.firmware.bonanza_bridge import INFO, SERVICE_S
from tests.unit.boards.on_a_bench import leased

PINS = (1, 2)


async def energise(board: LeasedGamma) -> None:
    await board.lease.arm()
    for pin in PINS:
        await board.bridge.gpio(pin).set(True)


def running(bench: Bench) -> bool:
    bench.advance(bench.clock())
    outputs = bench.bridge.policy.outputs
    return outputs.five_volt_on and not outputs.reset_asserted


async def test_the_firmware_names_itself_and_its_protocol() -> None:
    async with leased() as on:
        board = on.board
        assert await board.lease.firmware() == INFO


async def test_another_major_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bonanza_bridge, "INFO", FirmwareInfo(2, 0, "2.0.0"))
    async with leased() as on:
        board = on.board
        with pytest.raises(UnexpectedReply, match=r"protocol 2\.0, where 1\.x is known"):
            await board.first_contact()


async def test_the_lease_is_taken_kept_and_given_back() -> None:
    async with leased() as on:
        bench, board = on.bench, on.board
        lease: HostLease = board.lease
        before = await lease.status()
        assert (before.armed, before.left_s, before.fault, before.outputs_safe) == (False, 0.0, None, True)
        armed = await lease.arm()
        assert armed.armed
        assert armed.left_s == LEASE_S == lease.lease_s
        for _ in range(12):
            await asyncio.sleep(0.5)
            assert (await lease.heartbeat()).left_s == LEASE_S
        assert not (await lease.disarm()).armed
        assert bench.bridge.policy.state is State.SAFE_OFF


async def test_a_lease_that_was_not_renewed_is_a_fault_that_says_so_and_is_cleared_by_hand() -> None:
    async with leased() as on:
        bench, board = on.bench, on.board
        await energise(board)
        assert running(bench)
        await asyncio.sleep(LEASE_S + SERVICE_S)
        assert not running(bench)
        status = await board.lease.status()
        assert (status.armed, status.fault, status.outputs_safe) == (False, LeaseFault.EXPIRED, True)
        assert status.detail.startswith("fault latched, lease expired")
        for call in (board.lease.heartbeat, board.lease.arm):
            with pytest.raises(BridgeRefused) as refused:
                await call()
            assert refused.value.code == ErrorCode.FAULT
        assert (await board.lease.disarm()).fault is LeaseFault.EXPIRED
        assert (await board.lease.clear()).fault is None
        assert (await board.lease.arm()).armed


async def test_a_heartbeat_without_a_lease_is_denied() -> None:
    async with leased() as on:
        board = on.board
        with pytest.raises(BridgeRefused) as refused:
            await board.lease.heartbeat()
        assert refused.value.code == ErrorCode.DENIED


async def test_a_trip_of_the_chips_is_told_apart_and_not_cleared_while_it_lasts() -> None:
    async with leased() as on:
        bench, board = on.bench, on.board
        await energise(board)
        bench.trip_input(True, bench.clock())
        await asyncio.sleep(0.01)
        assert (await board.lease.status()).fault is LeaseFault.TRIPPED
        with pytest.raises(BridgeRefused):
            await board.lease.clear()
        bench.trip_input(False, bench.clock())
        assert (await board.lease.clear()).fault is None


async def test_a_heartbeat_is_sent_once_and_disarming_twice_when_the_answer_is_lost() -> None:
    async with leased() as on:
        bench, board = on.bench, on.board
        await board.lease.arm()
        bench.faults.do("lose_replies", {"count": 1})
        before = board.bridge.counters.requests
        with pytest.raises(NoReply):
            await board.lease.heartbeat()
        assert board.bridge.counters.requests == before + 1
        bench.faults.do("lose_replies", {"count": 1})
        assert not (await board.lease.disarm()).armed
        assert board.bridge.counters.requests == before + 3


async def test_an_arming_that_ends_with_unsafe_outputs_is_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    async with leased() as on:
        bench, board = on.bench, on.board
        unsafe = bonanza_bridge.SAFE._replace(fan_percent=40)

        def arm(at_s: float) -> None:
            bench.bridge.policy.state, bench.bridge.policy.lease_ends_s = State.CONTROLLED, at_s + LEASE_S
            bench.bridge.policy.outputs = unsafe

        monkeypatch.setattr(bench.bridge.policy, "arm", arm)
        with pytest.raises(VerifyError, match="armed, outputs safe"):
            await board.lease.arm()
