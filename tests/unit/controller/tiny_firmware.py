"""A control port that answers dialect A on a pseudo-terminal: GPIO pin 0 and two I2C parts with byte registers.

Much smaller than `emulator/firmware/bitaxe_raw.py` on purpose: the sentinel is tested against bytes, not a board.
"""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

from drivers.boards.board import RecipeAction

REGULATOR, FAN = 0x24, 0x4C


class TinyFirmware:
    """Serves `path`, a symlink to a pty, from a thread. `heard` has every request with its CLOCK_MONOTONIC second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[tuple[float, bytes]] = []
        self.reset_high = True
        self.registers: dict[int, dict[int, int]] = {REGULATOR: {0x01: 0x80}, FAN: {0x4C: 0x10}}
        self.nack: set[int] = set()
        self.silent = False
        self.before_reply: Callable[[], bytes] = lambda: b""
        self._wake_read, self._wake_write = os.pipe()
        self._master = self._slave = -1
        self._thread: threading.Thread | None = None
        self.plug()

    def plug(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        fresh = self.path.with_suffix(".new")
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.path)
        self._thread = threading.Thread(target=self._run, args=(self._master,), daemon=True)
        self._thread.start()

    def unplug(self, *, keep_link: bool = False) -> None:
        """Hang up. `keep_link`: as after a kill, the link goes on leading to a number that is free again."""
        assert self._thread is not None
        if not keep_link:
            self.path.unlink()
        os.write(self._wake_write, b"x")
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    @property
    def safe(self) -> bool:
        registers = self.registers
        return not self.reset_high and registers[REGULATOR][0x01] == 0x00 and registers[FAN][0x4C] == 0x3F

    def energise(self) -> None:
        self.reset_high = True
        self.registers[REGULATOR][0x01], self.registers[FAN][0x4C] = 0x80, 0x10

    def _run(self, master: int) -> None:
        while True:
            ready, _, _ = select.select([master, self._wake_read], [], [])
            if self._wake_read in ready:
                os.read(self._wake_read, 1)
                return
            frame = os.read(master, 4096)
            self.heard.append((time.monotonic(), frame))
            if self.silent or len(frame) < 6 or int.from_bytes(frame[:2], "little") != len(frame):
                continue
            os.write(master, self.before_reply() + self._answer(frame[2:3], frame[4], frame[5], frame[6:]))

    def _answer(self, own_id: bytes, page: int, command: int, data: bytes) -> bytes:
        if page == 0x06 and command == 0x00:
            if data:
                self.reset_high = data != b"\x00"
            return b"\x01\x00" + own_id + bytes([self.reset_high])
        if page == 0x05 and data[0] in self.nack:
            return b"\x13\x00" + own_id + b"\xffI2C Write Error"
        if page == 0x05 and command == 0x20:
            self.registers[data[0]][data[1]] = data[2]
            return b"\x01\x00" + own_id + bytes([len(data) - 1])
        if page == 0x05 and command == 0x40:
            return b"\x01\x00" + own_id + bytes([self.registers[data[0]][data[1]]])
        return b"\x04\x00\xff\x11"


def _action(name: str, request: str, reply: str, *, pause_s: float = 0.0, confirms: str | None = None) -> RecipeAction:
    answer = bytes.fromhex(reply)
    return RecipeAction(name, bytes.fromhex(request), answer, b"\xff" * len(answer), pause_s, confirms)


RECIPE = (
    _action("reset asserted", "07 00 00 00 06 00 00", "01 00 00 00"),
    _action("rail off", "09 00 00 00 05 20 24 01 00", "01 00 00 02", pause_s=0.01),
    _action("fan full", "09 00 00 00 05 20 4C 4C 3F", "01 00 00 02"),
    _action("read reset", "06 00 00 00 06 00", "01 00 00 00", confirms="reset asserted"),
    _action("read rail", "09 00 00 00 05 40 24 01 01", "01 00 00 00", confirms="rail off"),
    _action("read fan", "09 00 00 00 05 40 4C 4C 01", "01 00 00 3F", confirms="fan full"),
)
