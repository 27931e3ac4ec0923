"""The rig's side of the watcher: starts it, beats, and hears of its death and of what it did.

`on_lost`: it died, or froze, so that nobody would stop the chips when we cannot: whoever hashes has to stop now.
`on_acted`: we did not beat in time, and it has stopped the chips, or begins to. They may have been sent something since
we woke, so they have to be stopped again from here. Each is called once at most, in the event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from controller.safety import watcher
from controller.safety.guardian import BeatSocket, ended, spawn
from drivers.asics.stop import StopFrames
from drivers.errors import NoReply, ProtocolError

log = logging.getLogger(__name__)

LIMIT_S: Final = 1.0
START_S: Final = 3.0
EXIT_S: Final = 0.5
ACTS_S: Final = 5.0
"""How long it may take to stop chips that do not answer."""


def job_json(
    name: str, port_fd: int, beat_fd: int, frames: StopFrames, *, limit_s: float = LIMIT_S, report: Path | None = None
) -> bytes:
    """What a watcher reads on its standard input."""
    job: dict[str, Any] = {
        "name": name,
        "limit_s": limit_s,
        "port_fd": port_fd,
        "beat_fd": beat_fd,
        "writes": [write.hex() for write in frames.writes],
        "proofs": [
            {
                "name": proof.name,
                "question": proof.question.hex(),
                "answer": proof.answer.hex(),
                "mask": proof.mask.hex(),
            }
            for proof in frames.proofs
        ],
        "bauds": list(frames.bauds),
        "answer_s": frames.answer_s,
        "report": None if report is None else str(report),
    }
    return json.dumps(job).encode()


class WatcherClient:
    """One watcher of one port. `start`, then `beat` from the event loop, then `release` or `aclose`."""

    def __init__(
        self, name: str, port_fd: int, frames: StopFrames, *, directory: Path, limit_s: float = LIMIT_S
    ) -> None:
        """`port_fd`: of the open port; the watcher inherits it. `directory`, which must exist, is for its report."""
        self.name = name
        self.on_lost: Callable[[str], None] = lambda why: None
        self.on_acted: Callable[[str], None] = lambda why: None
        self.report_path = directory / f"watcher-{os.getpid()}.json"
        self._port_fd, self._frames, self._limit_s = port_fd, frames, limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._line: BeatSocket | None = None
        self._beats = 0
        self._ready: asyncio.Future[None] | None = None
        self._told = False
        self.watching = False
        """True while somebody would stop the chips without us."""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Spawn it and wait until it has its job. Raises `NoReply` or `ProtocolError`."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self.report_path.unlink(missing_ok=True)
        self._line = BeatSocket(self.name, "watcher", self._readable)
        with self._line.far as far:
            fds = self._port_fd, far.fileno()
            job = job_json(self.name, *fds, self._frames, limit_s=self._limit_s, report=self.report_path)
            self._process = spawn(watcher.__file__, job, fds)
        try:
            async with asyncio.timeout(START_S):
                await self._ready
        except TimeoutError as error:
            self._forget()
            self._process.kill()
            raise NoReply("the start of the watcher", START_S) from error
        except ProtocolError:
            self._forget()
            raise
        self.watching = True

    def beat(self) -> None:
        """Say that the event loop lives. One that does not acknowledge is frozen: it cannot close its socket."""
        if self._silent():
            self._readable()  # it may be we who were frozen: then its words are waiting
        if self._silent():
            assert self._process is not None
            self._process.kill()  # thawed one day, it would write to a port that is somebody else's by then
            self._lose(f"the watcher did not answer for {self._limit_s:.1f} s")
        if self.watching and self._line is not None:
            self._beats += 1
            self._line.say(b'{"beat":%d}\n' % self._beats)

    def _silent(self) -> bool:
        return self.watching and self._line is not None and self._line.silent(self._limit_s)

    async def release(self) -> None:
        """The chips are confirmed stopped from here: let it go without a byte to the port."""
        if self._line is not None and self._process is not None:
            self._told = True
            self._line.say(b'{"release":true}\n')
            await ended(self._process, EXIT_S)
        await self.aclose()

    async def aclose(self) -> bool:
        """Leave. One that was not released sees its socket close, and stops the chips once more: whether it has
        confirmed that."""
        self._told, self.watching = True, False
        self._forget()
        if self._process is None:
            return False
        if await ended(self._process, ACTS_S) is None:
            log.error("%s: the watcher [%s] goes on without us", self.name, self._process.pid)
            return False
        try:
            report = json.loads(self.report_path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return False
        return report["confirmed"] is True

    # --- what comes from it -------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        """Read all that is there."""
        if self._line is None:
            return
        messages, closed = self._line.heard()
        for message in messages:
            self._hear(message)
        if closed:
            if self._ready is not None and not self._ready.done():
                self._ready.set_exception(ProtocolError("the watcher ended at its start"))
            self._lose("the watcher died")
            self._forget()

    def _hear(self, message: dict[str, Any]) -> None:
        if message["event"] == "ready":
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
        elif message["event"] == "stopping" and not self._told:
            self._told, self.watching = True, False
            self.on_acted(str(message["why"]))

    def _lose(self, why: str) -> None:
        watching, self.watching = self.watching, False
        if watching and not self._told:
            self._told = True
            self.on_lost(why)

    def _forget(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
