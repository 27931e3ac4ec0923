"""One spell of work: headers go to a chain at a pace, finds come back and are counted.

Pattern work asks a question whose answer is known. A chip needs a whole sweep window for it, so a job that was cut
short, or that ran while the clock was moving, is not due and counts neither way. Synthetic work asks open questions
and counts tickets.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from controller.model import WorkSnapshot
from controller.work.chips import Tally, chip_work
from controller.work.meter import hash_rate, hash_rate_interval
from controller.work.sources import PatternSource, SolvedHeader, SyntheticSource
from controller.work.statistics import wilson_interval
from controller.work.verdicts import remarks
from drivers.asics.chain import Chain, Find, Work

PACE_MARGIN_S: Final = 0.001
"""Between the end of one window and the next job, on average."""
LEAST_MARGIN_S: Final = 0.0007
"""What at least lies between them when a job makes up for the lateness of the one before: timers round up to 1 ms."""
LEAST_JOB_S: Final = 0.020
"""A chain's window may be shorter than the line and two operating systems are punctual. A job may stay: its known
answer comes in its first window."""
ANSWER_GRACE_S: Final = 0.050
"""From the end of the last window until its answer has come down the line."""
SYNTHETIC_JOB_S: Final = 0.5
"""Far below the time in which a chip runs out of versions (131 s for one BM1370 at 525 MHz)."""
_OF_A_JOB: Final = 0.9
"""Where the host rolls the version a job ends with its sweep (39 ms on one BM1397): the next one comes before."""
_LEAST_SYNTHETIC_S: Final = 0.005
_IDLE_S: Final = 0.1
_REMEMBERED_JOBS: Final = 64


class WorkSession(Protocol):
    """What the rig needs of work, whatever its kind."""

    kind: str

    async def run(self) -> None:
        """Feeds the chain until cancelled. Raises what `Chain.send` raises."""
        ...

    async def finish(self) -> None:
        """Called once `run` has been cancelled: lets the last window end, then stops counting."""
        ...

    def abort(self) -> None:
        """Stops counting now."""
        ...

    def hold(self) -> None:
        """The clock, the rail or the window is about to move."""
        ...

    def resume(self) -> None:
        """It has come to rest."""
        ...

    def snapshot(self, *, intervals: bool = True) -> WorkSnapshot: ...


class _Session(ABC):
    """Counting common to all kinds. Counts are differences since the session began."""

    def __init__(
        self,
        kind: str,
        chain: Chain,
        numbers: Iterator[int],
        now: Callable[[], float],
        watched: Callable[[], bool],
    ) -> None:
        self.kind = kind
        self._chain, self._numbers, self._now, self._watched = chain, numbers, now, watched
        self._first = next(numbers)
        self._jobs = 0
        self._tickets = 0
        self._running = True
        self._held = False
        self._began_s = now()
        self._ended_s: float | None = None
        counters = chain.counters
        self._base = (
            counters.nonces,
            counters.verified,
            counters.hw_errors,
            counters.duplicates,
            counters.stale,
            counters.link_errors,
        )
        self._chip_base = [(chip.finds, chip.hw_errors) for chip in chain.chips]
        self._clock_base = [chip.mhz_s(self._began_s) for chip in chain.chips]
        self._final: tuple[int, ...] | None = None
        self._chip_final: list[tuple[int, int]] | None = None
        self._clock_final: list[float] | None = None
        chain.on_finds = self._take

    @abstractmethod
    def _take(self, finds: Sequence[Find]) -> None: ...

    def _counts(self) -> tuple[int, ...]:
        if self._final is not None:
            return self._final
        c = self._chain.counters
        now = (c.nonces, c.verified, c.hw_errors, c.duplicates, c.stale, c.link_errors)
        return tuple(after - before for after, before in zip(now, self._base, strict=True))

    def abort(self) -> None:
        if self._running:
            self._final, self._chip_final = self._counts(), self._chip_counts()
            self._clock_final = self._chip_clocks()
            self._ended_s = self._now()
            self._running = False
            self._chain.on_finds = None

    def hold(self) -> None:
        self._held = True

    def resume(self) -> None:
        self._held = False

    def _snapshot(
        self,
        *,
        due: int | None,
        found: int | None,
        extra: int,
        tally: Tally | None,
        intervals: bool,
        rated: bool,
    ) -> WorkSnapshot:
        nonces, verified, hw_errors, duplicates, stale, link_errors = self._counts()
        elapsed_s = (self._now() if self._ended_s is None else self._ended_s) - self._began_s
        difficulty = self._chain.ticket_difficulty
        known = due is not None and found is not None and due > 0
        due_by_core, found_by_core = tally.by_core() if tally is not None and intervals else ({}, {})
        chips = chip_work(self._chip_counts(), tally, self._chip_clocks()) if intervals else ()
        return WorkSnapshot.model_construct(
            kind=self.kind,
            running=self._running,
            elapsed_s=elapsed_s,
            jobs=self._jobs,
            answers_due=due,
            answers_found=found,
            yield_ratio=found / due if known and due and found is not None else None,
            yield_ci95=wilson_interval(found, due) if intervals and due is not None and found is not None else None,
            nonces=nonces,
            verified=verified,
            extra=extra,
            hw_errors=hw_errors,
            duplicates=duplicates,
            stale=stale,
            link_errors=link_errors,
            hashrate_hs=hash_rate(self._tickets, difficulty, elapsed_s) if rated else None,
            hashrate_ci95_hs=(
                hash_rate_interval(self._tickets, difficulty, elapsed_s) if rated and intervals else None
            ),
            expected_hs=float(self._chain.expected_hs),
            ticket_difficulty=difficulty,
            due_by_core=due_by_core,
            found_by_core=found_by_core,
            chips=chips,
            remarks=remarks(chips),
        )

    def _chip_clocks(self) -> list[float]:
        """The clock of each chip over the time since the session began."""
        if self._clock_final is not None:
            return self._clock_final
        at_s = self._now()
        return [chip.mhz_s(at_s) - before for chip, before in zip(self._chain.chips, self._clock_base, strict=False)]

    def _chip_counts(self) -> list[tuple[int, int]]:
        """Finds and wrong nonces of each chip since the session began."""
        if self._chip_final is not None:
            return self._chip_final
        return [
            (chip.finds - finds, chip.hw_errors - hw_errors)
            for chip, (finds, hw_errors) in zip(self._chain.chips, self._chip_base, strict=False)
        ]


class _Job:
    __slots__ = ("due", "found", "number", "sent_s", "solved", "steady", "window_s")

    def __init__(self, number: int, solved: SolvedHeader, sent_s: float, window_s: float, steady: bool) -> None:
        self.number, self.solved = number, solved
        self.sent_s, self.window_s, self.steady = sent_s, window_s, steady
        self.due = False
        self.found = False


class PatternSession(_Session):
    """Known answers: one solved header a window, and how many of the answers came back."""

    def __init__(
        self,
        kind: str,
        chain: Chain,
        source: PatternSource,
        numbers: Iterator[int],
        now: Callable[[], float],
        watched: Callable[[], bool],
    ) -> None:
        super().__init__(kind, chain, numbers, now, watched)
        self._source = source
        self._ring: list[_Job | None] = [None] * _REMEMBERED_JOBS
        self._current: _Job | None = None
        self._due = self._found = self._extra = 0
        self._tally = Tally()

    async def run(self) -> None:
        chain, now, sleep = self._chain, self._now, asyncio.sleep
        due_s = now()
        while True:
            window_s = float(chain.window_s)
            if window_s <= 0.0 or not self._watched():
                await sleep(_IDLE_S)
                continue
            solved = self._source.draw()
            number = next(self._numbers)
            self._close(now())
            job = _Job(number, solved, now(), window_s, not self._held)
            self._ring[number % _REMEMBERED_JOBS] = self._current = job
            await chain.send(Work(number, solved.header))
            self._jobs += 1
            job.sent_s = now()
            lasts_s = max(window_s, LEAST_JOB_S)
            due_s = max(due_s + lasts_s + PACE_MARGIN_S, job.sent_s + lasts_s + LEAST_MARGIN_S)
            await sleep(due_s - job.sent_s)

    async def finish(self) -> None:
        job = self._current
        if job is not None:
            await asyncio.sleep(max(0.0, job.sent_s + job.window_s + ANSWER_GRACE_S - self._now()))
        self._close(self._now())
        self.abort()

    def hold(self) -> None:
        super().hold()
        if self._current is not None:
            self._current.steady = False

    def _close(self, at_s: float) -> None:
        """The current job ends now. It was due if its whole window has passed at rest."""
        job = self._current
        self._current = None
        if job is None or not job.steady or at_s < job.sent_s + job.window_s:
            return
        job.due = True
        self._due += 1
        self._tally.due(job.solved.chip, job.solved.core)
        if job.found:
            self._count_found(job.solved)

    def _count_found(self, solved: SolvedHeader) -> None:
        self._found += 1
        self._tally.found(solved.chip, solved.core)

    def _take(self, finds: Sequence[Find]) -> None:
        for find in finds:
            number = find.work.number
            if number <= self._first:
                continue
            job = self._ring[number % _REMEMBERED_JOBS]
            if job is not None and job.number == number and find.header == job.solved.header:
                if not job.found:
                    job.found = True
                    if job.due:
                        self._count_found(job.solved)
            else:
                self._extra += 1

    def snapshot(self, *, intervals: bool = True) -> WorkSnapshot:
        return self._snapshot(
            due=self._due,
            found=self._found,
            extra=self._extra,
            tally=self._tally,
            intervals=intervals,
            rated=False,
        )


class SyntheticSession(_Session):
    """Open questions: a new random header twice a second, or before the last one is used up; a hash rate from the
    tickets."""

    def __init__(
        self,
        chain: Chain,
        source: SyntheticSource,
        numbers: Iterator[int],
        now: Callable[[], float],
        watched: Callable[[], bool],
    ) -> None:
        super().__init__("synthetic", chain, numbers, now, watched)
        self._source = source

    async def run(self) -> None:
        chain, source, numbers = self._chain, self._source, self._numbers
        due_s = self._now()
        while True:
            if not self._watched():
                await asyncio.sleep(_IDLE_S)
                continue
            await chain.send(Work(next(numbers), source.draw()))
            self._jobs += 1
            due_s = max(due_s + self._job_s(), self._now())
            await asyncio.sleep(due_s - self._now())

    def _job_s(self) -> float:
        lasts_s = _OF_A_JOB * self._chain.job_lasts_s
        return max(_LEAST_SYNTHETIC_S, min(lasts_s, SYNTHETIC_JOB_S)) if lasts_s else SYNTHETIC_JOB_S

    async def finish(self) -> None:
        self.abort()

    def _take(self, finds: Sequence[Find]) -> None:
        first = self._first
        self._tickets += sum(1 for find in finds if find.work.number > first)

    def snapshot(self, *, intervals: bool = True) -> WorkSnapshot:
        return self._snapshot(due=None, found=None, extra=0, tally=None, intervals=intervals, rated=True)
