"""BM1362 as it is emulated: in chains of twelve and more, in series at about 0.3 V each.

No dump of one is public: it has the registers of a BM1366, but for those that captures show [inf]. The specimen is
derived from the nameplate of an S19j Pro and assumed; one domain a chip. [D] and [A] as in `emulator/physics.py`.
"""

from __future__ import annotations

from typing import Final

from emulator.chips import bm1366
from emulator.physics import PlantSettings
from emulator.silicon import registers as reg
from emulator.silicon.model import ChipModel

MODEL: Final = ChipModel(
    name="BM1362",
    cores=65,
    sub_cores=8,
    small_cores=512,
    nominal_core_v=0.300,
    reset=dict(bm1366.MODEL.reset) | {reg.CHIP_ID: 0x13620300, reg.CORE_NUMBER: 0x00000041, reg.SOFT_RESET_CONTROL: 0},
    core_reset=bm1366.MODEL.core_reset,
    job_bits=0xF8,
    job_shift=0,
    starts_at_address=True,  # captures of chains of 126 chips
    vco_mhz=(2000.0, 3200.0),
    enable_bits=(
        28,
        29,
        31,
    ),  # its constant clears bit 30, and core 64 answers; which bit is which cores is not known [inf]
)
UNIT: Final = PlantSettings(
    power_w_per_v2_mhz=0.130,  # [D] on the chip's own 0.321 V
    power_per_k=0.007,  # [A]
    burn_v=0.42,  # [A] in proportion to that of a BM1370
    nominal_core_v=0.321,
    v99_mv=300.0,  # [A]
    v99_spread_mv=5.6,  # [A] in proportion to the volts
    v99_at_mhz=550.0,
    mv_per_mhz=0.12,  # [A]
    mv_per_k=-0.16,  # [A] in proportion to the volts
    domain_offset_mv=(-13.8, -13.8, -13.8, -13.8),  # so that 99 % are right at `v99_mv`
    domain_scale_mv=(3.0, 3.0, 3.0, 3.0),  # [A]
)
