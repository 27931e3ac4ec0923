"""The emulated boards of the death trials, the rigs on them, and what is known of each afterwards.

Everything is real here but the silicon: emulated boards in processes of their own, serial ports on ptys, rig processes,
sentinels, the shipped limits, chips that hash. Times come from the emulator's own trace (CLOCK_MONOTONIC, which all
processes share).

A trial begins when its board hashes. On a machine so busy that a sweep takes a second, a sentinel may fence its rig off
before that, as it should; such a trial is begun again on another board.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from controller.port import BoardConfig, HostConfig, LiveRig
from drivers.errors import HashbridgeError
from tests.campaign.subject import GAMMA, subject_of
from tests.deaths.client import hash_on
from tests.deaths.emulator import DILUTION
from tests.plant import ask

LIMIT_S = 2.0
STARTS_AT_ONCE = 2
TRIALS_AT_ONCE = 14
BEGINNINGS = 8
EMULATED_TOGETHER = 30
CHIPS_OF_A_SHARE = 2
"""A board with more chips counts for more boards of one or two: what is emulated must not be all that is measured."""
ROOT = Path(__file__).parents[2]
MOVES_OF_SAFE_OFF = ["reset asserted", "rail off"]
MOVES_TO_ITS_LOWEST = ["reset asserted", "rail voltage"]
"""Of a rail that nobody can switch off: down to its lowest."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a trace: when, what, and the bytes or the number."""

    at_s: float
    what: str
    detail: str


@dataclass(slots=True)
class Trial:
    """What happened to one board. `off_s`: when its rail was off, or at its lowest where nobody can switch it off."""

    board: str
    struck_s: float = 0.0
    off_s: float = 0.0
    last_beat_s: float | None = None
    moves: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    due: list[str] = field(default_factory=lambda: MOVES_OF_SAFE_OFF)
    """The moves that it had to make, and no others."""

    @property
    def since_strike_s(self) -> float:
        return self.off_s - self.struck_s

    @property
    def since_beat_s(self) -> float:
        assert self.last_beat_s is not None
        return self.off_s - self.last_beat_s


class NeverHashed(Exception):
    """A board did not get as far as the trial."""


def lines(path: Path) -> list[Line]:
    """A trace as far as it is written."""
    text = path.read_text()
    records = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [Line(record["t_ns"] / 1e9, record["what"], record["detail"]) for record in records]


async def until(what: Callable[[], bool], seconds: float) -> bool:
    until_s = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until_s:
            return False
        await asyncio.sleep(0.02)
    return True


