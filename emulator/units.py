"""Specimens of the boards: what the plant is for each mining chip on a 5 V board.

[F], [D] and [A] as in `physics.py`. A BM1368's figures are fitted to a public grid of 79 points (dr0ther/Bitaxebench),
a BM1366's are derived from nameplates and assumed: no public grid of volts and clocks exists for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from emulator.physics import PlantSettings

_STAIRCASE_MV: Final = (0.0, -38.0, -100.0, -253.0)
"""Where the four domains of a BM1368 drop out, against the first [F]."""

BM1370: Final = PlantSettings()
BM1368: Final = PlantSettings(
    power_w_per_v2_mhz=0.0145,  # [F] of the die; S21 nameplate 0.0150
    power_per_k=0.007,  # [F]
    nominal_core_v=1.166,
    # The unit of the grid has 1150: its first domain steps there at 500 MHz [F], which is 2 to 3 % wrong results at
    # stock on a cold die. This one is 16 mV better, less than the spread of units. Dies of the grid: about 46 C.
    v99_mv=1134.0,
    v99_at_mhz=500.0,
    v99_at_c=46.0,
    mv_per_mhz=0.44,
    domain_offset_mv=_STAIRCASE_MV,
    domain_scale_mv=(6.0, 6.0, 6.0, 6.0),
    # T = 25.5 + 1.71 P_in, rms 1.4 C [F], with the fan fixed; how it is split is as on a Gamma [A].
    sink_to_air_k_per_w=0.81,
    board_to_air_k_per_w=1.71,
)
BM1366: Final = PlantSettings(
    power_w_per_v2_mhz=0.0120,  # [D] S19 XP 0.0121, S19k Pro 0.0114, Ultra reports 0.0121
    power_per_k=0.007,  # [A]
    nominal_core_v=1.200,
    v99_mv=1140.0,  # [A] so that an S19k Pro at 605 MHz and 1255 mV has about 60 mV to spare
    v99_at_mhz=485.0,
    mv_per_mhz=0.45,
    domain_offset_mv=_STAIRCASE_MV,  # [A] as on a BM1368
    domain_scale_mv=(6.0, 6.0, 6.0, 6.0),
)

GAMMA_DUO: Final = replace(
    BM1370,
    # [A] The one public figure of two BM1370, a GT: 61.4 C with 49 W, so 0.74 K/W. No log of a Duo.
    sink_to_air_min_k_per_w=0.15,
    sink_to_air_k_per_w=0.34,
    sink_still_air_k_per_w=2.9,
    board_to_air_k_per_w=0.74,
    sink_j_per_k=180.0,  # so that its time constant is that of a Gamma
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
HEX: Final = replace(BM1366, reported_offset_w=12.0, **_SIX_CHIPS)  # type: ignore[arg-type]
SUPRA_HEX: Final = replace(BM1368, reported_offset_w=25.0, **_SIX_CHIPS)  # type: ignore[arg-type]

UNITS: Final[Mapping[str, PlantSettings]] = {"BM1366": BM1366, "BM1368": BM1368, "BM1370": BM1370}
"""By the name of the chip."""
