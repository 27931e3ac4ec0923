"""From a wish for work to a session: which headers, at which ticket difficulty, over which chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from controller.model import StartWork
from controller.work.meter import smallest_ticket_difficulty
from controller.work.session import PatternSession, SyntheticSession, WorkSession
from controller.work.sources import PatternSource, SyntheticSource, load_headers, shipped_headers
from drivers.asics.chain import Chain
from drivers.asics.versions import ROLLED_VERSION_BITS, check_mask
from drivers.errors import UsageError

DEFAULT_SEED: Final = 1
PATTERN_DIFFICULTY: Final = 1
"""Known answers are worth difficulty 1 and no more is promised of them: a higher ticket mask would hide some."""


@dataclass(frozen=True, slots=True)
class WorkPlan:
    """Work that can begin. Headers are read and checked already."""

    kind: str
    ticket_difficulty: int
    present_difficulty: int
    source: PatternSource | SyntheticSource
    version_mask: int = ROLLED_VERSION_BITS

    def begin(
        self, chain: Chain, numbers: Iterator[int], now: Callable[[], float], watched: Callable[[], bool]
    ) -> WorkSession:
        """`watched`: whether somebody looks at the sensors. While it is false the session sends nothing."""
        chain.version_mask = self.version_mask
        if isinstance(self.source, PatternSource):
            return PatternSession(self.kind, chain, self.source, numbers, now, watched)
        return SyntheticSession(chain, self.source, numbers, now, watched)


def plan_work(command: StartWork, chain: Chain) -> WorkPlan:
    """Raises `UsageError` for headers that will not do, a ticket difficulty that would hide known answers, or a version
    mask under which this kind of chip cannot be fed."""
    mask = ROLLED_VERSION_BITS if command.version_mask is None else command.version_mask
    check_mask(chain.kind, mask)
    seed = DEFAULT_SEED if command.seed is None else command.seed
    present = chain.ticket_difficulty
    if command.work == "synthetic":
        baud = chain.kind.fast_baud if chain.fast else chain.kind.reset_baud
        smallest = smallest_ticket_difficulty(chain.expected_hs, baud)
        return WorkPlan("synthetic", command.ticket_difficulty or smallest, present, SyntheticSource(seed), mask)
    if command.ticket_difficulty not in (None, PATTERN_DIFFICULTY):
        raise UsageError("ticket_difficulty", command.ticket_difficulty, f"{PATTERN_DIFFICULTY} for known answers")
    if command.work == "headers":
        if command.headers is None:
            raise UsageError("headers", None, "the path of a file of 80-byte records")
        headers = load_headers(command.headers)
    else:
        headers = shipped_headers()
    source = PatternSource(headers, chain.partition.owner, seed)
    return WorkPlan(command.work, PATTERN_DIFFICULTY, present, source, mask)
