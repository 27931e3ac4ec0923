"""Quantities as people type them: `525`, `525MHz`, `0.525GHz`, `1150`, `1150mV`, `1.15V`, `2**24`.

Bare numbers are MHz and mV. Anything else raises `UsageError` with the option, the text and what is allowed.
"""

from __future__ import annotations

import math
import re
from typing import Final

from drivers.errors import UsageError
from drivers.units import Megahertz, Seconds, Volts

_NUMBER: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[a-zA-Z]*)\s*", re.ASCII)
_FREQUENCY_DIVISORS: Final = {"": 1.0, "mhz": 1.0, "ghz": 1e-3}
_VOLTAGE_DIVISORS: Final = {"": 1000.0, "mv": 1000.0, "v": 1.0}
_SECONDS_DIVISORS: Final = {"": 1.0, "s": 1.0, "ms": 1000.0, "min": 1 / 60.0, "h": 1 / 3600.0}
_MAX_DILUTION: Final = 2**32


def parse_frequency(text: str, key: str = "--frequency") -> Megahertz:
    """A clock: MHz when bare."""
    return Megahertz(
        _parse(text, key, _FREQUENCY_DIVISORS, "a positive number in MHz, such as 525, 525MHz or 0.525GHz")
    )


def parse_voltage(text: str, key: str = "--voltage") -> Volts:
    """A core voltage: mV when bare. A bare number below 10 is a slip of the pen, for no rail has so few millivolts."""
    allowed = "a positive number in mV, such as 1150, 1150mV or 1.15V"
    match = _NUMBER.fullmatch(text)
    if match and not match["unit"] and 0 < float(match["number"]) < 10:
        raise UsageError(key, text, f"{allowed}; bare numbers are mV: did you mean {match['number']}V?")
    return Volts(_parse(text, key, _VOLTAGE_DIVISORS, allowed))


def parse_seconds(text: str, key: str = "--seconds") -> Seconds:
    """A time: seconds when bare."""
    return Seconds(_parse(text, key, _SECONDS_DIVISORS, "a positive time in seconds, such as 20, 20s, 5min or 1h"))


def parse_dilution(text: str, key: str = "--dilution") -> int:
    """How many hashes one emulated hash stands for: a power of two."""
    match = re.fullmatch(r"\s*(?:2\s*(?:\*\*|\^)\s*(?P<log2>\d{1,2})|(?P<plain>\d{1,10}))\s*", text, re.ASCII)
    if match:
        value = 1 << int(match["log2"]) if match["log2"] else int(match["plain"])
        if 1 <= value <= _MAX_DILUTION and value & (value - 1) == 0:
            return value
    raise UsageError(key, text, f"a power of two from 1 to {_MAX_DILUTION}, such as 16777216 or 2**24")


def parse_seed(text: str, key: str = "--seed") -> int:
    """The seed of all chance."""
    if re.fullmatch(r"\s*\d{1,18}\s*", text, re.ASCII):
        return int(text)
    raise UsageError(key, text, "a whole number from 0 up, at most 18 digits")


def parse_number(text: str, key: str, low: float, high: float, unit: str) -> float:
    """A plain number within bounds, which may be negative."""
    allowed = f"{low:g} to {high:g} {unit}".rstrip()
    try:
        value = float(text)
    except ValueError:
        raise UsageError(key, text, allowed) from None
    if not (math.isfinite(value) and low <= value <= high):
        raise UsageError(key, text, allowed)
    return value


def _parse(text: str, key: str, divisors: dict[str, float], allowed: str) -> float:
    match = _NUMBER.fullmatch(text)
    if not match or match["unit"].lower() not in divisors:
        raise UsageError(key, text, allowed)
    value = float(match["number"]) / divisors[match["unit"].lower()]
    if not (math.isfinite(value) and value > 0):
        raise UsageError(key, text, allowed)
    return value
