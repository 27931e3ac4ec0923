"""The screens without a terminal, fed faster than any rig speaks: what an hour leaves in memory, what a repaint costs.

A process of its own (`python -m tests.bench.screen_feed`), so that its memory is the screens' alone. What it is fed
are real snapshots and events of an emulated board, again and again, each time later, through the wire's own encoding.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from controller import wire
from controller.bell import Bell, each
from controller.model import BoardInfo, BoardSnapshot, ChainSnapshot, Command, Event, Snapshot, StartWork
from controller.tui.app import HashbridgeApp
from controller.tui.store import RigStore
from emulator.benches import BenchSettings
from emulator.virtual_time import virtual_run
from tests.scenarios.gamma import NAME, stand

HOUR_SNAPSHOTS: Final = 18_000
LAP_S: Final = 60.0
_SIZE: Final = (120, 40)
_DILUTION: Final = 2**29
_FRESHENS: Final = 100
_CHIPS: Final = 114
_BOARDS: Final = 8


class Lap:
    """A minute of a rig: what it told, in order."""

    def __init__(self, info: tuple[BoardInfo, ...], snapshots: Sequence[Snapshot], events: Sequence[Event]) -> None:
        self.info, self.snapshots, self.events = info, tuple(snapshots), tuple(events)

    def again(self, number: int) -> tuple[list[Snapshot], list[Event]]:
        """The same, `number` laps later."""
        by_s, by = number * LAP_S, number * len(self.events)
        events = [event.model_copy(update={"seq": event.seq + by, "at_s": event.at_s + by_s}) for event in self.events]
        return [_later(snapshot, by_s) for snapshot in self.snapshots], events


def _later(snapshot: Snapshot, by_s: float) -> Snapshot:
    boards = []
    for board in snapshot.boards:
        channels = {
            channel: reading.model_copy(update={"at_s": reading.at_s + by_s})
            for channel, reading in board.channels.items()
        }
        boards.append(board.model_copy(update={"at_s": board.at_s + by_s, "channels": channels}))
    return snapshot.model_copy(update={"at_s": snapshot.at_s + by_s, "boards": tuple(boards)})


async def _lap() -> Lap:
    snapshots: list[Snapshot] = []
    async with stand(BenchSettings(seed=1, dilution=_DILUTION)) as s:

        async def watch() -> None:
            async for snapshot in s.rig.snapshots():
                snapshots.append(snapshot)

        watcher = asyncio.create_task(watch())
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="synthetic", seed=1))
        await asyncio.sleep(LAP_S - asyncio.get_running_loop().time())
        watcher.cancel()
        return Lap(s.rig.info, snapshots, list(s.told))


class FedPort:
    """A `RigPort` that is told what to say."""

    def __init__(self, info: tuple[BoardInfo, ...]) -> None:
        self._info = info
        self._events: list[Event] = []
        self._newest: Snapshot | None = None
        self._number = 0
        self._news = Bell()

    @property
    def info(self) -> tuple[BoardInfo, ...]:
        return self._info

    async def request(self, board: str, command: Command) -> None:
        """Everything is granted."""

    async def say(self, snapshot: Snapshot | None, events: Sequence[Event] = ()) -> None:
        self._events += events
        if snapshot is not None:
            self._newest = wire.parse_snapshot(wire.encode_snapshot(snapshot))
            self._number += 1
        self._news.ring()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        seen = 0
        while True:
            if self._newest is not None and seen != self._number:
                seen = self._number
                yield self._newest
            else:
                await self._news.wait()

    def events(self) -> AsyncIterator[Event]:
        return each(self._events, self._news, lambda: False)


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def _hour(lap: Lap) -> dict[str, Any]:
    """Memory before and after an hour, and again after a second one: what only the first one took does not grow."""
    port = FedPort(lap.info)

    async def opener() -> FedPort:
        return port

    app = HashbridgeApp(opener)
    laps = round(HOUR_SNAPSHOTS / len(lap.snapshots))
    async with app.run_test(size=_SIZE) as pilot:
        await _feed(port, lap, range(2))
        await pilot.pause()
        measured = [_rss_mb()]
        began_s = time.process_time()
        for hour in range(2):
            await _feed(port, lap, range(2 + hour * laps, 2 + (hour + 1) * laps))
            await pilot.pause()
            gc.collect()
            measured.append(_rss_mb())
        cpu_s = time.process_time() - began_s
        count = len(app.desk.store.log)
        assert count == len(lap.events) * (2 + 2 * laps), "an event was lost"
        freshen = await _screens(app, port, lap, pilot.pause)
    return {
        "snapshots_an_hour": laps * len(lap.snapshots),
        "events_an_hour": laps * len(lap.events),
        "rss_mb_before": round(measured[0], 1),
        "rss_mb_after_an_hour": round(measured[1], 1),
        "rss_mb_after_two": round(measured[2], 1),
        "cpu_s_an_hour_of_feed": round(cpu_s / 2, 2),
        "freshen_us": freshen,
    }


async def _feed(port: FedPort, lap: Lap, laps: range) -> None:
    for number in laps:
        snapshots, events = lap.again(number)
        await port.say(None, events)
        for snapshot in snapshots:
            await port.say(snapshot)


async def _screens(app: HashbridgeApp, port: FedPort, lap: Lap, pause: Callable[[], Any]) -> dict[str, dict[str, int]]:
    """Median microseconds of one `freshen`: after a new snapshot, and when nothing is new."""
    found = {}
    for name in ("board", "tune", "log"):
        app.switch_mode(name)
        await pause()
        new: list[float] = []
        same: list[float] = []
        for at in range(_FRESHENS):
            await port.say(lap.snapshots[at % len(lap.snapshots)])
            for times in (new, same):
                began_ns = time.perf_counter_ns()
                app.freshen()
                times.append((time.perf_counter_ns() - began_ns) / 1e3)
        found[name] = {"new": round(statistics.median(new)), "same": round(statistics.median(same))}
    return found


def _many(snapshot: Snapshot) -> Snapshot:
    """Eight boards of 114 chips each, made from one of one."""
    (board,) = snapshot.boards
    return snapshot.model_copy(update={"boards": tuple(_wide(board, number) for number in range(_BOARDS))})


def _wide(board: BoardSnapshot, number: int) -> BoardSnapshot:
    chain: ChainSnapshot = board.chains[0]
    (chip,) = chain.chips
    chips = tuple(chip.model_copy(update={"index": index, "address": 2 * index}) for index in range(_CHIPS))
    wide = chain.model_copy(update={"chips": chips, "expected_chips": _CHIPS})
    return board.model_copy(update={"board": f"{NAME}-{number}", "chains": (wide,)})


async def _hashboards(lap: Lap) -> dict[str, Any]:
    """Eight boards of 114 chips: what one snapshot is on the wire, and what it costs from there to the screen."""
    info = tuple(
        lap.info[0].model_copy(update={"name": f"{NAME}-{number}", "chips": _CHIPS}) for number in range(_BOARDS)
    )
    live = [_many(snapshot) for snapshot in lap.snapshots if snapshot.boards[0].chains[0].chips][:_FRESHENS]
    lines = [wire.encode_snapshot(snapshot) for snapshot in live]
    store = RigStore(asyncio.get_running_loop().time)
    store.joined(info)
    parse, take, freshen = [], [], []
    port = FedPort(info)

    async def opener() -> FedPort:
        return port

    app = HashbridgeApp(opener)
    async with app.run_test(size=_SIZE) as pilot:
        for line in lines:
            began_ns = time.perf_counter_ns()
            snapshot = wire.parse_snapshot(line)
            parsed_ns = time.perf_counter_ns()
            store.take_snapshot(snapshot)
            taken_ns = time.perf_counter_ns()
            await port.say(snapshot)
            said_ns = time.perf_counter_ns()
            app.freshen()
            freshen.append((time.perf_counter_ns() - said_ns) / 1e3)
            parse.append((parsed_ns - began_ns) / 1e3)
            take.append((taken_ns - parsed_ns) / 1e3)
        await pilot.pause()
    return {
        "boards": _BOARDS,
        "chips_each": _CHIPS,
        "line_bytes": round(statistics.median(map(len, lines))),
        "parse_us": round(statistics.median(parse)),
        "take_us": round(statistics.median(take)),
        "freshen_us": round(statistics.median(freshen)),
    }


def main() -> int:
    lap = virtual_run(_lap())
    print(json.dumps({"hour": asyncio.run(_hour(lap)), "hashboards": asyncio.run(_hashboards(lap))}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
