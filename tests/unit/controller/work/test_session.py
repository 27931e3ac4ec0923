"""What counts as due, as found and as extra, and at which pace jobs go out."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from controller.work.session import PatternSession, SyntheticSession
from controller.work.sources import PatternSource, SyntheticSource, shipped_headers
from drivers.asics import ASICS
from drivers.asics.chain import Chain, Chip, Counters, Find, Work
from drivers.asics.partition import Partition

WINDOW_S = 0.032


@dataclass
class FakeChain:
    """A chain that keeps what it was sent."""

    counters: Counters = field(default_factory=Counters)
    chips: list[Chip] = field(default_factory=lambda: [Chip(0, 0, 0x1370)])
    ticket_difficulty: int = 1
    expected_hs: float = 1.071e12
    window_s: float = WINDOW_S
    job_lasts_s: float = math.inf
    on_finds: Callable[[list[Find]], None] | None = None
    sent: list[tuple[float, Work]] = field(default_factory=list)
    delay_s: float = 0.0

    async def send(self, work: Work) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        self.sent.append((asyncio.get_running_loop().time(), work))

    def find(self, work: Work, header: bytes | None = None) -> None:
        self.counters.nonces += 1
        self.counters.verified += 1
        assert self.on_finds is not None
        self.on_finds([Find(work, header or work.header, 0, 0, 0, 0, 0, 1.0, 0.0)])


def pattern(chain: FakeChain, watched: Callable[[], bool] = lambda: True) -> PatternSession:
    source = PatternSource(shipped_headers(), Partition(ASICS["BM1370"], 1).owner, seed=1)
    loop = asyncio.get_running_loop()
    return PatternSession("pattern", cast(Chain, chain), source, itertools.count(1), loop.time, watched)


async def run_for(session: PatternSession | SyntheticSession, seconds: float) -> None:
    task = asyncio.create_task(session.run())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_job_a_window_plus_1_ms_and_every_one_of_them_is_due() -> None:
    chain = FakeChain()
    session = pattern(chain)
    await run_for(session, 3.3 - 1e-4)
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(chain.sent)]
    assert gaps == pytest.approx([WINDOW_S + 0.001] * len(gaps), abs=1e-9)
    await session.finish()
    result = session.snapshot()
    assert (result.jobs, result.answers_due, result.answers_found) == (100, 100, 0)
    assert not result.running


async def test_a_job_that_was_late_is_caught_up_without_ever_cutting_a_window_short() -> None:
    chain = FakeChain()
    session = pattern(chain)
    task = asyncio.create_task(session.run())
    for delay_s in (0.0, 0.005, 0.0, 0.0008, 0.0, 0.2, 0.0):
        chain.delay_s = delay_s
        await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait((task,))
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(chain.sent)]
    assert min(gaps) >= WINDOW_S + 0.0005 - 1e-9
    assert min(gaps) < WINDOW_S + 0.001
    assert gaps[-1] >= WINDOW_S + 0.0005 - 1e-9


async def test_a_loop_whose_timers_are_late_still_sends_a_job_each_window_plus_1_ms() -> None:
    chain = FakeChain(delay_s=0.0004)
    await run_for(pattern(chain), 20.0)
    assert len(chain.sent) == int(20.0 / (WINDOW_S + 0.001)) - 1


async def test_a_job_that_was_cut_short_is_not_due_even_when_it_was_answered() -> None:
    chain = FakeChain()
    session = pattern(chain)
    await run_for(session, 0.010)
    chain.find(chain.sent[0][1])
    session.abort()
    result = session.snapshot()
    assert (result.jobs, result.answers_due, result.answers_found) == (1, 0, 0)
    assert result.yield_ratio is None
    assert result.yield_ci95 is None


async def test_known_answers_are_found_once_and_other_finds_are_extra() -> None:
    chain = FakeChain()
    session = pattern(chain)
    await run_for(session, 0.080)
    first, second = chain.sent[0][1], chain.sent[1][1]
    chain.find(first)
    chain.find(first)
    chain.find(second, b"\x02" + second.header[1:])
    await session.finish()
    result = session.snapshot()
    assert (result.answers_due, result.answers_found, result.extra) == (3, 1, 1)
    assert result.verified == 3
    assert sum(result.found_by_core.values()) == 1


async def test_an_answer_may_come_after_the_next_job_went_out() -> None:
    chain = FakeChain()
    session = pattern(chain)
    await run_for(session, 0.040)
    chain.find(chain.sent[0][1])
    await session.finish()
    assert session.snapshot().answers_found == 1


async def test_jobs_on_the_way_while_the_clock_moves_are_not_due() -> None:
    chain = FakeChain()
    session = pattern(chain)
    task = asyncio.create_task(session.run())
    await asyncio.sleep(0.100)
    session.hold()
    await asyncio.sleep(0.100)
    session.resume()
    await asyncio.sleep(0.100)
    task.cancel()
    await asyncio.wait((task,))
    await session.finish()
    result = session.snapshot()
    assert result.answers_due is not None
    assert result.jobs - 5 <= result.answers_due + 3 <= result.jobs


async def test_counts_are_differences_since_the_session_began() -> None:
    chain = FakeChain(counters=Counters(nonces=100, verified=90, hw_errors=5, duplicates=3, stale=2, link_errors=7))
    session = pattern(chain)
    chain.counters.hw_errors += 1
    result = session.snapshot()
    counts = (result.nonces, result.verified, result.hw_errors, result.duplicates, result.stale, result.link_errors)
    assert counts == (0, 0, 1, 0, 0, 0)


async def test_finds_of_an_earlier_session_do_not_count() -> None:
    chain, numbers = FakeChain(), itertools.count(1)
    loop = asyncio.get_running_loop()
    old = Work(next(numbers), bytes(80))
    session = SyntheticSession(cast(Chain, chain), SyntheticSource(1), numbers, loop.time, lambda: True)
    await run_for(session, 1.0)
    chain.find(old)
    assert session.snapshot().hashrate_hs == 0.0
    chain.find(chain.sent[0][1])
    assert session.snapshot().hashrate_hs == pytest.approx(2**32 / 1.0)


async def test_synthetic_work_sends_a_new_header_twice_a_second_and_its_rate_stands_still_when_it_stops() -> None:
    chain = FakeChain()
    loop = asyncio.get_running_loop()
    session = SyntheticSession(cast(Chain, chain), SyntheticSource(1), itertools.count(1), loop.time, lambda: True)
    await run_for(session, 4.9)
    assert len({work.header for _, work in chain.sent}) == 10
    chain.find(chain.sent[0][1])
    await session.finish()
    rate = session.snapshot().hashrate_hs
    await asyncio.sleep(100.0)
    assert session.snapshot().hashrate_hs == rate == pytest.approx(2**32 / 4.9)


@pytest.mark.parametrize(("lasts_s", "gap_s"), [(0.0395, 0.0395 * 0.9), (0.0006, 0.005), (0.0, 0.5)])
async def test_synthetic_work_comes_before_the_chips_have_used_up_the_last(lasts_s: float, gap_s: float) -> None:
    chain = FakeChain(job_lasts_s=lasts_s)
    loop = asyncio.get_running_loop()
    session = SyntheticSession(cast(Chain, chain), SyntheticSource(1), itertools.count(1), loop.time, lambda: True)
    await run_for(session, 2.0)
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(chain.sent)]
    assert gaps == pytest.approx([gap_s] * len(gaps))


@pytest.mark.parametrize("kind", ["pattern", "synthetic"])
async def test_while_nobody_looks_at_the_sensors_nothing_is_sent(kind: str) -> None:
    chain = FakeChain()
    loop = asyncio.get_running_loop()

    def watched() -> bool:
        return not 1.0 <= loop.time() < 3.0

    session: PatternSession | SyntheticSession = pattern(chain, watched)
    if kind == "synthetic":
        source = SyntheticSource(1)
        session = SyntheticSession(cast(Chain, chain), source, itertools.count(1), loop.time, watched)
    await run_for(session, 5.0)
    assert not [at_s for at_s, _ in chain.sent if 1.0 <= at_s < 3.0]
    assert [at_s for at_s, _ in chain.sent if at_s < 1.0]
    assert [at_s for at_s, _ in chain.sent if at_s > 3.0]


async def test_a_chain_that_does_not_hash_is_sent_nothing() -> None:
    chain = FakeChain(window_s=0.0)
    await run_for(pattern(chain), 2.0)
    assert chain.sent == []
