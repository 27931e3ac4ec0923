"""INA260 as an I2C target: current, bus voltage and power of the line through it, words at a pointer, high byte first.

Sources: TI INA260 datasheet as quoted by ArduPilot's driver (registers, reset value, identities) and by
bablokb/circuitpython-vameter (conversion times, averages). [A] = assumption of this emulator: noise of one step and
gain wrong by up to 0.5 %; the line is looked at once a measurement, however long that is averaged; more than a word of
data is not taken. The alert pin is wired on no known board and not emulated: 06 and 07 keep what is written.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Final, NamedTuple

ADDRESS: Final = 0x40
CONFIGURATION, CURRENT, BUS_VOLTAGE, POWER, MASK_ENABLE, ALERT_LIMIT = 0x00, 0x01, 0x02, 0x03, 0x06, 0x07
MANUFACTURER, DIE = 0xFE, 0xFF
RESET_CONFIGURATION: Final = 0x6127
STEP_A, STEP_V, STEP_W = 0.00125, 0.00125, 0.01
NOISE_STEPS: Final = 1.0
"""Standard deviation of one measurement without averages."""
GAIN_ERROR: Final = 0.005
"""Of the current, at most; each specimen has its own."""
_IDENTITY: Final = {MANUFACTURER: 0x5449, DIE: 0x2270}
_CONVERSION_S: Final = (0.00014, 0.000204, 0.000332, 0.000588, 0.0011, 0.002116, 0.004156, 0.008244)
_AVERAGES: Final = (1, 4, 16, 64, 128, 256, 512, 1024)
_RESET, _FIXED, _FIXED_ONES = 0x8000, 0x7000, 0x6000
_CURRENT_ON, _VOLTAGE_ON, _WITHOUT_END = 0x01, 0x02, 0x04
_MEASURED, _OVERFLOWN, _MASK_WRITABLE = 0x08, 0x04, 0xFC03


class Line(NamedTuple):
    """What goes through the part."""

    volts: float
    amps: float


class Ina260:
    """The part. `look` gives the line and brings the bench up to that moment."""

    def __init__(self, *, look: Callable[[float], Line], seed: int, address: int = ADDRESS) -> None:
        self.address = address
        self._look = look
        self._rng = random.Random(f"{seed}/ina260/{address}")
        self._gain = 1.0 + self._rng.uniform(-GAIN_ERROR, GAIN_ERROR)
        self.tap: Callable[[str, float], float] | None = None
        """Channel (`input_v`, `input_a`, `input_w`) and what would be shown, to what is shown; None: the same."""
        self.power_up(0.0)

    def power_up(self, at_s: float) -> None:
        self._mask = self._limit = 0
        self._pointer = 0
        self._amps_steps = self._volts_steps = self._watts_steps = 0
        self._configure(RESET_CONFIGURATION, at_s)

    def _configure(self, word: int, at_s: float) -> None:
        """Takes a configuration and begins to measure anew; what was measured stays until then."""
        self._configuration = word & ~(_RESET | _FIXED) | _FIXED_ONES
        self._since_s = at_s
        self._measurements = 0
        self._measured = self._overflown = False

    # --- measuring

    @property
    def _period_s(self) -> float:
        word = self._configuration
        volts_s = _CONVERSION_S[word >> 6 & 7] if word & _VOLTAGE_ON else 0.0
        amps_s = _CONVERSION_S[word >> 3 & 7] if word & _CURRENT_ON else 0.0
        return (volts_s + amps_s) * self._averages

    @property
    def _averages(self) -> int:
        return _AVERAGES[self._configuration >> 9 & 7]

    def _measure(self, at_s: float) -> None:
        period_s = self._period_s
        if period_s == 0.0:
            return  # power-down: the last words stay
        measurements = int((at_s - self._since_s) / period_s + 1e-9)
        if not self._configuration & _WITHOUT_END:
            measurements = min(measurements, 1)
        if measurements <= self._measurements:
            return
        self._measurements = measurements
        line = self._look(at_s)
        noise = NOISE_STEPS / math.sqrt(self._averages)
        if self._configuration & _CURRENT_ON:
            steps = round(line.amps * self._gain / STEP_A + self._rng.gauss(0.0, noise))
            self._amps_steps = min(max(steps, -0x8000), 0x7FFF)
        if self._configuration & _VOLTAGE_ON:
            steps = round(line.volts / STEP_V + self._rng.gauss(0.0, noise))
            self._volts_steps = min(max(steps, 0), 0x7FFF)
        watts = abs(self._amps_steps) * STEP_A * self._volts_steps * STEP_V
        self._overflown = watts > 0xFFFF * STEP_W
        self._watts_steps = min(int(watts / STEP_W), 0xFFFF)
        self._measured = True

    # --- the bus

    def write(self, data: bytes, at_s: float) -> bool:
        self._pointer = data[0]
        if len(data) != 3:
            return True
        word = int.from_bytes(data[1:], "big")
        if data[0] == CONFIGURATION:
            self._measure(at_s)
            if word & _RESET:
                self.power_up(at_s)
            else:
                self._configure(word, at_s)
        elif data[0] == MASK_ENABLE:
            self._mask = word & _MASK_WRITABLE
        elif data[0] == ALERT_LIMIT:
            self._limit = word
        return True

    def read(self, count: int, at_s: float) -> bytes | None:
        return (self._word(self._pointer, at_s).to_bytes(2, "big") * count)[:count]

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        self.write(data, at_s)
        return self.read(count, at_s)

    def _word(self, register: int, at_s: float) -> int:
        self._measure(at_s)
        if register == CURRENT:
            return self._show("input_a", self._amps_steps, STEP_A)
        if register == BUS_VOLTAGE:
            return self._show("input_v", self._volts_steps, STEP_V)
        if register == POWER:
            return self._show("input_w", self._watts_steps, STEP_W)
        if register == MASK_ENABLE:
            flags = (_MEASURED if self._measured else 0) | (_OVERFLOWN if self._overflown else 0)
            self._measured = False
            return self._mask | flags
        known = {CONFIGURATION: self._configuration, ALERT_LIMIT: self._limit} | _IDENTITY
        return known.get(register, 0)

    def _show(self, channel: str, steps: int, step: float) -> int:
        """A false value that does not fit stands at the end of what 16 bits hold."""
        if self.tap is not None:
            steps = min(max(round(self.tap(channel, steps * step) / step), -0x8000), 0xFFFF)
        return steps & 0xFFFF
