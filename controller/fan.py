"""Turns the fan of one board as the guard says after each sweep, beside commands, throttle and trips.

Neither waits for the other: a step of the fan is a few requests on the control port and mutes no read-back but its own.
Whoever makes the board safe ends it first (`turning`), so that nothing lowers a fan that was just told to be full.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from controller.model import BoardSnapshot, Cause
from controller.safety.guard import Guard
from drivers.boards.board import Board, Channel, FanDuty
from drivers.errors import DeviceError, ProtocolError, SafetyError, TransportError, Unplugged

log = logging.getLogger(__name__)

FAILURES: Final = 2
"""So many duties in a row that were not taken are a trip."""
Trip = Callable[[Cause, str | None, str], Awaitable[None]]


class FanTurner:
    """`look` gives the readings that a step is permitted by; `warn` is told of a fan that turns too slowly."""

    def __init__(
        self,
        name: str,
        board: Board,
        guard: Guard,
        look: Callable[[], BoardSnapshot],
        trip: Trip,
        warn: Callable[[str], None],
    ) -> None:
        self._name, self._board, self._guard, self._look, self._trip, self._warn = name, board, guard, look, trip, warn
        self._failed = 0
        self._degraded: str | None = None
        self.turning: asyncio.Task[None] | None = None

    def after_sweep(self, snapshot: BoardSnapshot) -> None:
        step = self._guard.fan_step(snapshot)
        degraded = self._guard.fan.degraded
        if degraded is not None and degraded != self._degraded:
            self._warn(f"fan degraded: {degraded}")
        self._degraded = degraded
        if step is not None and (self.turning is None or self.turning.done()):
            self.turning = asyncio.create_task(self._turn(step), name=f"{self._name} fan")

    async def _turn(self, step: FanDuty) -> None:
        try:
            self._guard.permit(step, self._look())
        except SafetyError as error:
            log.info("%s: %s", self._name, error)  # it stays faster than it would have to be
            return
        done = False
        try:
            await self._board.apply(step)
            done, self._failed = True, 0
        except Unplugged as error:
            log.info("%s: %s", self._name, error)  # the poll has noticed
        except (DeviceError, ProtocolError, TransportError) as error:
            self._failed += 1
            text = f"FanDuty {step.ratio:.2f}: {error}"
            log.warning("%s: %s", self._name, text)
            if self._failed >= FAILURES:
                self._failed = 0
                self.turning = None  # the safe-off must not wait for the task that asks for it
                await self._trip(Cause.ACTUATION, Channel.FAN_RATIO.value, text)
        finally:
            self._guard.applied(step, asyncio.get_running_loop().time(), done=done)
