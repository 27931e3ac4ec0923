"""Was the machine asleep? CLOCK_BOOTTIME counts while it sleeps and CLOCK_MONOTONIC does not; their distance tells.

Both the rig and its sentinel freeze in a suspend, so neither notices by its timers: on waking, no time has passed for
them, while the board went on hashing without anybody watching it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

THRESHOLD_S = 0.5


def clock_monotonic_s() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def clock_boottime_s() -> float | None:
    """None where the system has no such clock: there a suspend goes unnoticed (docs/safety.md)."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else time.clock_gettime(clock)


class SuspendDetector:
    """Call `check` often; it returns the seconds slept since the last call, None when the machine was awake."""

    def __init__(
        self,
        monotonic_s: Callable[[], float] = clock_monotonic_s,
        boottime_s: Callable[[], float | None] = clock_boottime_s,
        threshold_s: float = THRESHOLD_S,
    ) -> None:
        self._monotonic_s, self._boottime_s, self._threshold_s = monotonic_s, boottime_s, threshold_s
        self._distance_s = self._distance()

    def check(self) -> float | None:
        before_s, self._distance_s = self._distance_s, self._distance()
        if before_s is None or self._distance_s is None:
            return None
        slept_s = self._distance_s - before_s
        return slept_s if slept_s > self._threshold_s else None

    def _distance(self) -> float | None:
        boottime_s = self._boottime_s()
        return None if boottime_s is None else boottime_s - self._monotonic_s()
