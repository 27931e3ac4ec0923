"""What there is to know of a chip to emulate it; one file of `emulator.chips` each. `chip.py` makes a chip of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChipModel:
    """A chip of either family: one takes whole headers and rolls the version itself, the other takes midstates."""

    name: str
    cores: int
    """As the nonce counts them: its top bits. No nonce above the last of them is ever found."""
    sub_cores: int
    """A power of two. Of a chip that rolls versions each batch tries half as many, two nonces a clock each."""
    small_cores: int
    """Hashes per clock of the whole chip, a little less than cores x sub-cores (ESP-Miner)."""
    nominal_core_v: float
    reset: Mapping[int, int]
    """Words after reset; every register that is not named here holds 0."""
    core_reset: Mapping[int, int]
    """Core registers after reset, of which only these are known; the rest holds 0."""
    job_bits: int
    """Of the result byte of a nonce: where the id of its job is. The rest is the sub-core, or the midstate."""
    job_shift: int
    """By how much the job's byte is shifted to stand there."""
    starts_at_address: bool
    """Where a sweep begins: at the chip's address, in the top bits of the counter; else at the offset of register 0C,
    and anywhere without one."""
    vco_mhz: tuple[float, float] | None
    """None: the limits of its VCO are not known."""
    enable_bits: tuple[int, ...] = (28, 29, 30, 31)
    """Of register 18: each lets an equal share of the cores return nonces, the lowest cores first. None: all do."""
    thermometer: tuple[float, float] | None = None
    """Degrees a step and at step 0, of the thermometer behind B0 and B4; None: it gives nothing."""
    midstates: int = 0
    """The most that a job may carry; 0: jobs are whole headers. A chip of midstates always answers in 9 bytes, has no
    sweep window, and lays out clock and line rate in its own way (`registers.py`)."""
    core_bits: int = 7
    sub_core_bits: int = 0
    """Of a nonce, below the core: the sub-core."""
    address_bits: int = 0xFE
    """Of the address, those that are in the nonce."""

    @property
    def counter_bits(self) -> int:
        """Of a nonce, below core and sub-core: what a core counts."""
        return 32 - self.core_bits - self.sub_core_bits

    @property
    def versions_per_batch(self) -> int:
        return self.sub_cores // 2

    @property
    def all_cores(self) -> int:
        """As a set of bits."""
        return (1 << self.cores) - 1

    def result(self, job_byte: int, low: int) -> int:
        """Byte 7 of a nonce frame. `low`: the sub-core, which on a chip that rolls versions is the end of the version;
        or the midstate."""
        return job_byte << self.job_shift & self.job_bits | low & self.sub_cores - 1
