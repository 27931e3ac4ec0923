"""Faults of the chip, as the driver of the chain counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from controller.model import StartWork, StopWork, WorkStopped
from drivers.boards.board import Channel
from emulator.benches import BenchSettings
from tests.scenarios.gamma import NAME, Stand, stand

WORK_S = 6.0


@asynccontextmanager
async def hashing(dilution: int = 1, work: Literal["pattern", "synthetic"] = "pattern") -> AsyncIterator[Stand]:
    """A board at work with volts to spare: it makes no errors of its own."""
    async with stand(BenchSettings(dilution=dilution)) as s:
        await s.power_up(525.0, 1.200)
        await s.rig.request(NAME, StartWork(work=work))
        await asyncio.sleep(1.0)
        yield s


async def result(s: Stand) -> WorkStopped:
    await asyncio.sleep(WORK_S)
    await s.rig.request(NAME, StopWork())
    await asyncio.sleep(0)
    return s.find(WorkStopped)[-1]


async def test_a_chip_that_returns_no_nonces_draws_full_power_and_still_answers_questions() -> None:
    async with hashing() as s:
        loop = asyncio.get_running_loop()
        before_w = s.bench.truth(loop.time())["chip_w"]
        s.bench.faults.silence_chip()
        await asyncio.sleep(0.5)
        found = (await s.snapshot()).boards[0]
        assert found.work is not None
        answers = found.work.answers_found
        await asyncio.sleep(3.0)
        found = (await s.snapshot()).boards[0]
        assert found.work is not None
        assert found.work.answers_found == answers
        assert s.bench.truth(loop.time())["chip_w"] == pytest.approx(before_w, rel=0.1)
        assert s.bench.truth(loop.time())["hashing"]
        assert found.point.achieved.frequency_mhz == pytest.approx(525.0, abs=1.0)
        s.bench.faults.silence_chip(off=True)
        await asyncio.sleep(1.0)
        work = (await s.snapshot()).boards[0].work
        assert work is not None
        assert work.answers_found is not None
        assert answers is not None
        assert work.answers_found > answers


async def test_a_chip_can_be_silent_altogether() -> None:
    async with hashing() as s:
        s.bench.faults.silence_chip(replies="all")
        swallowed = s.bench.faults.spoilt_chip.swallowed
        await asyncio.sleep(2.0)
        assert s.bench.faults.spoilt_chip.swallowed > swallowed + 20
        board = s.rig.snapshot().boards[0]
        assert board.channels[Channel.FREQUENCY_MHZ].evidence, "its clock is asked for in vain"


async def test_a_dead_domain_takes_a_quarter_of_the_answers_and_makes_no_errors() -> None:
    async with hashing() as s:
        before = (await s.snapshot()).boards[0].work
        s.bench.faults.kill_domain(2)
        after = (await result(s)).result
        assert before is not None
        assert after.answers_due is not None
        assert after.answers_found is not None
        assert before.answers_due is not None
        assert before.answers_found is not None
        due, found = after.answers_due - before.answers_due, after.answers_found - before.answers_found
        assert found / due == pytest.approx(0.75, abs=0.04)
        assert after.hw_errors == 0
        domains = {core % 4 for core, count in after.found_by_core.items() if count}
        assert domains == {0, 1, 2, 3}, "it had hashed before"


async def test_two_dead_domains_take_half_and_come_back_one_by_one() -> None:
    async with hashing() as s:
        chip = s.bench.chip
        s.bench.faults.kill_domain(0)
        s.bench.faults.kill_domain(3)
        assert [share > 0.9 for share in chip.yields] == [False, True, True, False]
        s.bench.faults.kill_domain(0, off=True)
        assert [share > 0.9 for share in chip.yields] == [True, True, True, False]
        s.bench.faults.heal()
        assert [share > 0.9 for share in chip.yields] == [True, True, True, True]


async def test_a_storm_sends_one_nonce_200_times_11_ms_apart_and_the_host_counts_duplicates() -> None:
    async with hashing() as s:
        s.bench.faults.duplicate_storm()
        stopped = (await result(s)).result
        spoilt = s.bench.faults.spoilt_chip
        assert stopped.duplicates + stopped.stale == pytest.approx(
            spoilt.repeated, rel=0.03
        )  # some come after the stop
        assert spoilt.repeated == pytest.approx(WORK_S / 0.011, rel=0.02)
        assert stopped.duplicates > 0
        assert stopped.answers_found == stopped.answers_due


async def test_a_storm_ends_with_the_chip_in_reset_and_when_it_is_ended() -> None:
    async with hashing() as s:
        s.bench.faults.duplicate_storm(times=100_000, every_s=0.001)
        await asyncio.sleep(0.5)
        spoilt = s.bench.faults.spoilt_chip
        repeated = spoilt.repeated
        assert repeated > 300
        s.bench.faults.duplicate_storm(off=True)
        await asyncio.sleep(0.5)
        assert spoilt.repeated == repeated
        s.bench.faults.duplicate_storm(times=100_000, every_s=0.001)
        await asyncio.sleep(0.5)
        await s.rig.safe_off("test")
        repeated = spoilt.repeated
        await asyncio.sleep(1.0)
        assert spoilt.repeated <= repeated + 1


@pytest.mark.parametrize(("dilution", "work"), [(1, "pattern"), (1 << 24, "synthetic")])
async def test_the_share_of_nonces_that_does_not_hash_is_the_one_that_was_asked_for(
    dilution: int, work: Literal["pattern", "synthetic"]
) -> None:
    async with hashing(dilution, work) as s:
        before = (await s.snapshot()).boards[0].work
        s.bench.faults.corrupt_nonces(0.3)
        stopped = (await result(s)).result
        assert before is not None
        wrong, right = stopped.hw_errors - before.hw_errors, stopped.verified - before.verified
        assert wrong > 20
        assert wrong / (wrong + right) == pytest.approx(0.3, abs=0.12)
        # A nonce that fails its own job is tried on three others, where one in 256 passes.
        assert wrong == pytest.approx(s.bench.chip.truth.corrupted - before.hw_errors, rel=0.04, abs=2)
        assert stopped.link_errors == 0


async def test_a_dead_domain_and_nonces_that_do_not_hash_are_told_apart() -> None:
    async with hashing() as s:
        s.bench.faults.kill_domain(1)
        s.bench.faults.corrupt_nonces(0.2)
        stopped = (await result(s)).result
        assert stopped.hw_errors > 10
        assert stopped.answers_found is not None
        assert stopped.answers_due is not None
        assert stopped.answers_found / stopped.answers_due == pytest.approx(0.75 * 0.8, abs=0.12)
        s.bench.faults.corrupt_nonces(off=True)
        assert s.bench.chip.truth.corrupted > 10
