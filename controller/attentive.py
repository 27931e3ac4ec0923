"""A loop's selector for processes that somebody watches from outside."""

from __future__ import annotations

import selectors


class AttentiveSelector(selectors.DefaultSelector):
    """Never reports a timeout without having looked once more.

    A process that was stopped and continued comes out of its wait with nothing in hand, although its sockets may have
    been closed meanwhile; its loop would then run the timers of its past before it hears that it was fenced off.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(timeout)
        return found if found or timeout == 0 else super().select(0)
