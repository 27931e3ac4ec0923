"""Whoever dies or freezes, the board ends safe: SIGKILL and SIGSTOP of the rig, of its client and of the sentinel.

Everything is real here but the silicon: emulated boards in processes of their own, serial ports on ptys, rig processes,
sentinels, the shipped limits, chips that hash. Ten trials of each kind run side by side; the tests below look at what
came of them. Times come from the emulator's own trace (CLOCK_MONOTONIC, which all processes share).

A trial begins when its board hashes. On a machine so busy that a sweep takes a second, a sentinel may fence its rig off
before that, as it should; such a trial is begun again on another board.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from controller.model import Cause, FaultLatched, GuardState, Note, SafeOffDone, StateChanged
from controller.port import BoardConfig, HostConfig, LiveRig
from drivers.errors import HashbridgeError
from tests.processes import alive, strike
from tests.scenarios.death_client import hash_on
from tests.scenarios.death_emulator import DILUTION

pytestmark = [pytest.mark.real_time, pytest.mark.alone]

TRIALS = 10
LIMIT_S = 2.0
STARTS_AT_ONCE = 2
TRIALS_AT_ONCE = 14
BEGINNINGS = 8
SPARE_BOARDS = 38
EMULATED_TOGETHER = 30
ROOT = Path(__file__).parents[2]
MOVES_OF_SAFE_OFF = ["reset asserted", "rail off"]


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a trace: when, what, and the bytes or the number."""

    at_s: float
    what: str
    detail: str


@dataclass(slots=True)
class Trial:
    """What happened to one board."""

    board: str
    struck_s: float = 0.0
    off_s: float = 0.0
    last_beat_s: float | None = None
    moves: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

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

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self._next = 0
        self.starting = asyncio.Semaphore(STARTS_AT_ONCE)
        self.trials = asyncio.Semaphore(TRIALS_AT_ONCE)
        self.begun_again = 0
        self.jitter = random.Random(20260101)

    def board(self) -> BoardConfig:
        name = f"b{self._next:02d}"
        self._next += 1
        control, data = (str(self.directory / f"{name}-{port}") for port in ("control", "data"))
        return BoardConfig(name=name, kind="bitaxe-gamma", control=control, data=data, emulated=True, dilution=DILUTION)

    def config(self, *boards: BoardConfig) -> HostConfig:
        return HostConfig(boards=boards, orphan_s=5.0)

    @asynccontextmanager
    async def rig(self, *boards: BoardConfig) -> AsyncIterator[LiveRig]:
        """A rig process of ours that hashes on these boards."""
        async with self.starting:
            rig = await LiveRig.start(self.config(*boards))
        async with rig:
            try:
                await hash_on(rig)
                await self.hash_a_while()
                if not all(self.hashing(board.name) for board in boards):
                    raise NeverHashed("no traffic")
            except HashbridgeError as error:
                raise NeverHashed from error
            yield rig

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
        """Fed and polled just now, rail on. A rig feeds twice a second and polls five times."""
        since_s = time.monotonic() - 1.5
        on = [line.what for line in self.moves(board) if line.what in ("rail on", "rail off")]
        return on[-1:] == ["rail on"] and all(self.heard(board, port, since_s) for port in ("control", "data"))

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
        """Wait for the rail to go off after a strike, and a moment more for the rest of the safe-off."""

        def fell() -> list[Line]:
            return [line for line in self.moves(board) if line.what == "rail off" and line.at_s > struck_s]

        assert await until(lambda: bool(fell()), 5.0), f"{board}: the rail stayed on"
        await asyncio.sleep(0.1)
        after = [line for line in self.moves(board) if line.at_s > struck_s]
        return Trial(board, struck_s, fell()[0].at_s, moves=[line.what for line in after])

    async def plant(self, board: str, **asked: object) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(str(self.directory / f"{board}.plant"))
        writer.write(json.dumps(asked).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())
        writer.close()
        assert answer["ok"], answer
        return answer


