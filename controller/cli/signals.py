"""Signals of the terminal, for as long as a block runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_signals(numbers: tuple[signal.Signals, ...], call: Callable[[], object]) -> Iterator[None]:
    """`call` instead of what these signals do by default, from the running loop of the main thread."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
