"""Serve an emulated board to any program: two pseudo-terminals under stable names, and a socket to the plant.

Published in one directory, readable by its owner alone:

    <name>-control, <name>-data   links to the pseudo-terminals, to be opened like any serial port
    <name>.json                   the sidecar: schema, board, pid, seed, dilution, dialect, paths of ports and socket
    <name>.plant                  a Unix socket; one JSON object a line, one answer a line

The plant socket: `{"get": "truth"}`, `{"get": "actuations"}`, `{"get": "counters"}`, `{"get": "script"}`, `{"set":
{"ambient_c": 30, "source_ohm": 0.3, "source_v": 5.2}}`, `{"do": "stall_fan"}`, `{"do": "nak", "part": "emc2101"}`; the
actions are those of docs/faults.md, other keys are their arguments. An answer is `{"ok": true, ...}` or `{"ok": false,
"error": ...}`. Each action is traced too, whoever asked for it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from emulator.benches import BENCHES, BRIDGES_ALONE, Actuation, Bench, BenchSettings
from emulator.ports.pty import PtyPort
from emulator.script import Player, Script

SCHEMA: Final = "hashbridge.emulator/1"
TRACE_SCHEMA: Final = "hashbridge.emulator-trace/1"
LIFE_S: Final = 0.2
"""The bench is brought up to date at least so often, so that what trips by itself is traced when it happens."""
CLIENTS_END_S: Final = 1.0
"""Whoever holds the plant socket is let go first; cut off in the middle, the emulator would end with a traceback."""
ORPHAN_LOOK_S: Final = 0.25
ORPHAN_QUIET_S: Final = 3.0
"""After the owner is gone: so long without any program at the ports, and the emulator leaves."""
ORPHAN_MAX_S: Final = 15.0
_SETTABLE: Final = frozenset({"ambient_c", "source_ohm", "source_v"})


@dataclass(frozen=True, slots=True)
class Served:
    """What was published. `as_dict` is the sidecar."""

    board: str
    pid: int
    seed: int
    dilution: int
    dialect: str
    control: str
    data: str
    plant: str
    sidecar: str

    def as_dict(self) -> dict[str, Any]:
        content = {"schema": SCHEMA, **dataclasses.asdict(self)}
        del content["sidecar"]
        return content


async def main_async(
    board: str,
    directory: Path,
    *,
    settings: BenchSettings | None = None,
    name: str | None = None,
    trace: Path | None = None,
    script: Path | None = None,
    owner_fd: int | None = None,
    on_ready: Callable[[Served], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Build the bench called `board` and serve it until a signal, `stop`, or the end of its owner.

    ValueError: no such board. OSError: the directory or a path in it cannot be used; FileExistsError: the name is taken
    by an emulator that still lives. `ScriptError`: the script is not one; nothing was published. `name`: what the ports
    are called; None: the board's. `trace`: a file to which actuations and faults are appended as JSONL. `script`:
    faults that come by themselves, counted from when the ports are published (`emulator.script`). `owner_fd`: the
    reading end of a pipe whose end of file means that the owner is gone; the ports then stay until no program has had
    them open for 3 s, and for 15 s at most, so that whoever guards the board can still make it safe. `on_ready` is
    called once, when everything is published.
    """
    build = BENCHES.get(board) or BRIDGES_ALONE.get(board)
    if build is None:
        raise ValueError(f"no emulated board {board!r}; there are: {', '.join(sorted({*BENCHES, *BRIDGES_ALONE}))}")
    bench = build(settings or BenchSettings())
    loaded = None if script is None else Script.load(script, bench.faults)
    await serve(
        bench,
        name or board,
        directory,
        trace=trace,
        script=loaded,
        owner_fd=owner_fd,
        on_ready=on_ready,
        stop=stop,
    )


