"""What goes into a chain of chips and what comes out: work, finds, and the counts of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Work(NamedTuple):
    """What a chip is to hash. `header`: 76 bytes or more in header order, version bits 28..13 clear."""

    number: int
    header: bytes


class Find(NamedTuple):
    """A nonce whose hash was recomputed here and passes. `header` is the whole of it, rolled version and nonce in."""

    work: Work
    header: bytes
    nonce: int
    version_field: int
    """The rolled bits before their shift by 13."""
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
