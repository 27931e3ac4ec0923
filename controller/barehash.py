"""Hashing on a line of chips that has no bridge: brought up, fed, watched and stopped through its one port.

The chips' supply is somebody's hand; its volts and the chips' heat are measured by nobody. So there is no guard to ask,
and what is left is small: a clock that this module bounds by itself, a time that ends, trips that need no sensor, and a
stop that is read back. Any end, in order or not, is the same stop. A watcher (safety/watcher.py) writes it when this
process is dead or frozen.

Looked at five times a second while work runs: the clock of one chip after the other, whether it answers and has what
was written; and the work, as a rig judges it (safety/dynamics.py): the whole chain silent, a chip silent, wrong nonces.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.barejournal import BareJournal
from controller.clock import Clock
from controller.eye import through
from controller.model import Cause, FaultRecord, StartWork, WorkSnapshot
from controller.safety.dynamics import WrongShare
from controller.safety.silence import Silence
from controller.safety.watcher_client import WatcherClient
from controller.tasks import end_tasks
from controller.work.feeder import Feeder
from controller.work.planning import plan_work
from drivers.asics.chain import Chain
from drivers.asics.clocks import Moves
from drivers.asics.survey import chips_named
from drivers.errors import HashbridgeError, NoReply, Unplugged
from drivers.units import Megahertz, Seconds

log = logging.getLogger(__name__)

CLOCKS_MHZ: Final = (50.0, 200.0)
"""A proposal, not a datasheet's: nothing measures the heat, and nobody cuts the power. No option moves it."""
LONGEST_S: Final = 600.0
BRING_UP_LIMIT_S: Final = 120.0
"""126 chips take 21 s; each has its frames, 10 ms apart."""
STOP_LIMIT_S: Final = 30.0
"""The stop itself is two frames and goes out first; reading 126 chips back takes seconds through a slow adapter."""
LOOK_S: Final = 0.2
WATCHED_S: Final = 0.9
"""Less than the watcher's limit of 1.0 s: a process that wakes from a freeze feeds nothing before it has looked."""
MISSES: Final = 3
"""In a row: a chip that does not answer, or has another clock than was written."""
_SAME_MHZ: Final = 1.0


@dataclass(frozen=True, slots=True)
class BareWish:
    """What was asked for. Every clock lies within `CLOCKS_MHZ`, the time within `LONGEST_S`. `own_mhz`: of chips that
    get another clock than all, by their place on the line."""

    work: StartWork
    frequency_mhz: Megahertz
    seconds: Seconds
    own_mhz: Mapping[int, Megahertz] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BareOutcome:
    """All that such a spell leaves behind."""

    work: WorkSnapshot | None
    frequency_mhz: Megahertz | None
    """What the PLL gave; None: never reached."""
    chips_mhz: Mapping[int, Megahertz]
    """Of the chips that got another clock than all."""
    bring_up_s: float | None
    trip: FaultRecord | None
    failure: Exception | None
    interrupted: bool
    stopped: bool
    """Every chip has confirmed the stop, or none was ever started."""
    stopped_by: str
    """This process, its watcher or nobody."""
    stop_s: float
    """From the decision to the last read-back."""


