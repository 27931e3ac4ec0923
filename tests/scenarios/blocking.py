"""A `SyncRig` over an emulated board in virtual time: what a script does in minutes takes a moment.

The loop of the virtual clock runs only while a verb waits; between two verbs time stands still.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from controller.library import AsyncRig
from controller.sync import Here, SyncRig
from emulator.benches import BenchSettings
from emulator.virtual_time import VirtualTimeLoop
from tests.scenarios.gamma import Stand, stand

T = TypeVar("T")


class VirtualDriver:
    """A `controller.sync.Driver` in the thread of the test: callbacks are there already."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def run(self, work: Callable[[Here], Coroutine[Any, Any, T]]) -> T:
        return self._runner.run(work(lambda callback: callback))

    def forget(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._runner.run(work())

    def close(self) -> None:
        """The runner ends with its test."""


@contextlib.contextmanager
def blocking_stand(settings: BenchSettings | None = None) -> Iterator[tuple[SyncRig, Stand]]:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        standing = stand(settings)

        async def enter() -> Stand:
            return await standing.__aenter__()

        async def leave() -> None:
            await standing.__aexit__(None, None, None)

        s = runner.run(enter())
        try:
            yield SyncRig(AsyncRig(s.rig), VirtualDriver(runner)), s
        finally:
            runner.run(leave())
