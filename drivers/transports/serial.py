"""Serial ports. pyserial opens and configures; the bytes go past it, straight between the descriptor and the loop.

POSIX: a non-blocking descriptor under `add_reader`. Elsewhere: one reader thread a port. Always raw 8N1, no flow
control; parity is not offered (a pseudo-terminal drops it, and refuses the second open with it). The modem lines are
left as the operating system sets them when it opens the port: on some bridges a falling DTR is an emergency stop.

The lock is `flock` (pyserial's `exclusive=True`), not TIOCEXCL: it keeps other programs of good manners away, and
leaves the port open to a process that has to make the board safe after its owner died.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import serial

from drivers.errors import PortBusy, PortMissing, Unplugged, UsageError
from drivers.traits import ByteSink
from drivers.transports.descriptor import READ_BYTES, DescriptorTransport, check_baud

_QUIET_BEFORE_RATE_CHANGE_S: Final = 0.010
_BITS_A_BYTE: Final = 10
_BUSY: Final = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY}
_READ_TURN_S: Final = 0.5
"""How often a reader thread looks whether it should end, should its wake-up have come too early."""

if os.name == "posix":
    import termios

    _PORT_ERRORS: tuple[type[Exception], ...] = (OSError, termios.error)
else:
    _PORT_ERRORS = (OSError,)
_RATE_ERRORS: tuple[type[Exception], ...] = (ValueError, *_PORT_ERRORS)


async def open_serial(
    path: str, baud: int = 115200, *, exclusive: bool = True, threaded: bool = os.name != "posix"
) -> SerialTransport:
    """Open a port at a rate; what it received before is thrown away.

    `PortBusy`: another program holds it. `PortMissing`: no such port, no permission, or not a serial port.
    `UsageError`: a rate that the port cannot have. `threaded` reads with a thread, as systems without `add_reader` for
    ports need it.
    """
    check_baud(baud)
    # Setting the rate of a USB port is a control transfer with a kernel timeout of seconds: never in the loop.
    port = await asyncio.to_thread(_open, path, baud, exclusive)
    return ThreadSerial(port, path) if threaded else PosixSerial(port, path)


def _open(path: str, baud: int, exclusive: bool) -> serial.Serial:
    try:
        return serial.Serial(
            path,
            baud,
            exclusive=exclusive or None,
            # pyserial makes VMIN=1 of this. With its usual VMIN=0 an empty line reads b"", which is also how a hung-up
            # port reads (input flushed between the wake-up and the read); with VMIN=1 the empty line is EAGAIN.
            inter_byte_timeout=0.01,
            timeout=_READ_TURN_S,
        )
    except ValueError as error:
        raise UsageError("baud", baud, f"a rate that {path} can have ({error})") from error
    except _PORT_ERRORS as error:
        number = getattr(error, "errno", None)
        # Windows tells a held port and a forbidden one with the same words; held is by far the usual case.
        if number in _BUSY or (os.name == "nt" and "PermissionError" in str(error)):
            raise PortBusy(path) from error
        raise PortMissing(path, os.strerror(number) if number else str(error)) from error


class _Line:
    """The rate of a line, and when it will have sent what was written.

    Bytes carry no rate: those still under way when it changes would change theirs. So a change waits for the line to
    fall quiet, and writes that come meanwhile wait for the change.
    """

    def __init__(self, baud: int) -> None:
        self.baud = baud
        self.changing = asyncio.Lock()
        self._free_at_s = 0.0

    async def unchanging(self) -> None:
        if self.changing.locked():
            async with self.changing:
                return

    def wrote(self, count: int, now_s: float) -> None:
        self._free_at_s = max(self._free_at_s, now_s) + count * _BITS_A_BYTE / self.baud

    async def quiet(self) -> None:
        """Until 10 ms after the last byte has left."""
        wait_s = self._free_at_s + _QUIET_BEFORE_RATE_CHANGE_S - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)


class PosixSerial(DescriptorTransport):
    """A `Transport` whose descriptor sits in the event loop. Made by `open_serial`."""

    def __init__(self, port: serial.Serial, path: str) -> None:
        super().__init__(port.fileno(), path)
        self._port = port
        self._line = _Line(port.baudrate)
        self._at_work: asyncio.Future[None] | None = None

    async def write(self, data: bytes) -> None:
        await self._line.unchanging()
        self._line.wrote(len(data), asyncio.get_running_loop().time())
        await super().write(data)

    async def set_baud(self, baud: int) -> None:
        """Change the rate, 10 ms or more after the last written byte has left. Writes wait until it is done."""
        check_baud(baud)
        async with self._line.changing:
            self._check()
            if self._unsent:
                await self._wait_drained()
            await self._line.quiet()
            self._check()
            loop = asyncio.get_running_loop()
            self._at_work = loop.run_in_executor(None, setattr, self._port, "baudrate", baud)
            try:
                await asyncio.shield(self._at_work)
            except _RATE_ERRORS as error:
                if _refuses_rate(error):
                    raise UsageError("baud", baud, f"a rate that {self._name} can have ({error})") from error
                self._lose(str(error))
                self._check()
            self._line.baud = baud

    async def discard_input(self) -> None:
        self._check()
        try:
            self._port.reset_input_buffer()
        except _PORT_ERRORS as error:
            self._lose(str(error))
            self._check()

    def _read(self, limit: int) -> bytes:
        return os.read(self._descriptor, limit)

    def _write(self, data: bytes | memoryview) -> int:
        return os.write(self._descriptor, data)

    async def _close(self) -> None:
        if self._at_work is not None:
            await asyncio.wait([self._at_work])  # the number of a closed descriptor may already be another file's
        # In a thread: the kernel may hold up a close for the seconds in which it waits for the device to take the rest.
        await asyncio.get_running_loop().run_in_executor(None, _close, self._port)


class ThreadSerial:
    """A `Transport` with one reader thread, for systems whose loop cannot watch a port. Made by `open_serial`.

    Writes, changes of rate and the close run one after the other in a second thread.
    """

    def __init__(self, port: serial.Serial, path: str) -> None:
        self._port, self._name = port, path
        self._line = _Line(port.baudrate)
        self._loop = asyncio.get_running_loop()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"write {path}")
        self._reader = threading.Thread(target=self._pump, name=f"read {path}", daemon=True)
        self._sink: ByteSink | None = None
        self._stop = threading.Event()
        self._discarding = False
        self._ended: Unplugged | None = None
        self._closed = False

    @property
    def name(self) -> str:
        return self._name

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        if self._ended is None:
            self._reader.start()
        elif not self._closed:
            sink.connection_lost(self._ended)

    async def write(self, data: bytes) -> None:
        await self._line.unchanging()
        if data:
            await self._do(lambda: self._send(data))

    async def set_baud(self, baud: int) -> None:
        """Change the rate, 10 ms or more after the last written byte has left."""
        check_baud(baud)
        async with self._line.changing:
            await self._do(lambda: None)  # behind every write that is still in line
            await self._line.quiet()
            try:
                await self._do(lambda: setattr(self._port, "baudrate", baud))
            except ValueError as error:
                raise UsageError("baud", baud, f"a rate that {self._name} can have ({error})") from error
            self._line.baud = baud

    async def discard_input(self) -> None:
        self._discarding = True  # what the reader has taken but not yet handed over goes as well
        try:
            await self._do(self._port.reset_input_buffer)
        finally:
            self._discarding = False

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._ended = self._ended or Unplugged(self._name, "closed")
        self._stop.set()
        self._port.cancel_read()
        self._port.cancel_write()
        await self._loop.run_in_executor(self._worker, self._shut)
        self._worker.shutdown(wait=False)

    def _shut(self) -> None:
        if self._reader.ident is not None:
            self._reader.join()
        _close(self._port)

    def _send(self, data: bytes) -> None:
        if self._stop.is_set() or self._port.write(data) != len(data):
            raise OSError(errno.EIO, "port ended before the write did")  # pyserial returns early when cancelled
        self._line.wrote(len(data), self._loop.time())

    async def _do(self, action: Callable[[], None]) -> None:
        self._check()
        try:
            await asyncio.shield(self._loop.run_in_executor(self._worker, action))
        except _PORT_ERRORS as error:
            self._lose(str(error))
            self._check()

    def _check(self) -> None:
        if self._ended is not None:
            raise Unplugged(self._name, self._ended.why)

    def _pump(self) -> None:
        """The reader thread: everything it has to say goes through the loop."""
        try:
            while not self._stop.is_set():
                data = self._port.read(min(max(1, self._port.in_waiting), READ_BYTES))
                if data:
                    self._loop.call_soon_threadsafe(self._arrived, data)
        except _PORT_ERRORS as error:
            if not self._stop.is_set() and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._lose, str(error))

    def _arrived(self, data: bytes) -> None:
        if self._ended is None and not self._discarding and self._sink is not None:
            self._sink.data_received(data)

    def _lose(self, why: str) -> None:
        if self._ended is not None:
            return
        self._ended = Unplugged(self._name, why)
        self._stop.set()
        if self._sink is not None:
            self._sink.connection_lost(self._ended)


SerialTransport = PosixSerial | ThreadSerial
"""What `open_serial` returns."""


def _refuses_rate(error: Exception) -> bool:
    """The port is alive and does not take the rate: pyserial's ValueError, or EINVAL from the driver."""
    return isinstance(error, ValueError) or (bool(error.args) and error.args[0] == errno.EINVAL)


def _close(port: serial.Serial) -> None:
    try:
        port.close()
    except _PORT_ERRORS:
        return  # the device is gone, and so is the descriptor
