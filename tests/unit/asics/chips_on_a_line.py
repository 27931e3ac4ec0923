"""A driven chain and its emulated chips, over a port in memory. No board: nothing but the line changes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from drivers.asics import ASICS
from drivers.asics.chain import Chain, Find
from drivers.transports.memory import memory_pair
from emulator.chips import MODELS
from emulator.hashing import SolvedHeaders
from emulator.physics import ChipSupply
from emulator.ports.memory import MemoryPort
from emulator.silicon.chip import MiningChip
from emulator.silicon.line import ChipLine
from tests.unit.boards.recording import Recording

STEP_MHZ = 6.25


def steady(core_v: float) -> Callable[[float], ChipSupply]:
    supply = ChipSupply(core_v, 60.0, (1.0, 1.0, 1.0, 1.0), False)
    return lambda at_s: supply


@dataclass
class ChainOnLine:
    chain: Chain
    line: ChipLine
    frames: Recording
    finds: list[Find] = field(default_factory=list)

    async def bring_up(self, frequency_mhz: float) -> None:
        """Enumerated, addressed, ramped, window written, on the fast line."""
        await self.chain.enumerate()
        await self.chain.initialise()
        clock = float(self.chain.kind.floor_clock_mhz)
        while clock < frequency_mhz:
            clock = min(clock + STEP_MHZ, frequency_mhz)
            await self.chain.set_frequency_step(clock)
            await asyncio.sleep(0.1)
        await self.chain.set_window(frequency_mhz)
        await self.chain.fast_link()


@asynccontextmanager
async def chain_of(chip: str, count: int, *, dilution: int = 1, seed: int = 1) -> AsyncIterator[ChainOnLine]:
    model, rng, solved = MODELS[chip], random.Random(seed), SolvedHeaders.load()
    supply = steady(model.nominal_core_v)
    line = ChipLine(MiningChip(model, rng, solved, dilution, supply) for _ in range(count))
    port, wire = memory_pair("data")
    MemoryPort(line, wire)
    frames = Recording(port)
    chain = Chain(frames, ASICS[chip], expected_chips=count, dilution=dilution, name="bench")
    on = ChainOnLine(chain, line, frames)
    chain.on_finds = on.finds.extend
    chain.start()
    await chain.reset_line()
    try:
        yield on
    finally:
        await chain.aclose()
