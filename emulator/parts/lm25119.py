"""LM25119: a buck regulator of two phases without a bus. Its output is what two resistors and the current of a DS4432U
make of it, as that of a TPS40305; a pin switches it.

Sources: TI LM25119 datasheet as quoted in 256-Foundation/emberone00-pcb (feedback at 0.8 V, power.kicad_sch): UVLO is
driven by PWR_EN alone, soft start of 15 nF at 10 uA [M], so 1.2 ms. [A] = assumption of this emulator: it starts above
4.5 V and stops below 4.0 V; its current limit, 2 x 40 A by 3 mohm [M], is out of reach and not emulated.
"""

from __future__ import annotations

from emulator.parts.tps40305 import Tps40305


class Lm25119(Tps40305):
    """The part. Off until its pin is driven high."""

    STARTS_V = 4.5
    STOPS_V = 4.0
    RISE_S = 0.0012

    def set_enable_pin(self, high: bool, input_v: float, at_s: float) -> None:
        """UVLO: low is off, at once."""
        self._enabled = high
        self.supervise(input_v, at_s)
