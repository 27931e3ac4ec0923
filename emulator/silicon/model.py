"""The chips that can be emulated: one row of `MODELS` each. Facts only; `chip.py` makes a chip of them.

The emulator's own tables: they share nothing with the drivers, so that the two can disagree. Values after reset were
read off silicon for BM1366 and BM1370 (GPTechinno/bm13xx-rs bm1366, bm1370). No dump of a BM1368 is public: it has the
BM1370's, with its own id [inf]. Layouts: mujina REFERENCE.md, skot/BM1397 registers.md, ESP-Miner components/asic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from emulator.silicon import registers as reg


@dataclass(frozen=True, slots=True)
class ChipModel:
    """A chip that takes whole headers and rolls the version itself."""

    name: str
    cores: int
    """As the nonce counts them: bits 31 to 25. No nonce above the last of them is ever found."""
    sub_cores: int
    """A power of two. Each batch tries half as many versions, two nonces a clock each."""
    small_cores: int
    """Hashes per clock of the whole chip, a little less than cores x sub-cores (ESP-Miner)."""
    nominal_core_v: float
    reset: Mapping[int, int]
    """Words after reset; every register that is not named here holds 0."""
    core_reset: Mapping[int, int]
    """Core registers after reset, of which only these are known; the rest holds 0."""
    job_bits: int
    """Of the result byte of a nonce: where the id of its job is. The rest is the sub-core."""
    job_shift: int
    """By how much the job's byte is shifted to stand there."""
    starts_at_address: bool
    """Where a sweep begins: at the chip's address, in bits 24 to 18 of the nonce; else at the offset of register 0C,
    and anywhere without one."""
    vco_mhz: tuple[float, float] | None
    """None: the limits of its VCO are not known."""
    enable_bits: tuple[int, ...] = (28, 29, 30, 31)
    """Of register 18: each lets an equal share of the cores return nonces, the lowest cores first."""

    @property
    def versions_per_batch(self) -> int:
        return self.sub_cores // 2

    @property
    def all_cores(self) -> int:
        """As a set of bits."""
        return (1 << self.cores) - 1

    def result(self, job_byte: int, version_field: int) -> int:
        """Byte 7 of a nonce frame."""
        return job_byte << self.job_shift & self.job_bits | version_field & self.sub_cores - 1


_NEWER: Final[dict[int, int]] = {
    reg.PLL0_PARAMETER: 0xC0540165,
    reg.MISC_CONTROL: 0x0000C100,
    0x24: 0x00100000,
    reg.UART_BAUD: 0x01301A00,
    0x2C: 0x000F0000,
    0x58: 0x00012111,
    0x5C: 0x0000FFFF,
    0x60: 0x20500174,
    0x6C: 0x00010200,
    reg.MIDSTATE_CONFIG: 0x0000FFFF,
    reg.SOFT_RESET_CONTROL: 0x00070000,
    0xBC: 0x00003313,
    0xC0: 0x00002000,
}
"""What BM1366 and BM1370 have in common."""
_BM1370_RESET: Final[dict[int, int]] = _NEWER | {
    reg.CHIP_ID: 0x13700000,
    0x20: 0x00000007,
    reg.CORE_NUMBER: 0x00000080,
    reg.CORE_REGISTER_VALUE: 0x08020100,
    0x64: 0x20500174,
    0x9C: 0x00F70073,
    0xB8: 0x20000000,
    0xC4: 0x0000B850,
}
_BM1370_CORE_RESET: Final[Mapping[int, int]] = {0x00: 0x52, 0x02: 0x55, 0x06: 0x08}

BM1370: Final = ChipModel(
    name="BM1370",
    cores=128,
    sub_cores=16,
    small_cores=2040,
    nominal_core_v=1.150,
    reset=_BM1370_RESET,
    core_reset=_BM1370_CORE_RESET,
    job_bits=0xF0,
    job_shift=1,
    starts_at_address=False,
    vco_mhz=(1600.0, 3200.0),
)
BM1368: Final = ChipModel(
    name="BM1368",
    cores=80,
    sub_cores=16,
    small_cores=1276,
    nominal_core_v=1.166,
    reset=_BM1370_RESET | {reg.CHIP_ID: 0x13680000, reg.CORE_NUMBER: 0x00000050},
    core_reset=_BM1370_CORE_RESET,
    job_bits=0xF0,
    job_shift=1,
    starts_at_address=True,  # [inf]: no capture shows it
    vco_mhz=None,
)
BM1366: Final = ChipModel(
    name="BM1366",
    cores=112,
    sub_cores=8,
    small_cores=894,
    nominal_core_v=1.200,
    reset=_NEWER
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

BM1362: Final = ChipModel(
    name="BM1362",
    cores=65,
    sub_cores=8,
    small_cores=512,
    nominal_core_v=0.300,
    # No dump is public: those of a BM1366, but for the two that captures show [inf].
    reset=dict(BM1366.reset) | {reg.CHIP_ID: 0x13620300, reg.CORE_NUMBER: 0x00000041, reg.SOFT_RESET_CONTROL: 0},
    core_reset=BM1366.core_reset,
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

MODELS: Final[Mapping[str, ChipModel]] = {model.name: model for model in (BM1362, BM1366, BM1368, BM1370)}
