"""The Bitcoin block header: layout, double SHA-256, difficulty and target.

Two orders of a hash occur. *SHA order* is what SHA-256 returns and what a header holds of the block before; as a
number it is little-endian. *Display order* is the reverse and serves people only. All bytes here are in SHA order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Final, Self

from drivers.errors import UsageError

HEADER_BYTES: Final = 80
NONCE_AT: Final = 76
"""Where the nonce begins: the last four bytes of a header."""
DIFFICULTY_1_TARGET: Final = 0xFFFF << 208
HARD_WIRED_ZERO_BITS: Final = 32
"""Leading zero bits that a chip demands of every hash before its ticket mask comes into play."""

_LAYOUT: Final = Struct("<I32s32sIII")


def double_sha256(data: bytes) -> bytes:
    """SHA-256 of SHA-256: 32 bytes in SHA order."""
    return sha256(sha256(data).digest()).digest()


def hash_value(digest: bytes) -> int:
    """The number that is held against a target: `digest` read little-endian."""
    return int.from_bytes(digest, "little")


def target_difficulty(target: int) -> float:
    """How many times harder than difficulty 1 a target is; infinite for 0."""
    return DIFFICULTY_1_TARGET / target if target else math.inf


def hash_difficulty(digest: bytes) -> float:
    """The highest difficulty that this hash satisfies."""
    return target_difficulty(hash_value(digest))


def leading_zero_bits(digest: bytes) -> int:
    """Zero bits at the top of the number, 0 to 256."""
    return 256 - hash_value(digest).bit_length()


def bits_to_target(bits: int) -> int:
    """The target of the compact form in a header: 8 bits of length in bytes, then 24 bits of mantissa, signed.

    `UsageError` when it is negative or longer than 256 bits: no header on the chain has such a one.
    """
    if not 0 <= bits <= 0xFFFF_FFFF:
        raise UsageError("bits", bits, "0 to 0xFFFFFFFF")
    length, mantissa = bits >> 24, bits & 0x7F_FFFF
    target = mantissa << 8 * (length - 3) if length >= 3 else mantissa >> 8 * (3 - length)
    if (bits & 0x80_0000 and mantissa) or target.bit_length() > 256:
        raise UsageError("bits", f"{bits:#010x}", "a target of 0 to 2**256 - 1")
    return target


def target_to_bits(target: int) -> int:
    """The compact form of a target, cut downward to 23 or 24 significant bits."""
    if not 0 <= target < 1 << 256:
        raise UsageError("target", target, "0 to 2**256 - 1")
    length = (target.bit_length() + 7) // 8
    mantissa = target << 8 * (3 - length) if length <= 3 else target >> 8 * (length - 3)
    if mantissa & 0x80_0000:  # the sign bit must stay clear
        mantissa, length = mantissa >> 8, length + 1
    return length << 24 | mantissa


def ticket_target(difficulty: int, dilution: int = 1) -> int:
    """The largest hash value that passes a ticket mask of this difficulty.

    A mask asks for whole zero bits: 32 + floor(log2(difficulty)), less log2(dilution). `dilution` is 1 on silicon; a
    power of two above 1 makes an emulated chip find more often, and both ends must state it.
    """
    if difficulty < 1:
        raise UsageError("difficulty", difficulty, "1 or more")
    if dilution < 1 or dilution & (dilution - 1):
        raise UsageError("dilution", dilution, "a power of two")
    zero_bits = HARD_WIRED_ZERO_BITS + difficulty.bit_length() - dilution.bit_length()
    if not 0 <= zero_bits <= 256:
        raise UsageError("dilution", dilution, "0 to 256 leading zero bits in all")
    return (1 << 256 - zero_bits) - 1


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a header. `previous` and `merkle_root` are 32 bytes each, in SHA order."""

    version: int
    previous: bytes
    merkle_root: bytes
    time_s: int
    bits: int
    nonce: int

    def pack(self) -> bytes:
        """80 bytes, as hashed."""
        for key, part in (("previous", self.previous), ("merkle_root", self.merkle_root)):
            if len(part) != 32:
                raise UsageError(key, part.hex(), "32 bytes")
        for key, word in (
            ("version", self.version),
            ("time_s", self.time_s),
            ("bits", self.bits),
            ("nonce", self.nonce),
        ):
            if not 0 <= word <= 0xFFFF_FFFF:
                raise UsageError(key, word, "0 to 0xFFFFFFFF")
        return _LAYOUT.pack(self.version, self.previous, self.merkle_root, self.time_s, self.bits, self.nonce)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The header in exactly 80 bytes."""
        if len(data) != HEADER_BYTES:
            raise UsageError("header", f"{len(data)} bytes", f"{HEADER_BYTES} bytes")
        return cls(*_LAYOUT.unpack(data))


def with_nonce(header: bytes, nonce: bytes, version_bits: int) -> bytes:
    """The 80 bytes to hash: `header` (76 or 80 bytes) with its nonce replaced and `version_bits` ORed into its version.

    `nonce` is 4 bytes in header order, as a chip sends them. `version_bits` is in place: the field of a nonce frame
    shifted left by 13. OR is right only when the job went out with its rollable bits clear.
    """
    version = int.from_bytes(header[:4], "little") | version_bits
    return version.to_bytes(4, "little") + header[4:NONCE_AT] + nonce
