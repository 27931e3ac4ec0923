"""`hashbridge run` where the operator lets the board come back by itself: it goes on, as long as it has time."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable

import pytest

from controller.cli.exits import Exit
from controller.cli.result import Outcome, run_object, run_table
from controller.cli.run import verdict
from controller.cli.session import Plan, Session
from controller.cli.talk import Talk
from controller.model import Cause, GuardState, RetryEnded, RetryPlanned, StartWork
from emulator.benches import BenchSettings
from tests.scenarios.gamma import AGAIN, NAME, SETTINGS, Stand, stand

WORK = StartWork(work="synthetic", ticket_difficulty=32, seed=3)


def a_run(
    s: Stand, seconds: float | None, *, retry: bool = True, self_test_s: float | None = None
) -> tuple[Session, io.StringIO]:
    said = io.StringIO()
    plan = Plan(
        board=NAME,
        emulated=True,
        dilution=2**31,
        seed=1,
        work=WORK,
        work_kind="synthetic",
        seconds=seconds,
        self_test_s=self_test_s,
        retry=retry,
    )
    return Session(s.rig, plan, Talk(stream=said)), said


def code_of(outcome: Outcome, *, interrupted: bool = False) -> Exit:
    return verdict(outcome, interrupted=interrupted, talk=Talk(stream=io.StringIO()))


def later(seconds: float, what: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_later(seconds, what)


def silence(s: Stand, after_s: float, for_s: float | None = None) -> None:
    """The chip falls silent; `for_s` is longer than the rig's own try to bring it up again."""
    later(after_s, lambda: s.bench.faults.silence_chip("nonces"))
    if for_s is not None:
        later(after_s + for_s, lambda: s.bench.faults.silence_chip("nonces", off=True))


async def test_a_board_that_comes_back_hashes_on_to_the_end_of_its_time_and_the_run_is_a_good_one() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        session, said = a_run(s, 300.0)
        silence(s, 30.0, for_s=60.0)
        outcome = await session.run()
        assert s.is_safe()
        assert code_of(outcome) is Exit.OK
        assert [trip.cause for trip in outcome.trips] == [Cause.CHIP_SILENT]
        assert (outcome.retries, outcome.tripped, outcome.safe_off_confirmed) == (1, False, True)
        assert run_object(outcome)["retries"] == 1
        assert run_object(outcome)["frequency_mhz"] == pytest.approx(425.0)
        assert "came back by itself once" in run_table(outcome)
        assert outcome.work is not None
        assert outcome.work.verified > 100
        # 300 s from the first job, whatever happened meanwhile: the last spell has what the trip and its wait left.
        trip_s, began_s = outcome.trips[0].at_s, outcome.trips[0].at_s - 30.0
        assert 100.0 < outcome.work.elapsed_s < 300.0 - (trip_s - began_s) - 60.0
        lines = said.getvalue().splitlines()
        assert any(line.startswith("TRIP chip_silent") for line in lines)
        assert "retry 1 of 3 in 60 s, 425.00 MHz at 1.150 V instead of 525.00 MHz at 1.150 V" in lines
        assert any(line.startswith("latched: chip_silent  retry 1 of 3 in ") for line in lines)
        assert "retry 1: the board is back" in lines


async def test_retries_that_are_used_up_end_it_as_the_trip_does() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        session, said = a_run(s, None)
        silence(s, 30.0)
        outcome = await session.run()
        assert code_of(outcome) is Exit.TRIPPED
        assert len(outcome.trips) == 3
        assert (outcome.retries, outcome.tripped) == (2, True)
        assert "no retry after chip_silent: nothing lower may be asked for" in said.getvalue()
        assert "; the last trip stands" in run_table(outcome)
        assert s.is_safe()


