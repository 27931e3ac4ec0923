"""Chips of a board and their clocks, as they are typed: `3`, `3=450`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from controller.cli.quantities import parse_frequency
from drivers.errors import UsageError
from drivers.units import Megahertz

CHIP_FREQUENCY: Final = "--chip-frequency"
_CHIP: Final = re.compile(r"\s*(\d{1,3})\s*", re.ASCII)


def parse_chip(text: str, key: str = "--chip") -> int:
    """A chip by its place on the line. Whether the board has it, its guard says."""
    if (found := _CHIP.fullmatch(text)) is None:
        raise UsageError(key, text, "a chip, counted from 0 at the host")
    return int(found[1])


def parse_chip_frequencies(said: Sequence[str], chips: int | None = None) -> dict[int, Megahertz]:
    """By chip, from `N=F`, each once. `chips`: how many there are; None: not known here."""
    found = dict[int, Megahertz]()
    for text in said:
        number, is_there, clock = text.partition("=")
        chip = _CHIP.fullmatch(number)
        if not is_there or chip is None or (chips is not None and int(chip[1]) >= chips):
            which = "" if chips is None else f"0 to {chips - 1} "
            raise UsageError(CHIP_FREQUENCY, text, f"N=F: a chip, {which}counted from the host, and its clock in MHz")
        if int(chip[1]) in found:
            raise UsageError(CHIP_FREQUENCY, text, f"one clock for each chip; chip {int(chip[1])} has one already")
        found[int(chip[1])] = parse_frequency(clock, CHIP_FREQUENCY)
    return found
