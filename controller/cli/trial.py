"""Moving a running board from a command line, on trial if that is asked for: a person keeps it, or it goes back.

The clock of a trial is the rig's. Whatever becomes of this command, what nobody kept goes back.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from argparse import ArgumentParser
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TextIO

from controller.cli.quantities import parse_seconds
from controller.cli.talk import Talk, number
from controller.model import (
    KEEP_WITHIN_MAX_S,
    KEEP_WITHIN_MIN_S,
    NOTE_CHARACTERS,
    BoardSnapshot,
    Command,
    Event,
    GuardState,
    KeepPoint,
    Note,
    OperatingPoint,
    PendingPoint,
    PointKept,
    PointReverted,
    RevertPoint,
    RigPort,
    SetOperatingPoint,
    StateChanged,
)
from drivers.errors import HashbridgeError, Refused, Unplugged, UsageError

SEEN_WAIT_S: Final = 3.0
_ENDED_WAIT_S: Final = 2.0
_ROUNDING_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Moved:
    """How it ended. `kept` is None where nothing was on trial; `after` is None when no snapshot came afterwards."""

    after: BoardSnapshot | None
    kept: bool | None = None


def add_trial_option(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--keep-within", metavar="S", help="on trial: goes back unless Enter is pressed within S seconds (1 to 3600)"
    )


def parse_keep_within(text: str | None) -> float | None:
    """Seconds of a trial, None for none."""
    if text is None:
        return None
    allowed = f"{KEEP_WITHIN_MIN_S:g} s to {KEEP_WITHIN_MAX_S:g} s"
    try:
        seconds = parse_seconds(text, "--keep-within")
    except UsageError:
        raise UsageError("--keep-within", text, allowed) from None
    if not KEEP_WITHIN_MIN_S <= seconds <= KEEP_WITHIN_MAX_S:
        raise UsageError("--keep-within", text, allowed)
    return seconds


def checked_note(text: str) -> str:
    if len(text) > NOTE_CHARACTERS:
        raise UsageError("--note", text, f"at most {NOTE_CHARACTERS} characters")
    return text


def person(stream: TextIO | None = None) -> int | None:
    """The descriptor of the terminal at which somebody can press Enter; None where nobody can.

    What was typed before the question is thrown away: it was no answer.
    """
    stream = stream or sys.stdin
    if stream is None or stream.closed or not stream.isatty():
        return None
    termios.tcflush(stream.fileno(), termios.TCIFLUSH)
    return stream.fileno()


def point_text(point: OperatingPoint) -> str:
    return f"{number(point.frequency_mhz, 2, 'MHz')} at {number(point.core_v, 3, 'V')}"


async def move(port: RigPort, board: str, command: Command, talk: Talk, stream: TextIO | None = None) -> Moved:
    """Asks for it, waits out its trial if it has one, and looks where the board is then.

    Raises what the rig raises, and `Unplugged` when it goes away during a trial.
    """
    await port.request(board, command)
    after = await read_back(port, board)
    if not isinstance(command, SetOperatingPoint) or command.keep_within_s is None:
        return Moved(after)
    if after is None or after.pending is None:
        # A temperature was at its warning level, say. Nobody was asked, so nobody can have kept it.
        talk.warn(f"{board}: the trial has ended already, or cannot be seen; what nobody keeps goes back")
        return Moved(after, kept=False)
    kept = await keep_or_not(port, board, after.pending, talk, person(stream))
    return Moved(await read_back(port, board), kept)


async def read_back(port: RigPort, board: str) -> BoardSnapshot | None:
    """The first snapshot that was taken after a command was done: it shows what is, not what was asked for."""
    stale = True
    with suppress(TimeoutError):
        async with asyncio.timeout(SEEN_WAIT_S):
            async for snapshot in port.snapshots():
                if stale:
                    stale = False
                    continue
                return snapshot.of(board)
    return None


async def keep_or_not(port: RigPort, board: str, trial: PendingPoint, talk: Talk, terminal: int | None) -> bool:
    """Waits until the trial has ended; True when the change stays.

    An empty line at the terminal keeps it; any other line, the end of the input or Ctrl+C takes it back at once.
    """
    loop = asyncio.get_running_loop()
    said: asyncio.Future[bytes] = loop.create_future()
    ended = asyncio.create_task(_end_of(port, board, trial, talk))
    counting = asyncio.create_task(_count_down(trial, talk, terminal is not None))
    if terminal is not None:
        loop.add_reader(terminal, _hear, terminal, said)
    try:
        either: set[asyncio.Future[Any]] = {said, ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await _answer(port, board, trial, said.result() == b"\n", ended)
        event = await ended
    except asyncio.CancelledError:
        with suppress(HashbridgeError):
            await port.request(board, RevertPoint(until_s=trial.until_s, why="interrupted"))
        raise
    finally:
        if terminal is not None:
            loop.remove_reader(terminal)
        said.cancel()
        for task in (ended, counting):
            task.cancel()
        await asyncio.gather(ended, counting, return_exceptions=True)
        talk.settle()
    match event:
        case PointKept():
            talk.say(f"{board}: kept: {point_text(event.point)}", "good")
        case PointReverted():
            talk.say(f"{board}: gone back to {point_text(event.point)}: {event.why}")
        case StateChanged():
            talk.warn(f"{board}: the trial ended: {event.after.value}, {event.why}")
    return isinstance(event, PointKept)


async def _answer(port: RigPort, board: str, trial: PendingPoint, keep: bool, ended: asyncio.Task[Event]) -> None:
    command = KeepPoint(until_s=trial.until_s) if keep else RevertPoint(until_s=trial.until_s, why="taken back")
    try:
        await port.request(board, command)
    except Refused:
        # The answer came too late if the trial has ended; then its event is on the way.
        await asyncio.wait({ended}, timeout=_ENDED_WAIT_S)
        if not ended.done():
            raise


async def _end_of(port: RigPort, board: str, trial: PendingPoint, talk: Talk) -> Event:
    """The event that ends the trial. The history begins long before it."""
    began_s = trial.until_s - trial.keep_within_s - _ROUNDING_S
    async for event in port.events():
        if event.board != board or event.at_s < began_s:
            continue
        if isinstance(event, PointKept | PointReverted):
            return event
        if isinstance(event, StateChanged) and event.after not in (GuardState.LIVE, GuardState.STARTING):
            return event
        if isinstance(event, Note) and event.level != "info":
            talk.warn(f"{event.level}: {event.text}")
    raise Unplugged("rig", "it went away during the trial, and makes its boards safe")


async def _count_down(trial: PendingPoint, talk: Talk, somebody: bool) -> None:
    """Client and rig are processes of one machine: `until_s` is a time of this loop's clock too."""
    loop = asyncio.get_running_loop()
    hint = "Enter keeps it, any other line takes it back" if somebody else "no terminal: nobody can keep it"
    while (left_s := trial.until_s - loop.time()) > 0.0:
        talk.live([f"on trial, goes back in {left_s:.0f} s", hint], loop.time())
        await asyncio.sleep(min(1.0, left_s))


def _hear(terminal: int, said: asyncio.Future[bytes]) -> None:
    try:
        line = os.read(terminal, 4096)
    except OSError:
        line = b""  # the terminal is gone, and the person with it
    asyncio.get_running_loop().remove_reader(terminal)
    if not said.done():
        said.set_result(line)
