"""Waiting for other processes and threads, which have nothing of ours to call: look, sleep a little, look again."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(what: Callable[[], bool], within_s: float = 3.0) -> bool:
    """Whether `what` became true within that time."""
    give_up_s = time.monotonic() + within_s
    while time.monotonic() < give_up_s:
        if what():
            return True
        time.sleep(0.01)  # another process or thread, which has nothing of ours to call
    return what()
