"""`SyncRig`: the library for scripts and notebooks without a loop of their own. Every verb waits until it is done.

    with SyncRig.connect(emulate="bitaxe-gamma") as rig:
        rig.power_up(frequency_mhz=500.0, core_v=1.15)
        held = rig.hold(60.0)
        print(held.last.point.achieved, rig.info.envelope.chip_c_trip)

The same verbs as `AsyncRig`, in an asyncio loop in a daemon thread of its own: a loop that runs already, as in Jupyter,
is not disturbed. Callbacks are called in the thread that called the verb, and may use the rig themselves. Ctrl+C ends
the verb and leaves a usable rig; leaving the `with` makes safe. A program that ends without leaving it does not hang:
its socket closes, and the rig, which has lost its owner, makes safe.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from os import PathLike
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from controller.library import AsyncRig, FanName, Held, OnProgress, ReachName, Until, WorkKind, connect, open_recording
from controller.model import (
    BoardInfo,
    BoardSnapshot,
    Event,
    FanStatus,
    Limits,
    Playback,
    PointStatus,
    SafeOffRecord,
    WorkSnapshot,
)
from drivers.errors import HashbridgeError, Unplugged

T = TypeVar("T")
Here = Callable[[Any], Any]
"""Makes a callback one that is called in the thread that waits."""


class Driver(Protocol):
    """What runs the coroutines of a `SyncRig`."""

    def run(self, work: Callable[[Here], Coroutine[Any, Any, T]]) -> T:
        """What it returns or raises. It is handed what brings callbacks into the caller's thread."""
        ...

    def forget(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let it run; nobody waits for it."""
        ...

    def close(self) -> None: ...


class _Job:
    """One verb that goes on in the loop while a thread waits for it, and is called now and then."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.ended = threading.Event()
        self._loop = loop
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    async def run(self, work: Callable[[Here], Coroutine[Any, Any, T]]) -> T:
        self._task = asyncio.current_task()
        try:
            if self._cancelled:
                raise asyncio.CancelledError
            return await work(self._here)
        finally:
            self.ended.set()

    def cancel(self) -> None:
        """To be called in the loop."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _here(self, callback: Any) -> Any:
        if not callable(callback):
            return callback  # none, or a mistake that the library names

        async def there(argument: object) -> object:
            answer: asyncio.Future[object] = self._loop.create_future()
            self.calls.put(lambda: self._call(callback, argument, answer))
            return await answer

        return there

    def _call(self, callback: Callable[[object], object], argument: object, answer: asyncio.Future[object]) -> None:
        try:
            said = callback(argument)
        except Exception as error:  # noqa: BLE001 - whatever a callback raises goes to the loop, and ends its verb there
            self._loop.call_soon_threadsafe(_settle, answer, None, error)
        else:
            self._loop.call_soon_threadsafe(_settle, answer, said, None)


def _settle(answer: asyncio.Future[object], said: object, error: Exception | None) -> None:
    if answer.done():
        return  # the verb was cancelled meanwhile
    if isinstance(error, StopIteration):  # which no future takes
        wrapped = RuntimeError("a callback raised StopIteration")
        wrapped.__cause__ = error
        answer.set_exception(wrapped)
    elif error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(said)


class LoopThread:
    """A `Driver`: an asyncio loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hashbridge", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[Here], Coroutine[Any, Any, T]]) -> T:
        """As `Driver.run`. An interrupt in this thread cancels it and waits for its end; a second one does not wait."""
        if not self._thread.is_alive():
            raise Unplugged("rig", "closed")
        job = _Job(self._loop)
        future: Future[T] | None = None
        try:
            future = asyncio.run_coroutine_threadsafe(job.run(work), self._loop)
            future.add_done_callback(lambda _: job.calls.put(None))
            while (call := job.calls.get()) is not None:
                call()
            return future.result()
        except CancelledError:
            raise Unplugged("rig", "closed in another thread") from None
        except (KeyboardInterrupt, SystemExit):
            self._loop.call_soon_threadsafe(job.cancel)
            if future is not None:
                job.ended.wait()
            raise

    def forget(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if not self._thread.is_alive():
            return  # everything in the loop has ended
        coroutine = work()
        try:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # closed in this moment
            coroutine.close()

    def close(self) -> None:
        """Ends what still goes on in the loop, then the loop and the thread."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class SyncRig:
    """`AsyncRig`, but every verb returns when it is done. A context manager; made by `SyncRig.connect`."""

    def __init__(self, rig: AsyncRig, driver: Driver, *, shared: bool = False) -> None:
        """`shared`: the driver is another one's, who closes it."""
        self._rig, self._driver, self._shared = rig, driver, shared

    @classmethod
    def connect(
        cls,
        *,
        emulate: str | None = None,
        port: str | None = None,
        board: str | None = None,
        rig: int | str | PathLike[str] | None = None,
        seed: int | None = None,
        dilution: int | None = None,
        dialect: str | None = None,
        solved: str | PathLike[str] | None = None,
        journal: str | PathLike[str] | None = None,
        record: str | PathLike[str] | None = None,
        work: WorkKind = "pattern",
        unlock: ReachName | None = None,
        retry: bool = False,
        envelope: str | PathLike[str] | None = None,
    ) -> Self:
        """As `controller.library.connect`, but the rig is there when it returns. `with SyncRig.connect(...) as rig:`"""
        connecting = connect(
            emulate=emulate,
            port=port,
            board=board,
            rig=rig,
            seed=seed,
            dilution=dilution,
            dialect=dialect,
            solved=solved,
            journal=journal,
            record=record,
            work=work,
            unlock=unlock,
            retry=retry,
            envelope=envelope,
        )
        opened: list[AsyncRig] = []

        async def open_it() -> None:
            opened.append(await connecting)

        driver = LoopThread()
        try:
            driver.run(lambda here: open_it())
        except BaseException:
            for found in opened:  # the interrupt came when it was there already
                driver.run(lambda here, found=found: found.aclose())  # type: ignore[misc]
            driver.close()
            raise
        return cls(opened[0], driver)

    @classmethod
    def open_recording(cls, path: str | PathLike[str], board: str | None = None) -> Self:
        """As `controller.library.open_recording`; the verbs wait."""
        driver = LoopThread()

        async def open_it() -> AsyncRig:
            return open_recording(path, board)

        try:
            return cls(driver.run(lambda here: open_it()), driver)
        except BaseException:
            driver.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(lambda: self._rig.__aexit__(kind, error, trace))

    def close(self) -> None:
        """Leave; the same as leaving the `with`. Ctrl+C does not cut it short, a second one leaves it to the rig."""
        self._close(self._rig.aclose)

    def _close(self, leave: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._shared:
            return
        try:
            self._driver.run(lambda here: leave())
        except Unplugged:  # closed before
            return
        finally:
            self._driver.close()

    @property
    def info(self) -> BoardInfo:
        """As `AsyncRig.info`."""
        return self._rig.info

    @property
    def boards(self) -> tuple[str, ...]:
        """As `AsyncRig.boards`."""
        return self._rig.boards

    @property
    def safe_off_report(self) -> SafeOffRecord | None:
        """As `AsyncRig.safe_off_report`."""
        return self._rig.safe_off_report

    @property
    def playback(self) -> Playback | None:
        """As `AsyncRig.playback`."""
        return self._rig.playback

    def on(self, board: str) -> SyncRig:
        """As `AsyncRig.on`. Closing what it gives does nothing."""
        return SyncRig(self._rig.on(board), self._driver, shared=True)

    def power_up(
        self,
        frequency_mhz: float | None = None,
        core_v: float | None = None,
        *,
        note: str = "",
        on_progress: OnProgress | None = None,
    ) -> PointStatus:
        """As `AsyncRig.power_up`. Ctrl+C on the way makes the board safe."""
        return self._driver.run(
            lambda here: self._rig.power_up(frequency_mhz, core_v, note=note, on_progress=here(on_progress))
        )

    def set_point(
        self,
        frequency_mhz: float | None = None,
        core_v: float | None = None,
        *,
        preset: bool = False,
        keep_within_s: float | None = None,
        note: str = "",
        on_progress: OnProgress | None = None,
    ) -> PointStatus:
        """As `AsyncRig.set_point`."""
        return self._driver.run(
            lambda here: self._rig.set_point(
                frequency_mhz,
                core_v,
                preset=preset,
                keep_within_s=keep_within_s,
                note=note,
                on_progress=here(on_progress),
            )
        )

    def apply_profile(
        self, name: str, *, keep_within_s: float | None = None, on_progress: OnProgress | None = None
    ) -> PointStatus:
        """As `AsyncRig.apply_profile`."""
        return self._driver.run(
            lambda here: self._rig.apply_profile(name, keep_within_s=keep_within_s, on_progress=here(on_progress))
        )

    def check_point(
        self, frequency_mhz: float | None = None, core_v: float | None = None, *, preset: bool = False
    ) -> None:
        """As `AsyncRig.check_point`."""
        self._driver.run(lambda here: self._rig.check_point(frequency_mhz, core_v, preset=preset))

    def keep(self) -> None:
        """As `AsyncRig.keep`."""
        self._driver.run(lambda here: self._rig.keep())

    def revert(self, why: str = "asked for", *, on_progress: OnProgress | None = None) -> PointStatus:
        """As `AsyncRig.revert`."""
        return self._driver.run(lambda here: self._rig.revert(why, on_progress=here(on_progress)))

    def power_down(self, *, on_progress: OnProgress | None = None) -> SafeOffRecord:
        """As `AsyncRig.power_down`."""
        return self._driver.run(lambda here: self._rig.power_down(on_progress=here(on_progress)))

    def safe_off(self, reason: str = "requested") -> SafeOffRecord:
        """As `AsyncRig.safe_off`."""
        return self._driver.run(lambda here: self._rig.safe_off(reason))

    def clear_fault(self) -> None:
        """As `AsyncRig.clear_fault`."""
        self._driver.run(lambda here: self._rig.clear_fault())

    def unlock(self, reach: ReachName, note: str = "") -> Limits:
        """As `AsyncRig.unlock`."""
        return self._driver.run(lambda here: self._rig.unlock(reach, note))

    def cap_chip(
        self, chip: int, frequency_mhz: float | None, *, preset: bool = False, note: str = ""
    ) -> Mapping[int, float]:
        """As `AsyncRig.cap_chip`."""
        return self._driver.run(lambda here: self._rig.cap_chip(chip, frequency_mhz, preset=preset, note=note))

    def check_cap(self, chip: int, frequency_mhz: float | None, *, preset: bool = False) -> None:
        """As `AsyncRig.check_cap`."""
        return self._driver.run(lambda here: self._rig.check_cap(chip, frequency_mhz, preset=preset))

    def set_fan(
        self, mode: FanName, *, target_chip_c: float = 60.0, floor_ratio: float = 0.0, note: str = ""
    ) -> FanStatus:
        """As `AsyncRig.set_fan`."""
        return self._driver.run(
            lambda here: self._rig.set_fan(mode, target_chip_c=target_chip_c, floor_ratio=floor_ratio, note=note)
        )

    def limit_session(
        self,
        *,
        core_v_min: float | None = None,
        core_v_max: float | None = None,
        frequency_mhz_min: float | None = None,
        frequency_mhz_max: float | None = None,
        note: str = "",
    ) -> Limits:
        """As `AsyncRig.limit_session`."""
        return self._driver.run(
            lambda here: self._rig.limit_session(
                core_v_min=core_v_min,
                core_v_max=core_v_max,
                frequency_mhz_min=frequency_mhz_min,
                frequency_mhz_max=frequency_mhz_max,
                note=note,
            )
        )

    def start_work(
        self,
        kind: WorkKind,
        *,
        headers: str | PathLike[str] | None = None,
        ticket_difficulty: int | None = None,
        seed: int | None = None,
        version_mask: int | None = None,
    ) -> None:
        """As `AsyncRig.start_work`."""
        self._driver.run(
            lambda here: self._rig.start_work(
                kind, headers=headers, ticket_difficulty=ticket_difficulty, seed=seed, version_mask=version_mask
            )
        )

    def stop_work(self) -> WorkSnapshot:
        """As `AsyncRig.stop_work`."""
        return self._driver.run(lambda here: self._rig.stop_work())

    def work(
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
        """As `AsyncRig.work`."""
        return self._driver.run(
            lambda here: self._rig.work(
                kind,
                seconds,
                headers=headers,
                ticket_difficulty=ticket_difficulty,
                seed=seed,
                version_mask=version_mask,
                on_progress=here(on_progress),
            )
        )

    def hold(self, seconds: float, *, until: Until | None = None, on_progress: OnProgress | None = None) -> Held:
        """As `AsyncRig.hold`."""
        return self._driver.run(lambda here: self._rig.hold(seconds, until=here(until), on_progress=here(on_progress)))

    def read(self) -> BoardSnapshot:
        """As `AsyncRig.read`."""
        return self._driver.run(lambda here: self._rig.read())

    def watch(self, seconds: float | None = None) -> Generator[BoardSnapshot, None, None]:
        """As `AsyncRig.watch`. Left in the middle, it ends."""
        return self._each(self._rig.watch(seconds))

    def events(self) -> Generator[Event, None, None]:
        """As `AsyncRig.events`. Left in the middle, it ends."""
        return self._each(self._rig.events())

    def remark(self, text: str) -> None:
        """As `AsyncRig.remark`."""
        self._driver.run(lambda here: self._rig.remark(text))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{repr(self._rig).removeprefix('<AsyncRig')}"

    def _repr_html_(self) -> str:
        """The board as it is now, or as it was seen last."""
        with suppress(HashbridgeError):
            self.read()
        return self._rig._repr_html_()

    def _each(self, source: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        try:
            while (item := self._driver.run(lambda here: _next(source))) is not _END:
                yield item  # type: ignore[misc]
        finally:
            self._driver.forget(lambda: _close(source))


_END: Final = object()


async def _next(source: AsyncGenerator[T, None]) -> T | object:
    return await anext(source, _END)


async def _close(source: AsyncGenerator[Any, None]) -> None:
    await source.aclose()
