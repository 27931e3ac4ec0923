"""A board whose operator allows it comes back by itself: lower, bounded, and not over the head of a person."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from controller.model import (
    Cause,
    ClearFault,
    FaultLatched,
    GuardState,
    OperatingPoint,
    PowerUp,
    RetryEnded,
    RetryPlanned,
    RetryRefused,
    SafeOff,
)
from drivers.errors import Latched, Refused
from tests.scenarios.gamma import AGAIN, NAME, SETTINGS, Stand, stand

STOCK = OperatingPoint(frequency_mhz=525.0, core_v=1.150)


async def silent(s: Stand) -> FaultLatched:
    s.bench.faults.silence_chip("nonces")
    fault = await s.fault()
    assert fault.cause is Cause.CHIP_SILENT
    return fault


async def test_a_silent_chip_is_powered_up_again_lower_and_fed_again_and_the_wish_is_remembered() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        await s.hashes()
        fault = await silent(s)
        planned = await s.wait_for(RetryPlanned)
        assert (planned.number, planned.of, planned.wait_s, planned.wanted) == (1, 3, 60.0, STOCK)
        assert planned.point == OperatingPoint(frequency_mhz=425.0, core_v=1.150)
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LATCHED
        assert s.is_safe()
        assert board.retry is not None
        assert board.retry.due_s == pytest.approx(fault.at_s + 60.0, abs=0.5)
        s.bench.faults.silence_chip("nonces", off=True)
        await asyncio.sleep(59.0)
        assert s.is_safe(), "not before its time"
        await asyncio.sleep(40.0)
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LIVE
        assert board.point.achieved.frequency_mhz == pytest.approx(425.0)
        assert board.retry is not None
        assert (board.retry.due_s, board.retry.wanted) == (None, STOCK)
        assert board.work is not None
        assert board.work.running
        assert board.work.verified > 0
        assert [ended.how for ended in s.find(RetryEnded)] == ["done"]


async def test_a_chip_that_stays_silent_comes_back_lower_and_later_until_nothing_lower_is_left() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        await s.hashes()
        s.bench.faults.silence_chip("nonces")
        await asyncio.sleep(3600.0)
        planned = s.find(RetryPlanned)
        assert [plan.wait_s for plan in planned] == [60.0, 300.0]
        assert [plan.point.frequency_mhz for plan in planned] == [425.0, 400.0]
        assert {plan.wanted.frequency_mhz for plan in planned} == {525.0}
        assert len(s.find(FaultLatched)) == 3
        assert [refused.why for refused in s.find(RetryRefused)] == ["nothing lower may be asked for"]
        board = s.rig.snapshot().boards[0]
        assert (board.state, board.retry) == (GuardState.LATCHED, None)
        assert s.is_safe()


async def test_a_board_that_may_come_back_by_itself_is_one_that_nobody_watches_and_stays_at_stock() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        with pytest.raises(Refused, match="550 MHz is outside 400 to 525 MHz"):
            await s.power_up(550.0, 1.150)


async def test_a_weak_input_waits_until_it_is_back() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        await s.hashes()
        s.bench.faults.source_v(4.3)
        fault = await s.fault()
        assert fault.cause is Cause.INPUT_LOW
        planned = await s.wait_for(RetryPlanned)
        assert planned.point.frequency_mhz == 418.75
        await asyncio.sleep(300.0)
        assert s.is_safe(), "its input is not back"
        board = s.rig.snapshot().boards[0]
        assert board.retry is not None
        assert board.retry.due_s is not None
        s.bench.faults.source_v(5.3)
        await asyncio.sleep(60.0)
        assert s.rig.snapshot().boards[0].state is GuardState.LIVE


@pytest.mark.parametrize("command", [SafeOff(reason="no"), ClearFault(), PowerUp()], ids=lambda c: c.kind)
async def test_whatever_a_person_asks_for_ends_it(command: SafeOff | ClearFault | PowerUp) -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        await s.hashes()
        await silent(s)
        await asyncio.sleep(30.0)
        with contextlib.suppress(Latched):  # refused or not: it was a person's
            await s.rig.request(NAME, command)
        assert [ended.how for ended in s.find(RetryEnded)] == ["cancelled"]
        await asyncio.sleep(600.0)
        assert s.is_safe()
        assert s.rig.snapshot().boards[0].retry is None


async def test_another_reason_that_comes_while_it_waits_ends_it() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        await s.hashes()
        await silent(s)
        s.rig.trip(NAME, Cause.SENTINEL_LOST, "the sentinel is gone")
        await asyncio.sleep(1.0)
        (ended,) = s.find(RetryEnded)
        assert ended.why == "sentinel_lost as well: the sentinel is gone"
        await asyncio.sleep(600.0)
        assert s.is_safe()


async def test_another_reason_that_comes_while_the_board_is_being_made_safe_leaves_it_to_a_person() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        await s.hashes()
        s.bench.faults.silence_chip("nonces")
        await s.wait_for(FaultLatched, 60.0)
        assert not s.is_safe(), "the safe-off has only begun"
        s.rig.trip(NAME, Cause.SENTINEL_LOST, "the sentinel is gone")
        refused = await s.wait_for(RetryRefused)
        assert refused.why == "sentinel_lost as well: the sentinel is gone"
        await asyncio.sleep(1200.0)
        assert s.find(RetryPlanned) == []
        assert s.is_safe()


@pytest.mark.parametrize("retry", [True, False])
async def test_without_leave_or_for_another_cause_nothing_comes_back(retry: bool) -> None:
    async with stand(SETTINGS, operator=AGAIN.model_copy(update={"retry": retry})) as s:
        await s.hashes()
        if retry:
            s.bench.faults.stall_fan()
            assert (await s.fault()).cause is Cause.FAN
        else:
            await silent(s)
        await asyncio.sleep(1200.0)
        assert s.find(RetryPlanned) == []
        assert [refused.why for refused in s.find(RetryRefused)] == (["fan is left to a person"] if retry else [])
        assert s.is_safe()
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED


async def test_a_rig_that_ends_while_one_waits_ends() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        await s.hashes()
        await silent(s)
        await asyncio.sleep(1.0)
    assert [ended.why for ended in s.find(RetryEnded)] == ["the rig ends"]
