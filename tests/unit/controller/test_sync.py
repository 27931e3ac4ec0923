"""The blocking twin: the same verbs and words, in virtual time, and on pseudo-terminals with threads and signals."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.emulators import child_environment, running_emulators
from controller.library import AsyncRig, Progress, connect
from controller.model import BoardSnapshot, GuardState, PointKept, PointReverted, Remark
from controller.paths import list_rigs
from controller.sync import LoopThread, SyncRig
from drivers.errors import Refused, Unplugged, UsageError
from tests.scenarios.blocking import blocking_stand
from tests.waiting import until

PATIENCE_S = 30.0


def verbs(of: type) -> set[str]:
    return {name for name, found in inspect.getmembers(of) if not name.startswith("_") and callable(found)}


def words(function: Callable[..., object]) -> list[inspect.Parameter]:
    return [each for each in inspect.signature(function).parameters.values() if each.name not in ("self", "cls")]


# --- the same words ---------------------------------------------------------------------------------------------------


def test_both_faces_have_the_same_verbs() -> None:
    assert verbs(AsyncRig) - {"aclose"} == verbs(SyncRig) - {"close", "connect", "open_recording"}


@pytest.mark.parametrize("name", sorted(verbs(AsyncRig) - {"aclose", "on"}))
def test_a_verb_takes_and_gives_the_same_on_both_faces(name: str) -> None:
    one, other = getattr(AsyncRig, name), getattr(SyncRig, name)
    assert words(one) == words(other)
    gives, blocking = inspect.signature(one).return_annotation, inspect.signature(other).return_annotation
    assert blocking == (gives.replace("Async", "").replace(", None]", ", None, None]") if "Async" in gives else gives)


def test_both_connect_with_the_same_words() -> None:
    assert words(connect) == words(SyncRig.connect)


# --- in virtual time --------------------------------------------------------------------------------------------------


def test_every_verb_waits_until_it_is_done() -> None:
    with blocking_stand() as (rig, s):
        seen: list[Progress] = []
        rig.check_point(500.0)
        assert rig.power_up(500.0, 1.10, note="up", on_progress=seen.append).requested.core_v == 1.10
        assert rig.set_point(525.0, preset=True, keep_within_s=30.0, on_progress=seen.append).requested
        rig.keep()
        rig.set_point(550.0, keep_within_s=30.0)
        assert rig.revert("no", on_progress=seen.append).requested.frequency_mhz == 525.0
        assert rig.hold(2.0, until=lambda snapshot: "enough", on_progress=seen.append).reason == "enough"
        assert rig.work("pattern", 2.0, seed=3, on_progress=seen.append).answers_found
        rig.start_work("pattern")
        rig.remark("looks well")
        assert rig.stop_work().jobs > 0
        assert rig.read().state is GuardState.LIVE
        assert len(list(rig.watch(1.0))) >= 4
        assert rig.power_down(on_progress=seen.append).confirmed
        assert rig.safe_off("again").confirmed
        with pytest.raises(Refused, match="nothing is latched"):
            rig.clear_fault()
        assert list(dict.fromkeys(each.phase for each in seen)) == [
            "power_up", "set_point", "revert", "hold", "pattern", "power_down"
        ]  # fmt: skip
        assert (len(s.find(PointKept)), len(s.find(PointReverted)), len(s.find(Remark))) == (1, 1, 1)
        first = next(rig.events())
        assert first.seq == 1


def test_it_shows_itself_as_the_other_one_does_and_its_table_is_fresh() -> None:
    with blocking_stand() as (rig, _):
        assert repr(rig) == "<SyncRig gamma: not read yet>"
        assert "safe_off" in rig._repr_html_()
        assert repr(rig).startswith("<SyncRig gamma: safe_off")
        assert (rig.info.name, rig.boards, rig.safe_off_report) == ("gamma", ("gamma",), None)
        with rig.on("gamma") as same:
            same.power_up(400.0)
        assert rig.read().state is GuardState.LIVE


# --- the thread -------------------------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Directories of its own, short enough for sockets; nothing may be left in them."""
    place = tmp_path_factory.mktemp("hb")
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(place / "r"))
    monkeypatch.setenv("HASHBRIDGE_STATE_DIR", str(place / "s"))
    yield place
    assert until(lambda: list_rigs() == [] and running_emulators() == [], PATIENCE_S)


