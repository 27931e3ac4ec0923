"""PLL0, the hash clock of the BM13xx (register 0x08): which word gives which frequency, and which word to choose.

The word is flag, FB, REF and the two post dividers: bits 30 (enable) and 28 (VCO at or above 2400 MHz), FB in 27-16,
REF in 13-8, P1 in 6-4, P2 in 2-0. From the BM1362 on the post dividers are stored minus one; the BM1397 stores them as
they are and never sets bit 28. Sources: mujina REFERENCE.md (layout, captures); ESP-Miner components/asic/pll.c (R-ESP;
its 2024 bm1370.c: R-OLD); ESP-Miner-NerdQAxePlus components/bm1397/asic.cpp (R-STOCK, which reproduces the words that
stock firmware was seen to write). Different rules choose different words for the same clock: the clock is what counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from drivers.errors import UsageError
from drivers.units import Megahertz

CRYSTAL_MHZ: Final = 25.0
MAX_ERROR_MHZ: Final = 1.0
"""A clock that the PLL misses by more than this is refused."""
COARSEST_MHZ: Final = 2.1
"""Half of the widest gap between two clocks: 25/6 MHz, from 747 to 996 MHz. A ramp may step over it."""

_ENABLE: Final = 1 << 30
_HIGH_VCO: Final = 1 << 28
_HIGH_VCO_FROM_MHZ: Final = 2400.0
_STOCK_FB: Final = (0xA0, 0xEF)
_OLD_FB: Final = (160, 239)
_TIE: Final = 1e-4


class Rule(StrEnum):
    """How to choose among the words for one clock."""

    STOCK = "r-stock"
    CLOSEST = "closest"
    """R-STOCK where its word is legal and none is closer, which is so on all but four steps of its grid up to 750 MHz;
    else the closest. Above, R-STOCK chooses REF 1 and with it a VCO of over 5 GHz, which no source allows."""
    ESP = "r-esp"
    OLD = "r-old"


@dataclass(frozen=True, slots=True)
class PllShape:
    """What differs from chip to chip. `fb` and `max_vco_mhz` are for R-ESP; the other rules bring their own limits."""

    fb: tuple[int, int]
    dividers_minus_one: bool = True
    max_vco_mhz: float = math.inf
    reset_divider: int = 1
    """PLLDIV0 + 1 of register 0x70 after reset, by which the clock is divided once more."""


BM1370: Final = PllShape(fb=(160, 239))
BM1366: Final = PllShape(fb=(144, 235))
"""The BM1368 has the same."""
BM1397: Final = PllShape(fb=(60, 200), dividers_minus_one=False, max_vco_mhz=2500.0, reset_divider=8)
"""No source gives limits of its VCO. On the grid of 6.25 MHz, where boards run, R-ESP keeps it at 750 to 2500 MHz; off
the grid it has words with REF 1 and up to 5 GHz."""


@dataclass(frozen=True, slots=True)
class PllWord:
    """A word for register 0x08 and the clock it gives."""

    word: int
    actual_mhz: Megahertz

    @property
    def wire(self) -> bytes:
        return self.word.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Dividers:
    """The four numbers of a PLL word, as true divisors."""

    fb: int
    ref: int
    p1: int
    p2: int

    @property
    def vco_mhz(self) -> float:
        return CRYSTAL_MHZ * self.fb / self.ref

    @property
    def clock_mhz(self) -> float:
        return CRYSTAL_MHZ * self.fb / (self.ref * self.p1 * self.p2)


def dividers(word: int, shape: PllShape = BM1370) -> Dividers:
    """Take a word apart. A read-back may carry bit 31 (locked). Raises `UsageError` for a zero divider."""
    less = 1 if shape.dividers_minus_one else 0
    parts = Dividers(word >> 16 & 0xFFF, word >> 8 & 0x3F, (word >> 4 & 7) + less, (word & 7) + less)
    if 0 in (parts.fb, parts.ref, parts.p1, parts.p2):
        raise UsageError("pll word", f"{word:#010x}", "no divider may be zero")
    return parts


def clock_mhz(word: int, shape: PllShape = BM1370, *, post_divider: int = 1) -> Megahertz:
    """The clock that a word gives; `post_divider` is PLLDIV0 + 1 of register 0x70."""
    return Megahertz(dividers(word, shape).clock_mhz / post_divider)


@lru_cache(maxsize=1024)
def nearest(frequency_mhz: float, rule: Rule = Rule.STOCK, shape: PllShape = BM1370) -> PllWord:
    """The word for a step of a ramp, which may be as far off as the PLL is coarse. Raises `UsageError` beyond that."""
    if not (math.isfinite(frequency_mhz) and frequency_mhz > 0):
        raise UsageError("frequency_mhz", frequency_mhz, "a positive number")
    found = _SOLVERS[rule](frequency_mhz, shape)
    if found is None or abs(found.clock_mhz - frequency_mhz) > COARSEST_MHZ:
        raise UsageError("frequency_mhz", frequency_mhz, f"what the PLL reaches within {COARSEST_MHZ:g} MHz")
    return PllWord(_word(found, shape), Megahertz(found.clock_mhz))


def solve(frequency_mhz: float, rule: Rule = Rule.STOCK, shape: PllShape = BM1370) -> PllWord:
    """The word for a clock. Raises `UsageError` when no word comes within 1 MHz: refused, never rounded in silence."""
    allowed = f"what the PLL reaches within {MAX_ERROR_MHZ:g} MHz"
    try:
        found = nearest(frequency_mhz, rule, shape)
    except UsageError as error:
        raise UsageError("frequency_mhz", frequency_mhz, allowed) from error
    if abs(found.actual_mhz - frequency_mhz) > MAX_ERROR_MHZ:
        raise UsageError("frequency_mhz", frequency_mhz, f"{allowed}, the nearest being {found.actual_mhz:.2f} MHz")
    return found


def _word(parts: Dividers, shape: PllShape) -> int:
    less = 1 if shape.dividers_minus_one else 0
    high = _HIGH_VCO if shape.dividers_minus_one and parts.vco_mhz >= _HIGH_VCO_FROM_MHZ else 0
    return _ENABLE | high | parts.fb << 16 | parts.ref << 8 | (parts.p1 - less) << 4 | (parts.p2 - less)


def _candidates(frequency_mhz: float) -> Iterator[Dividers]:
    """In the order of the firmware: REF 2 then 1, P1 down, P2 down. FB rounds halves up, away from zero."""
    for ref in (2, 1):
        for p1 in range(7, 0, -1):
            for p2 in range(7, 0, -1):
                yield Dividers(math.floor(frequency_mhz * ref * p1 * p2 / CRYSTAL_MHZ + 0.5), ref, p1, p2)


def _stock(frequency_mhz: float, shape: PllShape) -> Dividers | None:
    """The last candidate that is no worse, with a smaller product of dividers and no larger P2."""
    best: Dividers | None = None
    error, product, p2 = 2.0, 255, 255
    for tried in _candidates(frequency_mhz):
        off = abs(frequency_mhz - tried.clock_mhz)
        if tried.p1 < tried.p2 or not _STOCK_FB[0] <= tried.fb <= _STOCK_FB[1]:
            continue
        if off <= error and tried.p1 * tried.p2 < product and tried.p2 <= p2:
            best, error, product, p2 = tried, off, tried.p1 * tried.p2, tried.p2
    return best


def _closest(frequency_mhz: float, shape: PllShape) -> Dividers | None:
    """Legal: REF 2 and the feedback of R-STOCK, so a VCO of 2000 to 2987.5 MHz, which every known limit allows."""
    stock, best = _stock(frequency_mhz, shape), None
    for tried in _candidates(frequency_mhz):
        if tried.ref != 2 or tried.p1 < tried.p2 or not _STOCK_FB[0] <= tried.fb <= _STOCK_FB[1]:
            continue
        key = (abs(frequency_mhz - tried.clock_mhz), 0.0, tried.p1 * tried.p2)
        if best is None or _better(key, best[0]):
            best = (key, tried)
    if best is None:
        return None
    if stock is not None and stock.ref == 2 and abs(frequency_mhz - stock.clock_mhz) <= best[0][0] + _TIE:
        return stock
    return best[1]


def _esp(frequency_mhz: float, shape: PllShape) -> Dividers | None:
    """Smallest error, then lowest VCO, then smallest product; P1 strictly above P2."""
    best: tuple[float, float, int, Dividers] | None = None
    for tried in _candidates(frequency_mhz):
        if tried.p1 <= tried.p2 or not shape.fb[0] <= tried.fb <= shape.fb[1] or tried.vco_mhz > shape.max_vco_mhz:
            continue
        off, product = abs(frequency_mhz - tried.clock_mhz), tried.p1 * tried.p2
        if best is None or _better((off, tried.vco_mhz, product), best[:3]):
            best = (off, tried.vco_mhz, product, tried)
    return None if best is None else best[3]


def _better(new: tuple[float, float, int], old: tuple[float, float, int]) -> bool:
    for a, b in zip(new, old, strict=True):
        if abs(a - b) > _TIE:
            return a < b
    return False


def _old(frequency_mhz: float, shape: PllShape) -> Dividers | None:
    """The first candidate less than 1 MHz off."""
    for tried in _candidates(frequency_mhz):
        in_range = tried.p1 >= tried.p2 and _OLD_FB[0] <= tried.fb <= _OLD_FB[1]
        if in_range and abs(frequency_mhz - tried.clock_mhz) < MAX_ERROR_MHZ:
            return tried
    return None


_SOLVERS: Final = {Rule.STOCK: _stock, Rule.CLOSEST: _closest, Rule.ESP: _esp, Rule.OLD: _old}
