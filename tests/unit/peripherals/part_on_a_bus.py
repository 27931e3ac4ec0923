"""An emulated part on a bus of its own, as its driver sees it, with the faults that every part can take."""

from __future__ import annotations

from typing import cast

from drivers.errors import Nack
from emulator.faults.bus import BusFaults
from emulator.faults.topic import FaultyBench
from emulator.parts import I2cBus, I2cTarget


class PartOnABus:
    """An `I2c` over the emulator's bus. Its clock stands still until a test moves it."""

    def __init__(self, **targets: I2cTarget) -> None:
        """Targets under the names by which faults call them."""
        self.now_s = 1.0
        # What strikes the bus alone asks nothing of the board around it.
        self.faults = BusFaults(cast(FaultyBench, None), {name: part.address for name, part in targets.items()}, seed=1)
        self._bus = I2cBus(targets.values(), self.faults.bus)

    async def write(self, address: int, data: bytes) -> None:
        if not self._bus.write(address, data, self.now_s):
            raise Nack(address, "I2C Write Error")

    async def read(self, address: int, count: int) -> bytes:
        return self._checked(address, self._bus.read(address, count, self.now_s))

    async def write_read(self, address: int, data: bytes, count: int) -> bytes:
        return self._checked(address, self._bus.write_read(address, data, count, self.now_s))

    @staticmethod
    def _checked(address: int, answer: bytes | None) -> bytes:
        if answer is None:
            raise Nack(address, "I2C Read Error")
        return answer
