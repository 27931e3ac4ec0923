"""One death each: what is struck, and what became of the board."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deaths.field import (
    LIMIT_S,
    Field,
    NeverHashed,
    Trial,
    spawn,
    until,
)
from tests.processes import alive, strike

BUSY = """
import signal


def for_ever(*_: object) -> None:
    while True:
        pass


signal.signal(signal.SIGUSR1, for_ever)
"""
"""As `sitecustomize` of a rig process: SIGUSR1 keeps its event loop from ever running again. The sentinel, which runs
without site, has no part in it."""


async def rig_killed(place: Field) -> Trial:
    board = await place.board()
    async with place.rig(board) as rig:
        trial = await place.off(board.name, strike(rig.pid, signal.SIGKILL))
        report = await place.report(board.name, rig.pid)
        trial.last_beat_s, trial.facts = report["last_beat_s"], report
    return trial


async def rig_stopped(place: Field) -> Trial:
    board = await place.board()
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


async def rig_busy(place: Field) -> Trial:
    """Its event loop never runs again: it spins, and its sockets stay open."""
    board = await place.board()
    async with place.rig(board) as rig:
        try:
            trial = await place.off(board.name, strike(rig.pid, signal.SIGUSR1))
            report = await place.report(board.name, rig.pid)
        finally:
            os.kill(rig.pid, signal.SIGKILL)
        trial.last_beat_s, trial.facts = report["last_beat_s"], report
    return trial


async def client_stopped_then_killed(place: Field) -> Trial:
    board = await place.board()
    async with place.starting:
        client = spawn("tests.deaths.client", give=place.config(board).model_dump_json())
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


async def sentinels_struck(place: Field, count: int) -> dict[str, list[Trial]]:
    """One rig with twice so many boards, each with a sentinel of its own: half of them are killed, half are stopped."""
    boards = [await place.board() for _ in range(2 * count)]
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
    board = await place.board()
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
    board = await place.board()
    async with place.rig(board) as rig:
        process = rig._process
        assert process is not None
        trial = await place.off(board.name, strike(rig.pid, signal.SIGTERM))
        trial.facts["exit"] = await asyncio.to_thread(process.wait, 5.0)
    trial.facts["goodbye"], trial.facts["last"] = rig.goodbye, rig.last_safe_off[board.name]
    return trial


async def campaign(directory: Path, count: int) -> dict[str, list[Trial]]:
    """So many trials of each kind, side by side. Needs `places` around it."""
    place = Field(directory)

    async def each(one: Callable[[Field], Awaitable[Trial]]) -> list[Trial]:
        return list(await asyncio.gather(*(place.begin(one) for _ in range(count))))

    try:
        async with asyncio.TaskGroup() as group:
            struck = group.create_task(place.begin(lambda field: sentinels_struck(field, count)))
            terminated = group.create_task(place.begin(rig_terminated))
            others = {
                kind: group.create_task(each(one))
                for kind, one in (
                    ("rig killed", rig_killed),
                    ("rig stopped", rig_stopped),
                    ("rig busy", rig_busy),
                    ("client killed", client_stopped_then_killed),
                    ("control unplugged", control_port_unplugged),
                )
            }
    finally:
        place.close()
    print(f"trials begun again: {place.begun_again}", file=sys.stderr)
    found = {kind: task.result() for kind, task in others.items()}
    return found | {"rig terminated": [terminated.result()]} | struck.result()


@contextmanager
def places(directory: Path) -> Iterator[None]:
    """Where rigs keep their things, and what they do on SIGUSR1."""
    site = directory / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(BUSY, encoding="utf-8")
    said = {
        "HASHBRIDGE_RUNTIME_DIR": str(directory / "run"),
        "HASHBRIDGE_STATE_DIR": str(directory / "state"),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH")))),
    }
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run(directory: Path, count: int, within_s: float) -> dict[str, list[Trial]]:
    """`campaign`, in an event loop of its own, in `directory`."""
    with places(directory), asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(asyncio.wait_for(campaign(directory, count), within_s))
