"""The rig's side of the sentinel: starts it, beats, and takes the port over when it dies or freezes.

`sentinel.py` owns the control port; the board's bridge talks to it through `transport`, a socket. Three things can
happen to a sentinel, and each has its own callback, because the rig must do different things:

- `on_lost`: it died, or froze and was killed. The port has been opened here; the rig makes safe through it. None
  instead of a port: it vanished too, the rig can only stop the hashing through the data port. The client goes on
  trying, and calls once more, with the port, when it returns.
- `on_fenced`: it fenced *us* off, since we did not beat (we were stopped, or the machine slept). The board is already
  safe. The rig must not touch the control port again: it cannot know what happened while it was away.
- `on_port_lost`, `on_port_back`: the port hung up under a sentinel that lives. When it returns, the sentinel has
  played safe-off before the rig hears of it, and `transport` carries bytes again.

All callbacks run in the event loop. A client ends either lost or fenced; neither leads back to watching.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from controller.model import ActionRecord, SafeOffRecord
from controller.safety import sentinel
from controller.safety.guardian import BeatSocket, ended, spawn
from controller.safety.port_identity import Identity, identity_of
from drivers.boards.board import RecipeAction
from drivers.errors import NoReply, PortBusy, PortMissing, ProtocolError, UnexpectedReply
from drivers.traits import Transport
from drivers.transports.serial import open_serial
from drivers.transports.socket import SocketTransport

log = logging.getLogger(__name__)

LIMIT_S = 1.0
START_S = 3.0
TICK_S = 0.05
PING_S = 0.2
REPORT_S = 0.3
"""How long a rig that was fenced off waits for the report before it says so; a recipe that is confirmed takes 50 ms. A
report that comes later is told of when it is there."""
EXIT_S = 0.5
TAKE_OVER_S = 1.0

OpenPort = Callable[[str], Awaitable[Transport]]
State = Literal["new", "watching", "lost", "fenced", "released"]


def job_json(
    name: str,
    port: str,
    recipe: Sequence[RecipeAction],
    data_fd: int,
    beat_fd: int,
    *,
    limit_s: float = LIMIT_S,
    orphan_s: float = 600.0,
    report: Path | None = None,
    sysfs: str = "/sys",
    dev: str = "/dev",
) -> bytes:
    """What a sentinel reads on its standard input."""
    actions = [
        {
            "name": action.name,
            "request": action.request.hex(),
            "reply": action.reply.hex(),
            "mask": action.mask.hex(),
            "pause_s": action.pause_s,
            "confirms": action.confirms,
        }
        for action in recipe
    ]
    job: dict[str, Any] = {
        "name": name,
        "port": port,
        "limit_s": limit_s,
        "orphan_s": orphan_s,
        "sysfs": sysfs,
        "dev": dev,
        "data_fd": data_fd,
        "beat_fd": beat_fd,
        "report": None if report is None else str(report),
        "recipe": actions,
    }
    return json.dumps(job).encode()


async def open_again(path: str, identity: Identity | None, open_port: OpenPort = open_serial) -> Transport:
    """A port that was lost, under whatever name it has now. `identity` None: under the name it had.

    Raises `PortBusy`, or `PortMissing` while its board is not there.
    """
    if identity is None:
        return await open_port(path)
    try:
        path = identity.find()
        transport = await open_port(path)
    except OSError as error:
        raise PortMissing(path, error.strerror or str(error)) from error
    try:
        identity.check(os.stat(path))
    except OSError as error:
        await transport.aclose()
        raise PortMissing(path, error.strerror or str(error)) from error
    return transport


def record_of(report: dict[str, Any]) -> SafeOffRecord:
    """A sentinel's report in the vocabulary of the rig. Raises `UnexpectedReply`."""
    try:
        return SafeOffRecord(
            at_s=report["ended_s"],
            confirmed=report["confirmed"],
            by="sentinel",
            actions=tuple(ActionRecord(**action) for action in report["actions"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedReply(f"sentinel report: {error!r}") from error


class SentinelClient:
    """One sentinel of one board. `start`, then `beat` after every sweep, then `release` or `aclose`."""

    def __init__(
        self,
        name: str,
        port: str,
        recipe: Sequence[RecipeAction],
        *,
        directory: Path,
        limit_s: float = LIMIT_S,
        orphan_s: float = 600.0,
        open_port: OpenPort | None = None,
        sysfs: str = "/sys",
        dev: str = "/dev",
    ) -> None:
        """`directory` is where the log and the report of the sentinel go; it must exist."""
        self.name, self.port = name, port
        self._sysfs, self._dev = sysfs, dev
        self._identity: Identity | None = None
        self.on_port_lost: Callable[[str], None] = lambda why: None
        self.on_port_back: Callable[[SafeOffRecord, str | None], None] = lambda record, path: None
        self.on_lost: Callable[[str, Transport | None], None] = lambda why, transport: None
        self.on_fenced: Callable[[str, SafeOffRecord | None], None] = lambda why, record: None
        self.fence_record: SafeOffRecord | None = None
        """What the sentinel reported after it had fenced us off."""
        stem = f"sentinel-{name}-{os.getpid()}"  # rigs may have boards of one name
        self.report_path = directory / f"{stem}.json"
        self.log_path = directory / f"{stem}.log"
        self._recipe, self._limit_s, self._orphan_s = recipe, limit_s, orphan_s
        self._open_port: OpenPort = open_serial if open_port is None else open_port
        self._state: State = "new"
        self._process: subprocess.Popen[bytes] | None = None
        self._beats: BeatSocket | None = None
        self._data: socket.socket | None = None
        self._transport: Transport | None = None
        self._beat = 0
        self._next_ping_s = 0.0
        self._ready: asyncio.Future[dict[str, Any]] | None = None
        self._released: asyncio.Future[None] | None = None
        self._fenced_why: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def watching(self) -> bool:
        """True while a sentinel guards this board."""
        return self._state == "watching"

    @property
    def transport(self) -> Transport:
        """The way to the control port. Valid after `start`."""
        assert self._transport is not None
        return self._transport

    async def start(self) -> Transport:
        """Spawn the sentinel and wait until it holds the port.

        Raises `PortBusy` or `PortMissing`; `NoReply` or `ProtocolError` when no working sentinel came of it.
        """
        loop = asyncio.get_running_loop()
        self._ready, self._released = loop.create_future(), loop.create_future()
        self.report_path.unlink(missing_ok=True)
        self._data, data_far = socket.socketpair()
        self._beats = BeatSocket(self.name, "sentinel", self._on_readable)
        with data_far, self._beats.far as beats_far, self.log_path.open("ab") as log_file:
            fds = data_far.fileno(), beats_far.fileno()
            self._process = spawn(sentinel.__file__, self._job(fds), fds, log_file)
        try:
            async with asyncio.timeout(START_S):
                answer = await self._ready
        except ProtocolError:
            self._forget()
            raise
        except TimeoutError as error:
            self._forget()
            raise NoReply(f"start of the sentinel of {self.name}", START_S) from error
        if answer["event"] != "ready":
            self._forget()
            raise PortBusy(self.port) if answer.get("error") == "busy" else PortMissing(self.port, str(answer["why"]))
        self._state = "watching"
        with contextlib.suppress(OSError):  # gone again already: then it comes back by its path alone
            self._identity = identity_of(os.stat(self.port), self._sysfs, self._dev)
        self._tick()
        # A second descriptor of the same socket: when the bridge closes its own, the sentinel must not take it for a
        # dead rig before it is released.
        self._transport = SocketTransport(self._data.dup(), f"{self.port} (sentinel)")
        return self._transport

    def _job(self, fds: tuple[int, int]) -> bytes:
        return job_json(
            self.name,
            self.port,
            self._recipe,
            *fds,
            limit_s=self._limit_s,
            orphan_s=self._orphan_s,
            report=self.report_path,
            sysfs=self._sysfs,
            dev=self._dev,
        )

    def beat(self) -> None:
        """Say that the sensors were just looked at. Called by the loop that watches them and by nothing else."""
        if self._state != "watching" or self._beats is None:
            return
        self._beat += 1
        self._beats.say(b'{"beat":%d}\n' % self._beat)

    async def release(self) -> None:
        """The rig's own safe-off is confirmed: let the sentinel go without a byte to the port."""
        if self._state == "watching" and self._beats is not None and self._released is not None:
            self._state = "released"
            self._stop_timer()
            said = self._beats.say(b'{"release":true}\n')
            if said:
                await asyncio.wait([self._released], timeout=EXIT_S)
            if self._released.done():
                self.log_path.unlink(missing_ok=True)  # nothing happened that somebody might look up
            else:
                log.warning("%s: the sentinel was not released", self.name)
        await self.aclose()

    async def aclose(self) -> SafeOffRecord | None:
        """Leave. A sentinel that still watches sees its sockets close and plays safe-off; its report is returned."""
        was, self._state = self._state, "released"
        watching = was == "watching"
        self._forget()
        for task in self._tasks:
            task.cancel()
        if self._process is None:
            return None
        if await ended(self._process, 5.0 if watching else EXIT_S) is None:
            log.error("%s: the sentinel [%s] goes on without us", self.name, self.pid)
        if was == "fenced" and self.fence_record is None:
            self.fence_record = self._read_report()
        return self._read_report() if watching else None

    # --- what comes from the sentinel -----------------------------------------------------------------------------

    def _on_readable(self) -> None:
        """Read all that is there; an end of file after a fence is something else than one without."""
        if self._beats is None:
            return
        messages, closed = self._beats.heard()
        for message in messages:
            self._on_message(message)
        if closed:
            self._on_end()

    def _on_message(self, message: dict[str, Any]) -> None:
        match message.get("event"):
            case "ready" | "failed":
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(message)
            case "released":
                if self._released is not None and not self._released.done():
                    self._released.set_result(None)
            case "fenced":
                self._fenced_why = str(message["why"])
            case "port_lost" if self._state == "watching":
                if self._identity is not None:
                    self._identity.look()
                self.on_port_lost(str(message["why"]))
            case "port_back" if self._state == "watching":
                self.report_path.unlink(missing_ok=True)  # it must not pass for that of a fence to come
                path = message["report"].get("port")
                log.info("%s: the control port is %s now", self.name, path)
                self.on_port_back(record_of(message["report"]), path)
            case _:
                log.warning("%s: the sentinel said %s", self.name, message)

    def _on_end(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ProtocolError(f"the sentinel of {self.name} ended at its start: {self.log_path}"))
        if self._state == "watching":
            assert self._process is not None
            if self._fenced_why is not None and self._process.poll() is not None:
                self._fenced()  # long ago: not one more turn of the loop may pass before the rig knows
            else:
                self._begin(self._end())
        elif self._beats is not None:
            self._beats.mute()

    def _tick(self) -> None:
        """Is the sentinel alive? A frozen one cannot close its sockets, so its silence is all there is to see."""
        loop = asyncio.get_running_loop()
        if self._silent():
            self._on_readable()  # it may be we who were frozen: then its words are waiting
        if self._silent():
            self._begin(self._kill(f"the sentinel did not answer for {self._limit_s:.1f} s"))
            return
        if self._state != "watching" or self._beats is None:
            return
        if loop.time() >= self._next_ping_s:
            self._next_ping_s = loop.time() + PING_S
            self._beats.say(b'{"ping":0}\n')
        self._timer = loop.call_later(TICK_S, self._tick)

    def _silent(self) -> bool:
        return self._state == "watching" and self._beats is not None and self._beats.silent(self._limit_s)

    # --- the end of a sentinel ------------------------------------------------------------------------------------

    def _begin(self, work: Any) -> None:
        self._state = "lost"
        self._forget()
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        """Its sockets closed. A process that crashed is gone within milliseconds; one that lives has fenced us off."""
        assert self._process is not None
        code = await ended(self._process, 0.1) if self._fenced_why is None else None
        if self._fenced_why is None and code not in (None, 0, 5):
            await self._take_over(f"the sentinel died ({code})")
            return
        await ended(self._process, REPORT_S)
        self._fenced()
        if self.fence_record is None:  # a slow machine, or a port that is gone, which it waits for
            await ended(self._process, self._orphan_s + EXIT_S, look_s=TICK_S)
            self.fence_record = self._read_report()
            if self.fence_record is not None:
                self.on_fenced(self._fenced_why or "its report came late", self.fence_record)

    def _fenced(self) -> None:
        self._state = "fenced"
        self._forget()
        self.fence_record = self._read_report()
        self.on_fenced(self._fenced_why or "the sentinel closed its sockets", self.fence_record)

    async def _kill(self, why: str) -> None:
        assert self._process is not None
        self._process.kill()
        await self._take_over(why)

    async def _take_over(self, why: str) -> None:
        """Open the port ourselves. The lock goes with the sentinel's last descriptor, moments after its sockets."""
        loop = asyncio.get_running_loop()
        told, until_s = False, loop.time() + TAKE_OVER_S
        if self._identity is not None:
            self._identity.look()
        while True:
            try:
                transport = await open_again(self.port, self._identity, self._open_port)
                break
            except PortBusy:
                await asyncio.sleep(sentinel.REOPEN_S if told else 0.005)
            except PortMissing:
                until_s = min(until_s, loop.time())
                await asyncio.sleep(sentinel.REOPEN_S if told else 0.0)
            if not told and loop.time() >= until_s:
                log.error("%s: %s; control port out of reach", self.name, why)
                told = True
                self.on_lost(why, None)
        log.error("%s: %s; control port taken over", self.name, why)
        self.on_lost(why, transport)
        assert self._process is not None
        await ended(self._process, EXIT_S)

    def _read_report(self) -> SafeOffRecord | None:
        try:
            return record_of(json.loads(self.report_path.read_text()))
        except (OSError, ValueError, UnexpectedReply) as error:
            log.warning("%s: no report of the sentinel: %r", self.name, error)
            return None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self) -> None:
        """Close our ends. The bridge's own descriptor is the bridge's to close; the sentinel watches the beats too."""
        self._stop_timer()
        if self._beats is not None:
            self._beats.close()
            self._beats = None
        if self._data is not None:
            self._data.close()
            self._data = None
