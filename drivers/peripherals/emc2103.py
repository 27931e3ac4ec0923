"""EMC2103: one fan and the diodes of two chips.

Sources: ESP-Miner main/thermal/EMC2103.c and .h (set-up, diodes, speed), the Linux driver emc2103.c (identity, fan
configuration). Not used: its own temperature-to-fan table, of which no source that was read says enough.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, Self

from drivers.errors import LimitError, UnknownPart
from drivers.peripherals.byte_registers import ByteRegisters
from drivers.peripherals.emc2101 import DiodeReading
from drivers.traits import I2c
from drivers.units import Celsius, Ratio, Rpm

ADDRESS: Final = 0x2E
FULL: Final = 0xFF
DIRECT_TWO_POLES: Final = 0x2B
"""For FAN_CONFIG, and what it holds after power-up: host-set, 1000 rpm and more, five edges a revolution."""
CLOSED_LOOP: Final = 0x80
"""For FAN_CONFIG, as a mask: this bit is clear while the host sets the fan."""
_MANUFACTURER: Final = 0x5D
_PRODUCTS: Final = {0x26: "EMC2103-2"}
"""24 is an EMC2103-1, which has one diode; no board that is known carries it."""
_RPM_FACTOR: Final = 7_864_320
_STOPPED: Final = 8000
"""Counts from here on are a fan that stands: the highest is 8191, which would be 960 rpm."""
_FAULT: Final = 0x8000


class Register(IntEnum):
    DIODE_1 = 0x02
    DIODE_2 = 0x04
    CONFIG = 0x20
    POLARITY = 0x2A
    SETTING = 0x40
    FAN_CONFIG = 0x42
    TACH_HIGH = 0x4E
    TACH_LOW = 0x4F
    PRODUCT = 0xFD
    MANUFACTURER = 0xFE


class Emc2103(ByteRegisters):
    """One fan controller. Made by `open`, so that one which exists has been identified."""

    def __init__(self, i2c: I2c, name: str, address: int = ADDRESS) -> None:
        super().__init__(i2c, name, address)

    @classmethod
    async def open(cls, i2c: I2c, *, address: int = ADDRESS) -> Self:
        """Identify, by reading alone. `UnknownPart` when something else answers."""
        return cls(i2c, await identify(i2c, address), address)

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus."""
        return type(self)(i2c, self.name, self.address)

    async def configure(self) -> None:
        """As ESP-Miner sets it, and the fan host-set. Read back; `VerifyError` names the register."""
        await self._set(Register.CONFIG, 0x00)
        await self._set(Register.POLARITY, 0x00)
        await self._set(Register.FAN_CONFIG, DIRECT_TWO_POLES)

    async def set_duty(self, ratio: Ratio) -> None:
        """A true duty, 0 to 1. `LimitError` outside, and nothing is written."""
        if not 0.0 <= ratio <= 1.0:
            raise LimitError("fan duty", ratio, "0 to 1")
        await self._set(Register.FAN_CONFIG, DIRECT_TWO_POLES)
        await self._set(Register.SETTING, math.floor(FULL * ratio + 0.5))

    async def duty(self) -> Ratio:
        return Ratio(await self._read(Register.SETTING) / FULL)

    async def rpm(self) -> Rpm:
        """0 when it stands. The high byte goes first."""
        high = await self._read(Register.TACH_HIGH)
        return decode_rpm(high, await self._read(Register.TACH_LOW))

    async def diodes(self) -> tuple[DiodeReading, DiodeReading]:
        """Of the two chips. The high byte goes first."""
        found = []
        for register in (Register.DIODE_1, Register.DIODE_2):
            high = await self._read(register)
            found.append(decode_diode(high, await self._read(register + 1)))
        return found[0], found[1]


def decode_rpm(high: int, low: int) -> Rpm:
    """Thirteen bits of counts, for a range of 1000 rpm and more."""
    count = (high << 8 | low) >> 3
    return Rpm(0.0) if count >= _STOPPED or not count else Rpm(_RPM_FACTOR / count)


def decode_diode(high: int, low: int) -> DiodeReading:
    """Two register bytes to a temperature: 11 bits, signed, in eighths of a degree. 8000 is a fault."""
    word = high << 8 | low
    if word == _FAULT:
        return DiodeReading(None, "diode open or shorted (reads 8000)")
    code = word >> 5
    return DiodeReading(Celsius((code - 0x800 if code & 0x400 else code) / 8), None)


async def identify(i2c: I2c, address: int = ADDRESS) -> str:
    """The name of the part. `UnknownPart` for anything else: an EMC2302 may stand at the same address."""
    manufacturer = (await i2c.write_read(address, bytes([Register.MANUFACTURER]), 1))[0]
    product = (await i2c.write_read(address, bytes([Register.PRODUCT]), 1))[0]
    name = _PRODUCTS.get(product)
    if manufacturer != _MANUFACTURER or name is None:
        raise UnknownPart("fan controller", f"maker {manufacturer:02x} product {product:02x}", "maker 5d product 26")
    return name
