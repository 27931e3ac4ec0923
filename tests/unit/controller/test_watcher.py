"""The watcher as a process of its own, beside a program that hashes on an emulated line behind a pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from controller.safety.watcher_client import WatcherClient
from controller.work.sources import SyntheticSource
from drivers.asics import ASICS
from drivers.asics.chain import Chain, Work
from drivers.transports.serial import PosixSerial, open_serial
from emulator.benches.hashboard import HashBoardModel
from emulator.silicon.chip import MiningChip
from tests.processes import alive
from tests.served import Served

pytestmark = pytest.mark.real_time

KIND = ASICS["BM1362"]
CHIPS = 4


@dataclass
class Stand:
    board: Served
    port: PosixSerial
    chain: Chain
    watcher: WatcherClient
    lost: list[str] = field(default_factory=list)
    acted: list[str] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return self.board.bench.hashing or self.board.bench.fastest_mhz > KIND.floor_clock_mhz

    async def until(self, what: Callable[[], object], limit_s: float = 5.0) -> None:
        """And beat, as a loop that lives does."""
        until_s = asyncio.get_running_loop().time() + limit_s
        while not what():
            assert asyncio.get_running_loop().time() < until_s, "it never came to that"
            self.watcher.beat()
            await asyncio.sleep(0.005)

    async def leave(self) -> bool:
        """As a process that dies: its port closes, and so does its socket. Whether the watcher has confirmed."""
        await self.chain.aclose()
        return await self.watcher.aclose()


@asynccontextmanager
async def hashing(directory: Path, answer_s: float | None = None) -> AsyncIterator[Stand]:
    with Served(HashBoardModel("bench", (("BM1362", CHIPS),))) as board:
        port = await open_serial(board.path)
        assert isinstance(port, PosixSerial)
        chain = Chain(port, KIND, expected_chips=CHIPS)
        frames = chain.stop_frames()
        frames = frames if answer_s is None else replace(frames, answer_s=answer_s)
        watcher = WatcherClient("bench", port.descriptor, frames, directory=directory)
        stand = Stand(board, port, chain, watcher)
        watcher.on_lost, watcher.on_acted = stand.lost.append, stand.acted.append
        await watcher.start()
        try:
            chain.start()
            await chain.enumerate()
            await chain.initialise()
            await chain.set_frequency_step(56.25)
            await chain.set_window(56.25)
            await chain.fast_link()
            await chain.send(Work(1, SyntheticSource(1).draw()))
            await stand.until(lambda: board.bench.hashing)
            yield stand
        finally:
            await stand.leave()
            if watcher.pid is not None and alive(watcher.pid):
                os.kill(watcher.pid, signal.SIGKILL)


async def test_released_it_leaves_without_a_byte(tmp_path: Path) -> None:
    async with hashing(tmp_path) as s:
        heard = len(s.board.heard)
        await s.watcher.release()
        assert s.watcher.pid is not None
        await asyncio.sleep(0.1)
        assert len(s.board.heard) == heard
        assert s.running
        assert not s.watcher.report_path.exists()


async def test_left_without_a_release_it_stops_the_chips_and_reads_each_of_them_back(tmp_path: Path) -> None:
    async with hashing(tmp_path) as s:
        assert await s.leave() is True
        assert not s.running


async def test_after_half_a_frame_of_a_program_that_was_cut_off_it_stops_them_all_the_same(tmp_path: Path) -> None:
    async with hashing(tmp_path) as s:
        os.write(s.port.descriptor, bytes.fromhex("55 aa 21 36 08 01") + bytes(54))
        assert await s.leave() is True
        assert not s.running


async def test_at_whichever_rate_chips_and_port_were_left(tmp_path: Path) -> None:
    async with hashing(tmp_path) as s:
        await s.port.set_baud(KIND.reset_baud)  # as if it died before the host had followed the chips, or after
        assert await s.leave() is True
        assert not s.running


async def test_a_line_that_is_no_beat_and_whatever_comes_after_it_are_answered_with_the_stop(tmp_path: Path) -> None:
    async with hashing(tmp_path) as s:
        assert s.watcher._line is not None
        asyncio.get_running_loop().remove_reader(s.port.descriptor)  # the answers are the watcher's
        s.watcher._line.near.send(b"\x00\xff rubbish\n")
        await s.until(lambda: s.acted)
        assert s.acted[0].startswith("the rig sent a line that is no beat")
        await s.until(lambda: not s.running)
        await s.until(s.watcher.report_path.exists)
        await s.chain.set_frequency_step(56.25)
        await s.until(lambda: s.running)
        s.watcher._line.near.send(b'{"beat":7}\n')  # somebody has woken
        await s.until(lambda: not s.running)
        await s.watcher.release()
        assert s.lost == []


def _answer_late(chips: Sequence[MiningChip], late_s: float) -> None:
    for chip in chips:
        say = chip.say
        chip.say = lambda data, baud, ready_s, say=say: say(data, baud, ready_s + late_s)  # type: ignore[misc]


async def test_it_waits_for_an_answer_as_long_as_the_driver_of_the_chips_would(tmp_path: Path) -> None:
    """0.25 s: more than two tries of the 0.1 s that a short line is given."""
    async with hashing(tmp_path, answer_s=0.4) as s:
        s.board.do(lambda: _answer_late(s.board.bench.chips, 0.25))
        assert await s.leave() is True
        assert not s.running


async def test_without_a_beat_for_as_long_as_its_limit_it_stops_them(tmp_path: Path) -> None:
    async with hashing(tmp_path) as s:
        asyncio.get_running_loop().remove_reader(s.port.descriptor)  # the answers are the watcher's
        await asyncio.sleep(1.3)  # a program that lives, hears, and looks at nothing: it does not beat
        await s.until(lambda: s.acted)
        assert s.acted[0].startswith("no beat for 1.")
        await s.until(lambda: not s.running)
        await s.watcher.release()


async def test_a_chip_that_does_not_confirm_is_named_and_the_supply_is_to_be_cut(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with hashing(tmp_path) as s:
        s.board.do(lambda: setattr(s.board.bench.chips[2], "say", lambda data, baud, ready_s: None))
        assert await s.leave() is False
        assert (
            capfd.readouterr()
            .err.splitlines()[-1]
            .endswith("NOT STOPPED, cut the supply now (sweep window of chip 2: no answer that says so)")
        )


async def test_without_a_port_it_says_so_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with hashing(tmp_path) as s:
        s.board.do(s.board.port.hang_up)
        await s.until(lambda: s.chain.lost)
        assert await s.leave() is False
        assert "NOT STOPPED, cut the supply now (the port is lost: Input/output error)" in capfd.readouterr().err


async def test_its_own_death_is_told_at_once(tmp_path: Path) -> None:
    async with hashing(tmp_path) as s:
        assert s.watcher.pid is not None
        os.kill(s.watcher.pid, signal.SIGKILL)
        await s.until(lambda: s.lost, 0.5)
        assert s.lost == ["the watcher died"]


async def test_its_own_freeze_is_told_and_it_is_killed_before_it_can_thaw(tmp_path: Path) -> None:
    async with hashing(tmp_path) as s:
        assert s.watcher.pid is not None
        os.kill(s.watcher.pid, signal.SIGSTOP)

        await s.until(lambda: s.lost, 2.0)
        assert s.lost == ["the watcher did not answer for 1.0 s"]
        assert await s.leave() is False
