"""The BM13xx line protocol: commands and jobs to the chips, register replies and nonces back.

Pure: bytes in, events out, no clock. Both ends are here, `HostCodec` for the driver and `DeviceCodec` for an emulated
chip. Facts: mujina mujina-miner/src/asic/bm13xx/REFERENCE.md, ESP-Miner components/asic, skot/BM1397 protocol.md,
GPTechinno/bm13xx-rs; collected in docs/wire/bm13xx.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from struct import Struct
from typing import Final, Literal, NamedTuple

from drivers.codecs.crc import crc5, crc5_bits, crc16
from drivers.codecs.framing import NONCE_TYPE, REGISTER_TYPE, count_good, is_good
from drivers.errors import UsageError

TO_CHIP: Final = b"\x55\xaa"
FROM_CHIP: Final = b"\xaa\x55"
SHORT_REPLY_BYTES: Final = 9
"""Every reply of a BM1397, and of the later chips until version rolling is switched on."""
LONG_REPLY_BYTES: Final = 11
FULL_HEADER_JOB_BYTES: Final = 88
"""On the wire, whatever the length byte says: 0x56 is the true count, 0x36 and 0xFF are sent by others."""

_SET_ADDRESS: Final = 0x40
_WRITE_ONE: Final = 0x41
_WRITE_ALL: Final = 0x51
_READ_ONE: Final = 0x42
_READ_ALL: Final = 0x52
_CHAIN_INACTIVE: Final = 0x53
_JOB: Final = 0x21
_COMMAND_LENGTH: Final = {_SET_ADDRESS: 5, _WRITE_ONE: 9, _WRITE_ALL: 9, _READ_ONE: 5, _READ_ALL: 5, _CHAIN_INACTIVE: 5}
_MIDSTATE_JOB_LENGTHS: Final = frozenset(22 + 32 * count for count in range(1, 5))

_REGISTER_FIELDS: Final = Struct(">IBB")
_WORDS: Final = Struct("4s" * 8)
_NO_NONCE: Final = bytes(4)


# --- messages, host to chip ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadRegister:
    """Ask for a register. `address` None asks every chip: one reply each, nearest first."""

    register: int
    address: int | None


@dataclass(frozen=True, slots=True)
class WriteRegister:
    """Set a register; never answered. `address` None writes to every chip."""

    register: int
    value: int
    address: int | None


@dataclass(frozen=True, slots=True)
class SetAddress:
    """Give an address to the first chip that has none since `ChainInactive`."""

    address: int


@dataclass(frozen=True, slots=True)
class ChainInactive:
    """Every chip forgets that it has been addressed and stops forwarding `SetAddress`."""


@dataclass(frozen=True, slots=True)
class Job:
    """A full-header job (BM1362 and later). The chip rolls the version itself: its rollable bits must come clear.

    `header`: 76 bytes or more, in header order; a nonce behind them is ignored. `job_byte`: as on the wire, the id is
    shifted left by 3. `length_byte`: what is sent as length; chips read 88 bytes whatever it says.
    """

    job_byte: int
    header: bytes
    midstates: int = 1
    length_byte: int = 0x56
    starting_nonce: bytes = _NO_NONCE


@dataclass(frozen=True, slots=True)
class MidstateJob:
    """A job for chips that do not roll versions (BM1397): up to four SHA-256 states and the end of the header.

    `midstates`: 32 bytes each, state words h0 to h7, big-endian. `tail`: header bytes 64 to 75 in header order.
    `count`: the count byte; None means as many as are given (ESP-Miner sends 1 with room for four).
    """

    job_byte: int
    midstates: tuple[bytes, ...]
    tail: bytes
    count: int | None = None
    starting_nonce: bytes = _NO_NONCE


# --- messages, chip to host ------------------------------------------------------------------------------------------


class RegisterReply(NamedTuple):
    """The value of a register, with the address that the chip has."""

    value: int
    address: int
    register: int


class NonceReply(NamedTuple):
    """A find. `nonce`: 4 bytes in header order. `excess`: the byte behind it, on BM1362 and later the difficulty beyond
    the ticket in half bits. `result`: job id and sub-core or midstate index. `version_field`: the rolled version bits
    before their shift by 13; None in a reply of 9 bytes."""

    nonce: bytes
    excess: int
    result: int
    version_field: int | None


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that belong to no frame, in the order in which they came."""

    data: bytes
    why: str


