"""Fakes that several tests share. They keep what was said to them, in the notation of the wire sheets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from drivers.errors import Nack

Key = int | tuple[int, int]
"""A command byte, or (address, command byte) where two parts share a bus."""
Answer = str | Exception
"""Bytes in hex, or what the bus raises instead."""


class BusLog:
    """An `I2c` that answers from a table and keeps what was written.

    `replies` maps a command byte, or (address, command byte), to the bytes that a read of it returns; a sequence is
    used up one by one and its last entry stays. A plain `read` answers with the key of the last write. What is not in
    the table, and every address in `absent`, gets a `Nack`. With `registers=True` a write of a command and data is
    what the next read of that command returns.
    """

    def __init__(
        self, replies: Mapping[Key, Answer | Sequence[Answer]] | None = None, *, registers: bool = False
    ) -> None:
        self._replies: dict[Key, list[Answer]] = {}
        for key, answers in (replies or {}).items():
            self.answer(key, answers)
        self._registers = registers
        self._selected: dict[int, int] = {}
        self.absent: set[int] = set()
        self.write_errors: dict[Key, Exception] = {}
        """What a write of this command raises, after it was logged."""
        self.written: list[str] = []
        """Writes, address first: `"24 21 66 02"`. The command byte of a write-read is not a write."""
        self.log: list[str] = []
        """Everything in order: `"24 21 66 02"` a write, `"24 8b > 66 02"` a write-read, `"24 > 66"` a read."""

    def answer(self, key: Key, answers: Answer | Sequence[Answer]) -> None:
        """From now on, reads of `key` return this."""
        listed: list[Answer] = [answers] if isinstance(answers, str | Exception) else list(answers)
        self._replies[key] = listed

    async def write(self, address: int, data: bytes) -> None:
        line = f"{address:02x} {data.hex(' ')}"
        self.written.append(line)
        self.log.append(line)
        self._check(address)
        self._selected[address] = data[0]
        for key in ((address, data[0]), data[0]):
            if key in self.write_errors:
                raise self.write_errors[key]
        if self._registers and len(data) > 1:
            self._replies[address, data[0]] = [data[1:].hex(" ")]

    async def read(self, address: int, count: int) -> bytes:
        self._check(address)
        found = self._reply(address, self._selected.get(address, -1), count)
        self.log.append(f"{address:02x} > {found.hex(' ')}")
        return found

    async def write_read(self, address: int, data: bytes, count: int) -> bytes:
        self._check(address)
        self._selected[address] = data[0]
        found = self._reply(address, data[0], count)
        self.log.append(f"{address:02x} {data.hex(' ')} > {found.hex(' ')}")
        return found

    def _check(self, address: int) -> None:
        if address in self.absent:
            raise Nack(address, "I2C Write Error")

    def _reply(self, address: int, command: int, count: int) -> bytes:
        answers = self._replies.get((address, command)) or self._replies.get(command)
        if not answers:
            raise Nack(address, "I2C Write Error")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        data = bytes.fromhex(answer)
        assert len(data) >= count, f"{count} bytes asked of {command:#04x}, but the test gives {len(data)}"
        return data[:count]


class PinLog:
    """A `GpioPin` that keeps every level it was set to and reads back the last one."""

    def __init__(self, high: bool = False) -> None:
        self.high = high
        self.sets: list[bool] = []
        self.error: Exception | None = None
        """Raised by the next and all later calls; a `set` is logged first."""

    async def set(self, high: bool) -> None:
        self.sets.append(high)
        if self.error is not None:
            raise self.error
        self.high = high

    async def get(self) -> bool:
        if self.error is not None:
            raise self.error
        return self.high


class SinkLog:
    """A `ByteSink` that keeps what it was given. The waits count loop time."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.reads: list[bytes] = []
        self.lost: list[Exception] = []
        self._changed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        assert not self.lost, "bytes after connection_lost"
        assert data, "an empty read is not data"
        self.data += data
        self.reads.append(data)
        self._changed.set()

    def connection_lost(self, error: Exception) -> None:
        self.lost.append(error)
        self._changed.set()

    async def wait_for(self, count: int, timeout_s: float = 5.0) -> bytes:
        """Wait until `count` bytes are there, and return all that came."""
        async with asyncio.timeout(timeout_s):
            while len(self.data) < count:
                self._changed.clear()
                await self._changed.wait()
        return bytes(self.data)

    async def wait_lost(self, timeout_s: float = 5.0) -> Exception:
        async with asyncio.timeout(timeout_s):
            while not self.lost:
                self._changed.clear()
                await self._changed.wait()
        return self.lost[0]
