"""Signals of the terminal, for as long as a block runs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from controller.cli.exits import Exit


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


class Interrupts:
    """Ctrl+C, SIGTERM and SIGHUP. The first asks to end in order, the second ends this process at once.

    A rig, and a watcher, live in a session of their own, where no signal of our terminal reaches them. When we are
    gone, they do what has to be done.
    """

    SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.seen = False
        self._tell: Callable[[], None] | None = None

    def heard(self) -> None:
        if self.seen:
            os._exit(Exit.INTERRUPTED)
        self.seen = True
        if self._tell is not None:
            self._tell()

    def hand_to(self, tell: Callable[[], None]) -> None:
        """From now on `tell` is called; at once when one came already."""
        self._tell = tell
        if self.seen:
            tell()
