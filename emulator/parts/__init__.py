"""Parts on the I2C bus of a board, answering byte for byte, and the bus that carries (or spoils) a transfer."""

from __future__ import annotations

from collections.abc import Iterable

from emulator.parts.trouble import BusTrouble, I2cTarget

__all__ = ["BusTrouble", "I2cBus", "I2cTarget"]


class I2cBus:
    """One bus. An address that no part holds is not acknowledged, which is all that the bridge can tell its host."""

    def __init__(self, targets: Iterable[I2cTarget], trouble: BusTrouble) -> None:
        self._targets = {target.address: target for target in targets}
        self._trouble = trouble

    def write(self, address: int, data: bytes, at_s: float) -> bool:
        target = self._targets.get(address)
        if target is None:
            return False
        trouble = self._trouble
        if not trouble.armed:
            return target.write(data, at_s)
        if trouble.refuses(address):
            return False
        taken = trouble.written(target, data, at_s)
        return taken is None or target.write(taken, at_s)

    def read(self, address: int, count: int, at_s: float) -> bytes | None:
        target = self._targets.get(address)
        if target is None:
            return None
        trouble = self._trouble
        if not trouble.armed:
            return target.read(count, at_s)
        return None if trouble.refuses(address) else trouble.read(address, b"", count, target.read(count, at_s))

    def write_read(self, address: int, data: bytes, count: int, at_s: float) -> bytes | None:
        target = self._targets.get(address)
        if target is None:
            return None
        trouble = self._trouble
        if not trouble.armed:
            return target.write_read(data, count, at_s)
        if trouble.refuses(address):
            return None
        return trouble.read(address, data, count, target.write_read(data, count, at_s))
