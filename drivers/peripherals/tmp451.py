"""TMP451: the temperature of a remote diode, such as the one in a chip, and its own.

Sources: TI SLOS877C (register table with reset values, status), Linux lm90.c (standard range without sign, at most 32
measurements a second), 256foundation/mujina peripheral/tmp451.rs, Georges760/tmp451-rs (rates), shufps
ESP-Miner-NerdQAxePlus tmp451.cpp. One byte a register; some are written at another address than they are read at.
Unverified on a part.

Two ranges, told by bit 2 of 03. Standard: 0 to 127.94 C, and all that is colder stands as 0, so 0 is no temperature
here, nor is the end of the range. Extended: 64 less than it says. mujina reads the standard range as this does,
NerdQAxePlus and emberone-miner take its high byte for signed. The range is left as it is found: the limits of the part
are in the same format, and the pin that they drive may be wired to something.

The low byte belongs to the high byte that was read just before [M]. An open diode is told by the status alone; it is
read after the temperature, so that a diode that opens in between cannot pass.
"""

from __future__ import annotations

import math
from typing import Final, Self

from drivers.errors import LimitError, UnknownPart, VerifyError
from drivers.peripherals.byte_registers import ByteRegisters
from drivers.peripherals.tmp1075 import Temperature
from drivers.traits import I2c
from drivers.units import Celsius

ADDRESSES: Final = (0x4C, 0x49, 0x4E)
"""As delivered; EmberOne v4 and later; the second of a NerdQAxe board."""
LOCAL_HIGH, REMOTE_HIGH, STATUS, CONFIGURATION, RATE = 0x00, 0x01, 0x02, 0x03, 0x04
CONFIGURATION_WRITE, RATE_WRITE = 0x09, 0x0A
REMOTE_LOW, OFFSET_HIGH, OFFSET_LOW, LOCAL_LOW, N_FACTOR = 0x10, 0x11, 0x12, 0x15, 0x23
MANUFACTURER: Final = 0xFE
REMOTE_OPEN: Final = 0x04
"""In the status."""
SHUTDOWN, EXTENDED = 0x40, 0x04
"""In the configuration."""
LOW_C, HIGH_C = -40.0, 127.0
"""What is passed on as a temperature."""
RATES_HZ: Final = tuple(2.0 ** (code - 4) for code in range(10))
"""By code: 0.0625 to 32 a second."""
DEFAULT_RATE: Final = 0x08
"""16 a second, as after power-up."""
_TEXAS_INSTRUMENTS: Final = 0x55


class Tmp451(ByteRegisters):
    """One thermometer. Made by `open`, so that one which exists has been identified. All methods raise what the bus
    raises."""

    def __init__(self, i2c: I2c, address: int, *, extended: bool) -> None:
        super().__init__(i2c, "TMP451", address)
        self.extended = extended

    @classmethod
    async def open(cls, i2c: I2c, address: int) -> Self:
        """Identify and see which range is on, by reading alone. `UnknownPart` when something else answers."""
        maker = (await i2c.write_read(address, bytes([MANUFACTURER]), 1))[0]
        if maker != _TEXAS_INSTRUMENTS:
            raise UnknownPart("thermometer", f"maker {maker:02x}", "maker 55")
        configuration = (await i2c.write_read(address, bytes([CONFIGURATION]), 1))[0]
        return cls(i2c, address, extended=bool(configuration & EXTENDED))

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus."""
        return type(self)(i2c, self.address, extended=self.extended)

    async def configure(self, remote_offset_c: float = 0.0, rate: int = DEFAULT_RATE) -> None:
        """Measure without end, so many times a second (`RATES_HZ`), and add this to what the diode says; its ideality
        as after power-up. Read back; `VerifyError` names the register. `LimitError`, and nothing is written."""
        offset_high, offset_low = encode_offset(remote_offset_c)
        if not 0 <= rate < len(RATES_HZ):
            raise LimitError("conversion rate", rate, f"0 to {len(RATES_HZ) - 1}")
        configuration = await self._read(CONFIGURATION)
        if bool(configuration & EXTENDED) != self.extended:
            raise VerifyError("TMP451 range", self.extended, not self.extended)
        await self._set(CONFIGURATION_WRITE, configuration & ~SHUTDOWN, read_at=CONFIGURATION)
        await self._set(RATE_WRITE, rate, read_at=RATE)
        await self._set(OFFSET_HIGH, offset_high)
        await self._set(OFFSET_LOW, offset_low)
        await self._set(N_FACTOR, 0x00)

    async def local(self) -> Temperature:
        """Where the part itself sits."""
        high, low = await self._read(LOCAL_HIGH), await self._read(LOCAL_LOW)
        return self._judged(high, low)

    async def remote(self) -> Temperature:
        """Where the diode sits, with the offset in it."""
        high, low = await self._read(REMOTE_HIGH), await self._read(REMOTE_LOW)
        if await self._read(STATUS) & REMOTE_OPEN:
            return Temperature(None, "diode open (status 04)")
        return self._judged(high, low)

    async def remote_offset_c(self) -> Celsius:
        """As the part holds it."""
        return decode_offset(await self._read(OFFSET_HIGH), await self._read(OFFSET_LOW))

    def _judged(self, high: int, low: int) -> Temperature:
        celsius = decode(high, low, extended=self.extended)
        if celsius == 0.0 and not self.extended:
            return Temperature(None, "reads 0 C, as all that is colder does, and a shorted diode")
        if not LOW_C <= celsius <= HIGH_C:
            return Temperature(None, f"reads {celsius:g} C, outside {LOW_C:g} to {HIGH_C:g}")
        return Temperature(celsius, None)


def decode(high: int, low: int, *, extended: bool) -> Celsius:
    """Whole degrees, and sixteenths in the upper half of the low byte."""
    return Celsius(high + (low >> 4) / 16 - (64.0 if extended else 0.0))


def encode_offset(celsius: float) -> tuple[int, int]:
    """High and low byte, to the nearest sixteenth. `LimitError` outside -128 to 127.9375."""
    if not -128.0 <= celsius <= 127.9375:
        raise LimitError("remote offset", celsius, "-128 to 127.9375 C")
    word = math.floor(celsius * 16 + 0.5) << 4 & 0xFFFF
    return word >> 8, word & 0xFF


def decode_offset(high: int, low: int) -> Celsius:
    word = high << 8 | low & 0xF0
    return Celsius((word - 0x1_0000 if word & 0x8000 else word) / 256)
