"""Processes as the kernel knows them: struck, looked at, and what they cost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def strike(pid: int, number: signal.Signals) -> float:
    """When it was struck, CLOCK_MONOTONIC."""
    struck_s = time.monotonic()
    os.kill(pid, number)
    return struck_s


def state_of(pid: int) -> str:
    """One letter of proc_pid_stat(5); Z when there is no such process any more."""
    try:
        return _stat(pid)[0]
    except FileNotFoundError:
        return "Z"


def alive(pid: int) -> bool:
    return state_of(pid) != "Z"


def cpu_s(*pids: int) -> float:
    """User and system time so far, of all of them."""
    return sum(int(_stat(pid)[11]) + int(_stat(pid)[12]) for pid in pids) / _TICKS_PER_S


def _stat(pid: int) -> list[str]:
    """From the state on; what comes before ends with a name that may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
