"""BM1366 as it is emulated. Values after reset were read off silicon (GPTechinno/bm13xx-rs bm1366).

The specimen is derived from nameplates and assumed: no public grid of volts and clocks exists for it. [D] and [A] as in
`emulator/physics.py`.
"""

from __future__ import annotations

from typing import Final

from emulator.chips.newer import NEWER, STAIRCASE_MV
from emulator.physics import PlantSettings
from emulator.silicon import registers as reg
from emulator.silicon.model import ChipModel

MODEL: Final = ChipModel(
    name="BM1366",
    cores=112,
    sub_cores=8,
    small_cores=894,
    nominal_core_v=1.200,
    reset=NEWER
    | {
        reg.CHIP_ID: 0x13660000,
        0x04: 0x00012A89,
        0x20: 0x00000003,
        reg.CORE_NUMBER: 0x00000070,
        reg.CORE_REGISTER_VALUE: 0x1EAF5FBE,
        0x9C: 0x00FD0077,
        0xD0: 0x00000070,
        0xD4: 0x00376400,
        0xD8: 0x30303030,
        0xDC: 0x0000FFFF,
        0xEC: 0x00000008,
    },
    core_reset={0x00: 0x98, 0x02: 0x55, 0x06: 0x08},
    job_bits=0xF8,
    job_shift=0,
    starts_at_address=True,  # two captures, addresses C0 and C2 (ESP-Miner's BM1366 test log)
    vco_mhz=None,
)
UNIT: Final = PlantSettings(
    power_w_per_v2_mhz=0.0120,  # [D] S19 XP 0.0121, S19k Pro 0.0114, Ultra reports 0.0121
    power_per_k=0.007,  # [A]
    nominal_core_v=1.200,
    v99_mv=1140.0,  # [A] so that an S19k Pro at 605 MHz and 1255 mV has about 60 mV to spare
    v99_at_mhz=485.0,
    mv_per_mhz=0.45,
    domain_offset_mv=STAIRCASE_MV,  # [A] as on a BM1368
    domain_scale_mv=(6.0, 6.0, 6.0, 6.0),
)
