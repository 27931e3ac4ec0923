"""Every transport with its far end in the hands of a test. The pseudo-terminals are bare: no emulator behind them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from drivers.traits import Transport
from drivers.transports.memory import memory_pair
from drivers.transports.serial import open_serial
from drivers.transports.socket import SocketTransport
from drivers.transports.tap import Tap, TapWriter

TCGETS2: Final = 0x802C542A
"""Linux x86-64; the struct is 44 bytes, `c_ospeed` is the word at byte 40."""


class FarEnd(Protocol):
    def send(self, data: bytes) -> None:
        """Bytes towards the host."""
        ...

    async def receive(self, count: int) -> bytes:
        """Wait until the host has sent `count` bytes since the last call, and return all there are."""
        ...

    def hang_up(self) -> None: ...


class MemoryEnd:
    def __init__(self) -> None:
        self.transport, self.wire = memory_pair("bench")
        self._got = bytearray()
        self._came = asyncio.Event()
        self.wire.attach(self._keep, lambda _baud: None)

    def _keep(self, _baud: int, data: bytes) -> None:
        self._got += data
        self._came.set()

    def send(self, data: bytes) -> None:
        self.wire.deliver(data)

    async def receive(self, count: int) -> bytes:
        async with asyncio.timeout(10):
            while len(self._got) < count:
                self._came.clear()
                await self._came.wait()
        got = bytes(self._got)
        self._got.clear()
        return got

    def hang_up(self) -> None:
        self.wire.hang_up("unplugged")


class _Descriptor:
    """A non-blocking descriptor as the far end; reads only while `receive` waits."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor

    def send(self, data: bytes) -> None:
        assert os.write(self.descriptor, data) == len(data)

    async def receive(self, count: int) -> bytes:
        got = bytearray()
        async with asyncio.timeout(10):
            while len(got) < count:
                try:
                    got += os.read(self.descriptor, 65536)
                except BlockingIOError:
                    await asyncio.sleep(0.001)
        return bytes(got)


class PtyEnd(_Descriptor):
    """The master of a raw pseudo-terminal. Keeps its own slave descriptor, as an emulator has to."""

    def __init__(self) -> None:
        master, self.slave = os.openpty()
        tty.setraw(self.slave)
        super().__init__(master)
        self.path = os.ttyname(self.slave)

    def baud(self) -> int:
        """The rate that the host has set, exactly."""
        raw = fcntl.ioctl(self.descriptor, TCGETS2, bytes(44))
        rate: int = struct.unpack_from("<I", raw, 40)[0]
        return rate

    def hang_up(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            os.close(self.slave)
            self.descriptor = -1


class SocketEnd(_Descriptor):
    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        super().__init__(self.far.fileno())

    def hang_up(self) -> None:
        self.far.close()


@asynccontextmanager
async def pty_port(*, baud: int = 115200, threaded: bool = False) -> AsyncIterator[tuple[Transport, PtyEnd]]:
    end = PtyEnd()
    try:
        transport = await open_serial(end.path, baud, threaded=threaded)
        try:
            yield transport, end
        finally:
            await transport.aclose()
    finally:
        end.hang_up()


def memory_port(_directory: Path) -> AbstractAsyncContextManager[tuple[Transport, FarEnd]]:
    return _memory()


@asynccontextmanager
async def _memory() -> AsyncIterator[tuple[Transport, FarEnd]]:
    end = MemoryEnd()
    yield end.transport, end


@asynccontextmanager
async def socket_port(_directory: Path) -> AsyncIterator[tuple[Transport, FarEnd]]:
    end = SocketEnd()
    transport = SocketTransport(end.near, "bench")
    try:
        yield transport, end
    finally:
        await transport.aclose()
        end.hang_up()


@asynccontextmanager
async def tap_port(directory: Path) -> AsyncIterator[tuple[Transport, FarEnd]]:
    end = MemoryEnd()
    with TapWriter(directory / "tap.jsonl") as writer:
        yield Tap(end.transport, writer, "data"), end


@asynccontextmanager
async def serial_port(_directory: Path) -> AsyncIterator[tuple[Transport, FarEnd]]:
    async with pty_port() as (transport, end):
        yield transport, end


@asynccontextmanager
async def serial_thread_port(_directory: Path) -> AsyncIterator[tuple[Transport, FarEnd]]:
    async with pty_port(threaded=True) as (transport, end):
        yield transport, end


MakePort = Callable[[Path], AbstractAsyncContextManager[tuple[Transport, FarEnd]]]