@dataclass(frozen=True, slots=True)
class BadFrame:
    """A command or job whose checksum is wrong. A chip does nothing about it but count."""

    kind: Literal["command", "job"]
    data: bytes


HostMessage = ReadRegister | WriteRegister | SetAddress | ChainInactive | Job | MidstateJob
ChipReply = RegisterReply | NonceReply
HostEvent = RegisterReply | NonceReply | Noise
Command = HostMessage | BadFrame | Noise


def _swap_words(data: bytes) -> bytes:
    """Eight words of four bytes, last first; bytes inside a word stay."""
    return _WORDS.pack(*_WORDS.unpack(data)[::-1])


def _byte(key: str, value: int) -> int:
    if not 0 <= value <= 0xFF:
        raise UsageError(key, value, "0x00 to 0xFF")
    return value


def _target(address: int | None) -> int:
    return 0 if address is None else _byte("address", address)


def _exactly(key: str, data: bytes, count: int) -> bytes:
    if len(data) != count:
        raise UsageError(key, f"{len(data)} bytes", f"{count} bytes")
    return data


def _command(flags: int, *payload: int) -> bytes:
    body = bytes((flags, len(payload) + 3, *payload))
    return TO_CHIP + body + bytes((crc5(body),))


def _job(length_byte: int, payload: bytes) -> bytes:
    body = bytes((_JOB, length_byte)) + payload
    return TO_CHIP + body + crc16(body).to_bytes(2, "big")


def _encode_job(job: Job) -> bytes:
    header = job.header
    if len(header) < 76:
        raise UsageError("header", f"{len(header)} bytes", "76 bytes or more")
    payload = b"".join(
        (
            bytes((_byte("job_byte", job.job_byte), _byte("midstates", job.midstates))),
            _exactly("starting_nonce", job.starting_nonce, 4),
            header[72:76],
            header[68:72],
            _swap_words(header[36:68]),
            _swap_words(header[4:36]),
            header[0:4],
        )
    )
    return _job(_byte("length_byte", job.length_byte), payload)


def _encode_midstate_job(job: MidstateJob) -> bytes:
    if not 1 <= len(job.midstates) <= 4:
        raise UsageError("midstates", len(job.midstates), "1 to 4")
    _exactly("tail", job.tail, 12)
    count = len(job.midstates) if job.count is None else job.count
    payload = b"".join(
        (
            bytes((_byte("job_byte", job.job_byte), _byte("count", count))),
            _exactly("starting_nonce", job.starting_nonce, 4),
            job.tail[8:12],
            job.tail[4:8],
            job.tail[0:4],
            *(_swap_words(_exactly("midstates", state, 32)) for state in job.midstates),
        )
    )
    return _job(22 + 32 * len(job.midstates), payload)


def encode(message: HostMessage) -> bytes:
    """The frame of a message. `UsageError` for what does not fit its field; nothing is cut."""
    match message:
        case ReadRegister(register, address):
            flags = _READ_ALL if address is None else _READ_ONE
            return _command(flags, _target(address), _byte("register", register))
        case WriteRegister(register, value, address):
            if not 0 <= value <= 0xFFFF_FFFF:
                raise UsageError("value", value, "0 to 0xFFFFFFFF")
            flags = _WRITE_ALL if address is None else _WRITE_ONE
            return _command(flags, _target(address), _byte("register", register), *value.to_bytes(4, "big"))
        case SetAddress(address):
            return _command(_SET_ADDRESS, _byte("address", address), 0)
        case ChainInactive():
            return _command(_CHAIN_INACTIVE, 0, 0)
        case Job():
            return _encode_job(message)
        case MidstateJob():
            return _encode_midstate_job(message)


# --- the host's end --------------------------------------------------------------------------------------------------


