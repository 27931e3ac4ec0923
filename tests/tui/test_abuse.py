"""A cat on the keyboard, a flood of events, a rig that goes and comes: the screen lives, and loses nothing."""

from __future__ import annotations

import asyncio
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.drivers.headless_driver import HeadlessDriver
from textual.events import Key, Resize
from textual.geometry import Size

from controller.model import BoardAttached, Command, GuardState, StepApplied
from controller.profiles import Profiles
from controller.tui.app import HashbridgeApp
from drivers.errors import HashbridgeError, Latched, Refused
from tests.tui.driving import Seat, StillClock, seat
from tests.tui.ports import ScriptedPort, changed, scripted
from tests.tui.recorded import Run
from tests.tui.telling import Teller
from tests.tui.test_strange import NASTY, strange_snapshot, unpaintable

pytestmark = pytest.mark.real_time

EXAMPLES = 6
"""The first is the simplest there is, and does not count."""
ACTIONS = 200
KEYS = [
    *string.ascii_lowercase.replace("q", ""),
    *"12345CDP",
    *("space", "enter", "escape", "tab", "shift+tab", "backspace", "f1", "f8", "ctrl+p", "ctrl+x", "ctrl+z", "ctrl+c"),
    *("up", "down", "left", "right", "shift+up", "shift+left", "pageup", "pagedown", "home", "end", "plus", "minus"),
    *("full_stop", "comma", "less_than_sign", "greater_than_sign", "slash", "question_mark", "underscore"),
    *("left_square_bracket", "right_square_bracket"),
]
keys = st.tuples(st.just("key"), st.sampled_from(KEYS))
sizes = st.tuples(st.just("size"), st.tuples(st.integers(20, 200), st.integers(5, 60)))
states = st.tuples(st.just("state"), st.sampled_from(GuardState))
odd = st.tuples(st.just("odd"), st.sampled_from([None, float("nan"), float("inf"), 1e308]))
news = st.tuples(st.just("news"), st.integers(1, 50))
actions = st.one_of(*[keys] * 12, sizes, states, odd, news)


def moody(_board: str, command: Command) -> HashbridgeError | None:
    """A rig that refuses one wish in three, by what the wish is."""
    mood = len(repr(command)) % 3
    return Refused("mood", NASTY) if mood == 1 else Latched("fan", "0 rpm") if mood == 2 else None


def _at_once(s: Seat, *pressed: str) -> None:
    """Keys that arrive before the first of them has been handled."""
    driver = s.app._driver
    assert driver is not None
    for key in pressed:
        char = key if len(key) == 1 else {"space": " ", "slash": "/", "plus": "+", "minus": "-"}.get(key)
        driver.send_message(Key(key, char))


async def _do(s: Seat, port: ScriptedPort, what: str, how: Any, base: Any) -> None:
    match what:
        case "key":
            _at_once(s, how)
        case "size":
            assert isinstance(s.app._driver, HeadlessDriver)
            s.app._driver._size = how
            s.app.post_message(Resize(Size(*how), Size(*how)))
        case "state":
            port.show(changed(base, state=how))
        case "odd":
            port.show(strange_snapshot(base, "left", how))
        case "news":
            tell = Teller("left")
            port.tell(*(tell(StepApplied, step=NASTY, detail=NASTY) for _ in range(how)))
    await asyncio.sleep(0.0)
    if what != "key":
        s.app.beat()


async def _abuse(run: Run, directory: Path, todo: list[tuple[str, Any]]) -> None:
    port = scripted(run, run.reverted_s, names=("left", "right"))
    port.answer = moody
    base = port.newest
    async with seat(port, profiles=Profiles(directory)) as s:
        for what, how in todo:
            if not s.app.is_running:
                return  # somebody found Quit in the palette
            await _do(s, port, what, how, base)
        await s.pilot.resize_terminal(120, 40)
        await s.until(lambda: not s.app.is_running or len(s.app.desk.store.log) == port.seq, "all events")
        for _ in range(8):  # questions over questions, a stop, a search
            _at_once(s, "escape")
            await s.pilot.pause()
        for key, mode in (("2", "tune"), ("1", "board"), ("3", "log")):
            if s.app.is_running:
                await s.press(key)
                await s.until_it_is(mode, lambda: s.app.current_mode, "it answers no key any more")
                await s.settle()
                assert unpaintable(s) == []


def test_a_thousand_random_keys_sizes_states_and_events_break_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # F8 writes pictures

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(st.lists(actions, min_size=ACTIONS, max_size=ACTIONS))
    def abuse(todo: list[tuple[str, Any]]) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_abuse(run, tmp_path, todo))

    abuse()


