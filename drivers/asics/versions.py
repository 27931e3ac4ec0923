"""Which header versions a job covers, where a pool lets only some bits of it roll (stratum `version-rolling.mask`).

A chip that is sent midstates rolls nothing: the host counts the version up inside the mask, the carry stays inside it,
and as many go out as a job has room for. A mask of one bit leaves two versions, an empty one the job's own alone, and
none leaves three. Sources: to a BM1397 cgminer driver-gekko.c and ESP-Miner bm1397.c send one midstate without a mask
and four with one; two cgminer sends to the BM1387 alone, whose job has the same layout, and says that it does not do so
here. So two to a BM1397 are unverified.

A chip that rolls the version itself is told by register A4 which bits may roll; with fewer than all of them, what its
counter means is not documented. So nothing but the full mask is taken there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.asics.kind import AsicKind
from drivers.codecs import sha256
from drivers.codecs.bm13xx import Job, MidstateJob
from drivers.errors import UsageError

ROLLED_VERSION_BITS: Final = 0x1FFF_E000
"""Header version bits 28..13 (BIP 320): what a chip rolls, or this driver for it."""
_WORD: Final = 0xFFFF_FFFF


def check_mask(kind: AsicKind, mask: int) -> None:
    """Raises `UsageError` for a mask that this kind cannot be fed under, with its reason."""
    shown = f"{mask:08x}" if 0 <= mask <= _WORD else str(mask)
    if mask & ~ROLLED_VERSION_BITS:
        raise UsageError("version_mask", shown, f"bits of {ROLLED_VERSION_BITS:08x}, which is what may be rolled")
    if not kind.midstates and mask != ROLLED_VERSION_BITS:
        why = f"what a {kind.name} makes of fewer bits in register a4 is not documented"
        raise UsageError("version_mask", shown, f"{ROLLED_VERSION_BITS:08x} alone: {why}")


def midstates_of(kind: AsicKind, mask: int) -> int:
    """How many a job of this kind carries under a mask; 0: its jobs are whole headers."""
    return min(kind.midstates, 1 << mask.bit_count())


def job_of(kind: AsicKind, job_byte: int, header: bytes, versions: Sequence[int]) -> Job | MidstateJob:
    """The message for a header of 76 bytes or more; `versions`: of its midstates, none for a whole header."""
    if not versions:
        return Job(job_byte, header, length_byte=kind.job_length_byte)
    states = tuple(sha256.midstate(version.to_bytes(4, "little") + header[4:64]) for version in versions)
    return MidstateJob(job_byte, states, header[64:76])


def rolled(version: int, mask: int, count: int) -> tuple[int, ...]:
    """The job's version and `count` - 1 more, each one up inside the mask; all different while the mask has so many."""
    versions = [version]
    for _ in range(count - 1):
        inside = (versions[-1] | ~mask & _WORD) + 1 & mask  # ones outside pass the carry on
        versions.append(version & ~mask | inside)
    return tuple(versions)
