"""A board whose firmware has a host lease: armed before the rail, renewed by the loop that watches, given back last.

The board is emulated only (docs/wire/host-lease.md). There is no sentinel here unless a test says so: what makes the
board safe when its rig does not is the firmware.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import cast

import pytest

from controller.lease import BEAT_S, LOST_S, LeaseKeeper
from controller.model import (
    Cause,
    ClearFault,
    FaultCleared,
    FaultLatched,
    GuardState,
    Layer,
    Note,
    PowerDown,
    PowerUp,
    Protection,
    SafeOff,
    SafeOffDone,
    SetOperatingPoint,
    StartWork,
)
from drivers.boards.leased_gamma import LEASED_GAMMA
from drivers.boards.leased_gamma import LeasedGamma as LeasedBoard
from drivers.codecs.bridge_system import Fault, State
from drivers.codecs.dialect_b import ErrorCode
from drivers.errors import BridgeRefused, HashbridgeError, Latched, Refused
from emulator.benches import BenchSettings
from emulator.benches.leased_gamma import LeasedGamma
from emulator.device import Burst, Device
from emulator.firmware.bitaxe_raw import Refused as FirmwareRefused
from emulator.firmware.bonanza_bridge import LEASE_S, SERVICE_S, WATCH_S
from tests.scenarios.gamma import NAME, Stand, freeze, stand

WITHIN_S = LEASE_S + SERVICE_S + 1e-6
"""After the last heartbeat that the firmware heard."""
WRITE_GIVEN_UP_S = 0.1
"""So long the firmware tries to write an answer that nobody takes: docs/wire/host-lease.md."""
HEARTBEAT = 0x12


@contextlib.asynccontextmanager
async def leased(*, sentinel: bool = False, latched: bool = False) -> AsyncIterator[tuple[Stand, LeasedGamma]]:
    def build(settings: BenchSettings) -> LeasedGamma:
        bench = LeasedGamma(settings)
        if latched:
            bench.bridge.policy.arm(0.0)
            bench.bridge.policy.look(LEASE_S, tripped=False)
        return bench

    async with stand(build=build, kind=LEASED_GAMMA, sentinel=sentinel) as s:
        yield s, cast(LeasedGamma, s.bench)


async def hashing(s: Stand) -> None:
    await s.power_up(400.0, 1.1)
    await s.rig.request(NAME, StartWork(work="pattern"))
    await asyncio.sleep(5.0)


def protections(s: Stand) -> frozenset[Protection]:
    return s.rig.snapshot().boards[0].protections


def after_last_heartbeat(bench: LeasedGamma, what: str) -> float:
    """How long after the last heartbeat this move came, by the record of the actuators."""
    last_s = bench.bridge.control.heartbeats[-1]
    return next(move.at_s for move in bench.actuations if move.what == what and move.at_s > last_s) - last_s


def said(bench: LeasedGamma) -> tuple[State, Fault]:
    """What the firmware would say of itself."""
    return bench.bridge.policy.state, bench.bridge.policy.fault


class NoHeartbeats:
    """Stands before the control port and swallows so many heartbeats; everything else passes. `others`: the other way
    round, heartbeats alone pass."""

    def __init__(self, device: Device, count: int, *, others: bool = False) -> None:
        self._device, self.left, self._others = device, count, others
        self.wakes_at, self.transmit = device.wakes_at, device.transmit
        self.line_rate_changed = device.line_rate_changed

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        is_heartbeat = burst.data[4:6] == bytes((0, HEARTBEAT))
        if is_heartbeat is not self._others and self.left:
            self.left -= 1
            return
        self._device.receive(burst, at_s, previous_baud)


# --- a life in order -------------------------------------------------------------------------------------------------


async def test_the_lease_is_armed_before_the_rail_and_given_back_after_the_confirmed_safe_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with leased() as (s, bench):
        policy = bench.bridge.policy
        assert Protection.HOST_LEASE not in protections(s)
        armed: list[tuple[float, bool]] = []
        arm = policy.arm

        def noted(at_s: float) -> None:
            armed.append((at_s, s.is_safe()))
            arm(at_s)

        monkeypatch.setattr(policy, "arm", noted)
        await s.power_up(400.0, 1.1)
        ((armed_s, was_safe),) = armed
        five_volt_s = next(move.at_s for move in bench.actuations if move.what == "5 V on")
        assert was_safe
        assert armed_s < five_volt_s
        assert Protection.HOST_LEASE in protections(s)
        await s.rig.request(NAME, PowerDown())
        assert policy.state is State.SAFE_OFF
        assert policy.fault is Fault.NONE
        assert Protection.HOST_LEASE not in protections(s)
        assert s.find(SafeOffDone)[-1].report.confirmed
        assert not s.find(FaultLatched)
        await asyncio.sleep(5.0)
        assert policy.fault is Fault.NONE, "what was given back does not end"


async def test_heartbeats_come_every_half_second_while_it_ramps_and_while_it_hashes() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        await asyncio.sleep(60.0)
        beats = bench.bridge.control.heartbeats
        gaps = [after - before for before, after in itertools.pairwise(beats)]
        assert max(gaps) < BEAT_S + 0.25
        assert abs((beats[-1] - beats[0]) / len(gaps) - BEAT_S) < 0.01


async def test_a_rig_that_closes_leaves_no_lease_and_no_fault_behind() -> None:
    async with leased() as (s, bench):
        await hashing(s)
    assert bench.bridge.policy.state is State.SAFE_OFF
    assert bench.bridge.policy.fault is Fault.NONE


async def test_a_point_is_moved_without_a_word_to_the_lease() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=425.0))
        assert bench.bridge.policy.state is State.CONTROLLED
        assert not s.find(FaultLatched)


# --- who is frozen, stuck or not heard -------------------------------------------------------------------------------


async def test_a_frozen_rig_without_a_sentinel_is_outlived_by_firmware_that_makes_the_board_safe() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        freeze(10.0)
        assert s.is_safe()
        assert after_last_heartbeat(bench, "reset asserted") <= WITHIN_S
        assert after_last_heartbeat(bench, "rail off") <= WITHIN_S
        fault = await s.fault()
        assert fault.cause is Cause.LEASE_EXPIRED
        assert "lease expired" in fault.detail
        assert s.is_safe()
        assert Protection.HOST_LEASE not in protections(s)


async def test_a_firmware_that_is_stuck_in_writing_an_answer_when_the_lease_ends_acts_when_it_gives_that_up() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        ends_s = bench.bridge.control.heartbeats[-1] + LEASE_S
        bench.at(ends_s - 0.001, lambda: bench.faults.do("stall_bridge", {"for_s": WRITE_GIVEN_UP_S}))
        freeze(10.0)
        assert s.is_safe()
        for move in ("reset asserted", "rail off"):
            assert after_last_heartbeat(bench, move) >= LEASE_S + WRITE_GIVEN_UP_S - 0.001
            assert after_last_heartbeat(bench, move) <= WITHIN_S + WRITE_GIVEN_UP_S + WATCH_S
        assert (await s.fault()).cause is Cause.LEASE_EXPIRED


async def test_a_rig_that_froze_in_the_midst_of_a_sweep_does_not_take_its_old_readings_for_a_silent_bus() -> None:
    async with leased() as (s, _):
        await hashing(s)
        board = cast(LeasedBoard, s.board)
        for _ in range(1000):
            if board.bridge._busy.locked():
                break
            await asyncio.sleep(0.0005)
        freeze(3.0)
        assert (await s.fault()).cause is Cause.LEASE_EXPIRED
        assert s.is_safe()


async def test_a_freeze_that_ends_within_the_lease_changes_nothing() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        freeze(1.0)
        await asyncio.sleep(10.0)
        assert not s.find(FaultLatched)
        assert bench.bridge.policy.state is State.CONTROLLED


async def test_a_poll_loop_that_has_ended_lets_the_lease_lapse() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        polling = s.rig._runner(NAME)._polling
        assert polling is not None
        polling.cancel()
        await asyncio.sleep(10.0)
        assert s.is_safe()
        assert after_last_heartbeat(bench, "rail off") <= WITHIN_S
        assert Protection.HOST_LEASE not in protections(s), "what is no longer confirmed protects nothing"


async def test_a_sweep_that_is_stuck_is_not_followed_by_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    async with leased() as (s, bench):
        await hashing(s)
        before = len(bench.bridge.control.heartbeats)

        async def stuck() -> None:
            await asyncio.Event().wait()

        with monkeypatch.context() as patch:
            patch.setattr(s.board, "read", stuck)
            fault = await s.fault()
            assert fault.cause is Cause.SENSOR_BUS
            assert len(bench.bridge.control.heartbeats) == before
            assert s.is_safe()


async def test_one_lost_heartbeat_is_made_good_and_nothing_trips() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        for count in (1, 2):
            s.ports[0].device = NoHeartbeats(bench.control, count)
            await asyncio.sleep(5.0)
        assert not s.find(FaultLatched)
        assert bench.bridge.policy.state is State.CONTROLLED


async def test_heartbeats_that_are_all_lost_are_a_fault_of_the_lease_before_it_ends() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        s.ports[0].device = NoHeartbeats(bench.control, 1000)
        fault = await s.fault()
        assert fault.cause is Cause.LEASE_LOST
        assert fault.detail.startswith("no heartbeat was confirmed for")
        assert LOST_S <= after_last_heartbeat(bench, "rail off") < LEASE_S
        assert s.find(SafeOffDone)[-1].report.confirmed
        assert bench.bridge.policy.fault is Fault.NONE, "the rig came first, and gave the lease back"


async def test_a_line_that_carries_nothing_to_the_board_ends_in_the_firmware_making_it_safe() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        bench.faults.do("lose_bytes", {"p": 1.0, "port": "control", "way": "to_board"})
        fault = await s.fault()
        assert fault.cause in (Cause.LEASE_LOST, Cause.SENSOR_BUS)
        assert not s.find(SafeOffDone)[-1].report.confirmed
        await asyncio.sleep(2.0)
        assert s.is_safe()
        assert after_last_heartbeat(bench, "rail off") <= WITHIN_S
        bench.faults.do("heal")
        await asyncio.sleep(5.0)
        assert s.find(SafeOffDone)[-1].report.confirmed


async def test_a_safe_off_that_is_not_confirmed_is_finished_by_the_firmware() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        bench.faults.do("nak", {"part": "tps546"})
        await s.fault()
        assert not s.find(SafeOffDone)[-1].report.confirmed
        await asyncio.sleep(LEASE_S)
        assert bench.bridge.policy.fault is Fault.LEASE_EXPIRED
        assert s.is_safe()


async def test_a_lost_control_port_is_no_longer_the_end_of_all_protection() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        s.ports[0].hang_up()
        await s.wait_for(FaultLatched)
        assert Protection.HOST_LEASE not in protections(s), "it can no longer be confirmed"
        assert any("makes the board safe when the lease ends" in note.text for note in s.find(Note))
        await asyncio.sleep(3.0)
        assert s.is_safe()
        assert after_last_heartbeat(bench, "rail off") <= WITHIN_S
        s.rig.control_restored(NAME, None, s.new_control())
        await asyncio.sleep(3.0)
        await s.rig.request(NAME, ClearFault())
        await s.power_up(400.0, 1.1)
        assert bench.bridge.policy.state is State.CONTROLLED


async def test_a_cable_that_is_pulled_out_with_both_ports_ends_in_the_firmware_making_it_safe() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        for port in s.ports:
            port.hang_up()
        await asyncio.sleep(WITHIN_S)
        assert s.is_safe()
        for move in ("reset asserted", "rail off"):
            assert LEASE_S <= after_last_heartbeat(bench, move) <= WITHIN_S


async def test_a_rig_that_is_latched_and_cannot_reach_the_parts_sweeps_on_and_renews_nothing() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        # What the firmware hears are heartbeats alone: a rig that sent them would keep the board energised for ever.
        s.ports[0].device = NoHeartbeats(bench.control, 10**9, others=True)
        fault = await s.fault()
        assert fault.cause is Cause.SENSOR_BUS
        assert not s.find(SafeOffDone)[-1].report.confirmed
        beats, begun_s = len(bench.bridge.control.heartbeats), bench.clock()
        await asyncio.sleep(60.0)
        assert len(bench.bridge.control.heartbeats) == beats, "the guard is latched"
        assert bench.clock() - begun_s > 59.0
        assert after_last_heartbeat(bench, "rail off") <= WITHIN_S
        assert said(bench) == (State.FAULT_LATCHED, Fault.LEASE_EXPIRED)
        assert s.is_safe()


async def test_a_rig_that_wrongly_goes_on_renewing_while_latched_keeps_nothing_energised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lease is not what holds the rail: the safe-off has cut it, and no heartbeat brings it back."""
    async with leased() as (s, bench):
        await hashing(s)
        beats = bench.bridge.control.heartbeats
        lease = cast(LeasedBoard, s.board).lease

        async def renew() -> None:
            while True:
                with contextlib.suppress(HashbridgeError):
                    await lease.heartbeat()
                await asyncio.sleep(BEAT_S)

        async def keep(self: LeaseKeeper) -> None:
            return None

        monkeypatch.setattr(LeaseKeeper, "disarm", keep)
        renewing = asyncio.create_task(renew())
        s.rig.trip(NAME, Cause.INTERNAL, "the work of this test")
        await s.fault()
        before, moved = len(beats), len(bench.actuations)
        assert s.is_safe()
        await asyncio.sleep(30.0)
        assert len(beats) - before > 50, "the firmware hears and grants them"
        assert said(bench) == (State.CONTROLLED, Fault.NONE)
        assert s.is_safe()
        assert not {move.what for move in bench.actuations[moved:]} & {"5 V on", "rail on", "reset released"}
        renewing.cancel()
        await asyncio.wait([renewing])


