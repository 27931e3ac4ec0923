"""The life of a healthy board under a rig, with all that it may go through, and every doubt that it raised."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

from controller.model import FaultLatched, PowerDown, Quality, SafeOff, SetOperatingPoint, StartWork, StopWork
from drivers.boards.board import Channel
from drivers.errors import Refused
from emulator.benches import BenchSettings
from emulator.physics import PlantSettings
from tests.scenarios.gamma import NAME, Stand, stand

NOT_ALWAYS_READ = frozenset({Channel.INPUT_W, Channel.FREQUENCY_MHZ})
"""A Gamma has no sensor for the one and, while the chip is down, no answer for the other."""


def honest(seed: int) -> BenchSettings:
    """One specimen in one room, drawn from the seed."""
    rng = random.Random(f"{seed}/room")
    plant = PlantSettings(spread=True, source_v=rng.uniform(5.2, 5.4), source_ohm=rng.uniform(0.06, 0.09))
    return BenchSettings(seed=seed, dilution=1 << 31, ambient_c=rng.uniform(2.0, 26.0), plant=plant)


class Doubts:
    """Every reading of a rig that was not good, by channel and evidence."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.readings = 0

    async def watch(self, s: Stand) -> None:
        async for snapshot in s.rig.snapshots():
            for channel, reading in snapshot.boards[0].channels.items():
                self.readings += 1
                if reading.quality is not Quality.GOOD and channel not in NOT_ALWAYS_READ:
                    self.found[
                        f"{snapshot.at_s:.1f} s {channel.value} {reading.quality.value}: {reading.evidence}"
                    ] += 1


async def live(s: Stand, rng: random.Random, until_s: float) -> None:
    """Power-ups, moves, work, pauses and stops of both kinds, until the time is over."""
    loop = asyncio.get_running_loop()
    while loop.time() < until_s:
        await s.power_up(rng.choice([400.0, 450.0, 525.0, 550.0]), rng.choice([1.0, 1.05, 1.1, 1.15]))
        if rng.random() < 0.9:
            pattern = rng.random() < 0.2
            rare = StartWork(work="synthetic", ticket_difficulty=256)  # a find a second: cheap to emulate
            await s.rig.request(NAME, StartWork(work="pattern") if pattern else rare)
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(rng.choice([0.5, 3.0, 10.0, 40.0, 200.0, 600.0]))
            with contextlib.suppress(Refused):
                point = SetOperatingPoint(
                    frequency_mhz=rng.choice([None, 400.0, 475.0, 500.0, 575.0]),
                    core_v=rng.choice([1.0, 1.04, 1.1, 1.15, 1.18]),
                    preset=True,
                )
                await s.rig.request(NAME, point)
            if rng.random() < 0.2:
                s.bench.faults.ambient_c(rng.uniform(2.0, 26.0))
        if rng.random() < 0.3:
            await s.rig.request(NAME, StopWork())
            await asyncio.sleep(rng.choice([1.0, 40.0]))
        await s.rig.request(NAME, PowerDown() if rng.random() < 0.5 else SafeOff())
        await asyncio.sleep(rng.choice([0.3, 2.0, 30.0, 120.0, 900.0]))
        if s.bench.plant.die_c > 44.0:  # a start needs a die below 45 C
            await asyncio.sleep(300.0)


async def lead(seed: int, for_s: float) -> tuple[Doubts, list[FaultLatched]]:
    """One board from its first contact on, for so many seconds of its own time."""
    doubts = Doubts()
    async with stand(honest(seed)) as s:
        watching = asyncio.create_task(doubts.watch(s))
        await live(s, random.Random(f"{seed}/life"), asyncio.get_running_loop().time() + for_s)
        faults = s.find(FaultLatched)
    await watching
    return doubts, faults
