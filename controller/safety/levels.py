"""How long a condition has held; a level of one channel, with its hold time and the hysteresis it is left by. Pure.

Only GOOD samples count, each once.
"""

from __future__ import annotations

from typing import Final

from controller.model import BoardSnapshot, Channel, Envelope, Quality

INPUT_HOLD_S: Final = 0.5
INPUT_HYSTERESIS_V: Final = 0.05
DIPS_WITHIN_S: Final = 60.0
"""Dips of the input below its warning level are counted over so long."""
_JITTER_S: Final = 0.01


class Held:
    """How long a condition has held, over samples that are each counted once."""

    __slots__ = ("_last_s", "_since_s", "count")

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._last_s = float("-inf")
        self.count = 0

    def feed(self, sample_s: float, bad: bool) -> float:
        """Seconds from the first bad sample to this one; negative when this one is good, or was seen before."""
        if sample_s <= self._last_s:
            return -1.0
        self._last_s = sample_s
        if not bad:
            self._since_s = None
            self.count = 0
            return -1.0
        self.count += 1
        if self._since_s is None:
            self._since_s = sample_s
        return sample_s - self._since_s

    def forget(self) -> None:
        self._since_s = None
        self.count = 0


class Gate:
    """A level with a time to hold and a hysteresis. `active` from the moment it was passed until it is left."""

    def __init__(self, channel: Channel, limit: float, hysteresis: float, hold_s: float, *, above: bool = True) -> None:
        self.channel, self.limit, self.hold_s, self.above = channel, limit, hold_s, above
        self._leave = limit - hysteresis if above else limit + hysteresis
        self._held = Held()
        self._last_s = float("-inf")
        self.active = False
        self.value = 0.0
        self.calm = False
        """The newest good sample is on the right side of the hysteresis."""

    def feed(self, now: BoardSnapshot) -> bool:
        """True when the level was passed with this sample."""
        sample = now.channels.get(self.channel)
        if sample is None or sample.value is None or sample.quality is not Quality.GOOD or sample.at_s <= self._last_s:
            return False
        self._last_s, self.value = sample.at_s, sample.value
        beyond = sample.value > self.limit if self.above else sample.value < self.limit
        self.calm = sample.value < self._leave if self.above else sample.value > self._leave
        held_s = self._held.feed(sample.at_s, beyond and not self.active)
        if self.active:
            self.active = not self.calm
            return False
        self.active = beyond and held_s >= self.hold_s - _JITTER_S
        return self.active

    def forget(self) -> None:
        self._held.forget()
        self.active = self.calm = False


def input_warning(envelope: Envelope) -> Gate:
    """A dip of the input: below its warning level for 0.5 s. It is over 50 mV above the level."""
    return Gate(Channel.INPUT_V, envelope.input_v_low_warn, INPUT_HYSTERESIS_V, INPUT_HOLD_S, above=False)