class Field:
    """The emulated boards of all trials, and where their rigs keep things."""

    def __init__(self, directory: Path, kind: str = GAMMA) -> None:
        self.directory = directory
        self.about = subject_of(kind)
        self.state = directory / "state"
        self._next = 0
        self.starting = asyncio.Semaphore(STARTS_AT_ONCE)
        self.share = max(1, round(self.about.chips / CHIPS_OF_A_SHARE))
        self.together = EMULATED_TOGETHER // self.share
        self.trials = asyncio.Semaphore(max(1, TRIALS_AT_ONCE // self.share))
        self.begun_again = 0
        self.jitter = random.Random(20260101)
        self._emulators: list[subprocess.Popen[bytes]] = []
        self._making = asyncio.Lock()

    async def _emulate_more(self) -> None:
        emulator = spawn(
            "tests.deaths.emulator", self.about.kind.name, str(self.directory), str(self._next), str(self.together)
        )
        self._emulators.append(emulator)
        assert emulator.stdout is not None
        assert await asyncio.to_thread(emulator.stdout.readline) == b"ready\n"

    def close(self) -> None:
        """No more boards."""
        for emulator in self._emulators:
            emulator.terminate()
        for emulator in self._emulators:
            emulator.wait()
            if emulator.stdout is not None:
                emulator.stdout.close()

    async def board(self) -> BoardConfig:
        """One that nobody has touched. There are as many as are asked for: who begins again takes another."""
        async with self._making:
            if self._next == len(self._emulators) * self.together:
                await self._emulate_more()
        name = f"b{self._next:02d}"
        self._next += 1
        control, data = (str(self.directory / f"{name}-{port}") for port in ("control", "data"))
        kind = self.about.kind.name
        return BoardConfig(name=name, kind=kind, control=control, data=data, emulated=True, dilution=DILUTION)

    def config(self, *boards: BoardConfig) -> HostConfig:
        return HostConfig(boards=boards, orphan_s=5.0)

    @asynccontextmanager
    async def rig(self, *boards: BoardConfig) -> AsyncIterator[LiveRig]:
        """A rig process of ours that hashes on these boards."""
        async with self.starting:
            try:
                rig = await LiveRig.start(self.config(*boards))
            except HashbridgeError as error:
                raise NeverHashed from error
        async with rig:
            try:
                await hash_on(rig)
                await self.hash_a_while()
                if not all(self.hashing(board.name) for board in boards):
                    raise NeverHashed("no traffic")
            except HashbridgeError as error:
                raise NeverHashed from error
            yield rig

    @asynccontextmanager
    async def client(self, board: BoardConfig) -> AsyncIterator[tuple[subprocess.Popen[bytes], int, int]]:
        """A client process that owns a rig which hashes on this board; with the process ids of rig and sentinel."""
        async with self.starting:
            client = spawn("tests.deaths.client", give=self.config(board).model_dump_json())
            assert client.stdout is not None
            await asyncio.to_thread(client.stdout.readline)
        try:
            said = await asyncio.to_thread(client.stdout.readline)
            await self.hash_a_while()
            if not said or not self.hashing(board.name):
                raise NeverHashed("no traffic")
            rig_pid = int(json.loads(said)["rig"])
            yield client, rig_pid, self.sentinel_pid(board.name, rig_pid)
        finally:
            client.kill()
            client.wait()
            client.stdout.close()

    async def begin(self, one: Callable[[Field], Awaitable[T]]) -> T:
        """A trial, begun again when its board did not come to hash."""
        async with self.trials:
            for _ in range(BEGINNINGS - 1):
                try:
                    return await one(self)
                except NeverHashed as error:
                    self.begun_again += 1
                    print(f"begun again: {error.__cause__ or error}")
            return await one(self)

    async def hash_a_while(self) -> None:
        """So that trials strike at any moment of the beat."""
        await asyncio.sleep(0.5 + self.jitter.random() * 0.4)

    def moves(self, board: str) -> list[Line]:
        return [line for line in lines(self.directory / f"{board}.moves") if line.what != "start"]

    def heard(self, board: str, port: str, since_s: float) -> list[Line]:
        trace = lines(self.directory / f"{board}.trace")
        return [line for line in trace if line.what == port and line.at_s > since_s]

    def hashing(self, board: str) -> bool:
        """Fed and polled just now, rail up. A rig feeds twice a second and polls five times."""
        since_s = time.monotonic() - 1.5
        up = [self.rests(line) for line in self.moves(board) if line.what.startswith("rail")]
        return up[-1:] == [False] and all(self.heard(board, port, since_s) for port in ("control", "data"))

    def rests(self, line: Line) -> bool:
        """Whether this move left the rail off, or at its lowest where nobody can switch it off."""
        if self.about.switches or line.what != "rail voltage":
            return line.what == "rail off"
        return float(line.detail.removesuffix(" V")) <= self.about.envelope.core_off_below_v

    def sentinel_pid(self, board: str, rig: int) -> int:
        found = re.findall(r"\[(\d+)\]", (self.state / f"sentinel-{board}-{rig}.log").read_text())
        return int(found[-1])

    def report_path(self, board: str, rig: int) -> Path:
        return self.state / f"sentinel-{board}-{rig}.json"

    async def report(self, board: str, rig: int) -> dict[str, Any]:
        path = self.report_path(board, rig)
        assert await until(path.exists, 2.0)
        report: dict[str, Any] = json.loads(path.read_text())
        return report

    async def off(self, board: str, struck_s: float) -> Trial:
        """Wait for the rail to go off, or to its lowest, after a strike, and a moment more for the rest of it.

        A board that was on its way to safe-off when it was struck has tripped by itself: no trial of the strike.
        """

        def fell() -> list[Line]:
            return [line for line in self.moves(board) if self.rests(line) and line.at_s > struck_s]

        def was_hashing() -> None:
            resets = [
                line.what for line in self.moves(board) if line.what.startswith("reset") and line.at_s <= struck_s
            ]
            if resets[-1:] != ["reset released"]:
                raise NeverHashed("in reset before the strike")

        was_hashing()
        off = await until(lambda: bool(fell()), 5.0)
        was_hashing()  # what a loaded machine had not written down yet is written now
        assert off, f"{board}: the rail stayed on"
        await asyncio.sleep(0.1)
        after = [line for line in self.moves(board) if line.at_s > struck_s]
        due = MOVES_OF_SAFE_OFF if self.about.switches else MOVES_TO_ITS_LOWEST
        return Trial(board, struck_s, fell()[0].at_s, moves=[line.what for line in after], due=due)

    async def plant(self, board: str, **asked: object) -> dict[str, Any]:
        return await ask(self.directory / f"{board}.plant", **asked)


def spawn(module: str, *arguments: str, give: str = "") -> subprocess.Popen[bytes]:
    """A helper process of these trials, which says on its standard output how far it is."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(give.encode())
    return process


def stripped(moves: list[str]) -> list[str]:
    """The moves of a safe-off without the fan, which is full or on its way there before, and without what we did."""
    return [move for move in moves if move not in ("fan duty", "fault")]
