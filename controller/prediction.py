"""What a board would draw and how hot it would settle at another point: an estimate from what it reads now. Pure.

Dynamic power goes with V squared times f and, through leakage, with temperature: P = k V^2 f exp(alpha (T - 60)). The
constant k of the very chip cancels when one point is scaled to another; alpha and the thermal resistance do not.
Sources: public logs of BM1370 boards (alpha 0.007 to 0.013 per kelvin, 0.010 here; 2.0 kelvin per watt from die to air
at full fan, better coolers 1.5; 90 to 100 s for the sink, by which a board that is still warming up is carried on to
where it is going). **Not calibrated for any board on the bench**: an estimate warns, it allows nothing. The guard
judges by what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from controller.model import Channel, Envelope, OperatingPoint, Reading, good_value
from controller.safety.commanded import mean_mhz

ALPHA_PER_K: Final = 0.010
DIE_TO_AIR_K_PER_W: Final = 2.0
REGULATOR_K_PER_W: Final = 1.2
"""VR temperature went up by 1.14 and 1.26 K per watt of chip power on two boards."""
SINK_S: Final = 95.0
_SLOPE_MAX_C_PER_S: Final = 0.6
"""A fresh power step moves the die by degrees a second for its first second; that is not the sink warming up."""
_ROUGH_FROM_K: Final = 5.0
_ROUNDS: Final = 30
_RUNAWAY_C: Final = 150.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """Steady state at a point. A channel whose present value is unknown is missing from `channels`."""

    channels: Mapping[Channel, float]
    binds: str | None
    """The first limit that would be reached: "chip_c 76.2 of 75.0: trips"; None when none would."""
    rough: bool = False
    """The board is still far from settled: most of the temperature is carried on from how fast it rises."""


def predict(
    envelope: Envelope,
    channels: Mapping[Channel, Reading],
    present: OperatingPoint,
    staged: OperatingPoint,
    slopes_c_per_s: Mapping[Channel, float] = MappingProxyType({}),
    *,
    caps_mhz: Mapping[int, float] = MappingProxyType({}),
    chips: int = 1,
) -> Prediction | None:
    """From the present point to the staged one. None when too little is known: no good reading of the core power.

    `slopes_c_per_s`: how fast the temperatures rise now; one that is missing counts as settled. `caps_mhz`: of those of
    the `chips` that run slower than the board at either point.
    """
    core_w = good_value(channels.get(Channel.CORE_W))
    if core_w is None or core_w < 1.0:
        return None
    points = (present.core_v, present.frequency_mhz, staged.core_v, staged.frequency_mhz)
    if any(part is None or part <= 0.0 for part in points):
        return None
    from_v, from_mhz, to_v, to_mhz = (float(part) for part in points if part is not None)
    ratio = (to_v / from_v) ** 2 * (mean_mhz(to_mhz, caps_mhz, chips) / mean_mhz(from_mhz, caps_mhz, chips))
    pending_k = _pending_k(slopes_c_per_s, Channel.CHIP_C)
    settled_w = core_w * math.exp(ALPHA_PER_K * pending_k)
    to_w, rise_k = core_w * ratio, 0.0
    for _ in range(_ROUNDS):
        to_w = core_w * ratio * math.exp(ALPHA_PER_K * min(rise_k, _RUNAWAY_C))
        rise_k = pending_k + DIE_TO_AIR_K_PER_W * (to_w - settled_w)
    found: dict[Channel, float] = {Channel.CORE_W: to_w}
    core_v, power_w = good_value(channels.get(Channel.CORE_V)), good_value(channels.get(Channel.POWER_W))
    if core_v is not None:
        found[Channel.CORE_V] = core_v + to_v - from_v
        if envelope.means.sees(Channel.CORE_A):
            found[Channel.CORE_A] = to_w / found[Channel.CORE_V] if found[Channel.CORE_V] > 0.0 else math.inf
    if power_w is not None:
        found[Channel.POWER_W] = power_w + to_w - core_w
    for channel, k_per_w in ((Channel.CHIP_C, DIE_TO_AIR_K_PER_W), (Channel.VR_C, REGULATOR_K_PER_W)):
        value = good_value(channels.get(channel))
        if value is not None:
            found[channel] = value + _pending_k(slopes_c_per_s, channel) + k_per_w * (to_w - settled_w)
    return Prediction(found, first_limit(envelope, found), rough=abs(pending_k) > _ROUGH_FROM_K)


def limits(envelope: Envelope) -> tuple[tuple[Channel, float, float], ...]:
    """What binds from above: channel, soft mark (a warning, or the end of the operator's range), hard mark (a trip)."""
    e = envelope
    return (
        (Channel.CHIP_C, e.chip_c_warn, e.chip_c_trip),
        (Channel.VR_C, e.vr_c_warn, e.vr_c_trip),
        (Channel.POWER_W, e.power_operator_w, e.power_operator_w * 1.05),
        (Channel.CORE_A, e.core_a_warn, e.core_a_trip),
    )


def first_limit(envelope: Envelope, values: Mapping[Channel, float]) -> str | None:
    """The limit that these values pass by most, in words: trips before warnings."""
    worst: tuple[int, float, str] | None = None
    for channel, soft, hard in limits(envelope):
        value = values.get(channel)
        if value is None or value < soft:
            continue
        trips = value >= hard
        limit, what = (hard, "trips") if trips else (soft, "warns")
        candidate = (int(trips), value / limit, f"{channel.value} {value:.1f} of {limit:.1f}: {what}")
        worst = candidate if worst is None or candidate[:2] > worst[:2] else worst
    return None if worst is None else worst[2]


def _pending_k(slopes_c_per_s: Mapping[Channel, float], channel: Channel) -> float:
    """What a temperature has still to go at the present point."""
    slope = slopes_c_per_s.get(channel, 0.0)
    return SINK_S * max(-_SLOPE_MAX_C_PER_S, min(_SLOPE_MAX_C_PER_S, slope))
