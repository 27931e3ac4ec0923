"""An emulated Gamma under a rig, over ports in memory, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from controller.clock import LoopClock
from controller.journal import Journal
from controller.model import (
    Event,
    EventBase,
    FaultLatched,
    Note,
    OperatorLimits,
    PowerUp,
    Reach,
    SafeOffDone,
    Snapshot,
    StartWork,
)
from controller.rig import Rig
from controller.tried import Kept
from controller.warden import RigBoard
from drivers.boards.bitaxe_gamma import BITAXE_GAMMA
from drivers.boards.board import Attached, Board, BoardKind
from drivers.errors import PortMissing
from drivers.transports.memory import MemoryTransport, memory_pair
from emulator.benches import BenchSettings
from emulator.benches.bitaxe import BitaxeGamma
from emulator.ports.memory import MemoryPort, plug_in
from emulator.virtual_time import VirtualTimeLoop

E = TypeVar("E", bound=EventBase)
NAME = "gamma"
UNLOCKED = OperatorLimits(unlock=Reach.RANGE)
AGAIN = OperatorLimits(unlock=Reach.RANGE, retry=True)
"""It may come back by itself after a trip."""
SETTINGS = BenchSettings(seed=1, dilution=2**31)
"""So thin that hours of work cost little."""


@dataclass
class Stand:
    """A bench and the rig that holds it."""

    bench: BitaxeGamma
    rig: Rig
    board: Board
    clock: LoopClock
    control: MemoryTransport
    ports: tuple[MemoryPort, MemoryPort]
    beats: list[float]
    told: list[Event]
    data_again: list[MemoryTransport]
    """Data ports that have come back and were not opened yet."""

    async def power_up(self, frequency_mhz: float | None = None, core_v: float | None = None) -> None:
        await self.rig.request(NAME, PowerUp(frequency_mhz=frequency_mhz, core_v=core_v))

    async def hashes(self) -> None:
        """At stock, for ten seconds and on."""
        await self.power_up()
        await self.rig.request(NAME, StartWork(work="synthetic", ticket_difficulty=32, seed=3))
        await asyncio.sleep(10.0)

    def find(self, kind: type[E]) -> list[E]:
        return [event for event in self.told if isinstance(event, kind)]

    async def wait_for(self, kind: type[E], within_s: float = 30.0) -> E:
        """The first event of this kind, past or future."""
        async with asyncio.timeout(within_s):
            async for event in self.rig.events():
                if isinstance(event, kind):
                    await asyncio.sleep(0)
                    return event
        raise AssertionError(f"no {kind.__name__}")

    async def fault(self, within_s: float = 60.0) -> FaultLatched:
        """The fault, once the safe-off that follows it is done."""
        fault: FaultLatched | None = None
        async with asyncio.timeout(within_s):
            async for event in self.rig.events():
                if isinstance(event, FaultLatched):
                    fault = event
                elif isinstance(event, SafeOffDone) and fault is not None:
                    await asyncio.sleep(0)
                    return fault
        raise AssertionError("no fault")

    async def wait_for_note(self, text: str, within_s: float = 60.0) -> None:
        """Until the log has a note with this text in it."""
        async with asyncio.timeout(within_s):
            async for event in self.rig.events():
                if isinstance(event, Note) and text in event.text:
                    return
        raise AssertionError(f"no note of {text!r}")

    async def snapshot(self) -> Snapshot:
        return await anext(self.rig.snapshots())

    def moves(self) -> list[tuple[str, str]]:
        return [(move.what, move.detail) for move in self.bench.actuations]

    def is_safe(self) -> bool:
        truth, means = self.bench.truth(asyncio.get_running_loop().time()), self.board.kind.envelope.means
        off_v = self.board.kind.envelope.core_off_below_v
        energised = truth["rail_on"] if means.rests_at_v is None else truth["rail_v"] > off_v
        return bool(truth["reset_asserted"] and not energised and truth["fan_duty"] == 1.0)

    def new_data(self) -> None:
        """The data port comes back, on a new wire, for a rig that asks for it."""
        transport, wire = memory_pair("data")
        self.ports[1].replug(wire)
        self.data_again.append(transport)

    def new_control(self) -> MemoryTransport:
        """The control port comes back, on a new wire."""
        transport, wire = memory_pair("control")
        self.ports[0].replug(wire)
        return transport


def freeze(seconds: float) -> None:
    """The rig's process stands still for so long, and wakes up. The board goes on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.skip(seconds)


async def at_once(write: Callable[[], None]) -> None:
    """Without a thread, whose end the virtual clock would not wait for."""
    write()


@contextlib.asynccontextmanager
async def stand(
    settings: BenchSettings | None = None,
    *,
    journal: Path | None = None,
    trips: Path | None = None,
    operator: OperatorLimits = UNLOCKED,
    build: Callable[[BenchSettings], BitaxeGamma] = BitaxeGamma,
    kind: BoardKind = BITAXE_GAMMA,
    sentinel: bool = True,
    kept: Kept | None = None,
) -> AsyncIterator[Stand]:
    """Beats as if a sentinel were there, unless told that there is none."""
    settings = settings or BenchSettings()
    bench = build(settings)
    (control, control_wire), (data, data_wire) = memory_pair("control"), memory_pair("data")
    ports = plug_in(bench, control_wire, data_wire)
    attached = Attached(NAME, control, data, emulated=True, dilution=settings.dilution, seed=settings.seed)
    board = await kind.open(attached)
    clock = LoopClock()
    loop = asyncio.get_running_loop()
    beats: list[float] = []
    told: list[Event] = []
    again: list[MemoryTransport] = []

    async def reopen_data() -> MemoryTransport:
        if not again:
            raise PortMissing("data", "unplugged")
        return again.pop()

    beat = (lambda: beats.append(loop.time())) if sentinel else None
    given = RigBoard(board, attached, beat, operator=operator, reopen_data=reopen_data, kept=kept)
    rig = Rig(
        [given],
        journal=None if journal is None else Journal(journal, boards=[given.info]),
        clock=clock,
        trips=trips,
        carry=at_once,
    )

    async def listen() -> None:
        async for event in rig.events():
            told.append(event)

    listener = asyncio.create_task(listen())
    try:
        async with rig:
            yield Stand(bench, rig, board, clock, control, ports, beats, told, again)
    finally:
        await listener
