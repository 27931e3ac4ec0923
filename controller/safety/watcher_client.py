"""The rig's side of the watcher: starts it, beats, and hears of its death and of what it did.

`on_lost`: it died, or froze, so that nobody would stop the chips when we cannot: whoever hashes has to stop now.
`on_acted`: we did not beat in time, and it has stopped the chips, or begins to. They may have been sent something since
we woke, so they have to be stopped again from here. Each is called once at most, in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from controller.safety import watcher
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
        self._socket: socket.socket | None = None
        self._text = b""
        self._beats = 0
        self._asked_s: float | None = None
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
        self._socket, far = socket.socketpair()
        with far:
            self._process = self._spawn(far.fileno())
        self._socket.setblocking(False)
        loop.add_reader(self._socket, self._readable)
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

    def _spawn(self, beat_fd: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", watcher.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(self._port_fd, beat_fd),
            start_new_session=True,
        )
        job = job_json(self.name, self._port_fd, beat_fd, self._frames, limit_s=self._limit_s, report=self.report_path)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:  # one that has ended already: its socket says so
            process.stdin.write(job)
        return process

    def beat(self) -> None:
        """Say that the event loop lives. One that does not acknowledge is frozen: it cannot close its socket."""
        if not self._alive():
            return
        now_s = asyncio.get_running_loop().time()
        if self._silent(now_s):
            self._readable()  # it may be we who were frozen: then its words are waiting
        if self._silent(now_s):
            assert self._process is not None
            self._process.kill()  # thawed one day, it would write to a port that is somebody else's by then
            self._lose(f"the watcher did not answer for {self._limit_s:.1f} s")
        if not self._alive():
            return
        self._beats += 1
        if self._asked_s is None:
            self._asked_s = now_s
        self._say(b'{"beat":%d}\n' % self._beats)

    def _silent(self, now_s: float) -> bool:
        return self.watching and self._asked_s is not None and now_s - self._asked_s > self._limit_s

    def _alive(self) -> bool:
        return self.watching and self._socket is not None

    def _say(self, line: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.send(line)
        except BlockingIOError:
            log.warning("%s: the watcher does not read", self.name)
        except OSError as error:
            log.warning("%s: beat: %s", self.name, error)  # its end of file is on the way to the reader

    async def release(self) -> None:
        """The chips are confirmed stopped from here: let it go without a byte to the port."""
        if self._socket is not None and self._process is not None:
            self._told = True
            self._say(b'{"release":true}\n')
            await self._gone(EXIT_S)
        await self.aclose()

    async def aclose(self) -> bool:
        """Leave. One that was not released sees its socket close, and stops the chips once more: whether it has
        confirmed that."""
        self._told, self.watching = True, False
        self._forget()
        if self._process is None:
            return False
        if not await self._gone(ACTS_S):
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
        if self._socket is None:
            return
        ended = False
        try:
            while chunk := self._socket.recv(65536):
                self._text += chunk
            ended = True
        except BlockingIOError:
            ended = False
        except OSError as error:
            log.warning("%s: watcher: %s", self.name, error)
            ended = True
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            self._hear(json.loads(line))
        if ended:
            if self._ready is not None and not self._ready.done():
                self._ready.set_exception(ProtocolError("the watcher ended at its start"))
            self._lose("the watcher died")
            self._forget()

    def _hear(self, message: dict[str, Any]) -> None:
        if "ack" in message:
            self._asked_s = None
        elif message["event"] == "ready":
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

    async def _gone(self, patience_s: float) -> bool:
        """Whether it has ended within this time."""
        assert self._process is not None
        loop = asyncio.get_running_loop()
        until_s = loop.time() + patience_s
        while self._process.poll() is None:
            if loop.time() > until_s:
                return False
            await asyncio.sleep(0.002)
        return True

    def _forget(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
