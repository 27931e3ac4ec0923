"""A board with two chips under a rig: what is said when one of them is missing, silent, weak, or lacks a domain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controller.model import Cause, GuardState, StartWork, StopWork, WorkSnapshot, WorkStopped
from drivers.boards import BOARDS
from drivers.errors import HashbridgeError
from emulator.benches import BENCHES, BenchSettings
from tests.scenarios.gamma import NAME, Stand, stand

DUO = "bitaxe-gamma-duo"


@asynccontextmanager
async def duo(dilution: int = 1) -> AsyncIterator[Stand]:
    async with stand(BenchSettings(dilution=dilution), kind=BOARDS[DUO], build=BENCHES[DUO]) as s:  # type: ignore[arg-type]
        yield s


async def work(s: Stand, seconds: float) -> WorkSnapshot:
    await s.rig.request(NAME, StartWork(work="pattern"))
    await asyncio.sleep(seconds)
    await s.rig.request(NAME, StopWork())
    await asyncio.sleep(0)
    return s.find(WorkStopped)[-1].result


async def test_a_healthy_pair_answers_twice_as_often_as_one_chip_and_nothing_is_said_of_it() -> None:
    async with duo() as s:
        await s.power_up()
        result = await work(s, 20.0)
    assert result.answers_due is not None
    assert result.answers_due >= 900  # a window of half the nonces is half as long
    assert result.remarks == ()
    due = [sum(chip.due_by_domain) for chip in result.chips]
    assert max(due) - min(due) <= 4
    assert [chip.verified for chip in result.chips] == pytest.approx(due, rel=0.02)


async def test_a_chip_that_is_missing_at_power_up_is_named_and_the_rail_goes_off_again() -> None:
    async with duo() as s:
        s.bench.faults.break_chain(1)
        with pytest.raises(HashbridgeError, match="chip 1, counted from 0 at the host, is the first that is missing"):
            await s.power_up()
        fault = await s.fault()
        assert fault.cause is Cause.ACTUATION
        assert s.is_safe()


async def test_a_chip_that_falls_silent_while_the_other_works_is_a_trip_that_names_it() -> None:
    async with duo() as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(5.0)
        struck_s = asyncio.get_running_loop().time()
        s.bench.faults.break_chain(1)
        fault = await s.fault()
        assert fault.cause is Cause.CHIP_SILENT
        assert fault.detail.startswith("chip 1 of 0 to 1, address 0x80: no nonce for 10.")
        assert "initialised again, BringUp" in fault.detail
        assert fault.at_s - struck_s < 13.0
        assert s.is_safe()


async def test_a_weak_chip_and_a_dead_domain_are_named_and_the_board_goes_on() -> None:
    async with duo() as s:
        await s.power_up()
        s.bench.faults.weaken_chip(1, by_mv=190.0)
        result = await work(s, 20.0)
        (said,) = result.remarks
        assert said.startswith("chip 1 is weak: ")
        s.bench.faults.weaken_chip(1, off=True)
        s.bench.faults.kill_domain(2, chip=0)
        result = await work(s, 10.0)
        assert len(result.remarks) == 1
        assert result.remarks[0].startswith("chip 0, domain 2 is dead: none of ")
        s.bench.faults.kill_domain(2, chip=0, off=True)
        assert (await work(s, 10.0)).remarks == ()
        assert s.rig.snapshot().boards[0].state is GuardState.LIVE


async def test_open_work_tells_a_silent_chip_by_its_share_before_the_trip_does() -> None:
    async with duo(dilution=1 << 30) as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="synthetic", ticket_difficulty=16))
        s.bench.faults.break_chain(1)
        await asyncio.sleep(8.0)
        now = s.rig.snapshot().boards[0].work
        assert now is not None
        assert [said[:16] for said in now.remarks] == ["chip 1 is silent"]
        fault = await s.fault()
        assert fault.cause is Cause.CHIP_SILENT
        assert "chip 1 of 0 to 1" in fault.detail
