"""Boards that their USB strings name and of which too little is known to drive them, or to say how their bridge speaks.
They are told by name, so that nobody takes them for broken cables. Pure.

Ids, strings and the reasons: reference sheet of bridges, sections 1, 6 and 8; none of them was seen by us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.boards.board import UsbMatch


@dataclass(frozen=True, slots=True)
class NotDriven:
    """`why`: what is missing, or what is in the way."""

    name: str
    match: UsbMatch
    why: str


_BITCRANE: Final = "a bitcrane is not driven: it has four ports, and which chain is behind which is not known"

NOT_DRIVEN: Final = (
    NotDriven(
        "ember-one",
        UsbMatch(0xC0DE, 0xCAFE, "OSMU", "Ember One"),
        "an EmberOne with firmware of January 2025 is not driven: no source here says which boards carried it",
    ),
    NotDriven(
        "bitaxe-raw-rp2040",
        UsbMatch(0xC0DE, 0xB17D, "OSMU", "BitaxeBonanza"),
        "the RP2040 port of bitaxe-raw is not driven: its fan begins at 0 % while it reports 100, chips take 9 bits",
    ),
    NotDriven("bitcrane", UsbMatch(0xC0DE, 0xCAFE, "OSMU", "bitcrane3"), _BITCRANE),
    NotDriven("bitcrane-s19j-pro", UsbMatch(0xC0DE, 0xCAFE, "256F", "bitcrane-S19jpro"), _BITCRANE),
)
