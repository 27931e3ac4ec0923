"""What carries the bytes of an emulated device to a host: memory in virtual time, or a pseudo-terminal."""

from __future__ import annotations

import random
from typing import Final

TOLERANCE: Final = 0.05
"""Rates that differ by more than this do not understand each other. Hosts run 1,000,000 against 1,041,667."""


def same_rate(one: int, other: int) -> bool:
    """Whether a receiver at one rate understands a sender at the other. 0 stands for a line without a rate."""
    return one == 0 or other == 0 or abs(one - other) <= TOLERANCE * max(one, other)


def noise(rng: random.Random, count: int, sent_baud: int, heard_baud: int) -> bytes:
    """What a receiver makes of `count` bytes that were sent at another rate: other bytes, in another number."""
    return rng.randbytes(max(1, min(4 * count, round(count * heard_baud / sent_baud))))