@pytest.fixture
def interrupts() -> Iterator[Callable[[float], None]]:
    """Ctrl+C after so many seconds, even where this process was started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timers: list[threading.Timer] = []

    def interrupt_after(seconds: float) -> None:
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    yield interrupt_after
    for timer in timers:
        timer.cancel()  # one that was not needed must not interrupt what comes after
        timer.join()
    signal.signal(signal.SIGINT, before)


def test_a_callback_is_called_in_the_thread_that_waits_and_what_it_raises_comes_out() -> None:
    driver = LoopThread()
    try:
        threads: list[threading.Thread] = []

        async def call(callback: Callable[[int], object]) -> object:
            answer = callback(21)
            return await answer if inspect.isawaitable(answer) else answer

        def double(number: int) -> int:
            threads.append(threading.current_thread())
            return driver.run(lambda here: asyncio.sleep(0, number * 2))

        assert driver.run(lambda here: call(here(double))) == 42
        assert threads == [threading.current_thread()]
        with pytest.raises(ZeroDivisionError):
            driver.run(lambda here: call(here(lambda number: number // 0)))
        with pytest.raises(RuntimeError, match="StopIteration"):
            driver.run(lambda here: call(here(lambda number: next(iter(())))))
        with pytest.raises(SystemExit):
            driver.run(lambda here: call(here(lambda number: sys.exit(3))))
        assert driver.run(lambda here: asyncio.sleep(0, "goes on")) == "goes on"
    finally:
        driver.close()
    with pytest.raises(Unplugged, match="closed"):
        driver.run(lambda here: asyncio.sleep(0))
    driver.close()


@pytest.mark.real_time
def test_an_interrupt_cancels_what_is_waited_for_and_waits_for_its_end(interrupts: Callable[[float], None]) -> None:
    driver = LoopThread()
    ended: list[str] = []

    async def sleep() -> None:
        try:
            await asyncio.sleep(60.0)
        finally:
            await asyncio.sleep(0.05)
            ended.append("in order")

    try:
        interrupts(0.2)
        with pytest.raises(KeyboardInterrupt):
            driver.run(lambda here: sleep())
        assert ended == ["in order"]
    finally:
        driver.close()


@pytest.mark.real_time
def test_a_notebook_session_on_pseudo_terminals(places: Path, interrupts: Callable[[float], None]) -> None:
    async def cell() -> None:
        """Jupyter has a loop in this thread already."""
        with SyncRig.connect(emulate="bitaxe-gamma", journal=places / "journal.jsonl") as rig:
            interrupts(2.5)
            with pytest.raises(KeyboardInterrupt):
                rig.power_up()
            assert rig.read().state is GuardState.SAFE_OFF  # not half way up
            rig.power_up(400.0, 1.05)
            interrupts(0.5)
            with pytest.raises(KeyboardInterrupt):
                rig.hold(60.0)
            assert rig.hold(0.5, until=lambda snapshot: same_as(rig.read(), snapshot)).reason is None
            with pytest.raises(UsageError, match="400 to 1000 MHz"):
                rig.set_point(100.0)
            for _ in rig.watch():
                break
            for event in rig.events():
                assert event.seq == 1
                break
            joined = SyncRig.connect(rig=list_rigs()[0].pid)
            assert joined.read().state is GuardState.LIVE
            joined.close()
            joined.close()
            assert joined.safe_off_report is None
            with SyncRig.connect() as only:
                interrupts(0.3)
                with pytest.raises(KeyboardInterrupt):
                    list(only.watch())
            assert rig.read().state is GuardState.LIVE  # joined rigs are only left
        assert rig.safe_off_report is not None
        assert rig.safe_off_report.confirmed

    def same_as(fresh: BoardSnapshot, snapshot: BoardSnapshot) -> str | None:
        return None if fresh.at_s > snapshot.at_s else "stale"

    # `asyncio.run` would take Ctrl+C for itself; a notebook's kernel does not.
    loop = asyncio.new_event_loop()
    loop.run_until_complete(cell())
    loop.close()
    assert not any(each.name == "hashbridge" for each in threading.enumerate())
    assert (places / "journal.jsonl").stat().st_size > 1000


FORGETFUL = """
from controller.sync import SyncRig
rig = SyncRig.connect(emulate="bitaxe-gamma")
watching = rig.watch()
print(next(watching).state.value)
"""


@pytest.mark.real_time
def test_a_program_that_ends_without_closing_does_not_hang_and_its_rig_ends(places: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-c", FORGETFUL],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "safe_off\n", "")
    assert until(lambda: list_rigs() == [], PATIENCE_S)


@pytest.mark.real_time
def test_an_interrupt_while_connecting_leaves_nothing_behind(places: Path, interrupts: Callable[[float], None]) -> None:
    interrupts(0.1)  # a process cannot be there so soon
    with pytest.raises(KeyboardInterrupt):
        SyncRig.connect(emulate="bitaxe-gamma")


@pytest.mark.real_time
async def test_a_rig_that_is_killed_is_unplugged_and_the_sentinel_s_report_is_the_one_kept(places: Path) -> None:
    async with connect(emulate="bitaxe-gamma") as rig:
        assert (await rig.read()).state is GuardState.SAFE_OFF
        os.kill(list_rigs()[0].pid, signal.SIGKILL)
        with pytest.raises(Unplugged, match="hung up"):
            async for _ in rig.watch(30.0):
                pass
        with pytest.raises(Unplugged):
            await rig.power_up()
    assert rig.safe_off_report is not None
    assert (rig.safe_off_report.by, rig.safe_off_report.confirmed) == ("sentinel", True)
