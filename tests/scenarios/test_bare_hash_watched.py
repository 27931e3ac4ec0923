"""A spell of hashing beside a real watcher, over a pseudo-terminal: what either is told when the other ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.barehash import BareHash, BareOutcome, BareWish
from controller.clock import SystemClock
from controller.model import Cause, StartWork
from controller.safety.watcher_client import WatcherClient
from drivers.asics import ASICS
from drivers.asics.chain import Chain
from drivers.transports.serial import PosixSerial, open_serial
from drivers.units import Megahertz, Seconds
from emulator.benches.hashboard import HashBoardModel
from tests.deaths.field import until
from tests.processes import alive
from tests.served import Served

pytestmark = pytest.mark.real_time

KIND = ASICS["BM1362"]
CHIPS = 4


@dataclass
class Stand:
    board: Served
    hash: BareHash
    watcher: WatcherClient

    async def run(self, once_hashing: Callable[[], None]) -> BareOutcome:
        running = asyncio.create_task(self.hash.run())
        assert await until(lambda: self.board.bench.hashing, 20.0)
        await asyncio.sleep(1.5)  # longer than its patience: it is beaten for
        once_hashing()
        async with asyncio.timeout(20.0):
            return await running

    @property
    def still(self) -> bool:
        return not self.board.bench.hashing and self.board.bench.fastest_mhz == KIND.floor_clock_mhz


@asynccontextmanager
async def stand(directory: Path, seconds: float) -> AsyncIterator[Stand]:
    with Served(HashBoardModel("bench", (("BM1362", CHIPS),))) as board:
        port = await open_serial(board.path)
        assert isinstance(port, PosixSerial)
        chain = Chain(port, KIND, expected_chips=CHIPS)
        watcher = WatcherClient("bench", port.descriptor, chain.stop_frames(), directory=directory)
        await watcher.start()
        wish = BareWish(StartWork(work="pattern"), Megahertz(50.0), Seconds(seconds))
        try:
            yield Stand(board, BareHash(chain, wish, SystemClock(), watcher), watcher)
        finally:
            if watcher.pid is not None and alive(watcher.pid):
                os.kill(watcher.pid, signal.SIGKILL)


async def test_a_spell_that_ends_in_order_lets_its_watcher_go_without_a_stop_of_its_own(tmp_path: Path) -> None:
    async with stand(tmp_path, 3.0) as s:
        outcome = await s.run(lambda: None)
        assert (outcome.trip, outcome.stopped, outcome.stopped_by) == (None, True, "this process")
        assert s.still
        assert not s.watcher.report_path.exists()
        assert s.watcher.pid is not None
        assert not alive(s.watcher.pid)


async def test_a_watcher_that_dies_is_the_end(tmp_path: Path) -> None:
    async with stand(tmp_path, 60.0) as s:
        assert s.watcher.pid is not None
        pid = s.watcher.pid
        outcome = await s.run(lambda: os.kill(pid, signal.SIGKILL))
        assert outcome.trip is not None
        assert (outcome.trip.cause, outcome.trip.detail) == (Cause.SENTINEL_LOST, "the watcher died")
        assert (outcome.stopped, outcome.stopped_by) == (True, "this process")
        assert s.still


async def test_a_watcher_that_has_stopped_the_chips_is_the_end(tmp_path: Path) -> None:
    async with stand(tmp_path, 60.0) as s:

        def rave() -> None:
            assert s.watcher._line is not None
            s.watcher._line.near.send(b"rubbish\n")

        outcome = await s.run(rave)
        assert outcome.trip is not None
        assert outcome.trip.cause is Cause.SENTINEL_LOST
        assert outcome.trip.detail.startswith("the watcher has stopped the chips: the rig sent a line that is no beat")
        assert outcome.stopped
        assert s.still


async def test_chips_that_this_process_cannot_stop_are_left_to_the_watcher(tmp_path: Path) -> None:
    async with stand(tmp_path, 3.0) as s:

        async def cannot() -> bool:
            return False

        s.hash._chain.stop_hashing = cannot  # type: ignore[method-assign]
        outcome = await s.run(lambda: None)
        assert (outcome.stopped, outcome.stopped_by) == (True, "its watcher")
        assert s.still


async def test_a_cable_that_is_pulled_after_the_confirmed_stop_ends_nothing_any_more(tmp_path: Path) -> None:
    async with stand(tmp_path, 2.0) as s:
        release = s.watcher.release

        async def pulled() -> None:
            s.board.do(s.board.port.close)
            await asyncio.sleep(0.1)  # the loop hears of it while the watcher takes its leave
            await release()

        s.watcher.release = pulled  # type: ignore[method-assign]
        outcome = await s.run(lambda: None)
        assert (outcome.trip, outcome.stopped, outcome.stopped_by) == (None, True, "this process")
