"""News for everybody who waits: state that is looked at again, and lists told from their first item on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


class Bell:
    """Wakes all who wait, each time it is rung."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        await self._event.wait()


async def each(items: Sequence[_Item], news: Bell, over: Callable[[], bool]) -> AsyncIterator[_Item]:
    """All of a list that grows, in order; `news` rings when it has grown. Ends after the last one when `over`."""
    told = 0
    while True:
        if told < len(items):
            told += 1
            yield items[told - 1]
        elif over():
            return
        else:
            await news.wait()