def spawn(module: str, *arguments: str, give: str = "") -> subprocess.Popen[bytes]:
    """A helper process of these trials, which says on its standard output how far it is."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(give.encode())
    return process


# --- the trials ------------------------------------------------------------------------------------------------------


async def rig_killed(place: Field) -> Trial:
    board = place.board()
    async with place.rig(board) as rig:
        trial = await place.off(board.name, strike(rig.pid, signal.SIGKILL))
        report = await place.report(board.name, rig.pid)
        trial.last_beat_s, trial.facts = report["last_beat_s"], report
    return trial


async def rig_stopped(place: Field) -> Trial:
    board = place.board()
    async with place.rig(board) as rig:
        try:
            trial = await place.off(board.name, strike(rig.pid, signal.SIGSTOP))
            report = await place.report(board.name, rig.pid)
        finally:
            os.kill(rig.pid, signal.SIGCONT)
        trial.last_beat_s, trial.facts = report["last_beat_s"], report
        await asyncio.sleep(1.0)
        trial.facts["control"] = [line.detail for line in place.heard(board.name, "control", report["ended_s"])]
        trial.facts["data"] = [line.detail for line in place.heard(board.name, "data", report["ended_s"])]
        trial.facts["moves"] = [line.what for line in place.moves(board.name) if line.at_s > report["ended_s"]]
    trial.facts["last"] = rig.last_safe_off[board.name]
    trial.facts["events"] = [event async for event in rig.events()]
    trial.facts["control at the end"] = place.heard(board.name, "control", report["ended_s"])
    return trial


async def client_stopped_then_killed(place: Field) -> Trial:
    board = place.board()
    async with place.starting:
        client = spawn("tests.scenarios.death_client", give=place.config(board).model_dump_json())
        assert client.stdout is not None
        await asyncio.to_thread(client.stdout.readline)
    try:
        said = await asyncio.to_thread(client.stdout.readline)
        await place.hash_a_while()
        if not said or not place.hashing(board.name):
            raise NeverHashed
        rig_pid = json.loads(said)["rig"]
        sentinel_pid = place.sentinel_pid(board.name, rig_pid)
        stopped_s = strike(client.pid, signal.SIGSTOP)
        await asyncio.sleep(LIMIT_S)
        still = place.hashing(board.name)
        moved = [line.what for line in place.moves(board.name) if line.at_s > stopped_s and line.what != "fan duty"]
        os.kill(client.pid, signal.SIGCONT)
        await asyncio.sleep(0.3)
        trial = await place.off(board.name, strike(client.pid, signal.SIGKILL))
        trial.facts = {"hashing while stopped": still, "moves while stopped": moved}
        trial.facts["rig ended"] = await until(lambda: not alive(rig_pid), 3.0)
        trial.facts["sentinel ended"] = await until(lambda: not alive(sentinel_pid), 3.0)
        trial.facts["report"] = place.report_path(board.name, rig_pid).exists()
    finally:
        client.kill()
        client.wait()
        client.stdout.close()
    return trial


async def sentinels_struck(place: Field) -> dict[str, list[Trial]]:
    """One rig with twenty boards, each with a sentinel of its own: ten are killed, ten are stopped."""
    boards = [place.board() for _ in range(2 * TRIALS)]
    trials: dict[str, list[Trial]] = {"sentinel killed": [], "sentinel stopped": []}

    async def one(name: str, number: signal.Signals, kind: str) -> None:
        await asyncio.sleep(place.jitter.random())
        trials[kind].append(await place.off(name, strike(place.sentinel_pid(name, rig.pid), number)))

    async with place.rig(*boards) as rig:
        async with asyncio.TaskGroup() as group:
            for number, board in enumerate(boards):
                if number % 2:
                    group.create_task(one(board.name, signal.SIGKILL, "sentinel killed"))
                else:
                    group.create_task(one(board.name, signal.SIGSTOP, "sentinel stopped"))
        await asyncio.sleep(0.5)
    events = [event async for event in rig.events()]
    for trial in (*trials["sentinel killed"], *trials["sentinel stopped"]):
        trial.facts["events"] = [event for event in events if event.board == trial.board]
    return trials


async def control_port_unplugged(place: Field) -> Trial:
    board = place.board()
    name = board.name
    async with place.rig(board) as rig:
        assert (await place.plant(name, get="truth"))["truth"]["hashing"]
        struck_s = time.monotonic()
        await place.plant(name, do="unplug_control")
        truth: dict[str, Any] = {}
        while time.monotonic() < struck_s + 3.0:
            truth = (await place.plant(name, get="truth"))["truth"]
            if not truth["hashing"]:
                break
            await asyncio.sleep(0.02)
        stopped_s = time.monotonic()
        await asyncio.sleep(2.0)
        unplugged = (await place.plant(name, get="truth"))["truth"]
        back_s = time.monotonic()
        await place.plant(name, do="replug_control")
        trial = await place.off(name, back_s)
        await asyncio.sleep(0.5)
        safe = (await place.plant(name, get="truth"))["truth"]
    events = [event async for event in rig.events()]
    trial.facts = {
        "hashing stopped after": stopped_s - struck_s,
        "unplugged": unplugged,
        "safe": safe,
        "events": events,
    }
    return trial


async def rig_terminated(place: Field) -> Trial:
    board = place.board()
    async with place.rig(board) as rig:
        process = rig._process
        assert process is not None
        trial = await place.off(board.name, strike(rig.pid, signal.SIGTERM))
        trial.facts["exit"] = await asyncio.to_thread(process.wait, 5.0)
    trial.facts["goodbye"], trial.facts["last"] = rig.goodbye, rig.last_safe_off[board.name]
    return trial


async def campaign(directory: Path) -> dict[str, list[Trial]]:
    count = 5 * TRIALS + 2 + SPARE_BOARDS
    emulators = [
        spawn("tests.scenarios.death_emulator", str(directory), str(first), str(EMULATED_TOGETHER))
        for first in range(0, count, EMULATED_TOGETHER)
    ]
    try:
        for emulator in emulators:
            assert emulator.stdout is not None
            assert await asyncio.to_thread(emulator.stdout.readline) == b"ready\n"
        place = Field(directory)

        async def ten(one: Callable[[Field], Awaitable[Trial]]) -> list[Trial]:
            return list(await asyncio.gather(*(place.begin(one) for _ in range(TRIALS))))

        struck, killed, stopped, client, unplugged, terminated = await asyncio.gather(
            place.begin(sentinels_struck),
            ten(rig_killed),
            ten(rig_stopped),
            ten(client_stopped_then_killed),
            place.begin(control_port_unplugged),
            place.begin(rig_terminated),
        )
    finally:
        for emulator in emulators:
            emulator.terminate()
            emulator.wait()
            if emulator.stdout is not None:
                emulator.stdout.close()
    print(f"\ntrials begun again: {place.begun_again}")
    results: dict[str, list[Trial]] = {
        "rig killed": killed,
        "rig stopped": stopped,
        "client killed": client,
        "control unplugged": [unplugged],
        "rig terminated": [terminated],
    }
    return results | struck


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Trial]]:
    directory = tmp_path_factory.mktemp("trials")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHBRIDGE_RUNTIME_DIR", str(directory / "run"))
        patch.setenv("HASHBRIDGE_STATE_DIR", str(directory / "state"))
        began_s = time.monotonic()
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            results = runner.run(asyncio.wait_for(campaign(directory), 150.0))
    for kind, found in results.items():
        print(summary(kind, "after the strike", [trial.since_strike_s for trial in found]))
        if all(trial.last_beat_s is not None for trial in found):
            print(summary(kind, "after the last beat", [trial.since_beat_s for trial in found]))
    print(f"{time.monotonic() - began_s:.1f} s in all")
    return results


def summary(kind: str, since: str, times: list[float]) -> str:
    low, middle, high = (1000.0 * value for value in (min(times), statistics.median(times), max(times)))
    return f"{kind}: rail off {low:.0f} / {middle:.0f} / {high:.0f} ms {since} (min, median, max of {len(times)})"


def stripped(moves: list[str]) -> list[str]:
    """The moves of a safe-off without the fan, which is full or on its way there before, and without what we did."""
    return [move for move in moves if move not in ("fan duty", "fault")]


# --- what is promised ------------------------------------------------------------------------------------------------


def test_a_killed_rig_leaves_a_safe_board_behind_within_two_seconds_of_its_last_beat(
    trials: dict[str, list[Trial]],
) -> None:
    assert len(trials["rig killed"]) == TRIALS
    for trial in trials["rig killed"]:
        assert trial.since_beat_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        assert trial.facts["confirmed"] is True


def test_a_frozen_rig_is_fenced_off_and_the_board_safe_within_two_seconds_of_its_last_beat(
    trials: dict[str, list[Trial]],
) -> None:
    assert len(trials["rig stopped"]) == TRIALS
    for trial in trials["rig stopped"]:
        assert trial.facts["why"].startswith("no beat for 1.0")
        assert 1.0 < trial.since_beat_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        assert trial.facts["confirmed"] is True


def test_a_rig_that_wakes_up_after_the_fence_writes_not_a_byte(trials: dict[str, list[Trial]]) -> None:
    for trial in trials["rig stopped"]:
        assert trial.facts["control"] == []
        assert trial.facts["control at the end"] == []
        assert trial.facts["data"] == []
        assert trial.facts["moves"] == []


def test_a_rig_that_wakes_up_knows_that_it_was_fenced_off_and_that_the_board_is_safe(
    trials: dict[str, list[Trial]],
) -> None:
    for trial in trials["rig stopped"]:
        faults = [event for event in trial.facts["events"] if isinstance(event, FaultLatched)]
        assert [fault.cause for fault in faults] == [Cause.SENTINEL_LOST]
        assert trial.facts["last"].by == "sentinel"
        assert trial.facts["last"].confirmed


def test_the_freeze_of_a_client_changes_nothing(trials: dict[str, list[Trial]]) -> None:
    assert len(trials["client killed"]) == TRIALS
    for trial in trials["client killed"]:
        assert trial.facts["hashing while stopped"]
        assert trial.facts["moves while stopped"] == []


def test_the_death_of_a_client_ends_its_rig_in_order(trials: dict[str, list[Trial]]) -> None:
    for trial in trials["client killed"]:
        assert trial.since_strike_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        assert trial.facts["rig ended"]
        assert trial.facts["sentinel ended"]
        assert not trial.facts["report"], "the sentinel was to be released, not to play its recipe"


@pytest.mark.parametrize(("kind", "at_least_s"), [("sentinel killed", 0.0), ("sentinel stopped", 0.8)])
def test_a_rig_without_its_sentinel_takes_the_port_and_makes_safe(
    trials: dict[str, list[Trial]], kind: str, at_least_s: float
) -> None:
    assert len(trials[kind]) == TRIALS
    for trial in trials[kind]:
        assert at_least_s < trial.since_strike_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        events = trial.facts["events"]
        # A loaded machine may notice the silent bus before it gives up the sentinel; it is named all the same.
        causes = [event.cause for event in events if isinstance(event, FaultLatched)]
        named = [event.text for event in events if isinstance(event, Note) and Cause.SENTINEL_LOST.value in event.text]
        assert Cause.SENTINEL_LOST in causes or (causes == [Cause.SENSOR_BUS] and named)
        reports = [event.report for event in events if isinstance(event, SafeOffDone)]
        assert reports[-1].confirmed
        assert reports[-1].by == "rig"


def test_a_control_port_that_vanishes_stops_the_hashing_and_is_safe_when_it_returns(
    trials: dict[str, list[Trial]],
) -> None:
    (trial,) = trials["control unplugged"]
    assert trial.facts["hashing stopped after"] < 1.0
    assert trial.facts["unplugged"]["rail_on"], "without a control port nobody can switch the rail"
    assert not trial.facts["unplugged"]["hashing"]
    states = [event.after for event in trial.facts["events"] if isinstance(event, StateChanged)]
    assert GuardState.UNPROTECTED in states
    assert trial.since_strike_s < 1.0
    assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
    assert not trial.facts["safe"]["rail_on"]
    assert trial.facts["safe"]["reset_asserted"]
    back = [
        event for event in trial.facts["events"] if isinstance(event, SafeOffDone) and event.report.by == "sentinel"
    ]
    assert back
    assert back[0].report.confirmed


def test_a_rig_that_is_told_to_end_makes_safe_and_exits_with_zero(trials: dict[str, list[Trial]]) -> None:
    (trial,) = trials["rig terminated"]
    assert trial.facts["exit"] == 0
    assert trial.facts["goodbye"] == "signal SIGTERM"
    assert trial.facts["last"].confirmed
    assert trial.since_strike_s < LIMIT_S
