"""The smallest host of an emulated chip: it writes frames, keeps what comes back, and hashes what it is told."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib import resources
from typing import Final

from drivers.codecs import bm13xx
from drivers.codecs.bm13xx import (
    HostCodec,
    HostEvent,
    HostMessage,
    Job,
    NonceReply,
    ReadRegister,
    RegisterReply,
    WriteRegister,
)
from drivers.codecs.header import double_sha256, leading_zero_bits, with_nonce
from emulator.chips import bm1370
from emulator.device import Burst
from emulator.hashing import SolvedHeaders
from emulator.physics import ChipSupply
from emulator.silicon.chip import MiningChip
from emulator.silicon.line import ChipLine
from emulator.silicon.model import ChipModel

PLL_525: Final = 0x40A80230
FULL_WINDOW_525: Final = 0x000C2FB7
STOCK_WINDOW: Final = 0x00001EB5
WINDOW_S: Final = FULL_WINDOW_525 / 25e6
RATE_525_HS: Final = 525e6 * 2040
PERFECT: Final = (1.0, 1.0, 1.0, 1.0)

_RAW: Final = resources.files("emulator").joinpath("data", "bitcoin_mainnet_headers_0_7999.bin").read_bytes()
HEADERS: Final = [_RAW[at : at + 80] for at in range(0, len(_RAW), 80)]


def steady(yields: tuple[float, float, float, float] = PERFECT, core_v: float = 1.125) -> Callable[[float], ChipSupply]:
    """A plant on which nothing ever changes."""
    supply = ChipSupply(core_v, 60.0, yields, False)
    return lambda at_s: supply


def ticket_word(zero_bits: int) -> int:
    """The word of register 14 for that many zero bits beyond 32."""
    return int.from_bytes(((1 << 32) - (1 << 32 - zero_bits)).to_bytes(4, "big"), "little")


def unsolved(number: int) -> bytes:
    """76 bytes that nobody has solved, rollable bits clear."""
    return (0x20000000).to_bytes(4, "little") + random.Random(number).randbytes(72)


def zero_bits_of(header: bytes, nonce: NonceReply) -> int:
    assert nonce.version_field is not None
    return leading_zero_bits(double_sha256(with_nonce(header, nonce.nonce, nonce.version_field << 13)))


class ChipHost:
    def __init__(
        self,
        dilution: int = 1,
        seed: int = 1,
        view: Callable[[float], ChipSupply] | None = None,
        start_s: float = 0.0,
        model: ChipModel = bm1370.MODEL,
    ) -> None:
        self.chip = MiningChip(model, random.Random(seed), SolvedHeaders.load(), dilution, view or steady())
        self.line = ChipLine((self.chip,))
        self.codec = HostCodec(9)
        self.baud = 115_200
        self.now_s = start_s
        self.seen: list[tuple[float, HostEvent]] = []
        """Everything that came back and has not been taken by `take`, with its time."""

    def send(self, message: HostMessage, previous_baud: int | None = None) -> None:
        self.send_raw(bm13xx.encode(message), previous_baud)

    def send_raw(self, data: bytes, previous_baud: int | None = None) -> None:
        self.line.receive(Burst(self.baud, data), self.now_s, previous_baud)

    def write(self, register: int, value: int, address: int | None = None) -> None:
        self.send(WriteRegister(register, value, address))

    def run(self, seconds: float) -> None:
        """Let time pass, waking whenever the chip asks for it."""
        end_s = self.now_s + seconds
        while (wake_s := self.line.wakes_at()) is not None and wake_s <= end_s:
            self._collect(wake_s)
        self._collect(end_s)
        self.now_s = end_s

    def _collect(self, at_s: float) -> None:
        for burst in self.line.transmit(at_s):
            assert abs(burst.baud - self.baud) <= 0.05 * self.baud
            self.seen += [(at_s, event) for event in self.codec.feed(burst.data)]

    def take(self) -> list[tuple[float, HostEvent]]:
        taken, self.seen = self.seen, []
        return taken

    def nonces(self) -> list[NonceReply]:
        return [event for _, event in self.take() if isinstance(event, NonceReply)]

    def read(self, register: int, address: int | None = None) -> int:
        """A register, asked for and awaited. Nonces that come meanwhile stay in `seen`."""
        before = len(self.seen)
        self.codec.expect(register)
        self.send(ReadRegister(register, address))
        self.run(800 / self.baud)
        replies = [event for _, event in self.seen[before:] if isinstance(event, RegisterReply)]
        assert len(replies) == 1, replies
        assert replies[0].register == register
        self.seen[before:] = [pair for pair in self.seen[before:] if not isinstance(pair[1], RegisterReply)]
        return replies[0].value

    def bring_up(self, *, pll: int = PLL_525, window: int = FULL_WINDOW_525, ticket_bits: int = 0) -> None:
        """What a chip needs to hash, and the fast line."""
        self.write(0xA4, 0x9000FFFF)
        self.codec.use_reply_bytes(11)
        self.write(0x18, 0xF000C100)
        self.write(0x3C, 0x800082AA)
        self.write(0x14, ticket_word(ticket_bits))
        self.write(0x08, pll)
        self.write(0x10, window)
        self.write(0x28, 0x11300200)
        self.baud = 1_000_000
        self.now_s += 0.01

    def job(self, header: bytes, number: int = 0) -> None:
        self.send(Job((number % 16) << 3, header[:76]))
