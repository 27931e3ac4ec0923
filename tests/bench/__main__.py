"""Runs the benchmarks and prints one JSON object, `hashbridge.bench/1`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller import __version__
from tests.bench import chains, ports, screen, startup, throughput, trip, virtual

SCHEMA = "hashbridge.bench/1"
PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "throughput": throughput.measure,
    "startup": startup.measure,
    "chains": chains.measure,
    "virtual_time": virtual.measure,
    "ports": ports.measure,
    "trip": trip.measure,
    "screen": screen.measure,
}


def _ticks() -> list[int]:
    """Time of all processors since boot, by use (proc_stat(5)); empty where the system does not tell."""
    try:
        return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return []


def _stolen_percent(before: list[int], after: list[int]) -> float | None:
    """Share of the busy time that a hypervisor gave to others. Above a few percent, latencies say nothing of us."""
    if len(before) < 8 or len(after) < 8:
        return None
    spent = [late - early for early, late in zip(before, after, strict=True)]
    busy = sum(spent) - spent[3] - spent[4]
    return round(100.0 * spent[7] / busy, 1) if busy > 0 else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="benchmarks of hashbridge")
    parser.add_argument("--out", metavar="FILE", type=Path, help="also write the object to FILE")
    parser.add_argument("--only", choices=tuple(PARTS), action="append", help="only this part")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "hashbridge": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": list(os.getloadavg()),
    }
    failed = False
    for name in arguments.only or PARTS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        before = _ticks()
        try:
            result[name] = PARTS[name]()
        except Exception as error:  # noqa: BLE001 - what the other parts have measured is not lost with it
            result[name], failed = {"failed": repr(error)}, True
            print(f"{name}: {error!r}", file=sys.stderr, flush=True)
        result[name]["stolen_percent"] = _stolen_percent(before, _ticks())
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
