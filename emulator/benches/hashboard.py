"""Bare hash boards: a line of chips on one data port, with no bridge, no sensors and no fan.

From the start each has power and is out of reset. Clock, window and work are those of the chips; the supply gives their
nominal voltage whatever they draw, and no heat is modelled, so each chip gets right what is right at nominal volts,
unless a fault says otherwise. Rows of the emulator's own: captures collected in GPTechinno/bm13xx-rs and
mujina REFERENCE.md (S19j Pro, S19 XP, S21 Pro, S21 XP), d-central.tech's glossary (S21, S19k Pro) [U].

A chip that is dead, or a domain without its voltage, cuts the line: those behind hear nothing and are not heard. A
silent chip takes its address and passes on what others say, but its own answers do not come out [inf].
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from emulator.chips import MODELS
from emulator.device import Device
from emulator.hashing import SolvedHeaders
from emulator.physics import ChipSupply
from emulator.silicon.chip import MiningChip
from emulator.silicon.line import ChipLine

DIE_C: Final = 40.0


@dataclass(frozen=True, slots=True)
class HashBoardModel:
    """`chips`: names of `MODELS` with how many of each, from the host on. More than one: a board repaired wrongly."""

    name: str
    chips: tuple[tuple[str, int], ...]
    domain_chips: int = 1


HASHBOARDS: Final[Mapping[str, HashBoardModel]] = {
    model.name: model
    for model in (
        HashBoardModel("antminer-s19j-pro", (("BM1362", 126),), 3),
        HashBoardModel("antminer-s19k-pro", (("BM1366", 77),), 7),
        HashBoardModel("antminer-s19-xp", (("BM1366", 110),), 10),
        HashBoardModel("antminer-s21", (("BM1368", 108),), 9),
        HashBoardModel("antminer-s21-pro", (("BM1370", 65),), 5),
        HashBoardModel("antminer-s21-xp", (("BM1370", 91),), 7),
    )
}


class HashBoard:
    """The bench. ValueError for a chip or a domain that it does not have, and for a dead one of each."""

    def __init__(
        self,
        model: HashBoardModel,
        *,
        seed: int = 1,
        dilution: int = 1,
        dead_chip: int | None = None,
        dead_domain: int | None = None,
        silent_chips: Iterable[int] = (),
    ) -> None:
        if dead_chip is not None and dead_domain is not None:
            raise ValueError("a dead chip or a dead domain, not both")
        self.board, self.model, self.seed = model.name, model, seed
        chance, solved = random.Random(f"{seed}/hash board"), SolvedHeaders.load()
        self.line = ChipLine(
            MiningChip(MODELS[name], chance, solved, dilution, _steady(MODELS[name].nominal_core_v))
            for name, count in model.chips
            for _ in range(count)
        )
        self.chips = self.line.chips
        self.data: Device = self.line
        self.line.advance(0.0)
        cut_at = dead_chip if dead_domain is None else dead_domain * model.domain_chips
        if cut_at is not None:
            self.line.break_at(self._known(cut_at), 0.0)
        for position in silent_chips:
            self.chips[self._known(position)].say = _unheard

    def _known(self, position: int) -> int:
        if not 0 <= position < len(self.chips):
            raise ValueError(f"chip {position} of {len(self.chips)}")
        return position

    @property
    def hashing(self) -> bool:
        """Whether any chip does."""
        return any(chip.hash_activity for chip in self.chips)

    @property
    def fastest_mhz(self) -> float:
        """The clock of the chip that has the highest."""
        return max(chip.frequency_mhz for chip in self.chips)

    # --- faults that come in mid-run

    def cut(self, position: int, at_s: float) -> None:
        """This chip dies: those behind it hear nothing and are not heard, and hash on."""
        self.line.break_at(self._known(position), at_s)

    def weaken(self, position: int, wrong_share: float, at_s: float) -> None:
        """Of what this chip finds, this share comes out wrong."""
        self.chips[self._known(position)].set_wrong_share(wrong_share, at_s)


def _steady(core_v: float) -> Callable[[float], ChipSupply]:
    supply = ChipSupply(core_v, DIE_C, (1.0, 1.0, 1.0, 1.0), False)
    return lambda at_s: supply


def _unheard(data: bytes, baud: int, ready_s: float) -> None:
    """Its answer goes nowhere."""
