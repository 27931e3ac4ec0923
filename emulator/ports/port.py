"""What carries a device, whatever the wire: its clock, and one timer for the next moment at which it will speak."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from emulator.device import Device


class DevicePort(ABC):
    """Device time is loop time minus `origin_s`."""

    def __init__(self, device: Device, loop: asyncio.AbstractEventLoop | None, origin_s: float) -> None:
        self.device = device
        """What it carries. May be replaced by another that stands between."""
        self._loop = loop or asyncio.get_running_loop()
        self._origin_s = origin_s
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = float("inf")
        self._return: asyncio.TimerHandle | None = None

    @abstractmethod
    def _wake(self) -> None:
        """The timer rang: carry what the device has to say, then `_schedule` again."""

    @abstractmethod
    def replug(self) -> None:
        """The port comes back; nothing when it is there."""

    def replug_later(self, after_s: float) -> None:
        """The port comes back after so long, unless it is unplugged once more."""
        self._stay_away()
        self._return = self._loop.call_later(after_s, self.replug)

    def look(self) -> None:
        """The device may have something to say earlier than it said."""
        if self.plugged:
            self._schedule()

    @property
    @abstractmethod
    def plugged(self) -> bool: ...

    def _stay_away(self) -> None:
        if self._return is not None:
            self._return.cancel()
            self._return = None

    def _now_s(self) -> float:
        return self._loop.time() - self._origin_s

    def _schedule(self) -> None:
        due_s = self.device.wakes_at()
        # A timer that fires too early asks again; only one that would be late is replaced.
        if due_s is not None and due_s < self._due_s:
            self._cancel()
            self._due_s = due_s
            self._timer = self._loop.call_at(due_s + self._origin_s, self._wake)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due_s = None, float("inf")

    def _rang_at_s(self) -> float:
        """For `_wake`: the time to carry the device to. The timer is spent."""
        at_s = max(self._due_s, self._now_s())
        self._timer, self._due_s = None, float("inf")
        return at_s
