"""BM13xx frames: every published one decodes and is made again byte for byte, and a bad line costs what it must."""

from __future__ import annotations

import random
import re
from hashlib import sha256
from typing import Any

import pytest

from drivers.codecs.bm13xx import (
    BadFrame,
    ChainInactive,
    Command,
    DeviceCodec,
    HostCodec,
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
from drivers.codecs.header import double_sha256, hash_value, ticket_target, with_nonce
from drivers.errors import UsageError
from tests.vectors import frame, params, rows

Row = dict[str, Any]

FRAMED = rows("bm13xx", "command", "ticket-mask", "init", "hcn") + rows("usb_miners", "command")
COMMANDS = [row for row in FRAMED if row["hex"].startswith("55 AA")]
RESPONSES = rows("bm13xx", "response") + rows("usb_miners", "response")
JOBS = rows("bm13xx", "job") + rows("usb_miners", "job")

CHIP_ID_SHORT = bytes.fromhex("AA 55 13 70 00 00 00 00 06")
CHIP_ID_LONG = bytes.fromhex("AA 55 13 70 00 00 00 00 00 00 10")
NONCE_LONG = bytes.fromhex("AA 55 4C 03 52 75 0C D2 05 A2 9C")
NONCE_SHORT = bytes.fromhex("AA 55 97 C3 28 B6 01 63 9C")
CHIP_ID = RegisterReply(0x13700000, 0, 0)
NONCE = NonceReply(bytes.fromhex("4C035275"), 0x0C, 0xD2, 0x05A2)
NONCE_97 = NonceReply(bytes.fromhex("97C328B6"), 1, 0x63, None)
READ_ALL = bytes.fromhex("55 AA 52 05 00 00 0A")
HEADER = bytes.fromhex(rows("bm13xx", "header")[0]["hex"])[:76]
BASE_HEADER = bytes.fromhex("00000020") + HEADER[4:]


def host(reply_bytes: int | None) -> HostCodec:
    codec = HostCodec()
    codec.use_reply_bytes(reply_bytes)
    return codec


# --- published frames ------------------------------------------------------------------------------------------------


def test_every_framed_command_of_the_vectors_is_run() -> None:
    assert len(COMMANDS) == len(FRAMED)


@pytest.mark.parametrize("row", params(COMMANDS))
def test_a_published_command_decodes_and_is_made_again(row: Row) -> None:
    (command,) = DeviceCodec(full_header_jobs=True).feed(frame(row))
    assert isinstance(command, ReadRegister | WriteRegister | SetAddress | ChainInactive)
    assert encode(command) == HostCodec().encode(command) == frame(row)


@pytest.mark.parametrize("row", params(RESPONSES))
def test_a_published_reply_decodes_and_is_made_again(row: Row) -> None:
    data = frame(row)
    codec = host(len(data))
    (reply,) = codec.feed(data)
    assert isinstance(reply, RegisterReply | NonceReply)
    assert DeviceCodec(full_header_jobs=True).encode(reply, len(data)) == data
    assert (codec.pending, codec.noise_bytes) == (0, 0)


@pytest.mark.parametrize(
    "row", params([row for row in rows("bm13xx", "response") if row["meaning"].startswith("nonce ")])
)
def test_a_published_nonce_has_the_fields_that_its_source_states(row: Row) -> None:
    (reply,) = host(len(frame(row))).feed(frame(row))
    assert isinstance(reply, NonceReply)
    stated = dict(re.findall(r"(nonce|version|id byte|midstate|sub|core) ([0-9A-F]+)", row["meaning"]))
    assert int.from_bytes(reply.nonce, "little") == int(stated["nonce"], 16)
    if "version" in stated:
        assert reply.version_field is not None
        assert reply.version_field << 13 == int(stated["version"], 16)
    else:
        assert reply.version_field is None
    if "core" in stated:
        assert reply.nonce[0] >> (0 if row["chip"] == "BM1397" else 1) == int(stated["core"])
    if "sub" in stated:
        assert reply.result & (15 if row["chip"] in ("BM1368", "BM1370") else 7) == int(stated["sub"])
    if "id byte" in stated:
        assert (reply.result & 0xFC, reply.result & 3) == (int(stated["id byte"], 16), int(stated["midstate"]))


@pytest.mark.parametrize("row", params(JOBS))
def test_a_published_job_decodes_and_is_made_again(row: Row) -> None:
    (job,) = DeviceCodec(full_header_jobs=row["chip"] != "BM1397").feed(frame(row))
    assert isinstance(job, MidstateJob if row["chip"] == "BM1397" else Job)
    assert encode(job) == frame(row)


def test_a_job_and_its_answer_make_the_share_that_the_pool_accepted() -> None:
    (job,) = DeviceCodec(full_header_jobs=True).feed(frame(JOBS[0]))
    assert isinstance(job, Job)
    (reply,) = host(11).feed(NONCE_LONG)
    assert isinstance(reply, NonceReply)
    assert reply.version_field is not None
    share = with_nonce(job.header, reply.nonce, reply.version_field << 13)
    assert share == bytes.fromhex(rows("bm13xx", "header")[0]["hex"])
    assert (reply.result & 0xF0) >> 1 == job.job_byte


def test_a_job_made_from_the_header_is_the_captured_one() -> None:
    assert encode(Job(0x68, BASE_HEADER)) == frame(JOBS[0])
    assert encode(Job(0x68, BASE_HEADER + b"\xff\xff\xff\xff")) == frame(JOBS[0])


def test_the_length_byte_of_a_job_changes_its_checksum() -> None:
    assert encode(Job(0x68, BASE_HEADER))[-2:].hex() == "721c"
    assert encode(Job(0x68, BASE_HEADER, length_byte=0x36))[-2:].hex() == "5658"


def test_the_midstate_of_a_published_job_gives_the_published_hash() -> None:
    (row,) = rows("bm13xx", "hash")
    job_row = next(row for row in JOBS if "id byte 18" in row["meaning"])
    (job,) = DeviceCodec(full_header_jobs=False).feed(frame(job_row))
    assert isinstance(job, MidstateJob)
    assert (job.job_byte, len(job.midstates), job.starting_nonce.hex()) == (0x18, 4, "9b044c0a")
    block = job.tail + bytes.fromhex("9B044C0A") + b"\x80" + bytes(39) + (640).to_bytes(8, "big")
    digest = sha256(_compress(job.midstates[2], block)).digest()
    assert digest[::-1].hex() == row["hex"]


def test_an_unfilled_midstate_job_keeps_its_own_count() -> None:
    job = MidstateJob(0x04, (bytes(32),) * 4, bytes(12), count=1)
    data = encode(job)
    assert (data[3], data[5]) == (0x96, 1)
    assert DeviceCodec(full_header_jobs=False).feed(data) == [job]


@pytest.mark.parametrize("row", params(rows("bm13xx", "ticket-mask")))
def test_a_ticket_mask_passes_just_the_hashes_below_its_target(row: Row) -> None:
    (write,) = DeviceCodec(full_header_jobs=True).feed(frame(row))
    assert isinstance(write, WriteRegister)
    assert (write.register, write.address) == (0x14, None)
    target = ticket_target(int(row["meaning"].rsplit(maxsplit=1)[1]))
    chance = random.Random(row["name"])
    for _ in range(200):
        digest = (
            chance.randbytes(24) + (chance.getrandbits(32) >> chance.randrange(33)).to_bytes(4, "little") + bytes(4)
        )
        masked = any(write.value >> 8 * k & 0xFF & digest[27 - k] for k in range(4))
        assert (not masked) == (hash_value(digest) <= target)


# --- the host's end --------------------------------------------------------------------------------------------------


def test_a_whole_reply_is_never_kept_back() -> None:
    for size, data in ((9, CHIP_ID_SHORT), (11, CHIP_ID_LONG), (9, NONCE_SHORT), (11, NONCE_LONG)):
        codec = host(size)
        assert codec.feed(data[:-1]) == []
        assert codec.pending == size - 1
        assert len(codec.feed(data[-1:])) == 1
        assert codec.pending == 0


def test_a_stray_byte_before_a_reply_is_reported_and_costs_nothing_else() -> None:
    codec = host(11)
    assert codec.feed(b"\x00" + NONCE_LONG) == [Noise(b"\x00", "no preamble"), NONCE]
    assert codec.noise_bytes == 1


def test_a_lone_aa_at_the_end_may_be_the_beginning_of_a_reply() -> None:
    codec = host(11)
    assert codec.feed(b"\x00\xaa") == [Noise(b"\x00", "no preamble")]
    assert codec.pending == 1
    assert codec.feed(NONCE_LONG[1:]) == [NONCE]


def test_a_bad_checksum_drops_one_byte_and_finds_the_reply_inside() -> None:
    broken = NONCE_LONG[:5]
    codec = host(11)
    assert codec.feed(broken + NONCE_LONG) == [Noise(broken, "a frame that fails its check"), NONCE]


def test_a_preamble_in_front_of_a_reply_does_not_swallow_it() -> None:
    assert host(11).feed(b"\xaa\x55" + NONCE_LONG)[-1] == NONCE
    assert host(11).feed(b"\xaa" + NONCE_LONG)[-1] == NONCE


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 6, 7])
def test_a_reply_of_an_unknown_type_is_noise_though_its_checksum_is_right(kind: int) -> None:
    body = NONCE_LONG[2:-1]
    data = b"\xaa\x55" + body + bytes((kind << 5 | crc5_bits(body, kind, 3),))
    assert crc5(data[2:]) == 0
    for copies in (1, 5):
        codec = host(11)
        events = codec.feed(data * copies + NONCE_LONG)
        assert events == [Noise(data * copies, "a frame that fails its check"), NONCE]


