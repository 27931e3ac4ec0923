"""Tasks that have to have ended before anything else is done."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


async def end_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancels and waits."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait(running)
