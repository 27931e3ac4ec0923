"""LM75, LM75A (National's), LM75B and TMP75 as I2C targets: temperature in a word at pointer 00, high byte first.

Sources: Linux lm75.c (bits, the unused bits of the configuration, A1 at 07 of an LM75A, 60 for 12 bits of a TMP75), the
mbed driver TMP175 (resolution by bits 6:5). [M] = from memory of the datasheets: times of conversion, and that a TMP75
starts with 9 bits. [A] = assumption of this emulator: unused bits of the temperature are 0. Alert pin and one-shot are
not emulated.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NOISE_C: Final = 0.06
TEMPERATURE, CONFIGURATION, HYSTERESIS, OVERTEMPERATURE, IDENTITY = 0x00, 0x01, 0x02, 0x03, 0x07
_SHUTDOWN: Final = 0x01
_TMP75_S: Final = 0.0275


@dataclass(frozen=True, slots=True)
class Product:
    bits: int
    """After power-up."""
    conversion_s: float
    configuration_mask: int
    identity: int | None = None
    sets_bits: bool = False
    """Bits 6:5 of its configuration add to the nine."""


PRODUCTS: Final = {
    "LM75": Product(9, 0.1, 0x1F),
    "LM75A": Product(9, 0.1, 0x1F, identity=0xA1),
    "LM75B": Product(11, 0.1, 0x1F),
    "TMP75": Product(9, _TMP75_S, 0x7F, sets_bits=True),
}


class Lm75:
    """The part. `look` gives the temperature where it sits and brings the bench up to that moment."""

    def __init__(self, *, look: Callable[[float], float], seed: int, product: str, address: int) -> None:
        self.address = address
        self._look = look
        self._product = PRODUCTS[product]
        self._rng = random.Random(f"{seed}/lm75/{address}")
        self.tap: Callable[[float], float] | None = None
        """What would be shown, to what is shown."""
        self.off_the_bus = False
        """Fault: it drives nothing, and the bus reads ones."""
        self.power_up()

    def power_up(self) -> None:
        self._configuration = 0x00
        self._limits = {HYSTERESIS: 0x4B00, OVERTEMPERATURE: 0x5000}
        self._conversion = -1
        self._celsius = 0.0
        self._pointer = 0

    def write(self, data: bytes, at_s: float) -> bool:
        self._pointer = data[0]
        if data[0] == CONFIGURATION and len(data) == 2:
            self._convert(at_s)
            self._configuration = data[1] & self._product.configuration_mask
            self._conversion = -1
        elif data[0] in self._limits and len(data) == 3:
            self._limits[data[0]] = int.from_bytes(data[1:], "big") & 0xFF80
        return True

    def read(self, count: int, at_s: float) -> bytes | None:
        if self.off_the_bus:
            return b"\xff" * count
        if self._pointer == TEMPERATURE:
            word = self._temperature(at_s).to_bytes(2, "big")
        elif self._pointer == CONFIGURATION:
            word = bytes([self._configuration])
        elif self._pointer in self._limits:
            word = self._limits[self._pointer].to_bytes(2, "big")
        elif self._pointer == IDENTITY and self._product.identity is not None:
            word = bytes([self._product.identity])
        else:
            word = b"\xff"
        return (word * count)[:count]

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        self.write(data, at_s)
        return self.read(count, at_s)

    def _temperature(self, at_s: float) -> int:
        self._convert(at_s)
        celsius = self._celsius if self.tap is None else self.tap(self._celsius)
        bits = self._bits
        steps = round(celsius * (1 << bits - 8))
        half = 1 << bits - 1
        return min(max(steps, -half), half - 1) << 16 - bits & 0xFFFF

    @property
    def _bits(self) -> int:
        return self._product.bits + (self._configuration >> 5 & 3 if self._product.sets_bits else 0)

    def _convert(self, at_s: float) -> None:
        if self._configuration & _SHUTDOWN:
            return  # the last temperature stays
        conversion_s = self._product.conversion_s * (1 << self._bits - self._product.bits)
        conversion = int(at_s / conversion_s)
        if conversion != self._conversion:
            self._conversion = conversion
            self._celsius = self._look(at_s) + self._rng.gauss(0.0, NOISE_C)
