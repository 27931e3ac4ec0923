"""A loop whose clock jumps: when nothing is ready, time moves to the next timer. An hour of waiting costs nothing.

For in-memory ports only: nothing outside this process can answer between two timers. It leans on one private
attribute of `asyncio` (`_scheduled`, the heap of timers), so it lives in one file with its own test, and
`looptime(noop_cycles=0)` is the fallback. Textual's own timers do not follow it.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


_TURNS_A_POLL = 16


class Deadlock(RuntimeError):
    """Nothing is ready and nothing is scheduled: on a real clock this would hang for ever."""


class _JumpingSelector(selectors.DefaultSelector):
    loop: VirtualTimeLoop
    _turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turns += 1
        if timeout == 0 and self._turns % _TURNS_A_POLL:
            return []  # there is work to do; descriptors are looked at before each jump, and now and then
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            self.loop.jump()
        return ready


class _Timer(asyncio.TimerHandle):
    __slots__ = ()
    _scheduled: bool
    _when: float

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        return self._when < other._when  # type: ignore[attr-defined, no-any-return]


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at 0 s and never waits. Timers keep their order; ready work always goes first."""

    _scheduled: list[asyncio.TimerHandle]
    _clock_resolution: float
    _check_closed: Callable[[], None]

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._now_s = self._coarser_from_s = 0.0
        super().__init__(selector)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._now_s

    def skip(self, seconds: float) -> None:
        """The process is stopped for so long: time passes, and nothing of it runs. What was due runs late, in order."""
        self._go_to(self._now_s + seconds)

    def jump(self) -> None:
        """Move the clock to the next timer. `Deadlock` when there is none."""
        due = self._scheduled[0] if self._scheduled else None
        if due is not None and due.cancelled():
            due = min((handle for handle in self._scheduled if not handle.cancelled()), default=None)
        if due is None:
            waiting = "; ".join(sorted(_where(task) for task in asyncio.all_tasks(self))) or "no task"
            raise Deadlock(f"at {self._now_s:.6f} s nothing is ready and nothing is scheduled; waiting: {waiting}")
        self._go_to(due.when())

    def _go_to(self, at_s: float) -> None:
        if at_s > self._now_s:
            self._now_s = at_s
            # The loop runs what is due before now + resolution; that sum has to differ from now, however late it is.
            if self._now_s > self._coarser_from_s:
                self._clock_resolution = max(1e-9, 2.0 * math.ulp(self._now_s))
                self._coarser_from_s = 2.0 * self._now_s

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As in any loop, but with a timer that compares faster: the heap is the largest cost of a virtual hour."""
        self._check_closed()
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def run_in_executor(self, executor: object, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run `func` in this thread: while another one works, virtual time would race ahead of it."""

        async def in_line() -> T:
            return func(*args)

        return self.create_task(in_line())


def _where(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack()
    place = f"{frames[-1].f_code.co_qualname}:{frames[-1].f_lineno}" if frames else "done"
    return f"{task.get_name()} in {place}"


def virtual_run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a fresh virtual clock. Returns or raises what `main` does; `Deadlock` when all wait for ever."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
