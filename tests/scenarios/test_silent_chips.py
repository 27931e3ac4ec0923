"""Chips that fall silent under work are initialised again, once; the work and its counts go on."""

from __future__ import annotations

import asyncio

from controller.model import (
    Cause,
    FaultLatched,
    GuardState,
    Note,
    PointReverted,
    SetOperatingPoint,
    StartWork,
    StateChanged,
    StopWork,
    WorkSnapshot,
    WorkStopped,
)
from emulator.benches import BenchSettings
from tests.scenarios.gamma import NAME, Stand, stand

PATTERN = BenchSettings(seed=1)
OPEN = BenchSettings(seed=1, dilution=2**31)


async def hashes(s: Stand, work: str = "pattern") -> None:
    await s.power_up(525.0, 1.150)
    known = StartWork(work="pattern")
    unknown = StartWork(work="synthetic", ticket_difficulty=32, seed=3)
    await s.rig.request(NAME, unknown if work == "synthetic" else known)
    await asyncio.sleep(10.0)


def counts(s: Stand) -> WorkSnapshot:
    work = s.rig.snapshot().boards[0].work
    assert work is not None
    return work


def notes(s: Stand) -> list[str]:
    return [note.text for note in s.find(Note)]


def resets(s: Stand) -> list[str]:
    return [move.what for move in s.bench.actuations if move.what in ("reset asserted", "reset released", "rail off")]


async def test_a_chip_whose_silence_a_reset_cures_works_on_and_nothing_is_latched() -> None:
    for work in ("pattern", "synthetic"):
        async with stand(OPEN if work == "synthetic" else PATTERN) as s:
            await hashes(s, work)
            before = resets(s)
            struck_s = asyncio.get_running_loop().time()
            s.bench.faults.silence_chip("nonces")
            await s.wait_for_note("the chips are initialised again")
            await asyncio.sleep(0.1)
            s.bench.faults.silence_chip("nonces", off=True)  # what a reset does to a chip that has hung
            assert 9.9 <= asyncio.get_running_loop().time() - struck_s <= 10.6
            assert s.bench.truth(asyncio.get_running_loop().time())["rail_on"]
            await asyncio.sleep(30.0)
            assert resets(s)[len(before) :] == ["reset asserted", "reset released"]
            assert s.find(FaultLatched) == []
            assert s.find(WorkStopped) == [], "the same work goes on"
            board = s.rig.snapshot().boards[0]
            assert board.state is GuardState.LIVE
            assert board.point.achieved.frequency_mhz == 525.0
            assert board.work is not None
            assert board.work.running
            assert (board.work.stale, board.work.duplicates, board.work.link_errors) == (0, 0, 0)
            assert board.work.hw_errors <= 0.02 * board.work.verified, "as many as before"
            found = board.work.verified
            await asyncio.sleep(10.0)
            assert counts(s).verified > found
            assert [(e.before, e.after) for e in s.find(StateChanged)][-2:] == [
                (GuardState.LIVE, GuardState.STARTING),
                (GuardState.STARTING, GuardState.LIVE),
            ]
            said = notes(s)
            assert any(text.startswith("no nonce for 2.") for text in said), said
            assert any(text.startswith("the chips are initialised again: no nonce for 10.") for text in said), said
            assert any("the work goes on" in text for text in said), said


async def test_known_answers_of_the_time_out_of_work_are_not_due() -> None:
    async with stand(PATTERN) as s:
        await hashes(s)
        s.bench.faults.silence_chip("nonces")
        await asyncio.sleep(10.4)
        s.bench.faults.silence_chip("nonces", off=True)
        await s.wait_for_note("the work goes on")
        missed = counts(s)
        assert missed.answers_due is not None
        assert missed.answers_found is not None
        lost = missed.answers_due - missed.answers_found
        await asyncio.sleep(20.0)
        later = counts(s)
        assert later.answers_due is not None
        assert later.answers_found is not None
        assert later.answers_due > missed.answers_due + 100
        assert later.answers_due - later.answers_found <= lost + 2


