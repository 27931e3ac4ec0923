"""Frames and nonces a second through `Link` and `Chain`, and jobs a second, over a port in memory.

The yardstick is a chain that saturates its 3.125 Mbaud line: 28,409 replies of 11 bytes a second. Best of three. A
second here is one of CPU time, so that a busy machine changes little.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Final

from drivers.asics.bm1370 import BM1370
from drivers.asics.chain import Chain, Work
from drivers.codecs.bm13xx import LONG_REPLY_BYTES, DeviceCodec, HostCodec, HostEvent, HostMessage, NonceReply
from drivers.link import Link
from drivers.transports.memory import MemoryWire, memory_pair

SATURATED_PER_S: Final = 28_409
READS: Final = (64, 4096)
"""Bytes that arrive at once: a USB packet, and what a busy host finds waiting."""
_FRAMES: Final = 200_000
_JOBS: Final = 20_000
_EVERY_HASH_PASSES: Final = 2**32
"""The dilution at which each hash is a find: the double SHA-256 is computed all the same, and nothing else is."""
_BEST_OF: Final = 3


def measure() -> dict[str, Any]:
    stream = _stream(_FRAMES)
    hashes = max(_hash_alone() for _ in range(_BEST_OF))
    result: dict[str, Any] = {
        "saturated_chain_frames_per_s": SATURATED_PER_S,
        "frames": _FRAMES,
        "double_sha256_alone_per_s": round(hashes),
        "double_sha256_alone_x_saturated": round(hashes / SATURATED_PER_S, 1),
    }
    for size in READS:
        decoded = _best(lambda size=size: _decode(stream, size))  # type: ignore[misc]
        verified = _best(lambda size=size: _verify(stream, size))  # type: ignore[misc]
        result[f"reads_of_{size}_bytes"] = {
            "decoded_per_s": round(decoded),
            "decoded_x_saturated": round(decoded / SATURATED_PER_S, 1),
            "verified_per_s": round(verified),
            "verified_x_saturated": round(verified / SATURATED_PER_S, 1),
        }
    result["jobs_per_s"] = round(_best(_send_jobs))
    return result


def _hash_alone() -> float:
    """What this machine's hashlib can do in a loop and nothing else: the ceiling of `verified`."""
    data = bytes(80)
    began_s = time.process_time()
    for _ in range(_FRAMES):
        sha256(sha256(data).digest()).digest()
    return _FRAMES / (time.process_time() - began_s)


def _best(run: Callable[[], Awaitable[float]]) -> float:
    async def call() -> float:
        return await run()

    return max(asyncio.run(call()) for _ in range(_BEST_OF))


def _stream(count: int) -> bytes:
    """Nonces that are all different, for the jobs that `_verify` sends."""
    rng = random.Random(1)
    codec = DeviceCodec(full_header_jobs=True)
    job_bytes = BM1370.job_bytes[:4]
    frames = []
    for number in range(count):
        job_byte = job_bytes[number % 4]
        result = (job_byte << BM1370.job_shift & BM1370.job_mask) | rng.randrange(16)
        nonce = number.to_bytes(4, "big")
        frames.append(codec.encode(NonceReply(nonce, 0, result, rng.randrange(1 << 16)), LONG_REPLY_BYTES))
    return b"".join(frames)


def _deliver(wire: MemoryWire, stream: bytes, size: int) -> float:
    """CPU seconds to take the whole stream, `size` bytes at a time."""
    began_s = time.process_time()
    for at in range(0, len(stream), size):
        wire.deliver(stream[at : at + size])
    return time.process_time() - began_s


async def _decode(stream: bytes, size: int) -> float:
    transport, wire = memory_pair()
    seen = 0

    def count(events: list[HostEvent]) -> None:
        nonlocal seen
        seen += len(events)

    link: Link[HostMessage, HostEvent] = Link(transport, HostCodec(LONG_REPLY_BYTES), on_events=count)
    link.start()
    took_s = _deliver(wire, stream, size)
    assert seen == _FRAMES, seen
    await link.aclose()
    return seen / took_s


async def _chain() -> tuple[Chain, MemoryWire]:
    transport, wire = memory_pair()
    wire.attach(lambda baud, data: None, lambda baud: None)
    chain = Chain(transport, BM1370, expected_chips=1, dilution=_EVERY_HASH_PASSES)
    chain.start()
    chain._codec.use_reply_bytes(LONG_REPLY_BYTES)  # what `enumerate` leaves behind
    await chain.set_ticket(1)
    return chain, wire


def _header(number: int) -> bytes:
    return bytes(4) + random.Random(number).randbytes(72)


async def _verify(stream: bytes, size: int) -> float:
    chain, wire = await _chain()
    finds = 0

    def count(found: list[Any]) -> None:
        nonlocal finds
        finds += len(found)

    chain.on_finds = count
    for number in range(4):
        await chain.send(Work(number, _header(number)))
    took_s = _deliver(wire, stream, size)
    assert finds == chain.counters.verified == _FRAMES, (finds, chain.counters)
    await chain.aclose()
    return finds / took_s


async def _send_jobs() -> float:
    chain, _ = await _chain()
    headers = [_header(number) for number in range(64)]
    began_s = time.process_time()
    for number in range(_JOBS):
        await chain.send(Work(number, headers[number % 64]))
    took_s = time.process_time() - began_s
    await chain.aclose()
    return _JOBS / took_s
