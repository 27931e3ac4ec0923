"""An emulated hash board that other processes, and blocking code, can talk to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from emulator.benches.hashboard import HASHBOARDS as BENCHES
from emulator.benches.hashboard import HashBoard, HashBoardModel
from emulator.ports.pty import PtyPort


class Served:
    """An emulated hash board on a pseudo-terminal, on a loop of its own in a thread."""

    def __init__(self, board: str | HashBoardModel, **broken: Any) -> None:
        self._ready = threading.Event()
        self.path = ""
        self.heard = bytearray()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(board, broken)))

    async def _serve(self, board: str | HashBoardModel, broken: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        self.bench = HashBoard(BENCHES[board] if isinstance(board, str) else board, **broken)
        receive = self.bench.line.receive

        def hear(burst: Any, at_s: float, previous_baud: int | None = None) -> None:
            self.heard += burst.data
            receive(burst, at_s, previous_baud)

        self.bench.line.receive = hear  # type: ignore[method-assign]
        self.port = port = PtyPort(self.bench.data, loop, origin_s=loop.time())
        self._loop, self._over, self.path = loop, asyncio.Event(), port.path
        self._ready.set()
        await self._over.wait()
        port.close()

    def do(self, what: Callable[[], None]) -> None:
        """In the thread of the board."""
        self._loop.call_soon_threadsafe(what)

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(20.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20.0)
