"""Looks at one board, five times a second: sweep, judge of plausibility, snapshot. Moves nothing."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from controller.clock import Clock
from controller.model import (
    BoardSnapshot,
    ChainSnapshot,
    ChipSnapshot,
    OperatingPoint,
    PendingPoint,
    PointStatus,
    Reading,
    RetryStatus,
    WorkSnapshot,
    good_value,
)
from controller.safety.guard import Guard
from controller.safety.plausibility import Watchkeeper
from drivers.asics.chain import Chain
from drivers.boards.board import Attached, Board, Channel, Protection

PERIOD_S: Final = 0.2
SWEEP_LIMIT_S: Final = 1.5
"""A sweep is bounded to 0.6 s by the board; one that takes this long is stuck."""
WATCHED_S: Final = 0.9
"""Less than the sentinel's limit of 1.0 s."""
_REMEMBERED_SWEEPS: Final = 3000
_NONE: Final[frozenset[Protection]] = frozenset()
_NO_POINT: Final = PointStatus()


class Poller:
    """The newest readings of one board, and snapshots made of them."""

    def __init__(self, board: Board, attached: Attached, guard: Guard, clock: Clock) -> None:
        self._board, self._attached, self._guard, self._clock = board, attached, guard, clock
        self._watchkeeper = Watchkeeper(guard.envelope, board.kind.plausibility)
        self.channels: Mapping[Channel, Reading] = {}
        self.work: Callable[[bool], WorkSnapshot | None] = lambda intervals: None
        self.protections: Callable[[], frozenset[Protection]] = board.protections
        self.pending: Callable[[], PendingPoint | None] = lambda: None
        self.retry: Callable[[], RetryStatus | None] = lambda: None
        self.lateness_s: deque[float] = deque(maxlen=_REMEMBERED_SWEEPS)
        """How late each of the last sweeps began."""
        self.sweeps = 0
        self._swept_s = float("-inf")
        self._working = False

    def watched(self) -> bool:
        """The last whole sweep began so recently that nobody can have fenced us off. A process that wakes from a freeze
        finds this false before it hears anything else, even if it froze in a sweep, and must not feed the chips."""
        return asyncio.get_running_loop().time() - self._swept_s < WATCHED_S

    @property
    def vr_most_c(self) -> float | None:
        """How warm the regulator can be, by everything but its own thermometer; None: nothing bounds it."""
        return self._watchkeeper.vr_most_c

    async def sweep(self) -> None:
        """Reads every sensor once. Raises what `Board.read` raises, or `TimeoutError` when it is stuck."""
        async with asyncio.timeout(SWEEP_LIMIT_S):
            raw = await self._board.read()
        self.channels = self._watchkeeper.take(raw, self._guard.commanded, working=self._working)
        self.sweeps += 1
        self._swept_s = raw.at_s

    def knows(self, channels: Iterable[Channel]) -> bool:
        """Each of them has had a good sample."""
        return all(good_value(self.channels.get(channel)) is not None for channel in channels)

    def snapshot(self, *, full: bool) -> BoardSnapshot:
        """The board as it is known now. Without `full` the intervals and per-core counts of the work are left out."""
        at_s = asyncio.get_running_loop().time()
        guard, attached, channels = self._guard, self._attached, self.channels
        protections = self.protections()
        return BoardSnapshot.model_construct(
            board=attached.name,
            at_s=at_s,
            at_utc=self._clock.utc(at_s),
            state=guard.state,
            protections=protections,
            channels=channels,
            point=PointStatus.model_construct(
                requested=guard.requested,
                granted=guard.granted,
                achieved=OperatingPoint.model_construct(
                    frequency_mhz=good_value(channels.get(Channel.FREQUENCY_MHZ)),
                    core_v=good_value(channels.get(Channel.CORE_V)),
                ),
            ),
            chains=tuple(chain_snapshot(chain) for chain in self._board.chains),
            work=self.work(full),
            caps_mhz=guard.caps.wanted,
            latched=guard.fault,
            pending=self.pending(),
            limited=guard.limited,
            limits=guard.envelopes.limits(protections),
            retry=self.retry(),
            supply=guard.supply.status(),
            fan=guard.fan.status(),
            emulated=attached.emulated,
            dilution=attached.dilution,
            seed=attached.seed,
        )

    def glance(self) -> BoardSnapshot:
        """What the trips look at and no more: channels and bare counts of the work, by chip where there are several.
        Nobody else is shown this."""
        at_s = asyncio.get_running_loop().time()
        attached, work = self._attached, self.work(False)
        self._working = work is not None and work.running
        return BoardSnapshot.model_construct(
            board=attached.name,
            at_s=at_s,
            at_utc=self._clock.utc(at_s),
            state=self._guard.state,
            protections=_NONE,
            channels=self.channels,
            point=_NO_POINT,
            chains=tuple(
                chain_snapshot(chain)
                for chain in self._board.chains
                if chain.expected_chips > 1 or chain.kind.thermometer is not None
            ),
            work=work,
            latched=self._guard.fault,
            emulated=attached.emulated,
            dilution=attached.dilution,
            seed=attached.seed,
        )

    async def pace(self, due_s: float) -> float:
        """Waits for the next absolute deadline after `due_s` and returns it. Deadlines that were missed are skipped."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        due_s += PERIOD_S
        if now_s > due_s:
            due_s += PERIOD_S * int((now_s - due_s) / PERIOD_S)
            self.lateness_s.append(now_s - due_s)
            await asyncio.sleep(0)
            return due_s
        await asyncio.sleep(due_s - now_s)
        self.lateness_s.append(max(0.0, loop.time() - due_s))
        return due_s


def chain_snapshot(chain: Chain) -> ChainSnapshot:
    """What is known of a chain now."""
    counters = chain.counters
    clock = chain.frequency_mhz
    return ChainSnapshot.model_construct(
        chip=chain.kind.name,
        chips=tuple(
            ChipSnapshot.model_construct(
                index=chip.index,
                address=chip.address,
                chip_id=chip.chip_id,
                finds=chip.finds,
                hw_errors=chip.hw_errors,
                die_c=chip.die_c,
                die_at_s=chip.die_at_s if chip.die_c is not None else None,
                frequency_mhz=None if chip.frequency_mhz is None else float(chip.frequency_mhz),
                read_mhz=chip.read_mhz,
                read_at_s=chip.read_at_s if math.isfinite(chip.read_at_s) else None,
            )
            for chip in chain.chips
        ),
        expected_chips=chain.expected_chips,
        frequency_mhz=None if clock is None else float(clock),
        expected_hs=float(chain.expected_hs),
        ticket_difficulty=chain.ticket_difficulty,
        jobs=counters.jobs,
        nonces=counters.nonces,
        verified=counters.verified,
        hw_errors=counters.hw_errors,
        duplicates=counters.duplicates,
        stale=counters.stale,
        link_errors=counters.link_errors,
        chip_hash_count=chain.hash_count,
    )
