"""`AsyncRig`: one board of a rig as a script sees it, behind any `RigPort`. What `controller.library` hands out.

The name `Rig` is taken by the door to the hardware (controller/rig.py). Every verb raises errors of `drivers.errors`
alone, besides what a callback of the caller's raises; a wrong argument raises before anything is sent.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from controller import arguments, summary
from controller.eye import Eye, through
from controller.model import (
    AddRemark,
    BoardInfo,
    BoardSnapshot,
    Channel,
    ClearFault,
    Command,
    Event,
    FanStatus,
    GuardState,
    KeepPoint,
    Limits,
    LimitSession,
    OperatingPoint,
    Playback,
    PointStatus,
    PowerDown,
    PowerUp,
    Reach,
    RevertPoint,
    RigPort,
    SafeOff,
    SafeOffDone,
    SafeOffRecord,
    SessionLimits,
    SetOperatingPoint,
    SetReach,
    StopWork,
    WorkSnapshot,
    good_value,
)
from controller.profiles import Profiles, command_for
from controller.text import printable
from drivers.errors import DeviceError, HashbridgeError, Latched, NoReply, Refused, UsageError

log = logging.getLogger(__name__)

READ_BACK_S: Final = 3.0
REPORT_WAIT_S: Final = 10.0
WAY_OUT_S: Final = 10.0
WorkKind = Literal["pattern", "synthetic", "headers"]
ReachName = Literal["stock", "range", "hard"]
FanName = Literal["full", "auto"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a verb has got to. `of_s`: how long it was asked to take; None where nobody can say.

    `phase`: power_up, set_point, revert, power_down, hold, or the kind of work.
    """

    phase: str
    elapsed_s: float
    of_s: float | None
    snapshot: BoardSnapshot


@dataclass(frozen=True, slots=True)
class Held:
    """What a hold has seen. `reason`: what `until` said; None when the time was over."""

    elapsed_s: float
    reason: str | None
    last: BoardSnapshot
    snapshots: int

    def _repr_html_(self) -> str:
        return summary.held_table(self.elapsed_s, self.reason, self.snapshots, self.last)


def good(snapshot: BoardSnapshot, channel: Channel) -> float | None:
    """What a channel reads, in the unit of its name; None when it is unknown, old or doubtful."""
    return good_value(snapshot.channels.get(channel))


OnProgress = Callable[[Progress], object]
"""Called with each snapshot while a verb goes on; may be a coroutine function. The newest snapshot wins."""
Until = Callable[[BoardSnapshot], str | Awaitable[str | None] | None]
"""Called with each snapshot of a hold: why to stop, or None to go on. May be a coroutine function."""


class Life(Protocol):
    """What ends with an `AsyncRig`. `owned`: the rig was started with it."""

    @property
    def owned(self) -> bool: ...

    async def end(self, board: str) -> SafeOffRecord | None: ...


