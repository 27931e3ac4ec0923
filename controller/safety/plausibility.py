"""Raw samples in, `Reading`s out: may this number be believed?

Pure. A sample is believed, doubted or ignored; a channel changes its mind by counts, not by single samples: three bad
samples in a row make it INVALID, two good of the last three make it GOOD again. A part that does not answer keeps its
last value, its last time and loses its quality, so that a frozen 60 C can never look fresh. Ranges and sentinel codes:
docs/safety.md, "Sensor plausibility".
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from controller.model import Quality, Reading
from drivers.boards.board import BoardReading, Channel, Envelope

BLANKED = "blanked"
"""Start of a note that says: this sample was not taken, on purpose (a diode settles after reset release)."""

_SENTINELS_C = (-1.0, 127.0, 127.875, 255.0)
_SENTINEL_WIDTH_C = 0.01
_BAD_IN_A_ROW = 3
_GOOD, _SUSPECT, _INVALID = Quality.GOOD, Quality.SUSPECT, Quality.INVALID
_READING_FIELDS = frozenset({"value", "at_s", "quality", "evidence"})


_set = object.__setattr__


def reading(value: float | None, at_s: float, quality: Quality, evidence: str | None = None) -> Reading:
    """A `Reading` from trusted values: what `Reading.model_construct` does, at a sixth of its price.

    Thirteen of them five times a second and board would otherwise cost more than the sweep itself.
    """
    made: Reading = Reading.__new__(Reading)
    _set(made, "__dict__", {"value": value, "at_s": at_s, "quality": quality, "evidence": evidence})
    _set(made, "__pydantic_fields_set__", set(_READING_FIELDS))
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


def plausible_ranges(envelope: Envelope) -> dict[Channel, tuple[float, float]]:
    """Outside these a number is a defect of the measurement, not a state of the board."""
    nominal_input_v = (envelope.input_v_enable.low + envelope.input_v_enable.high) / 2
    return {
        Channel.CHIP_C: (0.0, 120.0),
        Channel.VR_C: (0.0, 150.0),
        Channel.INPUT_V: (0.5 * nominal_input_v, 1.5 * nominal_input_v),
        Channel.CORE_V: (0.0, 1.2 * envelope.core_v_hard),
        # 1.3 times the regulator's own fault limit, which sits 7 % above the software trip.
        Channel.CORE_A: (-2.0, 1.4 * envelope.core_a_trip),
        Channel.FAN_RPM: (0.0, 4.0 * envelope.fan_full_rpm),
        Channel.FAN_RATIO: (0.0, 1.0),
        Channel.STATUS_WORD: (0.0, 65535.0),
    }


class Watchkeeper:
    """Keeps the quality of every channel of one board."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._ranges = plausible_ranges(envelope)
        self._trackers: dict[Channel, _Tracker] = {}

    def take(self, raw: BoardReading, *, powered: bool) -> Mapping[Channel, Reading]:
        """One sweep. `powered`: the core rail is commanded on, so a die at exactly 0.000 C is a dead sensor."""
        readings: dict[Channel, Reading] = {}
        trackers, notes, at_s = self._trackers, raw.notes, raw.at_s
        for channel, value in raw.channels.items():
            tracker = trackers.get(channel)
            if tracker is None:
                tracker = trackers[channel] = self._tracker(channel, at_s)
            readings[channel] = tracker.take(value, notes.get(channel) if notes else None, at_s, powered)
        return readings

    def _tracker(self, channel: Channel, at_s: float) -> _Tracker:
        low, high = self._ranges.get(channel, (-math.inf, math.inf))
        stale_s = self._envelope.fan_stale_bad_s if channel is Channel.FAN_RPM else self._envelope.stale_bad_s
        return _Tracker(channel, low, high, stale_s, at_s)


class _Tracker:
    __slots__ = ("_at_s", "_bad_run", "_high", "_invalid", "_low", "_recent", "_stale_s", "_temperature", "_value")

    def __init__(self, channel: Channel, low: float, high: float, stale_s: float, at_s: float) -> None:
        self._temperature = channel in (Channel.CHIP_C, Channel.VR_C)
        self._low, self._high, self._stale_s = low, high, stale_s
        self._value: float | None = None
        self._at_s = at_s
        self._bad_run = 0
        self._invalid = False
        self._recent: tuple[bool, bool] = (False, False)

    def take(self, value: float | None, note: str | None, at_s: float, powered: bool) -> Reading:
        if value is None:
            if note is not None and note.startswith(BLANKED):
                return self._kept(at_s, note, _GOOD)
            return self._kept(at_s, note or "no answer", _SUSPECT)
        why = self._why_bad(value, powered)
        if why is not None:
            self._bad_run += 1
            self._recent = (self._recent[1], False)
            self._invalid = self._invalid or self._bad_run >= _BAD_IN_A_ROW
            return self._kept(at_s, why, _SUSPECT)
        self._bad_run = 0
        votes = self._recent[0] + self._recent[1] + 1
        self._recent = (self._recent[1], True)
        if self._invalid:
            if votes < 2:
                return self._kept(at_s, f"read {value:g} after being invalid: one good sample is not enough", _SUSPECT)
            self._invalid = False
        self._value, self._at_s = value, at_s
        return reading(value, at_s, _GOOD)

    def _why_bad(self, value: float, powered: bool) -> str | None:
        if not self._low <= value <= self._high or not math.isfinite(value):
            return f"read {value:g}, outside {self._low:g} to {self._high:g}"
        if self._temperature:
            for code in _SENTINELS_C:
                if abs(value - code) < _SENTINEL_WIDTH_C:
                    return f"read {value:g}, which is an error code"
            if value == 0.0 and powered:
                return "read exactly 0 on a powered board"
        return None

    def _kept(self, at_s: float, why: str, quality: Quality) -> Reading:
        age_s = at_s - self._at_s
        if self._value is None:
            return reading(None, self._at_s, _INVALID, f"{why}; never measured")
        if self._invalid:
            return reading(self._value, self._at_s, _INVALID, f"{why}; bad {_BAD_IN_A_ROW} times in a row")
        if age_s >= self._stale_s:
            return reading(self._value, self._at_s, _INVALID, f"{why}; last good value is {age_s:.1f} s old")
        return reading(self._value, self._at_s, quality, why)
