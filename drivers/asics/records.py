"""What goes into a chain of chips and what comes out: work, finds, the counts of both, and what a reply answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from drivers.codecs import header as block_header
from drivers.codecs.bm13xx import HostEvent, NonceReply, RegisterReply
from drivers.units import Celsius, Megahertz

CHIP_ID: Final = 0x00
"""The register in which a chip says what it is: its id in the upper half."""
SEEN_PER_JOB: Final = 65_536
"""Nonces remembered for the duplicate filter, per job, twice at most."""


class Work(NamedTuple):
    """What the chips are to hash. `header`: 76 bytes or more in header order; version bits 28..13 clear where the chip
    rolls them."""

    number: int
    header: bytes


class Find(NamedTuple):
    """A nonce whose hash was recomputed here and passes. `header` is the whole of it, rolled version and nonce in."""

    work: Work
    header: bytes
    nonce: int
    version_field: int
    """The bits that may roll, as they are in `header`, before their shift by 13: what a pool is told."""
    chip: int
    core: int
    sub_core: int
    difficulty: float
    at_s: float


@dataclass(slots=True)
class Chip:
    """One chip of the chain, and what it has done since the board was opened."""

    index: int
    address: int
    chip_id: int
    finds: int = 0
    hw_errors: int = 0
    hash_count: int | None = None
    """Its own count, in units of 2**32 hashes, as last read since the reset."""
    die_c: Celsius | None = None
    """By its own thermometer, as last read since the reset, and when that was; None: it has none, or nothing yet."""
    die_at_s: float = -math.inf
    frequency_mhz: Megahertz | None = None
    """The clock that it was last told, as the PLL makes it. None: in reset, or not known."""
    read_mhz: Megahertz | None = None
    """The clock that its own PLL word gave when it was last read back since the reset, and when that was; None: not
    yet, or the word made no sense."""
    read_at_s: float = -math.inf
    _mhz_s: float = 0.0
    _clocked_s: float = 0.0

    def clocked(self, frequency_mhz: Megahertz | None, at_s: float) -> None:
        """From now on at this clock."""
        self._mhz_s, self._clocked_s = self.mhz_s(at_s), at_s
        self.frequency_mhz = frequency_mhz

    def read_back(self, frequency_mhz: Megahertz | None, at_s: float) -> None:
        """What its PLL word said."""
        self.read_mhz, self.read_at_s = frequency_mhz, at_s

    def mhz_s(self, at_s: float) -> float:
        """Its clock over time since it was found: what it could hash, whatever the clock was meanwhile."""
        return self._mhz_s + (at_s - self._clocked_s) * (self.frequency_mhz or 0.0)


@dataclass(slots=True)
class Counters:
    """Counts since the chain was made. `verified` are finds; each nonce is in exactly one of verified, hw_errors,
    duplicates, stale and below_ticket. `link_errors` are pieces of noise on the line."""

    jobs: int = 0
    nonces: int = 0
    verified: int = 0
    hw_errors: int = 0
    duplicates: int = 0
    stale: int = 0
    link_errors: int = 0
    below_ticket: int = 0


class Sent:
    """A job that was sent: what to rebuild its headers from, and what it has found already."""

    __slots__ = ("before", "rolled", "seen", "tail", "version", "work")

    def __init__(self, work: Work, rolled: Sequence[tuple[bytes, int]] = ()) -> None:
        """`rolled`: of a job of midstates, version in header order and field by the index that a nonce names."""
        self.work, self.rolled = work, rolled or ((work.header[:4], 0),)
        self.version = int.from_bytes(work.header[:4], "little")
        self.tail = work.header[4 : block_header.NONCE_AT]
        self.seen: set[bytes] = set()
        """Version and nonce, as in the header: bytes, which the garbage collector does not look at."""
        self.before: set[bytes] = set()

    def forget_old(self) -> None:
        """Keep the filter bounded: a job that stays for hours starts a new set when this one is full."""
        if len(self.seen) >= SEEN_PER_JOB:
            self.before, self.seen = self.seen, set()

    def version_of(self, reply: NonceReply) -> tuple[bytes, int]:
        """Version in header order and field that a nonce was found with, were it of this job."""
        if reply.version_field is None:
            return self.rolled[reply.result % len(self.rolled)]
        return (self.version | reply.version_field << 13).to_bytes(4, "little"), reply.version_field


def of_register(register: int, address: int | None = None) -> Callable[[HostEvent], RegisterReply | None]:
    """Takes the replies from this register, of one address or of all: for `Link.ask` and `Link.collect`."""

    def pick(event: HostEvent) -> RegisterReply | None:
        if not isinstance(event, RegisterReply) or event.register != register:
            return None
        return event if address is None or event.address == address else None

    return pick
