"""Bitaxe Gamma Duo 650: two BM1370XP on one rail, 5 V. Driven as `bitaxe.py` says; the two chips share one line.

A BM1370XP is taken to be a BM1370 in all but its usual point, as ESP-Miner takes it. Emulated only, and not verified:
that bitaxe-raw wires its pins as on a Gamma, which chip's diode the EMC2101 reads, and how warm it gets: no log of one
is public.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.boards import five_volt
from drivers.boards.bitaxe import Parts, row
from drivers.boards.board import BoardKind, DieFromRegulator, PowerLaw, Span
from drivers.boards.cooling import of_emc2101
from drivers.boards.rails import of_tps546
from drivers.peripherals.emc2101 import Diode

_ENVELOPE: Final = five_volt.envelope(
    stock=(1.150, 400.0),
    core_v=Span(1.000, 1.250),
    frequency_mhz=Span(350.0, 410.0),
    hard=(1.300, 600.0),
    power_w=(35.0, 40.0),
)

BITAXE_GAMMA_DUO: Final[BoardKind] = row(
    name="bitaxe-gamma-duo",
    title="Bitaxe Gamma Duo (2 x BM1370)",
    chip="BM1370",
    chips=2,
    envelope=_ENVELOPE,
    plausibility=replace(
        five_volt.plausibility(
            PowerLaw(k_w_per_v2_mhz=2 * 0.0186),
            # [A] Die to air 0.74 K/W, as a GT with the same two chips has it in the one public figure.
            DieFromRegulator(sink_k_per_w=0.49, sink_fixed_k_per_w=0.15),
        ),
        die_k_per_w=0.25,  # two dies, each with half of the power
    ),
    parts=Parts(
        rail=of_tps546(five_volt.regulator(_ENVELOPE)),
        cooling=of_emc2101(Diode(ideality_raw=0x24, beta_raw=0x00)),
    ),
)
