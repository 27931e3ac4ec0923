"""Nonces that truly hash: solved headers that an emulated chip finds again, and a diluted search for any other work.

A chip of 1 TH/s tries 10^12 hashes a second; Python manages half a million. Two ways lead to nonces that verify all
the same. *Solved work*: for a header whose nonce is known, the emulated core reports it at the moment at which its
sweep reaches it. *Dilution* K, a power of two: each double SHA-256 done here stands for K of the chip's, and a ticket
asks for log2(K) zero bits less, so that nonces come at the rate of the chip and verify at the diluted difficulty. At
K = 1 there is no such search, since one nonce would take 2^32 hashes: then only solved work is answered. A BM1370 at
525 MHz costs 1.07e12 / K trials a second, of about 1.5 us each: K below 2^21 cannot keep up with real time. From a
midstate a trial takes about 0.1 ms, since hashlib takes none: a BM1397 at 425 MHz needs a K of 2^25 or more.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from drivers.codecs import sha256 as steps
from drivers.codecs.header import DIFFICULTY_1_TARGET, HEADER_BYTES, double_sha256, hash_value

VERSION_SHIFT: Final = 13
VERSION_FIELDS: Final = 1 << 16
ROLLED_BITS: Final = (VERSION_FIELDS - 1) << VERSION_SHIFT
"""Bits 28 to 13 of a header's version: those that a chip rolls."""
COUNTERS: Final = 1 << 25
"""Nonces of one core: the low 25 bits of the nonce read most significant byte first; the core is in the upper 7."""
_ALL_CORES: Final = (1 << 128) - 1
_SPARSE: Final = 4.0
"""Trials per batch, below which they are scattered over a stretch instead of drawn batch by batch."""
_PADDING: Final = b"\x80" + bytes(39) + (8 * HEADER_BYTES).to_bytes(8, "big")
"""Behind a header, to the end of its second block."""
_PACKAGED: Final = "bitcoin_mainnet_headers_0_7999.bin"


class SolvedHeadersError(ValueError):
    """A file of solved headers is not what it should be. `record`: which one, from 0; None: the file as a whole."""

    def __init__(self, source: str, record: int | None, why: str) -> None:
        super().__init__(f"{source}: {why}" if record is None else f"{source}: record {record}: {why}")
        self.source = source
        self.record = record


class Answer(NamedTuple):
    """The known answer of a job. `top`: the 64 most significant bits of its hash."""

    field: int
    nonce: int
    top: int


class Solved(NamedTuple):
    version: int
    nonce: int
    top: int


def top_bits(digest: bytes) -> int:
    """The 64 most significant bits of a hash, as a number."""
    return int.from_bytes(digest[24:], "little")


def clear_rolled_bits(header: bytes) -> bytes:
    """The first 76 bytes of a header with version bits 28 to 13 clear."""
    if header[1] & 0xE0 or header[2] or header[3] & 0x1F:
        version = int.from_bytes(header[:4], "little") & ~ROLLED_BITS
        return version.to_bytes(4, "little") + header[4:76]
    return header[:76]


