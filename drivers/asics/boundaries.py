"""What long boards tell the chips at the ends of their voltage domains: stronger drivers, and how far to relay.

The last chip of each domain drives its clock output harder (register 58), and the first and last relay both lines with
a gap that grows toward the host (2C): chips of a domain x domains from here to the far end + 14. Source:
GPTechinno/bm13xx-rs, captures of an S19 XP (11 domains of 10, 7C to 18), an S21 XP (13 of 7, 69 to 15) and an S21 Pro
(13 of 5, 4F to 13). An S19j Pro sends none of it. What the unit of the gap is, and whether chips do without: [U].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drivers.asics.kind import SETTLE_S, InitStep
from drivers.codecs.bm13xx import WriteRegister
from drivers.errors import UsageError

_IO_STRENGTH, _RELAY = 0x58, 0x2C
_RELAYS_BOTH: Final = 0x3
_GAP_BEYOND: Final = 14


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Of a board whose domains follow each other along the line. `io_word`: register 58 of the last chip of each."""

    chips: int
    domain_chips: int
    io_word: int

    def __post_init__(self) -> None:
        if self.domain_chips < 1 or self.chips % self.domain_chips:
            raise UsageError("domain_chips", self.domain_chips, f"a number that {self.chips} chips are a multiple of")

    def steps(self, address_of: Callable[[int], int]) -> tuple[InitStep, ...]:
        """All writes, from the host on; `address_of` a chip by its position."""
        steps: list[InitStep] = []
        domains = self.chips // self.domain_chips
        for domain in range(domains):
            first, last = domain * self.domain_chips, (domain + 1) * self.domain_chips - 1
            gap = self.domain_chips * (domains - domain) + _GAP_BEYOND
            relay = gap << 16 | _RELAYS_BOTH
            steps.append(
                _to(address_of(last), _IO_STRENGTH, self.io_word, f"IO strength at the end of domain {domain}")
            )
            steps += [
                _to(address_of(at), _RELAY, relay, f"UART relay of domain {domain}")
                for at in dict.fromkeys((first, last))
            ]
        return tuple(steps)


def _to(address: int, register: int, value: int, what: str) -> InitStep:
    return InitStep(WriteRegister(register, value, address), SETTLE_S, what)
