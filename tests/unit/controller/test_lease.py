"""The keeper of a lease, over the bytes of the emulated firmware: what counts as held, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.lease import BEAT_S, EXPLAIN_S, LOST_S, LeaseKeeper
from controller.model import Cause, PowerUp, Protection
from controller.safety.envelope import Envelopes
from controller.safety.guard import Guard
from drivers.boards.board import RailOn
from drivers.errors import NoReply, Refused
from emulator.firmware.bonanza_bridge import LEASE_S
from tests.unit.boards.on_a_bench import OnLeasedBench, leased
from tests.unit.controller.guarding import ENVELOPE, Scene

LOOK_S = 0.2


@asynccontextmanager
async def keeping() -> AsyncIterator[tuple[OnLeasedBench, LeaseKeeper]]:
    async with leased() as on:
        yield on, LeaseKeeper(lambda: on.board.lease)


async def look(keeper: LeaseKeeper, seconds: float, *, watched: bool = True) -> object:
    """As the poll loop does; the first end of the lease ends it."""
    until_s = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until_s:
        await asyncio.sleep(LOOK_S)
        if (ended := await keeper.look(watched=watched)) is not None:
            return ended
    return None


async def test_a_board_without_a_lease_has_a_keeper_with_nothing_to_do() -> None:
    keeper = LeaseKeeper(lambda: None)
    assert await keeper.arm() is None
    assert (keeper.there, keeper.held(), keeper.left_s()) == (False, False, None)
    assert await keeper.look(watched=True) is None
    assert await keeper.explain(Cause.REGULATOR_OFF) is None
    assert await keeper.disarm() is None
    await keeper.clear()


async def test_it_is_held_from_arming_to_disarming_and_not_a_moment_longer() -> None:
    async with keeping() as (on, keeper):
        assert keeper.there
        assert not keeper.held()
        assert await look(keeper, 2.0) is None
        assert on.bench.bridge.control.heartbeats == [], "nothing beats before it is armed"
        await keeper.arm()
        assert keeper.held()
        assert await look(keeper, 20.0) is None
        assert keeper.held()
        left_s = keeper.left_s()
        assert left_s is not None
        assert LEASE_S - BEAT_S - LOOK_S <= left_s <= LEASE_S
        await keeper.disarm()
        assert not keeper.held()
        beats = len(on.bench.bridge.control.heartbeats)
        assert await look(keeper, 2.0) is None
        assert len(on.bench.bridge.control.heartbeats) == beats


async def test_a_board_that_nobody_watches_gets_no_heartbeat_and_loses_its_lease_in_time() -> None:
    async with keeping() as (on, keeper):
        await keeper.arm()
        began_s = asyncio.get_running_loop().time()
        ended = await look(keeper, 3.0, watched=False)
        assert ended is not None
        assert getattr(ended, "cause", None) is Cause.LEASE_LOST
        assert LOST_S <= asyncio.get_running_loop().time() - began_s < LEASE_S
        assert not keeper.held()
        assert on.bench.bridge.control.heartbeats == []


async def test_a_board_whose_outputs_are_not_safe_is_not_armed() -> None:
    async with keeping() as (on, keeper):
        await on.board.lease.arm()
        await on.board.bridge.gpio(1).set(True)
        with pytest.raises(Refused, match="a safe board alone"):
            await keeper.arm()
        assert on.truth("lease") == "controlled", "arming would have dropped it"


async def test_a_lease_is_not_held_before_the_firmware_has_said_so() -> None:
    async with keeping() as (on, keeper):
        await on.board.lease.status()
        on.bench.faults.do("lose_replies", {"count": 100})
        with pytest.raises(NoReply):
            await keeper.arm()
        assert not keeper.held()


async def test_an_explanation_is_asked_for_only_where_there_may_be_one_and_never_for_long() -> None:
    async with keeping() as (on, keeper):
        await keeper.arm()
        requests = on.board.bridge.counters.requests
        assert await keeper.explain(Cause.CHIP_TEMPERATURE) is None
        assert on.board.bridge.counters.requests == requests
        assert await keeper.explain(Cause.REGULATOR_OFF) is None
        assert on.board.bridge.counters.requests == requests + 1
        on.bench.faults.do("lose_replies", {"count": 100})
        began_s = asyncio.get_running_loop().time()
        assert await keeper.explain(Cause.REGULATOR_OFF) is None
        assert asyncio.get_running_loop().time() - began_s < EXPLAIN_S + 0.001
        on.bench.faults.do("lose_replies", {"off": True})
        await asyncio.sleep(LEASE_S)
        ended = await keeper.explain(Cause.REGULATOR_OFF)
        assert ended is not None
        assert ended.cause is Cause.LEASE_EXPIRED


async def test_a_firmware_that_took_the_lease_away_is_believed() -> None:
    async with keeping() as (on, keeper):
        await keeper.arm()
        await on.board.lease.disarm()
        ended = await look(keeper, 1.0)
        assert getattr(ended, "cause", None) is Cause.LEASE_LOST


async def test_a_heartbeat_that_is_answered_without_a_lease_is_no_confirmation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with keeping() as (on, keeper):
        await keeper.arm()
        policy = on.bench.bridge.policy
        monkeypatch.setattr(policy, "heartbeat", lambda at_s: policy.disarm())
        ended = await look(keeper, BEAT_S + LOOK_S)
        assert getattr(ended, "cause", None) is Cause.LEASE_LOST


async def test_a_heartbeat_that_is_answered_with_a_fault_ends_it_by_the_name_of_the_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with keeping() as (on, keeper):
        await keeper.arm()
        policy = on.bench.bridge.policy
        on.bench.trip_input(True, on.bench.clock())
        monkeypatch.setattr(policy, "heartbeat", lambda at_s: None)  # taken, not refused
        ended = await look(keeper, BEAT_S + LOOK_S)
        assert getattr(ended, "cause", None) is Cause.CHIP_TRIP


async def test_a_firmware_that_refuses_a_heartbeat_and_then_says_nothing_has_no_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with keeping() as (on, keeper):
        await keeper.arm()
        await on.board.lease.disarm()

        async def silent(self: object) -> None:
            raise NoReply("lease status", 0.2)

        monkeypatch.setattr(type(on.board.lease), "status", silent)
        ended = await look(keeper, BEAT_S + LOOK_S)
        assert getattr(ended, "cause", None) is Cause.LEASE_LOST
        assert "lease status" in getattr(ended, "detail", "")


async def test_a_board_whose_firmware_has_a_fault_latched_is_not_armed_and_the_fault_is_named() -> None:
    async with keeping() as (on, keeper):
        await keeper.arm()
        keeper.rest()
        await asyncio.sleep(LEASE_S + LOOK_S)
        ended = await LeaseKeeper(lambda: on.board.lease).arm()
        assert ended is not None
        assert ended.cause is Cause.LEASE_EXPIRED
        assert on.truth("lease") != "armed"


async def test_a_latch_that_the_firmware_keeps_is_not_cleared() -> None:
    async with keeping() as (on, keeper):
        await keeper.arm()
        on.bench.trip_input(True, on.bench.clock())
        await asyncio.sleep(LOOK_S)
        with pytest.raises(Refused, match="the bridge keeps its own latch"):
            await keeper.clear()
        on.bench.trip_input(False, on.bench.clock())
        await asyncio.sleep(LOOK_S)
        await keeper.clear()
        assert (await on.board.lease.status()).fault is None


def test_the_rail_of_a_board_with_a_lease_stays_off_until_it_is_armed() -> None:
    for leased_board, protections, allowed in (
        (True, frozenset({Protection.SENTINEL}), False),
        (True, frozenset({Protection.SENTINEL, Protection.HOST_LEASE}), True),
        (False, frozenset({Protection.SENTINEL}), True),
    ):
        scene = Scene()
        scene.guard = Guard("gamma", Envelopes(ENVELOPE), leased=leased_board)
        scene.protections = protections
        scene.safe()
        steps = scene.guard.judge(PowerUp(), scene.now())
        scene.guard.started()
        rail = next(index for index, step in enumerate(steps) if isinstance(step, RailOn))
        scene.follow(steps[:rail])
        if allowed:
            scene.guard.permit(steps[rail], scene.now())
        else:
            with pytest.raises(Refused, match="the host lease is not armed"):
                scene.guard.permit(steps[rail], scene.now())
