"""DS4432U as an I2C target: two bytes, each a current out of or into a pin; and what a regulator makes of it.

Sources: the DS4432 datasheet as quoted by w3irdrobot/ds4432 and Linux ds4424.c (registers, sign bit, current of a
step); feedback voltages and resistors from ESP-Miner and emberone-miner. [A] = assumption of this emulator: other
registers are acknowledged, keep nothing and read as ones; more than one byte of data is not taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

ADDRESS: Final = 0x48
OUT0, OUT1 = 0xF8, 0xF9
BITAXE_FULL_SCALE_OHM: Final = 80_000.0
EMBERONE_FULL_SCALE_OHM: Final = 39_000.0
EMBERONE_V2_FULL_SCALE_OHM: Final = 80_600.0
_REFERENCE_V: Final = 0.997


@dataclass(frozen=True, slots=True)
class Divider:
    """From the output of a regulator over its feedback pin to ground."""

    feedback_v: float
    to_output_ohm: float
    to_ground_ohm: float

    def output_v(self, sourced_a: float) -> float:
        """What the regulator settles at while so much current is pushed into its feedback pin (drawn, if negative)."""
        through_top_a = self.feedback_v / self.to_ground_ohm - sourced_a
        return max(0.0, self.feedback_v + through_top_a * self.to_output_ohm)


BITAXE: Final = Divider(0.6, 4750.0, 3320.0)
EMBERONE: Final = Divider(0.8, 3570.0, 1020.0)


class Ds4432u:
    """The part. `drive` is told each change: output (0 or 1), amps out of the pin (negative: into it), when."""

    def __init__(
        self,
        *,
        drive: Callable[[int, float, float], None],
        full_scale_ohm: tuple[float, float] = (BITAXE_FULL_SCALE_OHM, BITAXE_FULL_SCALE_OHM),
        address: int = ADDRESS,
    ) -> None:
        """`full_scale_ohm`: from FS0 and FS1 to ground."""
        self.address = address
        self._drive = drive
        self._full_scale_ohm = full_scale_ohm
        self.power_up(0.0)

    def power_up(self, at_s: float) -> None:
        """Both outputs without current."""
        self._codes = bytearray(2)
        self._pointer = OUT0
        for output in (0, 1):
            self._drive(output, 0.0, at_s)

    def sourced_a(self, output: int) -> float:
        """Out of the pin of this output, 0 or 1."""
        code = self._codes[output]
        full_scale_a = _REFERENCE_V / self._full_scale_ohm[output] * 127 / 16
        current_a = full_scale_a * (code & 0x7F) / 127
        return current_a if code & 0x80 else -current_a

    def write(self, data: bytes, at_s: float) -> bool:
        self._pointer = data[0]
        if len(data) == 2 and data[0] in (OUT0, OUT1):
            output = data[0] - OUT0
            before_a = self.sourced_a(output)
            self._codes[output] = data[1]
            after_a = self.sourced_a(output)
            if after_a != before_a:
                self._drive(output, after_a, at_s)
        return True

    def read(self, count: int, at_s: float) -> bytes | None:
        held = self._codes[self._pointer - OUT0] if self._pointer in (OUT0, OUT1) else 0xFF
        return bytes([held] * count)

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        self.write(data, at_s)
        return self.read(count, at_s)
