"""TMP1075 as an I2C target: one word of temperature at pointer 00, high byte first.

Sources: TI TMP1075 datasheet (format, conversion of 27.5 ms, identity 7500 at 0F); noise from public logs of boards
that carry one: 0.06 C.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

NOISE_C: Final = 0.06
CONVERSION_S: Final = 0.0275
_RESET: Final = {0x01: 0x00FF, 0x02: 0x4B00, 0x03: 0x5000, 0x0F: 0x7500}


class Tmp1075:
    """The part. `look` gives the temperature where it sits and brings the bench up to that moment."""

    def __init__(self, *, look: Callable[[float], float], seed: int, address: int) -> None:
        self.address = address
        self._look = look
        self._rng = random.Random(f"{seed}/tmp1075/{address}")
        self.tap: Callable[[float], float] | None = None
        """What would be shown, to what is shown."""
        self.off_the_bus = False
        """Fault: it drives nothing, and the bus reads ones."""
        self.power_up()

    def power_up(self, at_s: float = 0.0) -> None:
        self._words = dict(_RESET)
        self._conversion = -1
        self._word = 0
        self._pointer = 0

    def write(self, data: bytes, at_s: float) -> bool:
        self._pointer = data[0]
        if len(data) == 3 and data[0] in (0x01, 0x02, 0x03):
            self._words[data[0]] = int.from_bytes(data[1:], "big")
        return True

    def read(self, count: int, at_s: float) -> bytes | None:
        word = self._convert(at_s) if self._pointer == 0x00 else self._words.get(self._pointer, 0)
        if self.off_the_bus:
            word = 0xFFFF
        return (word.to_bytes(2, "big") * count)[:count]

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        self.write(data, at_s)
        return self.read(count, at_s)

    def _convert(self, at_s: float) -> int:
        conversion = int(at_s / CONVERSION_S)
        if conversion != self._conversion:
            self._conversion = conversion
            celsius = self._look(at_s) + self._rng.gauss(0.0, NOISE_C)
            self._word = min(max(round(celsius * 16), -2048), 2047) << 4 & 0xFFFF
        if self.tap is None:
            return self._word
        shown = self.tap((self._word - 0x1_0000 if self._word & 0x8000 else self._word) / 256)
        return min(max(round(shown * 16), -2048), 2047) << 4 & 0xFFFF
