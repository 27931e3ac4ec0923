"""Whether a board that has tripped may come back by itself, when, and to which point. Pure.

Only where its operator asked for it, and only after trips that a lower point may cure: heat at the trip level, a weak
input, chips that went silent. Never after an emergency level, an over-current, a fault of the regulator or of a sensor.
Three times in 24 hours, after 1, 5 and 15 minutes; two losses of the input within 10 minutes are left to a person. Both
are the board's, not the rig's: whoever keeps `Tried` gives it to the next rig.

The point is lower than where it tripped, in the clock and never higher in anything: 100 MHz less, or eight tenths of it
after a weak input, at stock or below and inside what the operator may use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from controller.model import BoardSnapshot, Cause, Channel, Envelope, FaultRecord, OperatingPoint

WAITS_S: Final = (60.0, 300.0, 900.0)
WITHIN_S: Final = 24 * 3600.0
LOWER_MHZ: Final = 100.0
LOWER_SHARE: Final = 0.8
SUPPLY_TWICE_S: Final = 600.0
RETRIED: Final = frozenset({Cause.CHIP_TEMPERATURE, Cause.VR_TEMPERATURE, Cause.INPUT_LOW, Cause.CHIP_SILENT})
_NEAR: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Plan:
    """The `number`th of three retries: after `wait_s`, to `point`."""

    number: int
    wait_s: float
    point: OperatingPoint


@dataclass(frozen=True, slots=True)
class Tried:
    """What a board has tried lately: how many seconds ago each retry was planned, and its input lost; None: never."""

    begun_s_ago: tuple[float, ...] = ()
    input_lost_s_ago: float | None = None


class Retries:
    """One per board. `before`: what was tried before `at_s`, in rigs that are gone."""

    def __init__(self, envelope: Envelope, before: Tried = Tried(), at_s: float = 0.0) -> None:
        self._envelope = envelope
        self._begun_s = [at_s - ago_s for ago_s in before.begun_s_ago]
        self._supply_s = -math.inf if before.input_lost_s_ago is None else at_s - before.input_lost_s_ago

    def tried(self, at_s: float) -> Tried:
        """What counts at this moment."""
        lost_s_ago = at_s - self._supply_s
        return Tried(
            tuple(at_s - begun_s for begun_s in self._begun_s if at_s - begun_s < WITHIN_S),
            lost_s_ago if lost_s_ago <= SUPPLY_TWICE_S else None,
        )

    def plan(self, fault: FaultRecord, seen: BoardSnapshot, was: OperatingPoint) -> Plan | str:
        """What to do about a trip, or why nothing. `seen`: at the trip; `was`: what the board was told to run at."""
        e = self._envelope
        if fault.cause not in RETRIED:
            return f"{fault.cause.value} is left to a person"
        for channel, limit in ((Channel.CHIP_C, e.chip_c_emergency), (Channel.VR_C, e.vr_c_emergency)):
            sample = seen.channels.get(channel)
            if sample is not None and sample.value is not None and sample.value >= limit:
                return f"{channel.value} was at its emergency level, {limit:g} C"
        if fault.sensor == Channel.STATUS_WORD.value and fault.cause is Cause.VR_TEMPERATURE:
            return "the regulator has switched itself off"
        if fault.cause is Cause.INPUT_LOW:
            before_s, self._supply_s = self._supply_s, fault.at_s
            if fault.at_s - before_s <= SUPPLY_TWICE_S:
                return f"the input was lost twice within {SUPPLY_TWICE_S / 60:g} minutes"
        self._begun_s = [at_s for at_s in self._begun_s if fault.at_s - at_s < WITHIN_S]
        number = len(self._begun_s) + 1
        if number > len(WAITS_S):
            return f"{len(WAITS_S)} retries within 24 hours"
        point = self._lower(fault.cause, was)
        if point is None:
            return "nothing lower may be asked for"
        self._begun_s.append(fault.at_s)
        return Plan(number, WAITS_S[number - 1], point)

    def _lower(self, cause: Cause, was: OperatingPoint) -> OperatingPoint | None:
        e = self._envelope
        if was.frequency_mhz is None or was.core_v is None:
            return None
        clock = LOWER_SHARE * was.frequency_mhz if cause is Cause.INPUT_LOW else was.frequency_mhz - LOWER_MHZ
        clock = max(min(clock, e.stock_frequency_mhz), e.frequency_mhz.low)
        on_grid = e.frequency_step_mhz * math.floor(clock / e.frequency_step_mhz + _NEAR)
        clock = on_grid if on_grid >= e.frequency_mhz.low else clock
        core_v = max(min(was.core_v, e.stock_core_v), e.core_v.low)
        if clock >= was.frequency_mhz - _NEAR or core_v > was.core_v + _NEAR:
            return None
        return OperatingPoint(frequency_mhz=float(clock), core_v=float(core_v))
