"""Chips that run slower than their board: what may be asked of one, and by which steps it gets there. Pure.

The clock of a board is that of its fastest chip. A chip with a cap gets the lower of both, so that whatever lowers the
board's clock raises no chip, and whatever raises it passes no cap. One chip at least has none.

Chips in series on one rail have one current, and that goes with volts times clock (`STACK`): a slower one takes more of
the rail's volts than its share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.model import CapChip
from controller.safety.commanded import Commanded, mean_mhz
from controller.safety.ordering import slew
from drivers.boards.board import Envelope, Frequency, Step, SweepWindow
from drivers.errors import Refused, UsageError
from drivers.units import Megahertz

NEAR: Final = 1e-6
Caps = Mapping[int, Megahertz]


@dataclass(frozen=True, slots=True)
class Stack:
    """How the chips of a board stand on its rail: `domains` in series, with as many chips in parallel in each. Which
    chip is in which is not known: the slowest are taken to be together."""

    chips: int = 1
    domains: int = 1

    def highest_v(self, core_v: float, frequency_mhz: float, caps_mhz: Mapping[int, float]) -> float:
        """What the slowest domain gets where each would get `core_v`. One current through all of them, in each volts
        times clocks: the leak of a chip, which takes volts off it, is left out. Reckoned, and unverified on silicon."""
        clocks = sorted(min(frequency_mhz, caps_mhz.get(chip, frequency_mhz)) for chip in range(self.chips))
        each = self.chips // self.domains
        slow = [1.0 / sum(clocks[at * each : (at + 1) * each]) for at in range(self.domains)]
        return core_v * self.domains * max(slow) / sum(slow)


class ChipCaps:
    """The caps that somebody wants for a board, over its power-downs too."""

    def __init__(self, envelope: Envelope, stack: Stack) -> None:
        self._envelope, self.stack = envelope, stack
        self.wanted: Caps = {}

    def after(self, command: CapChip) -> dict[int, Megahertz]:
        """As `wanted`, if this were done. Raises `UsageError` for a chip that there is not, `Refused` where no chip
        would be left without a cap."""
        chips = self.stack.chips
        if command.chip >= chips:
            raise UsageError("chip", command.chip, f"0 to {chips - 1}" if chips > 1 else "0, the only one")
        caps = {chip: cap for chip, cap in self.wanted.items() if chip != command.chip}
        if command.frequency_mhz is None:
            return caps
        if len(caps) + 1 >= chips:
            only = "the only chip" if chips == 1 else f"chip {command.chip}, the last one without a cap,"
            raise Refused("cap", f"{only} runs at the board's clock: lower that (frequency_mhz)")
        return {**caps, command.chip: Megahertz(command.frequency_mhz)}

    def mean_mhz(self, frequency_mhz: float) -> float:
        """Of all chips, with the board at this clock and the caps as they are wanted."""
        return mean_mhz(frequency_mhz, self.wanted, self.stack.chips)

    def even(self, core_v: float | None, frequency_mhz: float | None, caps_mhz: Mapping[int, float]) -> None:
        """Raises `Refused` where a slow chip would get more volts than a chip of this board may ever have."""
        if core_v is None or frequency_mhz is None or self.stack.domains == 1 or not caps_mhz:
            return
        highest_v, hard_v = self.stack.highest_v(core_v, frequency_mhz, caps_mhz), self._envelope.core_v_hard
        if highest_v > hard_v + NEAR:
            chip = min(caps_mhz, key=lambda each: caps_mhz[each])
            raise Refused(
                "stack",
                f"chip {chip} at {caps_mhz[chip]:g} MHz, the others at {frequency_mhz:g} MHz: of {core_v:g} V for each "
                f"of {self.stack.domains} in series it would take {highest_v:.3f} V; the hard limit is {hard_v:g} V",
            )


def steps(envelope: Envelope, commanded: Commanded, chip: int, cap_mhz: float | None) -> list[Step]:
    """A live chip to its new cap, None: to the board's clock, by slew steps; its window before a clock that rises and
    behind one that falls. Empty where neither its clock nor the cap that it has is below the board's."""
    clock, present = commanded.frequency_mhz, commanded.clock_of(chip)
    if clock is None or present is None:
        return []
    board, others = Megahertz(clock), {each: Megahertz(cap) for each, cap in commanded.caps_mhz.items() if each != chip}
    final = others if cap_mhz is None else {**others, chip: Megahertz(cap_mhz)}
    goal = Megahertz(clock if cap_mhz is None else min(clock, cap_mhz))
    pause_s = envelope.frequency_step_s
    ramp: list[Step] = [
        Frequency(board, pause_s, {**others, chip: step.frequency_mhz})
        for step in slew(present, goal, envelope.frequency_step_mhz, pause_s)[:-1]
    ]
    if abs(goal - present) <= NEAR:
        return []
    ramp.append(Frequency(board, pause_s, final))
    window = SweepWindow(board, caps_mhz=final)
    return [window, *ramp] if goal > present else [*ramp, window]


__all__ = ["Caps", "ChipCaps", "Stack", "steps"]
