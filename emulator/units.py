"""Specimens of boards whose plant is not that of a Gamma with their chip. [A] as in `physics.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from emulator.chips import bm1362, bm1366, bm1368, bm1370, bm1397

GAMMA_DUO: Final = replace(
    bm1370.UNIT,
    # [A] The one public figure of two bm1370.UNIT, a GT: 61.4 C with 49 W, so 0.74 K/W. No log of a Duo.
    sink_to_air_min_k_per_w=0.15,
    sink_to_air_k_per_w=0.34,
    sink_still_air_k_per_w=2.9,
    board_to_air_k_per_w=0.74,
    sink_j_per_k=180.0,  # so that its time constant is that of a Gamma
)

GT: Final = replace(
    GAMMA_DUO,
    source_v=12.3,
    source_ohm=0.05,
    board_w=5.0,
    fan_w=2.0,
    reported_offset_w=10.0,  # ESP-Miner main/device_config.h
)
_SIX_CHIPS: Final = {
    # [A] all of it, but for what AxeOS adds (ESP-Miner main/device_config.h): no log of a Hex is public. 0.4 K/W from
    # die to air as four-chip boards of 12 V have it.
    "board_domains": 3,
    "source_v": 12.3,
    "source_ohm": 0.05,
    "regulator_w": 0.8,
    "board_w": 6.0,
    "fan_w": 3.0,
    "sink_to_air_min_k_per_w": 0.10,
    "sink_to_air_k_per_w": 0.22,
    "sink_still_air_k_per_w": 1.6,
    "board_to_air_k_per_w": 0.40,
    "sink_j_per_k": 250.0,
    "vr_j_per_k": 25.0,
}
_DAC: Final = {
    # [F] The 79 points of a BM1368 behind an INA260: 2.45 W go elsewhere, 88 % of the rest arrive.
    "board_w": 1.25,
    "fan_w": 1.2,
    "regulator_w_per_a2": 0.011,
}
ULTRA_DAC: Final = replace(bm1366.UNIT, **_DAC)  # type: ignore[arg-type]
MAX: Final = replace(bm1397.UNIT, **_DAC)  # type: ignore[arg-type]
SUPRA_DAC: Final = replace(bm1368.UNIT, **_DAC)  # type: ignore[arg-type]
HEX: Final = replace(bm1366.UNIT, reported_offset_w=12.0, **_SIX_CHIPS)  # type: ignore[arg-type]
SUPRA_HEX: Final = replace(bm1368.UNIT, reported_offset_w=25.0, **_SIX_CHIPS)  # type: ignore[arg-type]
EMBERONE: Final = replace(
    # [A] But for the chip: no log of an EmberOne is public. Heat goes the way that it goes on a Hex, by a fan that runs
    # on its own.
    bm1362.UNIT,
    **{**_SIX_CHIPS, "board_domains": 12, "source_v": 12.6, "reported_offset_w": 12.0},  # type: ignore[arg-type]
)
EMBERONE_DAC: Final = replace(
    # [A] Two phases with sense resistors of 3 mohm; bridge and IO are on the USB cable, the fan on a supply of its own.
    EMBERONE,
    board_w=0.3,
    fan_w=0.0,
    regulator_w=1.8,
    regulator_w_per_a2=0.0035,
)