class AsyncRig:
    """One board of a rig, for a script. Made by `connect`, or around any `RigPort`, which then stays the caller's.

    An async context manager. Leaving it ends a rig that `connect` has started: orderly safe-off, whose report is then
    in `safe_off_report`; raises `DeviceError` when the safe state could not be confirmed. A rig that was joined is
    only left, never stopped.
    """

    def __init__(self, port: RigPort, board: str | None = None, *, _life: Life | None = None) -> None:
        """`board` may be left out when the rig has only one. Raises `UsageError` naming the boards otherwise."""
        boards = {info.name: info for info in port.info}
        if board is None and len(boards) == 1:
            (board,) = boards
        if board is None or boards.get(board) is None:
            raise UsageError("board", board, f"one of {', '.join(boards) or 'none: this rig has no board'}")
        self._port, self._board, self._info, self._life = port, board, boards[board], _life
        self._last: BoardSnapshot | None = None
        self._trial_until_s: float | None = None
        self._report: SafeOffRecord | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        except DeviceError as unconfirmed:
            if error is None:
                raise
            error.add_note(str(unconfirmed))

    async def aclose(self) -> None:
        """Leave; the same as leaving the context. Goes on to its end when cancelled. A second time does nothing."""
        life, self._life = self._life, None
        if life is not None:
            await through(self._end(life))

    async def _end(self, life: Life) -> None:
        self._report = await life.end(self._board)
        if life.owned and (self._report is None or not self._report.confirmed):
            done = () if self._report is None else self._report.actions
            what = ", ".join(action.name for action in done if not action.confirmed) or "no report"
            remedy = "" if self._info.emulated else ": CUT THE BOARD'S SUPPLY"
            raise DeviceError(f"safe-off of {self._board} could NOT be confirmed ({what}){remedy}")

    @property
    def info(self) -> BoardInfo:
        """What does not change of this board: name, kind, chips, envelope."""
        return self._info

    @property
    def boards(self) -> tuple[str, ...]:
        """The names of all boards of this rig."""
        return tuple(info.name for info in self._port.info)

    @property
    def safe_off_report(self) -> SafeOffRecord | None:
        """What the safe-off on leaving did. None before, for a joined rig, and when nobody could tell."""
        return self._report

    @property
    def playback(self) -> Playback | None:
        """The clock of a recording: `play`, `pause`, `seek`, `speed`, `past`. None for a rig that lives."""
        return self._port if isinstance(self._port, Playback) else None

    def on(self, board: str) -> AsyncRig:
        """The same rig for another of its boards. It is left with the rig it came from. Raises `UsageError`."""
        return AsyncRig(self._port, board)

    # --- moving -------------------------------------------------------------------------------------------------------

    async def power_up(
        self,
        frequency_mhz: float | None = None,
        core_v: float | None = None,
        *,
        note: str = "",
        on_progress: OnProgress | None = None,
    ) -> PointStatus:
        """From safe-off to a running point (None: the board's stock), in the documented order. MHz and V.

        Returns the point as it is read back. Cancelled, or ended by a callback that raises, the board is made safe: it
        must not stay half way up. Raises `Refused`, `Latched`, or what broke on the way.
        """
        asked = arguments.point(self._info.envelope, frequency_mhz, core_v)
        words = arguments.text("note", note)
        command = PowerUp(frequency_mhz=asked.frequency_mhz, core_v=asked.core_v, note=words)
        await self._ask(command, on_progress)
        self._trial_until_s = None
        return (await self._read_back()).point

    async def set_point(
        self,
        frequency_mhz: float | None = None,
        core_v: float | None = None,
        *,
        preset: bool = False,
        keep_within_s: float | None = None,
        note: str = "",
        on_progress: OnProgress | None = None,
    ) -> PointStatus:
        """Move a live board; what is None stays. At most 50 mV and 50 MHz at once unless `preset`. MHz and V.

        With `keep_within_s` (1 to 3600 s) the change is on trial: unless `keep` comes in time the rig goes back by
        itself, whatever has become of the script. Returns the point as it is read back. Cancelled, the rig may go on to
        the point or stop short of it; `read` tells. Raises `Refused`, `Latched`, `UsageError`.
        """
        asked = self._asked_point(frequency_mhz, core_v)
        command = SetOperatingPoint(
            frequency_mhz=asked.frequency_mhz,
            core_v=asked.core_v,
            preset=arguments.flag("preset", preset),
            keep_within_s=arguments.keep_within_s(keep_within_s),
            note=arguments.text("note", note),
        )
        await self._ask(command, on_progress)
        after = await self._read_back()
        self._trial_until_s = None if after.pending is None else after.pending.until_s
        return after.point

    async def apply_profile(
        self, name: str, *, keep_within_s: float | None = None, on_progress: OnProgress | None = None
    ) -> PointStatus:
        """Go to a named point of this kind of board (`hashbridge profile list`): a power-up of a board that is off.

        On a live board, with `keep_within_s`, on trial as in `set_point`. Returns the point as it is read back. Raises
        `UsageError` for a name or a file that will not do, `Refused`, `Latched`.
        """
        wanted, trial_s = arguments.text("name", name, empty=False), arguments.keep_within_s(keep_within_s)
        state = (await self.read()).state
        profile = await asyncio.to_thread(Profiles().load, self._info.kind, wanted)
        await self._ask(command_for(profile, state, trial_s), on_progress)
        after = await self._read_back()
        self._trial_until_s = None if after.pending is None else after.pending.until_s
        return after.point

    async def cap_chip(
        self, chip: int, frequency_mhz: float | None, *, preset: bool = False, note: str = ""
    ) -> Mapping[int, float]:
        """From now on, also over power-downs, this chip (0 at the host) at most so fast: at the lower of that, MHz, and
        the board's clock. None: at the board's clock again.

        A live board moves it at once, by at most 50 MHz unless `preset`. Returns the caps that hold, by chip. Raises
        `Refused` as `set_point` does, for the last chip without a cap (rule "cap"), and where chips are in series and
        the slow one would get too many volts (rule "stack").
        """
        await self._ask(arguments.cap(self._info, chip, frequency_mhz, preset, note))
        return (await self.read()).caps_mhz

    async def check_cap(self, chip: int, frequency_mhz: float | None, *, preset: bool = False) -> None:
        """Raises what the guard would say now to `cap_chip`. Moves nothing."""
        command = arguments.cap(self._info, chip, frequency_mhz, preset, "")
        await self._ask(command.model_copy(update={"dry_run": True}))

    async def check_point(
        self, frequency_mhz: float | None = None, core_v: float | None = None, *, preset: bool = False
    ) -> None:
        """Raises what the guard would say now to this move, or to a power-up of a board that is off. Moves nothing."""
        arguments.flag("preset", preset)
        if (await self.read()).state is GuardState.LIVE:
            asked = self._asked_point(frequency_mhz, core_v)
            move = SetOperatingPoint(
                frequency_mhz=asked.frequency_mhz, core_v=asked.core_v, preset=preset, dry_run=True
            )
            await self._ask(move)
            return
        asked = arguments.point(self._info.envelope, frequency_mhz, core_v)
        await self._ask(PowerUp(frequency_mhz=asked.frequency_mhz, core_v=asked.core_v, dry_run=True))

    async def keep(self) -> None:
        """The change on trial stays. Raises `Refused` when none is, or another one than `set_point` made here last."""
        await self._ask(KeepPoint(until_s=self._trial_until_s))
        self._trial_until_s = None

    async def revert(self, why: str = "asked for", *, on_progress: OnProgress | None = None) -> PointStatus:
        """The change on trial goes back now. Returns the point as it is read back. Raises `Refused` as `keep` does."""
        command = RevertPoint(until_s=self._trial_until_s, why=arguments.text("why", why))
        await self._ask(command, on_progress)
        self._trial_until_s = None
        return (await self._read_back()).point

    async def power_down(self, *, on_progress: OnProgress | None = None) -> SafeOffRecord:
        """Orderly stop: work stopped, clock ramped down, then safe-off. Look at `confirmed` of what it returns."""
        return await self._made_safe(PowerDown(), on_progress)

    async def safe_off(self, reason: str = "requested") -> SafeOffRecord:
        """Stop now, before everything else. Needs no permission. Look at `confirmed` of what it returns."""
        return await self._made_safe(SafeOff(reason=arguments.text("reason", reason)), None)

    async def clear_fault(self) -> None:
        """Leave the latch, after a person has looked. Raises `Refused` unless the board is safe and healthy."""
        await self._ask(ClearFault())

    async def unlock(self, reach: ReachName, note: str = "") -> Limits:
        """How far beyond stock the board may be asked from now on: "stock" locks it. Returns the limits that hold.

        It is on record, with `note`. Raises `Refused` while the board is asked for more than that.
        """
        found = arguments.reach(reach)
        await self._ask(SetReach(reach=found or Reach.STOCK, note=arguments.text("note", note)))
        return await self._limits()

    async def limit_session(
        self,
        *,
        core_v_min: float | None = None,
        core_v_max: float | None = None,
        frequency_mhz_min: float | None = None,
        frequency_mhz_max: float | None = None,
        note: str = "",
    ) -> Limits:
        """Only so much of the operator's envelope from now on, for everybody; without any of them all of it again.

        V and MHz. Returns the limits that hold. Raises `UsageError` for more than the operator has, `Refused` while the
        board is asked for more.
        """
        low, high = (
            arguments.point(self._info.envelope, clock, core)
            for clock, core in ((frequency_mhz_min, core_v_min), (frequency_mhz_max, core_v_max))
        )
        limits = SessionLimits(
            core_v_min=low.core_v,
            core_v_max=high.core_v,
            frequency_mhz_min=low.frequency_mhz,
            frequency_mhz_max=high.frequency_mhz,
        )
        await self._ask(LimitSession(limits=limits, note=arguments.text("note", note)))
        return await self._limits()

    async def set_fan(
        self, mode: FanName, *, target_chip_c: float = 60.0, floor_ratio: float = 0.0, note: str = ""
    ) -> FanStatus:
        """How the fan is led from now on, also over power-downs: "full", or "auto", which holds the die at its target.

        `target_chip_c`: 35 to 63 C. `floor_ratio`: the least duty, 0 to 1; heat wins over it. Returns how it is led:
        `why_full` says why "auto" is at full now, `degraded` that the fan does not turn as it should.
        """
        await self._ask(arguments.fan(mode, target_chip_c, floor_ratio, note))
        found = (await self.read()).fan
        assert found is not None  # only a recording may have none, and it takes no commands
        return found

    async def _limits(self) -> Limits:
        found = (await self.read()).limits
        assert found is not None  # only a recording may have none, and it takes no commands
        return found

    # --- work ---------------------------------------------------------------------------------------------------------

    async def start_work(
        self,
        kind: WorkKind,
        *,
        headers: str | PathLike[str] | None = None,
        ticket_difficulty: int | None = None,
        seed: int | None = None,
        version_mask: int | None = None,
    ) -> None:
        """Feed the chips. `headers`: a file of raw 80-byte records, for that kind of work alone.

        `ticket_difficulty`, a power of two: the smallest difficulty that the chips report. `version_mask`: the header
        version bits that may roll, as a pool says them. Raises `Refused` unless the board is live and idle.
        """
        await self._ask(arguments.work(kind, headers, ticket_difficulty, seed, version_mask))

    async def stop_work(self) -> WorkSnapshot:
        """Stop feeding, let the last window end; what was counted. The chips keep drawing power: not a safe state.

        When no work runs, this is the last that did. Raises `Refused` when there was none.
        """
        await self._ask(StopWork())
        result = (await self.read()).work
        if result is None:
            raise Refused("state", "no work has run on this board")
        return result

    async def work(
        self,
        kind: WorkKind,
        seconds: float,
        *,
        headers: str | PathLike[str] | None = None,
        ticket_difficulty: int | None = None,
        seed: int | None = None,
        version_mask: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> WorkSnapshot:
        """`start_work`, so many seconds, `stop_work`: what was counted. However it ends, the feeding is stopped.

        Raises `Latched` with cause and detail when the board trips meanwhile, `Refused` when somebody switches it off.
        """
        command = arguments.work(kind, headers, ticket_difficulty, seed, version_mask)
        of_s = arguments.seconds("seconds", seconds)
        arguments.call("on_progress", on_progress)
        await self._ask(command)
        try:
            await self._see(of_s, kind, None, on_progress)
        except BaseException:
            await through(self._quietly(StopWork()))
            raise
        return await self.stop_work()

    # --- looking ------------------------------------------------------------------------------------------------------

    async def hold(self, seconds: float, *, until: Until | None = None, on_progress: OnProgress | None = None) -> Held:
        """Watch the point for so long, or until `until` gives a reason to stop. Moves nothing.

        Raises `Latched` with cause and detail when the board trips, `Refused` when it is not live, `Unplugged` when the
        rig is lost, `NoReply` when it says nothing for 5 s.
        """
        of_s = arguments.seconds("seconds", seconds)
        arguments.call("until", until)
        arguments.call("on_progress", on_progress)
        return await self._see(of_s, "hold", until, on_progress)

    async def read(self) -> BoardSnapshot:
        """A snapshot that was taken after the call. Raises `Unplugged`, or `NoReply` when none comes within 5 s."""
        async with self._eye(silence=True) as eye:
            snapshot = await eye.next()
        assert snapshot is not None  # without a deadline there is one, or an error
        return snapshot

    def watch(self, seconds: float | None = None) -> AsyncGenerator[BoardSnapshot, None]:
        """Snapshots from now on, for so long or without end. The newest wins: a slow loop misses some.

        Ends early with `Unplugged` when the rig is lost. A fault is not its business: look at `latched`.
        """
        return self._watch(None if seconds is None else arguments.seconds("seconds", seconds))

    async def _watch(self, of_s: float | None) -> AsyncGenerator[BoardSnapshot, None]:
        until_s = None if of_s is None else _now_s() + of_s
        async with self._eye() as eye:
            while (snapshot := await eye.next(until_s)) is not None:
                yield snapshot

    async def events(self) -> AsyncGenerator[Event, None]:
        """What happened to this board, from the rig's first event on: in order, none lost. Ends with the rig.

        Of a recording, as far as its position goes, and on with it; ends on a seek.
        """
        async for event in self._port.events():
            if event.board == self._board:
                yield event

    async def remark(self, text: str) -> None:
        """A line of yours in the rig's history (1 to 500 characters)."""
        await self._ask(AddRemark(text=arguments.text("text", text, empty=False)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {summary.line(self._info, self._last)}>"

    def _repr_html_(self) -> str:
        return summary.board_table(self._info, self._last)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _asked_point(self, frequency_mhz: float | None, core_v: float | None) -> OperatingPoint:
        if frequency_mhz is None and core_v is None:
            raise UsageError("frequency_mhz or core_v", None, "one of them, or both")
        return arguments.point(self._info.envelope, frequency_mhz, core_v)

    def _eye(self, *, faults: bool = False, silence: bool = False) -> Eye:
        return Eye(self._port, self._board, self._seen, faults=faults, silence=silence)

    def _seen(self, snapshot: BoardSnapshot) -> None:
        self._last = snapshot

    async def _ask(self, command: Command, on_progress: OnProgress | None = None) -> None:
        """Carried out, or the error. Left early, a command on its way is cancelled, and a power-up made safe."""
        arguments.call("on_progress", on_progress)
        request = asyncio.create_task(self._port.request(self._board, command), name=command.kind)
        try:
            if on_progress is None:
                await asyncio.wait({request})
            else:
                await self._tell_until_done(request, command.kind, on_progress)
            request.result()
        finally:
            if not request.done():
                request.cancel()
                await through(self._abandoned(request, command))

    async def _tell_until_done(self, request: asyncio.Task[None], phase: str, on_progress: OnProgress) -> None:
        began_s = _now_s()
        phase = "set_point" if phase == "set_operating_point" else phase.removesuffix("_point")
        async with self._eye() as eye:
            request.add_done_callback(lambda _: eye.wake())
            while not request.done():
                snapshot = await eye.next()
                if snapshot is not None:
                    await _call(on_progress, Progress(phase, _now_s() - began_s, None, snapshot))

    async def _abandoned(self, request: asyncio.Task[None], command: Command) -> None:
        if isinstance(command, PowerUp) and not command.dry_run:
            await self._quietly(SafeOff(reason="whoever asked for power-up is gone"))
        await asyncio.wait({request})

    async def _quietly(self, command: Command) -> None:
        """On the way out with another error, which is the one to be told."""
        try:
            async with asyncio.timeout(WAY_OUT_S):
                await self._port.request(self._board, command)
        except (HashbridgeError, TimeoutError) as error:
            text = printable(str(error)) or f"not done within {WAY_OUT_S:g} s"
            log.warning("%s: %s on the way out: %s", self._board, command.kind, text)

    async def _read_back(self) -> BoardSnapshot:
        """The board once the point was read after this moment. What was not, in 3 s, is unknown."""
        now_s = _now_s()
        last: BoardSnapshot | None = None
        async with self._eye(faults=True, silence=True) as eye:
            while (snapshot := await eye.next(now_s + READ_BACK_S)) is not None:
                _live(snapshot)
                last = snapshot
                readings = [snapshot.channels.get(each) for each in (Channel.FREQUENCY_MHZ, Channel.CORE_V)]
                if all(reading is not None and reading.at_s >= now_s for reading in readings):
                    return snapshot
        if last is None:
            raise NoReply("a snapshot of the board", READ_BACK_S)
        unknown = last.point.model_copy(update={"achieved": OperatingPoint()})
        return last.model_copy(update={"point": unknown})

    async def _made_safe(self, command: PowerDown | SafeOff, on_progress: OnProgress | None) -> SafeOffRecord:
        """The first report that was made after the question. Rig and script are on one machine: one clock."""
        asked_s = _now_s()
        self._trial_until_s = None
        await self._ask(command, on_progress)
        try:
            async with asyncio.timeout(REPORT_WAIT_S):
                async with aclosing(self.events()) as events:
                    async for event in events:
                        if isinstance(event, SafeOffDone) and event.at_s >= asked_s:
                            return event.report
        except TimeoutError:
            raise NoReply("the report of the safe-off", REPORT_WAIT_S) from None
        raise self._eye().lost()

    async def _see(self, of_s: float, phase: str, until: Until | None, on_progress: OnProgress | None) -> Held:
        began_s = _now_s()
        last: BoardSnapshot | None = None
        reason: str | None = None
        count = 0
        async with self._eye(faults=True, silence=True) as eye:
            # However short the time, one snapshot is waited for: a hold that saw nothing is none.
            while (snapshot := await eye.next(began_s + of_s if count else None)) is not None:
                _live(snapshot)
                last, count = snapshot, count + 1
                elapsed_s = _now_s() - began_s
                await _call(on_progress, Progress(phase, elapsed_s, of_s, snapshot))
                reason = _reason(await _call(until, snapshot))
                if reason is not None:
                    break
        assert last is not None
        return Held(_now_s() - began_s, reason, last, count)


# --- small change ----------------------------------------------------------------------------------------------------


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _live(snapshot: BoardSnapshot) -> None:
    if snapshot.latched is not None:
        raise Latched(snapshot.latched.cause.value, snapshot.latched.detail)
    if snapshot.state is not GuardState.LIVE:
        raise Refused("state", f"only a live board can be watched over, this one is {snapshot.state.value}")


async def _call(function: Callable[[Any], object] | None, argument: object) -> object:
    """Callbacks may be coroutine functions."""
    if function is None:
        return None
    answer = function(argument)
    while inspect.isawaitable(answer):
        answer = await answer
    return answer


def _reason(answer: object) -> str | None:
    if answer is None or isinstance(answer, str):
        return answer
    raise UsageError("until", answer, "a function that returns why to stop (a text), or None to go on")
