"""Limits that the 12 V Bitaxes with six chips in three domains have in common; what differs is in the row of each
board.

Core volts are those of a chip; the rail carries three times as much. Sources: docs/safety.md for the trips, ESP-Miner
main/power/vcore.c for the regulator's own limits (its HEX profile) and main/device_config.h for the ranges.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.boards import five_volt
from drivers.boards.board import Channel, Envelope, PlausibilityLimits, PowerLaw, Span
from drivers.boards.cooling import CoolingKind, of_emc230x
from drivers.boards.plausibility import TemperatureSensor
from drivers.peripherals.tps546 import Profile
from drivers.units import Amps, Celsius, Volts

DOMAINS: Final = 3
CHIPS: Final = 6
_LOWEST_CORE_V: Final = 1.000
"""ESP-Miner lets the rail go to 2.5 V, 0.83 V a chip; nothing here asks for so little."""
_RAIL_PART: Final = (Channel.STATUS_WORD, Channel.INPUT_V, Channel.CORE_V, Channel.CORE_A, Channel.VR_C)
_BOARD_SENSOR: Final = TemperatureSensor(
    step_c=0.0625,
    noise_c=0.06,
    rate_c_per_s=15.0,
    rate_moving_c_per_s=40.0,
    age_s=0.0275,
    unchanged_s=60.0,
    moves_c=0.5,
    moves_within_s=20.0,
    settled_s=3.0,
)


def envelope(
    *,
    stock: tuple[float, float],
    core_v: Span,
    frequency_mhz: Span,
    hard: tuple[float, float],
    power_w: tuple[float, float],
) -> Envelope:
    """As on 5 V but for the input, and for the levels of the dies, which no thermometer is in.

    `stock` and `hard`: volts of a chip and MHz. `power_w`: of the operator, and hard.
    """
    limits = five_volt.without_die_sensor(
        five_volt.envelope(stock=stock, core_v=core_v, frequency_mhz=frequency_mhz, hard=hard, power_w=power_w)
    )
    return replace(
        limits,
        input_v_enable=Span(11.5, 13.2),
        input_v_low_trip=Volts(11.2),
        input_v_low_warn=Volts(11.5),
        input_v_high_trip=Volts(13.2),
        core_v_off_v=Volts(limits.core_v_off_v / DOMAINS),  # of a chip; the regulator wakes at 0.8 V for all of them
    )


def regulator(limits: Envelope, *, domains: int = DOMAINS, lowest_core_v: float = _LOWEST_CORE_V) -> Profile:
    """What ESP-Miner sets on a Hex, with a tighter ceiling for the output."""
    return Profile(
        core_v=(Volts(domains * lowest_core_v), Volts(domains * limits.core_v_hard)),
        vout_max_v=Volts(domains * limits.core_v_hard + 0.050),
        vin_on_v=Volts(11.5),
        vin_off_v=Volts(11.0),
        vin_ov_v=Volts(14.8),
        scale_loop=0.125,
        frequency_khz=650,
        oc_warn_a=Amps(25.0),
        oc_fault_a=Amps(30.0),
        ot_warn_c=Celsius(105.0),
        ot_fault_c=Celsius(125.0),
    )


def plausibility(power_law: PowerLaw) -> PlausibilityLimits:
    """`power_law`: of one chip. No second thermometer bounds the dies but the two on the board, which are held against
    each other where they are read."""
    return PlausibilityLimits(
        parts=(_RAIL_PART,),
        domains=DOMAINS,
        chip=_BOARD_SENSOR,
        power_step_w=12.0,  # a Gamma's 3 W on four times the power: less does not move 250 J/K visibly
        die_k_per_w=0.5 / CHIPS,
        die_from_regulator=None,
        power_law=replace(power_law, k_w_per_v2_mhz=CHIPS * power_law.k_w_per_v2_mhz),
    )


def cooling() -> CoolingKind:
    """An EMC2302 at 2F, TMP1075 at 4A and 4B, and ESP-Miner's 10 C between them and the dies."""
    return of_emc230x(0x2F, 2, thermometers=(0x4A, 0x4B), above_c=10.0, apart_c=15.0)