async def test_a_rig_that_wrongly_goes_on_renewing_after_the_lease_has_ended_is_refused_and_the_board_stays_safe() -> (
    None
):
    async with leased() as (s, bench):
        await hashing(s)
        freeze(10.0)
        await s.fault()
        lease, beats = cast(LeasedBoard, s.board).lease, len(bench.bridge.control.heartbeats)
        for _ in range(20):
            with pytest.raises(BridgeRefused):
                await lease.heartbeat()
            await asyncio.sleep(BEAT_S)
        assert len(bench.bridge.control.heartbeats) == beats
        assert s.is_safe()


async def test_a_rig_that_was_fenced_off_claims_no_lease() -> None:
    async with leased(sentinel=True) as (s, _):
        await hashing(s)
        s.rig.fenced(NAME, "no beat for 1.0 s", None)
        assert Protection.HOST_LEASE not in protections(s)


# --- latched, and cleared in order -----------------------------------------------------------------------------------


async def test_an_expired_lease_is_latched_on_both_sides_and_cleared_on_both_by_a_person() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        freeze(10.0)
        await s.fault()
        assert said(bench) == (State.FAULT_LATCHED, Fault.LEASE_EXPIRED)
        with pytest.raises(Latched):
            await s.power_up(400.0, 1.1)
        await asyncio.sleep(60.0)
        assert said(bench) == (State.FAULT_LATCHED, Fault.LEASE_EXPIRED), "nothing clears it by itself"
        await s.rig.request(NAME, ClearFault())
        assert said(bench) == (State.SAFE_OFF, Fault.NONE)
        assert [event.cause for event in s.find(FaultCleared)] == [Cause.LEASE_EXPIRED]
        await s.power_up(400.0, 1.1)
        assert Protection.HOST_LEASE in protections(s)


