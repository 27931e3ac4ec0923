"""Bitaxe Gamma 600 to 603: one BM1370, 5 V. Driven as `bitaxe.py` says."""

from __future__ import annotations

from typing import Final

from drivers.boards import five_volt
from drivers.boards.bitaxe import Parts, row
from drivers.boards.board import BoardKind, DieFromRegulator, PowerLaw, Span
from drivers.boards.cooling import of_emc2101
from drivers.boards.rails import of_tps546
from drivers.peripherals.emc2101 import Diode

_ENVELOPE: Final = five_volt.envelope(
    stock=(1.150, 525.0),
    core_v=Span(1.000, 1.250),
    frequency_mhz=Span(400.0, 625.0),
    hard=(1.350, 1000.0),
    power_w=(28.0, 40.0),
)
PARTS: Final = Parts(
    rail=of_tps546(five_volt.regulator(_ENVELOPE)),
    cooling=of_emc2101(Diode(ideality_raw=0x24, beta_raw=0x00)),
)
"""The diode as ESP-Miner sets it for a BM1370; mujina leaves the values after power-up."""

BITAXE_GAMMA: Final[BoardKind] = row(
    name="bitaxe-gamma",
    title="Bitaxe Gamma (BM1370)",
    chip="BM1370",
    envelope=_ENVELOPE,
    # Thermal model and power law: public logs (ccalvop/bitaxe-lab, mtab3000/bitaxe-monitor).
    plausibility=five_volt.plausibility(PowerLaw(k_w_per_v2_mhz=0.0186), DieFromRegulator(), fitted=True),
    parts=PARTS,
)
