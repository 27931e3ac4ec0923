"""An hour of known-answer work in virtual time: rig, guard, polling, drivers and emulator, all of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from controller.clock import LoopClock
from controller.model import PowerDown, PowerUp, StartWork, StopWork
from controller.rig import Rig, RigBoard
from drivers.boards import BOARDS
from drivers.boards.board import Attached
from drivers.transports.memory import memory_pair
from emulator.benches import BENCHES, BenchSettings
from emulator.ports.memory import MemoryPort
from emulator.virtual_time import virtual_run

BOARD: Final = "bitaxe-gamma"
_WORK_S: Final = 3600.0


def measure() -> dict[str, Any]:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    counts = virtual_run(_hour())
    took_s, took_cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    return {
        "virtual_s": _WORK_S,
        "real_s": round(took_s, 2),
        "cpu_s": round(took_cpu_s, 2),
        "x_real_time": round(_WORK_S / took_s),
        **counts,
    }


async def _hour() -> dict[str, Any]:
    bench = BENCHES[BOARD](BenchSettings(seed=1))
    control, control_wire = memory_pair("control")
    data, data_wire = memory_pair("data")
    ports = [MemoryPort(bench.control, control_wire), MemoryPort(bench.data, data_wire)]
    attached = Attached(BOARD, control, data, emulated=True, dilution=1, seed=1)
    board = await BOARDS[BOARD].open(attached)
    async with Rig([RigBoard(board, attached)], clock=LoopClock()) as rig:
        await rig.request(BOARD, PowerUp())
        await rig.request(BOARD, StartWork(work="pattern", seed=1))
        await asyncio.sleep(_WORK_S)
        await rig.request(BOARD, StopWork())
        work = rig.snapshot().boards[0].work
        assert work is not None
        await rig.request(BOARD, PowerDown())
    assert all(port.plugged for port in ports)
    return {
        "jobs": work.jobs,
        "answers_due": work.answers_due,
        "answers_found": work.answers_found,
        "yield": work.yield_ratio,
    }
