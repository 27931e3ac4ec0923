"""Checks a run of equal-sized BM13xx replies at once, column by column.

CRC-5 is linear: the CRC of a frame is the XOR of one share for each byte, and a share depends only on the byte and its
position. So a table of 256 for each position is enough, `bytes.translate` looks up a whole column, and Python's long
integers XOR the columns. No loop over bytes is left.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from drivers.codecs.crc import CRC5_TABLE, crc5

REGISTER_TYPE: Final = 0
NONCE_TYPE: Final = 4
_WRONG_FIRST, _WRONG_SECOND, _WRONG_TYPE = 0x80, 0x40, 0x20  # the CRC has the five bits below


@cache
def check_tables(size: int) -> tuple[bytes, ...]:
    """One table for each position of a reply of `size` bytes. The XOR of a frame's look-ups is 0 when it is good.

    The low five bits are shares of the CRC; the others flag a wrong preamble and a type that no reply has.
    """
    shares = []
    share = CRC5_TABLE
    for _ in range(size - 2):
        shares.append(share)
        share = bytes(CRC5_TABLE[crc << 3] for crc in share)  # one byte further from the end
    shares.reverse()
    start = crc5(bytes(size - 2))
    shares[0] = bytes(crc ^ start for crc in shares[0])
    known = (REGISTER_TYPE, NONCE_TYPE)
    shares[-1] = bytes(crc if last >> 5 in known else crc | _WRONG_TYPE for last, crc in enumerate(shares[-1]))
    first = bytes(0 if byte == 0xAA else _WRONG_FIRST for byte in range(256))
    second = bytes(0 if byte == 0x55 else _WRONG_SECOND for byte in range(256))
    return (first, second, *shares)


def count_good(block: bytes, count: int, size: int) -> int:
    """How many of the `count` replies in `block` are good before the first that is not."""
    from_bytes = int.from_bytes
    verdict = 0  # one byte a frame, the first frame on top
    for position, table in enumerate(check_tables(size)):
        verdict ^= from_bytes(block[position::size].translate(table), "big")
    return count - (verdict.bit_length() + 7 >> 3)


def is_good(frame: bytes) -> bool:
    """Whether a single reply, its preamble known to be there, is good."""
    return crc5(frame[2:]) == 0 and frame[-1] >> 5 in (REGISTER_TYPE, NONCE_TYPE)
