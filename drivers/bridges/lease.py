"""A host lease: firmware that makes its board safe by itself when its host falls silent.

The host arms it before anything is energised, renews it while it watches the board, and gives it back when the board is
safe. What a firmware calls these things is its driver's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class LeaseFault(StrEnum):
    """Why the firmware has latched itself safe."""

    EXPIRED = "expired"
    """The host was silent for longer than the lease."""
    TRIPPED = "tripped"
    """The chips' own trip line."""


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """What the firmware says. It commands its outputs; it measures none of them."""

    armed: bool
    """The lease runs: without a heartbeat the firmware will make the board safe in `left_s`."""
    left_s: float
    fault: LeaseFault | None
    outputs_safe: bool
    detail: str
    """For people."""


class HostLease(Protocol):
    """The lease of one board. All methods may raise `Unplugged`, `NoReply`, `BridgeRefused` or `UnexpectedReply`."""

    @property
    def lease_s(self) -> float:
        """How long a heartbeat is good for, seconds."""
        ...

    async def status(self) -> LeaseStatus:
        """Changes nothing."""
        ...

    async def arm(self) -> LeaseStatus:
        """Takes the lease. Only of a board that is safe: a firmware may make its outputs safe first."""
        ...

    async def heartbeat(self) -> LeaseStatus:
        """Renews it. Sent once: a lost answer is worth another heartbeat, not a second try of this one."""
        ...

    async def disarm(self) -> LeaseStatus:
        """Gives it back, after a safe-off that was confirmed. Toward safety; may be repeated."""
        ...

    async def clear(self) -> LeaseStatus:
        """Leaves the latch of the firmware. Only of a board that is safe, when a person has said so."""
        ...
