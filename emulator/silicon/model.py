"""What there is to know of a chip to emulate it; one file of `emulator.chips` each. `chip.py` makes a chip of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
