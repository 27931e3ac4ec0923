"""SHA-256 in steps (FIPS 180-4): one block taken into a state. hashlib gives no state away and takes none.

A chip that does not roll the version is sent states, not headers: see `MidstateJob` in `bm13xx.py`.
"""

from __future__ import annotations

from math import isqrt
from struct import Struct
from typing import Final

State = tuple[int, int, int, int, int, int, int, int]
"""The eight words h0 to h7."""

_MASK: Final = 0xFFFF_FFFF
_PRIMES: Final = tuple(n for n in range(2, 312) if all(n % d for d in range(2, isqrt(n) + 1)))


def _cube_root(number: int) -> int:
    """Rounded down."""
    low, high = 0, 1 << number.bit_length() // 3 + 1
    while low < high:
        middle = low + high + 1 >> 1
        low, high = (middle, high) if middle**3 <= number else (low, middle - 1)
    return low


_ROUND: Final = tuple(_cube_root(prime << 96) & _MASK for prime in _PRIMES)
"""The first 32 bits behind the point of the cube roots of the first 64 primes."""
FIRST: Final[State] = tuple(isqrt(prime << 64) & _MASK for prime in _PRIMES[:8])  # type: ignore[assignment]
"""The state before the first block: the same of the square roots of the first eight."""
_BLOCK: Final = Struct(">16I")
_STATE: Final = Struct(">8I")


def pack(state: State) -> bytes:
    """32 bytes: the words in order, each big-endian. Of the state behind the last block, the hash."""
    return _STATE.pack(*state)


def unpack(data: bytes) -> State:
    """The opposite of `pack`, for exactly 32 bytes."""
    return _STATE.unpack(data)


def take(state: State, block: bytes) -> State:
    """The state behind one more block of 64 bytes."""
    words = list(_BLOCK.unpack(block))
    add = words.append
    for at in range(16, 64):
        x, y = words[at - 15], words[at - 2]
        x = (x >> 7 | x << 25) ^ (x >> 18 | x << 14) ^ x >> 3
        y = (y >> 17 | y << 15) ^ (y >> 19 | y << 13) ^ y >> 10
        add(words[at - 16] + (x & _MASK) + words[at - 7] + (y & _MASK) & _MASK)
    a, b, c, d, e, f, g, h = state
    for constant, word in zip(_ROUND, words, strict=True):
        e2 = e << 32 | e
        h += (e2 >> 6 ^ e2 >> 11 ^ e2 >> 25) + (e & f ^ ~e & g) + constant + word & _MASK
        a2 = a << 32 | a
        t = (a2 >> 2 ^ a2 >> 13 ^ a2 >> 22) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = h + t & _MASK, a, b, c, d + h & _MASK, e, f, g
    s = state
    return (
        s[0] + a & _MASK,
        s[1] + b & _MASK,
        s[2] + c & _MASK,
        s[3] + d & _MASK,
        s[4] + e & _MASK,
        s[5] + f & _MASK,
        s[6] + g & _MASK,
        s[7] + h & _MASK,
    )


def midstate(block: bytes) -> bytes:
    """The state behind the first 64 bytes of a message, packed."""
    return pack(take(FIRST, block))
