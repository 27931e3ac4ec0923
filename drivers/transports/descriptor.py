"""A non-blocking descriptor under the event loop: what the POSIX serial port and the socket have in common.

Readable: one read of up to 64 KiB, pushed to the sink in the same turn. Not writable: the rest waits in a buffer that
belongs to the port, so a caller that is cancelled never tears a frame. End of file, EIO and every other error become
one `Unplugged`, and the descriptor leaves the loop at once: a hung-up descriptor stays readable for ever, and a reader
left on it takes a whole core.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Final

from drivers.errors import Unplugged, UsageError
from drivers.traits import ByteSink

READ_BYTES: Final = 65536


def check_baud(baud: int) -> None:
    """`UsageError` unless the rate is positive: rate 0 drops the modem lines, and some bridges divide by it."""
    if baud <= 0:
        raise UsageError("baud", baud, "a positive rate in bit/s")


class DescriptorTransport(ABC):
    """Delivery, buffered writing and the end of a port. Subclasses say how to read, write and close."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sink: ByteSink | None = None
        self._unsent = bytearray()
        self._drained: asyncio.Future[None] | None = None
        self._ended: Unplugged | None = None
        self._closed = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def descriptor(self) -> int:
        """For a child process that is to inherit it; valid until `aclose`."""
        return self._descriptor

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        if self._ended is not None and not self._closed:
            sink.connection_lost(self._ended)
        elif self._ended is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._descriptor, self._readable)

    async def write(self, data: bytes) -> None:
        self._check()
        if not data:
            return
        if not self._unsent:
            data = data[self._send_some(data) :]
            if not data:
                return
        self._unsent += data
        await self._wait_drained()

    @abstractmethod
    async def set_baud(self, baud: int) -> None: ...

    @abstractmethod
    async def discard_input(self) -> None: ...

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._leave(Unplugged(self._name, "closed"))
        await self._close()

    @abstractmethod
    def _read(self, limit: int) -> bytes:
        """One read. `BlockingIOError` when there is nothing, b"" at the end, `OSError` when the port is gone."""

    @abstractmethod
    def _write(self, data: bytes | memoryview) -> int:
        """One write; how many bytes went out. `BlockingIOError` when none fit."""

    @abstractmethod
    async def _close(self) -> None:
        """Close the port. Called once, never raises."""

    def _check(self) -> None:
        if self._ended is not None:
            raise Unplugged(self._name, self._ended.why)  # a fresh one: a shared one would gather tracebacks

    def _readable(self) -> None:
        try:
            data = self._read(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(str(error))
            return
        if not data:
            self._lose("hung up")
        elif self._sink is not None:
            self._sink.data_received(data)

    def _send_some(self, data: bytes | bytearray) -> int:
        """Give the port what it takes now. Raises `Unplugged`, after the sink was told."""
        try:
            with memoryview(data) as view:
                return self._write(view)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._lose(str(error))
            self._check()
            raise

    async def _wait_drained(self) -> None:
        """Until the buffer is empty. A caller that gives up leaves its bytes in line: half a frame helps nobody."""
        if self._drained is None:
            loop = asyncio.get_running_loop()
            self._drained = loop.create_future()
            self._loop = loop
            loop.add_writer(self._descriptor, self._writable)
        await asyncio.shield(self._drained)

    def _writable(self) -> None:
        try:
            del self._unsent[: self._send_some(self._unsent)]
        except Unplugged:
            return  # `_leave` has told those who wait
        if not self._unsent and self._drained is not None and self._loop is not None:
            self._loop.remove_writer(self._descriptor)
            self._drained.set_result(None)
            self._drained = None

    def _lose(self, why: str) -> None:
        if self._ended is not None:
            return
        lost = Unplugged(self._name, why)
        self._leave(lost)
        if self._sink is not None:
            self._sink.connection_lost(lost)

    def _leave(self, ended: Unplugged) -> None:
        """Take the descriptor out of the loop; those who wait for room hear why."""
        self._ended = self._ended or ended
        self._unsent.clear()
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_exception(ended)
                self._drained.exception()  # read here: nobody may be left to do so
            self._drained = None
