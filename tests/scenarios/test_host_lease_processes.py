"""The host lease against real processes on ptys: whoever is frozen or killed, and both at once, the board ends safe.

The times are those of the emulated board: when it heard its last heartbeat, and when its actuators moved.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.model import Cause
from emulator.benches import BenchSettings
from emulator.benches.leased_gamma import LeasedGamma
from emulator.firmware.bonanza_bridge import LEASE_S, SERVICE_S
from emulator.serve import Served, serve
from tests.deaths.emulator import DILUTION
from tests.scenarios.lease_rig import NAME

pytestmark = [pytest.mark.real_time, pytest.mark.alone]

ROOT = Path(__file__).parents[2]
WITHIN_S = LEASE_S + SERVICE_S + 0.001
SAFE_WITHIN_S = 8.0
"""Until the test gives up. What is promised is counted by the board's own clock."""


@dataclass
class Set:
    """The emulated board, served here, and the rig, in a process of its own."""

    bench: LeasedGamma
    rig: asyncio.subprocess.Process
    sentinel: int | None
    directory: Path

    async def hear(self) -> dict[str, Any]:
        assert self.rig.stdout is not None
        said: dict[str, Any] = json.loads(await self.rig.stdout.readline())
        return said

    async def safe_after_s(self) -> float:
        """How long after the last heartbeat that the board heard its rail was off and its chip in reset."""
        began_s = self.bench.clock()
        while self.bench.truth(self.bench.clock())["rail_on"]:
            assert self.bench.clock() < began_s + SAFE_WITHIN_S, "the rail stayed on"
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        last_s = self.bench.bridge.control.heartbeats[-1]
        after = {move.what: move.at_s - last_s for move in self.bench.actuations if move.at_s > last_s}
        return max(after["reset asserted"], after["rail off"])

    @property
    def fault(self) -> str:
        return str(self.bench.truth(self.bench.clock())["bridge_fault"])


@contextlib.asynccontextmanager
async def hashing(directory: Path, guard: str) -> AsyncIterator[Set]:
    bench = LeasedGamma(BenchSettings(dilution=DILUTION))
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(bench, NAME, directory / "run", stop=stop, on_ready=ready.set_result))
    served: Served = await ready
    command = ("-m", "tests.scenarios.lease_rig", served.control, served.data, str(directory), guard)
    rig = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert rig.stdout is not None
        said = json.loads(await rig.stdout.readline())
        yield Set(bench, rig, said["sentinel"], directory)
    finally:
        with contextlib.suppress(ProcessLookupError):
            rig.kill()
        await rig.wait()
        stop.set()
        await serving


async def rig_stopped_alone(directory: Path) -> None:
    async with hashing(directory, "alone") as one:
        one.rig.send_signal(signal.SIGSTOP)
        took_s = await one.safe_after_s()
        print(f"\nSIGSTOP of the rig, no sentinel: safe {took_s:.4f} s after the last heartbeat")
        assert LEASE_S <= took_s <= WITHIN_S
        assert one.fault == "lease_expired"
        moved = len(one.bench.actuations)
        one.rig.send_signal(signal.SIGCONT)
        said = await one.hear()
        assert said["fault"] == Cause.LEASE_EXPIRED.value, said
        await asyncio.sleep(1.0)
        moves = {move.what for move in one.bench.actuations[moved:]}
        assert not moves & {"5 V on", "rail on", "reset released"}


async def both_killed(directory: Path) -> None:
    async with hashing(directory, "sentinel") as one:
        assert one.sentinel is not None
        os.kill(one.sentinel, signal.SIGKILL)
        one.rig.kill()
        took_s = await one.safe_after_s()
        print(f"\nSIGKILL of rig and sentinel: safe {took_s:.4f} s after the last heartbeat")
        assert LEASE_S <= took_s <= WITHIN_S
        assert one.fault == "lease_expired"


async def rig_killed(directory: Path) -> None:
    async with hashing(directory, "sentinel") as one:
        one.rig.kill()
        took_s = await one.safe_after_s()
        print(f"\nSIGKILL of the rig, sentinel alive: safe {took_s:.4f} s after the last heartbeat")
        assert took_s < LEASE_S, "the sentinel comes first"
        path = directory / f"sentinel-{NAME}-{one.rig.pid}.json"
        for _ in range(100):
            if path.exists():
                break
            await asyncio.sleep(0.02)
        assert json.loads(path.read_text())["confirmed"] is True


async def test_a_rig_stopped_without_a_sentinel_both_killed_at_once_and_a_rig_killed_alone_all_leave_a_safe_board(
    tmp_path: Path,
) -> None:
    async with asyncio.TaskGroup() as group:
        for trial in (rig_stopped_alone, both_killed, rig_killed):
            directory = tmp_path / trial.__name__
            directory.mkdir()
            group.create_task(trial(directory))
