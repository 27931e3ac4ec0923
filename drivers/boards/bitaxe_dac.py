"""Bitaxes whose core rail cannot be switched off: Max, Ultra 0.11 to 205, Supra 400 and 401. Driven as `bitaxe.py`
says, with the rail of `dac_rail.py`.

Where a protection is missing the envelope is smaller: nothing above stock without an unlock that says `hard`, the fan
always at full, and every level of the die 5 C lower where nothing is in it that could be read. Emulated only; that
bitaxe-raw wires its pins as on a Gamma is not verified, nor whether the rail of these boards is up by itself: one that
is not is refused at power-up.

Sources: ESP-Miner main/device_config.h and main/thermal; docs/safety.md for the trips.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.boards import five_volt
from drivers.boards.bitaxe import Parts, row
from drivers.boards.board import BoardKind, Channel, Envelope, Means, PlausibilityLimits, PowerLaw, Span
from drivers.boards.cooling import of_emc2101, of_emc2101_alone
from drivers.boards.dac_rail import FROM_INPUT, RESTS_AT_V, of_ds4432u
from drivers.boards.plausibility import TemperatureSensor
from drivers.peripherals.emc2101 import POWER_UP_DIODE

_MEANS: Final = Means(
    sensors=(Channel.CHIP_C, Channel.INPUT_V, Channel.CORE_V, Channel.INPUT_W, Channel.FAN_RPM),
    rests_at_v=RESTS_AT_V,
)
_UNSWITCHABLE: Final = (
    "the core rail: 1.0 V while the board is off, and 1.458 V from the moment of its supply until a rig is there",
    "the 5 V input",
    "the supply of fan and bridge",
    "not measured: core current, regulator temperature; core voltage to 12 % only",
)
ABOVE_C: Final = 5.0
_METER: Final = (Channel.INPUT_V, Channel.INPUT_W)
_WHOLE_DEGREES: Final = TemperatureSensor(
    step_c=1.0,
    noise_c=0.3,  # [A] as the regulator of a Gamma, which shows whole degrees too
    rate_c_per_s=15.0,
    rate_moving_c_per_s=40.0,
    age_s=0.0625,
    unchanged_s=None,  # whole degrees: a settled board repeats itself for minutes
    moves_c=0.5,
    moves_within_s=60.0,
    settled_s=3.0,
)


def envelope(
    *,
    stock: tuple[float, float],
    lowest: tuple[float, float],
    hard: tuple[float, float],
    power_w: tuple[float, float],
) -> Envelope:
    """`stock`, `lowest`, `hard`: volts and MHz; what may be asked for ends at stock. `power_w`: at the input, of the
    operator, and hard."""
    limits = five_volt.envelope(
        stock=stock,
        core_v=Span(lowest[0], stock[0]),
        frequency_mhz=Span(lowest[1], stock[1]),
        hard=hard,
        power_w=power_w,
    )
    return replace(limits, means=_MEANS)


def _plausibility(power_law: PowerLaw, chip: TemperatureSensor = _WHOLE_DEGREES) -> PlausibilityLimits:
    return PlausibilityLimits(
        parts=(_METER,),
        chip=chip,
        core_v_unchanged_s=None,  # a setting that is held against an ADC: it repeats itself
        input_w_unchanged_s=120.0,  # noise of one step
        core_from_input=FROM_INPUT,
        power_law=power_law,
    )


_MAX: Final = envelope(stock=(1.400, 425.0), lowest=(1.100, 400.0), hard=(1.500, 600.0), power_w=(20.0, 25.0))
_ULTRA: Final = five_volt.without_die_sensor(
    envelope(stock=(1.200, 485.0), lowest=(1.100, 400.0), hard=(1.300, 575.0), power_w=(20.0, 25.0))
)
_SUPRA: Final = five_volt.without_die_sensor(
    envelope(stock=(1.166, 490.0), lowest=(1.100, 400.0), hard=(1.300, 575.0), power_w=(25.0, 40.0))
)

BITAXE_MAX: Final[BoardKind] = row(
    name="bitaxe-max",
    title="Bitaxe Max 2.2, 102 (BM1397)",
    chip="BM1397",
    envelope=_MAX,
    plausibility=_plausibility(PowerLaw(k_w_per_v2_mhz=0.0106, alpha_per_k=0.007), PlausibilityLimits().chip),
    parts=Parts(rail=of_ds4432u(_MAX.core_v_hard), cooling=of_emc2101(POWER_UP_DIODE)),
    unswitchable=_UNSWITCHABLE,
)
BITAXE_ULTRA_205: Final[BoardKind] = row(
    name="bitaxe-ultra-205",
    title="Bitaxe Ultra 0.11, 201 to 205 (BM1366)",
    chip="BM1366",
    envelope=_ULTRA,
    plausibility=_plausibility(PowerLaw(k_w_per_v2_mhz=0.0120, alpha_per_k=0.007)),
    parts=Parts(rail=of_ds4432u(_ULTRA.core_v_hard), cooling=of_emc2101_alone(ABOVE_C)),
    unswitchable=_UNSWITCHABLE,
)
BITAXE_SUPRA_401: Final[BoardKind] = row(
    name="bitaxe-supra-401",
    title="Bitaxe Supra 400, 401 (BM1368)",
    chip="BM1368",
    envelope=_SUPRA,
    plausibility=_plausibility(PowerLaw(k_w_per_v2_mhz=0.0145, alpha_per_k=0.007)),
    parts=Parts(rail=of_ds4432u(_SUPRA.core_v_hard), cooling=of_emc2101_alone(ABOVE_C)),
    unswitchable=_UNSWITCHABLE,
)
