"""Reply dialect B of the bridge firmwares, spoken by Bonanza bridges: the length always counts the whole frame.

Requests are those of `bitaxe_raw`. A success is `LEN id payload`, an error `04 00 id code` or `LEN id FF text`. So a
success whose one payload byte is 10 to 13 cannot be told from an error; requests that may be answered so are refused
here: read two bytes instead. Facts: bitaxeorg/bonanza-bridge-fw src/control/mod.rs, bitaxeorg/bitaxe-raw
(bitaxe-raw-bonanza) src/control/*.rs; docs/wire/host-lease.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from drivers.codecs.bitaxe_raw import (
    ERROR_TEXTS,
    UNPARSED_ID,
    HostEvent,
    I2cCommand,
    Page,
    Refusal,
    Reply,
    Request,
    Stray,
    request_frame,
)
from drivers.errors import UsageError

OVERHEAD_BYTES: Final = 3
"""Length and id, in front of every payload."""
OVERFLOW_TEXT: Final = "Buf"
TEXTS: Final = (*ERROR_TEXTS, OVERFLOW_TEXT)

_TEXT_CODE: Final = 0xFF


class ErrorCode(IntEnum):
    """Codes of dialect B. 12 and 13 mean other things in dialect A."""

    TIMEOUT = 0x10
    INVALID = 0x11
    DENIED = 0x12
    """Denied by the safety policy: no lease, or the wrong order."""
    FAULT = 0x13
    """A safety fault is latched, or the trip input is active."""
    TEXT = 0xFF


_CODES: Final = frozenset({ErrorCode.TIMEOUT, ErrorCode.INVALID, ErrorCode.DENIED, ErrorCode.FAULT})


class HostCodec:
    """Requests to bytes, bytes to replies. One request may be outstanding: `expect` names it.

    Nothing here needs a silence to be decided but the end of discarding: `quiet`, or the next `expect`.
    """

    dialect = "B"

    def __init__(self) -> None:
        self._rest = b""
        self._asked: tuple[Request, int] | None = None
        self._discarding = ""

    @property
    def pending(self) -> int:
        """Bytes kept for the next `feed`."""
        return len(self._rest)

    @property
    def pending_quiet(self) -> bool:
        """Whether input is being discarded until `quiet`."""
        return bool(self._discarding)

    def encode(self, request: Request, id: int) -> bytes:
        """The frame of a request; `id` 0x00 to 0xFE comes back with its answer. Raises `UsageError` for a request whose
        success could not be told from an error."""
        _check(request, id)
        return request_frame(request, id)

    def expect(self, request: Request, id: int) -> None:
        """What the next answer must fit. Kept bytes and discarding belong to the past and end here."""
        _check(request, id)
        self._asked = (request, id)
        self._rest = b""
        self._discarding = ""

    def feed(self, data: bytes) -> list[HostEvent]:
        """The answer, once it is whole, and whatever does not belong to it. Never raises."""
        self._rest += data
        events: list[HostEvent] = []
        if self._asked is not None and not self._discarding:
            answer = self._answer(*self._asked)
            if answer is not None:
                events.append(answer)
        if self._rest and (self._discarding or self._asked is None):
            events.append(self._stray(self._discarding or "no request is outstanding"))
        return events

    def quiet(self) -> list[HostEvent]:
        """Nothing came for 20 to 50 ms: half a frame is none, discarding ends."""
        events: list[HostEvent] = [self._stray("half a reply")] if self._rest else []
        self._discarding = ""
        return events

    def _answer(self, request: Request, id: int) -> Reply | Refusal | None:
        rest = self._rest
        if len(rest) < OVERHEAD_BYTES:
            return None
        length, count = int.from_bytes(rest[:2], "little"), request.reply_bytes
        most = count if request.reply_bytes_most is None else request.reply_bytes_most
        fits = rest[2] == id and count <= length - OVERHEAD_BYTES <= most
        if rest[2] not in (id, UNPARSED_ID):
            self._discarding = f"id {rest[2]:#04x}, where {id:#04x} was due"
        elif not fits and length not in _ERROR_LENGTHS:
            self._discarding = f"length {length}, where {count + OVERHEAD_BYTES} or an error was due"
        elif len(rest) >= length:
            if _is_error(rest[:length]):
                return self._take(Refusal(rest[2], rest[3], rest[4:length].decode("ascii")), length)
            if fits:
                return self._take(Reply(rest[2], rest[OVERHEAD_BYTES:length]), length)
            self._discarding = "neither the reply that was due nor an error"
        return None

    def _take(self, answer: Reply | Refusal, length: int) -> Reply | Refusal:
        self._rest = self._rest[length:]
        self._asked = None
        return answer

    def _stray(self, why: str) -> Stray:
        stray = Stray(self._rest, why)
        self._rest = b""
        return stray


_ERROR_LENGTHS: Final = frozenset({4} | {4 + len(text) for text in TEXTS})


def _is_error(frame: bytes) -> bool:
    if len(frame) == 4:
        return frame[3] in _CODES
    return len(frame) > 4 and frame[3] == _TEXT_CODE and frame[4:].decode("ascii", "replace") in TEXTS


def _check(request: Request, id: int) -> None:
    if not 0 <= id < UNPARSED_ID:
        raise UsageError("id", id, f"0 to {UNPARSED_ID - 1}")
    if request.page != Page.I2C:
        return
    if request.command in (I2cCommand.READ, I2cCommand.WRITE_READ) and request.reply_bytes == 1:
        raise UsageError("i2c read", "1 byte", "2 bytes or more in dialect B, where one byte may look like an error")
    if request.command == I2cCommand.WRITE and (len(request.data) - 1) & 0xFF in _CODES:
        allowed = "not 16 to 19 bytes in dialect B: their count looks like an error"
        raise UsageError("i2c write", f"{len(request.data) - 1} bytes", allowed)


class DeviceCodec:
    """The answers of an emulated bridge."""

    dialect = "B"

    def encode_reply(self, id: int, payload: bytes) -> bytes:
        """A success."""
        return (OVERHEAD_BYTES + len(payload)).to_bytes(2, "little") + bytes((id,)) + payload

    def encode_error(self, id: int, code: int, text: str = "") -> bytes:
        """An error."""
        body = text.encode("ascii")
        return (4 + len(body)).to_bytes(2, "little") + bytes((id, code)) + body
