"""Faults of the chip: what it returns, and what it only seems to do."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Annotated, Final

from emulator.device import Burst
from emulator.faults.actions import action
from emulator.faults.arguments import BadArgument, Choice, Count, Number, Off, Share, Whole
from emulator.faults.topic import FaultyBench, Topic, UartChip
from emulator.physics import DOMAINS

ChipIndex = Annotated[int, Whole(0, 127, chooses=True)]
"""Along the chain, from the host. What a board has is checked by the action."""
_NONCE_BIT: Final = 0x80
"""In the last byte of a reply: a nonce, not a register."""


class SpoiltChip:
    """Stands between the chip and the firmware: each burst of the chip is one frame."""

    def __init__(self, chip: UartChip, is_up: Callable[[], bool]) -> None:
        self._chip, self._is_up = chip, is_up
        self.swallows = ""
        """`nonces`, `all`, or nothing."""
        self.repeats = 0
        self.every_s = 0.0
        self.swallowed = self.repeated = 0
        """Frames so far."""
        self._storm: list[tuple[float, Burst]] = []

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        self._chip.receive(burst, at_s, previous_baud)

    def transmit(self, at_s: float) -> list[Burst]:
        out = [burst for burst in self._chip.transmit(at_s) if not self._swallow(burst)]
        if self._storm and not self._is_up():
            self._storm.clear()
        again: list[Burst] = []
        while self._storm and self._storm[0][0] <= at_s:
            again.append(heapq.heappop(self._storm)[1])
        self.repeated += len(again)
        if self.repeats and not self._storm and not again:
            begun = next((burst for burst in out if burst.data[-1] & _NONCE_BIT), None)
            if begun is not None:
                self._storm = [(at_s + self.every_s * (turn + 1), begun) for turn in range(self.repeats)]
        return [*again, *out]

    def wakes_at(self) -> float | None:
        own_s = self._chip.wakes_at()
        if not self._storm:
            return own_s
        return self._storm[0][0] if own_s is None else min(own_s, self._storm[0][0])

    def storm(self, repeats: int, every_s: float) -> None:
        self.repeats, self.every_s = repeats, every_s
        self._storm.clear()

    def _swallow(self, burst: Burst) -> bool:
        gone = self.swallows == "all" or (self.swallows == "nonces" and bool(burst.data[-1] & _NONCE_BIT))
        self.swallowed += gone
        return gone


class ChipFaults(Topic):
    """Chip"""

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        super().__init__(bench, parts, seed)
        self._dead_domains: dict[int, set[int]] = {}
        self._weak: set[int] = set()
        self._spoilt: SpoiltChip | None = None

    def _end_all(self) -> None:
        for chip in self._dead_domains:
            self._bench.set_dead_domains((), chip)
        for chip in self._weak:
            self._bench.set_chip_needs(chip, 0.0)
        self._dead_domains.clear()
        self._weak.clear()
        self._bench.break_chain(None)
        self._bench.set_wrong_share(0.0)
        if self._spoilt is not None:
            self._spoilt.swallows = ""
            self._spoilt.storm(0, 0.0)
        super()._end_all()

    @property
    def spoilt_chip(self) -> SpoiltChip:
        """What stands between chip and firmware; put there by the first fault that needs it."""
        if self._spoilt is None:

            def wrap(chip: UartChip) -> UartChip:
                self._spoilt = SpoiltChip(chip, self._bench.chip_is_up)
                return self._spoilt

            self._bench.wrap_chip(wrap)
        assert self._spoilt is not None
        return self._spoilt

    @action("ESP-Miner #1053, PR#1806")
    def silence_chip(self, replies: Annotated[str, Choice(("nonces", "all"))] = "nonces", *, off: Off = False) -> None:
        """The chip returns no nonces, or nothing at all, and draws full power."""
        self.spoilt_chip.swallows = "" if off else replies

    @action("the yield falls in quarters, one domain after the other: emulator/physics.py")
    def kill_domain(
        self, domain: Annotated[int, Whole(0, DOMAINS - 1, chooses=True)] = 0, chip: ChipIndex = 0, *, off: Off = False
    ) -> None:
        """One voltage domain of a chip has no clock: its nonces are missing, and it makes no errors."""
        self._check_chip(chip)
        dead = self._dead_domains.setdefault(chip, set())
        dead.discard(domain)
        if not off:
            dead.add(domain)
        self._bench.set_dead_domains(frozenset(dead), chip)

    @action("a chip that does not pass its line on: docs/wire/bm13xx.md")
    def break_chain(self, chip: ChipIndex = 0, *, off: Off = False) -> None:
        """This chip and those behind it hear nothing and are not heard. What they hash they go on hashing. One break at
        a time."""
        self._check_chip(chip)
        self._bench.break_chain(None if off else chip)

    @action("four chips at equal settings hashed 603, 516, 602 and 534 GH/s: reference, physics")
    def weaken_chip(
        self, chip: ChipIndex = 0, by_mv: Annotated[float, Number(0.0, 500.0, "mV")] = 100.0, *, off: Off = False
    ) -> None:
        """A chip needs so much more voltage than it was built with: some of its results are wrong."""
        self._check_chip(chip)
        (self._weak.discard if off else self._weak.add)(chip)
        self._bench.set_chip_needs(chip, 0.0 if off else by_mv)

    def _check_chip(self, chip: int) -> None:
        chips = self._bench.chip_count
        if chip >= chips:
            raise BadArgument("chip", chip, f"whole, 0 to {chips - 1}")

    @action("ESP-Miner #1820: one nonce about 200 times, every 11 ms")
    def duplicate_storm(
        self, times: Count = 200, every_s: Annotated[float, Number(0.0001, 10.0, "s")] = 0.011, *, off: Off = False
    ) -> None:
        """A nonce is sent so many times more; then the next one is."""
        self.spoilt_chip.storm(0 if off else times, every_s)

    @action("ESP-Miner #1380: error rates up to above 100 % at extreme clocks")
    def corrupt_nonces(self, p: Share = 0.1, *, off: Off = False) -> None:
        """This share of the nonces does not hash: one bit of each is wrong, its checksum is right."""
        self._bench.set_wrong_share(0.0 if off else p)
