"""How much a chip hashes, from the tickets it found. Pure.

A ticket is a verified find at the ticket difficulty or above; each stands for difficulty x 2^32 hashes, whatever
difficulty the find happened to reach (the sum of achieved difficulties has no finite variance). Time runs from the
moment work starts, and goes on while a chip is silent, so a dead chip fades by itself.
"""

from __future__ import annotations

from controller.work.statistics import poisson_interval
from drivers.units import HashesPerSecond

HASHES_PER_DIFFICULTY = 2.0**32


def hash_rate(tickets: int, ticket_difficulty: int, elapsed_s: float) -> HashesPerSecond | None:
    """N x D x 2^32 / t, in hashes per second. None before any time has passed."""
    if elapsed_s <= 0.0:
        return None
    return HashesPerSecond(tickets * ticket_difficulty * HASHES_PER_DIFFICULTY / elapsed_s)


def hash_rate_interval(
    tickets: int, ticket_difficulty: int, elapsed_s: float, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Exact Poisson interval of `hash_rate`, in hashes per second."""
    if elapsed_s <= 0.0:
        return None
    low, high = poisson_interval(tickets, confidence)
    scale = ticket_difficulty * HASHES_PER_DIFFICULTY / elapsed_s
    return low * scale, high * scale


def smallest_ticket_difficulty(expected_hs: float, baud: int, reply_bytes: int = 11, load: float = 0.5) -> int:
    """The smallest power of two at which the replies of a chain fill less than `load` of its line (8N1)."""
    tickets_per_s = load * baud / (reply_bytes * 10)
    difficulty = 1
    while expected_hs / (HASHES_PER_DIFFICULTY * difficulty) >= tickets_per_s:
        difficulty *= 2
    return difficulty
