"""EMC2301, EMC2302, EMC2303 and EMC2305: fan controllers with one to five outputs, and no thermometer.

Sources: ESP-Miner main/thermal/EMC2302.c, ESP-Miner-NerdQAxePlus EMC2302.cpp (set-up, speed), the Linux driver
emc2305.c as posted in 2013, and constants written down from Microchip's DS20006532A by three independent projects
(registers, range and edges of the tachometer). The setting is direct as long as bit 7 of the first configuration
register is clear, which is so after power-up. Not used, because no source that was read says what holds it off: the
watchdog, bit 5 of 20.
"""

from __future__ import annotations

import math
from typing import Final, Self

from drivers.errors import LimitError, UnknownPart
from drivers.peripherals.byte_registers import ByteRegisters
from drivers.traits import I2c
from drivers.units import Ratio, Rpm

FULL: Final = 0xFF
"""The highest setting; the scale is true: 128 is half."""
CONFIG: Final = 0x20
POLARITY: Final = 0x2A
PRODUCT, MANUFACTURER = 0xFD, 0xFE
SETTING, CONFIG_1, TACH_HIGH, TACH_LOW = 0x0, 0x2, 0xE, 0xF
"""Added to the base of a fan."""
DIRECT_TWO_POLES: Final = 0x0B
"""For CONFIG_1: host-set, speeds from 500 rpm on, five edges a revolution, update every 400 ms (ESP-Miner: range 0)."""
DIRECT: Final = 0x80
"""For CONFIG_1, as a mask: this bit is clear while the host sets the fan."""
_MANUFACTURER: Final = 0x5D
_PRODUCTS: Final = {0x37: ("EMC2301", 1), 0x36: ("EMC2302", 2), 0x35: ("EMC2303", 3), 0x34: ("EMC2305", 5)}
_RPM_FACTOR: Final = 3_932_160
_STOPPED: Final = 0xFF
"""As the high byte of the tachometer."""


def register(fan: int, offset: int) -> int:
    """Fans count from 0."""
    return 0x30 + 0x10 * fan + offset


class Emc230x(ByteRegisters):
    """One fan controller, all its outputs driven alike. Made by `open`, so that one which exists has been
    identified."""

    def __init__(self, i2c: I2c, name: str, fans: int, address: int) -> None:
        super().__init__(i2c, name, address)
        self.fans = fans

    @classmethod
    async def open(cls, i2c: I2c, address: int) -> Self:
        """Identify, by reading alone. `UnknownPart` when something else answers."""
        name, fans = await identify(i2c, address)
        return cls(i2c, name, fans, address)

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus."""
        return type(self)(i2c, self.name, self.fans, self.address)

    async def configure(self) -> None:
        """Outputs not inverted, host-set, tachometer for two poles. Read back; `VerifyError` names the register."""
        await self._set(POLARITY, 0x00)
        for fan in range(self.fans):
            await self._set(register(fan, CONFIG_1), DIRECT_TWO_POLES)

    async def full_speed(self) -> None:
        """In two writes a fan that need no reading first."""
        for fan in range(self.fans):
            await self._write(register(fan, CONFIG_1), DIRECT_TWO_POLES)
            await self._write(register(fan, SETTING), FULL)

    async def set_duty(self, ratio: Ratio) -> None:
        """A true duty, 0 to 1, for all outputs. `LimitError` outside, and nothing is written."""
        if not 0.0 <= ratio <= 1.0:
            raise LimitError("fan duty", ratio, "0 to 1")
        for fan in range(self.fans):
            await self._set(register(fan, CONFIG_1), DIRECT_TWO_POLES)
            await self._set(register(fan, SETTING), math.floor(FULL * ratio + 0.5))

    async def duty(self) -> Ratio:
        """Of the output that is driven least."""
        settings = [await self._read(register(fan, SETTING)) for fan in range(self.fans)]
        return Ratio(min(settings) / FULL)

    async def rpm(self, fan: int = 0) -> Rpm:
        """0 when it stands. The high byte goes first."""
        high = await self._read(register(fan, TACH_HIGH))
        low = await self._read(register(fan, TACH_LOW))
        return decode_rpm(high, low)


def decode_rpm(high: int, low: int, multiplier: int = 1) -> Rpm:
    """Thirteen bits of counts. `multiplier`: 1, 2, 4 or 8 for a range of 500, 1000, 2000 or 4000 rpm and more."""
    count = (high << 8 | low) >> 3
    return Rpm(0.0) if high == _STOPPED or not count else Rpm(_RPM_FACTOR * multiplier / count)


async def identify(i2c: I2c, address: int) -> tuple[str, int]:
    """The name of the part and how many fans it drives. `UnknownPart` for anything else."""
    manufacturer = (await i2c.write_read(address, bytes([MANUFACTURER]), 1))[0]
    product = (await i2c.write_read(address, bytes([PRODUCT]), 1))[0]
    found = _PRODUCTS.get(product)
    if manufacturer != _MANUFACTURER or found is None:
        raise UnknownPart(
            "fan controller", f"maker {manufacturer:02x} product {product:02x}", "maker 5d product 34 to 37"
        )
    return found
