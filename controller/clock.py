"""What time it is, for people; and whether the machine slept.

A rig measures with its loop's time. This adds the UTC beside it, and the one thing the loop's clock cannot tell:
CLOCK_MONOTONIC stands still while a machine is suspended, CLOCK_BOOTTIME does not (controller/suspend.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from controller.suspend import SuspendDetector


class Clock(Protocol):
    def utc(self, at_s: float) -> datetime:
        """UTC for this moment of the loop's time. Called with the present, or a moment ago."""
        ...

    def slept_s(self) -> float | None:
        """How long the machine has slept since the last call; None when it was awake."""
        ...


class SystemClock:
    """The clocks of this machine. Without CLOCK_BOOTTIME (not Linux) a suspend goes unseen."""

    def __init__(self) -> None:
        self._detector = SuspendDetector()

    def utc(self, at_s: float) -> datetime:
        return datetime.now(UTC)

    def slept_s(self) -> float | None:
        return self._detector.check()


class LoopClock:
    """UTC counted from the loop's zero: the same run gives the same times. For virtual time."""

    def __init__(self, zero: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        self._zero = zero
        self.sleeps_s: float | None = None
        """Set by a test that puts the machine to sleep; forgotten once it was noticed."""

    def utc(self, at_s: float) -> datetime:
        return self._zero + timedelta(seconds=at_s)

    def slept_s(self) -> float | None:
        slept_s, self.sleeps_s = self.sleeps_s, None
        return slept_s