@pytest.mark.parametrize("after", ["enter", "ctrl+x"])
async def test_a_question_is_answered_once_however_fast_the_keys_come(run: Run, tmp_path: Path, after: str) -> None:
    port = scripted(run, run.live_s)
    async with seat(port, profiles=Profiles(tmp_path), owner=True) as s:
        for opening in ("n", "P", "ctrl+p"):
            for ending in ("enter", "escape"):
                await s.press(opening)
                await s.until(lambda: s.modal, opening)
                _at_once(s, "1", ending, after, after)
                await s.settle()
                for _ in range(6):
                    _at_once(s, "escape")
                    await s.pilot.pause()
                await s.until(lambda: not s.modal and s.app.desk.store.stop is None, f"{opening} {ending}")
        await s.press("3")
        await s.until_it_is("log", lambda: s.app.current_mode)


@pytest.mark.parametrize("size", [(20, 5), (30, 8)])
async def test_choices_without_room_for_a_list_survive_paging(run: Run, tmp_path: Path, size: tuple[int, int]) -> None:
    async with seat(scripted(run, run.live_s), profiles=Profiles(tmp_path), size=size) as s:
        for opening in ("ctrl+p", "P"):
            await s.press(opening)
            await s.until(lambda: s.modal)
            _at_once(s, "pagedown", "pageup", "end", "pagedown", "home")
            await s.settle()
            assert s.app.is_running
            await s.press("escape", "escape")
            await s.until(lambda: not s.modal)


async def test_a_flood_of_events_is_kept_whole_and_in_order_and_keys_are_handled_meanwhile(run: Run) -> None:
    port = scripted(run, run.live_s)
    before = port.seq
    tell = Teller()
    flood = [tell(StepApplied, step="core_voltage", detail=f"step {number}") for number in range(20_000)]
    async with seat(port) as s:

        async def pour() -> None:
            for at in range(0, len(flood), 100):  # ten thousand a second
                port.tell(*flood[at : at + 100])
                await asyncio.sleep(0.01)

        pouring = asyncio.create_task(pour())
        await asyncio.sleep(0.3)
        _at_once(s, "3")
        while s.app.current_mode != "log":
            assert not pouring.done(), "the key waited for the end of the flood"
            await asyncio.sleep(0.01)
        _at_once(s, "l")
        await pouring
        await s.until(lambda: len(s.app.desk.store.log) == before + len(flood))
        log = s.app.desk.store.log
        assert [row.event.seq for row in log] == list(range(1, len(log) + 1))
        told = [row.event.detail for row in log[before:] if isinstance(row.event, StepApplied)]
        assert told == [event.detail for event in flood]


# --- a rig that goes and comes ----------------------------------------------------------------------------------------


async def test_a_rig_that_comes_back_as_the_same_tells_no_event_twice_and_loses_none(run: Run) -> None:
    first, second = scripted(run, run.live_s), scripted(run, run.latched_s)
    async with seat(first, second, mode="log") as s:
        assert len(s.app.desk.store.log) == first.seq
        first.hang_up()
        await s.until(lambda: not s.app.desk.store.line.up)
        s.app.join_again()
        await s.until(lambda: len(s.app.desk.store.log) == second.seq)
        await s.settle()
        assert [row.event for row in s.app.desk.store.log] == run.events(run.latched_s)
        assert {row.rig for row in s.app.desk.store.log} == {0}


async def test_another_rig_begins_its_own_count_with_trends_of_its_own_below_the_old_events(run: Run) -> None:
    first, second = scripted(run, run.latched_s), scripted(run, run.live_s)
    begun = second._events[0].model_copy(update={"seed": 99})
    assert isinstance(begun, BoardAttached)
    second._events[0] = begun
    async with seat(first, second, mode="log") as s:
        first.hang_up()
        await s.until(lambda: not s.app.desk.store.line.up)
        s.app.join_again()
        await s.until(lambda: len(s.app.desk.store.log) == first.seq + second.seq)
        rigs = [(row.rig, row.event.seq) for row in s.app.desk.store.log]
        assert rigs == [(0, n + 1) for n in range(first.seq)] + [(1, n + 1) for n in range(second.seq)]
        await s.settle()
        await s.press("end")
        await s.settle()
        detail: Any = s.app.screen.query_one("#detail")
        assert detail.name_shown.startswith(f"#{second.seq}  rig 2")
        view = s.app.desk.store.views["gamma"]
        assert all(trend.known_s == pytest.approx(run.live_s, abs=2.0) for trend in view.trends.values())


async def test_an_app_whose_clock_is_not_given_goes_by_the_time_of_the_loop(run: Run) -> None:
    port = scripted(run, run.live_s)

    async def opens() -> ScriptedPort:
        return port

    app = HashbridgeApp(opens)
    async with app.run_test() as pilot:
        s = Seat(app, pilot, StillClock())
        await s.until(lambda: app.desk.board is not None)
        assert app.desk.store.now() == pytest.approx(asyncio.get_running_loop().time(), abs=5.0)
