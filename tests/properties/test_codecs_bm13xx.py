"""BM13xx: however a stream is cut and whatever is mixed into it, the same frames come out, and none waits."""

from __future__ import annotations

from collections.abc import Iterable

import anycrc
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from drivers.codecs.bm13xx import (
    BadFrame,
    ChainInactive,
    ChipReply,
    Command,
    DeviceCodec,
    HostCodec,
    HostEvent,
    HostMessage,
    Job,
    MidstateJob,
    Noise,
    NonceReply,
    ReadRegister,
    RegisterReply,
    SetAddress,
    WriteRegister,
    encode,
)
from drivers.codecs.crc import crc5, crc5_bits

CODECS = settings(derandomize=True, deadline=None, database=None, max_examples=80)
CRC5 = anycrc.CRC(width=5, poly=0x05, init=0x1F, refin=False, refout=False, xorout=0)

BYTE = st.integers(0, 0xFF)
WORD = st.integers(0, 0xFFFF_FFFF)
SIZE = st.sampled_from([9, 11])
REGISTERS = st.builds(RegisterReply, WORD, BYTE, BYTE)
NONCES = st.builds(NonceReply, st.binary(min_size=4, max_size=4), BYTE, BYTE, st.integers(0, 0xFFFF))
REPLIES = st.one_of(REGISTERS, NONCES)
HEADERS = st.binary(min_size=76, max_size=76)
STATES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4).map(tuple)
FOUR = st.binary(min_size=4, max_size=4)
COMMANDS: st.SearchStrategy[HostMessage] = st.one_of(
    st.builds(ReadRegister, BYTE, st.none() | BYTE),
    st.builds(WriteRegister, BYTE, WORD, st.none() | BYTE),
    st.builds(SetAddress, BYTE),
    st.builds(ChainInactive),
)
JOBS = st.builds(Job, BYTE, HEADERS, BYTE, BYTE, FOUR)
MIDSTATE_JOBS = st.builds(MidstateJob, BYTE, STATES, st.binary(min_size=12, max_size=12), st.none(), FOUR)
SPICED = st.lists(  # bytes that look like the beginning of something, more often than chance has it
    st.sampled_from([b"\xaa\x55", b"\x55\xaa", b"\xaa", b"\x55", b"\x00", b"\x21", b"\x52\x05", b"\x41\x09"])
    | st.binary(max_size=12),
    max_size=30,
).map(b"".join)


def cut(data: bytes, draw: st.DataObject) -> list[bytes]:
    """The stream in pieces, some of them empty."""
    places = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8), label="cut at"))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def merged(events: Iterable[HostEvent | Command]) -> list[HostEvent | Command | bytes]:
    """Events with neighbouring noise joined: where noise is cut is the one thing that pieces may change."""
    result: list[HostEvent | Command | bytes] = []
    for event in events:
        if not isinstance(event, Noise):
            result.append(event)
        elif result and isinstance(result[-1], bytes):
            result[-1] += event.data
        else:
            result.append(event.data)
    return result


def as_sent(reply: ChipReply, size: int) -> ChipReply:
    return reply._replace(version_field=None) if size == 9 and isinstance(reply, NonceReply) else reply


def host(size: int | None, register: int | None = None) -> HostCodec:
    codec = HostCodec()
    codec.use_reply_bytes(size)
    codec.expect(register)
    return codec


def plain_reading(data: bytes, size: int) -> list[HostEvent | Command | bytes]:
    """What a receiver of the simplest kind makes of a stream: one position after the other, one byte at a time."""
    result: list[HostEvent | Command | bytes] = []
    at = noise_from = 0
    while at < len(data):
        frame = data[at : at + size]
        if frame[:2] == b"\xaa\x55"[: len(frame)] and len(frame) < size:
            break
        if frame[:2] == b"\xaa\x55" and crc5(frame[2:]) == 0 and frame[-1] >> 5 in (0, 4):
            if at > noise_from:
                result.append(data[noise_from:at])
            if frame[-1] >> 5:
                version_field = int.from_bytes(frame[8:10], "big") if size == 11 else None
                result.append(NonceReply(frame[2:6], frame[6], frame[7], version_field))
            else:
                result.append(RegisterReply(int.from_bytes(frame[2:6], "big"), frame[6], frame[7]))
            at = noise_from = at + size
        else:
            at += 1
    return [*result, data[noise_from:at]] if at > noise_from else result


# --- checksums -------------------------------------------------------------------------------------------------------