class BareHash:
    """One spell. `chain`: not started yet. `watcher`: started already; None where the chips are part of this process.
    Both are closed at the end."""

    def __init__(
        self,
        chain: Chain,
        wish: BareWish,
        clock: Clock,
        watcher: WatcherClient | None = None,
        on_look: Callable[[str, WorkSnapshot | None], None] | None = None,
        journal: BareJournal | None = None,
    ) -> None:
        """`on_look`: called after each look with the phase and the work. `journal`: is told all of it."""
        self._chain, self._wish, self._clock, self._watcher, self._on_look = chain, wish, clock, watcher, on_look
        self._journal = journal or BareJournal(chain, clock)
        self._feeder = Feeder(chain.name, self._work_failed)
        self._silence, self._wrong = Silence(), WrongShare()
        self._over = asyncio.Event()
        self._phase = "bringing up"
        self._started = False
        """A frame has gone out that could start a chip."""
        self._live = False
        self._looked_s = float("-inf")
        self._missed = self._strayed = 0
        self._trip: FaultRecord | None = None
        self._failure: Exception | None = None
        self._interrupted = False
        self._frequency_mhz: Megahertz | None = None
        self._chips_mhz: Mapping[int, Megahertz] = {}
        self._bring_up_s: float | None = None

    def interrupt(self) -> None:
        """A person wants to stop. Called from a signal handler of the loop."""
        self._interrupted = True
        self._journal.note("interrupted by a person")
        self._over.set()

    async def run(self) -> BareOutcome:
        """Until the time is over, or anything else ends it; then the stop, whatever comes meanwhile."""
        chain, watcher = self._chain, self._watcher
        chain.on_lost = self._port_lost
        if watcher is not None:
            watcher.on_lost = lambda why: self.trip(Cause.SENTINEL_LOST, why)
            watcher.on_acted = lambda why: self.trip(Cause.SENTINEL_LOST, f"the watcher has stopped the chips: {why}")
        chain.start()
        looks = asyncio.create_task(self._looks(), name=f"{chain.name} looks")
        main = asyncio.create_task(self._main(), name=f"{chain.name} hashes")
        over = asyncio.create_task(self._over.wait())
        outcome: BareOutcome | None = None

        async def wind_up() -> None:
            nonlocal outcome
            outcome = await self._wind_up(main, looks, over)

        try:
            await asyncio.wait({main, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await through(wind_up())
        assert outcome is not None
        return outcome

    def _port_lost(self, error: Unplugged) -> None:
        self._journal.port_lost(str(error))
        self.trip(Cause.DATA_PORT_LOST, str(error))

    def trip(self, cause: Cause, detail: str) -> None:
        """The first reason stands."""
        if self._trip is None:
            at_s = asyncio.get_running_loop().time()
            self._trip = FaultRecord(cause=cause, sensor=None, detail=detail, at_s=at_s, at_utc=self._clock.utc(at_s))
            self._journal.tripped(self._trip)
        self._over.set()

    def _work_failed(self, error: Exception) -> None:
        self.trip(Cause.INTERNAL, f"work failed: {type(error).__name__}: {error}")

    # --- up, and at work ----------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            async with asyncio.timeout(BRING_UP_LIMIT_S):
                await self._bring_up()
        except TimeoutError as error:
            if isinstance(error, HashbridgeError):
                raise
            raise NoReply(f"the bring-up of {self._chain.name}", BRING_UP_LIMIT_S) from None
        self._bring_up_s = loop.time() - began_s
        self._live, self._phase = True, self._wish.work.work
        await asyncio.sleep(self._wish.seconds)
        self._phase = "stopping"
        await self._feeder.stop(abort=False)

    async def _bring_up(self) -> None:
        chain, wish, told = self._chain, self._wish, self._journal
        await chain.reset_line()
        await chain.enumerate()
        told.step("enumerate", f"{len(chain.chips)} chips answer")
        self._started = True
        await chain.initialise()
        told.step("initialise", "addresses given and confirmed, configuration written")
        # Written whatever the clock is: nobody has reset these chips, and another program may have had them.
        floor_mhz = chain.kind.floor_clock_mhz
        await chain.set_frequency_step(floor_mhz)
        self._clocked([(None, floor_mhz)])
        await chain.ramp(wish.frequency_mhz, wish.own_mhz, self._clocked)
        self._frequency_mhz, self._chips_mhz = chain.frequency_mhz, chain.own_clocks_mhz
        await chain.set_window(wish.frequency_mhz, wish.own_mhz)
        apart = f", of {len(wish.own_mhz)} chips for their own clocks" if wish.own_mhz else ""
        told.step("sweep_window", f"for {wish.frequency_mhz:g} MHz{apart}")
        await chain.fast_link()
        told.step("fast_link", f"{chain.kind.fast_baud} baud, clock and window of each chip read back")
        plan = plan_work(wish.work, chain)
        if plan.ticket_difficulty != plan.present_difficulty:
            await chain.set_ticket(plan.ticket_difficulty)
            told.step("ticket_difficulty", f"{plan.ticket_difficulty}")
        self._feeder.begin(plan, chain, self._watched)
        told.work_started(plan.kind)

    def _clocked(self, moves: Moves) -> None:
        """A round of the ramp was written."""
        clocks = [self._chain.clock_of(0 if chip is None else chip) or 0.0 for chip, _ in moves]
        span = f"{min(clocks):.2f} MHz" if len(set(clocks)) == 1 else f"{min(clocks):.2f} to {max(clocks):.2f} MHz"
        whose = "" if moves[0][0] is None else f", {chips_named(chip or 0 for chip, _ in moves)} by address"
        self._journal.step("frequency", span + whose)

    def _watched(self) -> bool:
        return asyncio.get_running_loop().time() - self._looked_s < WATCHED_S

    # --- looking ------------------------------------------------------------------------------------------------------

    async def _looks(self) -> None:
        """Goes on during the stop, so that the watcher does not take it for a freeze."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                if (slept_s := self._clock.slept_s()) is not None:
                    self.trip(Cause.SUSPENDED, f"the machine slept for {slept_s:.1f} s, nobody watched")
                if self._live and not self._over.is_set():
                    await self._look()
                self._journal.look(lambda: self._work(intervals=True))
                if self._on_look is not None:
                    self._on_look(self._phase, self._work(intervals=False))
            except Unplugged:
                log.info("%s: the port is gone while it was looked at", self._chain.name)  # the chain has told it
            except Exception as error:
                log.exception("%s: the look failed", self._chain.name)
                self.trip(Cause.INTERNAL, f"{type(error).__name__}: {error}")
            self._looked_s = loop.time()
            if self._watcher is not None:
                self._watcher.beat()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        chain = self._chain
        chip = chain.looks_at
        try:
            clock_mhz = await chain.read_clock()
        except NoReply:
            self._missed += 1
            if self._missed >= MISSES:
                self.trip(Cause.CHIP_SILENT, await self._who_is_silent(chip.index, chip.address))
            return
        self._missed = 0
        self._journal.clock_read(clock_mhz)
        wanted_mhz = chain.clock_of(chip.index)
        if clock_mhz is None or wanted_mhz is None or abs(clock_mhz - wanted_mhz) > _SAME_MHZ:
            self._strayed += 1
            if self._strayed >= MISSES:
                told = "no clock at all" if clock_mhz is None else f"{clock_mhz:g} MHz"
                text = f"chip {chip.index}, address {chip.address:#04x}: {told} where {wanted_mhz or 0.0:g} was written"
                self.trip(Cause.ACTUATION, f"{text}, {MISSES} times")
            return
        self._strayed = 0
        at_s, work = asyncio.get_running_loop().time(), self._work(intervals=False)
        if (silent := self._silence.listen(at_s, work, chain.chips)) is not None:
            self.trip(Cause.CHIP_SILENT, silent)
        elif (wrong := self._wrong.look(at_s, work)) is not None:
            self.trip(Cause.ERROR_RATE, wrong)

    async def _who_is_silent(self, index: int, address: int) -> str:
        """That chip, or all: the one next to the host tells."""
        text = f"chip {index}, address {address:#04x}, did not answer {MISSES} questions in a row"
        first = self._chain.chips[0]
        if first.index == index:
            return f"{text}; it is the first of the line"
        try:
            await self._chain.read_register(0x00, first.address)
        except NoReply:
            return f"{text}, nor does chip 0: the whole chain is silent"
        return f"{text}; chip 0 does"

    def _work(self, *, intervals: bool) -> WorkSnapshot | None:
        return None if self._feeder.session is None else self._feeder.session.snapshot(intervals=intervals)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _wind_up(self, main: asyncio.Task[None], *others: asyncio.Task[Any]) -> BareOutcome:
        loop = asyncio.get_running_loop()
        decided_s = loop.time()
        self._phase = "stopping"
        self._over.set()
        if main.done() and not main.cancelled() and (error := main.exception()) is not None:
            assert isinstance(error, Exception)
            self._failure = error
        await end_tasks(main)
        await self._feeder.stop(abort=True)
        work = self._work(intervals=True)  # before the clocks fall: what was expected of them is in it
        chain = self._chain
        stopped, by = await self._stop(), "this process"
        stop_s = loop.time() - decided_s
        chain.on_lost = None
        watcher = self._watcher
        if watcher is not None and stopped:
            await watcher.release()
        await chain.aclose()  # first: who goes on reading takes the watcher's answers away
        if watcher is not None and not stopped and await watcher.aclose():
            stopped, by, stop_s = True, "its watcher", loop.time() - decided_s
        await end_tasks(*others)
        self._tell_end(work, stopped=stopped, by=by if stopped else "nobody", stop_s=stop_s)
        return BareOutcome(
            work=work,
            frequency_mhz=self._frequency_mhz,
            chips_mhz=self._chips_mhz,
            bring_up_s=self._bring_up_s,
            trip=self._trip,
            failure=self._failure,
            interrupted=self._interrupted,
            stopped=stopped,
            stopped_by=by if stopped else "nobody",
            stop_s=stop_s,
        )

    def _tell_end(self, work: WorkSnapshot | None, *, stopped: bool, by: str, stop_s: float) -> None:
        told = self._journal
        if self._failure is not None:
            told.note(f"{type(self._failure).__name__}: {self._failure}", "error")
        told.counts(work)
        if work is not None:
            told.work_stopped(work)
        kind = self._chain.kind
        if not self._started:
            detail = "no chip was started"
        elif stopped:
            what = f"register {kind.stop_register:02x} at 0, clock at {kind.floor_clock_mhz:g} MHz"
            detail = f"{self._chain.expected_chips} chips read back: {what}"
        else:
            detail = "not every chip has said so"
        told.stopped(confirmed=stopped, by=by, stop_s=stop_s, detail=detail)

    async def _stop(self) -> bool:
        """Whether every chip has confirmed it. Never raises."""
        if not self._started:
            return True
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                return await self._chain.stop_hashing()
        except (HashbridgeError, TimeoutError, OSError) as error:
            log.warning("%s: stop: %s", self._chain.name, error)
            return False
