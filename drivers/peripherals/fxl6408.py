"""FXL6408: eight pins over I2C.

Sources: the Linux driver gpio-fxl6408.c (registers, maker in the upper three bits of 01), Zephyr gpio_fxl6408.c (values
after power-up, pulls), shufps ESP-Miner-NerdQAxePlus fxl6408.cpp and q1370.cpp (address, use). Unverified on a part.

After power-up every pin is an input and high-impedance, pulled down by the part [Zephyr; U-Boot's driver says up: U]:
what it switches is then as the board's own resistors leave it. A pin moves only if it is an output (03), not
high-impedance (07), and its level (05) is written; a part that was reset in between takes a level and moves nothing.
So all three are read back after each write. There is no way here to its software reset, which lets go of every pin.

One owner: a level is set by reading, changing and writing all eight.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Self

from drivers.errors import UnknownPart, UsageError, VerifyError
from drivers.peripherals.byte_registers import ByteRegisters
from drivers.traits import I2c

ADDRESS: Final = 0x43
DEVICE_ID, DIRECTION, OUTPUT, HIGH_Z, PULL_ENABLE, PULL_UP, INPUT = 0x01, 0x03, 0x05, 0x07, 0x0B, 0x0D, 0x0F
PINS: Final = 8
_MAKER: Final = 0b101
_NAMES: Final = {
    DIRECTION: "direction",
    OUTPUT: "output",
    HIGH_Z: "high-Z",
    PULL_ENABLE: "pull enable",
    PULL_UP: "pull direction",
}


class Q1370Pin(IntEnum):
    """What the pins of a NerdQ1370 do (q1370.cpp)."""

    ASIC_RESET = 0
    VREG_ENABLE = 1
    LDO_ENABLE = 2
    MUX_A0 = 3
    MUX_A1 = 4
    CAN_SLAVE = 5
    """An input with a pull-up; low: slave."""


class Fxl6408(ByteRegisters):
    """One expander. Made by `open`, so that one which exists has been identified. All methods raise what the bus
    raises; a write is never sent twice."""

    def __init__(self, i2c: I2c, address: int = ADDRESS) -> None:
        super().__init__(i2c, "FXL6408", address)

    @classmethod
    async def open(cls, i2c: I2c, address: int = ADDRESS) -> Self:
        """Identify, by reading alone. `UnknownPart` when something else answers."""
        found = (await i2c.write_read(address, bytes([DEVICE_ID]), 1))[0]
        if found >> 5 != _MAKER:
            raise UnknownPart("GPIO expander", f"device id {found:02x}", "a0 to bf")
        return cls(i2c, address)

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus."""
        return type(self)(i2c, self.address)

    async def configure(self, outputs: dict[int, bool], pulled_up: frozenset[int] = frozenset()) -> None:
        """Make these pins outputs with these levels and all others inputs; of the inputs, pull these up and the rest
        down. Levels come first, so that no pin is driven before it has its own. `VerifyError` names the register."""
        for pin in (*outputs, *pulled_up):
            _check(pin)
        if both := sorted(pulled_up & outputs.keys()):
            raise UsageError("pulled_up", both, "inputs")
        driven = sum(1 << pin for pin in outputs)
        await self._set(OUTPUT, sum(1 << pin for pin, high in outputs.items() if high))
        await self._set(PULL_UP, sum(1 << pin for pin in pulled_up))
        await self._set(PULL_ENABLE, ~driven & 0xFF)
        await self._set(HIGH_Z, ~driven & 0xFF)
        await self._set(DIRECTION, driven)

    async def set(self, pin: int, high: bool) -> None:
        """Drive an output. `VerifyError` when the level does not hold, or the pin is not driven any more."""
        mask = 1 << _check(pin)
        levels = await self._read(OUTPUT)
        await self._set(OUTPUT, levels | mask if high else levels & ~mask)
        if not await self.is_driven(pin):
            raise VerifyError(f"{self.name} pin {pin}", "an output", "not driven")

    async def get(self, pin: int) -> bool:
        """The level that an output is told to have: the latch, not the pin."""
        mask = 1 << _check(pin)
        return bool(await self._read(OUTPUT) & mask)

    async def is_driven(self, pin: int) -> bool:
        """Whether it is an output and not high-impedance."""
        mask = 1 << _check(pin)
        return bool(await self._read(DIRECTION) & mask) and not await self._read(HIGH_Z) & mask

    async def inputs(self) -> int:
        """Levels of the pins, bit 0 pin 0. What it shows of outputs is not known [U]."""
        return await self._read(INPUT)

    def pin(self, pin: int) -> ExpanderPin:
        """An output as a `GpioPin`."""
        return ExpanderPin(self, _check(pin))

    def _called(self, register: int) -> str:
        return f"{_NAMES[register]} ({register:02x})"


class ExpanderPin:
    """A `GpioPin`: `get` gives the latch."""

    def __init__(self, expander: Fxl6408, number: int) -> None:
        self.number = number
        self._expander = expander

    async def set(self, high: bool) -> None:
        await self._expander.set(self.number, high)

    async def get(self) -> bool:
        return await self._expander.get(self.number)


def _check(pin: int) -> int:
    if not 0 <= pin < PINS:
        raise UsageError("pin", pin, f"0 to {PINS - 1}")
    return pin
