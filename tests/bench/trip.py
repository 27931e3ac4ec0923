"""Real time over pseudo-terminals: from the reading that exceeds a limit without debounce to the safe-off on the wire.

Live boards, then a regulator that answers 1.45 V: above the hard limit plus 50 mV, where no sample is waited for. They
are not fed: to emulate 32 chips that hash takes more than two cores, and the rig would be measured waiting for them.
Measured from the arrival of that answer at the rig: until the rig has written the first request of the safe-off, and
until the emulated board has asserted reset (its own record; the sentinel and two pseudo-terminals lie in between).
Once with rigs of one board, once with 32 boards in one rig.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from controller.model import ClearFault, GuardState, PowerUp
from controller.port import BoardConfig, HostConfig, LiveRig
from drivers.transports.tap import RX, TX, TapRecord, read_tap
from tests.deaths.client import STAGGER_S
from tests.deaths.emulator import DILUTION
from tests.measuring import spread
from tests.plant import ask

BOARD: Final = "bitaxe-gamma"
RIGS_OF_ONE: Final = 8
ROUNDS_OF_ONE: Final = 6
BOARDS_TOGETHER: Final = 32
ROUNDS_TOGETHER: Final = 3
_READ_VOUT: Final = bytes.fromhex("0005 40 24 8b 02")
_RESET_LOW: Final = bytes.fromhex("0006 00 00")
_FALSE_V: Final = 1.45
_LIMIT_V: Final = 1.40
_VOUT_PER_V: Final = 512.0
_SETTLE_S: Final = 2.0
_SPREAD_S: Final = 2.0
_AGAIN_S: Final = 4.0
"""While the reading is false, no safe-off can be confirmed; the rig makes another one every 2 s."""
_SAME_TRIP_NS: Final = 4_000_000_000
_SAFE_WITHIN_S: Final = 10.0
_SHARES: Final = {"median": 0.5, "p99": 0.99, "max": 1.0}


def measure() -> dict[str, Any]:
    return {
        "boards_1": asyncio.run(trips(RIGS_OF_ONE, 1, ROUNDS_OF_ONE)),
        f"boards_{BOARDS_TOGETHER}": asyncio.run(trips(1, BOARDS_TOGETHER, ROUNDS_TOGETHER)),
    }


async def trips(rigs: int, boards_each: int, rounds: int) -> dict[str, Any]:
    dice = random.Random(20260101)
    with tempfile.TemporaryDirectory(prefix="hb-") as name:
        directory = Path(name)
        with _emulators(directory, rigs * boards_each):
            async with AsyncExitStack() as stack:
                every = [_config(directory, number) for number in range(rigs * boards_each)]
                groups = [every[first : first + boards_each] for first in range(0, len(every), boards_each)]
                started: list[LiveRig] = []
                for group in groups:
                    rig = await LiveRig.start(HostConfig(boards=tuple(group), orphan_s=5.0))
                    stack.push_async_callback(rig.aclose)
                    started.append(rig)
                for _ in range(rounds):
                    await asyncio.gather(*(_round(rig, directory, dice) for rig in started))
        written: list[float] = []
        asserted: list[float] = []
        for config in every:
            assert config.control_tap is not None
            records = list(read_tap(config.control_tap))
            low_ns = _asserted(directory / f"{config.name}.moves")
            for arrived_ns, written_ns in _answers(records):
                written.append((written_ns - arrived_ns) / 1e6)
                asserted += [(ns - arrived_ns) / 1e6 for ns in low_ns if ns > arrived_ns][:1]
    return {
        "trips": len(written),
        "to_written_ms": spread(written, _SHARES, 3),
        "to_reset_asserted_ms": spread(asserted, _SHARES, 3),
    }


async def _round(rig: LiveRig, directory: Path, dice: random.Random) -> None:
    """All boards of a rig to a point, a false reading for each at a moment of its own, and back to where they began."""
    names = [info.name for info in rig.info]

    async def bring_up(name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)  # the lock-down of a regulator is a hundred requests
        await rig.request(name, PowerUp(frequency_mhz=400.0))

    await asyncio.gather(*(bring_up(name, STAGGER_S * index) for index, name in enumerate(names)))
    await asyncio.sleep(_SETTLE_S)

    async def one(name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await ask(directory / f"{name}.plant", do="misread", channel="core_v", value=_FALSE_V)

    await asyncio.gather(*(one(name, dice.random() * _SPREAD_S) for name in names))
    async with asyncio.timeout(_SAFE_WITHIN_S):
        async for snapshot in rig.snapshots():
            if all(board.state is GuardState.LATCHED for board in snapshot.boards):
                break
    for name in names:
        await ask(directory / f"{name}.plant", do="heal")
    await asyncio.sleep(_AGAIN_S)
    for name in names:
        await rig.request(name, ClearFault())


def _config(directory: Path, number: int) -> BoardConfig:
    name = f"b{number:02d}"
    control, data = (str(directory / f"{name}-{port}") for port in ("control", "data"))
    return BoardConfig(
        name=name,
        kind=BOARD,
        control=control,
        data=data,
        emulated=True,
        dilution=DILUTION,
        control_tap=str(directory / f"{name}.jsonl"),
    )


def _answers(records: Sequence[TapRecord]) -> Iterator[tuple[int, int]]:
    """Arrival of each false reading, and when the safe-off that follows it was written. ns."""
    asked, heard, heard_ns = b"", b"", 0
    arrived_ns: int | None = None
    seen_ns = 0
    for record in records:
        if record.direction == RX:
            heard, heard_ns = heard + record.data, record.t_ns
            continue
        if record.direction != TX:
            continue
        false = asked == _READ_VOUT and int.from_bytes(heard[3:5], "little") > _LIMIT_V * _VOUT_PER_V
        if false and heard_ns > seen_ns + _SAME_TRIP_NS:  # the safe-off reads it as well
            arrived_ns = heard_ns
        if false:
            seen_ns = heard_ns
        asked, heard = record.data[3:], b""
        if arrived_ns is not None and asked == _RESET_LOW:
            yield arrived_ns, record.t_ns
            arrived_ns = None


def _asserted(moves: Path) -> list[int]:
    lines = (json.loads(line) for line in moves.read_text(encoding="utf-8").splitlines())
    return [line["t_ns"] for line in lines if line["what"] == "reset asserted"]


@contextmanager
def _emulators(directory: Path, count: int) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.deaths.emulator", BOARD, str(directory), "0", str(count)],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20.0)