async def test_a_cause_that_is_left_to_a_person_ends_it_at_once() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        session, _ = a_run(s, None)
        later(30.0, s.bench.faults.stall_fan)
        began_s = asyncio.get_running_loop().time()
        outcome = await session.run()
        assert asyncio.get_running_loop().time() - began_s < 60.0
        assert code_of(outcome) is Exit.TRIPPED
        assert ([trip.cause for trip in outcome.trips], outcome.retries) == ([Cause.FAN], 0)
        assert outcome.safe_off_confirmed


async def test_without_leave_a_trip_ends_it_as_ever() -> None:
    async with stand(SETTINGS, operator=AGAIN.model_copy(update={"retry": False})) as s:
        session, said = a_run(s, None, retry=False)
        silence(s, 30.0)
        outcome = await session.run()
        assert code_of(outcome) is Exit.TRIPPED
        assert (len(outcome.trips), outcome.retries) == (1, 0)
        assert "retry" not in said.getvalue()


async def test_time_that_is_over_while_it_waits_ends_it_latched_and_nothing_comes_back_behind_its_back() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        session, said = a_run(s, 100.0)
        silence(s, 50.0, for_s=60.0)
        began_s = asyncio.get_running_loop().time()
        outcome = await session.run()
        assert 100.0 < asyncio.get_running_loop().time() - began_s < 130.0
        assert code_of(outcome) is Exit.TRIPPED
        assert (outcome.retries, outcome.safe_off_confirmed) == (0, True)
        assert "no retry: the time of the run is over" in said.getvalue()
        assert len(s.find(RetryPlanned)) == 1
        assert [ended.how for ended in s.find(RetryEnded)] == ["cancelled"]
        await asyncio.sleep(1200.0)
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED
        assert s.is_safe()


async def test_an_interruption_while_it_waits_ends_it_with_the_trip() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        session, _ = a_run(s, None)
        silence(s, 30.0, for_s=60.0)
        later(100.0, session.interrupt)
        outcome = await session.run()
        assert [ended.how for ended in s.find(RetryEnded)] == ["cancelled"]
        assert code_of(outcome, interrupted=True) is Exit.TRIPPED
        await asyncio.sleep(1200.0)
        assert s.is_safe()


async def test_an_interruption_of_a_board_that_has_come_back_is_one() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        session, _ = a_run(s, None)
        silence(s, 30.0, for_s=60.0)
        later(250.0, session.interrupt)
        outcome = await session.run()
        assert outcome.retries == 1
        assert code_of(outcome, interrupted=True) is Exit.INTERRUPTED
        assert s.is_safe()


async def test_a_self_test_that_was_cut_short_is_made_again_in_full_before_the_work() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31), operator=AGAIN) as s:
        session, _ = a_run(s, 20.0, self_test_s=120.0)
        later(60.0, lambda: s.bench.faults.source_v(4.3))
        later(70.0, lambda: s.bench.faults.source_v(5.3))
        outcome = await session.run()
        assert [trip.cause for trip in outcome.trips] == [Cause.INPUT_LOW]
        assert outcome.retries == 1
        assert outcome.self_test is not None
        assert outcome.self_test.elapsed_s == pytest.approx(120.0, abs=1.0)
        assert outcome.work is not None
        assert outcome.work.kind == "synthetic"
        assert outcome.work.elapsed_s == pytest.approx(20.0, abs=1.0)
        assert s.is_safe()


async def test_a_trip_on_the_way_up_is_waited_for_and_the_work_begins_then() -> None:
    async with stand(SETTINGS, operator=AGAIN) as s:
        session, _ = a_run(s, 20.0)
        later(5.0, lambda: s.bench.faults.source_v(4.3))
        later(30.0, lambda: s.bench.faults.source_v(5.3))
        outcome = await session.run()
        assert [trip.cause for trip in outcome.trips] == [Cause.INPUT_LOW]
        assert code_of(outcome) is Exit.OK
        assert outcome.work is not None
        assert outcome.work.elapsed_s == pytest.approx(20.0, abs=1.0)
        assert s.is_safe()
