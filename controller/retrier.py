"""Carries out a retry (controller/safety/retry.py): waits, clears, powers up lower, feeds again. One per board.

Every step of it is a command that the guard judges like a person's. Whatever a person asks for meanwhile ends it.
None is begun that is not written down: the next rig has to count it (controller/tried.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from controller.clock import Clock
from controller.feed import Feed
from controller.model import (
    Cause,
    ClearFault,
    Command,
    Envelope,
    FaultRecord,
    Note,
    OperatingPoint,
    PowerUp,
    RetryEnded,
    RetryPlanned,
    RetryRefused,
    RetryStatus,
    StartWork,
)
from controller.safety.retry import WAITS_S, Plan, Retries, Tried
from controller.tried import Kept
from drivers.errors import HashbridgeError, Refused, SafetyError

log = logging.getLogger(__name__)

ASK_AGAIN_S: Final = 5.0
ASK_FOR_S: Final = 1800.0
"""A board that is not cool, or whose input is not back, half an hour later is left to a person."""
STABLE_S: Final = 2.0


class Retrier:
    """`ask` carries out a command; `latched`: what has latched the board now, None when nothing has. `kept`: where it
    is written down what was tried; None: it is known for as long as the rig lives."""

    def __init__(
        self,
        board: str,
        feed: Feed,
        ask: Callable[[Command], Awaitable[None]],
        latched: Callable[[], FaultRecord | None],
        clock: Clock,
        kept: Kept | None = None,
    ) -> None:
        self._board, self._feed, self._ask, self._latched = board, feed, ask, latched
        self._clock, self._kept = clock, kept
        self.retries: Retries | None = None
        """None: its operator does not let the board come back."""
        self._task: asyncio.Task[None] | None = None
        self.status: RetryStatus | None = None
        """The retry that waits, or the one that the board runs by; None once a person has decided otherwise."""

    def allow(self, envelope: Envelope) -> None:
        """Its operator lets the board come back. Raises `UsageError` when what was tried before cannot be read."""
        at_s = asyncio.get_running_loop().time()
        before = Tried() if self._kept is None else self._kept.read(self._clock.utc(at_s))
        self.retries = Retries(envelope, before, at_s)
        if used := len(before.begun_s_ago):
            text = f"used within 24 hours, before this rig was started: {used} of {len(WAITS_S)} retries ({self._kept})"
            self._feed.add(Note, self._board, level="warn", text=text)

    async def follow(
        self, plan: Plan | str, fault: FaultRecord, wanted: OperatingPoint, work: StartWork | None
    ) -> None:
        """`wanted`: what somebody asked for; kept over several retries. `plan`: a reason where there is none."""
        if isinstance(plan, Plan):
            self._begin(plan, fault, wanted, work)
            return
        self.cancel(plan)
        self._feed.add(RetryRefused, self._board, cause=fault.cause, why=plan)
        if fault.cause is not Cause.INPUT_LOW:
            return
        if (why := await self._keep()) is not None:  # a lost input counts, whatever came of it
            self._feed.add(Note, self._board, level="warn", text=f"not written down for the next rig: {why}")

    async def _keep(self) -> str | None:
        """Writes down what was tried, for the next rig. Why that could not be; None when it was."""
        if self._kept is None or self.retries is None:
            return None
        at_s = asyncio.get_running_loop().time()
        try:
            await self._kept.write(self.retries.tried(at_s), self._clock.utc(at_s))
        except OSError as error:
            return str(error)
        return None

    def _begin(self, plan: Plan, fault: FaultRecord, wanted: OperatingPoint, work: StartWork | None) -> None:
        wanted = self.status.wanted if self.status is not None else wanted
        due_s = asyncio.get_running_loop().time() + plan.wait_s
        self.status = RetryStatus(
            cause=fault.cause, number=plan.number, of=len(WAITS_S), wanted=wanted, point=plan.point, due_s=due_s
        )
        self._feed.add(
            RetryPlanned,
            self._board,
            cause=fault.cause,
            number=plan.number,
            of=len(WAITS_S),
            wait_s=plan.wait_s,
            wanted=wanted,
            point=plan.point,
        )
        self._task = asyncio.create_task(self._run(plan, fault, work), name=f"{self._board} retry")

    def cancel(self, why: str) -> None:
        """Somebody has decided otherwise, or the rig ends."""
        task, self._task = self._task, None
        status, self.status = self.status, None
        if task is not None and not task.done():
            task.cancel()
            if status is not None:
                self._end(status.cause, status.number, "cancelled", why)

    async def _run(self, plan: Plan, fault: FaultRecord, work: StartWork | None) -> None:
        if (why := await self._keep()) is not None:
            self._give_up(plan, fault, f"it could not be written down: {why}")
            return
        await asyncio.sleep(plan.wait_s)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ASK_FOR_S
        while self._latched() is fault:
            try:
                await self._ask(ClearFault())
            except SafetyError as error:
                if loop.time() >= until_s:
                    self._give_up(plan, fault, str(error))
                    return
                await asyncio.sleep(ASK_AGAIN_S)
            else:
                break
        else:
            self._give_up(plan, fault, "the board is latched for another reason by now, or by nothing")
            return
        while True:
            await asyncio.sleep(STABLE_S)
            try:
                await self._ask(PowerUp(frequency_mhz=plan.point.frequency_mhz, core_v=plan.point.core_v, note="retry"))
            except HashbridgeError as error:
                if self._latched() is not None:
                    return  # it has tripped anew: that is another plan
                if not isinstance(error, Refused) or loop.time() >= until_s:
                    self._give_up(plan, fault, str(error))
                    return
                await asyncio.sleep(ASK_AGAIN_S)  # an input that is not back, a sensor that settles
            else:
                break
        if self.status is None:
            return
        self.status = self.status.model_copy(update={"due_s": None})
        why = ""
        if work is not None:
            try:
                await self._ask(work)
            except HashbridgeError as error:
                if self._latched() is not None:
                    return  # it has tripped anew: that is another plan
                why = f"powered up again, but not fed: {error}"
                log.warning("%s: %s", self._board, why)
        self._end(fault.cause, plan.number, "done", why)

    def _give_up(self, plan: Plan, fault: FaultRecord, why: str) -> None:
        self.status = None
        self._end(fault.cause, plan.number, "given up", why)

    def _end(self, cause: Cause, number: int, how: str, why: str) -> None:
        self._feed.add(RetryEnded, self._board, cause=cause, number=number, how=how, why=why)