async def test_a_chip_that_stays_silent_trips_once_and_was_initialised_once() -> None:
    async with stand(PATTERN) as s:
        await hashes(s)
        before = resets(s)
        struck_s = asyncio.get_running_loop().time()
        s.bench.faults.silence_chip("nonces")
        fault = await s.fault()
        assert fault.cause is Cause.CHIP_SILENT
        assert "initialised again" in fault.detail
        assert 20.0 <= fault.at_s - struck_s <= 35.0
        assert s.is_safe()
        assert resets(s)[len(before) :] == ["reset asserted", "reset released", "reset asserted", "rail off"]
        assert len(s.find(FaultLatched)) == 1
        assert len(s.find(WorkStopped)) == 1


async def test_a_chip_that_does_not_answer_its_bring_up_is_called_silent_and_nothing_else() -> None:
    async with stand(PATTERN) as s:
        await hashes(s)
        struck_s = asyncio.get_running_loop().time()
        s.bench.faults.silence_chip("all")
        fault = await s.fault()
        assert fault.cause is Cause.CHIP_SILENT
        assert "initialised again, BringUp" in fault.detail
        assert fault.at_s - struck_s <= 15.0
        assert s.is_safe()


async def test_silent_again_within_the_hour_is_a_trip() -> None:
    async with stand(PATTERN) as s:
        await hashes(s)
        for _ in range(2):
            s.bench.faults.silence_chip("nonces")
            await asyncio.sleep(10.5)
            s.bench.faults.silence_chip("nonces", off=True)
            await asyncio.sleep(600.0)
        (fault,) = s.find(FaultLatched)
        assert fault.cause is Cause.CHIP_SILENT
        assert s.is_safe()


async def test_a_safe_off_in_the_midst_of_it_is_a_safe_off() -> None:
    async with stand(PATTERN) as s:
        await hashes(s)
        s.bench.faults.silence_chip("nonces")
        await s.wait_for_note("the chips are initialised again")
        await asyncio.sleep(3.0)
        assert s.rig.snapshot().boards[0].state is GuardState.STARTING
        await s.rig.safe_off("enough")
        assert s.is_safe()
        assert s.rig.snapshot().boards[0].state is GuardState.SAFE_OFF
        await asyncio.sleep(60.0)
        assert s.is_safe()
        assert s.find(FaultLatched) == []
        assert len(s.find(WorkStopped)) == 1
        await s.power_up()
        assert s.rig.snapshot().boards[0].state is GuardState.LIVE


async def test_work_that_somebody_stops_before_it_begins_needs_no_initialisation() -> None:
    async with stand(PATTERN) as s:
        await hashes(s)
        before = resets(s)
        s.bench.faults.silence_chip("nonces")
        await asyncio.sleep(9.0)
        await s.rig.request(NAME, StopWork())
        await asyncio.sleep(30.0)
        assert resets(s) == before
        assert s.find(FaultLatched) == []


async def test_a_change_on_trial_under_which_the_chips_fall_silent_goes_back() -> None:
    async with stand(PATTERN) as s:
        await hashes(s)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=550.0, core_v=1.180, keep_within_s=600.0))
        s.bench.faults.silence_chip("nonces")
        await asyncio.sleep(10.5)
        s.bench.faults.silence_chip("nonces", off=True)
        reverted = await s.wait_for(PointReverted, 60.0)
        assert reverted.why.startswith("chips were silent: no nonce for 10.")
        assert reverted.point.frequency_mhz == 525.0
        await asyncio.sleep(5.0)
        assert s.find(FaultLatched) == []
        assert s.rig.snapshot().boards[0].point.achieved.frequency_mhz == 525.0


async def test_a_sensor_that_fails_meanwhile_stops_the_board_by_its_own_name() -> None:
    async with stand(PATTERN) as s:
        await hashes(s)
        s.bench.faults.silence_chip("nonces")
        await s.wait_for_note("the chips are initialised again")
        s.bench.faults.nak("tps546")
        fault = await s.fault()
        assert fault.cause in (Cause.SENSOR_STALE, Cause.SENSOR_INVALID, Cause.ACTUATION)
        s.bench.faults.nak("tps546", off=True)
        await asyncio.sleep(5.0)
        assert s.is_safe()
