"""How long the command takes to start, and what imports cost. Best and median of ten, in milliseconds."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any, Final

from controller.emulators import child_command, child_environment

_RUNS: Final = 10
_IMPORTS: Final = ("controller.cli.run", "controller.rig", "emulator.serve", "pydantic")


def measure() -> dict[str, Any]:
    result: dict[str, Any] = {
        "python_alone": _time([sys.executable, "-P", "-c", "pass"]),
        "version": _time(child_command("--version")),
        "help": _time(child_command("--help")),
        "list": _time(child_command("-q", "list")),
    }
    for name in _IMPORTS:
        result[f"import {name}"] = _time([sys.executable, "-P", "-c", f"import {name}"])
    return result


def _time(command: list[str]) -> dict[str, float]:
    environment = child_environment()
    taken_ms = []
    for _ in range(_RUNS):
        began_s = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        taken_ms.append((time.perf_counter() - began_s) * 1000)
    return {"best_ms": round(min(taken_ms), 1), "median_ms": round(statistics.median(taken_ms), 1)}
