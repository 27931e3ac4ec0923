"""Bitaxe GT 801 (Gamma Turbo): two BM1370 on one rail, 12 V, two TPS546 as one. Driven as `bitaxe.py` says.

Emulated only. Not verified: that bitaxe-raw wires its pins as on a Gamma; that the current read is that of both
regulators; how it cools (the one public figure has 61 C with 49 W).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.boards import five_volt
from drivers.boards.bitaxe import Parts, row
from drivers.boards.board import BoardKind, DieFromRegulator, PowerLaw, Span
from drivers.boards.cooling import of_emc2103
from drivers.boards.rails import of_tps546
from drivers.peripherals.tps546 import Stack
from drivers.units import Amps, Volts

_ENVELOPE: Final = replace(
    five_volt.envelope(
        stock=(1.150, 525.0),
        core_v=Span(1.000, 1.250),
        frequency_mhz=Span(400.0, 625.0),
        hard=(1.350, 900.0),
        power_w=(50.0, 60.0),
    ),
    # ESP-Miner starts from 11.0 V on; a board that would warn at once is not started here.
    input_v_enable=Span(11.3, 13.2),
    input_v_low_trip=Volts(10.8),
    input_v_low_warn=Volts(11.3),
    input_v_high_trip=Volts(13.2),
    core_a_warn=Amps(50.0),
    core_a_trip=Amps(53.0),
)
_REGULATOR: Final = replace(
    five_volt.regulator(_ENVELOPE),
    vin_on_v=Volts(11.0),
    vin_off_v=Volts(10.5),
    vin_ov_v=Volts(14.8),
    oc_warn_a=Amps(50.0),
    oc_fault_a=Amps(55.0),
    stack=Stack(config=0x0001, sync=0xD0, phase=0xFF, compensation=0x12_3442_2104),
)

BITAXE_GT: Final[BoardKind] = row(
    name="bitaxe-gt",
    title="Bitaxe GT 801 (2 x BM1370)",
    chip="BM1370",
    chips=2,
    envelope=_ENVELOPE,
    plausibility=replace(
        five_volt.plausibility(
            PowerLaw(k_w_per_v2_mhz=2 * 0.0186),
            DieFromRegulator(sink_k_per_w=0.49, sink_fixed_k_per_w=0.15),  # [A] as on a Gamma Duo
        ),
        die_k_per_w=0.25,
    ),
    parts=Parts(rail=of_tps546(_REGULATOR, power_offset_w=10.0), cooling=of_emc2103()),
    unswitchable=("the 12 V input", "the supply of fan and bridge"),
)
