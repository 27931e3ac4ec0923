"""What a spell of hashing on a bare line leaves on disk: the journal of a rig, with the events that such a line has.

Its header names no board: a `BoardInfo` has an envelope, and nobody measures what a line of chips without a bridge may
be asked for. The first event says what a person has accepted instead, the last whether the chips were read back as
stopped; between them steps, counts once a second, and what ended it. Without a file nothing is written, and all the
same told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from controller.clock import Clock
from controller.feed import Feed
from controller.journal import Journal
from controller.model import (
    BareHashAccepted,
    BoardLost,
    BoardSnapshot,
    Channel,
    ChipsStopped,
    FaultLatched,
    FaultRecord,
    GuardState,
    Note,
    OperatingPoint,
    PointStatus,
    Protection,
    Quality,
    Reading,
    Snapshot,
    StepApplied,
    WorkSnapshot,
    WorkStarted,
    WorkStopped,
)
from controller.poller import chain_snapshot
from drivers.asics.chain import Chain
from drivers.units import Megahertz

COUNTS_EVERY_S: Final = 1.0
_NEAR_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the person said who starts it, and what is known of the line. `port` None: emulated."""

    supply: str
    port: str | None
    board: str | None
    seconds: float


class BareJournal:
    """One spell. Nothing here raises for a disk: a journal that cannot go on ends with a note."""

    def __init__(self, chain: Chain, clock: Clock, journal: Journal | None = None) -> None:
        self._chain, self._clock, self._journal = chain, clock, journal
        self._emulated = False
        self._feed = Feed(clock, journal)
        self._asked_mhz: float | None = None
        self._clock_read: Reading | None = None
        self._counted_s = float("-inf")
        self._latched: FaultRecord | None = None

    @property
    def broken(self) -> str | None:
        """Why the file ends before the spell did; None: it has all, or there is none."""
        return None if self._journal is None else self._journal.broken

    def begun(
        self,
        accepted: Accepted,
        work: str,
        frequency_mhz: Megahertz,
        own_mhz: Mapping[int, Megahertz] | None = None,
        *,
        watched: bool,
    ) -> None:
        chain = self._chain
        self._asked_mhz, self._emulated = float(frequency_mhz), accepted.port is None
        self._feed.add(
            BareHashAccepted,
            chain.name,
            supply=accepted.supply,
            port=accepted.port,
            board_kind=accepted.board,
            chip=chain.kind.name,
            chips=chain.expected_chips,
            dilution=chain.dilution,
            work=work,
            frequency_mhz=float(frequency_mhz),
            own_mhz={chip: float(mhz) for chip, mhz in (own_mhz or {}).items()},
            seconds=float(accepted.seconds),
            watched=watched,
        )

    def step(self, step: str, detail: str) -> None:
        self._feed.add(StepApplied, self._chain.name, step=step, detail=detail)

    def work_started(self, work: str) -> None:
        difficulty = self._chain.ticket_difficulty
        self._feed.add(WorkStarted, self._chain.name, work=work, ticket_difficulty=difficulty)

    def clock_read(self, clock_mhz: float | None) -> None:
        """What the chip that was looked at said of its clock; None: nonsense."""
        at_s = asyncio.get_running_loop().time()
        quality = Quality.INVALID if clock_mhz is None else Quality.GOOD
        evidence = "a PLL word that makes no clock" if clock_mhz is None else None
        self._clock_read = Reading(value=clock_mhz, at_s=at_s, quality=quality, evidence=evidence)

    def look(self, work: Callable[[], WorkSnapshot | None]) -> None:
        """The counts, if they are due and somebody keeps them."""
        at_s = asyncio.get_running_loop().time()
        if self._feed.wanted and at_s - self._counted_s >= COUNTS_EVERY_S - _NEAR_S:
            self.counts(work())

    def counts(self, work: WorkSnapshot | None) -> None:
        chain, at_s = self._chain, asyncio.get_running_loop().time()
        self._counted_s = at_s
        at_utc = self._clock.utc(at_s)
        read = self._clock_read
        asked, set_mhz = OperatingPoint(frequency_mhz=self._asked_mhz), chain.frequency_mhz
        board = BoardSnapshot(
            board=chain.name,
            at_s=at_s,
            at_utc=at_utc,
            state=GuardState.UNPROTECTED,  # nobody here can cut its supply
            protections=frozenset({Protection.SOFTWARE_TRIPS}),
            channels={} if read is None else {Channel.FREQUENCY_MHZ: read},
            point=PointStatus(
                requested=asked,
                granted=OperatingPoint(frequency_mhz=None if set_mhz is None else float(set_mhz)),
                achieved=OperatingPoint(frequency_mhz=None if read is None else read.value),
            ),
            chains=(chain_snapshot(chain),),
            work=work,
            latched=self._latched,
            emulated=self._emulated,
            dilution=chain.dilution,
            seed=None,
        )
        self._feed.publish(Snapshot(at_s=at_s, at_utc=at_utc, boards=(board,)))

    def tripped(self, fault: FaultRecord) -> None:
        self._latched = fault
        self._feed.add(
            FaultLatched, self._chain.name, cause=fault.cause, sensor=None, detail=fault.detail, snapshot=None
        )

    def port_lost(self, detail: str) -> None:
        self._feed.add(BoardLost, self._chain.name, port="data", detail=detail)

    def note(self, text: str, level: Literal["info", "warn", "error"] = "info") -> None:
        self._feed.add(Note, self._chain.name, level=level, text=text)

    def work_stopped(self, result: WorkSnapshot) -> None:
        self._feed.add(WorkStopped, self._chain.name, result=result)

    def stopped(self, *, confirmed: bool, by: str, stop_s: float, detail: str) -> None:
        """The last word; then the file is closed."""
        self._feed.add(ChipsStopped, self._chain.name, confirmed=confirmed, by=by, stop_s=stop_s, detail=detail)
        self._feed.close()
