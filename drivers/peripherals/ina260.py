"""INA260: volts, amps and watts at the input of a board, measured with a shunt inside the part.

Sources: ESP-Miner main/power/INA260.c, TI INA260 datasheet as quoted by ArduPilot's AP_BattMonitor_INA260.cpp (reset
value of the configuration, identities) and by the Linux driver ina2xx.c (scales). Words stand at a pointer, high byte
first. Unverified on a board.

The current is signed: ESP-Miner takes it for unsigned, and -1.25 mA at no load for 81.9 A. No miner's firmware that was
read writes a register; `configure` does, because a setting outlives a restart of the bridge, and a part in power-down
repeats its last words for ever.
"""

from __future__ import annotations

from typing import Final, Self

from drivers.errors import UnexpectedReply, UnknownPart, VerifyError
from drivers.traits import I2c
from drivers.units import Amps, Volts, Watts

ADDRESS: Final = 0x40
CONFIGURATION, CURRENT, BUS_VOLTAGE, POWER = 0x00, 0x01, 0x02, 0x03
MANUFACTURER, DIE = 0xFE, 0xFF
CONTINUOUS: Final = 0x6127
"""As after power-up: volts and amps in turn without end, 1.1 ms each, no averages."""
A_PER_STEP, V_PER_STEP, W_PER_STEP = 0.00125, 0.00125, 0.01
_TEXAS_INSTRUMENTS: Final = 0x5449
_DIE: Final = 0x2270
_DIE_MASK: Final = 0xFFF0
"""The lowest four bits are the revision."""
_NEVER_SET: Final = 0x8000
"""In the bus voltage."""


class Ina260:
    """One meter. Made by `open`, so that one which exists has been identified. All methods raise what the bus does."""

    def __init__(self, i2c: I2c, address: int = ADDRESS) -> None:
        self.address = address
        self._i2c = i2c

    @classmethod
    async def open(cls, i2c: I2c, address: int = ADDRESS) -> Self:
        """Identify, by reading alone. `UnknownPart` when something else answers."""
        part = cls(i2c, address)
        await part.identify()
        return part

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus."""
        return type(self)(i2c, self.address)

    async def identify(self) -> None:
        """`UnknownPart` for anything else."""
        maker, die = await self._word(MANUFACTURER), await self._word(DIE)
        if maker != _TEXAS_INSTRUMENTS or die & _DIE_MASK != _DIE:
            raise UnknownPart("power meter", f"maker {maker:04x} die {die:04x}", "maker 5449 die 2270 to 227f")

    async def configure(self) -> None:
        """Measure without end. Read back; `VerifyError` when it does not hold."""
        await self._i2c.write(self.address, bytes([CONFIGURATION]) + CONTINUOUS.to_bytes(2, "big"))
        found = await self._word(CONFIGURATION)
        if found != CONTINUOUS:
            raise VerifyError("INA260 configuration", f"{CONTINUOUS:#06x}", f"{found:#06x}")

    async def current_a(self) -> Amps:
        """Signed: a step or two below nothing is normal at no load."""
        return decode_current(await self._bytes(CURRENT))

    async def bus_v(self) -> Volts:
        """`UnexpectedReply` for a word that the part cannot give, such as the FFFF of a bus that nobody drives."""
        return decode_bus_voltage(await self._bytes(BUS_VOLTAGE))

    async def power_w(self) -> Watts:
        """What the part has made of its own last volts and amps. It has no sign."""
        return decode_power(await self._bytes(POWER))

    async def _word(self, register: int) -> int:
        return int.from_bytes(await self._bytes(register), "big")

    async def _bytes(self, register: int) -> bytes:
        return await self._i2c.write_read(self.address, bytes([register]), 2)


def decode_current(data: bytes) -> Amps:
    return Amps(int.from_bytes(data, "big", signed=True) * A_PER_STEP)


def decode_bus_voltage(data: bytes) -> Volts:
    word = int.from_bytes(data, "big")
    if word & _NEVER_SET:
        raise UnexpectedReply(f"INA260 bus voltage: {word:04x}, and its highest bit is never set")
    return Volts(word * V_PER_STEP)


def decode_power(data: bytes) -> Watts:
    return Watts(int.from_bytes(data, "big") * W_PER_STEP)