async def test_a_fault_that_the_firmware_had_before_the_rig_came_waits_for_a_person() -> None:
    async with leased(latched=True) as (s, bench):
        fault = await s.wait_for(FaultLatched)
        assert fault.cause is Cause.LEASE_EXPIRED
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED
        await s.rig.request(NAME, ClearFault())
        await s.power_up(400.0, 1.1)
        assert bench.bridge.policy.state is State.CONTROLLED


async def test_a_trip_of_the_chips_is_named_and_not_cleared_while_it_lasts() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        bench.trip_input(True, bench.clock())
        fault = await s.fault()
        assert fault.cause is Cause.CHIP_TRIP
        await asyncio.sleep(60.0)
        with pytest.raises(Refused, match="the bridge keeps its own latch"):
            await s.rig.request(NAME, ClearFault())
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED
        bench.trip_input(False, bench.clock())
        await s.rig.request(NAME, ClearFault())
        assert bench.bridge.policy.fault is Fault.NONE


async def test_a_bridge_that_was_restarted_is_told_from_a_regulator_that_went_off() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        bench.restart_bridge()
        fault = await s.fault()
        assert fault.cause is Cause.LEASE_LOST
        assert "it was restarted" in fault.detail


async def test_a_regulator_that_goes_off_by_itself_is_still_named_for_what_it_is() -> None:
    async with leased() as (s, bench):
        await hashing(s)
        bench.faults.do("trip_rail")
        assert (await s.fault()).cause is Cause.REGULATOR_OFF


