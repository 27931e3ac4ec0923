"""One sweep over the sensors of a board: every question bounded, and no number for what did not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from drivers.boards.board import BLANKED, BoardReading, Channel
from drivers.errors import DeviceError, NoReply, ProtocolError, UnexpectedReply, UnknownPart

T = TypeVar("T")

LIMIT_S: Final = 0.55
"""A sweep ends within 0.6 s even when nothing answers."""
SILENT_AFTER: Final = 2
"""So many unanswered requests in a row end a sweep: the bus is dead, and the next sweep will tell."""


def again(
    question: Callable[[], Awaitable[T]],
    doubtful: Callable[[T], bool],
    alike: Callable[[T, T], bool],
) -> Callable[[], Awaitable[T]]:
    """The question, asked once more after a doubtful answer; the second counts, if one comes.

    For what trips without a debounce: the packets of a bridge have no checksum, so that one bit lost on the wire is an
    answer like any other. Two doubtful answers that are not `alike` are none: `UnexpectedReply`."""

    async def asked() -> T:
        first = await question()
        if not doubtful(first):
            return first
        try:
            second = await question()
        except (NoReply, DeviceError, ProtocolError):
            return first  # the one there is
        if doubtful(second) and not alike(first, second):
            raise UnexpectedReply(f"{first} and, asked again, {second}")
        return second

    return asked


def close(first: float, second: float) -> bool:
    """Two readings of one rail, one right after the other: within 5 %."""
    return abs(first - second) <= 0.05 * second


class Sweep:
    """Gathers a `BoardReading`. `Unplugged` goes through; every other failure becomes a note."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.at_s = loop.time()
        self.channels: dict[Channel, float | None] = {}
        self.notes: dict[Channel, str] = {}
        self._task = asyncio.current_task(loop)
        self._asking = False
        self._expired = False
        # One timer a sweep: a time-out around each of its questions costs as much as the question itself.
        self._timer = loop.call_at(self.at_s + LIMIT_S, self._expire)
        self._answered = False
        self._silent = 0
        self._ended = ""

    @property
    def over(self) -> bool:
        """Whether this sweep asks nothing more."""
        return bool(self._ended)

    async def ask(self, channels: tuple[Channel, ...], question: Callable[[], Awaitable[T]]) -> T | None:
        """Ask; when no answer comes, all `channels` that depend on it read None, with the reason."""
        if self._ended:
            self._fail(channels, self._ended)
            return None
        self._asking = True
        try:
            answer = await question()
        except NoReply as error:
            self._silent += 1
            if self._silent >= SILENT_AFTER:
                self._ended = f"the bus is silent: {self._silent} requests in a row were not answered"
            self._fail(channels, str(error))
            return None
        except asyncio.CancelledError:
            if not self._expired or self._task is None or self._task.uncancel() > 0:
                raise
            self._fail(channels, self._ended)
            return None
        except (DeviceError, ProtocolError, UnknownPart) as error:
            self._heard()
            self._fail(channels, str(error))
            return None
        finally:
            self._asking = False
        self._heard()
        return answer

    async def take(self, channel: Channel, question: Callable[[], Awaitable[float]]) -> float | None:
        """Ask for the one number of a channel."""
        value = await self.ask((channel,), question)
        if value is not None:
            self.channels[channel] = float(value)
        return value

    def put(self, channel: Channel, value: float | None, note: str | None = None) -> None:
        """A value that follows from others, or None and why."""
        self.channels[channel] = value
        if note is not None:
            self.notes[channel] = note

    def leave_out(self, channel: Channel, why: str = "not in this sweep") -> None:
        """Not asked, on purpose."""
        self.put(channel, None, f"{BLANKED}: {why}")

    def reading(self) -> BoardReading:
        """What was gathered. The sweep is over."""
        self._timer.cancel()
        silent = not self._answered and bool(self._silent)
        return BoardReading(self.at_s, self.channels, self.notes, bus_silent=silent)

    def _expire(self) -> None:
        self._expired = True
        self._ended = f"the sweep took longer than {LIMIT_S:g} s"
        if self._asking and self._task is not None:
            self._task.cancel()

    def _heard(self) -> None:
        self._answered = True
        self._silent = 0

    def _fail(self, channels: tuple[Channel, ...], why: str) -> None:
        for channel in channels:
            self.put(channel, None, why)