@CODECS
@given(st.binary(max_size=200))
def test_crc5_is_that_of_an_independent_implementation(data: bytes) -> None:
    assert crc5(data) == CRC5.calc(data)


@CODECS
@given(st.binary(max_size=20), st.integers(0, 7))
def test_a_crc5_appended_behind_type_bits_leaves_no_remainder(data: bytes, kind: int) -> None:
    last = kind << 5 | crc5_bits(data, kind, 3)
    assert crc5(data + bytes((last,))) == CRC5.calc(data + bytes((last,))) == 0


# --- encode and feed are inverse -------------------------------------------------------------------------------------


@CODECS
@given(st.lists(REPLIES, max_size=30), SIZE, st.data())
def test_replies_survive_the_line_in_any_pieces(replies: list[ChipReply], size: int, draw: st.DataObject) -> None:
    chip = DeviceCodec(full_header_jobs=True)
    stream = b"".join(chip.encode(reply, size) for reply in replies)
    codec = host(size)
    events = [event for piece in cut(stream, draw) for event in codec.feed(piece)]
    assert events == [as_sent(reply, size) for reply in replies]
    assert (codec.pending, codec.noise_bytes) == (0, 0)


@CODECS
@given(st.lists(COMMANDS | JOBS, max_size=12), st.data())
def test_commands_and_full_header_jobs_survive_the_line_in_any_pieces(
    messages: list[HostMessage], draw: st.DataObject
) -> None:
    chip = DeviceCodec(full_header_jobs=True)
    stream = b"".join(map(encode, messages))
    assert [event for piece in cut(stream, draw) for event in chip.feed(piece)] == messages
    assert chip.pending == 0


@CODECS
@given(st.lists(COMMANDS | MIDSTATE_JOBS, max_size=12), st.data())
def test_commands_and_midstate_jobs_survive_the_line_in_any_pieces(
    messages: list[HostMessage], draw: st.DataObject
) -> None:
    chip = DeviceCodec(full_header_jobs=False)
    stream = b"".join(map(encode, messages))
    assert [event for piece in cut(stream, draw) for event in chip.feed(piece)] == messages


# --- noise -----------------------------------------------------------------------------------------------------------


@CODECS
@given(st.lists(st.tuples(SPICED, REPLIES), min_size=1, max_size=8), SIZE, st.data())
def test_garbage_between_replies_costs_no_reply(
    mixed: list[tuple[bytes, ChipReply]], size: int, draw: st.DataObject
) -> None:
    chip = DeviceCodec(full_header_jobs=True)
    frames = [chip.encode(reply, size) for _, reply in mixed]
    stream = b"".join(garbage + frame for (garbage, _), frame in zip(mixed, frames, strict=True))
    starts = [sum(len(g) + size for g, _ in mixed[:k]) + len(mixed[k][0]) for k in range(len(mixed))]
    for at in range(len(stream) - size + 1):  # garbage, alone or with a part of a reply, must not be a frame by chance
        candidate = stream[at : at + size]
        good = candidate[:2] == b"\xaa\x55" and crc5(candidate[2:]) == 0 and candidate[-1] >> 5 in (0, 4)
        assume(not good or at in starts)
    codec = host(size)
    events = [event for piece in cut(stream, draw) for event in codec.feed(piece)]
    assert [event for event in events if not isinstance(event, Noise)] == [as_sent(reply, size) for _, reply in mixed]
    garbage = b"".join(garbage for garbage, _ in mixed)
    assert b"".join(event.data for event in events if isinstance(event, Noise)) == garbage
    assert codec.noise_bytes == len(garbage)


@settings(CODECS, max_examples=160)
@given(st.lists(SPICED | st.builds(DeviceCodec(True).encode, REPLIES, SIZE), max_size=30), SIZE, st.data())
def test_any_stream_reads_as_it_does_byte_by_byte(parts: list[bytes], size: int, draw: st.DataObject) -> None:
    stream = b"".join(parts)
    codec = host(size)
    whole = codec.feed(stream)
    assert merged(whole) == plain_reading(stream, size)
    pieces = host(size)
    assert merged(event for piece in cut(stream, draw) for event in pieces.feed(piece)) == merged(whole)
    assert (pieces.pending, pieces.noise_bytes) == (codec.pending, codec.noise_bytes)
    assert codec.pending < size
    assert sum(size if not isinstance(event, Noise) else len(event.data) for event in whole) + codec.pending == len(
        stream
    )