async def test_a_fault_that_comes_between_two_power_ups_ends_the_second_with_its_name() -> None:
    async with leased() as (s, bench):
        bench.trip_input(True, bench.clock())
        await asyncio.sleep(1.0)
        with pytest.raises(Latched, match="chip_trip"):
            await s.power_up(400.0, 1.1)
        assert s.is_safe()
        assert s.find(FaultLatched)[0].cause is Cause.CHIP_TRIP


# --- badge, envelope and interlock -----------------------------------------------------------------------------------


async def test_without_a_sentinel_a_lease_opens_what_is_unlocked_and_no_lease_keeps_it_at_stock() -> None:
    async with leased() as (s, _):
        assert s.rig.snapshot().boards[0].limits.core_v_max.layer is Layer.PROTECTION  # type: ignore[union-attr]
        await s.rig.request(NAME, PowerUp(core_v=1.2, frequency_mhz=525.0, dry_run=True))
        await s.power_up(525.0, 1.2)
        assert s.rig.snapshot().boards[0].limits.core_v_max.layer is Layer.RANGE  # type: ignore[union-attr]
    async with stand(sentinel=False) as s:
        assert Protection.HOST_LEASE not in protections(s)
        for dry_run in (True, False):
            with pytest.raises(Refused, match="nothing but this computer would make the board safe"):
                await s.rig.request(NAME, PowerUp(core_v=1.2, frequency_mhz=525.0, dry_run=dry_run))
        await s.power_up()
        assert Protection.HOST_LEASE not in protections(s), "a board without a lease is never badged with one"


