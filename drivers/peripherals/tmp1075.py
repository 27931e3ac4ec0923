"""TMP1075: a thermometer of a board, sixteenths of a degree. Its older kin, which have to be told more: `lm75.py`.

Sources: ESP-Miner main/thermal/TMP1075.c, ESP-Miner-NerdQAxePlus TMP1075.cpp, TI datasheets. The word stands at pointer
00, high byte first, signed in its upper 12 bits. The part has no identity that can be relied on: a TMP1075N lacks 0F.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from drivers.traits import I2c
from drivers.units import Celsius

_TEMPERATURE: Final = 0x00
LOW_C, HIGH_C = -40.0, 125.0
"""What the parts are made for; outside it is no temperature."""
_UNCONNECTED: Final = 0xFFFF


class Temperature(NamedTuple):
    """Degrees, or why there are none."""

    celsius: Celsius | None
    note: str | None


class Tmp1075:
    """One thermometer at an address that the board's row names."""

    def __init__(self, i2c: I2c, address: int) -> None:
        self.address = address
        self._i2c = i2c

    async def read(self) -> Temperature:
        return decode(await self._i2c.write_read(self.address, bytes([_TEMPERATURE]), 2))


def decode(data: bytes) -> Temperature:
    """Two bytes. FFFF is what a bus reads where nobody answers, and -0.0625 C as well: no board is that cold."""
    word = int.from_bytes(data, "big")
    if word == _UNCONNECTED:
        return Temperature(None, "reads ffff, as a bus without a part does")
    celsius = (word - 0x1_0000 if word & 0x8000 else word) / 256
    if not LOW_C <= celsius <= HIGH_C:
        return Temperature(None, f"reads {celsius:g} C, outside {LOW_C:g} to {HIGH_C:g}")
    return Temperature(Celsius(celsius), None)