_make_nonce: Final = partial(tuple.__new__, NonceReply)  # skips the Python-level constructor: a third of the time
_LONG_NONCE: Final = Struct(">2x4sBBHx")
_SHORT_NONCE: Final = Struct(">2x4sBBx")
_NONCE_LASTS: Final = bytes(range(0x80, 0xA0))
_FEW: Final = 3
"""Below so many frames, checking them one by one is faster than by columns."""


def _decode(data: bytes, at: int, size: int) -> ChipReply:
    """The content of a good frame."""
    if data[at + size - 1] < 0x80:
        return RegisterReply(*_REGISTER_FIELDS.unpack_from(data, at + 2))
    version_field = data[at + 8] << 8 | data[at + 9] if size == LONG_REPLY_BYTES else None
    return NonceReply(data[at + 2 : at + 6], data[at + 6], data[at + 7], version_field)


def _decode_all(block: bytes, size: int) -> list[HostEvent]:
    """The contents of a run of good frames."""
    last = block[size - 1 :: size]
    if last.translate(None, _NONCE_LASTS):
        return [_decode(block, at, size) for at in range(0, len(block), size)]
    if size == LONG_REPLY_BYTES:
        return list(map(_make_nonce, _LONG_NONCE.iter_unpack(block)))
    return [NonceReply(nonce, excess, result, None) for nonce, excess, result in _SHORT_NONCE.iter_unpack(block)]


