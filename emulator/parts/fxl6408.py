"""FXL6408 as an I2C target: eight pins that are driven, let go, or pulled.

Sources: Zephyr gpio_fxl6408.c (registers, values after power-up, pulls), Linux gpio-fxl6408.c (maker in the upper three
bits of 01). [A] = assumption of this emulator: 01 is A2 after a reset and A0 once it was read; the input status shows
the levels of outputs too; a pin that nobody drives or pulls is low; one byte a write. Interrupts are not emulated: 09
and 11 keep what is written, 13 reads as 00.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

ADDRESS: Final = 0x43
IDENTITY, DIRECTION, OUTPUT, HIGH_Z, INPUT_DEFAULT = 0x01, 0x03, 0x05, 0x07, 0x09
PULL_ENABLE, PULL_UP, INPUT, INTERRUPT_MASK, INTERRUPT = 0x0B, 0x0D, 0x0F, 0x11, 0x13
PINS: Final = 8
_MAKER: Final = 0xA0
_WAS_RESET: Final = 0x02
_RESET: Final = 0x01
_AFTER_RESET: Final = {
    DIRECTION: 0x00,
    OUTPUT: 0x00,
    HIGH_Z: 0xFF,
    INPUT_DEFAULT: 0x00,
    PULL_ENABLE: 0xFF,
    PULL_UP: 0x00,
    INTERRUPT_MASK: 0x00,
}


class Fxl6408:
    """The part. `drive` is told each change of what a pin does: pin, True or False if it is driven, None if it is not;
    `outside` gives the level that the board puts on a pin, None if it puts none."""

    def __init__(
        self,
        *,
        drive: Callable[[int, bool | None, float], None],
        outside: Callable[[int, float], bool | None] = lambda pin, at_s: None,
        address: int = ADDRESS,
    ) -> None:
        self.address = address
        self._drive, self._outside = drive, outside
        self._driven: list[bool | None] = [None] * PINS
        self.power_up(0.0)

    def power_up(self, at_s: float) -> None:
        """Every pin an input, high-impedance and pulled down."""
        self._registers = dict(_AFTER_RESET)
        self._identity = _MAKER | _WAS_RESET
        self._pointer = 0
        self._apply(at_s)

    def level(self, pin: int, at_s: float) -> bool:
        """What is on the pin."""
        driven = self._driven[pin]
        if driven is not None:
            return driven
        outside = self._outside(pin, at_s)
        if outside is not None:
            return outside
        return bool(self._registers[PULL_ENABLE] & self._registers[PULL_UP] & 1 << pin)

    def _apply(self, at_s: float) -> None:
        registers = self._registers
        driving = registers[DIRECTION] & ~registers[HIGH_Z]
        for pin in range(PINS):
            driven = bool(registers[OUTPUT] >> pin & 1) if driving >> pin & 1 else None
            if driven is not self._driven[pin]:
                self._driven[pin] = driven
                self._drive(pin, driven, at_s)

    def write(self, data: bytes, at_s: float) -> bool:
        self._pointer = data[0]
        if len(data) != 2:
            return True
        if data[0] == IDENTITY:
            if data[1] & _RESET:
                self.power_up(at_s)
        elif data[0] in self._registers:
            self._registers[data[0]] = data[1]
            self._apply(at_s)
        return True

    def read(self, count: int, at_s: float) -> bytes | None:
        if self._pointer == IDENTITY:
            found, self._identity = self._identity, _MAKER
        elif self._pointer == INPUT:
            found = sum(self.level(pin, at_s) << pin for pin in range(PINS))
        else:
            found = self._registers.get(self._pointer, 0)
        return bytes([found] * count)

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        self.write(data, at_s)
        return self.read(count, at_s)
