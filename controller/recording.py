"""`RecordedRig`: a journal that opens like a rig. A `RigPort` whose time is a position, and a `Playback` that moves it.

An hour is 18,000 snapshots of 3 KB. Opening reads the file once and keeps of each snapshot when it was and where it
stands; events, of which there are few, are kept whole. A snapshot is read when somebody looks at it.
"""

from __future__ import annotations

import asyncio
import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from controller.bell import Bell
from controller.journal import JournalError, Line, read_lines
from controller.model import BoardInfo, Command, Event, Snapshot
from drivers.errors import Refused, Unplugged, UsageError

MIN_SPEED: Final = 0.1
MAX_SPEED: Final = 1000.0

_USUAL: Final = re.compile(
    rb'\{"kind":"snapshot","snapshot":\{"schema":"hashbridge\.snapshot/1","at_s":(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?),'
)
"""How `Journal.snapshot` begins a line. One that begins otherwise, or does not end as it should, is read in full."""
_USUAL_END: Final = b"]}}\n"
_SHORTEST_WAIT_S: Final = 0.001
"""Rounding may put an item a hair behind the moment for which its timer was set: no loop turns around that hair."""


class RecordedRig:
    """Made by `open`. At first paused, at position 0, speed 1. Ends with `aclose`: then the iterators end.

    Several may look at one recording; all of them share its position. At its end the position stays and the iterators
    wait, since somebody may seek back.
    """

    def __init__(self, path: Path, file: BinaryIO, now: Callable[[], float] | None) -> None:
        self.path = path
        self.generation = 0
        """Counts the seeks."""
        self.truncated = False
        """The run was cut off: the last line was broken, and dropped."""
        self.began_s = 0.0
        """The time of the first item, in the rig's own time: position 0."""
        self._file: BinaryIO | None = file
        self._now = now
        self._boards: tuple[BoardInfo, ...] = ()
        self._events: list[Event] = []
        self._event_positions = array("d")
        self._positions = array("d")
        self._offsets = array("Q")
        self._lengths = array("L")
        self._duration_s = 0.0
        self._playing = False
        self._speed = 1.0
        self._left_at_s = self._since_s = 0.0
        """The position when something was last changed, and the clock then."""
        self._changed = Bell()

    @classmethod
    def open(cls, path: str | Path, *, now: Callable[[], float] | None = None) -> Self:
        """Reads the file once, without a loop if need be; about 0.1 s for an hour.

        `now` is the clock in seconds, the loop's own unless given. Raises `OSError`, or `JournalError` for a file that
        is no journal and for a broken line that is not the last. What is broken inside a snapshot that looks whole is a
        `JournalError` of whoever looks at it.
        """
        path = Path(path)
        file = path.open("rb")
        try:
            rig = cls(path, file, now)
            rig._boards, rig.truncated = read_lines(path, file, rig._take)
            rig._count_from_zero()
            if rig._positions:
                rig._read(0)  # a journal of another release is told here, not in the middle of a screen
        except BaseException:
            file.close()
            raise
        return rig

    def _count_from_zero(self) -> None:
        """From times to positions: what is asked for as `at_s - began_s` is then met to the last bit."""
        both = [times for times in (self._positions, self._event_positions) if times]
        self.began_s = min((times[0] for times in both), default=0.0)
        self._positions = array("d", (at_s - self.began_s for at_s in self._positions))
        self._event_positions = array("d", (at_s - self.began_s for at_s in self._event_positions))
        self._duration_s = max((times[-1] - self.began_s for times in both), default=0.0)

    def _take(self, line: Line) -> None:
        usual = _USUAL.match(line.data) if line.data.endswith(_USUAL_END) else None
        if usual is not None:
            self._take_snapshot(line, float(usual[1]))
            return
        item = line.item()
        if isinstance(item, Snapshot):
            self._take_snapshot(line, item.at_s)
        else:
            _append_time(self._event_positions, item.at_s, line)
            self._events.append(item)

    def _take_snapshot(self, line: Line, at_s: float) -> None:
        _append_time(self._positions, at_s, line)
        self._offsets.append(line.offset)
        self._lengths.append(len(line.data))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def close(self) -> None:
        """Stop, end the iterators, close the file. May be called twice."""
        file, self._file = self._file, None
        if file is not None:
            self._move(self.position_s, playing=False)
            file.close()

    # --- RigPort ------------------------------------------------------------------------------------------------------

    @property
    def info(self) -> tuple[BoardInfo, ...]:
        """The boards as the header has them."""
        return self._boards

    async def request(self, board: str, command: Command) -> None:
        """Raises `Refused`: nothing here can be moved."""
        raise Refused("recorded", "a recording can be looked at, not moved")

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """The newest at the position, then each newer one as time goes; who is slow gets the newest. Ends on a seek."""
        return self._snapshots(self.generation)

    async def _snapshots(self, generation: int) -> AsyncIterator[Snapshot]:
        shown = 0
        while self._goes_on(generation):
            passed = bisect_right(self._positions, self.position_s)
            if passed > shown:
                shown = passed
                yield self._read(passed - 1)
            else:
                await self._wait_for(self._positions, shown)

    def events(self) -> AsyncIterator[Event]:
        """All up to the position, from the first on and in order; then more as time goes. Ends on a seek."""
        return self._told(self.generation)

    async def _told(self, generation: int) -> AsyncIterator[Event]:
        told = 0
        while self._goes_on(generation):
            if told < bisect_right(self._event_positions, self.position_s):
                told += 1
                yield self._events[told - 1]
            else:
                await self._wait_for(self._event_positions, told)

    def _goes_on(self, generation: int) -> bool:
        return self.generation == generation and self._file is not None

    async def _wait_for(self, positions: Sequence[float], index: int) -> None:
        """Until this item is due, or until something has changed. While paused, and at the end, nothing is due."""
        patience_s: float | None = None
        if self._playing and index < len(positions):
            patience_s = max((positions[index] - self.position_s) / self._speed, _SHORTEST_WAIT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._changed.wait()

    # --- Playback -----------------------------------------------------------------------------------------------------

    @property
    def duration_s(self) -> float:
        """From the first item to the last."""
        return self._duration_s

    @property
    def position_s(self) -> float:
        """Seconds from the first item, 0 to `duration_s`."""
        if not self._playing:
            return self._left_at_s
        return min(self._left_at_s + (self._clock_s() - self._since_s) * self._speed, self._duration_s)

    @property
    def playing(self) -> bool:
        """Time goes on, unless the end is reached. Setting it is `play` or `pause`."""
        return self._playing

    @playing.setter
    def playing(self, playing: bool) -> None:
        self._move(self.position_s, playing=playing)

    @property
    def speed(self) -> float:
        """Seconds of the recording in a second, 0.1 to 1000. Setting another raises `UsageError`."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise UsageError("speed", speed, f"{MIN_SPEED:g} to {MAX_SPEED:g}")
        position_s = self.position_s
        self._speed = float(speed)
        self._move(position_s, playing=self._playing)

    def play(self) -> None:
        self.playing = True

    def pause(self) -> None:
        self.playing = False

    def seek(self, position_s: float) -> None:
        """Clamped to the recording. The iterators end; new ones begin again. Raises `UsageError` for no number."""
        if math.isnan(position_s):
            raise UsageError("position_s", position_s, f"0 to {self._duration_s:g} s")
        self.generation += 1
        self._move(min(max(float(position_s), 0.0), self._duration_s), playing=self._playing)

    def past(self, span_s: float, at_most: int) -> Sequence[Snapshot]:
        """Snapshots of the last `span_s` up to the position, the one at the position included; oldest first.

        Of more than `at_most`, so many evenly chosen, the newest always among them. Raises `UsageError` for a span or
        a number below zero, `JournalError` for a broken one.
        """
        if not span_s >= 0.0:
            raise UsageError("span_s", span_s, "0 s or more")
        if at_most < 0:
            raise UsageError("at_most", at_most, "0 or more")
        position_s = self.position_s
        first, behind = bisect_left(self._positions, position_s - span_s), bisect_right(self._positions, position_s)
        count = behind - first
        if count > at_most:
            # Counted back from the newest, so that it is there even when there is room for one alone.
            chosen = [behind - 1 - step * (count - 1) // max(at_most - 1, 1) for step in range(at_most)][::-1]
        else:
            chosen = list(range(first, behind))
        return [self._read(index) for index in chosen]

    # --- time and file ------------------------------------------------------------------------------------------------

    def _clock_s(self) -> float:
        return asyncio.get_running_loop().time() if self._now is None else self._now()

    def _move(self, position_s: float, *, playing: bool) -> None:
        """All that changes where the position is, or how it goes on, passes here; who waits looks again."""
        self._left_at_s = position_s
        self._since_s = self._clock_s() if playing else 0.0
        self._playing = playing
        self._changed.ring()

    def _read(self, index: int) -> Snapshot:
        if self._file is None:
            raise Unplugged(str(self.path), "the recording is closed")
        offset = self._offsets[index]
        self._file.seek(offset)
        line = Line(self.path, 0, offset, self._file.read(self._lengths[index]))
        try:
            item = line.item()
        except JournalError as error:
            raise JournalError(self.path, self._number(offset), error.why) from None
        assert isinstance(item, Snapshot)  # `_take` has seen its kind
        return item

    def _number(self, offset: int) -> int:
        """The number of the line at this place. Slow, and only for a message."""
        assert self._file is not None
        self._file.seek(0)
        number = 1
        while self._file.tell() < offset and self._file.readline():
            number += 1
        return number


def _append_time(times: array[float], at_s: float, line: Line) -> None:
    if times and at_s < times[-1]:
        raise JournalError(line.path, line.number, f"at_s goes back, from {times[-1]!r} to {at_s!r}")
    times.append(at_s)
