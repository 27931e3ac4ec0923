"""Keeps the host lease of one board, where its firmware has one (docs/adr/0006-host-lease.md).

The loop that watches the sensors beats, after a sweep and at no other time: a loop that is stuck, a rig that is frozen,
a sentinel that carries no bytes and a cable that is out all end the same way, with firmware that makes the board safe.
A board without a lease has a keeper too; it has nothing to do.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controller.model import Cause
from drivers.bridges.lease import HostLease, LeaseFault, LeaseStatus
from drivers.errors import BridgeRefused, DeviceError, HashbridgeError, NoReply, Refused, UnexpectedReply

log = logging.getLogger(__name__)

BEAT_S: Final = 0.5
LOST_S: Final = 1.5
"""So long without a heartbeat that was confirmed, and the rig makes safe itself, half a second before the firmware."""
EXPLAIN_S: Final = 0.2
"""Longest that a fault waits for the firmware's own word."""
_EXPLAINED: Final = frozenset(
    {
        Cause.REGULATOR_OFF,
        Cause.INPUT_LOW,
        Cause.ACTUATION,
        Cause.CHIP_SILENT,
        Cause.SENSOR_STALE,
        Cause.SENSOR_BUS,
    }
)
"""What a board looks like that its firmware has made safe, and what its readings look like to a rig that was frozen."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a lease no longer holds."""

    cause: Cause
    detail: str


class LeaseKeeper:
    """`lease` is asked anew each time: it changes with the control port. None: the firmware has none."""

    def __init__(self, lease: Callable[[], HostLease | None]) -> None:
        self._lease = lease
        self._armed = False
        self._due_s = math.inf
        self._confirmed_s = -math.inf
        """When the last heartbeat that was confirmed was sent: the firmware counts from later."""
        self._why = "none was due"

    @property
    def there(self) -> bool:
        """The firmware of this board has a lease."""
        return self._lease() is not None

    def held(self) -> bool:
        """Armed, and confirmed a moment ago. Only then it protects anything."""
        return self._armed and _now_s() - self._confirmed_s < LOST_S

    def left_s(self) -> float | None:
        """When the firmware will have made the board safe if it hears nothing more; None without a lease that holds."""
        lease = self._lease()
        return self._confirmed_s + lease.lease_s - _now_s() if lease is not None and self._armed else None

    async def arm(self) -> Ended | None:
        """Before anything is energised. Raises `Refused` and what `HostLease` raises; `Ended`: a fault is latched.

        Arming makes a firmware's outputs safe first, so a board that is not safe is not armed.
        """
        lease = self._lease()
        if lease is None:
            return None
        found = await lease.status()
        if found.fault is not None:
            return _latched(found)
        if not found.outputs_safe:
            raise Refused("interlock", f"the lease is armed on a safe board alone; the bridge says: {found.detail}")
        sent_s = _now_s()
        await lease.arm()
        self._armed, self._confirmed_s, self._due_s = True, sent_s, sent_s + BEAT_S
        return None

    async def look(self, *, watched: bool) -> Ended | None:
        """After each sweep: a heartbeat when one is due and the board is `watched`. Raises `Unplugged`."""
        lease = self._lease()
        if lease is None or not self._armed:
            return None
        now_s = _now_s()
        if watched and now_s >= self._due_s and (ended := await self._beat(lease, now_s)) is not None:
            return ended
        silent_s = _now_s() - self._confirmed_s
        if silent_s >= LOST_S:
            return Ended(Cause.LEASE_LOST, f"no heartbeat was confirmed for {silent_s:.1f} s: {self._why}")
        return None

    async def _beat(self, lease: HostLease, sent_s: float) -> Ended | None:
        try:
            status = await lease.heartbeat()
        except (NoReply, UnexpectedReply) as error:
            self._why = str(error)  # tried again after the next sweep
            return None
        except BridgeRefused as error:
            try:
                found = await lease.status()
            except (DeviceError, NoReply, UnexpectedReply) as silent:
                return Ended(Cause.LEASE_LOST, f"{error}; then {silent}")
            return _latched(found) if found.fault is not None else _given_up(found)
        if status.fault is not None:
            return _latched(status)
        if not status.armed:
            return _given_up(status)
        self._confirmed_s = sent_s
        self._due_s += BEAT_S * (1 + int((sent_s - self._due_s) / BEAT_S))  # the ones that were missed are skipped
        return None

    async def explain(self, cause: Cause) -> Ended | None:
        """The firmware's own word for a fault that its safe state may have caused. Never raises, never waits long."""
        lease = self._lease()
        if lease is None or not self._armed or cause not in _EXPLAINED:
            return None
        try:
            async with asyncio.timeout(EXPLAIN_S):
                found = await lease.status()
        except (HashbridgeError, TimeoutError) as error:
            log.info("the bridge does not explain %s: %r", cause.value, error)
            return None
        if found.fault is not None:
            return _latched(found)
        return None if found.armed else _given_up(found)

    def rest(self) -> None:
        """No heartbeat from here on. A safe-off that is not confirmed is the firmware's to finish."""
        self._armed, self._due_s = False, math.inf

    async def disarm(self) -> Ended | None:
        """After a safe-off that was confirmed. `Ended`: the firmware has a fault latched. Raises as `HostLease`."""
        self.rest()
        lease = self._lease()
        if lease is None:
            return None
        status = await lease.disarm()
        return None if status.fault is None else _latched(status)

    async def clear(self) -> None:
        """A person clears the latch of this board: the firmware's goes first. Raises `Refused` when it stays."""
        lease = self._lease()
        if lease is None or (await lease.status()).fault is None:
            return
        try:
            await lease.clear()
        except BridgeRefused as error:
            raise Refused("interlock", f"the bridge keeps its own latch: {error}") from error


def _latched(status: LeaseStatus) -> Ended:
    cause = Cause.LEASE_EXPIRED if status.fault is LeaseFault.EXPIRED else Cause.CHIP_TRIP
    why = "heard no heartbeat for as long as the lease" if cause is Cause.LEASE_EXPIRED else "saw the chips' trip line"
    return Ended(cause, f"the bridge {why} and has made the board safe; it says: {status.detail}")


def _given_up(status: LeaseStatus) -> Ended:
    text = "the bridge knows of no lease: it was restarted, or somebody else gave it back"
    return Ended(Cause.LEASE_LOST, f"{text}; it says: {status.detail}")


def _now_s() -> float:
    return asyncio.get_running_loop().time()
