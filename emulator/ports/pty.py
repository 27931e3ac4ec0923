"""A device on a pseudo-terminal: any program that opens a serial port can talk to it.

What a pty does, seen on Linux and built around here:

* The rate that the host sets can be read from the master (TCGETS2, exact for any rate), but bytes carry none. Bytes
  that are found within 50 ms of a change may have been sent at the rate before it, so the device is told both.
* In packet mode, with EXTPROC set on the slave, the master wakes up at each change of the line settings. The notice
  overtakes data, so it dates the change and says nothing about the bytes.
* With no slave open the master reads EIO; so the port keeps a slave of its own open until it hangs up.
* It does not say when bytes arrived. On a loaded machine they are read late: `waiting.py` dates them back.
* About 20 kB from master to slave fit before EAGAIN. What does not fit is kept, up to a bound, and then lost.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import random
import struct
import sys
import termios
import tty
from pathlib import Path
from typing import Final

from emulator.device import Burst, Device
from emulator.firmware.bitaxe_raw import UART_START_BAUD
from emulator.ports import noise, same_rate
from emulator.ports.port import DevicePort
from emulator.ports.waiting import cpu_wait

GRACE_S: Final = 0.050
READ_BYTES: Final = 65536
PENDING_MAX: Final = 65536
"""Bytes kept for a host that does not read."""
_TCGETS2: Final = 0x802C542A
_TERMIOS2: Final = struct.Struct("=IIII20sII")
_EXTPROC: Final = 0o200000
_LINUX: Final = sys.platform.startswith("linux")


class PtyPort(DevicePort):
    """Carries one device. `link`: a stable path to the slave."""

    def __init__(
        self,
        device: Device,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        link: Path | None = None,
        origin_s: float = 0.0,
        seed: int = 1,
    ) -> None:
        super().__init__(device, loop, origin_s)
        self._link = link
        self._rng = random.Random(f"{seed}/pty port")
        self._master = self._slave = -1
        self._slave_path = self._last_path = ""
        self._pending = bytearray()
        self._wait = cpu_wait()
        self._heard_at_s = float("-inf")
        self.dropped_bytes = 0
        """Bytes lost because the host did not read."""
        self._open()

    @property
    def path(self) -> str:
        """What to open: the link where there is one, else the slave."""
        return str(self._link) if self._link is not None else self._slave_path

    @property
    def slave_path(self) -> str:
        """The pseudo-terminal behind it at the moment; empty while unplugged."""
        return self._slave_path

    @property
    def plugged(self) -> bool:
        return self._master >= 0

    def hang_up(self) -> None:
        """The port vanishes: the host reads end of file, and the path is gone."""
        self._stay_away()
        if self._master < 0:
            return
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        self._cancel()
        self._unlink()
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._last_path, self._slave_path = self._slave_path, ""
        self._pending.clear()

    def replug(self, *, new_name: bool = False) -> None:
        """The port comes back: a pseudo-terminal under the same link, which may have the number of the last one, and
        surely another with `new_name`."""
        self._stay_away()
        if self._master < 0:
            self._open(self._last_path if new_name else "")

    def close(self) -> None:
        """Hang up for good. May be called twice."""
        self.hang_up()

    # --- opening

    def _open(self, other_than: str = "") -> None:
        self._master, self._slave = pty.openpty()
        if other_than and os.ttyname(self._slave) == other_than:  # the lowest free number: take the next one
            taken = self._master, self._slave
            self._master, self._slave = pty.openpty()
            for descriptor in taken:
                os.close(descriptor)
        tty.setraw(self._slave)
        settings = termios.tcgetattr(self._slave)
        settings[2] |= termios.CLOCAL | termios.CREAD
        if _LINUX:
            settings[3] |= _EXTPROC
        settings[4] = settings[5] = termios.B9600
        termios.tcsetattr(self._slave, termios.TCSANOW, settings)
        if _LINUX:
            fcntl.ioctl(self._master, termios.TIOCPKT, struct.pack("i", 1))
        os.set_blocking(self._master, False)
        self._slave_path = os.ttyname(self._slave)
        self._baud = self._previous_baud = UART_START_BAUD
        self._changed_at_s = float("-inf")
        self.device.line_rate_changed(self._baud, self._now_s())
        self._loop.add_reader(self._master, self._readable)
        if self._link is not None:
            fresh = self._link.with_name(f".{self._link.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._slave_path)
            fresh.replace(self._link)
        self._schedule()

    def _unlink(self) -> None:
        """Remove the link, unless somebody else has put his own there meanwhile."""
        if self._link is not None and self._link.is_symlink() and os.readlink(self._link) == self._slave_path:
            self._link.unlink()

    # --- host to device

    def _readable(self) -> None:
        # Dated back by what this process waited for a processor, but never before what came earlier.
        at_s = self._heard_at_s = max(self._heard_at_s, self._now_s() - self._wait.lap_s())
        self._notice_rate(at_s)
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.hang_up()
            return
        if _LINUX:
            # Packet mode: the first byte is 0 before data, and flags when the settings changed or a queue was flushed.
            data = data[1:] if data[:1] == b"\x00" else b""
        if data:
            recent = at_s - self._changed_at_s <= GRACE_S and self._previous_baud != self._baud
            self.device.receive(Burst(self._baud, data), at_s, self._previous_baud if recent else None)
        self._schedule()
        self._wait.lap_s()

    def _notice_rate(self, at_s: float) -> None:
        baud = line_rate(self._master)
        if baud != self._baud and baud > 0:
            self._previous_baud, self._baud, self._changed_at_s = self._baud, baud, at_s
            self.device.line_rate_changed(baud, at_s)

    # --- device to host

    def _wake(self) -> None:
        at_s = self._rang_at_s()
        if self._master < 0:
            return
        bursts = self.device.transmit(at_s)
        if bursts:
            self._notice_rate(at_s)
            for baud, data in bursts:
                same = same_rate(baud, self._baud)
                self._send(data if same else noise(self._rng, len(data), baud, self._baud))
        self._schedule()
        self._wait.lap_s()

    def _send(self, data: bytes) -> None:
        if not self._pending:
            sent = self._write(data)
            if sent == len(data):
                return
            data = data[sent:]
            if self._master < 0:
                return
            self._loop.add_writer(self._master, self._writable)
        room = PENDING_MAX - len(self._pending)
        self._pending += data[:room]
        self.dropped_bytes += max(0, len(data) - room)

    def _write(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.hang_up()
            return 0

    def _writable(self) -> None:
        sent = self._write(self._pending)
        del self._pending[:sent]
        if not self._pending and self._master >= 0:
            self._loop.remove_writer(self._master)


def line_rate(descriptor: int) -> int:
    """The output rate of a terminal in baud, exact for rates that have no constant of their own."""
    if _LINUX:
        raw = fcntl.ioctl(descriptor, _TCGETS2, bytes(_TERMIOS2.size))
        return int(_TERMIOS2.unpack(raw)[6])
    speed: int = termios.tcgetattr(descriptor)[5]
    return next(
        (int(name[1:]) for name in dir(termios) if name[1:].isdigit() and getattr(termios, name) == speed), speed
    )
