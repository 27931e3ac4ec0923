"""Changes on trial: which point counts as kept, and when the rig goes back to it by itself. Moves nothing.

A change that is made to be kept within some seconds goes back unless somebody keeps it: when the time is over, or as
soon as a temperature passes its warning level under a change that asks for more power. The clock of it is the rig's,
so that a screen that died, froze or lost its connection changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from controller.model import Channel, Envelope, OperatingPoint, PendingPoint, Quality, Reading, WorkSnapshot
from controller.work.statistics import wilson_interval

ERROR_SHARE: Final = 0.02
ERROR_CONFIDENCE: Final = 0.999
ERROR_AT_LEAST: Final = 100
RETRY_S = 1.0
"""A way back that the guard refuses is asked for again so often."""


class Keeper:
    """One per board. `go_back` is called once a trial, in the loop, with the trial and the reason."""

    def __init__(self, envelope: Envelope, go_back: Callable[[PendingPoint, str], None]) -> None:
        self._envelope, self._go_back = envelope, go_back
        self.kept: OperatingPoint | None = None
        """The last point that a person or a script meant to stay; None while the board is off."""
        self.pending: PendingPoint | None = None
        self._hotter = False
        self._called = False
        self._counted: tuple[int, int] | None = None
        """Verified and wrong nonces when the trial began to count."""
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, point: OperatingPoint) -> None:
        """This point stays, and no trial goes on."""
        self._end()
        self.kept = point

    def try_out(self, point: OperatingPoint, keep_within_s: float) -> PendingPoint:
        """`point` is on trial from now on. An earlier trial that goes on goes back to where that one would have."""
        self._end()
        if self.kept is None:
            raise ValueError("no point was kept yet: there is nothing to go back to")
        loop = asyncio.get_running_loop()
        trial = PendingPoint(revert_to=self.kept, until_s=loop.time() + keep_within_s, keep_within_s=keep_within_s)
        self.pending = trial
        self._hotter = _heat(point) > _heat(self.kept)
        self._timer = loop.call_later(keep_within_s, self._call, f"not kept within {keep_within_s:g} s")
        return trial

    def look(self, channels: Mapping[Channel, Reading], work: WorkSnapshot | None = None) -> None:
        """Each sweep: what does not wait for the time of the trial. A change toward more heat that reaches a warning
        level, and any change under which surely more than 2 % of the nonces do not hash."""
        if self.pending is None or self._called:
            return
        self._errors(work)
        if self._called or not self._hotter:
            return
        e = self._envelope
        for channel, limit in ((Channel.CHIP_C, e.chip_c_warn), (Channel.VR_C, e.vr_c_warn)):
            reading = channels.get(channel)
            if reading is None or reading.value is None or reading.quality is not Quality.GOOD:
                continue
            if reading.value >= limit:
                self._call(f"{channel.value} is {reading.value:g} C, at its warning level of {limit:g} C")
                return

    def give_up(self, point: OperatingPoint, why: str) -> None:
        """A change toward `point` got stuck on its way: back at once."""
        self.try_out(point, RETRY_S)
        self._call(why)

    def fail(self, why: str) -> None:
        """Something has gone wrong under the change on trial, if there is one: back at once."""
        self._call(why)

    def _errors(self, work: WorkSnapshot | None) -> None:
        if work is None or not work.running:
            self._counted = None
            return
        if self._counted is None or work.verified < self._counted[0] or work.hw_errors < self._counted[1]:
            self._counted = (work.verified, work.hw_errors)
        good, bad = work.verified - self._counted[0], work.hw_errors - self._counted[1]
        interval = wilson_interval(bad, good + bad, ERROR_CONFIDENCE) if good + bad >= ERROR_AT_LEAST else None
        if interval is not None and interval[0] > ERROR_SHARE:
            share = 100 * bad / (good + bad)
            self._call(f"{bad} of {good + bad} nonces do not hash ({share:.1f} %), more than {100 * ERROR_SHARE:g} %")

    def refused(self, trial: PendingPoint, why: str) -> bool:
        """The way back is not allowed now: the trial goes on, and says so. False when it is over anyway."""
        if self.pending is None or self.pending.until_s != trial.until_s:
            return False
        self.pending = self.pending.model_copy(update={"refused": why})
        return True

    def forget(self) -> None:
        """The board is on its way to safe-off: nothing is kept, nothing goes back."""
        self._end()
        self.kept = None

    def _call(self, why: str) -> None:
        if self.pending is not None and not self._called:
            self._called = True
            self._go_back(self.pending, why)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.pending, self._called, self._counted = None, None, False, None


def _heat(point: OperatingPoint) -> float:
    """What the dynamic power of a chip is in proportion to."""
    return (point.core_v or 0.0) ** 2 * (point.frequency_mhz or 0.0)
