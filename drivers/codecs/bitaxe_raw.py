"""bitaxe-raw control packets: I2C, GPIO and ADC of a board, tunnelled through the USB bridge. Reply dialect A.

Facts: korbin/bitaxe-raw and bitaxeorg/bitaxe-raw `src/control/*.rs`, 256foundation/emberone-usbserial-fw; collected in
docs/wire/bitaxe-raw.md, with what other firmware does differently. Dialect B: `dialect_b.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from drivers.errors import ProtocolError, UsageError

UNPARSED_ID: Final = 0xFF
"""The id in the answer to a request that the firmware could not parse. Never used for a request."""
REQUEST_OVERHEAD_BYTES: Final = 6
MAX_WRITE_BYTES: Final = 256
MAX_READ_BYTES: Final = 60
"""A reply is one USB packet: above 64 bytes it is lost, at exactly 64 a host may keep it back."""
ERROR_TEXTS: Final = (
    "I2C Write Error",
    "I2C Read Error",
    "I2C WriteRead Error",
    "I2C Set Frequency Error",
    "ADC Read Error",
)
COLLIDING_LENGTHS: Final = frozenset({4} | {4 + len(text) for text in ERROR_TEXTS})
"""Payload lengths whose reply begins like an error: 4, 18, 19, 23, 27."""

_TEXT_CODE: Final = 0xFF


class Page(IntEnum):
    """What a request is about."""

    BRIDGE = 0x00
    I2C = 0x05
    GPIO = 0x06
    ADC = 0x07
    LED = 0x08
    FAN = 0x09
    """Of some firmwares. In others, of which no published one is merged, the same number is `SYSTEM`."""
    SYSTEM = 0x09


class I2cCommand(IntEnum):
    SET_FREQUENCY = 0x10
    WRITE = 0x20
    READ = 0x30
    WRITE_READ = 0x40


class ErrorCode(IntEnum):
    """Codes of dialect A. In dialect B 0x12 and 0x13 mean other things."""

    TIMEOUT = 0x10
    INVALID = 0x11
    TOO_LONG = 0x12
    TEXT = 0xFF


class MalformedRequest(ProtocolError):
    """A frame that the firmware answers with `INVALID` and id 0xFF."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `reply_bytes`: payload bytes of a success, which the parser must know: see `HostCodec`.

    `reply_bytes_most`: the success may have up to so many instead. Dialect A has no way to tell how many came.
    """

    page: int
    command: int
    data: bytes = b""
    reply_bytes: int = 0
    reply_bytes_most: int | None = None

    def __post_init__(self) -> None:
        _check_range("page", self.page, 0, 0xFF)
        _check_range("command", self.command, 0, 0xFF)
        _check_range("reply_bytes", self.reply_bytes, 0, MAX_READ_BYTES)
        _check_range("data", len(self.data), 0, MAX_WRITE_BYTES + 2, "bytes")
        if self.page == Page.I2C and self.command == I2cCommand.WRITE and len(self.data) < 2:
            raise UsageError(
                "data", self.data.hex(), "an address and 1 byte or more: a write of none wedges the bridge"
            )
        if self.page == Page.I2C and self.command == I2cCommand.SET_FREQUENCY:  # 0 would halt the MCU: it divides by it
            _check_range("i2c frequency", int.from_bytes(self.data, "little"), 1_150, 1_000_000, "Hz")


@dataclass(frozen=True, slots=True)
class Reply:
    """The request with this id succeeded."""

    id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """The firmware said no. `id` is as on the wire: 0xFF when it could not parse the request. Code 0xFF: a text."""

    id: int
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Stray:
    """Bytes that answer nothing."""

    data: bytes
    why: str


HostEvent = Reply | Refusal | Stray


def _check_range(key: str, value: int, low: int, high: int, unit: str = "") -> int:
    if not low <= value <= high:
        raise UsageError(key, value, f"{low} to {high} {unit}".rstrip())
    return value


def _check_dialect(dialect: str) -> None:
    if dialect != "A":
        raise UsageError("dialect", dialect, "A")


# --- requests --------------------------------------------------------------------------------------------------------


def i2c_frequency(hertz: int) -> Request:
    """Set the bus clock, 1,150 Hz to 1 MHz."""
    _check_range("i2c frequency", hertz, 1_150, 1_000_000, "Hz")
    return Request(Page.I2C, I2cCommand.SET_FREQUENCY, hertz.to_bytes(4, "little"), reply_bytes=4)


def i2c_write(address: int, data: bytes) -> Request:
    """Write 1 to 256 bytes. The payload of the reply is the count, modulo 256."""
    return Request(Page.I2C, I2cCommand.WRITE, bytes((_address(address),)) + _written(data), reply_bytes=1)


def i2c_read(address: int, count: int) -> Request:
    """Read 1 to 60 bytes, but not a colliding length: see `safe_read_lengths`."""
    return Request(Page.I2C, I2cCommand.READ, bytes((_address(address), _read_length(count))), reply_bytes=count)


@lru_cache(maxsize=1024)
def i2c_write_read(address: int, data: bytes, count: int) -> Request:
    """Write 1 to 256 bytes, then, after a repeated start, read 1 to 60, but not a colliding length."""
    body = bytes((_address(address),)) + _written(data) + bytes((_read_length(count),))
    return Request(Page.I2C, I2cCommand.WRITE_READ, body, reply_bytes=count)


@lru_cache(maxsize=1024)
def gpio_get(pin: int) -> Request:
    """The level of a pin; of an output the latch, not the pin itself."""
    return Request(Page.GPIO, _check_range("pin", pin, 0, 0xFF), b"", reply_bytes=1)


def gpio_set(pin: int, high: bool) -> Request:
    """Drive a pin. The payload of the reply is the level that results."""
    return Request(Page.GPIO, _check_range("pin", pin, 0, 0xFF), bytes((high,)), reply_bytes=1)


def adc_read(command: int) -> Request:
    """A raw conversion, 16 bits low byte first. 0x50: VDD, 0x51: VIN where the firmware has it."""
    return Request(Page.ADC, _check_range("adc command", command, 0, 0xFF), b"", reply_bytes=2)


def led_set(red: int, green: int, blue: int) -> Request:
    """Colour of the status LED, each 0 to 255. The payload of the reply is an echo."""
    rgb = [_check_range("led", part, 0, 0xFF) for part in (red, green, blue)]
    return Request(Page.LED, 0x10, bytes(rgb), reply_bytes=3)


def fan_set(percent: int) -> Request:
    """Duty of the fan. The payload of the reply is 00."""
    return Request(Page.FAN, 0x10, bytes((_check_range("fan", percent, 0, 100, "%"),)), reply_bytes=1)


def fan_tach() -> Request:
    """Speed of the fan, rpm, 16 bits low byte first. The firmware counts for 500 ms."""
    return Request(Page.FAN, 0x20, b"", reply_bytes=2)


def reboot(*, into_loader: bool = False) -> Request:
    """Start the MCU anew, or have it wait in its UF2 loader. There is no reply; pins go back to power-up levels."""
    command, magic = (0x02, "B0 07 10 AD") if into_loader else (0x01, "DE AD BE EF")
    return Request(Page.SYSTEM, command, bytes.fromhex(magic))


def safe_read_lengths(count: int) -> tuple[int, ...]:
    """`count` bytes in as few reads as possible, none too long and none of a colliding length.

    Only for parts from which a read may be continued by another read. Where that is not so (a PMBus block), ask for one
    byte more and drop it: `safe_read_length`.
    """
    _check_range("count", count, 1, 0xFFFF, "bytes")
    lengths = []
    while count:
        take = min(count, MAX_READ_BYTES)
        while take in COLLIDING_LENGTHS:
            take -= 1
        lengths.append(take)
        count -= take
    return tuple(lengths)


def safe_read_length(count: int) -> int:
    """The shortest length of one read that holds `count` bytes and collides with no error."""
    _check_range("count", count, 1, MAX_READ_BYTES, "bytes")
    while count in COLLIDING_LENGTHS:
        count += 1
    return count


def _address(address: int) -> int:
    if not 0x08 <= address <= 0x77:
        raise UsageError("i2c address", f"{address:#04x}", "0x08 to 0x77; the others are reserved")
    return address


def _written(data: bytes) -> bytes:
    if not 1 <= len(data) <= MAX_WRITE_BYTES:
        raise UsageError("i2c write", f"{len(data)} bytes", f"1 to {MAX_WRITE_BYTES} bytes; none wedges the bridge")
    return data


def _read_length(count: int) -> int:
    if not 1 <= count <= MAX_READ_BYTES or count in COLLIDING_LENGTHS:
        raise UsageError(
            "i2c read",
            f"{count} bytes",
            f"1 to {MAX_READ_BYTES} bytes but not {sorted(COLLIDING_LENGTHS)}, which read like errors",
        )
    return count


def request_frame(request: Request, id: int) -> bytes:
    """A request on the wire: the same in every dialect."""
    length = REQUEST_OVERHEAD_BYTES + len(request.data)
    return length.to_bytes(2, "little") + bytes((id, 0, request.page, request.command)) + request.data


# --- the host's end --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Question:
    request: Request
    id: int


class HostCodec:
    """Requests to bytes, bytes to replies. One request may be outstanding: `expect` names it.

    In dialect A the length of a success counts its payload and the length of an error the whole frame, so the parser
    must know how many bytes it waits for, and for a few lengths silence alone tells the two apart: then `pending_quiet`
    is true, and the owner of the port calls `quiet` after 20 to 50 ms without a byte. It does so too after a `Stray`:
    until then everything is discarded.
    """

    def __init__(self, dialect: str = "A") -> None:
        _check_dialect(dialect)
        self.dialect = dialect
        self._rest = b""
        self._question: _Question | None = None
        self._discarding = ""

    @property
    def pending(self) -> int:
        """Bytes kept for the next `feed`."""
        return len(self._rest)

    @property
    def pending_quiet(self) -> bool:
        """Whether `quiet` has something to decide: an ambiguous candidate waits, or input is being discarded."""
        return bool(self._discarding) or (self._question is not None and self._is_candidate())

    def encode(self, request: Request, id: int) -> bytes:
        """The frame of a request; `id` 0x00 to 0xFE comes back with its answer."""
        return request_frame(request, _check_range("id", id, 0, UNPARSED_ID - 1))

    def expect(self, request: Request, id: int) -> None:
        """What the next answer must fit. Kept bytes and discarding belong to the past and end here."""
        if request.reply_bytes_most is not None:
            raise UsageError("reply", f"{request.reply_bytes} bytes or more", "a known number of bytes in dialect A")
        self._question = _Question(request, _check_range("id", id, 0, UNPARSED_ID - 1))
        self._rest = b""
        self._discarding = ""

    def feed(self, data: bytes) -> list[HostEvent]:
        """The answer, once it is whole and certain, and whatever does not belong to it. Never raises."""
        self._rest += data
        events: list[HostEvent] = []
        if self._question and not self._discarding:
            answer = self._answer(self._question)
            if answer is not None:
                events.append(answer)
        if self._rest and (self._discarding or self._question is None):
            events.append(self._stray(self._discarding or "no request is outstanding"))
        return events

    def quiet(self) -> list[HostEvent]:
        """Nothing came for 20 to 50 ms: a candidate error is one, half a frame is none, discarding ends."""
        events: list[HostEvent] = []
        question = self._question
        if question and self._is_candidate():
            events.append(self._refusal(self._length()))
        if self._rest:
            events.append(self._stray("half a reply"))
        self._discarding = ""
        return events

    def _length(self) -> int:
        return int.from_bytes(self._rest[:2], "little")

    def _answer(self, question: _Question) -> Reply | Refusal | None:
        """The answer to the question, if what is kept decides it. May begin to discard instead."""
        rest, count = self._rest, question.request.reply_bytes
        if len(rest) < 3:
            return None
        length = self._length()
        ours = rest[2] == question.id
        if length != count and length not in COLLIDING_LENGTHS:
            self._discarding = f"length {length}, where {count} or an error was due"
        elif not ours and rest[2] != UNPARSED_ID:
            self._discarding = f"id {rest[2]:#04x}, where {question.id:#04x} was due"
        elif length == count and ours and length not in COLLIDING_LENGTHS:
            if len(rest) >= 3 + count:
                return self._reply(count)
        elif length not in COLLIDING_LENGTHS:
            self._discarding = "id 0xff without an error"
        elif len(rest) >= length:
            return self._judge(question, length)
        return None

    def _judge(self, question: _Question, length: int) -> Reply | Refusal | None:
        """As `_answer`, for a length that an error may have and that many bytes at hand."""
        rest, count = self._rest, question.request.reply_bytes
        is_error = _is_error(rest[:length])
        may_succeed = length == count and rest[2] == question.id
        request = question.request
        if request.page == Page.I2C and request.command == I2cCommand.SET_FREQUENCY:  # its payload is an echo
            may_succeed = may_succeed and request.data.startswith(rest[3 : 3 + count])
        if may_succeed:
            if len(rest) >= 3 + count:
                return self._reply(count)
        elif is_error:
            return self._refusal(length)
        else:
            self._discarding = "neither the reply that was due nor an error"
        return None

    def _is_candidate(self) -> bool:
        """Whether what is kept begins with a whole error: `feed` has left it only if it may become a success too."""
        length = self._length()
        return length in COLLIDING_LENGTHS and len(self._rest) >= length and _is_error(self._rest[:length])

    def _reply(self, count: int) -> Reply:
        reply = Reply(self._rest[2], self._rest[3 : 3 + count])
        self._rest = self._rest[3 + count :]
        self._question = None
        return reply

    def _refusal(self, length: int) -> Refusal:
        text = self._rest[4:length].decode("ascii", "replace")
        refusal = Refusal(self._rest[2], self._rest[3], text)
        self._rest = self._rest[length:]
        self._question = None
        return refusal

    def _stray(self, why: str) -> Stray:
        stray = Stray(self._rest, why)
        self._rest = b""
        return stray


def _is_error(frame: bytes) -> bool:
    """Whether a frame of the length that it states is an error of dialect A."""
    code, text = frame[3], frame[4:]
    if code == _TEXT_CODE:
        return text.decode("ascii", "replace") in ERROR_TEXTS
    return not text and code in (ErrorCode.TIMEOUT, ErrorCode.INVALID, ErrorCode.TOO_LONG)


# --- the firmware's end ----------------------------------------------------------------------------------------------


class DeviceCodec:
    """The mirror, for an emulated bridge. Where a request ends, the firmware says: it counts packets and time."""

    def __init__(self, dialect: str = "A") -> None:
        _check_dialect(dialect)
        self.dialect = dialect

    def parse_request(self, frame: bytes) -> tuple[int, int, int, bytes]:
        """(id, page, command, data) of a whole request. `MalformedRequest` if its length is wrong or below 6."""
        length = int.from_bytes(frame[:2], "little")
        if length != len(frame) or length < REQUEST_OVERHEAD_BYTES:
            raise MalformedRequest(f"a request of {len(frame)} bytes that states {length}: {frame[:8].hex(' ')}")
        return frame[2], frame[4], frame[5], frame[6:]

    def encode_reply(self, id: int, payload: bytes) -> bytes:
        """A success. Its length counts the payload alone."""
        return len(payload).to_bytes(2, "little") + bytes((id,)) + payload

    def encode_error(self, id: int, code: int, text: str = "") -> bytes:
        """An error. Its length counts the whole frame."""
        body = text.encode("ascii")
        return (4 + len(body)).to_bytes(2, "little") + bytes((id, code)) + body
