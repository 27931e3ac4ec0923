"""A regulator whose thermometer has failed, on a board that runs: a short while with less, before it is a trip. Pure.

The die's own sensor, the power and the fan bound the regulator by the thermal model. While that bound is below the
regulator's throttle level and everything that it rests on is good, the board goes to full fan and 0.7 of the stock
clock, and trips when the thermometer is not back in 30 s: ten watts more in the regulator take twice as long to its
throttle level, and nothing else would see them. Once an hour. No other channel is ever lived without, the die's least
of all: docs/adr/0007-derate.md.
"""

from __future__ import annotations

import math
from typing import Final

from controller.model import BoardSnapshot, Channel, Envelope, Quality, Reading
from controller.safety.commanded import Commanded

SHARE_OF_STOCK: Final = 0.7
AT_MOST_S: Final = 30.0
FAN_WITHIN_S: Final = 1.0
DOWN_WITHIN_S: Final = 12.0
"""From the hard limit of a Gamma, 1000 MHz, it is 10.2 s at 62.5 MHz/s; from the end of its range 4.2 s."""
GOOD_FOR_S: Final = 10.0
"""So long the thermometer has to be good again."""
AGAIN_AFTER_S: Final = 3600.0
_RESTS_ON: Final = (
    Channel.CHIP_C,
    Channel.CORE_V,
    Channel.CORE_A,
    Channel.INPUT_V,
    Channel.STATUS_WORD,
    Channel.FAN_RPM,
)


class Derate:
    """One per board."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._since_s: float | None = None
        self._ended_s = -math.inf
        self._good_since_s: float | None = None
        self._told = ""
        self._news: str | None = None

    @property
    def clock_mhz(self) -> float:
        """The highest clock while it lasts, on the grid of the slew step."""
        e = self._envelope
        return float(e.frequency_step_mhz) * math.floor(
            SHARE_OF_STOCK * e.stock_frequency_mhz / e.frequency_step_mhz + 1e-6
        )

    @property
    def active(self) -> str | None:
        """Why the board runs with less; None when it does not."""
        return None if self._since_s is None else self._told

    def look(self, now: BoardSnapshot, commanded: Commanded, vr_most_c: float | None) -> bool:
        """After each sweep of a live board: whether it may go on without the regulator's thermometer. False as well
        when nothing is missing. `vr_most_c`: how warm the regulator can be, by everything but its own thermometer."""
        vr = now.channels.get(Channel.VR_C)
        if vr is None or not self._envelope.means.sees(Channel.VR_C):
            return False
        if not self._unknown(vr, now.at_s):
            self._better(vr, now.at_s)
            return False
        self._good_since_s = None
        if (why_not := self._why_not(vr, now, commanded, vr_most_c)) is not None:
            if self._since_s is not None:
                self._news = f"not without vr_c: {why_not}"
            return False
        if self._since_s is None:
            self._since_s = now.at_s
            bound = f"by die and power it is below {vr_most_c:.0f} C, for {AT_MOST_S:g} s at most"
            self._told = f"{vr.evidence or 'no value'}; {bound}"
            self._news = f"vr_c is not known, full fan and {self.clock_mhz:g} MHz at most: {self._told}"
        return True

    def news(self) -> str | None:
        """What should stand in the log, once."""
        news, self._news = self._news, None
        return news

    def forget(self) -> None:
        """The board is not live any more. When it was last derated is remembered."""
        if self._since_s is not None:
            self._end(self._since_s)
        self._good_since_s = None

    def _unknown(self, vr: Reading, at_s: float) -> bool:
        return vr.quality is Quality.INVALID or vr.value is None or at_s - vr.at_s >= self._envelope.stale_bad_s

    def _better(self, vr: Reading, at_s: float) -> None:
        if self._since_s is None:
            return
        if vr.quality is not Quality.GOOD:
            self._good_since_s = None
            return
        self._good_since_s = at_s if self._good_since_s is None else self._good_since_s
        if at_s - self._good_since_s >= GOOD_FOR_S:
            self._end(at_s)
            self._news = f"vr_c has been good for {GOOD_FOR_S:g} s: the point comes back step by step"

    def _end(self, at_s: float) -> None:
        self._since_s, self._ended_s = None, at_s

    def _why_not(self, vr: Reading, now: BoardSnapshot, commanded: Commanded, vr_most_c: float | None) -> str | None:
        e = self._envelope
        if self._since_s is None and now.at_s - self._ended_s < AGAIN_AFTER_S:
            return f"again within {AGAIN_AFTER_S:g} s"
        if vr_most_c is None:
            return "nothing bounds it"
        if vr_most_c >= e.vr_c_throttle:
            return f"it may be as warm as {vr_most_c:.0f} C"
        if vr.value is not None and vr.value >= e.vr_c_throttle:
            return f"it was {vr.value:g} C"
        for channel in _RESTS_ON:
            sample = now.channels.get(channel)
            if sample is None or sample.value is None or sample.quality is not Quality.GOOD:
                return f"{channel.value} is not known either"
        die = now.channels[Channel.CHIP_C]
        if now.at_s - die.at_s > e.stale_warn_s:
            return f"chip_c is {now.at_s - die.at_s:.1f} s old"
        if die.value is None or die.value >= e.chip_c_warn:
            return f"chip_c is {die.value} C"
        if commanded.frequency_mhz is None or commanded.fan_ratio is None:
            return "clock or fan are not led by this program"
        if self._since_s is None:
            return None
        taken_s = now.at_s - self._since_s
        if taken_s >= FAN_WITHIN_S and commanded.fan_ratio < 1.0:
            return f"the fan is at {commanded.fan_ratio:g} after {taken_s:.1f} s"
        if taken_s >= DOWN_WITHIN_S and commanded.frequency_mhz > self.clock_mhz + 1.0:
            return f"the clock is at {commanded.frequency_mhz:g} MHz after {taken_s:.1f} s"
        if taken_s >= AT_MOST_S:
            return f"for {taken_s:.0f} s"
        return None


__all__ = ["Derate"]
