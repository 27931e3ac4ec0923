"""What the rig's sides of the sentinel and of the watcher share: a process of one file that knows nothing of this
program, gets its job on standard input, and is beaten to over a socket of JSON lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

log = logging.getLogger(__name__)


def spawn(script: str, job: bytes, fds: Sequence[int], stderr: BinaryIO | None = None) -> subprocess.Popen[bytes]:
    """Start it in a session of its own with these descriptors. `stderr` None: ours."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=tuple(fds),
        start_new_session=True,
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:  # one that has ended already: its sockets say so
        process.stdin.write(job)
    return process


async def ended(process: subprocess.Popen[bytes], patience_s: float, *, look_s: float = 0.002) -> int | None:
    """The exit code, or None when it still runs after that time. Looked for each `look_s`."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + patience_s
    while True:
        code = process.poll()
        if code is not None or loop.time() > until_s:
            return code
        await asyncio.sleep(look_s)


class BeatSocket:
    """Our end of the line to one of them. It acknowledges: one that is frozen cannot close its end, so its silence is
    all there is to see."""

    def __init__(self, name: str, who: str, on_readable: Callable[[], None]) -> None:
        """`name`: of the board, `who`: of the process, both for the log. `far` is for the process, and to be closed
        here."""
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self._name, self._who = name, who
        self._text = b""
        self._asked_s: float | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.near, on_readable)

    def say(self, line: bytes) -> bool:
        """Never waits, never raises: whether it could be said."""
        if self._asked_s is None:
            self._asked_s = self._loop.time()
        try:
            self.near.send(line)
        except BlockingIOError:
            log.warning("%s: the %s does not read", self._name, self._who)
        except OSError as error:
            log.warning("%s: beat: %s", self._name, error)  # its end of file is on the way to the reader
        else:
            return True
        return False

    def silent(self, limit_s: float) -> bool:
        """Whether something said was not acknowledged for longer than that."""
        return self._asked_s is not None and self._loop.time() - self._asked_s > limit_s

    def heard(self) -> tuple[list[dict[str, Any]], bool]:
        """All that is there but the acknowledgements, and whether it has closed its end."""
        closed = True
        try:
            while chunk := self.near.recv(65536):
                self._text += chunk
        except BlockingIOError:
            closed = False
        except OSError as error:
            log.warning("%s: %s: %s", self._name, self._who, error)
        *lines, self._text = self._text.split(b"\n")
        messages: list[dict[str, Any]] = []
        for line in lines:
            message: dict[str, Any] = json.loads(line)
            if "ack" in message:
                self._asked_s = None
            else:
                messages.append(message)
        return messages, closed

    def mute(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self.near)

    def close(self) -> None:
        self.mute()
        self.near.close()
