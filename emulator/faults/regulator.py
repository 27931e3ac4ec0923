"""Faults of the regulator itself: what it does although nobody told it to."""

from __future__ import annotations

from typing import Annotated

from emulator.faults.actions import action
from emulator.faults.arguments import Number, Off
from emulator.faults.topic import Topic


class RegulatorFaults(Topic):
    """Regulator

    Writes that are ignored, doubled or read back as before are under *I2C bus*.
    """

    def _end_all(self) -> None:
        self._ramp("regulation", 0.0, 0.0, 0.0, self._bench.set_regulation_error_v)
        self._bench.release_rail()
        super()._end_all()

    @action("docs/safety.md 3: core voltage")
    def regulation_error(self, volts: Annotated[float, Number(-2.0, 2.0, "V")] = 0.05, *, off: Off = False) -> None:
        """The rail is off its set point by this much: a regulator that no longer regulates."""
        self._ramp("regulation", 0.0, 0.0 if off else volts, 0.0, self._bench.set_regulation_error_v)

    @action("docs/safety.md 3: core voltage, at once; current that rises by itself: ESP-Miner-NerdQAxePlus #232")
    def run_away(
        self,
        v_per_s: Annotated[float, Number(0.001, 100.0, "V/s")] = 0.1,
        up_to_v: Annotated[float, Number(0.0, 2.0, "V")] = 1.0,
        *,
        off: Off = False,
    ) -> None:
        """The rail climbs from its set point by that much a second, to that much above it; the regulator's own
        over-voltage limit still acts."""
        if off:
            self._ramp("regulation", 0.0, 0.0, 0.0, self._bench.set_regulation_error_v)
        else:
            self._ramp("regulation", 0.0, up_to_v, up_to_v / v_per_s, self._bench.set_regulation_error_v)

    @action("ESP-Miner #1322, #757; ESP-Miner-NerdQAxePlus #709")
    def trip_rail(self, *, off: Off = False) -> None:
        """The regulator switches itself off: STATUS_WORD 0840, no latched bit. It comes on again when it is commanded
        off and on, or with `off`."""
        if off:
            self._bench.release_rail()
        else:
            self._bench.trip_rail()
