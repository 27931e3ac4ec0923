"""What the chips are given to chew on: headers whose answer is known, and headers that nobody has solved.

A solved header is 80 raw bytes as a block header is hashed: version, previous, merkle root, time, bits, nonce. The
shipped ones are blocks 0 to 7,999 of the Bitcoin main chain, in order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from drivers.codecs.header import DIFFICULTY_1_TARGET, HEADER_BYTES, double_sha256, hash_value
from drivers.errors import UsageError

DOMAINS: Final = 4
"""Supply domains in a chip. Domain = core mod 4 is an assumption: which core sits where is not public."""
_ROLLED_BITS: Final = 0x1FFFE000
"""Header version bits 28..13: the chip rolls them, starting at zero."""
_SHIPPED: Final = "bitcoin_mainnet_headers_0_7999.bin"
_SYNTHETIC_VERSION: Final = (0x20000000).to_bytes(4, "little")
_EASY_BITS: Final = (0x1D00FFFF).to_bytes(4, "little")

OwnerOf = Callable[[bytes], tuple[int, int] | None]
"""Which chip and core answer this nonce (4 bytes, header order); None: none of this chain does."""


@dataclass(frozen=True, slots=True)
class SolvedHeader:
    """A header, and the chip and core that will find its nonce."""

    header: bytes
    chip: int
    core: int


def shipped_headers() -> bytes:
    """The records that come with the package."""
    return (resources.files("controller.work") / "data" / _SHIPPED).read_bytes()


def load_headers(path: str | Path) -> bytes:
    """Raw records from a file, each checked. Raises `UsageError` naming the first record that will not do."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError("headers", str(path), f"a readable file ({error.strerror})") from error
    check_headers(data, str(path))
    return data


def check_headers(data: bytes, name: str) -> None:
    """Every record must be solved at difficulty 1 and leave the rolled version bits clear. Records count from 0."""
    if not data or len(data) % HEADER_BYTES:
        raise UsageError("headers", f"{name}, {len(data)} bytes", f"one or more records of {HEADER_BYTES} bytes")
    for number, header in enumerate(_records(data)):
        if int.from_bytes(header[:4], "little") & _ROLLED_BITS:
            version = int.from_bytes(header[:4], "little")
            allowed = "version bits 28..13 clear: the chip rolls them, and would need minutes to come to this value"
            raise UsageError("headers", f"{name}, record {number}, version {version:#010x}", allowed)
        if hash_value(double_sha256(header)) > DIFFICULTY_1_TARGET:
            raise UsageError("headers", f"{name}, record {number}", "a header whose hash meets difficulty 1")


def _records(data: bytes) -> Iterator[bytes]:
    return (data[start : start + HEADER_BYTES] for start in range(0, len(data), HEADER_BYTES))


class PatternSource:
    """Solved headers without end, evenly over the chips and their four domains, each deck shuffled anew when it is used
    up.

    Evenly, because the shipped nonces are not: 83 % of them lie in cores 0 to 31 of a BM1370. Headers whose nonce no
    core of the chain can reach are left out: they are not due.
    """

    def __init__(self, headers: bytes, owner_of: OwnerOf, seed: int) -> None:
        self._random = random.Random(seed)
        decks: dict[tuple[int, int], list[SolvedHeader]] = {}
        self.unreachable = 0
        for header in _records(headers):
            owner = owner_of(header[76:80])
            if owner is None:
                self.unreachable += 1
            else:
                chip, core = owner
                decks.setdefault((core % DOMAINS, chip), []).append(SolvedHeader(header, chip, core))
        self._decks: Sequence[list[SolvedHeader]] = [decks[of] for of in sorted(decks)]
        if not self._decks:
            raise UsageError(
                "headers", f"{self.unreachable} records", "at least one that a core of this chip can reach"
            )
        self._positions = [len(deck) for deck in self._decks]
        self._turn = 0

    def __len__(self) -> int:
        return sum(len(deck) for deck in self._decks)

    def draw(self) -> SolvedHeader:
        turn = self._turn
        self._turn = (turn + 1) % len(self._decks)
        deck, position = self._decks[turn], self._positions[turn]
        if position >= len(deck):
            self._random.shuffle(deck)
            position = 0
        self._positions[turn] = position + 1
        return deck[position]


class SyntheticSource:
    """Random headers with the version bits clear that the chip rolls. Seeded: the same seed gives the same headers."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def draw(self) -> bytes:
        """80 bytes; the nonce is zero."""
        noise = self._random.randbytes(68)
        return _SYNTHETIC_VERSION + noise + _EASY_BITS + bytes(4)
