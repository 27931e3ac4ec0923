"""What clock each chip of a chain was last told, and by which steps it gets to another. Pure.

A chip has a PLL of its own: one write to all gives them one clock, a write to its address gives a chip one of its own.
cgminer driver-gekko.c does that to a BM1397, 70 and 08 to the address as otherwise to all; for the other kinds it
follows from the frames, and is unverified on silicon. Nobody moves any of them by more than one slew step at a time
(ESP-Miner frequency_transition_bmXX.c).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from drivers.asics import pll
from drivers.asics.kind import AsicKind
from drivers.errors import LimitError, UsageError
from drivers.units import Megahertz

SLEW_STEP_MHZ: Final = 6.25
_NEAR_MHZ: Final = 1e-3
_SAME_MHZ: Final = 1e-6


Moves = list[tuple[int | None, float]]
"""Steps of one round, MHz by chip; None: all."""


@dataclass(frozen=True, slots=True)
class Told:
    """A clock that was asked for, and what the PLL makes of it."""

    asked_mhz: float
    clock: pll.PllWord


class Clocks:
    """Of a chain of `chips` chips."""

    def __init__(self, kind: AsicKind, chips: int) -> None:
        self._kind = kind
        self.divider = 1
        """PLLDIV0 + 1, by which the clock of the PLL word is divided once more."""
        self._all: Told | None = None
        self._told: list[Told | None] = [None] * chips

    @property
    def common(self) -> pll.PllWord | None:
        """Of the chips that have none of their own; None: not known."""
        return None if self._all is None else self._all.clock

    @property
    def own(self) -> Mapping[int, Megahertz]:
        """Of the chips that have one of their own."""
        told = enumerate(self._told)
        return {chip: each.clock.actual_mhz for chip, each in told if each is not None and each != self._all}

    def of(self, chip: int) -> pll.PllWord | None:
        told = self._told[chip] if 0 <= chip < len(self._told) else None
        return None if told is None else told.clock

    def present(self) -> set[pll.PllWord]:
        """Every clock that some chip has; none: not known."""
        return {told.clock for told in set(self._told) if told is not None}

    @property
    def sum_mhz(self) -> float:
        """Of all chips together."""
        return sum(told.clock.actual_mhz for told in self._told if told is not None)

    # --- steps --------------------------------------------------------------------------------------------------------

    def step(self, frequency_mhz: float, chip: int | None = None) -> Told:
        """The next clock of one chip, or of all. Raises `LimitError` outside the absolute limits of the kind,
        `UsageError` where it is too far from the present clock of any chip that it moves, or that is not known."""
        low, high = self._kind.clock_limits_mhz
        if not low <= frequency_mhz <= high:
            raise LimitError("frequency_mhz", frequency_mhz, f"{low:g} to {high:g} MHz")
        if chip is not None and not 0 <= chip < len(self._told):
            raise UsageError("chip", chip, f"0 to {len(self._told) - 1}")
        if chip is not None and self.divider != 1:
            raise UsageError("chip", chip, "none before a first clock was written to all")
        moved = self._told if chip is None else [self._told[chip]]
        for which, told in enumerate(moved, 0 if chip is None else chip):
            if told is None:
                raise UsageError("frequency_mhz", frequency_mhz, "nothing before the chips are initialised")
            away_mhz = min(abs(frequency_mhz - told.asked_mhz), abs(frequency_mhz - told.clock.actual_mhz))
            if away_mhz > SLEW_STEP_MHZ + _NEAR_MHZ:
                whose = f" of chip {which}" if chip is not None or self.own else ""
                near = f"at most {SLEW_STEP_MHZ} MHz from the present {told.asked_mhz:g} MHz{whose}"
                raise UsageError("frequency_mhz", frequency_mhz, near)
        return Told(frequency_mhz, pll.nearest(frequency_mhz, self._kind.pll_rule, self._kind.pll_shape))

    def took(self, told: Told, chip: int | None = None) -> None:
        """It was written."""
        if chip is not None:
            self._told[chip] = told
            return
        self._all, self.divider = told, 1
        self._told = [told] * len(self._told)

    def forget(self) -> None:
        self._all = None
        self._told = [None] * len(self._told)

    def moves(self, frequency_mhz: float, own: Mapping[int, float]) -> Moves:
        """The next round on the way to one clock and to clocks of their own: by chip, None being all. No chip leaves
        the span between its clock and where it goes. Empty: all are there."""
        nexts: Moves = []
        for chip, told in enumerate(self._told):
            goal_mhz = own.get(chip, frequency_mhz)
            if told is None:
                raise UsageError("frequency_mhz", goal_mhz, "nothing before the chips are initialised")
            if abs(goal_mhz - told.asked_mhz) > _NEAR_MHZ:
                nexts.append((chip, _towards(told.asked_mhz, goal_mhz)))
        alike = len(nexts) == len(self._told) and len({mhz for _, mhz in nexts}) == len(set(self._told)) == 1
        return [(None, nexts[0][1])] if alike else nexts

    def round(self, frequency_mhz: float, own: Mapping[int, float]) -> Moves:
        """Which writes take all chips to one clock, and those of `own` to theirs, in one slew step each: one write to
        all where that is one clock for all. Raises as `step`, and then none was made."""
        if all(abs(mhz - frequency_mhz) <= _NEAR_MHZ for mhz in own.values()):
            self.step(frequency_mhz)
            return [(None, frequency_mhz)]
        moves: Moves = []
        for chip, told in enumerate(self._told):
            goal_mhz = own.get(chip, frequency_mhz)
            self.step(goal_mhz, chip)
            if told is None or abs(goal_mhz - told.asked_mhz) > _NEAR_MHZ:
                moves.append((chip, goal_mhz))
        return moves

    def settle(self, frequency_mhz: float) -> None:
        """After such rounds: what the chips have in common, if any of them has it."""
        near = (told for told in self._told if told is not None and abs(told.asked_mhz - frequency_mhz) < _NEAR_MHZ)
        self._all = next(near, self._all)

    # --- read back ----------------------------------------------------------------------------------------------------

    def is_clock(self, word: int, clock: pll.PllWord | None) -> bool:
        """Compared as clocks: many words make the same, and the one after reset is none of ours."""
        found_mhz = self.mhz(word)
        return found_mhz is not None and clock is not None and abs(found_mhz - clock.actual_mhz) < _SAME_MHZ

    def mhz(self, word: int) -> Megahertz | None:
        """Of a word that was read; None when it makes no sense."""
        try:
            return pll.clock_mhz(word, self._kind.pll_shape, post_divider=self.divider)
        except UsageError:
            return None


def _towards(from_mhz: float, to_mhz: float) -> float:
    """One slew step, on the grid of the step as a ramp goes, or the goal itself."""
    if to_mhz > from_mhz:
        return min(to_mhz, (math.floor(from_mhz / SLEW_STEP_MHZ + _NEAR_MHZ) + 1) * SLEW_STEP_MHZ)
    return max(to_mhz, (math.ceil(from_mhz / SLEW_STEP_MHZ - _NEAR_MHZ) - 1) * SLEW_STEP_MHZ)
