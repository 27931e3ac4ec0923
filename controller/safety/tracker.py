"""One channel and its samples: which of them is taken, and what the channel is worth after it. Pure.

Here are the rules that look at one channel alone: range, error codes, rate, votes, age. What several channels say of
each other is found in `crosschecks.py` and handed in as a `Doubt`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from controller.model import Quality, Reading
from drivers.boards.board import BLANKED, FAULTY, Channel, PlausibilityLimits, TemperatureSensor

_SENTINELS_C = (-1.0, 127.0, 127.875, 255.0)
_SENTINEL_WIDTH_C = 0.01
_GOOD, _SUSPECT, _INVALID = Quality.GOOD, Quality.SUSPECT, Quality.INVALID
_READING_FIELDS = {"value", "at_s", "quality", "evidence"}
"""Shared by all readings: they are frozen, and a copy of one copies this."""
_SMOOTHING = 0.2
"""For the mean of the last samples: a third of the noise of one."""


_set = object.__setattr__


def reading(value: float | None, at_s: float, quality: Quality, evidence: str | None = None) -> Reading:
    """A `Reading` from trusted values: what `Reading.model_construct` does, at a sixth of its price.

    Thirteen of them five times a second and board would otherwise cost more than the sweep itself.
    """
    made: Reading = Reading.__new__(Reading)
    _set(made, "__dict__", {"value": value, "at_s": at_s, "quality": quality, "evidence": evidence})
    _set(made, "__pydantic_fields_set__", _READING_FIELDS)
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


class Doubt(NamedTuple):
    """What a rule holds against a channel whose own samples look well."""

    rule: str
    text: str
    since_s: float


class Tracker:
    """The state of one channel. `take` is the whole of it; the attributes are for the rules that compare channels."""

    __slots__ = (
        "_agreed",
        "_bad_run",
        "_candidate",
        "_candidate_s",
        "_high",
        "_hot_from",
        "_invalid",
        "_limits",
        "_low",
        "_recent",
        "_sensor",
        "_sources",
        "_stale_s",
        "at_s",
        "channel",
        "doubt",
        "hot",
        "jumped_s",
        "quality",
        "smooth",
        "trusted",
        "unchanged",
        "unchanged_since_s",
        "value",
    )

    def __init__(
        self,
        channel: Channel,
        limits: PlausibilityLimits,
        span: tuple[float, float],
        stale_s: float,
        at_s: float,
        *,
        hot_from: float = math.inf,
        sources: Sequence[Tracker] = (),
    ) -> None:
        self.channel = channel
        self._limits = limits
        self._low, self._high = span
        self._stale_s = stale_s
        self._hot_from = hot_from
        self._sensor: TemperatureSensor | None = (
            limits.chip if channel is Channel.CHIP_C else limits.vr if channel is Channel.VR_C else None
        )
        self._sources = tuple(sources)
        self._bad_run = 0
        self._invalid = False
        self._recent: tuple[bool, bool] = (False, False)
        self._candidate: float | None = None
        self._candidate_s = 0.0
        self._agreed = 0
        self.value: float | None = None
        """The last sample that was taken, and its time."""
        self.at_s = at_s
        self.smooth = 0.0
        """Mean of the last samples."""
        self.unchanged = 0
        """How many samples in a row have repeated the value, and since when."""
        self.unchanged_since_s = at_s
        self.jumped_s = -math.inf
        """When it last went where no heat could have taken it, and stayed."""
        self.hot = False
        """Of a thermometer: the last sample was at or above the trip level and no error code, taken or not."""
        self.trusted = False
        """The last sample, by itself, was good."""
        self.quality = _INVALID
        self.doubt: Doubt | None = None

    def take(self, value: float | None, note: str | None, at_s: float, powered: bool, moving: bool) -> Reading:
        """One sample, or None and why. `moving`: voltage, clock, rail or reset have just changed."""
        self.hot = False
        if value is None:
            if note is not None:
                if note.startswith(BLANKED):
                    return self._blanked(at_s, note, powered)
                if note.startswith(FAULTY):
                    return self.reject(f"range: {note}", at_s)
            self.trusted = False
            return self._kept(at_s, note or "no answer")
        if self._sources:
            for source in self._sources:
                if source.quality is not _GOOD:
                    self.trusted = False
                    why = f"needs {source.channel.value}, which is {source.quality.value}"
                    return self._kept(at_s, why)
        if not self._low <= value <= self._high or not math.isfinite(value):
            return self.reject(f"range: read {value:g}, outside {self._low:g} to {self._high:g}", at_s)
        if self._sensor is not None:
            why_bad = self._odd_temperature(value, at_s, powered, self._sensor, moving)
            if why_bad is not None:
                return self.reject(why_bad, at_s)
        if self._invalid:
            votes = self._recent[0] + self._recent[1] + 1
            self._recent = (self._recent[1], True)
            if votes < self._limits.votes_of_three:
                why = f"votes: read {value:g} after being invalid, one good sample is not enough"
                return self._kept(at_s, why)
            self._invalid = False
        self._bad_run = 0
        if value == self.value:
            self.unchanged += 1
        else:
            self.unchanged = 1
            self.unchanged_since_s = at_s
            self.value = value
        self.at_s = at_s
        self.trusted = True
        if self.doubt is not None:
            return self._doubted(value, at_s, self.doubt, powered)
        self.quality = _GOOD
        return reading(value, at_s, _GOOD)

    def reject(self, why: str, at_s: float) -> Reading:
        """A bad sample: it is not taken, and it counts against the channel. `why` begins with the rule."""
        self.trusted = False
        self._bad_run += 1
        self._recent = (self._recent[1], False)
        self._invalid = self._invalid or self._bad_run >= self._limits.bad_in_a_row
        return self._kept(at_s, why)

    # --- temperatures -------------------------------------------------------------------------------------------------

    def _odd_temperature(
        self, value: float, at_s: float, powered: bool, sensor: TemperatureSensor, moving: bool
    ) -> str | None:
        if value < 0.0 or value > 126.9:
            for code in _SENTINELS_C:
                if abs(value - code) < _SENTINEL_WIDTH_C:
                    return f"range: read {value:g}, which is an error code"
        elif value == 0.0 and powered:
            return "range: read exactly 0 on a powered board"
        self.hot = value >= self._hot_from
        rate = sensor.rate_moving_c_per_s if moving else sensor.rate_c_per_s
        before, age_s = self.value, at_s - self.at_s
        if self._invalid:
            # What it said before is worth nothing: the votes that bring it back have to agree with each other.
            found = self._disagrees(value, at_s, rate, sensor, 1)
            if found is None and before is not None and abs(value - before) > rate * age_s + sensor.jitter_c:
                self.jumped_s = at_s  # it comes back elsewhere: evidence, should it contradict another
            return found
        if before is None or age_s >= self._stale_s:
            self._candidate, self.smooth = None, value
            return None
        if abs(value - before) <= rate * (age_s + sensor.age_s) + sensor.jitter_c:
            self._candidate = None
            self.smooth += _SMOOTHING * (value - self.smooth)
            return None
        found = self._disagrees(value, at_s, rate, sensor, self._limits.agreeing)
        text = f"rate: read {value:g} C, {value - before:+.1f} C in {age_s:.1f} s (more than {rate:g} C/s)"
        if found is None:
            if powered and value >= self._hot_from:
                # No heat did this, and it must not pass for heat.
                return f"{text}, and stays at or above its trip level"
            self.jumped_s, self.smooth, self._candidate = at_s, value, None
            return None
        return text

    def _disagrees(self, value: float, at_s: float, rate: float, sensor: TemperatureSensor, needed: int) -> str | None:
        """Whether this sample is not yet one of `needed` in a row that agree with each other, and why."""
        candidate, allowed = self._candidate, rate * (at_s - self._candidate_s + sensor.age_s) + sensor.jitter_c
        agrees = candidate is not None and abs(value - candidate) <= allowed
        self._agreed = self._agreed + 1 if agrees else 1
        self._candidate, self._candidate_s = value, at_s
        if candidate is None or agrees:
            if self._agreed >= needed:
                self.smooth = value
                return None
            return f"rate: read {value:g} C, {self._agreed} of {needed} that agree"
        return f"rate: read {value:g} C, {value - candidate:+.1f} C from the sample before it"

    # --- what is told -------------------------------------------------------------------------------------------------

    def _doubted(self, value: float, at_s: float, doubt: Doubt, powered: bool) -> Reading:
        """The value is shown and fresh. What is doubted and reads too hot is not given the benefit of the doubt."""
        held_s = at_s - doubt.since_s
        text = f"{doubt.rule}: {doubt.text}; for {held_s:.1f} s"
        if powered and (held_s >= self._limits.doubt_s or value >= self._hot_from):
            self.quality = _INVALID
            if held_s < self._limits.doubt_s:
                text += f", and {value:g} is at or above its trip level"
        else:
            self.quality = _SUSPECT
        return reading(value, at_s, self.quality, text)

    def _blanked(self, at_s: float, note: str, powered: bool) -> Reading:
        """Left out on purpose: what was known before still stands, while it is young enough."""
        if self.value is None or self._invalid or at_s - self.at_s >= self._stale_s:
            return self._kept(at_s, note)
        if self.doubt is not None:
            found = self._doubted(self.value, at_s, self.doubt, powered)
            return reading(self.value, self.at_s, found.quality, found.evidence)
        self.quality = _GOOD
        return reading(self.value, self.at_s, _GOOD, note)

    def _kept(self, at_s: float, why: str) -> Reading:
        """The last good value at its own time, and why there is no newer one."""
        age_s = at_s - self.at_s
        self.quality = _INVALID
        if self.value is None:
            return reading(None, self.at_s, _INVALID, f"{why}; never measured")
        if self._invalid:
            text = f"{why}; bad {self._limits.bad_in_a_row} times in a row, last good {age_s:.1f} s ago"
            return reading(self.value, self.at_s, _INVALID, text)
        if age_s >= self._stale_s:
            return reading(self.value, self.at_s, _INVALID, f"{why}; last good value is {age_s:.1f} s old")
        self.quality = _SUSPECT
        return reading(self.value, self.at_s, _SUSPECT, f"{why}; last good {age_s:.1f} s ago")
