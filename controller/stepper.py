"""Carries out steps on one board, each with the guard's permission. A device that fails latches the board."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from controller.clock import Clock
from controller.feed import Feed
from controller.model import Cause, Note, StepApplied
from controller.warden import RigBoard, Warden
from drivers.boards.board import (
    BringUp,
    CoreVoltage,
    FanDuty,
    FastLink,
    Frequency,
    RailOn,
    Step,
    SweepWindow,
    TicketDifficulty,
    below,
)
from drivers.errors import DeviceError, Latched, ProtocolError, Refused, TransportError, Unplugged, UsageError

_ONE_SWEEP_S: Final = 0.5
_TOLD_TO_CHIPS: Final = (BringUp, Frequency, SweepWindow, FastLink, TicketDifficulty)


class Stepper(Warden):
    """A warden that can move its board. `BoardRunner` adds what it is moved for."""

    def __init__(
        self, given: RigBoard, feed: Feed, clock: Clock, swept: Callable[[], None], *, observe: bool = False
    ) -> None:
        super().__init__(given, feed, clock, swept, observe=observe)
        self._command: asyncio.Task[None] | None = None
        self._give_up: Refused | None = None
        """Why the move in flight has to end before its next step: the board must do something else first."""

    async def _run(self, steps: tuple[Step, ...], *, silent: str | None = None) -> None:
        """One step after the other: permission, the move, its settle time. A device that fails latches the board.

        `silent`: why the chips are initialised again; what they do not answer then is no new fault."""
        loop = asyncio.get_running_loop()
        for step in steps:
            self._check_give_up()
            await self._permitted(step)
            try:
                await self.board.apply(step)
            except Unplugged:
                self.guard.applied(step, loop.time(), done=False)
                raise
            except (DeviceError, ProtocolError, TransportError, UsageError) as error:
                self.guard.applied(step, loop.time(), done=False)
                cause = Cause.INTERNAL if isinstance(error, UsageError) else Cause.ACTUATION
                self._command = None
                if isinstance(step, _TOLD_TO_CHIPS):
                    await self._let_the_sensors_speak()
                if self.guard.fault is not None:
                    raise Latched(self.guard.fault.cause.value, self.guard.fault.detail) from error
                text = f"{_describe(step)}: {error}"
                if silent is not None and cause is Cause.ACTUATION and isinstance(step, _TOLD_TO_CHIPS):
                    cause, text = Cause.CHIP_SILENT, f"{silent}; initialised again, {text}"
                await self._trip(cause, None, text)
                raise
            self.guard.applied(step, loop.time())
            self._feed.add(StepApplied, self.name, step=type(step).__name__, detail=_describe(step))
            if step.settle_s > 0.0:
                await asyncio.sleep(step.settle_s)

    async def _let_the_sensors_speak(self) -> None:
        """A chip that does not answer may have lost its rail: one whole sweep, half a second at most, names the cause.

        Never for a step of the rail: there the read-back itself is the evidence, and nothing waits.
        """
        until_s = asyncio.get_running_loop().time() + _ONE_SWEEP_S
        whole = self.poller.sweeps + 2  # the one under way began before
        while self.guard.fault is None and self.poller.sweeps < whole:
            if asyncio.get_running_loop().time() >= until_s:
                return
            await asyncio.sleep(0.02)

    async def _permitted(self, step: Step) -> None:
        """Asks until the guard agrees or its patience is over: a fan needs time to spin up, a sweep to come in."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.guard.patience_s(step)
        while True:
            self._check_give_up()
            try:
                self.guard.permit(step, self.poller.snapshot(full=False))
            except Refused:
                if loop.time() >= until_s:
                    raise
                await asyncio.sleep(0.02)
            else:
                return

    def _note(self, level: Literal["info", "warn", "error"], text: str) -> None:
        self._feed.add(Note, self.name, level=level, text=text)

    def _check_give_up(self) -> None:
        if self._give_up is not None:
            error, self._give_up = self._give_up, None
            raise error


def _describe(step: Step) -> str:
    match step:
        case Frequency(frequency_mhz=clock) | SweepWindow(frequency_mhz=clock):
            slow = [f"chip {chip} {own:g} MHz" for chip, own in sorted(below(clock, step.caps_mhz).items())]
            return ", ".join([f"{type(step).__name__} {clock:g} MHz", *slow])
        case CoreVoltage(core_v=core_v):
            return f"CoreVoltage {core_v:.3f} V"
        case FanDuty(ratio=ratio):
            return f"FanDuty {ratio:.2f}"
        case RailOn():
            return "RailOn"
        case _:
            return str(step)
