"""Real time over pseudo-terminals: how late the sensors are polled, how long I2C takes, how much of a core it costs.

One rig process with one board and with eight, each board emulated by a process of its own, each chip finding about 250
nonces a second. Then with 32 boards that are live and not fed: 32 chips that hash are more than two cores can emulate.
The wire is recorded for the I2C times, which costs a little of what is measured.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from controller.emulators import EmulatorChild
from controller.model import BoardSnapshot, PowerUp, Snapshot, StartWork, StopWork
from controller.port import BoardConfig, HostConfig, LiveRig
from drivers.transports.tap import RX, TX, read_tap
from tests.deaths.client import STAGGER_S
from tests.measuring import spread
from tests.processes import cpu_s

BOARD: Final = "bitaxe-gamma"
MANY: Final = 32
_DILUTION: Final = 2**24
_SETTLE_S: Final = 3.0
_MEASURE_S: Final = 15.0
_POLL_MS: Final = 200.0
_READ_VIN: Final = bytes.fromhex("0005 40 24 88 02")
_SHARES: Final = {"median": 0.5, "p99": 0.99}


def measure() -> dict[str, Any]:
    fed = {f"boards_{count}": asyncio.run(_boards(count)) for count in (1, 8)}
    return {**fed, f"boards_{MANY}_not_fed": asyncio.run(_boards(MANY, fed=False))}


async def _boards(count: int, *, fed: bool = True) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncExitStack() as stack:
            emulators = await asyncio.gather(*(_emulator(index, directory) for index in range(count)))
            for emulator in emulators:
                stack.push_async_callback(emulator.aclose)
            configs = tuple(_config(emulator, Path(directory)) for emulator in emulators)
            rig = await LiveRig.start(HostConfig(boards=configs, orphan_s=5.0))
            stack.push_async_callback(rig.aclose)
            names = [config.name for config in configs]
            await asyncio.gather(*(_power_up(rig, name, STAGGER_S * index) for index, name in enumerate(names)))
            if fed:
                await asyncio.gather(*(rig.request(name, StartWork(work="synthetic", seed=1)) for name in names))
            await asyncio.sleep(_SETTLE_S)
            began_ns = time.monotonic_ns()
            result = await _observe(rig, [emulator.sidecar.pid for emulator in emulators])
            ended_ns = time.monotonic_ns()
            if fed:
                await asyncio.gather(*(rig.request(name, StopWork()) for name in names))
        recordings = [Path(config.control_tap) for config in configs if config.control_tap]
        taken, late = _wire_times(recordings, began_ns, ended_ns)
        return {**result, "poll_lateness_ms": spread(late, _SHARES, 3), "i2c_ms": spread(taken, _SHARES, 3)}


async def _power_up(rig: LiveRig, name: str, after_s: float) -> None:
    """The lock-down of a regulator is a hundred requests: not all at once."""
    await asyncio.sleep(after_s)
    await rig.request(name, PowerUp())


async def _emulator(index: int, directory: str) -> EmulatorChild:
    name = f"bench-{index}"
    return await EmulatorChild.start(
        [BOARD, "--name", name, "--directory", directory, "--seed", str(index + 1), "--dilution", str(_DILUTION)]
    )


def _config(emulator: EmulatorChild, directory: Path) -> BoardConfig:
    sidecar = emulator.sidecar
    return BoardConfig(
        name=sidecar.name,
        kind=BOARD,
        control=sidecar.control,
        data=sidecar.data,
        emulated=True,
        dilution=sidecar.dilution,
        seed=sidecar.seed,
        control_tap=str(directory / f"{sidecar.name}.jsonl"),
    )


async def _observe(rig: LiveRig, emulator_pids: Sequence[int]) -> dict[str, Any]:
    rig_pids = [rig.pid, *_children(rig.pid)]
    before = (cpu_s(*rig_pids[:1]), cpu_s(*rig_pids[1:]), cpu_s(*emulator_pids))
    seen: list[Snapshot] = []

    async def watch() -> None:
        async for snapshot in rig.snapshots():
            seen.append(snapshot)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(_MEASURE_S)
    watcher.cancel()
    after = (cpu_s(*rig_pids[:1]), cpu_s(*rig_pids[1:]), cpu_s(*emulator_pids))
    rig_share, sentinel_share, emulator_share = ((b - a) / _MEASURE_S for a, b in zip(before, after, strict=True))
    return {
        "rig_cpu_percent": round(100 * rig_share, 2),
        "sentinels_cpu_percent": round(100 * sentinel_share, 2),
        "emulators_cpu_percent": round(100 * emulator_share, 2),
        "finds_per_s_each": [round(rate, 1) for rate in _find_rates(seen)],
        "lost_or_bad_frames": sum(_work_errors(board) for board in seen[-1].boards),
    }


def _find_rates(seen: Sequence[Snapshot]) -> list[float]:
    first, last = seen[0], seen[-1]
    rates = []
    for a, b in zip(first.boards, last.boards, strict=True):
        if a.work is None or b.work is None:
            rates.append(0.0)
        else:
            rates.append((b.work.verified - a.work.verified) / (b.at_s - a.at_s))
    return rates


def _work_errors(board: BoardSnapshot) -> int:
    return 0 if board.work is None else board.work.stale + board.work.link_errors + board.work.duplicates


def _wire_times(recordings: Sequence[Path], from_ns: int, to_ns: int) -> tuple[list[float], list[float]]:
    """In ms: from each request on the control port to the last byte of its reply; and how much later than the one
    before plus 200 ms each sweep read its first rail (READ_VIN)."""
    taken: list[float] = []
    late: list[float] = []
    for path in recordings:
        asked_ns: int | None = None
        heard_ns = swept_ns = 0
        for record in read_tap(path):
            if not from_ns <= record.t_ns <= to_ns:
                continue
            if record.direction == TX:
                if asked_ns is not None and heard_ns > asked_ns:
                    taken.append((heard_ns - asked_ns) / 1e6)
                asked_ns = record.t_ns
                if record.data[3:] == _READ_VIN:
                    if swept_ns:
                        late.append(max(0.0, (record.t_ns - swept_ns) / 1e6 - _POLL_MS))
                    swept_ns = record.t_ns
            elif record.direction == RX:
                heard_ns = record.t_ns
    return taken, late


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]
