"""The rig process: `python -m controller.host`, started by `controller.port.LiveRig.start`, in a session of its own.

Its job comes as JSON on standard input (`wire.HostConfig`), its owner's socket as an inherited descriptor. It opens the
ports (control through a sentinel), runs the `Rig`, and serves it to its owner and, on a Unix socket, to others. It ends
with its boards safe when the owner asks for it or dies (SIGTERM and SIGINT ask too). That its owner is frozen, or that
a client does not read, is nothing to it.

Exit codes (docs/cli.md): 0 all boards confirmed safe, 1 could not start, 5 a safe-off could not be confirmed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from controller import paths, wire
from controller.attentive import AttentiveSelector
from controller.emulators import emulator_behind
from controller.journal import Journal
from controller.model import Cause, SafeOffRecord
from controller.rig import Rig, RigBoard
from controller.safety.envelope import Envelopes
from controller.safety.port_identity import Identity, identity_of
from controller.safety.sentinel_client import SentinelClient, open_again
from controller.server import RigServer
from controller.tried import Kept
from drivers.boards import BOARDS
from drivers.boards.board import Attached, Board, BoardKind
from drivers.errors import HashbridgeError, UnknownPart, UsageError
from drivers.traits import Transport
from drivers.transports.serial import open_serial
from drivers.transports.tap import Tap, TapWriter

log = logging.getLogger(__name__)

GOODBYE_S = 2.0
OWNER_LOST = "the owner is gone"


@dataclass(frozen=True, slots=True)
class Opened:
    """One board with its ports open and nothing sent to it yet but what `BoardKind.open` sends."""

    config: wire.BoardConfig
    kind: BoardKind
    attached: Attached
    board: Board
    sentinel: SentinelClient
    reopen_data: Callable[[], Awaitable[Transport]]


class Ending:
    """Why the process is to end; the first reason stands."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._event = asyncio.Event()

    def end(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
            log.info("ending: %s", reason)
        self._event.set()

    async def wait(self) -> str:
        await self._event.wait()
        return self.reason or ""


def kind_of(config: wire.BoardConfig) -> BoardKind:
    """The row of BOARDS, in the dialect of its firmware. Raises `UnknownPart`, or `UsageError` for a dilution on
    hardware or a dialect that this board does not speak."""
    if config.kind not in BOARDS:
        raise UnknownPart("board", config.kind, ", ".join(sorted(BOARDS)))
    kind = BOARDS[config.kind].behind(config.dialect)
    Envelopes(kind.envelope, config.operator)  # what is outside the hard envelope is refused before a port is opened
    if config.dilution != 1 and not config.emulated:
        raise UsageError("dilution", config.dilution, "1 on hardware, where a hash stands for itself")
    return kind


def marks_of(config: wire.BoardConfig, sysfs: str = "/sys", dev: str = "/dev") -> str:
    """What tells this board from any other, under whatever name its port comes next time: its USB descriptors, where
    those do not suffice its socket, without either the path of its port. An emulated board is its emulator: another one
    that is started later is another board."""
    if config.emulated and (emulator := emulator_behind(config.control)) is not None:
        return f"{config.kind} of emulator {emulator.name}, process {emulator.pid}"
    with contextlib.suppress(OSError):
        identity = identity_of(os.stat(config.control), sysfs, dev)
        if identity is not None:
            shown = " ".join(part or "-" for part in identity.was.shows)
            return f"{shown} at {identity.was.where}" if identity.where_decides else shown
    return config.control


class Taps:
    """The recordings of a rig; ports that name the same file share its writer."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._writers: dict[str, TapWriter] = {}

    def around(self, transport: Transport, path: str | None, label: str) -> Transport:
        if path is None:
            return transport
        if path not in self._writers:
            try:
                self._writers[path] = self._stack.enter_context(TapWriter(path))
            except OSError as error:
                raise UsageError("recording", path, f"a file that can be written ({error.strerror})") from error
        return Tap(transport, self._writers[path], label)


class LostPort:
    """Opens a port again that was lost, under whatever name it has then. Made while it is open."""

    def __init__(self, path: str, sysfs: str = "/sys", dev: str = "/dev") -> None:
        self._path, self._looked = path, False
        self._identity: Identity | None = None
        with contextlib.suppress(OSError):  # gone again already: then it comes back by its path alone
            self._identity = identity_of(os.stat(path), sysfs, dev)

    async def open(self) -> Transport:
        """Asked for again and again while it is not there. Raises `PortBusy` or `PortMissing`."""
        if self._identity is not None and not self._looked:
            self._identity.look()
        self._looked = True
        transport = await open_again(self._path, self._identity)
        self._looked = False
        return transport


@contextlib.asynccontextmanager
async def open_board(config: wire.BoardConfig, orphan_s: float, taps: Taps) -> AsyncIterator[Opened]:
    """The ports of one board, and the board. Leaving it before `SentinelClient.release` has the sentinel make safe.

    The data port is opened first: when another program holds it, no sentinel must be there yet that would switch off a
    board on which that other program works.
    """
    kind = kind_of(config)
    async with contextlib.AsyncExitStack() as stack:
        data_port = await open_serial(config.data)
        stack.push_async_callback(data_port.aclose)
        sentinel = SentinelClient(
            config.name, config.control, kind.safe_off_recipe, directory=paths.state_dir(), orphan_s=orphan_s
        )
        stack.push_async_callback(sentinel.aclose)
        control_port = await sentinel.start()
        stack.push_async_callback(control_port.aclose)
        attached = Attached(
            name=config.name,
            control=taps.around(control_port, config.control_tap, "control"),
            data=taps.around(data_port, config.data_tap, "data"),
            emulated=config.emulated,
            dilution=config.dilution,
            seed=config.seed,
        )
        board = await kind.open(attached)
        stack.push_async_callback(board.aclose)

        lost = LostPort(config.data)

        async def reopen_data() -> Transport:
            return taps.around(await lost.open(), config.data_tap, "data")

        yield Opened(config, kind, attached, board, sentinel, reopen_data)


async def run(config: wire.HostConfig, owner: socket.socket) -> int:
    """The life of a rig process. Returns the exit code."""
    ending = Ending()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.end, f"signal {number.name}")
    async with contextlib.AsyncExitStack() as stack:
        try:
            taps = Taps(stack.enter_context(contextlib.ExitStack()))
            boards = [
                await stack.enter_async_context(open_board(board, config.orphan_s, taps)) for board in config.boards
            ]
            rig = await stack.enter_async_context(open_rig(boards, config.journal))
        except HashbridgeError as error:
            log.exception("could not start")
            refuse(owner, error)
            return 1
        server = RigServer(rig)
        server.on_owner_lost = lambda: ending.end(OWNER_LOST)
        server.on_shutdown = ending.end
        events = asyncio.create_task(server.pump_events(), name="events")
        snapshots = asyncio.create_task(server.pump_snapshots(), name="snapshots")
        await server.listen(paths.socket_path(os.getpid()))
        with announced(boards):
            await server.adopt(owner)
            reason = await ending.wait()
            if reason == OWNER_LOST:
                for board in boards:
                    rig.trip(board.config.name, Cause.OWNER_LOST, "the process that owns this rig is gone")
            await rig.aclose()
            await asyncio.gather(events, snapshots)
            for board in boards:
                await let_go(board, server.safe_offs)
            await server.goodbye(reason, GOODBYE_S)
        confirmed = all(board.config.name in server.safe_offs for board in boards) and all(
            record.confirmed for record in server.safe_offs.values()
        )
        return 0 if confirmed else 5


class OpenRig(Rig):
    """A rig that can be left early, while what it told last is still being handed out."""

    _left = False

    async def aclose(self) -> None:
        if not self._left:
            self._left = True
            await self.__aexit__(None, None, None)


@contextlib.asynccontextmanager
async def open_rig(boards: list[Opened], path: str | None) -> AsyncIterator[OpenRig]:
    """The rig over these boards, first contact made and all of them safe. What the sentinels say reaches it."""
    given = [
        RigBoard(
            board.board,
            board.attached,
            board.sentinel.beat,
            board.config.control,
            board.config.data,
            board.config.operator,
            board.reopen_data,
            Kept(paths.state_dir() / "retries", marks_of(board.config)) if board.config.operator.retry else None,
        )
        for board in boards
    ]
    journal = None
    if path is not None:
        try:
            journal = Journal(path, boards=[board.info for board in given])
        except OSError as error:
            raise UsageError("journal", path, f"a file that can be made ({error.strerror})") from error
    rig = OpenRig(given, journal=journal, trips=paths.state_dir() / "trips")
    for board in boards:
        connect(rig, board)
    await rig.__aenter__()
    try:
        yield rig
    finally:
        await rig.aclose()


def connect(rig: Rig, opened: Opened) -> None:
    """Tell the rig what happens to the control port of this board."""
    name, sentinel = opened.config.name, opened.sentinel

    def lost(why: str, transport: Transport | None) -> None:
        rig.sentinel_lost(name, transport, why)

    def fenced(why: str, record: SafeOffRecord | None) -> None:
        rig.fenced(name, why, record)

    sentinel.on_port_lost = lambda why: rig.control_lost(name, why)
    sentinel.on_port_back = lambda record, path: rig.control_restored(name, record, path=path)
    sentinel.on_lost = lost
    sentinel.on_fenced = fenced


async def let_go(opened: Opened, safe_offs: dict[str, SafeOffRecord]) -> None:
    """Release the sentinel of a board that is confirmed safe; leave another one to the sentinel, which tries again."""
    name, sentinel = opened.config.name, opened.sentinel
    record = safe_offs.get(name)
    if sentinel.watching and record is not None and record.confirmed:
        await sentinel.release()
        return
    again = await sentinel.aclose()
    if again is None:
        again = sentinel.fence_record  # since then nobody else could reach the board
    if again is not None:
        safe_offs[name] = again


@contextlib.contextmanager
def announced(boards: list[Opened]) -> Iterator[None]:
    """The sidecar, by which other programs find this rig."""
    names = tuple(board.config.name for board in boards)
    sidecar = paths.write_sidecar(os.getpid(), names, datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        yield
    finally:
        sidecar.unlink(missing_ok=True)


def refuse(owner: socket.socket, error: HashbridgeError) -> None:
    """Tell the owner why there is no rig. It may be dead already."""
    try:
        owner.sendall(wire.encode(wire.Failed(error=wire.pack_error(error))))
    except OSError as broken:
        log.warning("nobody to tell: %s", broken)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m controller.host", description="Rig process; started by its client."
    )
    parser.add_argument(
        "--owner-fd", type=int, required=True, help="inherited socket of the process that owns this rig"
    )
    arguments = parser.parse_args()
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    owner = socket.socket(fileno=arguments.owner_fd)
    owner.set_inheritable(False)
    try:
        config = wire.HostConfig.model_validate_json(sys.stdin.buffer.read())
    except ValidationError as error:
        refuse(owner, UsageError("rig configuration", str(error), "see controller.wire.HostConfig"))
        return 2
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(AttentiveSelector())) as runner:
        return runner.run(run(config, owner))


if __name__ == "__main__":
    sys.exit(main())
