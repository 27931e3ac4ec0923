"""Bitaxe Ultra 207: one BM1366, 5 V, TPS546. Driven as `bitaxe.py` says. The other Ultras (0.11, 201 to 205) have
another regulator and read another thermometer: they are `bitaxe_dac.py`.

Emulated only; that bitaxe-raw wires its pins as on a Gamma is not verified.
"""

from __future__ import annotations

from typing import Final

from drivers.boards import five_volt
from drivers.boards.bitaxe import Parts, row
from drivers.boards.board import BoardKind, DieFromRegulator, PowerLaw, Span
from drivers.boards.cooling import of_emc2101
from drivers.boards.rails import of_tps546
from drivers.peripherals.emc2101 import POWER_UP_DIODE

_ENVELOPE: Final = five_volt.envelope(
    stock=(1.200, 485.0),
    core_v=Span(1.100, 1.300),
    frequency_mhz=Span(400.0, 575.0),
    hard=(1.350, 650.0),
    power_w=(20.0, 25.0),
)

BITAXE_ULTRA_207: Final[BoardKind] = row(
    name="bitaxe-ultra-207",
    title="Bitaxe Ultra 207 (BM1366)",
    chip="BM1366",
    envelope=_ENVELOPE,
    plausibility=five_volt.plausibility(
        # k from nameplates (S19 XP 0.0121, S19k Pro 0.0114) and what Ultras report (0.0121); alpha is assumed.
        PowerLaw(k_w_per_v2_mhz=0.0120, alpha_per_k=0.007),
        DieFromRegulator(),  # as on a Gamma [A]
    ),
    parts=Parts(rail=of_tps546(five_volt.regulator(_ENVELOPE)), cooling=of_emc2101(POWER_UP_DIODE)),
)
