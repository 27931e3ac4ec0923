"""A Bitaxe on its emulated bench, in memory and virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from controller.safety import ordering
from drivers.boards import BOARDS
from drivers.boards.bitaxe import Bitaxe
from drivers.boards.bitaxe_gamma import BITAXE_GAMMA
from drivers.boards.board import Attached, BoardKind, Step
from drivers.boards.leased_gamma import LeasedGamma
from drivers.boards.leased_gamma import open_board as open_leased
from drivers.transports.memory import MemoryTransport, MemoryWire, memory_pair
from drivers.units import Megahertz, Volts
from emulator.benches import BENCHES, BenchSettings
from emulator.benches.bitaxe import Bitaxe as BitaxeBench
from emulator.benches.leased_gamma import LeasedGamma as LeasedBench
from emulator.ports.memory import MemoryPort, plug_in
from tests.unit.boards.recording import Recording

SUPPLY_SETTLES_S = 0.1
ROWS = (*sorted(BOARDS), *(f"{name}:{dialect}" for name in sorted(BOARDS) for dialect in BOARDS[name].other_dialects))
"""Every board, and again behind each firmware of it that answers in another dialect than most: `emberone00:C`."""


def row_of(name: str) -> BoardKind:
    """One of `ROWS`."""
    board, _, dialect = name.partition(":")
    return BOARDS[board].behind(dialect or None)


def bench_of(name: str, settings: BenchSettings | None = None) -> BitaxeBench:
    """The bench of one of `ROWS`."""
    board, _, dialect = name.partition(":")
    bench = BENCHES[board](replace(settings or BenchSettings(), dialect=dialect or None))
    assert isinstance(bench, BitaxeBench)
    return bench


@dataclass
class OnBench:
    """A board and what it hangs on. `control_frames` and `data_frames` are what the host wrote."""

    bench: BitaxeBench
    board: Bitaxe
    control: MemoryWire
    data: MemoryWire
    control_frames: Recording
    data_frames: Recording

    def truth(self, key: str) -> object:
        return self.bench.truth(asyncio.get_running_loop().time())[key]

    async def apply(self, *steps: Step) -> None:
        """Each step and its settle time, as a rig does it."""
        for step in steps:
            await self.board.apply(step)
            await asyncio.sleep(step.settle_s)

    async def power_up(self, frequency_mhz: float | None = None, core_v: float | None = None) -> None:
        """The steps that the guard makes of a power-up; to stock where nothing is said."""
        limits = self.board.kind.envelope
        core_v, frequency_mhz = core_v or limits.stock_core_v, frequency_mhz or limits.stock_frequency_mhz
        steps = ordering.power_up(limits, Volts(core_v), Megahertz(frequency_mhz), None)
        await self.apply(*steps)


@asynccontextmanager
async def bitaxe(
    name: str, settings: BenchSettings | None = None, *, taken_for: str | None = None
) -> AsyncIterator[OnBench]:
    """A board of `ROWS` that was just attached. Nothing was sent yet. `taken_for`: the row that it is driven by."""
    bench = bench_of(name, settings)
    control, control_wire = memory_pair("control")
    data, data_wire = memory_pair("data")
    plug_in(bench, control_wire, data_wire)
    await asyncio.sleep(SUPPLY_SETTLES_S)
    control_frames, data_frames = Recording(control), Recording(data)
    attached = Attached(name, control_frames, data_frames, emulated=True, dilution=bench.settings.dilution)
    board = await row_of(taken_for or name).open(attached)
    assert isinstance(board, Bitaxe)
    try:
        yield OnBench(bench, board, control_wire, data_wire, control_frames, data_frames)
    finally:
        await board.aclose()


def gamma(settings: BenchSettings | None = None) -> AbstractAsyncContextManager[OnBench]:
    return bitaxe("bitaxe-gamma", settings)


@dataclass
class OnLeasedBench:
    """A board with a host lease, and what it hangs on."""

    bench: LeasedBench
    board: LeasedGamma
    port: MemoryPort

    def truth(self, key: str) -> object:
        return self.bench.truth(asyncio.get_running_loop().time())[key]

    def new_control(self) -> MemoryTransport:
        """The control port on a new wire; the old one hangs up."""
        control, wire = memory_pair("control")
        self.port.hang_up()
        self.port.replug(wire)
        return control

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """The lease is taken, and renewed all along."""
        await self.board.lease.arm()

        async def beat() -> None:
            while True:
                await asyncio.sleep(0.5)
                await self.board.lease.heartbeat()

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def power_up(self, frequency_mhz: float = 400.0, core_v: float = 1.1) -> None:
        """The steps that the guard makes of a power-up."""
        for step in ordering.power_up(BITAXE_GAMMA.envelope, Volts(core_v), Megahertz(frequency_mhz), None):
            await self.board.apply(step)
            await asyncio.sleep(step.settle_s)


@asynccontextmanager
async def leased() -> AsyncIterator[OnLeasedBench]:
    """A board with a host lease, that was just attached. Nothing was sent yet."""
    bench = LeasedBench()
    control, control_wire = memory_pair("control")
    data, data_wire = memory_pair("data")
    port, _ = plug_in(bench, control_wire, data_wire)
    await asyncio.sleep(SUPPLY_SETTLES_S)
    board = await open_leased(Attached("leased", control, data, emulated=True))
    try:
        yield OnLeasedBench(bench, board, port)
    finally:
        await board.aclose()
