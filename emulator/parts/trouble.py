"""What can be wrong with an I2C bus and with the traffic on it."""

from __future__ import annotations

import random
from collections.abc import Callable
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


Change = Callable[[bytes], bytes | None]
"""The payload of a write, to what the part takes instead; None: it acknowledges and takes nothing."""


class BusTrouble:
    """What is wrong with a bus at the moment. All empty: nothing, and the bus looks no further."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.held_low = False
        """A part holds SDA: no transfer can begin."""
        self.silent: dict[int, float] = {}
        """Address to the share of its transfers that it does not acknowledge."""
        self.garbage: set[int] = set()
        """Addresses whose every read is noise."""
        self.deaf: set[int] = set()
        """Addresses that acknowledge writes and ignore them."""
        self.frozen: dict[int, dict[tuple[bytes, int], bytes]] = {}
        """Addresses that repeat the first answer they gave to each question since they froze."""
        self.stuck: dict[int, dict[int, bytes]] = {}
        """Address to register to the bytes that a read of this register gives, whatever is true."""
        self.changed: dict[tuple[int, int], tuple[Change, int]] = {}
        """Address and register to what becomes of writes, and of how many more."""
        self.behind: dict[tuple[int, int], bytes | None] = {}
        """Address and register whose reads give what was there before the last write; None: no write has come."""
        self.armed = False

    def arm(self) -> None:
        """Call after any change."""
        self.armed = bool(
            self.held_low
            or self.silent
            or self.garbage
            or self.deaf
            or self.frozen
            or self.stuck
            or self.changed
            or self.behind
        )

    def heal(self, address: int | None = None) -> None:
        """Take all trouble off one address, or off the whole bus."""
        if address is None:
            self.held_low = False
            for trouble in (self.silent, self.garbage, self.deaf, self.frozen, self.stuck, self.changed, self.behind):
                trouble.clear()
        else:
            self.garbage.discard(address)
            self.deaf.discard(address)
            for known in (self.silent, self.frozen, self.stuck):
                known.pop(address, None)
            for place in [*self.changed, *self.behind]:
                if place[0] == address:
                    self.changed.pop(place, None)
                    self.behind.pop(place, None)
        self.arm()

    # --- what the bus asks, while armed

    def refuses(self, address: int) -> bool:
        """Whether this transfer is not acknowledged."""
        if self.held_low:
            return True
        share = self.silent.get(address, 0.0)
        return share >= 1.0 or (share > 0.0 and self._rng.random() < share)

    def written(self, target: I2cTarget, data: bytes, at_s: float) -> bytes | None:
        """What the part gets to see of a write; None: nothing, and it acknowledges."""
        if target.address in self.deaf:
            return None
        place = (target.address, data[0])
        if len(data) > 1 and place in self.changed:
            change, left = self.changed[place]
            if left > 1:
                self.changed[place] = (change, left - 1)
            else:
                del self.changed[place]
                self.arm()
            payload = change(data[1:])
            if payload is None:
                return None
            data = data[:1] + payload
        if len(data) > 1 and place in self.behind:
            self.behind[place] = target.write_read(data[:1], len(data) - 1, at_s)
        return data

    def read(self, address: int, asked: bytes, count: int, answer: bytes | None) -> bytes | None:
        """What the host gets to see of an answer."""
        if answer is None:
            return None
        if asked:
            fixed = self.stuck.get(address, {}).get(asked[0]) or self.behind.get((address, asked[0]))
            if fixed is not None:
                return (fixed + b"\xff" * count)[:count]
        if address in self.garbage:
            return self._rng.randbytes(count)
        if (kept := self.frozen.get(address)) is not None:
            return kept.setdefault((asked, count), answer)
        return answer
