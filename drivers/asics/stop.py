"""What stops the chips of a chain: messages for the driver, and the same as bytes for whoever has to do it without one.

The sweep window goes first, then the clock to its floor. Any other stop register goes last: what its 0 does has not
been seen. A write is not answered; each chip is asked for both registers, and an answer is compared as the driver's
decoder does: preamble, value, address and register. Bit 31 of a PLL word, locked, may be either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.asics import pll
from drivers.asics.kind import AsicKind, answer_s
from drivers.asics.partition import Partition
from drivers.codecs.bm13xx import DeviceCodec, ReadRegister, RegisterReply, WriteRegister, encode

CLOCK: Final = 0x08
"""Register of the PLL word."""
_REPLY_HEAD_BYTES: Final = 8
"""Preamble, value, address and register; of what is behind them only the type bit is compared."""
_TYPE_BIT: Final = 0x80
_NOT_LOCKED: Final = 0x7F


@dataclass(frozen=True, slots=True)
class StopProof:
    """One question to one chip and the answer of a chip that has stopped; `mask` is 0 where a bit may differ."""

    name: str
    question: bytes
    answer: bytes
    mask: bytes


@dataclass(frozen=True, slots=True)
class StopFrames:
    """`writes` go to all chips, in this order. `bauds`: the rates at which the chips may listen, the first after a
    reset. `answer_s`: how long an answer may take."""

    writes: tuple[bytes, ...]
    proofs: tuple[StopProof, ...]
    bauds: tuple[int, ...]
    answer_s: float


def floor_clock(kind: AsicKind) -> pll.PllWord:
    """The slowest clock that a chip is left with."""
    return pll.solve(kind.floor_clock_mhz, kind.pll_rule, kind.pll_shape)


def stop_writes(kind: AsicKind) -> tuple[WriteRegister, ...]:
    """To all chips, in the order in which they go out."""
    writes = (WriteRegister(kind.stop_register, 0, None), WriteRegister(CLOCK, floor_clock(kind).word, None))
    return writes if kind.run_word is None else writes[::-1]


def stop_frames(kind: AsicKind, chips: int) -> StopFrames:
    """For a chain of so many chips, with the addresses that the driver gives them. It answers as after its bring-up."""
    partition = Partition(kind, chips)
    stop = "sweep window" if kind.run_word is None else f"register {kind.stop_register:02x}"
    proofs = [
        _proof(kind, f"{what} of chip {chip}", partition.address(chip), register, value)
        for chip in range(chips)
        for what, register, value in ((stop, kind.stop_register, 0), ("clock", CLOCK, floor_clock(kind).word))
    ]
    writes = tuple(encode(write) for write in stop_writes(kind))
    return StopFrames(writes, tuple(proofs), (kind.reset_baud, kind.fast_baud), answer_s(chips))


def _proof(kind: AsicKind, name: str, address: int, register: int, value: int) -> StopProof:
    codec = DeviceCodec(full_header_jobs=not kind.midstates)
    answer = codec.encode(RegisterReply(value, address, register), kind.reply_bytes)
    mask = bytearray(b"\xff" * _REPLY_HEAD_BYTES).ljust(len(answer), b"\x00")
    mask[-1] = _TYPE_BIT
    if register == CLOCK:
        mask[2] = _NOT_LOCKED
    return StopProof(name, encode(ReadRegister(register, address)), answer, bytes(mask))
