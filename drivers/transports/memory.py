"""A port in memory: bytes cross within the same turn of the loop, and each write carries the rate it was sent at.

The far end is `MemoryWire`. It is what makes virtual time possible: there is nothing to wait for outside the loop.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.errors import Unplugged
from drivers.traits import ByteSink
from drivers.transports.descriptor import check_baud


class MemoryTransport:
    """The host's end: a `Transport`. Made by `memory_pair`."""

    def __init__(self, name: str, baud: int) -> None:
        self._name, self._baud = name, baud
        self._sink: ByteSink | None = None
        self._early = bytearray()
        self._lost: Unplugged | None = None
        self._closed = False
        self._on_bytes: Callable[[int, bytes], None] | None = None
        self._on_baud: Callable[[int], None] | None = None

    @property
    def name(self) -> str:
        return self._name

    def start(self, sink: ByteSink) -> None:
        self._sink = sink
        early = bytes(self._early)
        self._early.clear()
        if early:
            sink.data_received(early)
        if self._lost is not None and not self._closed:
            sink.connection_lost(self._lost)

    async def write(self, data: bytes) -> None:
        self._check()
        if data and self._on_bytes is not None:
            self._on_bytes(self._baud, data)

    async def set_baud(self, baud: int) -> None:
        check_baud(baud)
        self._check()
        self._baud = baud
        if self._on_baud is not None:
            self._on_baud(baud)

    async def discard_input(self) -> None:
        self._check()
        self._early.clear()

    async def aclose(self) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._lost is not None:
            raise Unplugged(self._name, self._lost.why)
        if self._closed:
            raise Unplugged(self._name, "closed")

    def _deliver(self, data: bytes) -> None:
        if self._closed or self._lost is not None or not data:
            return
        if self._sink is None:
            self._early += data
        else:
            self._sink.data_received(data)

    def _hang_up(self, why: str) -> None:
        if self._closed or self._lost is not None:
            return
        self._lost = Unplugged(self._name, why)
        if self._sink is not None:
            self._sink.connection_lost(self._lost)


class MemoryWire:
    """The far end of a `MemoryTransport`: what an emulated device sees of the host."""

    def __init__(self, host: MemoryTransport) -> None:
        self._host = host

    @property
    def baud(self) -> int:
        """The rate the host has set."""
        return self._host._baud

    def attach(self, on_bytes: Callable[[int, bytes], None], on_baud: Callable[[int], None]) -> None:
        """From now on `on_bytes(baud, data)` for each write of the host and `on_baud(baud)` for each change of rate.

        Called inside the host's call, so an answer may be delivered before `write` returns.
        """
        self._host._on_bytes, self._host._on_baud = on_bytes, on_baud

    def deliver(self, data: bytes) -> None:
        """Bytes into the host, in this turn of the loop. Kept until `start` when the host has not begun to read."""
        self._host._deliver(data)

    def hang_up(self, why: str = "unplugged") -> None:
        """The port vanishes: one `Unplugged` for the host. For a port that comes back make a new pair."""
        self._host._hang_up(why)


def memory_pair(name: str = "memory", baud: int = 115200) -> tuple[MemoryTransport, MemoryWire]:
    """A port and its far end. Writes go nowhere until the far end is attached, as with a device that is off."""
    host = MemoryTransport(name, baud)
    return host, MemoryWire(host)
