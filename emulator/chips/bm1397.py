"""BM1397 as it is emulated: sent midstates, 9-byte replies, a clock and a line rate of its own.

Values after reset: skot/BM1397 registers.md, GPTechinno/bm13xx-rs bm1397. Where its nonces start: the same, and cgminer
driver-gekko.c. It has one domain: the four of `emulator/physics.py` are alike.

The specimen is derived from one factory target, 12 W in at 425 MHz and 1400 mV, and assumed: no public grid of volts
and clocks exists for it. [D] and [A] as in `emulator/physics.py`.
"""

from __future__ import annotations

from typing import Final

from emulator.physics import PlantSettings
from emulator.silicon import registers as reg
from emulator.silicon.model import ChipModel

MODEL: Final = ChipModel(
    name="BM1397",
    cores=168,
    sub_cores=4,
    small_cores=672,
    nominal_core_v=1.400,
    reset={
        reg.CHIP_ID: 0x13971800,
        reg.HASH_RATE: 0x80000000,
        reg.PLL0_PARAMETER: 0xC0600161,  # 400 MHz, by 8 in 70
        reg.MISC_CONTROL: 0x00003A01,
        0x1C: 0x01000000,
        reg.ORDERED_CLOCK_ENABLE: 0x0000FFFF,
        reg.UART_BAUD: 0x0600000F,
        0x2C: 0x000F0000,
        reg.CORE_MAILBOX: 0x00004000,
        0x44: 0x00000100,
        reg.ERROR_FLAG: 0xFF000000,
        0x58: 0x02112111,
        0x5C: 0x0000FFFF,
        0x60: 0x00640111,
        0x64: 0x00680111,
        reg.PLL3_PARAMETER: 0x00700111,
        reg.PLL0_DIVIDER: 0x03040607,
        0x74: 0x03040506,
        0x78: 0x03040506,
        0x7C: 0x03040506,
        0x80: 0xD95C8410,
        0x84: 0xFB73EA62,
        0x90: 0x00000070,
        0x94: 0x00376400,
        0x98: 0x30303030,
        0x9C: 0x0000FFFF,
    },
    core_reset={},  # not published
    job_bits=0xFC,
    job_shift=0,
    starts_at_address=True,
    vco_mhz=None,
    enable_bits=(),
    midstates=4,
    core_bits=8,
    sub_core_bits=2,
    address_bits=0xFF,
)
UNIT: Final = PlantSettings(
    power_w_per_v2_mhz=0.0106,  # [D] 12 W in, 2 W beside the chip, a regulator of 88 %
    power_per_k=0.007,  # [A]
    nominal_core_v=1.400,
    burn_v=1.8,  # [A] boards are set to 1.5 V
    v99_mv=1280.0,  # [A]
    v99_at_mhz=425.0,
    mv_per_mhz=0.9,  # [A]
    domain_offset_mv=(-69.0, -69.0, -69.0, -69.0),  # so that 99 % are right at `v99_mv`
    domain_scale_mv=(15.0, 15.0, 15.0, 15.0),  # [A]
)
