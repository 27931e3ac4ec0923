"""TPS40305: a buck regulator without a bus. Its output is what two resistors and the current of a DS4432U make of it.

Source: TI TPS40305 datasheet as quoted by ESP-Miner (feedback at 0.6 V); the pin that could switch it is driven by no
bridge. [A] = assumption of this emulator: it runs as soon as its input passes 3.2 V and until that falls below 3.0 V,
and reaches its set point within 3 ms.
"""

from __future__ import annotations

from collections.abc import Callable

from emulator.parts.ds4432u import Divider


class Tps40305:
    """The part. `drive` is told each change of the output: volts (0 when off), the time, and how long it takes."""

    STARTS_V = 3.2
    STOPS_V = 3.0
    RISE_S = 0.003

    def __init__(self, divider: Divider, *, drive: Callable[[float, float, float], None]) -> None:
        self._divider, self._drive = divider, drive
        self._sourced_a = self._error_v = 0.0
        self._on = self._tripped = False
        self._enabled = True

    @property
    def set_v(self) -> float:
        """Where the output is driven to when on."""
        return max(0.0, self._divider.output_v(self._sourced_a) + self._error_v)

    def power_up(self, input_v: float, at_s: float) -> None:
        """The supply came."""
        self._tripped = False
        self._switch(False, at_s)
        self.supervise(input_v, at_s)

    def steer(self, sourced_a: float, at_s: float) -> None:
        """So much current is pushed into the feedback node from now on (drawn, if negative)."""
        self._sourced_a = sourced_a
        self._follow(at_s)

    def set_regulation_error(self, volts: float, at_s: float) -> None:
        """Fault: the output leaves its set point by this much. Nothing here stops it."""
        self._error_v = volts
        self._follow(at_s)

    def trip(self, at_s: float) -> None:
        """Fault: it switches itself off, until `release` or the next supply."""
        self._tripped = True
        self._switch(False, at_s)

    def release(self, input_v: float, at_s: float) -> None:
        self._tripped = False
        self.supervise(input_v, at_s)

    def supervise(self, input_v: float, at_s: float) -> None:
        """The input has moved."""
        if self._on and (not self._enabled or input_v < self.STOPS_V):
            self._switch(False, at_s)
        elif not self._on and not self._tripped and self._enabled and input_v > self.STARTS_V:
            self._switch(True, at_s)

    def _follow(self, at_s: float) -> None:
        if self._on:
            self._drive(self.set_v, at_s, self.RISE_S)

    def _switch(self, on: bool, at_s: float) -> None:
        if on != self._on:
            self._on = on
            self._drive(self.set_v if on else 0.0, at_s, self.RISE_S)
