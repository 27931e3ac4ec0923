"""The thermometers of the chips themselves: one chip a call, a measurement of all of them when it is due."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from drivers.asics.kind import DieThermometer, InitStep
from drivers.asics.records import Chip
from drivers.errors import NoReply

DIE_EVERY_S: Final = 15.0
"""As ESP-Miner-NerdQAxePlus does; nobody was seen to measure more often."""


class Dies:
    """Of one chain. `thermometer`: None where the kind has none, and then nothing happens here."""

    def __init__(self, thermometer: DieThermometer | None) -> None:
        self._thermometer = thermometer
        self.forget()

    def forget(self) -> None:
        """The chips are in reset."""
        self._measures, self._measured_s = 0, -math.inf
        """The chip that is read next, and when a measurement was begun last."""

    async def read(
        self,
        chips: Sequence[Chip],
        read: Callable[[int, int], Awaitable[int]],
        play: Callable[[InitStep], Awaitable[None]],
    ) -> None:
        """The next chip's, into `chips`; behind the last of them the next measurement is begun, which is all that a
        call does until it is due. `read`: a register of an address; raises `NoReply`."""
        thermometer, now_s = self._thermometer, asyncio.get_running_loop().time()
        if thermometer is None or not chips:
            return
        if not self._measures and now_s - self._measured_s < DIE_EVERY_S:
            return
        chip = chips[self._measures]
        try:
            word = await read(thermometer.result, chip.address)
            chip.die_c, chip.die_at_s = thermometer.celsius(word), now_s
        except NoReply:
            chip.die_c = None
        self._measures = (self._measures + 1) % len(chips)
        if not self._measures:
            self._measured_s = now_s
            for step in thermometer.start:
                await play(step)
