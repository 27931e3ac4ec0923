"""What the reply dialects B and C share: the length of every answer counts the whole frame, so none needs a silence.

`dialect_b.py` and `dialect_c.py` say what stands between length and payload, and how an error is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

from drivers.codecs.bitaxe_raw import UNPARSED_ID, HostEvent, Refusal, Reply, Request, Stray, request_frame
from drivers.errors import UsageError

TEXT_CODE: Final = 0xFF
ERROR_BYTES: Final = 4
"""Length, id and code, in front of the text of an error."""


class WholeFrameCodec(ABC):
    """The host's end. One request may be outstanding: `expect` names it.

    Nothing here needs a silence to be decided but the end of discarding: `quiet`, or the next `expect`.
    """

    dialect: ClassVar[str]
    overhead_bytes: ClassVar[int]
    """What stands in front of every payload."""
    codes: ClassVar[frozenset[int]]
    """Of errors without a text."""
    texts: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self._rest = b""
        self._asked: tuple[Request, int] | None = None
        self._discarding = ""
        self._error_lengths = frozenset({ERROR_BYTES} | {ERROR_BYTES + len(text) for text in self.texts})

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
        answer this dialect cannot carry."""
        self._check(request, id)
        return request_frame(request, id)

    def expect(self, request: Request, id: int) -> None:
        """What the next answer must fit. Kept bytes and discarding belong to the past and end here."""
        self._check(request, id)
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
        if len(rest) < 3:
            return None
        length, count = int.from_bytes(rest[:2], "little"), request.reply_bytes
        most = count if request.reply_bytes_most is None else request.reply_bytes_most
        fits = rest[2] == id and count <= length - self.overhead_bytes <= most
        if rest[2] not in (id, UNPARSED_ID):
            self._discarding = f"id {rest[2]:#04x}, where {id:#04x} was due"
        elif not fits and length not in self._error_lengths:
            self._discarding = f"length {length}, where {count + self.overhead_bytes} or an error was due"
        elif len(rest) >= length:
            frame = rest[:length]
            if self._is_error(frame):
                return self._take(Refusal(rest[2], rest[3], frame[ERROR_BYTES:].decode("ascii")), length)
            if fits and self._is_success(frame):
                return self._take(Reply(rest[2], frame[self.overhead_bytes :]), length)
            self._discarding = "neither the reply that was due nor an error"
        return None

    def _is_error(self, frame: bytes) -> bool:
        if len(frame) == ERROR_BYTES:
            return frame[3] in self.codes
        text = frame[ERROR_BYTES:].decode("ascii", "replace")
        return len(frame) > ERROR_BYTES and frame[3] == TEXT_CODE and text in self.texts

    @abstractmethod
    def _is_success(self, frame: bytes) -> bool:
        """Whether a frame that fits and is no error is a success."""

    def _take(self, answer: Reply | Refusal, length: int) -> Reply | Refusal:
        self._rest = self._rest[length:]
        self._asked = None
        return answer

    def _stray(self, why: str) -> Stray:
        stray = Stray(self._rest, why)
        self._rest = b""
        return stray

    def _check(self, request: Request, id: int) -> None:
        if not 0 <= id < UNPARSED_ID:
            raise UsageError("id", id, f"0 to {UNPARSED_ID - 1}")


def error_frame(id: int, code: int, text: str = "") -> bytes:
    """An error as the firmware sends it, the same in every dialect."""
    body = text.encode("ascii")
    return (ERROR_BYTES + len(body)).to_bytes(2, "little") + bytes((id, code)) + body
