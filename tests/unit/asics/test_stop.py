"""The stop as bytes: of every kind it is what the driver sends, and its proofs are what stopped chips answer."""

from __future__ import annotations

import asyncio

import pytest

from drivers.asics import ASICS
from drivers.asics.chain import Chain, Work
from drivers.asics.kind import answer_s
from drivers.asics.stop import StopProof, stop_frames, stop_writes
from drivers.codecs.bm13xx import DeviceCodec, NonceReply
from drivers.transports.memory import memory_pair
from emulator.benches.hashboard import HashBoard, HashBoardModel
from emulator.ports.memory import MemoryPort
from tests.unit.boards.recording import Recording

CHIPS = 3


@pytest.mark.parametrize("name", sorted(ASICS))
async def test_written_by_somebody_else_it_stops_the_chips_and_they_answer_as_foreseen(name: str) -> None:
    kind = ASICS[name]
    bench = HashBoard(HashBoardModel("bench", ((name, CHIPS),)))
    port, wire = memory_pair("data")
    recording = Recording(port)
    MemoryPort(bench.data, wire)
    chain = Chain(recording, kind, expected_chips=CHIPS)
    chain.start()
    await chain.enumerate()
    await chain.initialise()
    await chain.set_frequency_step(56.25)
    await chain.set_window(56.25)
    await chain.fast_link()
    await chain.send(Work(1, bytes(76)))
    assert [chip.hash_activity for chip in bench.chips] == [1.0] * CHIPS
    frames = chain.stop_frames()
    assert (frames.bauds, frames.answer_s) == ((kind.reset_baud, kind.fast_baud), answer_s(CHIPS))
    came = bytearray()
    deliver = wire.deliver

    def hear(data: bytes) -> None:
        came.extend(data)
        deliver(data)

    wire.deliver = hear  # type: ignore[method-assign]
    running = await _answers(recording, frames.proofs, came)
    assert not any(running)
    for write in frames.writes:
        await port.write(write)
    assert not bench.hashing
    assert bench.fastest_mhz == kind.floor_clock_mhz
    assert all(await _answers(recording, frames.proofs, came))
    before = len(recording.writes)
    assert await chain.stop_hashing()
    sent = [data for _, data in recording.writes[before:]]
    assert tuple(sent[: len(frames.writes)]) == frames.writes
    assert {proof.question for proof in frames.proofs} == set(sent[len(frames.writes) :])
    await chain.aclose()


@pytest.mark.parametrize("name", sorted(ASICS))
def test_the_window_goes_before_the_clock_and_a_register_whose_zero_nobody_has_seen_goes_last(name: str) -> None:
    registers = [write.register for write in stop_writes(ASICS[name])]
    assert registers == ([0x08, 0x20] if name == "BM1397" else [0x10, 0x08])


async def _answers(port: Recording, proofs: tuple, came: bytearray) -> list[bool]:  # type: ignore[type-arg]
    """Which of the proofs the chips give now."""
    given = []
    for proof in proofs:
        came.clear()
        await port.write(proof.question)
        await asyncio.sleep(0.02)
        given.append(any(_fits(proof, came[at:]) for at in range(len(came) - len(proof.answer) + 1)))
    return given


def _fits(proof: StopProof, found: bytes | bytearray) -> bool:
    return all((a ^ b) & m == 0 for a, b, m in zip(found, proof.answer, proof.mask, strict=False))


@pytest.mark.parametrize("name", sorted(ASICS))
def test_a_nonce_that_begins_like_the_answer_of_a_stopped_chip_is_no_proof_that_it_stopped(name: str) -> None:
    kind = ASICS[name]
    for proof in stop_frames(kind, CHIPS).proofs:
        head = proof.answer[2:8]
        find = NonceReply(head[:4], head[4], head[5], 0)
        frame = DeviceCodec(full_header_jobs=not kind.midstates).encode(find, kind.reply_bytes)
        assert frame[:8] == proof.answer[:8]
        assert _fits(proof, proof.answer)
        assert not _fits(proof, frame)