async def test_a_lease_that_cannot_be_armed_energises_nothing() -> None:
    async with leased() as (s, bench):
        before = len(bench.actuations)
        bench.faults.do("lose_bytes", {"p": 1.0, "port": "control", "way": "to_board"})
        with pytest.raises(HashbridgeError):
            await s.power_up(400.0, 1.1)
        assert "5 V on" not in [move.what for move in bench.actuations[before:]]
        assert s.is_safe()


@pytest.mark.parametrize("code", [ErrorCode.DENIED, ErrorCode.FAULT, ErrorCode.INVALID])
async def test_a_lease_that_is_denied_at_arming_leaves_the_board_without_power(
    code: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(at_s: float) -> None:
        raise FirmwareRefused(code)

    async with leased() as (s, bench):
        before = len(bench.actuations)
        with monkeypatch.context() as patch:
            patch.setattr(bench.bridge.policy, "arm", deny)
            with pytest.raises(BridgeRefused, match="arm the lease"):
                await s.power_up(400.0, 1.1)
            await asyncio.sleep(10.0)
        assert not {move.what for move in bench.actuations[before:]} & {"5 V on", "rail on", "reset released"}
        assert bench.truth(bench.clock())["rail_v"] == 0.0
        assert bench.bridge.control.heartbeats == []
        assert Protection.HOST_LEASE not in protections(s)
        assert s.is_safe()
        await s.power_up(400.0, 1.1)  # it was the firmware's word alone
        assert Protection.HOST_LEASE in protections(s)


async def test_a_power_up_that_forgot_to_arm_is_stopped_before_the_rail(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(self: LeaseKeeper) -> None:
        return None

    async with leased() as (s, bench):
        monkeypatch.setattr(LeaseKeeper, "arm", forget)
        with pytest.raises(Refused, match="the host lease is not armed"):
            await s.power_up(400.0, 1.1)
        assert "5 V on" not in [move.what for move in bench.actuations]


async def test_a_board_with_sentinel_and_lease_has_both_badges() -> None:
    async with leased(sentinel=True) as (s, _):
        await hashing(s)
        assert {Protection.SENTINEL, Protection.HOST_LEASE, Protection.SOFTWARE_TRIPS} <= protections(s)
        await s.rig.request(NAME, SafeOff())
        assert Protection.HOST_LEASE not in protections(s)
        assert Protection.SENTINEL in protections(s)
