"""The library: what an engineer does on the screen, in a script. `SyncRig` (controller/sync.py) is its blocking twin.

    async with connect(emulate="bitaxe-gamma") as rig:
        await rig.power_up(frequency_mhz=500.0, core_v=1.15)
        held = await rig.hold(60.0)
        print(held.last.point.achieved, rig.info.envelope.chip_c_trip)

The rig guards its board whatever becomes of the script.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Any

from controller import arguments
from controller.asyncrig import AsyncRig, FanName, Held, OnProgress, Progress, ReachName, Until, WorkKind, good
from controller.attach import Target, Where, attach, choose_rig, host_config, sentinel_report
from controller.model import SafeOffRecord
from controller.port import LiveRig
from controller.recording import RecordedRig
from drivers.errors import UsageError

__all__ = [
    "AsyncRig",
    "Connecting",
    "FanName",
    "Held",
    "OnProgress",
    "Progress",
    "ReachName",
    "Until",
    "WorkKind",
    "connect",
    "good",
    "open_recording",
]


@dataclass(slots=True)
class _Life:
    """What ends with an `AsyncRig` that `connect` has made. `target`: what was started; None for a rig that runs."""

    live: LiveRig
    target: Target | None
    stack: AsyncExitStack

    @property
    def owned(self) -> bool:
        return self.target is not None

    async def end(self, board: str) -> SafeOffRecord | None:
        """Nobody but the sentinel can tell what became of a board whose rig is gone without a word."""
        async with self.stack:
            await self.live.aclose("the script is done")
            if self.target is None:
                return None
            if self.live.goodbye is not None:
                return self.live.last_safe_off.get(board)
            report = await sentinel_report(board, self.live.pid)
            if self.target.child is not None and (report is None or not report.confirmed):
                self.target.child.leave()  # the sentinel may still need it
            return report


@dataclass(slots=True)
class _Tape:
    """What ends with a recording that was opened: its file is closed, and nothing else."""

    recorded: RecordedRig
    owned: bool = False

    async def end(self, board: str) -> None:
        await self.recorded.aclose()


def open_recording(path: str | PathLike[str], board: str | None = None) -> AsyncRig:
    """A run that was kept with `journal`, as a rig that can be looked at: `read`, `watch`, `events`.

    Its clock is `playback`; it begins paused, at 0 s, where nothing has been read yet. Verbs that move a board raise
    `Refused`. `board` may be left out when the run has only one. Raises `UsageError`, `JournalError` or `OSError` for a
    file that will not do. An async context manager, as what `connect` gives.
    """
    recorded = RecordedRig.open(arguments.present_file("path", path) or "")
    try:
        return AsyncRig(recorded, board, _life=_Tape(recorded))
    except UsageError:
        recorded.close()
        raise


class Connecting:
    """What `connect` gives: to be awaited, or entered."""

    def __init__(self, open_: Callable[[], Awaitable[AsyncRig]]) -> None:
        self._open = open_
        self._rig: AsyncRig | None = None

    def __await__(self) -> Generator[Any, None, AsyncRig]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncRig:
        self._rig = await self._open()
        return self._rig

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._rig is not None
        await self._rig.__aexit__(kind, error, trace)


def connect(
    *,
    emulate: str | None = None,
    port: str | None = None,
    board: str | None = None,
    rig: int | str | PathLike[str] | None = None,
    seed: int | None = None,
    dilution: int | None = None,
    dialect: str | None = None,
    solved: str | PathLike[str] | None = None,
    journal: str | PathLike[str] | None = None,
    record: str | PathLike[str] | None = None,
    work: WorkKind = "pattern",
    unlock: ReachName | None = None,
    retry: bool = False,
    envelope: str | PathLike[str] | None = None,
) -> Connecting:
    """Start a rig for a board, or join one that runs. `async with connect(...) as rig:`, or await it and close it.

    `emulate` (name of a board) or `port` (CONTROL[,DATA], or a name of `hashbridge list`; `board` where its USB strings
    do not say which) start a rig process that this program owns. Leaving it is orderly safe-off; the death of this
    program is safe-off by the rig; that this program freezes is nothing. `journal` and `record` are new files for
    readings and events, and for every byte of both ports. Emulated: `seed` of all chance, `dilution` (a power of two;
    by default 2**24 or 2**27 when `work` is to be "synthetic", else 1), `solved` headers, `dialect` in which the bridge
    answers ("C", where its firmwares differ). Beyond stock is locked: `unlock` "range" (what is shipped for this kind
    of board) or "hard"; `envelope` is the file of the operator's limits, by default envelopes/KIND.toml of the config
    directory. `retry`: after a trip that a lower point may cure the board comes back by itself.

    `rig` is the process id of a running rig or the path of its socket; without any of the three it is the only rig of
    this user. It is joined, and only left, never stopped. `board`: which of its boards.

    Raises `UsageError`, `PortMissing`, `PortBusy`, `Unplugged`, or what the first contact with the board brought.
    """
    given = [key for key, value in (("emulate", emulate), ("port", port), ("rig", rig)) if value is not None]
    if len(given) > 1:
        raise UsageError(" and ".join(given), (emulate, port, rig), "one of them")
    arguments.choice("work", work, ("pattern", "synthetic", "headers"))
    arguments.name("board", board)
    if emulate is not None or port is not None:
        where = Where(
            emulate=arguments.name("emulate", emulate),
            port=arguments.name("port", port),
            board=board,
            solved=arguments.present_file("solved", solved),
            seed=arguments.seed(seed),
            dilution=arguments.power_of_two("dilution", dilution),
            dialect=arguments.name("dialect", dialect),
            envelope=arguments.present_file("envelope", envelope),
            unlock=arguments.reach(unlock),
            retry=arguments.flag("retry", retry),
        )
        files = arguments.fresh_file("journal", journal), arguments.fresh_file("record", record)
        return Connecting(lambda: _start(where, work, *files))
    for key, value in (
        ("seed", seed), ("dilution", dilution), ("dialect", dialect), ("solved", solved), ("journal", journal),
        ("record", record), ("unlock", unlock), ("envelope", envelope), ("retry", retry or None),
    ):  # fmt: skip
        if value is not None:
            raise UsageError(key, value, "only with emulate or port: a running rig was started with its own")
    socket = _socket(rig)
    return Connecting(lambda: _join(socket, board))


def _socket(rig: object) -> Callable[[], str]:
    if rig is None:
        return lambda: str(choose_rig(None).socket)
    if isinstance(rig, int) and not isinstance(rig, bool):
        return lambda: str(choose_rig(str(rig)).socket)
    path = str(arguments.path("rig", rig))
    return (lambda: str(choose_rig(path).socket)) if path.isdecimal() else (lambda: path)


async def _start(where: Where, work: WorkKind, journal: str | None, record: str | None) -> AsyncRig:
    async with AsyncExitStack() as stack:
        target = await attach(where, work, stack)
        live = await LiveRig.start(host_config(target, journal=journal, record=record))
        return AsyncRig(live, target.config.name, _life=_Life(live, target, stack.pop_all()))


async def _join(socket: Callable[[], str], board: str | None) -> AsyncRig:
    async with AsyncExitStack() as stack:
        live = await stack.enter_async_context(await LiveRig.connect(socket()))
        return AsyncRig(live, board, _life=_Life(live, None, stack.pop_all()))