class HostCodec:
    """Commands to bytes, bytes to replies. After each `feed`, what is kept is the beginning of one frame at most.

    `reply_bytes` says how long replies are now: 9 or 11, or None when that is not known yet (`use_reply_bytes`).
    """

    def __init__(self, reply_bytes: int | None = None) -> None:
        self.noise_bytes = 0
        self.seen_reply_bytes: int | None = None
        self._rest = b""
        self._expected: int | None = None
        self._zero_tail = 0
        self.reply_bytes: int | None = None
        self.use_reply_bytes(reply_bytes)

    @property
    def pending(self) -> int:
        """Bytes kept for the next `feed`: the beginning of a frame."""
        return len(self._rest)

    def encode(self, message: HostMessage) -> bytes:
        """The frame of a message; see the function `encode`."""
        return encode(message)

    def expect(self, register: int | None) -> None:
        """The register asked for: as long as the mode is unknown, a reply must carry it. None: any will do."""
        self._expected = register

    def use_reply_bytes(self, count: int | None) -> None:
        """Replies are 9 or 11 bytes long from now on; None: find out. Bytes already kept are judged anew."""
        if count not in (SHORT_REPLY_BYTES, LONG_REPLY_BYTES, None):
            raise UsageError("reply_bytes", count, "9, 11 or None")
        self.reply_bytes = count
        self.seen_reply_bytes = None
        self._zero_tail = 0

    def reset(self) -> None:
        """Forget the kept bytes, as after a change of line rate. The mode, `expect` and the counter stay."""
        self._rest = b""
        self._zero_tail = 0

    def feed(self, data: bytes) -> list[HostEvent]:
        """Everything that has become whole: replies, and what was skipped to find them. Never raises.

        However a stream is cut, its replies and its noise bytes are the same, and no whole reply is kept back.
        """
        if self._rest:
            data = self._rest + data
        return self._feed_known(data, self.reply_bytes) if self.reply_bytes else self._feed_unknown(data)

    def _feed_known(self, data: bytes, size: int) -> list[HostEvent]:
        events: list[HostEvent] = []
        end = len(data)
        at = noise_from = 0
        bad = False
        burst = end  # frames to check at once; few after a bad one, so that a bad line costs no more than its length
        while True:
            if at == noise_from:  # at the start, or right behind a frame: whole frames may follow one another
                count = min((end - at) // size, burst)
                if count >= _FEW:
                    good = count_good(data[at : at + count * size], count, size)
                    events += _decode_all(data[at : at + good * size], size)
                    at = noise_from = at + good * size
                    if good == count:
                        burst *= 2
                        continue
                    burst = 2 * _FEW
            at, start = data.find(FROM_CHIP, at), at
            if at < 0:
                at = end - (end > start and data[end - 1] == FROM_CHIP[0])
                break
            if end - at < size:
                break
            if is_good(data[at : at + size]):
                if at > noise_from:
                    events.append(self._noise(data[noise_from:at], bad))
                    bad = False
                events.append(_decode(data, at, size))
                at = noise_from = at + size
            else:
                bad = True
                at += 1
        if at > noise_from:
            events.append(self._noise(data[noise_from:at], bad))
        self._rest = data[at:]
        return events

    def _feed_unknown(self, data: bytes) -> list[HostEvent]:
        """Nine bytes decide when they are a whole reply to the question asked, eleven otherwise.

        The longer form is not waited for: a register reply of 11 whose first nine also pass is one that ends in three
        zero bytes (the CRC of zeros after a CRC of 0 is 0), and says the same in both readings. Its other two zeros are
        dropped when they come. Nonces are taken in the long form only: nine bytes of a long one pass once in 256.
        """
        events: list[HostEvent] = []
        end = len(data)
        at = noise_from = 0
        bad = False
        while True:
            if self._zero_tail and at == noise_from and at < end:
                tail = data[at : at + self._zero_tail]
                if len(tail) < self._zero_tail and not any(tail):
                    break
                if not any(tail):
                    self.seen_reply_bytes = LONG_REPLY_BYTES
                    at = noise_from = at + len(tail)
                self._zero_tail = 0
            at, start = data.find(FROM_CHIP, at), at
            if at < 0:
                at = end - (end > start and data[end - 1] == FROM_CHIP[0])
                break
            size = self._size_at(data, at)
            if size:
                if at > noise_from:
                    events.append(self._noise(data[noise_from:at], bad))
                    bad = False
                events.append(_decode(data, at, size))
                self.seen_reply_bytes = size
                self._zero_tail = 2 if size == SHORT_REPLY_BYTES and data[at + size - 1] == 0 else 0
                at = noise_from = at + size
            elif end - at < LONG_REPLY_BYTES:
                break
            else:
                bad = True
                at += 1
        if at > noise_from:
            events.append(self._noise(data[noise_from:at], bad))
        self._rest = data[at:]
        return events

    def _size_at(self, data: bytes, at: int) -> int:
        """The length of the reply at `at` when the mode is unknown; 0: none, or not yet."""
        here = len(data) - at
        for size in (SHORT_REPLY_BYTES, LONG_REPLY_BYTES):
            if here >= size and is_good(data[at : at + size]):
                is_nonce = data[at + size - 1] >= 0x80
                asked = self._expected is None or data[at + 7] == self._expected
                if (is_nonce and size == LONG_REPLY_BYTES) or (not is_nonce and asked):
                    return size
        return 0

    def _noise(self, data: bytes, bad: bool) -> Noise:
        self.noise_bytes += len(data)
        return Noise(data, "a frame that fails its check" if bad else "no preamble")


# --- the chip's end --------------------------------------------------------------------------------------------------


class DeviceCodec:
    """What a chip makes of the line: the mirror of `HostCodec`.

    `full_header_jobs`: take 88 bytes for a job whatever its length byte says (BM1362 and later, version rolling on);
    otherwise the length byte counts, and a job carries midstates. It may be changed between two calls of `feed`.
    """

    def __init__(self, full_header_jobs: bool) -> None:
        self.full_header_jobs = full_header_jobs
        self._rest = b""

    @property
    def pending(self) -> int:
        """Bytes kept for the next `feed`."""
        return len(self._rest)

    def reset(self) -> None:
        """Forget the kept bytes, as a reset or a change of line rate does."""
        self._rest = b""

    def feed(self, data: bytes) -> list[Command]:
        """All commands that have become whole, with what was bad or skipped in between. Never raises.

        Flags or a length that no command has: one byte is dropped and the search goes on. After a wrong checksum the
        search goes on at the next preamble inside the frame, if there is one: a lost byte costs one frame, not two.
        What silicon does in these two cases is not known.
        """
        data = self._rest + data
        commands: list[Command] = []
        end = len(data)
        at = noise_from = 0
        while True:
            at, start = data.find(TO_CHIP, at), at
            if at < 0:
                at = end - (end > start and data[end - 1] == TO_CHIP[0])
                break
            if end - at < 3:
                break
            flags = data[at + 2]
            if flags != _JOB and flags not in _COMMAND_LENGTH:
                at += 1
                continue
            if end - at < 4:
                break
            size = self._frame_bytes(flags, data[at + 3])
            if not size:
                at += 1
                continue
            if end - at < size:
                break
            if at > noise_from:
                commands.append(Noise(data[noise_from:at], "no frame"))
            frame = data[at : at + size]
            if self._checks(frame):
                commands.append(self._decode(frame))
                at += size
            else:
                next_at = frame.find(TO_CHIP, 2)
                if next_at < 0:
                    next_at = size - (frame[-1] == TO_CHIP[0])
                commands.append(BadFrame("job" if flags == _JOB else "command", frame[:next_at]))
                at += next_at
            noise_from = at
        if at > noise_from:
            commands.append(Noise(data[noise_from:at], "no frame"))
        self._rest = data[at:]
        return commands

    def encode(self, reply: ChipReply, reply_bytes: int) -> bytes:
        """The frame of a reply, 9 or 11 bytes. A nonce of 11 bytes needs a version field; in 9 it is left out."""
        if reply_bytes not in (SHORT_REPLY_BYTES, LONG_REPLY_BYTES):
            raise UsageError("reply_bytes", reply_bytes, "9 or 11")
        if isinstance(reply, RegisterReply):
            if not 0 <= reply.value <= 0xFFFF_FFFF:
                raise UsageError("value", reply.value, "0 to 0xFFFFFFFF")
            kind = REGISTER_TYPE
            body = _REGISTER_FIELDS.pack(
                reply.value, _byte("address", reply.address), _byte("register", reply.register)
            )
            extra = 0
        else:
            kind = NONCE_TYPE
            nonce = _exactly("nonce", reply.nonce, 4)
            body = nonce + bytes((_byte("excess", reply.excess), _byte("result", reply.result)))
            extra = -1 if reply.version_field is None else reply.version_field
        if reply_bytes == LONG_REPLY_BYTES:
            if not 0 <= extra <= 0xFFFF:
                raise UsageError("version_field", extra, "0 to 0xFFFF in a reply of 11 bytes")
            body += extra.to_bytes(2, "big")
        return FROM_CHIP + body + bytes((kind << 5 | crc5_bits(body, kind, 3),))

    def _frame_bytes(self, flags: int, length: int) -> int:
        """Bytes of the whole frame; 0 when no frame has this length."""
        if flags != _JOB:
            return length + 2 if length == _COMMAND_LENGTH[flags] else 0
        if self.full_header_jobs:
            return FULL_HEADER_JOB_BYTES
        return length + 2 if length in _MIDSTATE_JOB_LENGTHS else 0

    @staticmethod
    def _checks(frame: bytes) -> bool:
        if frame[2] == _JOB:
            return crc16(frame[2:-2]) == int.from_bytes(frame[-2:], "big")
        return crc5(frame[2:-1]) == frame[-1]

    def _decode(self, frame: bytes) -> HostMessage:
        flags = frame[2]
        match flags:
            case 0x40:
                return SetAddress(frame[4])
            case 0x41 | 0x51:
                address = frame[4] if flags == _WRITE_ONE else None
                return WriteRegister(frame[5], int.from_bytes(frame[6:10], "big"), address)
            case 0x42 | 0x52:
                return ReadRegister(frame[5], frame[4] if flags == _READ_ONE else None)
            case 0x53:
                return ChainInactive()
        starting_nonce, bits, time_s = frame[6:10], frame[10:14], frame[14:18]
        if self.full_header_jobs:
            header = b"".join((frame[82:86], _swap_words(frame[50:82]), _swap_words(frame[18:50]), time_s, bits))
            return Job(frame[4], header, frame[5], frame[3], starting_nonce)
        states = frame[22:-2]
        midstates = tuple(_swap_words(states[k : k + 32]) for k in range(0, len(states), 32))
        count = None if frame[5] == len(midstates) else frame[5]
        return MidstateJob(frame[4], midstates, frame[18:22] + time_s + bits, count, starting_nonce)
