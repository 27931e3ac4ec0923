"""LM75, LM75A, LM75B and TMP75: thermometers that read as a TMP1075 does, with a configuration of one byte.

Sources: Linux lm75.c (bits, registers, bits of the configuration), TI and NXP datasheets as the mbed drivers quote
them. Kept apart from `tmp1075.py` because what differs is what they have to be told: a TMP75 starts with 9 bits of
temperature [M], an LM75 has no more, and the configuration of a TMP1075 is a word. Bits below the last one are not
specified and are cut off. None has an identity that all have (only National's LM75A: A1 at 07), so the board's row
decides. Unverified on a board.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from drivers.errors import VerifyError
from drivers.peripherals.tmp1075 import Temperature, decode
from drivers.traits import I2c

TEMPERATURE, CONFIGURATION = 0x00, 0x01
SHUTDOWN: Final = 0x01
"""In the configuration: the last temperature stays."""


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    bits: int
    """Of temperature, from the highest of the word down: 9 are halves of a degree, 12 sixteenths."""
    configuration: int
    """Measures without end, all bits; the alert pin as after power-up."""


LM75: Final = Kind("LM75", 9, 0x00)
"""And National's LM75A; NXP's has 11 bits, of which 9 are then used."""
LM75B: Final = Kind("LM75B", 11, 0x00)
TMP75: Final = Kind("TMP75", 12, 0x60)


class Lm75:
    """One thermometer at an address that the board's row names. All methods raise what the bus raises."""

    def __init__(self, i2c: I2c, address: int, kind: Kind) -> None:
        self.address, self.kind = address, kind
        self._i2c = i2c

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus."""
        return type(self)(i2c, self.address, self.kind)

    async def configure(self) -> None:
        """Awake, with all its bits. Read back; `VerifyError` when it does not hold."""
        wanted = self.kind.configuration
        await self._i2c.write(self.address, bytes([CONFIGURATION, wanted]))
        found = (await self._i2c.write_read(self.address, bytes([CONFIGURATION]), 1))[0]
        if found != wanted:
            raise VerifyError(f"{self.kind.name} configuration", f"{wanted:#04x}", f"{found:#04x}")

    async def read(self) -> Temperature:
        return decode_bits(await self._i2c.write_read(self.address, bytes([TEMPERATURE]), 2), self.kind.bits)


def decode_bits(data: bytes, bits: int) -> Temperature:
    """Two bytes, of which so many bits count. FFFF is no temperature, see `tmp1075.decode`."""
    word = int.from_bytes(data, "big")
    unused = 0 if word == 0xFFFF else (1 << 16 - bits) - 1
    return decode((word & ~unused).to_bytes(2, "big"))
