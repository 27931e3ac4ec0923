"""BM1368 as it is emulated. No dump of one is public: it has the registers of a BM1370, with its own id [inf].

The specimen is fitted to a public grid of 79 points (dr0ther/Bitaxebench). [F], [D] and [A] as in
`emulator/physics.py`.
"""

from __future__ import annotations

from typing import Final

from emulator.chips import bm1370
from emulator.chips.newer import STAIRCASE_MV
from emulator.physics import PlantSettings
from emulator.silicon import registers as reg
from emulator.silicon.model import ChipModel

MODEL: Final = ChipModel(
    name="BM1368",
    cores=80,
    sub_cores=16,
    small_cores=1276,
    nominal_core_v=1.166,
    reset=bm1370.RESET | {reg.CHIP_ID: 0x13680000, reg.CORE_NUMBER: 0x00000050},
    core_reset=bm1370.CORE_RESET,
    job_bits=0xF0,
    job_shift=1,
    starts_at_address=True,  # [inf]: no capture shows it
    vco_mhz=None,
    thermometer=(0.171342, -299.5144),  # ESP-Miner-NerdQAxePlus
)
UNIT: Final = PlantSettings(
    power_w_per_v2_mhz=0.0145,  # [F] of the die; S21 nameplate 0.0150
    power_per_k=0.007,  # [F]
    nominal_core_v=1.166,
    # The unit of the grid has 1150: its first domain steps there at 500 MHz [F], which is 2 to 3 % wrong results at
    # stock on a cold die. This one is 16 mV better, less than the spread of units. Dies of the grid: about 46 C.
    v99_mv=1134.0,
    v99_at_mhz=500.0,
    v99_at_c=46.0,
    mv_per_mhz=0.44,
    domain_offset_mv=STAIRCASE_MV,
    domain_scale_mv=(6.0, 6.0, 6.0, 6.0),
    # T = 25.5 + 1.71 P_in, rms 1.4 C [F], with the fan fixed; how it is split is as on a Gamma [A].
    sink_to_air_k_per_w=0.81,
    board_to_air_k_per_w=1.71,
)
