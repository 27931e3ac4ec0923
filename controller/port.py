"""`LiveRig`: a client of a rig process, and a `RigPort` like any other.

`start` spawns a rig process in a session of its own and owns it: when this process dies, or closes the socket without
a word, the rig makes its boards safe and ends; when this process freezes, nothing changes. `connect` joins a rig that
runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from controller import paths, wire
from controller.bell import Bell, each
from controller.model import Command, Event, RigPort, SafeOffDone, SafeOffRecord, Snapshot
from controller.wire import BoardConfig, BoardInfo, HostConfig
from drivers.errors import NoReply, ProtocolError, UnexpectedReply, Unplugged

__all__ = ["BoardConfig", "BoardInfo", "HostConfig", "LiveRig", "RigPort"]

log = logging.getLogger(__name__)

START_S = 30.0
GREETING_S = 5.0
END_S = 20.0
MESSAGES_AT_ONCE = 500


class LiveRig:
    """Made by `start` or `connect`. Ends with `aclose`, or when the rig hangs up: then iterators end, requests fail."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: subprocess.Popen[bytes] | None
    ) -> None:
        self._reader, self._writer, self._process = reader, writer, process
        self._greeting: wire.Greeting | None = None
        self._events: list[Event] = []
        self._snapshot: bytes | Snapshot | None = None
        self._snapshot_number = 0
        self._news = Bell()
        self._requests: dict[int, asyncio.Future[None]] = {}
        self._next_id = 0
        self._reading: asyncio.Task[None] | None = None
        self.lost: Unplugged | None = None
        """Why the connection ended; None while it lives."""
        self.goodbye: str | None = None
        """The reason the rig gave when it ended in order."""
        self.last_safe_off: dict[str, SafeOffRecord] = {}
        """The newest safe-off of each board, by name of the board."""
        self.log_path: Path | None = None

    @classmethod
    async def start(cls, config: HostConfig) -> Self:
        """Spawn a rig process for these boards. Raises what opening the ports raised there: `PortBusy`, ..."""
        ours, theirs = socket.socketpair()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        log_path = paths.state_dir() / f"rig-{stamp}-{os.getpid()}.log"
        with theirs:
            process = _spawn(config, theirs, log_path)
        try:
            rig = await cls._join(ours, process, "owner", START_S)
        except (UnexpectedReply, Unplugged, NoReply) as error:
            error.add_note(f"log of the rig process: {log_path}")
            raise
        rig.log_path = log_path
        return rig

    @classmethod
    async def connect(cls, path: Path | str) -> Self:
        """Join a running rig by the path of its socket. Raises `Unplugged` when nobody serves it."""
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(ours, str(path))
        except OSError as error:
            ours.close()
            raise Unplugged(str(path), error.strerror or str(error)) from error
        return await cls._join(ours, None, "viewer", GREETING_S)

    @classmethod
    async def _join(
        cls, sock: socket.socket, process: subprocess.Popen[bytes] | None, role: str, patience_s: float
    ) -> Self:
        reader, writer = await asyncio.open_connection(sock=sock, limit=wire.RIG_LINE_BYTES)
        rig = cls(reader, writer, process)
        try:
            async with asyncio.timeout(patience_s):
                first = await rig._read()
            if isinstance(first, wire.Failed):
                raise wire.unpack_error(first.error)
            if not isinstance(first, wire.Greeting):
                raise UnexpectedReply(f"a rig that begins with {type(first).__name__}")
            rig._greeting = first
            rig._send(wire.Hello.model_validate({"hello": wire.VERSION, "role": role}))
        except TimeoutError as error:
            await rig._hang_up()
            raise NoReply("the greeting of the rig", patience_s) from error
        except BaseException:
            await rig._hang_up()
            raise
        rig._reading = asyncio.create_task(rig._read_on(), name="rig reader")
        return rig

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def pid(self) -> int:
        """The process id of the rig."""
        assert self._greeting is not None
        return self._greeting.pid

    @property
    def info(self) -> tuple[BoardInfo, ...]:
        """The boards of this rig and what does not change of them."""
        assert self._greeting is not None
        return self._greeting.boards

    @property
    def owner(self) -> bool:
        return self._process is not None

    # --- RigPort --------------------------------------------------------------------------------------------------

    async def request(self, board: str, command: Command) -> None:
        """Returns when the command is done; raises what the rig raised, or `Unplugged` when the rig hung up."""
        if self.lost is not None:
            raise self.lost
        self._next_id += 1
        number, future = self._next_id, asyncio.get_running_loop().create_future()
        self._requests[number] = future
        try:
            self._send(wire.Request(id=number, request=wire.RequestBody(board=board, command=command)))
            await future
        finally:
            self._requests.pop(number, None)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """The newest state, then each newer one that comes while somebody waits. Ends with the connection."""
        seen = 0
        while True:
            if self._snapshot is not None and seen != self._snapshot_number:
                seen = self._snapshot_number
                yield self._newest(self._snapshot)
            elif self.lost is not None:
                return
            else:
                await self._news.wait()

    def _newest(self, found: bytes | Snapshot) -> Snapshot:
        """Read when somebody looks, once: a client that only asks should not pay for five snapshots a second."""
        if isinstance(found, bytes):
            found = self._snapshot = wire.parse_snapshot(found)
        return found

    def events(self) -> AsyncIterator[Event]:
        """All events from the rig's first on. Ends with the connection, after the last one that came."""
        return each(self._events, self._news, lambda: self.lost is not None)

    async def aclose(self, reason: str = "requested") -> None:
        """Leave. The owner ends the rig: orderly safe-off, whose report is then in `last_safe_off`."""
        if self.owner and self.lost is None:
            self._send(wire.Shutdown(shutdown=wire.ShutdownBody(reason=reason)))
            try:
                async with asyncio.timeout(END_S):
                    while self.lost is None:
                        await self._news.wait()
            except TimeoutError:
                log.error("the rig %d did not end within %.0f s; its sentinel makes the boards safe", self.pid, END_S)
        await self._hang_up()

    # --- the connection -------------------------------------------------------------------------------------------

    def _send(self, message: wire.FromClient) -> None:
        """Requests are small and answered one by one, so there is nothing to wait for here."""
        self._writer.write(wire.encode(message))

    async def _read(self) -> wire.FromRig | bytes:
        """The next message, a snapshot as its line. Raises `Unplugged` at the end, `UnexpectedReply` for nonsense."""
        try:
            line = await self._reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Unplugged("rig", "the rig process hung up") from error
        except asyncio.LimitOverrunError as error:
            raise UnexpectedReply(f"a line of more than {wire.RIG_LINE_BYTES} bytes") from error
        return line if wire.is_snapshot(line) else wire.parse_from_rig(line)

    async def _read_on(self) -> None:
        try:
            while True:
                for _ in range(MESSAGES_AT_ONCE):
                    self._take(await self._read())
                await asyncio.sleep(0)  # what is buffered comes without a wait; others want their turn in a flood
        except Unplugged as error:
            self._end(error)
        except ProtocolError as error:
            log.error("rig: %s", error)
            self._end(Unplugged("rig", str(error)))
        finally:
            self._end(Unplugged("rig", "nobody listens to it any more"))  # the loop of this client is ending

    def _take(self, message: wire.FromRig | bytes) -> None:
        match message:
            case bytes():
                self._snapshot = message
                self._snapshot_number += 1
                self._news.ring()
            case wire.EventLine():
                self._events.append(message.event)
                if isinstance(message.event, SafeOffDone):
                    self.last_safe_off[message.event.board] = message.event.report
                self._news.ring()
            case wire.Done():
                if (future := self._requests.get(message.id)) is not None and not future.done():
                    future.set_result(None)
            case wire.Failed():
                if message.id is None:
                    raise UnexpectedReply(f"the rig hung up on us: {message.error.message}")
                if (future := self._requests.get(message.id)) is not None and not future.done():
                    future.set_exception(wire.unpack_error(message.error))
            case wire.Goodbye():
                self.goodbye = message.goodbye.reason
                self.last_safe_off.update(message.goodbye.safe_off)
            case wire.Greeting() | wire.SnapshotLine():
                raise UnexpectedReply(f"{type(message).__name__} where none belongs")

    def _end(self, why: Unplugged) -> None:
        if self.lost is not None:
            return
        self.lost = why
        for future in self._requests.values():
            if not future.done():
                future.set_exception(why)
        self._news.ring()

    async def _hang_up(self) -> None:
        """Close the socket, which an owned rig that still runs takes for our death, and see its process off."""
        self._end(Unplugged("rig", "closed"))
        if self._reading is not None:
            self._reading.cancel()
        self._writer.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(END_S):
                await self._ended()
        except TimeoutError:
            log.error("killing the rig %d, which does not end; its sentinel makes safe", self._process.pid)
            self._process.kill()
            await self._ended()

    async def _ended(self) -> None:
        assert self._process is not None
        while True:
            if self._process.poll() is not None:
                return
            await asyncio.sleep(0.01)


def _spawn(config: HostConfig, owner: socket.socket, log_path: Path) -> subprocess.Popen[bytes]:
    """The rig process: its own session, nothing inherited but the owner's socket, the job and the log."""
    root = str(Path(__file__).resolve().parent.parent)
    search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with log_path.open("ab") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "controller.host", "--owner-fd", str(owner.fileno())],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=log_file,
            pass_fds=(owner.fileno(),),
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": search},
        )
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(config.model_dump_json().encode())
    return process