@settings(CODECS, max_examples=130)
@given(st.lists(SPICED | st.builds(DeviceCodec(True).encode, REPLIES, SIZE), max_size=12), st.none() | BYTE, st.data())
@example([b"\xaa\x55\x00\x00\x00\x00\x00\x00\x00", b"\x00\x00"], None, None)
def test_a_stream_of_unknown_length_reads_the_same_in_any_pieces(
    parts: list[bytes], register: int | None, draw: st.DataObject | None
) -> None:
    stream = b"".join(parts)
    codec = host(None, register)
    whole = codec.feed(stream)
    pieces = host(None, register)
    cuts = [bytes((byte,)) for byte in stream] if draw is None else cut(stream, draw)
    assert merged(event for piece in cuts for event in pieces.feed(piece)) == merged(whole)
    assert (pieces.pending, pieces.noise_bytes) == (codec.pending, codec.noise_bytes)
    assert pieces.seen_reply_bytes == codec.seen_reply_bytes
    for event in whole:
        assert not isinstance(event, RegisterReply) or register is None or event.register == register


@CODECS
@given(st.lists(REGISTERS, min_size=1, max_size=8), SIZE, st.data())
def test_register_replies_of_unknown_length_are_read_and_none_waits(
    replies: list[RegisterReply], size: int, draw: st.DataObject
) -> None:
    asked = [reply._replace(register=0x8C) for reply in replies]
    codec = host(None, 0x8C)
    chip = DeviceCodec(full_header_jobs=True)
    for reply in asked:
        frame = chip.encode(reply, size)
        events = [event for piece in cut(frame, draw) for event in codec.feed(piece)]
        assert events == [reply]
        assert codec.pending == 0
    assert (codec.seen_reply_bytes, codec.noise_bytes) == (size, 0)


@CODECS
@given(SPICED, REPLIES, SIZE, st.data())
def test_a_whole_reply_never_waits_for_more(garbage: bytes, reply: ChipReply, size: int, draw: st.DataObject) -> None:
    frame = DeviceCodec(full_header_jobs=True).encode(reply, size)
    codec = host(size)
    arrived = b""
    for piece in cut(garbage + frame, draw):
        codec.feed(piece)
        arrived += piece
        kept = arrived[len(arrived) - codec.pending :]
        assert len(kept) < size
        assert kept[:2] == b"\xaa\x55"[: len(kept)]


# --- the chip's end --------------------------------------------------------------------------------------------------


@settings(CODECS, max_examples=130, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(SPICED | st.builds(encode, COMMANDS | JOBS) | st.builds(encode, MIDSTATE_JOBS), max_size=12),
    st.booleans(),
    st.data(),
)
def test_any_command_stream_reads_the_same_in_any_pieces(
    parts: list[bytes], full_header_jobs: bool, draw: st.DataObject
) -> None:
    stream = b"".join(parts)
    chip = DeviceCodec(full_header_jobs)
    whole = chip.feed(stream)
    again = DeviceCodec(full_header_jobs)
    assert merged(event for piece in cut(stream, draw) for event in again.feed(piece)) == merged(whole)
    assert again.pending == chip.pending
    taken = b"".join(event.data if isinstance(event, Noise | BadFrame) else encode(event) for event in whole)
    assert len(taken) == len(stream) - chip.pending  # nothing is lost: each byte is in an event or kept


@CODECS
@given(COMMANDS | JOBS, st.data())
def test_a_flipped_bit_is_never_acted_on(message: HostMessage, draw: st.DataObject) -> None:
    data = bytearray(encode(message))
    bit = draw.draw(st.integers(0, 8 * len(data) - 1), label="bit")
    data[bit // 8] ^= 0x80 >> bit % 8
    events = DeviceCodec(full_header_jobs=True).feed(bytes(data))
    if isinstance(message, Job) and bit // 8 == 3:  # nobody reads this length byte, but the checksum covers it
        assert [type(event) for event in events] == [BadFrame]
    assert all(isinstance(event, Noise | BadFrame) for event in events)


@CODECS
@given(NONCES, SIZE, st.data())
def test_a_flipped_bit_in_a_reply_is_noise(reply: NonceReply, size: int, draw: st.DataObject) -> None:
    data = bytearray(DeviceCodec(full_header_jobs=True).encode(reply, size))
    bit = draw.draw(st.integers(0, 8 * size - 1), label="bit")
    data[bit // 8] ^= 0x80 >> bit % 8
    codec = host(size)
    events = codec.feed(bytes(data) + bytes(size))
    assert all(isinstance(event, Noise) for event in events)
