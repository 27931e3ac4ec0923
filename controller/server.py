"""Serves one `RigPort` to any number of clients over local sockets (controller/wire.py).

A client that reads slowly, or not at all, costs nobody else anything: events are kept once, and every connection has
its own place in them; of snapshots only the newest waits; writing stops while the socket is full. Nothing here ever
waits for a client.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

from controller import wire
from controller.model import RigPort, SafeOff, SafeOffDone, SafeOffRecord
from drivers.errors import HashbridgeError, ProtocolError, Refused, UnexpectedReply, UsageError

log = logging.getLogger(__name__)

BUFFER_BYTES = 256 * 1024
BATCH_BYTES = 64 * 1024
REQUESTS_AT_ONCE = 32
"""Of one client. More are refused at once: they must not queue up in front of a safe-off, which always gets through."""
ANSWERS_BYTES = 4 * BUFFER_BYTES
"""A client that asks and asks and reads no answer is hung up on."""
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def peer_uid(sock: socket.socket) -> int | None:
    """Who is at the other end; None where the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    packed = sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(packed)[1])


class RigServer:
    """The connections, and what all of them are told. `pump` runs as long as the rig has something to say."""

    def __init__(self, rig: RigPort) -> None:
        self.rig = rig
        self.greeting = wire.encode(wire.Greeting(hashbridge=wire.VERSION, pid=os.getpid(), boards=rig.info))
        self.boards = {board.name for board in rig.info}
        self.on_owner_lost: Callable[[], None] = lambda: None
        self.on_shutdown: Callable[[str], None] = lambda reason: None
        self.safe_offs: dict[str, SafeOffRecord] = {}
        self.events: list[bytes] = []
        self.snapshot: bytes | None = None
        self.snapshot_number = 0
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._path: Path | None = None

    async def listen(self, path: Path) -> None:
        """Serve viewers on a Unix socket, in a directory that keeps others out."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(lambda: Connection(self, owner=False), str(path))
        self._path = path

    async def adopt(self, owner: socket.socket) -> None:
        """Serve the one who started this rig, on the socket it handed down."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Connection(self, owner=True), owner)

    async def pump_events(self) -> None:
        async for event in self.rig.events():
            if isinstance(event, SafeOffDone):
                self.safe_offs[event.board] = event.report
            self.events.append(wire.encode_event(event))
            for connection in tuple(self.connections):
                connection.pump()

    async def pump_snapshots(self) -> None:
        async for snapshot in self.rig.snapshots():
            if not self.connections:
                continue
            self.snapshot = wire.encode_snapshot(snapshot)
            self.snapshot_number += 1
            for connection in tuple(self.connections):
                connection.pump()

    async def goodbye(self, reason: str, patience_s: float) -> None:
        """Tell all clients how it ended and hang up; those who do not read are hung up on after `patience_s`."""
        if self._listener is not None:
            self._listener.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        body = wire.GoodbyeBody(reason=reason, safe_off=self.safe_offs)
        line = wire.encode(wire.Goodbye(goodbye=body))
        loop = asyncio.get_running_loop()
        until_s = loop.time() + patience_s
        for connection in tuple(self.connections):
            connection.last_words = line
            connection.pump()
        while self.connections:
            if loop.time() > until_s:
                for connection in tuple(self.connections):
                    connection.abort()
                return
            await asyncio.sleep(0.005)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: RigServer, *, owner: bool) -> None:
        self._server, self._owner = server, owner
        self._transport: asyncio.Transport | None = None
        self._lines = wire.Lines(wire.CLIENT_LINE_BYTES)
        self._welcome = False
        self._full = False
        self._next_event = 0
        self._seen_snapshot = 0
        self._open_requests = 0
        self.last_words: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=BUFFER_BYTES)
        if not self._owner:
            uid = peer_uid(transport.get_extra_info("socket"))
            if uid is not None and uid not in (0, os.geteuid()):
                log.warning("a client of user %d was turned away", uid)
                self._transport.abort()
                return
        self._server.connections.add(self)
        self._transport.write(self._server.greeting)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)
        if self._owner:
            self._server.on_owner_lost()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- to the client --------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self.pump()

    def pump(self) -> None:
        """Hand over what is due, as far as the client takes it."""
        events = self._server.events
        while self._welcome and not self._full and self._transport is not None and self._next_event < len(events):
            batch, size = [], 0
            while self._next_event < len(events) and size < BATCH_BYTES:
                batch.append(events[self._next_event])
                size += len(batch[-1])
                self._next_event += 1
            self._transport.write(b"".join(batch))
        if self._full or self._transport is None:
            return
        newest = self._server.snapshot
        if self._welcome and newest is not None and self._seen_snapshot != self._server.snapshot_number:
            self._seen_snapshot = self._server.snapshot_number
            self._transport.write(newest)
        if self.last_words is not None:
            self._transport.write(self.last_words)
            self.last_words = None
            self._transport.close()

    def _answer(self, message: wire.FromRig) -> None:
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > ANSWERS_BYTES:
            log.warning("a client that does not read its answers was hung up on")
            self._transport.abort()
            return
        self._transport.write(wire.encode(message))

    def _hang_up(self, error: HashbridgeError) -> None:
        """The far side is no client of ours. The rig goes on as if it had never been there."""
        log.warning("client hung up on: %s", error)
        self._answer(wire.Failed(error=wire.pack_error(error)))
        if self._transport is not None:
            self._transport.close()

    # --- from the client ------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                if self._transport is None or self._transport.is_closing():
                    return
                self._take(wire.parse_from_client(line))
        except UnexpectedReply as error:
            self._hang_up(error)

    def _take(self, message: wire.FromClient) -> None:
        match message:
            case wire.Hello():
                if message.role == "owner" and not self._owner:
                    raise UnexpectedReply("role owner: only who started a rig owns it")
                self._welcome = True
                self.pump()
            case _ if not self._welcome:
                raise UnexpectedReply(f'the first line has to be {{"hello":"{wire.VERSION}"}}')
            case wire.Shutdown():
                if not self._owner:
                    raise UnexpectedReply("shutdown: only who started a rig may end it")
                self._server.on_shutdown(message.shutdown.reason)
            case wire.Request():
                self._begin(message)

    def _begin(self, request: wire.Request) -> None:
        if request.request.board not in self._server.boards:
            allowed = ", ".join(sorted(self._server.boards))
            self._finish(request.id, UsageError("board", request.request.board, allowed))
            return
        urgent = isinstance(request.request.command, SafeOff)
        if self._open_requests >= REQUESTS_AT_ONCE and not urgent:
            error = Refused("busy", f"{REQUESTS_AT_ONCE} requests of this client are under way")
            self._finish(request.id, error)
            return
        self._open_requests += 1
        task = asyncio.get_running_loop().create_task(self._carry_out(request))
        self._server.tasks.add(task)
        task.add_done_callback(lambda done: self._done(request.id, done))

    async def _carry_out(self, request: wire.Request) -> None:
        await self._server.rig.request(request.request.board, request.request.command)

    def _done(self, number: int, task: asyncio.Task[None]) -> None:
        self._server.tasks.discard(task)
        self._open_requests -= 1
        if task.cancelled():
            self._finish(number, ProtocolError("the rig is ending"))
            return
        error = task.exception()
        if error is not None and not isinstance(error, HashbridgeError):
            log.error("request %d failed in a way nobody foresaw", number, exc_info=error)
            error = ProtocolError(f"{type(error).__name__}: {error}")
        self._finish(number, error)

    def _finish(self, number: int, error: HashbridgeError | None) -> None:
        if error is None:
            self._answer(wire.Done(id=number, ok=True))
        else:
            self._answer(wire.Failed(id=number, error=wire.pack_error(error)))