def test_noise_is_reported_in_one_piece_a_read() -> None:
    codec = host(11)
    (event,) = codec.feed(bytes(4096))
    assert event == Noise(bytes(4096), "no preamble")
    assert (codec.noise_bytes, codec.pending) == (4096, 0)


def test_a_long_read_gives_every_reply_around_a_broken_one() -> None:
    broken = NONCE_LONG[:-1] + b"\x9d"
    codec = host(11)
    events = codec.feed(NONCE_LONG * 40 + broken + CHIP_ID_LONG + NONCE_LONG * 40 + NONCE_LONG[:4])
    noise = Noise(broken, "a frame that fails its check")
    assert events == [NONCE] * 40 + [noise, CHIP_ID] + [NONCE] * 40
    assert codec.pending == 4


def test_register_replies_among_nonces_keep_their_place() -> None:
    assert host(11).feed(NONCE_LONG * 5 + CHIP_ID_LONG + NONCE_LONG * 5) == [NONCE] * 5 + [CHIP_ID] + [NONCE] * 5
    assert host(9).feed(NONCE_SHORT * 8) == [NONCE_97] * 8
    assert host(9).feed(NONCE_SHORT * 8 + CHIP_ID_SHORT) == [NONCE_97] * 8 + [CHIP_ID]


