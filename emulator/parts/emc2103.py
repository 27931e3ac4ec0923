"""EMC2103-2 as an I2C target: a fan driven by a register, its speed, and the diodes of two chips.

Sources: ESP-Miner main/thermal/EMC2103.h, the Linux driver emc2103.c. [M] = from memory of the datasheet, [A] =
assumption of this emulator. Its table and its closed loop are not emulated; ideality and beta move nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

ADDRESS: Final = 0x2E
PRODUCT_ID: Final = 0x26
NOISE_C: Final = 0.15
CONVERSION_S: Final = 1 / 16
GARBAGE_S: Final = 0.5
"""A diode reads nonsense for so long after its chip leaves reset, as an EMC2101 shows it (mujina `board/bitaxe.rs`)."""
FAULT: Final = 0x8000
STOPPED: Final = 0xFFF8
SETTING, FAN_CONFIG, TACH_HIGH, TACH_LOW = 0x40, 0x42, 0x4E, 0x4F
_TACH_CLOCK: Final = 3_932_160
_RESET: Final = {  # [M]: the fan stands until somebody writes
    0x20: 0x00, 0x11: 0x12, 0x12: 0x12, 0x14: 0x10, 0x15: 0x10, SETTING: 0x00, 0x41: 0x01, FAN_CONFIG: 0x2B, 0x43: 0x28,
    0x49: 0xF5, 0x4C: 0xF8, 0x4D: 0xFF, 0xFD: PRODUCT_ID, 0xFE: 0x5D, 0xFF: 0x01,
}  # fmt: skip
_READ_ONLY: Final = frozenset({*range(0x08), 0x24, 0x25, 0x26, 0x27, TACH_HIGH, TACH_LOW, 0xFC, 0xFD, 0xFE, 0xFF})


class Emc2103:
    """The part. `look` gives the two dies, the board and the fan's speed, and brings the bench up to that moment;
    `drive` is told each change of the fan's true duty, 0 to 1."""

    table_active = False
    """Its table is never in command."""

    def __init__(
        self,
        *,
        look: Callable[[float], tuple[float, float, float, float]],
        drive: Callable[[float, float], None],
        seed: int,
    ) -> None:
        self.address = ADDRESS
        self._look, self._drive = look, drive
        self._rng = random.Random(f"{seed}/emc2103")
        self.tap: Callable[[str, float], float] | None = None
        """Channel and what would be shown, to what is shown; None: the same."""
        self.diode = "ok"
        self.tach_lost = False
        self.duty = 0.0
        self._garbage_until_s = float("-inf")
        self.power_up(0.0)

    def power_up(self, at_s: float) -> None:
        self._registers = bytearray(256)
        for register, value in _RESET.items():
            self._registers[register] = value
        self._conversion = -1
        self._codes = [0, 0, 0]
        """Internal, then the two diodes, in eighths of a degree."""
        self._held = 0
        self._set_duty(at_s)

    def disturb(self, at_s: float) -> None:
        """The chips left reset."""
        self._garbage_until_s = at_s + GARBAGE_S

    def write(self, data: bytes, at_s: float) -> bool:
        register = data[0]
        for value in data[1:]:
            if register not in _READ_ONLY:
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
        if register < 0x06:
            channel, low = divmod(register, 2)
            if low:
                return self._held & 0xFF
            self._convert(at_s)
            self._held = self._word(channel)  # held for the read of the low byte
            return self._held >> 8
        if register == TACH_HIGH:
            self._held = self._tach(at_s)
            return self._held >> 8
        if register == TACH_LOW:
            return self._held & 0xFF
        return self._registers[register]

    def _word(self, channel: int) -> int:
        if channel and self.diode != "ok":
            return FAULT
        code = self._codes[channel]
        if channel and self.tap is not None:
            code = round(self.tap("chip_c", code / 8) * 8)
        return min(max(code, -512), 1023) << 5 & 0xFFFF

    def _convert(self, at_s: float) -> None:
        conversion = int(at_s / CONVERSION_S)
        if conversion == self._conversion:
            return
        self._conversion = conversion
        first_c, second_c, board_c, _ = self._look(at_s)
        self._codes = [round(board_c * 8)]
        for celsius in (first_c, second_c):
            celsius += self._rng.gauss(0.0, NOISE_C)
            if at_s < self._garbage_until_s:
                celsius += self._rng.uniform(-60.0, 60.0)
            self._codes.append(round(celsius * 8))

    def _tach(self, at_s: float) -> int:
        rpm = 0.0 if self.tach_lost else self._look(at_s)[3]
        rpm *= 1 + self._rng.gauss(0.0, 0.002) if rpm else 0.0  # jitter [A]
        if self.tap is not None:
            rpm = self.tap("fan_rpm", rpm)
        multiplier = 1 << (self._registers[FAN_CONFIG] >> 5 & 3)
        if rpm <= 0.0 or (count := int(_TACH_CLOCK * multiplier / rpm)) > 0x1FFE:
            return STOPPED
        return count << 3

    def _set_duty(self, at_s: float) -> None:
        duty = self._registers[SETTING] / 255 if not self._registers[FAN_CONFIG] & 0x80 else self.duty
        if duty != self.duty:
            self.duty = duty
            self._drive(duty, at_s)
