"""What a board was told, by a book-keeping of its own: the guard's is not believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.safety.caps import Stack


@dataclass
class Told:
    """What the board was told, by our own count."""

    fan: float | None = None
    locked: bool = False
    core_v: float | None = None
    rail: bool = False
    risen: bool = True
    reset_released: bool = False
    up: bool = False
    clock: float | None = None
    caps: Mapping[int, float] = field(default_factory=dict)
    window: float | None = None
    window_caps: Mapping[int, float] = field(default_factory=dict)

    def of(self, chip: int) -> float | None:
        return None if self.clock is None else lower(self.clock, self.caps, chip)


def lower(clock: float, caps: Mapping[int, float], chip: int) -> float:
    """The clock of a chip: the board's, or its cap."""
    cap = caps.get(chip, math.inf)
    return cap if cap < clock else clock


def highest_v(stack: Stack, core_v: float, clocks_mhz: list[float]) -> float:
    """One chip in each domain, one current through all: volts go with one over the clock."""
    if stack.domains == 1:
        return core_v
    return core_v * stack.domains / min(clocks_mhz) / sum(1.0 / mhz for mhz in clocks_mhz)
