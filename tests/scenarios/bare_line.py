"""A bare line of emulated chips that hashes, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from controller.barehash import BareHash, BareOutcome, BareWish
from controller.barejournal import Accepted, BareJournal
from controller.clock import LoopClock
from controller.journal import Journal
from controller.model import (
    StartWork,
    WorkSnapshot,
)
from drivers.asics import ASICS
from drivers.asics.chain import Chain
from drivers.codecs.bm13xx import (
    DeviceCodec,
)
from drivers.transports.memory import memory_pair
from drivers.units import Megahertz, Seconds
from emulator.benches.hashboard import HashBoard, HashBoardModel
from emulator.ports.memory import MemoryPort
from tests.unit.boards.recording import Recording


class Spell:
    """A line of emulated chips, and one spell of hashing on it."""

    def __init__(
        self,
        kind: str = "BM1362",
        chips: int = 12,
        *,
        mhz: float = 50.0,
        seconds: float = 20.0,
        work: str = "pattern",
        dilution: int = 1,
        expected: int | None = None,
        journal: Journal | None = None,
        own_mhz: dict[int, float] | None = None,
    ) -> None:
        self.kind = ASICS[kind]
        self.bench = HashBoard(HashBoardModel("bench", ((kind, chips),)), dilution=dilution)
        port, self.wire = memory_pair("data")
        self.port, self.carrier = Recording(port), MemoryPort(self.bench.data, self.wire)
        self.chain = Chain(self.port, self.kind, expected_chips=expected or chips, dilution=dilution, name="bench")
        own = {chip: Megahertz(clock) for chip, clock in (own_mhz or {}).items()}
        wish = BareWish(StartWork.model_validate({"work": work}), Megahertz(mhz), Seconds(seconds), own)
        self.clock = LoopClock()
        self.on_look: Callable[[], None] = lambda: None
        told = BareJournal(self.chain, self.clock, journal)
        told.begun(Accepted("bench supply", None, None, seconds), work, Megahertz(mhz), own, watched=False)
        self.hash = BareHash(self.chain, wish, self.clock, None, self._looked, told)
        self.decided_s = 0.0

    def _looked(self, phase: str, work: WorkSnapshot | None) -> None:
        self.on_look()

    def after(self, seconds: float, what: Callable[[], Any]) -> None:
        """So long after the chips have begun to hash."""

        def wait() -> None:
            if self.bench.hashing:
                self.on_look = lambda: None
                asyncio.get_running_loop().call_later(seconds, strike)

        def strike() -> None:
            self.decided_s = asyncio.get_running_loop().time()
            what()

        self.on_look = wait

    async def run(self) -> BareOutcome:
        outcome = await self.hash.run()
        self.ended_s = asyncio.get_running_loop().time()
        return outcome

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def still(self) -> bool:
        return not self.bench.hashing and self.bench.fastest_mhz == self.kind.floor_clock_mhz

    def heard(self) -> list[Any]:
        """What the chips were sent, as a chip decodes it."""
        codec = DeviceCodec(full_header_jobs=not self.kind.midstates)
        return list(codec.feed(b"".join(data for _, data in self.port.writes)))
