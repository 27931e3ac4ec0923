"""One death each: what is struck, and what became of the board."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from controller.model import ClearFault
from controller.port import LiveRig
from drivers.errors import Refused
from tests import processes
from tests.campaign.subject import GAMMA
from tests.deaths.field import LIMIT_S, Field, NeverHashed, Trial, until
from tests.processes import alive

NO_MEMORY, NO_DISK = signal.SIGUSR2, signal.Signals(signal.SIGRTMIN)
SITE = """
import resource
import signal

hog = []


def for_ever(*_):
    while True:
        pass


def no_memory(*_):
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), resource.RLIM_INFINITY))
    size = 1 << 24
    while size >= 16:
        try:
            hog.append(bytearray(size))
        except MemoryError:
            size //= 2


def no_disk(*_):
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


signal.signal(signal.SIGUSR1, for_ever)
signal.signal(signal.SIGUSR2, no_memory)
signal.signal(signal.SIGRTMIN, no_disk)
"""
"""As `sitecustomize` of a rig process: SIGUSR1 keeps its event loop from ever running again, SIGUSR2 takes all memory
that it may still have, SIGRTMIN every byte of disk. The sentinel, which runs without site, has no part in it."""


def strike(pid: int, number: signal.Signals) -> float:
    """When. A process that has gone before is no trial: on a loaded machine a sentinel may have fenced its rig off."""
    try:
        return processes.strike(pid, number)
    except ProcessLookupError as error:
        raise NeverHashed("gone before the strike") from error


async def _struck_for_good(place: Field, number: signal.Signals) -> Trial:
    """A rig that this signal silences: its sentinel acts and reports."""
    board = await place.board()
    async with place.rig(board) as rig:
        try:
            trial = await place.off(board.name, strike(rig.pid, number))
            report = await place.report(board.name, rig.pid)
        finally:
            os.kill(rig.pid, signal.SIGKILL)
        trial.last_beat_s, trial.facts = report["last_beat_s"], report
    return trial


async def rig_killed(place: Field) -> Trial:
    return await _struck_for_good(place, signal.SIGKILL)


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
    return await _struck_for_good(place, signal.SIGUSR1)


async def client_stopped_then_killed(place: Field) -> Trial:
    board = await place.board()
    async with place.client(board) as (client, rig_pid, sentinel_pid):
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
    return trial


async def sentinels_struck(place: Field, count: int) -> dict[str, list[Trial]]:
    """One rig with twice so many boards, each with a sentinel of its own: half of them are killed, half are stopped."""
    boards = [await place.board() for _ in range(2 * count)]
    trials: dict[str, list[Trial]] = {"sentinel killed": [], "sentinel stopped": []}

    async def one(name: str, number: signal.Signals, kind: str) -> None:
        await asyncio.sleep(place.jitter.random())
        trials[kind].append(await place.off(name, strike(place.sentinel_pid(name, rig.pid), number)))

    async with place.rig(*boards) as rig:
        try:
            async with asyncio.TaskGroup() as group:
                for number, board in enumerate(boards):
                    if number % 2:
                        group.create_task(one(board.name, signal.SIGKILL, "sentinel killed"))
                    else:
                        group.create_task(one(board.name, signal.SIGSTOP, "sentinel stopped"))
        except ExceptionGroup as errors:
            if errors.split(NeverHashed)[1] is None:
                raise NeverHashed(str(errors.exceptions[0])) from errors
            raise
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


async def out_of_memory(place: Field) -> Trial:
    board = await place.board()
    async with place.rig(board) as rig:
        try:
            trial = await place.off(board.name, strike(rig.pid, NO_MEMORY))
        finally:
            os.kill(rig.pid, signal.SIGKILL)
    return trial


async def disk_full(place: Field) -> Trial:
    """A trip while nothing can be written: the board is safe as ever, and its latch stays."""
    board = await place.board()
    name = board.name
    async with place.rig(board) as rig:
        os.kill(rig.pid, NO_DISK)
        await asyncio.sleep(0.3)
        struck_s = time.monotonic()
        await place.plant(name, do="unplug_data")
        trial = await place.off(name, struck_s)
        await place.plant(name, do="replug_data")
        await asyncio.sleep(3.0)
        try:
            await rig.request(name, ClearFault())
        except Refused as error:
            trial.facts["refused"] = error.rule
    return trial


async def logged_out(place: Field) -> Trial:
    """SIGHUP to all of them, as at the end of a session: the client dies of it, the others do not."""
    board = await place.board()
    async with place.client(board) as (client, rig_pid, sentinel_pid):
        for pid in (rig_pid, sentinel_pid):
            os.kill(pid, signal.SIGHUP)
        await asyncio.sleep(0.5)
        if not place.hashing(board.name):
            raise NeverHashed
        trial = await place.off(board.name, strike(client.pid, signal.SIGHUP))
        trial.facts["rig ended"] = await until(lambda: not alive(rig_pid), 3.0)
    return trial


async def both_killed(place: Field) -> Trial:
    """Rig and sentinel at once: nobody is left. What then still protects, and what the next rig finds."""
    board = await place.board()
    name = board.name
    async with place.rig(board) as rig:
        os.kill(place.sentinel_pid(name, rig.pid), signal.SIGKILL)
        os.kill(rig.pid, signal.SIGKILL)
        await asyncio.sleep(LIMIT_S + 0.5)
    left = (await place.plant(name, get="truth"))["truth"]
    async with place.starting:
        struck_s = time.monotonic()
        async with await LiveRig.start(place.config(board)):
            trial = await place.off(name, struck_s)
    trial.facts["left"] = left
    return trial


def batched(many: range, at_once: int) -> list[range]:
    return [many[first : first + at_once] for first in range(0, len(many), at_once)]


async def campaign(directory: Path, count: int, others: int, kind: str = GAMMA) -> dict[str, list[Trial]]:
    """So many trials of each kind, side by side; `others`: of the rarer ways to go. Needs `places` around it."""
    place = Field(directory, kind)

    async def each(one: Callable[[Field], Awaitable[Trial]], count: int) -> list[Trial]:
        return list(await asyncio.gather(*(place.begin(one) for _ in range(count))))

    try:
        async with asyncio.TaskGroup() as group:
            struck = [
                group.create_task(place.begin(partial(sentinels_struck, count=len(some))))
                for some in batched(range(count), count if place.share == 1 else 1)
            ]
            terminated = group.create_task(place.begin(rig_terminated))
            tasks = {
                name: group.create_task(each(one, times))
                for name, one, times in (
                    ("rig killed", rig_killed, count),
                    ("rig stopped", rig_stopped, count),
                    ("rig busy", rig_busy, count),
                    ("client killed", client_stopped_then_killed, count),
                    ("control unplugged", control_port_unplugged, count),
                    ("out of memory", out_of_memory, others),
                    ("disk full", disk_full, others),
                    ("logged out", logged_out, others),
                    ("both killed", both_killed, others),
                )
            }
    finally:
        place.close()
    print(f"trials begun again: {place.begun_again}", file=sys.stderr)
    found = {name: task.result() for name, task in tasks.items()}
    found["rig terminated"] = [terminated.result()]
    for batch in struck:
        for name, trials in batch.result().items():
            found.setdefault(name, []).extend(trials)
    return found


@contextmanager
def places(directory: Path) -> Iterator[None]:
    """Where rigs keep their things, and what they do on SIGUSR1."""
    site = directory / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(SITE, encoding="utf-8")
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


def run(directory: Path, count: int, others: int, within_s: float, kind: str = GAMMA) -> dict[str, list[Trial]]:
    """`campaign`, in an event loop of its own, in `directory`."""
    with places(directory), asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(asyncio.wait_for(campaign(directory, count, others, kind), within_s))
