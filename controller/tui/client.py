"""The part of the program that listens to the rig and asks it: a client like any other.

Nothing here waits in a handler: a wish is sent by a task of its own, and what came of it arrives with the events. The
rig does not notice when this program is stopped, stalled or killed, but for the one who started it: then the rig
makes its boards safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, Protocol, runtime_checkable

from textual.app import App
from textual.driver import Driver
from textual.theme import Theme

from controller.model import (
    KEEP_WITHIN_MAX_S,
    KEEP_WITHIN_MIN_S,
    Command,
    GuardState,
    Playback,
    PowerUp,
    RigPort,
    SafeOff,
    SetOperatingPoint,
    StartWork,
)
from controller.profiles import Profiles
from controller.text import printable
from controller.tui.desk import KEEP_WITHIN_S, Answer, Desk, Verdict
from controller.tui.driver import patient
from controller.tui.screens.base import RigScreen
from controller.tui.store import RigStore
from controller.tui.trend import SPAN_S
from drivers.errors import HashbridgeError, UsageError

BEAT_S: Final = 0.1
AT_LEAST_EVERY_S: Final = 0.5
"""Ages and countdowns go on when nothing is heard."""
REOPEN_S: Final = 1.0
RECHECK_S: Final = 1.0
TREND_SNAPSHOTS: Final = 600
EVENTS_AT_ONCE: Final = 500
"""So many events are taken before keys and the screen get their turn."""

THEME: Final = Theme(
    name="hashbridge",
    primary="#d9a441",
    secondary="#6fb3c7",
    accent="#e8b75a",
    success="#86c07a",
    warning="#e3b341",
    error="#ef6b5e",
    foreground="#d6dbe0",
    background="#101317",
    surface="#181d23",
    panel="#1f262d",
    dark=True,
)

Opener = Callable[[], Awaitable[RigPort]]


@runtime_checkable
class Mortal(Protocol):
    """A port that can say why it ended."""

    lost: HashbridgeError | None


class RigClient(App[None]):
    """`open_port` joins or starts the rig; with `reopen` it is asked again whenever the rig is lost.

    `owner`: leaving makes the boards safe, and the screen says so. `start`: power up and hash as soon as the rig is
    there. `board` is looked at first; with `overview`, all of them where there are several. `error` is what ended the
    program, when something did.
    """

    def __init__(
        self,
        open_port: Opener,
        *,
        profiles: Profiles | None = None,
        owner: bool = False,
        reopen: bool = False,
        start: bool = False,
        board: str | None = None,
        overview: bool = False,
        keep_within_s: float = KEEP_WITHIN_S,
        theme: str = THEME.name,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__()
        self.register_theme(THEME)
        self.theme = theme
        if not KEEP_WITHIN_MIN_S <= keep_within_s <= KEEP_WITHIN_MAX_S:
            allowed = f"{KEEP_WITHIN_MIN_S:g} to {KEEP_WITHIN_MAX_S:g} s"
            raise UsageError("keep_within_s", keep_within_s, allowed)
        self.profiles, self.keep_within_s = profiles, keep_within_s
        self.error: HashbridgeError | OSError | None = None
        self.port: RigPort | None = None
        self._open, self._reopen, self._start = open_port, reopen, start
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self.desk = Desk(RigStore(self._now))
        self.desk.owner = owner
        self.desk.selected = board or ""
        self._overview = overview
        self._again = asyncio.Event()
        self._painted = (-1, float("-inf"))
        self._checked_s = float("-inf")
        self._generation = 0

    def get_driver_class(self) -> type[Driver]:
        return patient(super().get_driver_class())

    def _now(self) -> float:
        playback = self.desk.playback if hasattr(self, "desk") else None
        return self._clock() if playback is None else playback.position_s

    # --- life ---------------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.set_interval(BEAT_S, self.beat)
        self.run_worker(self._feed(), name="feed", exit_on_error=True)
        # The terminal that is entered again is empty, and only what changes would be painted.
        self.app_resume_signal.subscribe(self, lambda _: self.screen.refresh(), immediate=True)

    def beat(self) -> None:
        """Repaint when something has changed; ages go on all the same."""
        now_s = asyncio.get_running_loop().time()
        changes, painted_s = self._painted
        if changes == self.desk.store.changes and now_s - painted_s < AT_LEAST_EVERY_S:
            return
        if not self.screen_stack:  # the program is ending
            return
        self._painted = (self.desk.store.changes, now_s)
        self.freshen()
        self._check_staged(now_s)

    def freshen(self) -> None:
        screen = self.screen
        if isinstance(screen, RigScreen) and screen.is_mounted:
            screen.freshen()

    # --- the rig ------------------------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        """Joins, listens until the rig hangs up, joins again. Ends the program when the first joining fails."""
        store, desk = self.desk.store, self.desk
        first = True
        while True:
            try:
                port = self.port = await self._open()
            except (HashbridgeError, OSError) as error:
                if first:
                    self.error = error
                    self.exit()
                    return
                store.lost(str(error))
                await self._patience()
                continue
            store.joined(port.info)
            desk.settle()
            if first and self._overview and len(store.boards) > 1:
                self.show_all()
            if first and self._start:
                self.run_worker(self._begin(), name="start", exit_on_error=True)
            first = False
            if store.stop is not None:  # asked for before there was a rig, or while it was lost
                store.stop.errors.clear()
                self.run_worker(self.stop_everything(), name="stop", exit_on_error=True)
            if isinstance(port, Playback):
                await self._play(port, port)
                return
            await self._listen(port)
            why = port.lost if isinstance(port, Mortal) and port.lost is not None else "the rig hung up"
            store.lost(str(why))
            await self._patience()

    def show_all(self) -> None:
        """All boards of the rig at once."""

    async def _patience(self) -> None:
        """Before joining again: a second, or until a person wants it."""
        self._again.clear()
        try:
            async with asyncio.timeout(REOPEN_S if self._reopen else None):
                await self._again.wait()
        except TimeoutError:
            return

    def join_again(self) -> None:
        self._again.set()

    @property
    def can_join_again(self) -> bool:
        return not self.desk.store.line.up and not self._reopen and self.desk.playback is None

    async def _listen(self, port: RigPort) -> None:
        """Until both streams have ended."""
        await asyncio.gather(self._take_events(port), self._take_snapshots(port))

    async def _take_events(self, port: RigPort) -> None:
        count = 0
        async for event in port.events():
            self.desk.store.take_event(event)
            count += 1
            if count % EVENTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _take_snapshots(self, port: RigPort) -> None:
        async for snapshot in port.snapshots():
            self.desk.store.take_snapshot(snapshot)
            await asyncio.sleep(0)

    async def _play(self, port: RigPort, playback: Playback) -> None:
        """A recording: every seek begins anew, with the trends filled from what was before."""
        store = self.desk.store
        self.desk.playback = playback
        while True:
            store.rewind()
            store.joined(port.info)
            for snapshot in playback.past(SPAN_S, TREND_SNAPSHOTS):
                store.take_snapshot(snapshot, past=True)
            await self._listen(port)

    async def ask(self, board: str, command: Command) -> str | None:
        """One wish. None when it was done; otherwise why not, in words."""
        if self.port is None or not self.desk.store.line.up:
            return "no rig to ask"
        try:
            await self.port.request(board, command)
        except HashbridgeError as error:
            return str(error)
        return None

    async def _begin(self) -> None:
        """Power up at stock and hash, for who asked for that on the command line."""
        for board in self.desk.store.boards.values():
            if not self._start:  # an emergency stop came between
                return
            e = board.envelope
            point = PowerUp(frequency_mhz=float(e.stock_frequency_mhz), core_v=float(e.stock_core_v))
            why = await self.ask(board.name, point) or await self.ask(board.name, StartWork(work="synthetic"))
            if why is not None:
                self.say_of(board.name, why)

    @property
    def wants_verdict(self) -> bool:
        """A person looks at what the guard says of the staged point."""
        return False

    def staged_command(self, *, dry_run: bool = False) -> Command | None:
        """What `a` would ask for; None when it would ask for nothing."""
        desk, staged = self.desk, self.desk.staged
        if desk.can(GuardState.SAFE_OFF):
            return PowerUp(frequency_mhz=staged.frequency_mhz, core_v=staged.core_v, dry_run=dry_run)
        if desk.can(GuardState.LIVE) and desk.differs:
            return SetOperatingPoint(
                frequency_mhz=staged.frequency_mhz,
                core_v=staged.core_v,
                preset=desk.preset is not None,
                keep_within_s=self.keep_within_s,
                dry_run=dry_run,
                note="" if desk.preset is None else f"profile {desk.preset}",
            )
        return None

    def wish(self, command: Command, then: Callable[[str | None], None] | None = None) -> None:
        """Send it for the board that is looked at. What went wrong is said in a toast and in the log."""
        board = self.desk.selected

        async def send() -> None:
            why = await self.ask(board, command)
            if then is not None:
                then(why)
            if why is not None:
                self.say_of(board, why)

        self.run_worker(send(), name=command.kind, exit_on_error=True)

    async def stop_everything(self) -> None:
        """Safe-off for all boards at once; the stop panel tells what came of it. Nothing is started any more."""
        self._start = False
        store = self.desk.store

        async def one(board: str) -> None:
            why = await self.ask(board, SafeOff(reason="emergency stop by a person at the screen"))
            if why is not None:
                store.stop_failed(board, why)

        await asyncio.gather(*(one(board) for board in store.boards))

    def _check_staged(self, now_s: float) -> None:
        """What would the guard say? Asked as soon as something is staged, and every second while it stays so."""
        desk = self.desk
        command = self.staged_command(dry_run=True)
        if not self.wants_verdict or command is None or not desk.differs:
            return
        if desk.verdict.answer in (Answer.ASKING, Answer.APPLYING):
            return
        if desk.verdict.answer is not Answer.NONE and now_s - self._checked_s < RECHECK_S:
            return
        self._checked_s = now_s
        if desk.verdict.answer is Answer.NONE:
            desk.verdict = Verdict(Answer.ASKING)
        self.run_worker(self._check(desk.selected, command), name="check", exit_on_error=True)

    async def _check(self, board: str, command: Command) -> None:
        desk, staged = self.desk, self.desk.staged
        why = await self.ask(board, command)
        verdict = Verdict(Answer.GRANTED) if why is None else Verdict(Answer.REFUSED, why)
        if desk.selected == board and desk.staged == staged and desk.verdict.answer is not Answer.APPLYING:
            desk.verdict = verdict
            desk.store.changes += 1

    # --- for people ---------------------------------------------------------------------------------------------------

    def say(self, text: str, severity: Literal["information", "warning", "error"] = "information") -> None:
        """A toast. What boards say is harmless in it."""
        timeout_s = 6.0 if severity == "information" else 12.0
        self.notify(printable(text), severity=severity, markup=False, timeout=timeout_s)

    def say_of(self, board: str, why: str) -> None:
        """What went wrong, and with which board where there are several."""
        self.say(why if len(self.desk.store.boards) < 2 else f"{board}: {why}", "error")
