"""Recording: every byte of a port, with its direction and time, as JSON lines; and the same bytes played back.

    {"schema":"hashbridge.tap/1","utc":"2026-11-22T11:00:00.000000+00:00"}
    {"t_ns":81204417000,"port":"data","dir":"tx","hex":"55aa5205000a"}
    {"t_ns":81204917312,"port":"data","dir":"baud","baud":1000000}
    {"t_ns":81205190021,"port":"data","dir":"rx","hex":"aa551370000000000006"}
    {"t_ns":81209000000,"port":"data","dir":"lost","why":"hung up"}

`t_ns` is CLOCK_MONOTONIC, so that recordings of several processes of one machine can be laid side by side. Each line
is one write to the operating system: a killed process loses the line it was writing, and no other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from drivers.errors import ProtocolError, Unplugged, UsageError
from drivers.traits import ByteSink, Transport
from drivers.transports.descriptor import check_baud

SCHEMA: Final = "hashbridge.tap/1"
TX, RX, BAUD, LOST = "tx", "rx", "baud", "lost"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TapRecord:
    """One line of a recording. `data` for tx and rx, `baud` for a change of rate, `why` for a lost port."""

    t_ns: int
    port: str
    direction: str
    data: bytes = b""
    baud: int = 0
    why: str = ""


class TapWriter:
    """The file of a recording; several taps may share it. A full disk ends the recording, never the run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by `close`
        self.failed: OSError | None = None
        """Why the recording stopped short, if it did."""
        self._line({"schema": SCHEMA, "utc": datetime.now(UTC).isoformat(timespec="microseconds")})

    def bytes(self, port: str, direction: str, data: bytes) -> None:
        """Record what crossed: direction `tx` (from the host) or `rx` (to it)."""
        self._line({"t_ns": time.monotonic_ns(), "port": port, "dir": direction, "hex": data.hex()})

    def baud(self, port: str, baud: int) -> None:
        """Record that the host changed the rate."""
        self._line({"t_ns": time.monotonic_ns(), "port": port, "dir": BAUD, "baud": baud})

    def lost(self, port: str, why: str) -> None:
        """Record that the port vanished."""
        self._line({"t_ns": time.monotonic_ns(), "port": port, "dir": LOST, "why": why})

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _line(self, record: dict[str, object]) -> None:
        if self.failed is not None or self._file.closed:
            return
        try:
            self._file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            self.failed = error
            _log.warning("recording %s ends here: %s", self._path, error)


class Tap:
    """A `Transport` around another that records what crosses it. Bytes are recorded before they are passed on."""

    def __init__(self, transport: Transport, sink: TapWriter, label: str) -> None:
        self._transport, self._writer, self._label = transport, sink, label
        self._sink: ByteSink | None = None

    @property
    def name(self) -> str:
        return self._transport.name

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        self._transport.start(self)

    async def write(self, data: bytes) -> None:
        if data:
            self._writer.bytes(self._label, TX, data)
        await self._transport.write(data)

    async def set_baud(self, baud: int) -> None:
        await self._transport.set_baud(baud)
        self._writer.baud(self._label, baud)

    async def discard_input(self) -> None:
        await self._transport.discard_input()

    async def aclose(self) -> None:
        await self._transport.aclose()

    def data_received(self, data: bytes) -> None:
        self._writer.bytes(self._label, RX, data)
        if self._sink is not None:
            self._sink.data_received(data)

    def connection_lost(self, error: Exception) -> None:
        self._writer.lost(self._label, error.why if isinstance(error, Unplugged) else str(error))
        if self._sink is not None:
            self._sink.connection_lost(error)


def read_tap(path: str | os.PathLike[str]) -> Iterator[TapRecord]:
    """The records of a recording, in order. A last line cut short by a kill is left out.

    `UsageError` names the line that is no record, or a schema that is not ours.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            where = f"{os.fspath(path)}:{number}"
            try:
                fields = json.loads(line)
                if "schema" in fields:
                    if fields["schema"] != SCHEMA:
                        raise UsageError(where, fields["schema"], SCHEMA)
                    continue
                yield _record(fields)
            except (ValueError, KeyError, TypeError) as error:
                if isinstance(error, UsageError):
                    raise
                raise UsageError(where, line[:80].decode(errors="replace"), "a line of a recording") from error


def _record(fields: dict[str, object]) -> TapRecord:
    t_ns, direction, port = fields["t_ns"], fields["dir"], fields["port"]
    if not isinstance(t_ns, int) or not isinstance(port, str):
        raise TypeError("t_ns or port")
    match direction:
        case "tx" | "rx":
            return TapRecord(t_ns, port, direction, data=bytes.fromhex(str(fields["hex"])))
        case "baud":
            return TapRecord(t_ns, port, direction, baud=int(str(fields["baud"])))
        case "lost":
            return TapRecord(t_ns, port, direction, why=str(fields["why"]))
        case _:
            raise ValueError(f"direction {direction!r}")


class ReplayMismatch(ProtocolError):
    """The host said something else than in the recording. `offset` counts the host's bytes from the beginning."""

    def __init__(self, port: str, offset: int, expected: str, found: str) -> None:
        super().__init__(f"{port}: at byte {offset} of what the host sends: expected {expected}, found {found}")
        self.port, self.offset, self.expected, self.found = port, offset, expected, found