@pytest.mark.parametrize("size", [9, 11])
def test_a_flipped_bit_in_a_long_read_costs_that_reply_alone(size: int) -> None:
    frame, reply = (NONCE_SHORT, NONCE_97) if size == 9 else (NONCE_LONG, NONCE)
    for bit in range(8 * size):
        broken = bytearray(frame)
        broken[bit // 8] ^= 0x80 >> bit % 8
        codec = host(size)
        events = codec.feed(frame * 3 + bytes(broken) + frame * 4)
        assert [event for event in events if not isinstance(event, Noise)] == [reply] * 7
        assert codec.noise_bytes == size


def test_every_other_reply_broken_still_gives_the_rest() -> None:
    broken = NONCE_LONG[:-1] + b"\x9d"
    events = host(11).feed((broken + NONCE_LONG) * 100)
    assert [event for event in events if not isinstance(event, Noise)] == [NONCE] * 100


def test_reset_forgets_half_a_reply() -> None:
    codec = host(11)
    codec.feed(NONCE_LONG[:7])
    codec.reset()
    assert codec.feed(NONCE_LONG) == [NONCE]


@pytest.mark.parametrize("count", [0, 7, 10, 12])
def test_no_reply_has_another_length(count: int) -> None:
    with pytest.raises(UsageError, match="9, 11"):
        host(count)
    with pytest.raises(UsageError, match="9 or 11"):
        DeviceCodec(full_header_jobs=True).encode(CHIP_ID, count)


# --- length not known yet --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [CHIP_ID_SHORT, CHIP_ID_LONG], ids=["9 bytes", "11 bytes"])
def test_the_length_is_found_from_the_first_reply(data: bytes) -> None:
    codec = host(None)
    codec.expect(0x00)
    assert codec.feed(data * 3) == [CHIP_ID] * 3
    assert (codec.seen_reply_bytes, codec.pending) == (len(data), 0)


@pytest.mark.parametrize("data", [CHIP_ID_SHORT, CHIP_ID_LONG], ids=["9 bytes", "11 bytes"])
def test_a_reply_of_unknown_length_is_not_kept_back(data: bytes) -> None:
    codec = host(None)
    codec.expect(0x00)
    events = [event for byte in data for event in codec.feed(bytes((byte,)))]
    assert events == [CHIP_ID]


def test_a_reply_that_passes_in_both_lengths_is_given_once_and_its_zeros_are_no_noise() -> None:
    short = _ambiguous()
    long = short + b"\x00\x00"
    assert crc5(short[2:]) == crc5(long[2:]) == 0
    expected = [RegisterReply(int.from_bytes(short[2:6], "big"), 0, 0x18)]
    for pieces in ([long], [short, b"\x00\x00"], [short, b"\x00", b"\x00"], [long[:4], long[4:]]):
        codec = host(None)
        codec.expect(0x18)
        assert [event for piece in pieces for event in codec.feed(piece)] == expected
        assert (codec.seen_reply_bytes, codec.noise_bytes, codec.pending) == (11, 0, 0)


def test_a_short_reply_with_a_zero_at_its_end_is_followed_by_the_next() -> None:
    short = _ambiguous()
    codec = host(None)
    codec.expect(0x18)
    assert len(codec.feed(short + short)) == 2
    assert (codec.seen_reply_bytes, codec.noise_bytes) == (9, 0)
    assert codec.feed(b"\x00\xaa") == [Noise(b"\x00", "no preamble")]


def test_only_the_register_asked_for_settles_the_length() -> None:
    codec = host(None)
    codec.expect(0x18)
    assert codec.feed(CHIP_ID_SHORT + CHIP_ID_SHORT)[0] == Noise(CHIP_ID_SHORT, "a frame that fails its check")
    assert codec.seen_reply_bytes is None


def test_without_a_question_any_register_settles_the_length() -> None:
    assert host(None).feed(CHIP_ID_SHORT) == [CHIP_ID]


def test_a_hashing_chip_is_heard_before_the_length_is_known() -> None:
    codec = host(None)
    codec.expect(0x00)
    assert codec.feed(NONCE_LONG + CHIP_ID_LONG + NONCE_LONG) == [NONCE, CHIP_ID, NONCE]


def test_a_nonce_whose_head_looks_like_a_shorter_one_is_read_whole() -> None:
    nonce = _long_nonce_with_a_good_head(0x80, result=0x68)
    for pieces in ([nonce], [nonce[:9], nonce[9:]], [nonce[:10], nonce[10:]]):
        codec = host(None)
        (reply,) = [event for piece in pieces for event in codec.feed(piece)]
        assert reply == host(11).feed(nonce)[0]
        assert codec.seen_reply_bytes == 11


def test_a_nonce_whose_head_is_the_reply_asked_for_reads_the_same_in_any_pieces() -> None:
    nonce = _long_nonce_with_a_good_head(0x00, result=0x68)
    for pieces in ([nonce], [nonce[:9], nonce[9:]]):  # one in 65,536; the head cannot wait for what may never come
        codec = host(None)
        codec.expect(0x68)
        first, *rest = [event for piece in pieces for event in codec.feed(piece)]
        assert isinstance(first, RegisterReply)
        assert rest == [Noise(nonce[9:], "no preamble")]


def test_noise_before_the_length_is_known_is_reported() -> None:
    codec = host(None)
    codec.expect(0x00)
    assert codec.feed(b"\x13" + CHIP_ID_LONG + b"\x37") == [
        Noise(b"\x13", "no preamble"),
        CHIP_ID,
        Noise(b"\x37", "no preamble"),
    ]
    assert codec.noise_bytes == 2


def test_choosing_a_length_forgets_the_one_seen() -> None:
    codec = host(None)
    codec.feed(CHIP_ID_SHORT)
    codec.use_reply_bytes(11)
    assert (codec.reply_bytes, codec.seen_reply_bytes) == (11, None)
    assert codec.feed(CHIP_ID_LONG) == [CHIP_ID]


# --- the chip's end --------------------------------------------------------------------------------------------------


def test_a_frame_with_a_wrong_checksum_is_never_acted_on() -> None:
    write = encode(WriteRegister(0x08, 0x50D20240, None))
    job = encode(Job(0x68, BASE_HEADER))
    chip = DeviceCodec(full_header_jobs=True)
    assert chip.feed(write[:-1] + b"\x00") == [BadFrame("command", write[:-1] + b"\x00")]
    assert chip.feed(job[:-1] + b"\x00") == [BadFrame("job", job[:-1] + b"\x00")]
    assert chip.pending == 0


def test_the_top_bits_of_a_command_checksum_must_be_zero() -> None:
    (event,) = DeviceCodec(full_header_jobs=True).feed(READ_ALL[:-1] + b"\x2a")
    assert isinstance(event, BadFrame)


@pytest.mark.parametrize("flags", [0x00, 0x20, 0x31, 0x43, 0x50, 0x54, 0xC0, 0xFF])
def test_impossible_flags_cost_one_byte_and_a_new_search(flags: int) -> None:
    junk = b"\x55\xaa" + bytes((flags,))
    assert DeviceCodec(full_header_jobs=True).feed(junk + READ_ALL) == [Noise(junk, "no frame"), ReadRegister(0, None)]


@pytest.mark.parametrize(("flags", "length"), [(0x52, 0x09), (0x41, 0x05), (0x53, 0x00), (0x21, 0x37), (0x21, 0xB6)])
def test_an_impossible_length_costs_one_byte_and_a_new_search(flags: int, length: int) -> None:
    junk = bytes((0x55, 0xAA, flags, length))
    assert DeviceCodec(full_header_jobs=False).feed(junk + READ_ALL)[-1] == ReadRegister(0, None)


def test_full_header_chips_read_88_bytes_whatever_the_length_byte_says() -> None:
    for length_byte in (0x00, 0x36, 0x56, 0x96, 0xFF):
        job = Job(0x18, BASE_HEADER, length_byte=length_byte)
        assert DeviceCodec(full_header_jobs=True).feed(encode(job) + READ_ALL) == [job, ReadRegister(0, None)]


def test_midstate_chips_believe_the_length_byte() -> None:
    for count in (1, 2, 3, 4):
        job = MidstateJob(0x18, tuple(bytes((k,)) * 32 for k in range(count)), bytes(range(12)))
        assert DeviceCodec(full_header_jobs=False).feed(encode(job) + READ_ALL) == [job, ReadRegister(0, None)]


def test_a_lost_byte_costs_the_frame_that_it_was_lost_from_and_no_other() -> None:
    write = encode(WriteRegister(0x14, 0xFF, None))
    for lost in range(4, len(write)):
        chip = DeviceCodec(full_header_jobs=True)
        events = chip.feed(write[:lost] + write[lost + 1 :] + READ_ALL)
        assert events[-1] == ReadRegister(0, None)
        assert isinstance(events[0], BadFrame)


def test_commands_may_come_back_to_back_and_in_pieces() -> None:
    messages: list[HostMessage] = [
        ReadRegister(0x8C, 0x40),
        WriteRegister(0x3C, 0x80008B00, None),
        WriteRegister(0xA8, 0x000701F0, 0xC0),
        ChainInactive(),
        SetAddress(0x80),
        Job(0x30, BASE_HEADER),
    ]
    stream = b"".join(map(encode, messages))
    whole: list[Command] = DeviceCodec(full_header_jobs=True).feed(stream)
    assert whole == messages
    chip = DeviceCodec(full_header_jobs=True)
    assert [event for byte in stream for event in chip.feed(bytes((byte,)))] == messages


def test_bytes_that_are_no_command_are_reported_at_once() -> None:
    chip = DeviceCodec(full_header_jobs=True)
    assert chip.feed(b"\x13\x37\x55") == [Noise(b"\x13\x37", "no frame")]
    assert chip.feed(READ_ALL[1:]) == [ReadRegister(0, None)]


def test_reset_of_a_chip_forgets_half_a_command() -> None:
    chip = DeviceCodec(full_header_jobs=True)
    chip.feed(encode(Job(0x30, BASE_HEADER))[:60])
    chip.reset()
    assert chip.feed(READ_ALL) == [ReadRegister(0, None)]


def test_a_long_nonce_needs_a_version_field_and_a_short_one_drops_it() -> None:
    chip = DeviceCodec(full_header_jobs=True)
    with pytest.raises(UsageError, match="version_field"):
        chip.encode(NonceReply(bytes(4), 0, 0, None), 11)
    assert host(9).feed(chip.encode(NONCE, 9)) == [NONCE._replace(version_field=None)]


@pytest.mark.parametrize(
    "message",
    [
        ReadRegister(0x100, None),
        ReadRegister(0, -1),
        ReadRegister(0, 0x100),
        WriteRegister(0, -1, None),
        WriteRegister(0, 1 << 32, None),
        WriteRegister(-1, 0, 0),
        SetAddress(256),
        Job(256, BASE_HEADER),
        Job(0, BASE_HEADER[:75]),
        Job(0, BASE_HEADER, midstates=256),
        Job(0, BASE_HEADER, length_byte=-1),
        Job(0, BASE_HEADER, starting_nonce=b""),
        MidstateJob(0, (), bytes(12)),
        MidstateJob(0, (bytes(32),) * 5, bytes(12)),
        MidstateJob(0, (bytes(31),), bytes(12)),
        MidstateJob(0, (bytes(32),), bytes(11)),
    ],
    ids=repr,
)
def test_what_does_not_fit_its_field_is_refused_and_never_cut(message: HostMessage) -> None:
    with pytest.raises(UsageError):
        encode(message)


@pytest.mark.parametrize(
    "reply",
    [
        RegisterReply(1 << 32, 0, 0),
        RegisterReply(0, 256, 0),
        NonceReply(bytes(3), 0, 0, 0),
        NonceReply(bytes(4), 256, 0, 0),
        NonceReply(bytes(4), 0, 0, 1 << 16),
    ],
    ids=repr,
)
def test_a_reply_that_does_not_fit_is_refused(reply: RegisterReply | NonceReply) -> None:
    with pytest.raises(UsageError):
        DeviceCodec(full_header_jobs=True).encode(reply, 11)


# --- helpers ---------------------------------------------------------------------------------------------------------


def _ambiguous() -> bytes:
    """A reply of 9 bytes that ends in 00, so that two zeros behind it make a good one of 11."""
    for value in range(256):
        body = value.to_bytes(4, "big") + b"\x00\x18"
        if crc5_bits(body, 0, 3) == 0:
            return b"\xaa\x55" + body + b"\x00"
    raise AssertionError("none found")


def _long_nonce_with_a_good_head(kind: int, result: int) -> bytes:
    """A nonce of 11 bytes whose first nine are a good reply too: of type `kind >> 5`."""
    head = b"\x4c\x03\x52\x75\x0c" + bytes((result,))
    crc = crc5_bits(head, kind >> 5, 3)
    reply = NonceReply(head[:4], head[4], result, (kind | crc) << 8 | 0x31)
    return DeviceCodec(full_header_jobs=True).encode(reply, 11)


def _compress(state: bytes, block: bytes) -> bytes:
    """One SHA-256 compression: `state` as eight big-endian words, `block` of 64 bytes."""
    mask = 0xFFFFFFFF

    def rotate(word: int, count: int) -> int:
        return (word >> count | word << 32 - count) & mask

    constants = [int(abs(prime ** (1 / 3)) % 1 * (1 << 32)) for prime in _primes(64)]
    words = [int.from_bytes(block[at : at + 4], "big") for at in range(0, 64, 4)]
    for t in range(16, 64):
        low, high = words[t - 15], words[t - 2]
        s0 = rotate(low, 7) ^ rotate(low, 18) ^ low >> 3
        s1 = rotate(high, 17) ^ rotate(high, 19) ^ high >> 10
        words.append(words[t - 16] + s0 + words[t - 7] + s1 & mask)
    start = [int.from_bytes(state[at : at + 4], "big") for at in range(0, 32, 4)]
    a, b, c, d, e, f, g, h = start
    for t in range(64):
        s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
        t1 = h + s1 + (e & f ^ ~e & g) + constants[t] + words[t]
        s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
        t2 = s0 + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = t1 + t2 & mask, a, b, c, d + t1 & mask, e, f, g
    return b"".join((x + y & mask).to_bytes(4, "big") for x, y in zip(start, (a, b, c, d, e, f, g, h), strict=True))


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def test_the_hash_helper_is_sha256() -> None:
    start = b"".join(int(prime**0.5 % 1 * (1 << 32)).to_bytes(4, "big") for prime in _primes(8))
    padded = b"abc" + b"\x80" + bytes(52) + (24).to_bytes(8, "big")
    assert sha256(_compress(start, padded)).digest() == double_sha256(b"abc")