async def serve(
    bench: Bench,
    name: str,
    directory: Path,
    *,
    trace: Path | None = None,
    script: Script | None = None,
    owner_fd: int | None = None,
    on_ready: Callable[[Served], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve one bench; as `main_async`. All that was published is removed on the way out. SIGTERM and SIGINT end it."""
    loop = asyncio.get_running_loop()
    done = stop or asyncio.Event()
    sidecar = directory / f"{name}.json"
    _claim(sidecar)
    server = _Server(bench, name, directory, loop, trace)
    caught: list[signal.Signals] = []
    try:
        await server.open()
        served = server.served(sidecar)
        _write_atomically(sidecar, json.dumps(served.as_dict(), indent=2) + "\n")
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, done.set)
            caught.append(number)
        if script is not None:
            server.player = script.play(bench.faults)
        if on_ready is not None:
            on_ready(served)
        if owner_fd is None:
            await done.wait()
        else:
            await _until_orphaned(server, owner_fd, done)
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
        await server.close()
        sidecar.unlink(missing_ok=True)


def _claim(sidecar: Path) -> None:
    """Make the directory and take the name. FileExistsError when an emulator that lives has it."""
    sidecar.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        known = json.loads(sidecar.read_text())
        pid = int(known["pid"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    except PermissionError:
        raise FileExistsError(f"{sidecar}: taken by process {pid} of another user") from None
    if pid != os.getpid():
        raise FileExistsError(f"{sidecar}: taken by process {pid}")


def _write_atomically(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)


class _Server:
    """The ports, the plant socket and the trace of one bench."""

    def __init__(
        self, bench: Bench, name: str, directory: Path, loop: asyncio.AbstractEventLoop, trace: Path | None
    ) -> None:
        self.bench = bench
        self._loop, self._name, self._directory = loop, name, directory
        self._socket = directory / f"{name}.plant"
        self._trace_path = trace
        self._trace: TextIO | None = None
        self._listener: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._life: asyncio.TimerHandle | None = None
        self.ports: dict[str, PtyPort] = {}
        self.player: Player | None = None
        # The bench counts from the moment its supply came, which is now.
        self._origin_s = loop.time()

    async def open(self) -> None:
        bench, loop = self.bench, self._loop
        bench.clock = self._now_s
        if self._trace_path is not None:
            self._trace = self._trace_path.open("a", buffering=1)
            bench.on_actuation = self._record
            bench.faults.on_action = self._record_fault
            self._write_trace({"what": "start", "detail": bench.board, "at_s": 0.0})
            for actuation in bench.actuations:
                self._record(actuation)
        for kind, device in (("control", bench.control), ("data", bench.data)):
            self.ports[kind] = PtyPort(
                device,
                loop,
                link=self._directory / f"{self._name}-{kind}",
                origin_s=self._origin_s,
                seed=bench.settings.seed,
            )
        bench.faults.ports.update(self.ports)
        self._socket.unlink(missing_ok=True)
        self._listener = await asyncio.start_unix_server(self._serve_client, str(self._socket))
        self._socket.chmod(0o600)
        self._live()

    def _live(self) -> None:
        self.bench.advance(self._now_s())
        self._life = self._loop.call_later(LIFE_S, self._live)

    async def close(self) -> None:
        if self.player is not None:
            self.player.stop()
        if self._life is not None:
            self._life.cancel()
        for port in self.ports.values():
            port.close()
        if self._listener is not None:
            self._listener.close()
        for writer in self._clients:
            writer.close()
        if talks := [task for task in self._clients.values() if task is not None]:
            await asyncio.wait(talks, timeout=CLIENTS_END_S)
        self._socket.unlink(missing_ok=True)
        if self._trace is not None:
            self._trace.close()
            self._trace = None
        self.bench.on_actuation = self.bench.faults.on_action = None

    def served(self, sidecar: Path) -> Served:
        settings = self.bench.settings
        return Served(
            board=self.bench.board,
            pid=os.getpid(),
            seed=settings.seed,
            dilution=settings.dilution,
            dialect=self.bench.dialect,
            control=self.ports["control"].path,
            data=self.ports["data"].path,
            plant=str(self._socket),
            sidecar=str(sidecar),
        )

    def _now_s(self) -> float:
        return self._loop.time() - self._origin_s

    # --- trace: the loop's clock is CLOCK_MONOTONIC, so host and emulator stamps compare

    def _record(self, actuation: Actuation) -> None:
        self._write_trace(actuation._asdict())

    def _record_fault(self, name: str, arguments: Mapping[str, Any], by: str) -> None:
        entry = {"at_s": self._now_s(), "what": "fault", "detail": name, "arguments": dict(arguments), "by": by}
        self._write_trace(entry)

    def _write_trace(self, entry: dict[str, Any]) -> None:
        if self._trace is not None:
            at_ns = round((entry["at_s"] + self._origin_s) * 1e9)
            self._trace.write(json.dumps({"schema": TRACE_SCHEMA, "t_ns": at_ns, **entry}) + "\n")

    # --- the plant socket

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = asyncio.current_task()
        try:
            while line := await reader.readline():
                writer.write((json.dumps(self._answer(line)) + "\n").encode())
                await writer.drain()
        except (ConnectionError, ValueError):
            return  # gone, or a line without end
        finally:
            del self._clients[writer]
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            if not isinstance(asked, dict):
                raise ValueError("a request is a JSON object")
            return {"ok": True, **self._obey(asked)}
        except (ValueError, TypeError) as error:
            return {"ok": False, "error": str(error)}

    def _obey(self, asked: dict[str, Any]) -> dict[str, Any]:
        at_s = self._now_s()
        self.bench.advance(at_s)
        if "get" in asked:
            return self._get(asked["get"], at_s)
        if "set" in asked:
            values = asked["set"]
            if not isinstance(values, dict) or not values:
                raise ValueError("set wants an object of names and numbers")
            if unknown := sorted(set(values) - _SETTABLE):
                raise ValueError(f"cannot set {', '.join(unknown)}; can set {', '.join(sorted(_SETTABLE))}")
            numbers = {key: float(value) for key, value in values.items()}
            for key, value in numbers.items():
                self.bench.faults.do(key, {_ARGUMENT[key]: value})
            return {}
        if "do" in asked:
            self.bench.faults.do(asked["do"], {key: value for key, value in asked.items() if key != "do"})
            return {}
        raise ValueError("a request has one of get, set, do")

    def _get(self, what: object, at_s: float) -> dict[str, Any]:
        if what == "truth":
            return {"truth": self.bench.truth(at_s)}
        if what == "actuations":
            moves = [{"t_ns": round((a.at_s + self._origin_s) * 1e9), **a._asdict()} for a in self.bench.actuations]
            return {"actuations": moves}
        if what == "counters":
            return {"chips": [dataclasses.asdict(chip.truth) for chip in self.bench.chips]}
        if what == "script":
            return {"script": None if self.player is None else self.player.as_dict()}
        raise ValueError("can get truth, actuations, counters, script")


_ARGUMENT: Final = {"ambient_c": "celsius", "source_ohm": "ohm", "source_v": "volts"}


async def _until_orphaned(server: _Server, owner_fd: int, done: asyncio.Event) -> None:
    """Wait for `done`, or for the owner's end of file and then for the ports to be left alone."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()

    def look() -> None:
        if not _alive(owner_fd):
            loop.remove_reader(owner_fd)
            gone.set()

    os.set_blocking(owner_fd, False)
    loop.add_reader(owner_fd, look)
    try:
        waits = [asyncio.ensure_future(done.wait()), asyncio.ensure_future(gone.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    finally:
        loop.remove_reader(owner_fd)
    left_s = used_s = loop.time()
    while not done.is_set() and loop.time() - used_s < ORPHAN_QUIET_S and loop.time() - left_s < ORPHAN_MAX_S:
        if _in_use([port.slave_path for port in server.ports.values() if port.plugged]):
            used_s = loop.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(ORPHAN_LOOK_S):
                await done.wait()


def _alive(owner_fd: int) -> bool:
    try:
        return bool(os.read(owner_fd, 4096))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _in_use(paths: Sequence[str]) -> bool:
    """Whether another process has one of these terminals open; False where the system does not tell."""
    wanted = set(paths)
    own = str(os.getpid())
    with suppress(OSError):
        for process in os.scandir("/proc"):
            if not process.name.isdigit() or process.name == own:
                continue
            with suppress(OSError):
                for descriptor in os.scandir(f"/proc/{process.name}/fd"):
                    with suppress(OSError):
                        if os.readlink(descriptor.path) in wanted:
                            return True
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """`BOARD DIRECTORY [NAME]`: serve, and print the sidecar as one line of JSON when everything is there."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not 2 <= len(given) <= 3:
        sys.stderr.write("usage: python -m emulator.serve BOARD DIRECTORY [NAME]\n")
        return 2

    def ready(served: Served) -> None:
        sys.stdout.write(json.dumps(served.as_dict()) + "\n")
        sys.stdout.flush()

    asyncio.run(main_async(given[0], Path(given[1]), name=given[2] if len(given) == 3 else None, on_ready=ready))
    return 0


if __name__ == "__main__":
    sys.exit(main())