class ReplayTransport:
    """A `Transport` whose far end is a recording.

    What the host writes is held against the recorded tx bytes, however they are cut into writes; a difference is a
    `ReplayMismatch`, from that write on. What was received then arrives again: each piece once everything the host
    said before it has been said again, and as long after that as it took then (in loop time).
    """

    def __init__(self, records: Iterable[TapRecord], port: str) -> None:
        chosen = [record for record in records if record.port == port]
        self._name = f"replay:{port}"
        self._said = [(at, record) for at, record in enumerate(chosen) if record.direction in (TX, BAUD)]
        self._heard = [(at, record) for at, record in enumerate(chosen) if record.direction in (RX, LOST)]
        self._said_next = self._heard_next = 0
        self._into = 0
        self._offset = 0
        self._base_ns = chosen[0].t_ns if chosen else 0
        self._base_s = 0.0
        self._sink: ByteSink | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended: Unplugged | ReplayMismatch | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def complete(self) -> bool:
        """Everything was said and heard again."""
        return self._said_next == len(self._said) and self._heard_next == len(self._heard)

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._base_s = self._loop.time()
        self._arm()

    async def write(self, data: bytes) -> None:
        self._check()
        while data:
            record = self._said[self._said_next][1] if self._said_next < len(self._said) else None
            if record is None or record.direction != TX:
                raise self._differs(_rate_or_end(record), data.hex(" "))
            rest = record.data[self._into :]
            length = min(len(rest), len(data))
            if rest[:length] != data[:length]:
                same = next(at for at in range(length) if rest[at] != data[at])
                self._offset += same
                raise self._differs(rest[same:].hex(" "), data[same:].hex(" "))
            data = data[length:]
            self._offset += length
            self._into += length
            if self._into == len(record.data):
                self._said_again(record)

    async def set_baud(self, baud: int) -> None:
        check_baud(baud)
        self._check()
        record = self._said[self._said_next][1] if self._said_next < len(self._said) else None
        if record is None or record.direction != BAUD or record.baud != baud:
            expected = record.data[self._into :].hex(" ") if record and record.direction == TX else _rate_or_end(record)
            raise self._differs(expected, f"{baud} baud")
        self._said_again(record)

    async def discard_input(self) -> None:
        self._check()

    async def aclose(self) -> None:
        self._ended = self._ended or Unplugged(self._name, "closed")
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        if isinstance(self._ended, ReplayMismatch):
            raise self._ended
        if self._ended is not None:
            raise Unplugged(self._name, self._ended.why)

    def _differs(self, expected: str, found: str) -> ReplayMismatch:
        self._ended = mismatch = ReplayMismatch(self._name, self._offset, expected, found)
        if self._timer is not None:
            self._timer.cancel()
        return mismatch

    def _said_again(self, record: TapRecord) -> None:
        self._said_next += 1
        self._into = 0
        self._rebase(record)
        self._arm()

    def _rebase(self, record: TapRecord) -> None:
        """From here on the recording's clock and the loop's agree at this record."""
        if self._loop is not None:
            self._base_s = self._loop.time()
        self._base_ns = record.t_ns

    def _arm(self) -> None:
        """Set the timer for what is to be heard next, if nothing has to be said before it."""
        if self._loop is None or self._timer is not None or self._ended or self._heard_next == len(self._heard):
            return
        at, record = self._heard[self._heard_next]
        if self._said_next < len(self._said) and self._said[self._said_next][0] < at:
            return
        due_s = self._base_s + max(0, record.t_ns - self._base_ns) * 1e-9
        self._timer = self._loop.call_at(due_s, self._heard_again, record)

    def _heard_again(self, record: TapRecord) -> None:
        self._timer = None
        if self._ended is not None or self._sink is None:
            return
        self._heard_next += 1
        self._rebase(record)
        if record.direction == LOST:
            self._ended = Unplugged(self._name, record.why)
            self._sink.connection_lost(self._ended)
        else:
            self._arm()
            self._sink.data_received(record.data)


def _rate_or_end(record: TapRecord | None) -> str:
    return "the end of the recording" if record is None else f"{record.baud} baud"