class SolvedHeaders:
    """Headers with a nonce that meets difficulty 1, found by their 76 bytes before it."""

    def __init__(self, records: bytes, source: str = "solved headers") -> None:
        """`records`: 80 bytes each. SolvedHeadersError names the first one whose hash misses difficulty 1."""
        if not records or len(records) % HEADER_BYTES:
            raise SolvedHeadersError(
                source, None, f"{len(records)} bytes are not one or more records of {HEADER_BYTES}"
            )
        self._known: dict[bytes, Solved] = {}
        self._answers: dict[bytes, Answer] = {}
        self._by_tail: dict[bytes, list[bytes]] = {}
        for number in range(len(records) // HEADER_BYTES):
            header = records[number * HEADER_BYTES : (number + 1) * HEADER_BYTES]
            digest = double_sha256(header)
            if hash_value(digest) > DIFFICULTY_1_TARGET:
                raise SolvedHeadersError(source, number, "its hash does not meet difficulty 1")
            version = int.from_bytes(header[:4], "little")
            solved = Solved(version, int.from_bytes(header[76:], "big"), top_bits(digest))
            clear = clear_rolled_bits(header)
            self._known.setdefault(clear, solved)
            self._answers.setdefault(clear, Answer((version & ROLLED_BITS) >> VERSION_SHIFT, solved.nonce, solved.top))
            self._by_tail.setdefault(clear[64:], []).append(clear)

    @classmethod
    def load(cls, path: Path | None = None) -> SolvedHeaders:
        """The records of a file; None: blocks 0 to 7,999 of the main chain, which come with the package."""
        return _packaged() if path is None else cls(path.read_bytes(), str(path))

    def __len__(self) -> int:
        return len(self._known)

    def answer(self, header: bytes) -> Answer | None:
        """The known answer to a job of these 76 bytes, or None.

        A chip sets version bits, it clears none: an answer needs the version bits that the job has set. The first field
        that makes the version is 0 when the header has none of the rolled bits.
        """
        answer = self._answers.get(header)
        if answer is not None:
            return answer
        solved = self._known.get(clear_rolled_bits(header))
        if solved is None:
            return None
        version = int.from_bytes(header[:4], "little")
        if version & ~solved.version:
            return None
        return Answer((solved.version & ~version) >> VERSION_SHIFT, solved.nonce, solved.top)

    def answer_from(self, midstates: Sequence[bytes], tail: bytes) -> Answer | None:
        """The known answer to a job of midstates and header bytes 64 to 75, or None. Its field is the index of one."""
        for clear in self._by_tail.get(tail, ()):
            solved = self._known[clear]
            state = steps.midstate(solved.version.to_bytes(4, "little") + clear[4:64])
            if state in midstates:
                return Answer(midstates.index(state), solved.nonce, solved.top)
        return None


@cache
def _packaged() -> SolvedHeaders:
    return SolvedHeaders(resources.files("emulator").joinpath("data", _PACKAGED).read_bytes(), _PACKAGED)


def check_dilution(dilution: int) -> int:
    """log2 of K. ValueError unless K is a power of two from 1 to 2^40."""
    if not 1 <= dilution <= 1 << 40 or dilution & (dilution - 1):
        raise ValueError(f"dilution {dilution} is not a power of two from 1 to 2**40")
    return dilution.bit_length() - 1


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson variate: by products up to 12, above that by transformed rejection (Hörmann 1993, PTRS)."""
    if mean <= 0.0:
        return 0
    if mean < 12.0:
        floor, product, count = math.exp(-mean), rng.random(), 0
        while product > floor:
            product *= rng.random()
            count += 1
        return count
    root = math.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    steep = 0.9277 - 3.6224 / (b - 2.0)
    log_mean = math.log(mean)
    while True:
        u = rng.random() - 0.5
        v = 1.0 - rng.random()
        edge = 0.5 - abs(u)
        count = math.floor((2.0 * a / edge + b) * u + mean + 0.43) if edge > 0.0 else -1
        if edge >= 0.07 and v <= steep:
            return count
        if count < 0 or (edge < 0.013 and v > edge):
            continue
        log_v = math.log(v) + math.log(inverse_alpha) - math.log(a / (edge * edge) + b)
        if log_v <= count * log_mean - mean - math.lgamma(count + 1.0):
            return count


class Hit(NamedTuple):
    """A trial that passed. `walk`: where in the stretch, in nonces of one core; `batch` and `walked`: the same, cut
    into batches. `nonce`: core << 25 | counter. `top`: the 64 most significant bits of the hash."""

    walk: float
    batch: int
    walked: int
    field: int
    nonce: int
    top: int


class _Begun(Protocol):
    """A SHA-256 that has taken a part of its input."""

    def copy(self) -> Self: ...
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class DilutedSearch:
    """Trials on one job. They are drawn from `rng`, so that equal seeds find equal nonces."""

    def __init__(self, header: bytes, rng: random.Random, versions_per_batch: int = 8) -> None:
        """`header`: 76 bytes, rollable version bits clear or to be kept set."""
        self._versions = versions_per_batch
        self._version = int.from_bytes(header[:4], "little")
        self._block = header[4:64]
        self._tail = header[64:76]
        self._rng = rng
        self._begun: dict[int, _Begun] = {}
        self.trials = 0
        """Double SHA-256 done so far."""

    def run(
        self,
        density: float,
        from_walk: float,
        walks: float,
        span: float,
        batch: int,
        start: int,
        asked: int,
        cores: int,
    ) -> list[Hit]:
        """Try a stretch of the sweep and return the hits, by `walk`. The trials are a Poisson process in it.

        The stretch begins `from_walk` nonces into batch number `batch` and is `walks` nonces long, in batches of
        `span`. `density`: trials per nonce walked, as if there were 128 cores. `start`: counter at the beginning of
        each batch. `asked`: bits that must be 0 among the 64 highest. `cores`: set of cores that may answer, one bit
        each.
        """
        end = from_walk + walks
        if density * span < _SPARSE and end > span:
            return self._scatter(
                poisson(self._rng, density * walks), from_walk, walks, span, batch, start, asked, cores
            )
        hits: list[Hit] = []
        number, begin = 0, from_walk
        while begin < end:
            base = number * span if number else 0.0
            stop = min(end, base + span)
            count = poisson(self._rng, density * (stop - begin))
            hits += self._crowd(count, begin - base, stop - begin, base, batch + number, start, asked, cores)
            number += 1
            begin = stop
        hits.sort()
        return hits

    def _crowd(
        self, count: int, first: float, width: float, base: float, batch: int, start: int, asked: int, cores: int
    ) -> list[Hit]:
        """Many trials in one batch: nonces `first` to `first + width` of each core. `base`: walk at which it begins."""
        self.trials += count
        bits = self._rng.getrandbits
        versions, choice = self._versions, self._versions - 1
        fields = [batch * versions + k & 0xFFFF for k in range(versions)]
        states = [self._begun.get(each) or self._begin(each) for each in fields]
        top_byte = asked >> 56
        low, wide, masked = int(first), int(width) + 1, cores != _ALL_CORES
        hits: list[Hit] = []
        for _ in range(count):
            drawn = bits(42)
            walked = low + ((drawn >> 10) * wide >> 32)
            core = drawn & 127
            if (masked and not cores >> core & 1) or walked >= COUNTERS:
                continue  # beyond a lap of the counter nothing is new
            nonce = core << 25 | (start + walked) & 0x1FF_FFFF
            inner = states[drawn >> 7 & choice].copy()
            inner.update(nonce.to_bytes(4, "big"))
            digest = sha256(inner.digest()).digest()
            if digest[31] & top_byte:
                continue
            top = int.from_bytes(digest[24:], "little")
            if not top & asked:
                hits.append(Hit(base + walked, batch, walked, fields[drawn >> 7 & choice], nonce, top))
        return hits

    def _scatter(
        self, count: int, from_walk: float, walks: float, span: float, batch: int, start: int, asked: int, cores: int
    ) -> list[Hit]:
        """Few trials over many batches, so that most batches get none."""
        self.trials += count
        rng = self._rng
        hits: list[Hit] = []
        for _ in range(count):
            walk = rng.random() * walks + from_walk
            number = int(walk / span)
            walked = int(walk - number * span)
            drawn = rng.getrandbits(10)
            core = drawn & 127
            if walked >= COUNTERS or not cores >> core & 1:
                continue
            field = (batch + number) * self._versions + (drawn >> 7 & self._versions - 1) & 0xFFFF
            nonce = core << 25 | (start + walked) & 0x1FF_FFFF
            top = self.top(field, nonce)
            if not top & asked:
                hits.append(Hit(walk, batch + number, walked, field, nonce, top))
        hits.sort()
        return hits

    def top(self, field: int, nonce: int) -> int:
        """The 64 most significant bits of the hash of one candidate."""
        inner = (self._begun.get(field) or self._begin(field)).copy()
        inner.update(nonce.to_bytes(4, "big"))
        return top_bits(sha256(inner.digest()).digest())

    def _begin(self, field: int) -> _Begun:
        """SHA-256 of all but the nonce, for one version. Kept for some batches: every core uses the same few."""
        if len(self._begun) > 1024:
            self._begun.clear()
        version = self._version | field << VERSION_SHIFT
        state: _Begun = sha256(version.to_bytes(4, "little") + self._block)
        state.update(self._tail)
        self._begun[field] = state
        return state


class MidstateSearch:
    """The same from midstates, whose index stands for the version. Nonces have core, sub-core and a counter."""

    def __init__(self, midstates: Sequence[bytes], tail: bytes, rng: random.Random, core_bits: int, counter_bits: int):
        """`midstates`: 32 bytes each. `tail`: header bytes 64 to 75."""
        self._states = [steps.unpack(state) for state in midstates]
        self._tail = tail
        self._rng = rng
        self._core_bits, self._counter_bits = core_bits, counter_bits
        self.trials = 0
        """Hashes done so far."""

    def run(
        self,
        density: float,
        from_walk: float,
        walks: float,
        span: float,
        batch: int,
        start: int,
        asked: int,
        cores: int,
    ) -> list[Hit]:
        """As in `DilutedSearch`, `density` as if there were as many cores as the nonce has room for."""
        rng, low = self._rng, 32 - self._core_bits
        count = poisson(rng, density * walks)
        self.trials += count
        hits: list[Hit] = []
        for _ in range(count):
            walk = rng.random() * walks + from_walk
            number = int(walk / span)
            walked = int(walk - number * span)
            drawn = rng.getrandbits(32)
            index = rng.randrange(len(self._states))
            if walked >> self._counter_bits or not cores >> (drawn >> low) & 1:
                continue
            counter = start + walked & (1 << self._counter_bits) - 1
            nonce = drawn >> self._counter_bits << self._counter_bits | counter
            top = self.top(index, nonce)
            if not top & asked:
                hits.append(Hit(walk, batch + number, walked, index, nonce, top))
        hits.sort()
        return hits

    def top(self, field: int, nonce: int) -> int:
        """The 64 most significant bits of the hash of one candidate."""
        block = self._tail + nonce.to_bytes(4, "big") + _PADDING
        return top_bits(sha256(steps.pack(steps.take(self._states[field], block))).digest())
