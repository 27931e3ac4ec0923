"""Parts on the I2C bus of a board, answering byte for byte, and the bus that carries (or spoils) a transfer."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Protocol


class I2cTarget(Protocol):
    """One part on the bus, at a 7-bit address. Time is an argument; a part reads no clock."""

    address: int

    def write(self, data: bytes, at_s: float) -> bool:
        """Take one or more bytes. False: the part did not acknowledge."""
        ...

    def read(self, count: int, at_s: float) -> bytes | None:
        """Give `count` bytes without a register being named first. None: not acknowledged."""
        ...

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        """Write, repeated start, give `count` bytes. None: not acknowledged."""
        ...


class BusTrouble:
    """What is wrong with a bus at the moment. All empty: nothing, and the bus looks no further."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.silent: set[int] = set()
        """Addresses that acknowledge nothing."""
        self.garbage: set[int] = set()
        """Addresses whose every read is noise."""
        self.deaf: set[int] = set()
        """Addresses that acknowledge writes and ignore them."""
        self.frozen: dict[int, dict[tuple[bytes, int], bytes]] = {}
        """Addresses that repeat the first answer they gave to each question since they froze."""
        self.stuck: dict[int, dict[int, bytes]] = {}
        """Address to register to the bytes that a read of this register gives, whatever is true."""
        self.armed = False

    def arm(self) -> None:
        """Call after any change."""
        self.armed = bool(self.silent or self.garbage or self.deaf or self.frozen or self.stuck)

    def heal(self, address: int | None = None) -> None:
        """Take all trouble off one address, or off the whole bus."""
        for addresses in (self.silent, self.garbage, self.deaf):
            addresses.intersection_update(() if address is None else addresses - {address})
        for answers in (self.frozen, self.stuck):
            for known in list(answers):
                if address is None or known == address:
                    del answers[known]
        self.arm()

    def noise(self, count: int) -> bytes:
        return self._rng.randbytes(count)


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
        if trouble.armed:
            if address in trouble.silent:
                return False
            if address in trouble.deaf:
                return True
        return target.write(data, at_s)

    def read(self, address: int, count: int, at_s: float) -> bytes | None:
        target = self._targets.get(address)
        if target is None:
            return None
        if self._trouble.armed and address in self._trouble.silent:
            return None
        answer = target.read(count, at_s)
        return self._spoil(address, b"", count, answer) if self._trouble.armed else answer

    def write_read(self, address: int, data: bytes, count: int, at_s: float) -> bytes | None:
        target = self._targets.get(address)
        if target is None:
            return None
        if self._trouble.armed and address in self._trouble.silent:
            return None
        answer = target.write_read(data, count, at_s)
        return self._spoil(address, data, count, answer) if self._trouble.armed else answer

    def _spoil(self, address: int, asked: bytes, count: int, answer: bytes | None) -> bytes | None:
        trouble = self._trouble
        if answer is None:
            return None
        if asked and (stuck := trouble.stuck.get(address, {}).get(asked[0])) is not None:
            return (stuck + b"\xff" * count)[:count]
        if address in trouble.garbage:
            return trouble.noise(count)
        if (kept := trouble.frozen.get(address)) is not None:
            return kept.setdefault((asked, count), answer)
        return answer
