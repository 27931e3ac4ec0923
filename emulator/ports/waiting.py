"""How long this process was ready to run and had no processor: what makes an emulated wire look late.

Silicon sees a byte when it arrives; an emulator sees it when the scheduler lets it. On a loaded machine that is
milliseconds, enough to cut the end off a sweep window that the host had paced correctly. Linux counts the time that a
task spent waiting for a processor (second number of /proc/self/schedstat, in ns), so arrivals can be dated back by it.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

_PATH: Final = "/proc/self/schedstat"
LONGEST_S: Final = 0.25
"""Never date anything back further than this: the count also grows while nothing was on the wire."""


@cache
def cpu_wait() -> CpuWait:
    """The one count of this process. All ports share it: a wait belongs to the wake-up in which it happened."""
    return CpuWait()


class CpuWait:
    """Counts for the main thread of a process. `lap_s` is 0 where the system keeps no such count.

    Call `lap_s` when a callback begins, for the time that it came late, and when it ends, so that the next one is not
    charged with it.
    """

    def __init__(self) -> None:
        try:
            self._descriptor = os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = -1
        self._total_ns = 0
        self.lap_s()

    def lap_s(self) -> float:
        """Seconds spent waiting since the last call."""
        if self._descriptor < 0:
            return 0.0
        try:
            total_ns = int(os.pread(self._descriptor, 96, 0).split()[1])
        except (OSError, IndexError, ValueError):
            os.close(self._descriptor)
            self._descriptor = -1
            return 0.0
        waited_s = (total_ns - self._total_ns) * 1e-9
        self._total_ns = total_ns
        return min(max(0.0, waited_s), LONGEST_S)
