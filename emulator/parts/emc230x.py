"""EMC2301 to EMC2305 as I2C targets: fans driven by a register, their speed measured, and no thermometer.

Sources: Microchip DS20006532A as its registers were written down by public drivers (the Linux driver emc2305.c of 2013,
mamin27/ecomet_i2c_raspberry_tools, ESP-Miner main/thermal/EMC2302.h). [M] = from memory of the datasheet, [A] =
assumption of this emulator. Closed-loop speed control, drive-fail and the watchdog are not emulated.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

PRODUCT_IDS: Final = {"EMC2301": 0x37, "EMC2302": 0x36, "EMC2303": 0x35, "EMC2305": 0x34}
FANS: Final = {"EMC2301": 1, "EMC2302": 2, "EMC2303": 3, "EMC2305": 5}
SETTING, CONFIG_1, TACH_HIGH, TACH_LOW = 0x0, 0x2, 0xE, 0xF
STOPPED: Final = 0xFFF8
_TACH_CLOCK: Final = 3_932_160
_CLOSED_LOOP: Final = 0x80
_RESET_OF_A_FAN: Final = {  # [M]: fans stand until somebody writes
    0x0: 0x00, 0x1: 0x01, 0x2: 0x2B, 0x3: 0x28, 0x5: 0x2A, 0x6: 0x19, 0x7: 0x10, 0x8: 0x66, 0x9: 0xF5, 0xC: 0xF8, 0xD:
    0xFF,
}  # fmt: skip
_READ_ONLY: Final = frozenset({0x24, 0x25, 0x26, 0x27, 0xFC, 0xFD, 0xFE, 0xFF})


class Emc230x:
    """The part. `look` gives the speed of a fan and brings the bench up to that moment; `drive` is told each change of
    the true duty of the first output, 0 to 1. The other outputs turn nothing [A]."""

    table_active = False
    """It has no table."""

    def __init__(
        self,
        *,
        look: Callable[[float], float],
        drive: Callable[[float, float], None],
        seed: int,
        product: str,
        address: int,
    ) -> None:
        self.address = address
        self._product_id, self._fans = PRODUCT_IDS[product], FANS[product]
        self._look, self._drive = look, drive
        self._rng = random.Random(f"{seed}/emc230x")
        self.tap: Callable[[str, float], float] | None = None
        """Channel and what would be shown, to what is shown; None: the same."""
        self.tach_lost = False
        self.duty = 0.0
        self._registers = bytearray(256)
        self._low = 0
        self.power_up(0.0)

    def power_up(self, at_s: float) -> None:
        registers = self._registers = bytearray(256)
        registers[0x20] = 0x40
        for fan in range(self._fans):
            for offset, value in _RESET_OF_A_FAN.items():
                registers[0x30 + 0x10 * fan + offset] = value
        registers[0xFD], registers[0xFE], registers[0xFF] = self._product_id, 0x5D, 0x80
        self._set_duty(at_s)

    def write(self, data: bytes, at_s: float) -> bool:
        register = data[0]
        for value in data[1:]:
            if register not in _READ_ONLY and not (register >= 0x30 and register & 0xF in (TACH_HIGH, TACH_LOW)):
                self._registers[register] = value
            register = (register + 1) & 0xFF
        self._set_duty(at_s)
        return True

    def read(self, count: int, at_s: float) -> bytes | None:
        return self.write_read(b"\x00", count, at_s)

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        if len(data) > 1:
            self.write(data, at_s)
        return bytes(self._get((data[0] + step) & 0xFF, at_s) for step in range(count))

    def _get(self, register: int, at_s: float) -> int:
        fan, offset = (register >> 4) - 3, register & 0xF
        if 0 <= fan < self._fans and offset == TACH_HIGH:
            word = self._tach(fan, at_s)
            self._low = word & 0xFF  # held for the read that should follow [A]
            return word >> 8
        if 0 <= fan < self._fans and offset == TACH_LOW:
            return self._low
        return self._registers[register]

    def _tach(self, fan: int, at_s: float) -> int:
        """Counts, shifted left by 3; the range of the first configuration register says how slow a fan may turn."""
        rpm = self._look(at_s) if fan == 0 and not self.tach_lost else 0.0
        rpm *= 1 + self._rng.gauss(0.0, 0.002) if rpm else 0.0  # jitter [A]
        if fan == 0 and self.tap is not None:
            rpm = self.tap("fan_rpm", rpm)
        multiplier = 1 << (self._registers[0x30 + 0x10 * fan + CONFIG_1] >> 5 & 3)
        if rpm <= 0.0 or (count := int(_TACH_CLOCK * multiplier / rpm)) > 0x1FFE:
            return STOPPED
        return count << 3

    def _set_duty(self, at_s: float) -> None:
        led_by_host = not self._registers[0x30 + CONFIG_1] & _CLOSED_LOOP
        duty = self._registers[0x30 + SETTING] / 255 if led_by_host else self.duty
        if duty != self.duty:
            self.duty = duty
            self._drive(duty, at_s)
