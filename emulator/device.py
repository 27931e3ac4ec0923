"""The shape of every emulated thing: bytes in, bytes out, and time as an argument.

A device opens nothing, waits for nothing and reads no clock. A port (memory or pty) carries its bytes and calls
`receive` and `transmit` with the time of its own clock, so that an hour of emulation costs seconds in virtual time.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Burst(NamedTuple):
    """Bytes on a line and the rate at which they were sent. Baud 0: the line has no rate (a USB control pipe)."""

    baud: int
    data: bytes


class Device(Protocol):
    """One port of an emulated board, seen from the far side."""

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        """Take bytes from the host. `previous_baud` is the host's rate until at most 50 ms ago, when it has just
        changed: a pseudo-terminal carries no rate with its bytes, so late ones may belong to it."""
        ...

    def transmit(self, at_s: float) -> list[Burst]:
        """All that is due to be sent up to `at_s`, oldest first. The port turns a burst whose rate is more than 5 %
        off the host's into noise."""
        ...

    def wakes_at(self) -> float | None:
        """The next moment at which `transmit` will have something to say; None: not before the next `receive`."""
        ...

    def line_rate_changed(self, baud: int, at_s: float) -> None:
        """The host set the line rate of this port (CDC line coding)."""
        ...
