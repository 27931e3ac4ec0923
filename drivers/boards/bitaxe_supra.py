"""Bitaxe Supra 402 and 403: one BM1368, 5 V, TPS546. Driven as `bitaxe.py` says. The 400 and 401 have another regulator
and other sensors: they are not this board.

Emulated only; that bitaxe-raw wires its pins as on a Gamma is not verified. The BM1368's own thermometer is not read.
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
    stock=(1.166, 490.0),
    core_v=Span(1.100, 1.300),
    frequency_mhz=Span(400.0, 575.0),
    hard=(1.350, 700.0),
    power_w=(25.0, 40.0),
)

BITAXE_SUPRA: Final[BoardKind] = row(
    name="bitaxe-supra-402",
    title="Bitaxe Supra 402, 403 (BM1368)",
    chip="BM1368",
    envelope=_ENVELOPE,
    plausibility=five_volt.plausibility(
        # k and alpha: a public grid of 79 points (dr0ther/Bitaxebench); 8 % from unit to unit as on a BM1370 [A].
        PowerLaw(k_w_per_v2_mhz=0.0145, alpha_per_k=0.007),
        # The same grid: 1.71 K/W from die to air, of which 0.5 to the sink [A].
        DieFromRegulator(sink_k_per_w=1.21),
    ),
    parts=Parts(rail=of_tps546(five_volt.regulator(_ENVELOPE)), cooling=of_emc2101(POWER_UP_DIODE)),
)
