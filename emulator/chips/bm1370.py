"""BM1370 as it is emulated: the Gamma of the public logs is made of one.

Values after reset were read off silicon (GPTechinno/bm13xx-rs bm1370). Layouts: mujina REFERENCE.md, ESP-Miner
components/asic. The specimen is the default of `PlantSettings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emulator.chips.newer import NEWER
from emulator.physics import PlantSettings
from emulator.silicon import registers as reg
from emulator.silicon.model import ChipModel

RESET: Final[dict[int, int]] = NEWER | {
    reg.CHIP_ID: 0x13700000,
    0x20: 0x00000007,
    reg.CORE_NUMBER: 0x00000080,
    reg.CORE_REGISTER_VALUE: 0x08020100,
    0x64: 0x20500174,
    0x9C: 0x00F70073,
    0xB8: 0x20000000,
    0xC4: 0x0000B850,
}
CORE_RESET: Final[Mapping[int, int]] = {0x00: 0x52, 0x02: 0x55, 0x06: 0x08}

MODEL: Final = ChipModel(
    name="BM1370",
    cores=128,
    sub_cores=16,
    small_cores=2040,
    nominal_core_v=1.150,
    reset=RESET,
    core_reset=CORE_RESET,
    job_bits=0xF0,
    job_shift=1,
    starts_at_address=False,
    vco_mhz=(1600.0, 3200.0),
)
UNIT: Final = PlantSettings()
