"""The published frames of twelve BM1362 at interval 10 (order of an S19j Pro capture), checksums and all."""

from __future__ import annotations

from typing import Final

ADDRESSES: Final = ("00", "10", "20", "30", "40", "50", "60", "70", "80", "90", "a0", "b0")
# By address: set-address, then A8 = 2, 18 = B000C100, 3C = 80008540, 3C = 80008008, 3C = 800082AA.
_CHECKSUMS: Final = """
    1c 03 1c 04 0d 05
    0f 00 1f 07 0e 06
    1f 05 1a 02 0b 03
    0c 06 19 01 08 00
    1a 0f 10 08 01 09
    09 0c 13 0b 02 0a
    19 09 16 0e 07 0f
    0a 0a 15 0d 04 0c
    10 1b 04 1c 15 1d
    03 18 07 1f 16 1e
    13 1d 02 1a 13 1b
    00 1e 01 19 10 18
"""
_PER_CHIP: Final = ("a8 00 00 00 02", "18 b0 00 c1 00", "3c 80 00 85 40", "3c 80 00 80 08", "3c 80 00 82 aa")
CHECKSUMS: Final = dict(zip(ADDRESSES, (line.split() for line in _CHECKSUMS.strip().splitlines()), strict=True))

BEFORE: Final = [
    *["55 aa 51 09 00 a4 90 00 ff ff 1c"] * 3,
    "55 aa 52 05 00 00 0a",
    "55 aa 51 09 00 a8 00 00 00 00 01",
    "55 aa 51 09 00 18 b0 00 c1 00 14",
    "55 aa 53 05 00 00 03",
    *[f"55 aa 40 05 {address} 00 {sums[0]}" for address, sums in CHECKSUMS.items()],
    "55 aa 51 09 00 3c 80 00 85 40 0c",
    "55 aa 51 09 00 3c 80 00 80 08 05",
    "55 aa 51 09 00 14 00 00 00 ff 08",
    "55 aa 51 09 00 54 00 00 00 03 1d",
    "55 aa 51 09 00 58 00 01 11 11 0d",
]
PER_CHIP: Final = [
    f"55 aa 41 09 {address} {body} {checksum}"
    for address, sums in CHECKSUMS.items()
    for body, checksum in zip(_PER_CHIP, sums[1:], strict=True)
]
WINDOW_525: Final = "55 aa 51 09 00 10 00 00 c2 44 15"
CLOCK_525: Final = "55 aa 51 09 00 08 40 a8 02 30 03"
