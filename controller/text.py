"""Numbers and foreign words as people read them. Pure; shared by the command line, the screens and the library.

What is not known is a dash, never a zero. What comes from a board, a file or a port name is foreign: it is shown with
every character that could move a cursor, change a colour or turn the reading direction made visible and harmless.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Final

UNKNOWN: Final = "—"
_HARMLESS: Final = "\N{REPLACEMENT CHARACTER}"
_PICTURES: Final = {**{code: chr(0x2400 + code) for code in range(0x20)}, 0x7F: "\N{SYMBOL FOR DELETE}"}
"""C0 controls have pictures of their own: an escape is shown as one."""
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls (C1 too), formats (bidi overrides, zero-width), surrogates, private use, unassigned, line separators."""


def printable(text: str) -> str:
    """The text with nothing in it that a terminal would obey. One character in, one out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _PICTURES.get(ord(char), _HARMLESS) if unicodedata.category(char) in _UNSAFE_CATEGORIES else char
        for char in text
    )


def number(value: float | None, digits: int, unit: str = "", *, unknown: str = UNKNOWN) -> str:
    """A number with its unit; `unknown` for None, and for what is not a number."""
    return unknown if value is None or math.isnan(value) else f"{value:.{digits}f} {unit}".rstrip()


def hashrate(value_hs: float | None, *, unknown: str = UNKNOWN) -> str:
    """Hashes per second with four digits that matter."""
    if value_hs is None or math.isnan(value_hs):
        return unknown
    for limit, unit in ((1e15, "PH/s"), (1e12, "TH/s"), (1e9, "GH/s"), (1e6, "MH/s"), (1e3, "kH/s")):
        if value_hs >= limit:
            return f"{value_hs / limit:.3f} {unit}"
    return f"{value_hs:.0f} H/s"


def duration(seconds: float | None, *, unknown: str = UNKNOWN) -> str:
    """12.3 s, 4 min 05 s, 3 h 04 min."""
    if seconds is None or not math.isfinite(seconds):
        return unknown
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def fan(follows: bool, target_chip_c: float, floor_ratio: float) -> str:
    """How a fan is led. C, and the least duty, 0 to 1."""
    if not follows:
        return "at full"
    floor = f", at least {100 * floor_ratio:.0f} %" if floor_ratio > 0.0 else ""
    return f"follows, die to {target_chip_c:g} C{floor}"


def chip_cap(chip: int, cap_mhz: float | None) -> str:
    """How fast a chip may be at most; None: as fast as its board."""
    return f"chip {chip} at the board's clock" if cap_mhz is None else f"chip {chip} at {cap_mhz:g} MHz at most"


def chip_clock(chip: int, cap_mhz: float | None, told_mhz: float | None, read_mhz: float | None) -> str:
    """The same, with the clock that it was told, None: the board is off, and the one that it reads, if it was read."""
    now = "from the next power-up on" if told_mhz is None else f"now {number(told_mhz, 2, 'MHz')}"
    read = "" if read_mhz is None else f", reads {number(read_mhz, 2, 'MHz')}"
    return f"{chip_cap(chip, cap_mhz)}, {now}{read}"
