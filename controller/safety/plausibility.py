"""Raw samples in, `Reading`s out: may this number be believed?

Pure. A sample is believed, doubted or ignored; a channel changes its mind by counts, not by single samples: three bad
samples in a row make it INVALID, two good of the last three make it GOOD again. A part that does not answer keeps its
last value, its last time and loses its quality, so that a frozen 60 C can never look fresh. What several channels say
of each other is looked at once a second. All limits: `drivers/boards/plausibility.py`; docs/safety.md, "Sensor
plausibility".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from controller.model import Reading
from controller.safety.commanded import Commanded
from controller.safety.crosschecks import CrossChecks
from controller.safety.tracker import Tracker, reading
from drivers.boards.board import BoardReading, Channel, Envelope, PlausibilityLimits

REVIEW_S: Final = 1.0
"""So often the rules run that compare channels: their times are seconds."""
_DUE_S: Final = REVIEW_S - 0.05
_SOURCES: Final[Mapping[Channel, tuple[Channel, ...]]] = {
    Channel.CORE_W: (Channel.CORE_V, Channel.CORE_A),
    Channel.POWER_W: (Channel.CORE_V, Channel.CORE_A),
}
_FROM_INPUT: Final[Mapping[Channel, tuple[Channel, ...]]] = {
    Channel.CORE_W: (Channel.INPUT_W,),
    Channel.POWER_W: (Channel.INPUT_W,),
}
"""What a board works out from others is worth what those are worth. Where it cannot measure its core current, power is
that of its input."""


def plausible_ranges(envelope: Envelope) -> dict[Channel, tuple[float, float]]:
    """Outside these a number is a defect of the measurement, not a state of the board."""
    nominal_input_v = (envelope.input_v_enable.low + envelope.input_v_enable.high) / 2
    # A regulator goes off by itself above 125 % of its command: up to there a rail is real, and a trip, at once. Where
    # nothing limits the rail, it may stand as high as its input. What measures the core current limits it too.
    limited = envelope.means.sees(Channel.CORE_A)
    most_core_v = 1.3 * envelope.core_v_hard if limited else envelope.input_v_high_trip
    return {
        Channel.CHIP_C: (0.0, 120.0),
        Channel.VR_C: (0.0, 150.0),
        Channel.INPUT_V: (0.5 * nominal_input_v, 1.5 * nominal_input_v),
        Channel.CORE_V: (0.0, most_core_v),
        # 1.3 times the regulator's own fault limit, which sits 7 % above the software trip.
        Channel.CORE_A: (-2.0, 1.4 * envelope.core_a_trip),
        Channel.INPUT_W: (-1.0, 3.0 * envelope.power_hard_w),
        Channel.FAN_RPM: (0.0, 4.0 * envelope.fan_full_rpm),
        Channel.FAN_RATIO: (0.0, 1.0),
        Channel.STATUS_WORD: (0.0, 65535.0),
    }


class Watchkeeper:
    """Keeps the quality of every channel of one board."""

    def __init__(self, envelope: Envelope, limits: PlausibilityLimits | None = None) -> None:
        self._envelope = envelope
        self._limits = limits = PlausibilityLimits() if limits is None else limits
        self._ranges = plausible_ranges(envelope)
        self._hot_from = {
            Channel.CHIP_C: float(envelope.chip_c_trip),
            Channel.VR_C: float(envelope.vr_c_trip),
            Channel.CORE_A: float(envelope.core_a_trip),
        }
        self._parts = tuple(
            tuple((Channel(name), *self._ranges.get(Channel(name), (-math.inf, math.inf))) for name in part)
            for part in limits.parts
        )
        self._sources = _SOURCES if envelope.means.sees(Channel.CORE_A) else _FROM_INPUT
        self._trackers: dict[Channel, Tracker] = {}
        self._checks = CrossChecks(envelope, limits)
        self._reviewed_s = -math.inf

    def take(self, raw: BoardReading, commanded: Commanded, *, working: bool = False) -> Mapping[Channel, Reading]:
        """One sweep. `commanded`: what the actuators were last told, by which it is known what to expect of a sensor.

        `working`: the chips are fed, so that they draw what their clock needs.
        """
        trackers, notes, values, at_s = self._trackers, raw.notes, raw.channels, raw.at_s
        if at_s - self._reviewed_s >= _DUE_S:
            self._reviewed_s = at_s
            self._review(at_s, commanded, working)
        powered = commanded.rail_on
        moved_s = max(
            commanded.rail_changed_s,
            commanded.reset_changed_s,
            commanded.frequency_changed_s,
            commanded.core_v_changed_s,
        )
        moving = commanded.moving or at_s - moved_s < self._limits.transition_s
        garbled = self._garbled(values)
        readings: dict[Channel, Reading] = {}
        for channel, value in values.items():
            tracker = trackers.get(channel)
            if tracker is None:
                tracker = trackers[channel] = self._tracker(channel, at_s)
            if garbled and channel in garbled and value is not None:
                readings[channel] = tracker.reject(garbled[channel], at_s)
                continue
            note = notes.get(channel) if value is None else None
            readings[channel] = tracker.take(value, note, at_s, powered, moving)
        return readings

    @property
    def vr_most_c(self) -> float | None:
        """How warm the regulator can be, by everything but its own thermometer; None: nothing bounds it, or that one
        says that it is hot, however doubtful."""
        vr = self._trackers.get(Channel.VR_C)
        return None if vr is not None and vr.hot else self._checks.vr_most_c

    def _garbled(self, values: Mapping[Channel, float | None]) -> Mapping[Channel, str] | None:
        """A part with several impossible answers in one sweep says nothing at all: not even its status word counts."""
        found: dict[Channel, str] = {}
        for part in self._parts:
            odd = 0
            for channel, low, high in part:
                value = values.get(channel)
                if value is not None and not low <= value <= high:
                    odd += 1
            if odd >= self._limits.garbage:
                text = f"garbage: {odd} of {len(part)} answers of its part are impossible"
                for channel, low, high in part:
                    value = values.get(channel)
                    if value is not None:
                        limits = f", outside {low:g} to {high:g}" if not low <= value <= high else ""
                        found[channel] = f"{text}; read {value:g}{limits}"
        return found or None

    def _review(self, at_s: float, commanded: Commanded, working: bool) -> None:
        doubts = self._checks.review(at_s, self._trackers, commanded, working)
        for channel, tracker in self._trackers.items():
            tracker.doubt = doubts.get(channel)

    def _tracker(self, channel: Channel, at_s: float) -> Tracker:
        trackers = self._trackers
        return Tracker(
            channel,
            self._limits,
            self._ranges.get(channel, (-math.inf, math.inf)),
            self._envelope.fan_stale_bad_s if channel is Channel.FAN_RPM else self._envelope.stale_bad_s,
            at_s,
            hot_from=self._hot_from.get(channel, math.inf),
            sources=[trackers[source] for source in self._sources.get(channel, ()) if source in trackers],
        )


__all__ = ["REVIEW_S", "Watchkeeper", "plausible_ranges", "reading"]
