"""Reply dialect B of the bridge firmwares, spoken by Bonanza bridges: the length always counts the whole frame.

Requests are those of `bitaxe_raw`. A success is `LEN id payload`, an error `04 00 id code` or `LEN id FF text`. So a
success whose one payload byte is 10 to 13 cannot be told from an error; requests that may be answered so are refused
here: read two bytes instead. Facts: bitaxeorg/bonanza-bridge-fw src/control/mod.rs, bitaxeorg/bitaxe-raw
(bitaxe-raw-bonanza) src/control/*.rs; docs/wire/host-lease.md.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from drivers.codecs.bitaxe_raw import ERROR_TEXTS, I2cCommand, Page, Request
from drivers.codecs.whole_frame import WholeFrameCodec, error_frame
from drivers.errors import UsageError

OVERHEAD_BYTES: Final = 3
"""Length and id, in front of every payload."""
OVERFLOW_TEXT: Final = "Buf"
TEXTS: Final = (*ERROR_TEXTS, OVERFLOW_TEXT)


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


class HostCodec(WholeFrameCodec):
    """Requests to bytes, bytes to replies. `UsageError` for a request whose success could not be told from an error."""

    dialect = "B"
    overhead_bytes = OVERHEAD_BYTES
    codes = _CODES
    texts = TEXTS

    def _is_success(self, frame: bytes) -> bool:
        return True

    def _check(self, request: Request, id: int) -> None:
        super()._check(request, id)
        if request.page != Page.I2C:
            return
        if request.command in (I2cCommand.READ, I2cCommand.WRITE_READ) and request.reply_bytes == 1:
            allowed = "2 bytes or more in dialect B, where one byte may look like an error"
            raise UsageError("i2c read", "1 byte", allowed)
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
        return error_frame(id, code, text)
