"""What the layers ask of each other. Protocols only: a part satisfies a trait by its shape."""

from __future__ import annotations

from typing import Protocol


class I2c(Protocol):
    """One I2C bus. Addresses are 7-bit. Raises `Nack`, `NoReply`, `BridgeRefused` or `Unplugged`."""

    async def write(self, address: int, data: bytes) -> None: ...

    async def read(self, address: int, count: int) -> bytes: ...

    async def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """Write, repeated start, read exactly `count` bytes."""
        ...


class GpioPin(Protocol):
    """One pin of the bridge. `get` returns the output latch (not the pin) on outputs."""

    async def set(self, high: bool) -> None: ...

    async def get(self) -> bool: ...


class ByteSink(Protocol):
    """Where a transport delivers what arrives. Called from the event loop, never from another thread."""

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, error: Exception) -> None:
        """The port is gone; `error` is an `Unplugged`. Called once; nothing follows."""
        ...


class Transport(Protocol):
    """Moves bytes, gives them no meaning. One owner, one event loop.

    Push, not pull: bytes go to the sink in the same turn of the loop in which they were read. A queue and a
    reader task in between cost more than decoding itself.
    """

    @property
    def name(self) -> str:
        """What a person would call the port, for messages."""
        ...

    def start(self, sink: ByteSink) -> None:
        """Begin delivery. Called once, with a running loop. Bytes that came before are delivered first."""
        ...

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the port, in one call where the port takes them. Raises `Unplugged`."""
        ...

    async def set_baud(self, baud: int) -> None:
        """Change the line rate. Written bytes must have drained before: at least 10 ms earlier."""
        ...

    async def discard_input(self) -> None:
        """Throw away what the operating system has buffered and nobody has read."""
        ...

    async def aclose(self) -> None:
        """Close. May be called twice, never raises, and no `connection_lost` follows."""
        ...
