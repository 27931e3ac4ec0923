"""Limits that the 5 V Bitaxes with one chip and a TPS546 have in common; what differs is in the row of each board.

Sources: docs/safety.md for the trips, ESP-Miner main/power/vcore.c for the regulator's own limits and
main/device_config.h for the ranges.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.boards.board import Channel, DieFromRegulator, Envelope, PlausibilityLimits, PowerLaw, Span
from drivers.peripherals.tps546 import Profile
from drivers.units import Amps, Celsius, Megahertz, Volts, Watts

_RAIL_PART: Final = (Channel.STATUS_WORD, Channel.INPUT_V, Channel.CORE_V, Channel.CORE_A, Channel.VR_C)
_UNSEEN_C: Final = 5.0
_DISAGREEMENT_C: Final = 20.0
"""The only second thermometer is the regulator's, and 15 C do not hold with it: the diode is out by up to 3 C, the
regulator by up to 5 C, and over three boards and all fan speeds the model is out by up to 8 C, which is 16 C."""
_DRIFT_C: Final = 7.0
"""Of one board against itself most of that cancels [A]: 359 honest emulated ones in the campaign were never more than
4.1 C below themselves for so long, and 18 of 40 minutes with a fan led down to 60 % no more than 4.6 C for a minute."""


def envelope(
    *,
    stock: tuple[float, float],
    core_v: Span,
    frequency_mhz: Span,
    hard: tuple[float, float],
    power_w: tuple[float, float],
) -> Envelope:
    """`stock` and `hard`: volts and MHz. `power_w`: of the operator, and hard."""
    return Envelope(
        stock_core_v=Volts(stock[0]),
        stock_frequency_mhz=Megahertz(stock[1]),
        core_v=core_v,
        frequency_mhz=frequency_mhz,
        core_v_hard=Volts(hard[0]),
        frequency_hard_mhz=Megahertz(hard[1]),
        floor_frequency_mhz=Megahertz(50.0),
        power_operator_w=Watts(power_w[0]),
        power_hard_w=Watts(power_w[1]),
        input_v_enable=Span(4.8, 5.5),
        input_v_low_trip=Volts(4.60),
        input_v_low_warn=Volts(4.75),
        input_v_high_trip=Volts(5.5),
        core_a_warn=Amps(25.0),
        core_a_trip=Amps(28.0),
        chip_c_warn=Celsius(66.0),
        chip_c_throttle=Celsius(70.0),
        chip_c_trip=Celsius(75.0),
        chip_c_emergency=Celsius(85.0),
        vr_c_warn=Celsius(86.0),
        vr_c_throttle=Celsius(95.0),
        vr_c_trip=Celsius(105.0),
        vr_c_emergency=Celsius(120.0),
    )


def without_die_sensor(limits: Envelope) -> Envelope:
    """Every level of the die 5 C lower: on these boards its temperature is reckoned from one that is near it."""
    lower = {
        f"chip_c_{level}": Celsius(getattr(limits, f"chip_c_{level}") - _UNSEEN_C)
        for level in ("warn", "throttle", "trip", "emergency")
    }
    return replace(limits, **lower)  # type: ignore[arg-type]


def regulator(limits: Envelope) -> Profile:
    """What ESP-Miner sets on these boards, with a tighter ceiling for the output."""
    return Profile(
        core_v=(Volts(1.000), limits.core_v_hard),
        vout_max_v=Volts(limits.core_v_hard + 0.050),
        vin_on_v=Volts(4.8),
        vin_off_v=Volts(4.5),
        vin_ov_v=Volts(6.5),
        scale_loop=0.25,
        frequency_khz=650,
        oc_warn_a=Amps(25.0),
        oc_fault_a=Amps(30.0),
        ot_warn_c=Celsius(105.0),
        ot_fault_c=Celsius(125.0),
    )


def plausibility(power_law: PowerLaw, die: DieFromRegulator, *, fitted: bool = False) -> PlausibilityLimits:
    """`fitted`: the model of the die was fitted to boards of this very kind."""
    return PlausibilityLimits(
        parts=(_RAIL_PART,),
        disagreement_c=_DISAGREEMENT_C,
        die_from_regulator=die,
        regulator_bounded=fitted,
        drift_c=_DRIFT_C if fitted else None,
        power_law=power_law,
    )
