"""How the chips of a chain share the nonces: which chip and core finds one, and which nonces nobody looks at.

The nonce as the chips count it is its four header bytes read most significant first: core on top, 25 bits of a counter
below; on a BM1397 8 bits of core, 2 of sub-core, 22 of a counter. Each chip begins its walk elsewhere. BM1362 and
BM1366 begin at their address, bits 7 to 1 of it in bits 24 to 18 (captures of 77, 110 and 126 chips; a BM1366 at C0 and
C2 in ESP-Miner's test log); for the BM1368 that is assumed. A BM1370 begins at the offset written to register 0C,
shifted left by 9 (captures of an S21 Pro and an S21 XP), and anywhere when none was written. A BM1397 begins at its
address, in bits 21 to 14: GPTechinno/bm13xx-rs and cgminer driver-gekko.c agree. (ESP-Miner takes it apart like the
others, which 168 cores do not fit.) Collected in docs/wire/bm13xx.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.asics.kind import AsicKind, next_power_of_two

_OFFSETS: Final = 1 << 16
_OFFSET_VALID: Final = 0x8000_0000


class Partition:
    """For a chain of `chips` chips of one kind. Chips count from 0 at the host."""

    def __init__(self, kind: AsicKind, chips: int) -> None:
        self.chips = chips
        self._cores, self._core_shift = kind.cores, 32 - kind.core_bits
        self._by_offset = kind.starts_at_offset
        self._slots = next_power_of_two(chips)
        counters = 1 << self._core_shift - kind.sub_core_bits
        self._counter_mask = counters - 1
        self._width = counters // self._slots
        """Counters that one chip walks in a window."""
        self._starts = tuple(self._start_of(chip) for chip in range(chips))

    def address(self, chip: int) -> int:
        """An even address, so that all of it is in the nonce: 256 / the next power of two apart."""
        return chip * address_interval(self.chips) % 256

    def offset_word(self, chip: int) -> int:
        """What register 0C of this chip is to hold: 65 chips have 0000, 03F1, 07E1, 0BD1 and so on."""
        return _OFFSET_VALID | -(-_OFFSETS * chip // self.chips)

    def _start_of(self, chip: int) -> int:
        return (self.offset_word(chip) & 0xFFFF) << 9 if self._by_offset else chip * self._width

    def chip_of(self, nonce: bytes) -> int:
        """The chip in whose share a nonce lies; `chips` or more where an address is given to nobody."""
        counter = int.from_bytes(nonce, "big") & self._counter_mask
        if self._by_offset:
            return (counter >> 9) * self.chips >> 16
        return counter // self._width

    def owner(self, nonce: bytes) -> tuple[int, int] | None:
        """Chip and core that find this nonce (4 bytes, header order) in one window; None: none of them does."""
        number = int.from_bytes(nonce, "big")
        core, chip = number >> self._core_shift, self.chip_of(nonce)
        if core >= self._cores or chip >= self.chips:
            return None
        walked = (number & self._counter_mask) - self._starts[chip]
        return (chip, core) if 0 <= walked < self._width else None


def address_interval(chips: int) -> int:
    """How far apart the addresses of so many chips are: 256 / the next power of two."""
    return 256 // next_power_of_two(chips)


def who_is_missing(expected: int, counts: Sequence[int]) -> int | str:
    """From how many chips answered each time: the first without an answer. Those behind it are not reached."""
    last = counts[-1]
    if expected > 1 and len(set(counts)) > 1:
        first = min(counts)
        return f"{', '.join(map(str, counts))} in turn: unstable from chip {first} on, counted from 0 at the host"
    if 0 < last < expected:
        return f"{last}: chip {last}, counted from 0 at the host, is the first that is missing"
    return last
