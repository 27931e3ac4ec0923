"""Reply dialect C of the bridge firmwares, of an EmberOne from 5.1.0: every answer has a status byte. Not merged yet.

Requests are those of `bitaxe_raw`. A success is `LEN id 00 payload`, an error `LEN id status [text]`, and the length
always counts the whole frame: nothing is ambiguous. Errors have the bytes of dialect A. Facts:
256foundation/emberone-usbserial-fw c81e9b7 (the frame), 128a9dc (the version that tells it); docs/wire/bitaxe-raw.md.
"""

from __future__ import annotations

from typing import Final

from drivers.codecs.bitaxe_raw import ERROR_TEXTS, ErrorCode, Request
from drivers.codecs.whole_frame import WholeFrameCodec, error_frame
from drivers.errors import UsageError

OVERHEAD_BYTES: Final = 4
"""Length, id and status, in front of every payload."""
MAX_READ_BYTES: Final = 59
"""One less than in A and B: the status byte is part of the one USB packet."""
SUCCESS: Final = 0x00


class HostCodec(WholeFrameCodec):
    """Requests to bytes, bytes to replies. `UsageError` for a request whose answer would not fit a packet."""

    dialect = "C"
    overhead_bytes = OVERHEAD_BYTES
    codes = frozenset({ErrorCode.TIMEOUT, ErrorCode.INVALID, ErrorCode.TOO_LONG})
    texts = ERROR_TEXTS

    def _is_success(self, frame: bytes) -> bool:
        return len(frame) >= OVERHEAD_BYTES and frame[3] == SUCCESS

    def _check(self, request: Request, id: int) -> None:
        super()._check(request, id)
        most = request.reply_bytes if request.reply_bytes_most is None else request.reply_bytes_most
        if most > MAX_READ_BYTES:
            raise UsageError("reply", f"{most} bytes", f"0 to {MAX_READ_BYTES} bytes in dialect C")


class DeviceCodec:
    """The answers of an emulated bridge."""

    dialect = "C"

    def encode_reply(self, id: int, payload: bytes) -> bytes:
        """A success."""
        return (OVERHEAD_BYTES + len(payload)).to_bytes(2, "little") + bytes((id, SUCCESS)) + payload

    def encode_error(self, id: int, code: int, text: str = "") -> bytes:
        """An error."""
        return error_frame(id, code, text)
