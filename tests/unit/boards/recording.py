"""A transport that keeps what is written through it."""

from __future__ import annotations

import asyncio

from drivers.traits import ByteSink, Transport


class Recording:
    """Wraps a transport. `writes`: (time, bytes); `rates`: (time, baud)."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.writes: list[tuple[float, bytes]] = []
        self.rates: list[tuple[float, int]] = []

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def frames(self) -> list[str]:
        """Every write in hex."""
        return [data.hex(" ") for _, data in self.writes]

    def start(self, sink: ByteSink) -> None:
        self._inner.start(sink)

    async def write(self, data: bytes) -> None:
        self.writes.append((asyncio.get_running_loop().time(), data))
        await self._inner.write(data)

    async def set_baud(self, baud: int) -> None:
        self.rates.append((asyncio.get_running_loop().time(), baud))
        await self._inner.set_baud(baud)

    async def discard_input(self) -> None:
        await self._inner.discard_input()

    async def aclose(self) -> None:
        await self._inner.aclose()
