"""The two checksums of the BM13xx line protocol.

CRC-5: width 5, polynomial x^5+x^2+1 (0x05), start 0x1F, most significant bit first, no reflection, no final XOR.
CRC-16: CRC-16/CCITT-FALSE, polynomial 0x1021, start 0xFFFF, most significant bit first; `binascii.crc_hqx` computes it.
Sources: mujina mujina-miner/src/asic/bm13xx/crc.rs, ESP-Miner components/asic/crc.c; docs/wire/bm13xx.md.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import Final

CRC5_START: Final = 0x1F
CRC16_START: Final = 0xFFFF
_POLYNOMIAL: Final = 0x05


def _table() -> bytes:
    table = bytearray(256)
    for byte in range(256):
        crc = 0
        for shift in range(7, -1, -1):
            feedback = (crc >> 4) ^ (byte >> shift & 1)
            crc = (crc << 1 & 0x1F) ^ (_POLYNOMIAL if feedback else 0)
        table[byte] = crc
    return bytes(table)


CRC5_TABLE: Final = _table()
"""`CRC5_TABLE[crc << 3 ^ byte]` is the CRC after `byte`: the five old bits meet the first five of the byte."""


def crc5(data: bytes | bytearray | memoryview, crc: int = CRC5_START) -> int:
    """CRC-5 over whole bytes, 0 to 31. Over a reply from behind its preamble to its last byte, it is 0."""
    table = CRC5_TABLE
    for byte in data:
        crc = table[crc << 3 ^ byte]
    return crc


def crc5_bits(data: bytes | bytearray | memoryview, extra_bits: int, n_bits: int, crc: int = CRC5_START) -> int:
    """CRC-5 over whole bytes and then the low `n_bits` of `extra_bits`, most significant first.

    A reply is made with its three type bits as the extra ones: the CRC then fills the rest of that last byte.
    """
    crc = crc5(data, crc)
    for shift in range(n_bits - 1, -1, -1):
        feedback = (crc >> 4) ^ (extra_bits >> shift & 1)
        crc = (crc << 1 & 0x1F) ^ (_POLYNOMIAL if feedback else 0)
    return crc


def crc16(data: bytes | bytearray | memoryview) -> int:
    """CRC-16/CCITT-FALSE, 0 to 65535; it travels high byte first."""
    return crc_hqx(data, CRC16_START)
