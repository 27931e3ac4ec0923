"""Hash boards that are a line of chips and nothing else: no bridge, so nothing here can cut their supply. Asked who is
there (`drivers.asics.survey`); driven by nobody but who names that supply and accepts it.

Numbers: GPTechinno/bm13xx-rs and mujina REFERENCE.md (captures of chains of 126, 110, 77 and 65 chips; of an S19 XP, an
S21 Pro and an S21 XP the words for the first and the last chip of each domain), the repair glossary of d-central.tech.
Domains count from 0 at the host, as chips do, and follow each other along the line; where no capture shows it, `doubt`
says so. Collected in docs/wire/bm13xx.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.asics.boundaries import Boundaries
from drivers.errors import UnknownPart, one_of


@dataclass(frozen=True, slots=True)
class HashBoardKind:
    """One row of `HASHBOARDS`. `chip`: a name of `ASICS`. `doubt`: what is unverified of it."""

    name: str
    title: str
    chip: str
    chips: int
    domain_chips: int
    """In parallel on one voltage; the domains are in series."""
    doubt: str = ""
    boundary_io_word: int | None = None
    """Register 58 of the last chip of each domain, as captured; None: nothing is known to be sent at boundaries."""

    @property
    def boundaries(self) -> Boundaries | None:
        """What its chips are told at the ends of their domains, if they are made to hash."""
        word = self.boundary_io_word
        return None if word is None else Boundaries(self.chips, self.domain_chips, word)

    @property
    def domains(self) -> int:
        return self.chips // self.domain_chips

    def domain_of(self, position: int) -> int:
        """The domain of a chip of the board."""
        return position // self.domain_chips

    def in_domain(self, domain: int) -> range:
        """Positions of its chips."""
        return range(domain * self.domain_chips, (domain + 1) * self.domain_chips)


_KINDS: Final = (
    HashBoardKind(
        name="antminer-s19j-pro",
        title="Antminer S19j Pro",
        chip="BM1362",
        chips=126,
        domain_chips=3,
        doubt="that its 42 domains follow each other along the line",
    ),
    HashBoardKind(
        name="antminer-s19k-pro",
        title="Antminer S19k Pro",
        chip="BM1366",
        chips=77,
        domain_chips=7,
        doubt="its 11 domains, which are derived from the volts of the board",
    ),
    HashBoardKind(
        name="antminer-s19-xp",
        title="Antminer S19 XP",
        chip="BM1366",
        chips=110,
        domain_chips=10,
        boundary_io_word=0x0211_F111,
    ),
    HashBoardKind(
        name="antminer-s21",
        title="Antminer S21",
        chip="BM1368",
        chips=108,
        domain_chips=9,
        doubt="108 chips in 12 domains: a repair glossary says so, no capture; others write 156",
    ),
    HashBoardKind(
        name="antminer-s21-pro",
        title="Antminer S21 Pro",
        chip="BM1370",
        chips=65,
        domain_chips=5,
        boundary_io_word=0x0001_F111,
    ),
    HashBoardKind(
        name="antminer-s21-xp",
        title="Antminer S21 XP",
        chip="BM1370",
        chips=91,
        domain_chips=7,
        boundary_io_word=0x0001_3111,
    ),
)

HASHBOARDS: Final[dict[str, HashBoardKind]] = {kind.name: kind for kind in _KINDS}


def known_hashboard(name: str, key: str = "board") -> HashBoardKind:
    """The row. `UnknownPart` lists the names that there are."""
    if name not in HASHBOARDS:
        raise UnknownPart(key, name, one_of(sorted(HASHBOARDS), name))
    return HASHBOARDS[name]
