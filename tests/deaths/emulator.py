"""Many emulated boards in one process, each on ptys of its own. Arguments: board, directory, first number, how many.

Beside what the emulator traces by itself, `<name>.trace` has a line for every burst that the host sent to a port, with
CLOCK_MONOTONIC nanoseconds: whoever claims that a rig wrote nothing has to be able to count.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TextIO

from emulator.benches import BENCHES, BenchSettings
from emulator.device import Burst, Device
from emulator.serve import Served, serve

DILUTION = 2**29
"""Chips that hash need little of this machine then: dozens of boards share it with what is under test."""


def listen(device: Device, port: str, trace: TextIO) -> None:
    """Write down what this device hears."""
    receive = device.receive

    def heard(burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        trace.write(json.dumps({"t_ns": time.monotonic_ns(), "what": port, "detail": burst.data.hex()}) + "\n")
        receive(burst, at_s, previous_baud)

    device.receive = heard  # type: ignore[method-assign]


async def main(board: str, directory: Path, first: int, count: int) -> None:
    stop = asyncio.Event()
    ready: list[Served] = []

    def told(served: Served) -> None:
        ready.append(served)
        if len(ready) == count:
            sys.stdout.write("ready\n")
            sys.stdout.flush()

    async with asyncio.TaskGroup() as group:
        for number in range(first, first + count):
            name = f"b{number:02d}"
            bench = BENCHES[board](BenchSettings(seed=number + 1, dilution=DILUTION))
            trace = (directory / f"{name}.trace").open("a", buffering=1)
            listen(bench.control, "control", trace)
            listen(bench.data, "data", trace)
            moves = directory / f"{name}.moves"
            group.create_task(serve(bench, name, directory, trace=moves, on_ready=told, stop=stop))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
