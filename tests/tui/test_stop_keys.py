"""Ctrl+X: from everywhere, over everything, to every board; and what came of it stays on the screen until Esc."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from controller.model import GuardState, PowerUp, SafeOff, StartWork
from controller.tui.app import HashbridgeApp
from drivers.errors import HashbridgeError, Unplugged
from tests.tui.covering import shows
from tests.tui.driving import USUAL, Seat, StillClock, seat
from tests.tui.ports import ScriptedPort, is_safe_off, safe_off_done, scripted
from tests.tui.recorded import Run

pytestmark = pytest.mark.real_time

BOARDS = ("left", "right")


def pair(run: Run) -> ScriptedPort:
    return scripted(run, run.live_s, names=BOARDS)


async def nothing(_seat: Seat) -> None:
    """Only the screen."""


def pressing(*keys: str) -> Callable[[Seat], Awaitable[None]]:
    async def press(s: Seat) -> None:
        await s.press(*keys)

    return press


async def choosing_work(s: Seat) -> None:
    port = s.opened[0]
    assert isinstance(port, ScriptedPort)
    port.change(work=None)
    await s.until(lambda: not s.app.desk.working)
    await s.press("w")


WHERE = {
    "on the board screen": ("board", nothing, ""),
    "on the tune screen": ("tune", nothing, ""),
    "on the log screen": ("log", nothing, ""),
    "while a search is typed": ("log", pressing("slash", "x"), ""),
    "over the help": ("tune", pressing("question_mark"), "HelpScreen"),
    "while a number is typed": ("tune", pressing("e", "6", "0"), "AskText"),
    "while a note is typed": ("board", pressing("n", "h", "i"), "AskText"),
    "over a choice of work": ("board", choosing_work, "AskChoice"),
    "over the question whether to leave": ("board", pressing("q"), "AskYesNo"),
    "over the command palette": ("board", pressing("ctrl+p"), "Palette"),
    "over the palette, over the help": ("tune", pressing("question_mark", "ctrl+p", "x"), "Palette"),
    "while the screen is paused": ("board", pressing("p"), ""),
}


@shows("stop")
@pytest.mark.parametrize("mode", ["board", "tune", "log"])
async def test_ctrl_x_stops_every_board_and_takes_away_what_lies_over_the_screen(run: Run, mode: str) -> None:
    port = pair(run)
    async with seat(port, mode=mode, owner=True) as s:
        for where, (on, before, modal) in WHERE.items():
            if on != mode:
                continue
            await before(s)
            await s.until_it_is(modal, lambda: s.modal, where)
            await s.press("ctrl+x")
            await s.until(lambda: len(port.asked) == 2, where)
            assert {board for board, command in port.asked if isinstance(command, SafeOff)} == set(BOARDS), where
            assert s.modal == "", where
            assert s.app.current_mode == mode
            await s.settle()
            assert s.app.desk.paused_s is None
            assert "left  asked 0.0 s ago, nothing confirmed yet" in s.panel("stop")
            assert "right  asked 0.0 s ago, nothing confirmed yet" in s.panel("stop")
            port.asked.clear()
            await s.press("escape")
        assert s.app.return_code in (None, 0)


async def test_the_stop_panel_shows_what_each_actuator_of_each_board_has_confirmed(run: Run) -> None:
    port = pair(run)
    async with seat(port) as s:
        await s.press("ctrl+x")
        port.tell(*(safe_off_done(run, name) for name in BOARDS))
        await s.until(lambda: s.panel("stop").count("SAFE, confirmed by read-back") == 2)
        for action in ("reset asserted", "rail off", "fan full"):
            assert s.panel("stop").count(action) == 2


@shows("stop.dismiss", "log.everything")
@pytest.mark.parametrize("mode", ["board", "tune", "log"])
async def test_esc_closes_the_stop_panel_on_every_screen_and_only_that(run: Run, mode: str) -> None:
    port = pair(run)
    async with seat(port, mode=mode) as s:
        await s.press("ctrl+x")
        await s.settle()
        assert s.app.screen.query_one("#stop").display
        await s.press("escape")
        await s.settle()
        assert not s.app.screen.query_one("#stop").display
        assert s.app.desk.store.stop is None
        assert len(port.asked) == 2


async def test_each_board_tells_its_own_outcome_and_what_is_late_or_not_confirmed_is_told_to_be_cut(run: Run) -> None:
    names = ("fine", "half", "late", "broken")
    port = scripted(run, run.live_s, names=names)
    clock = StillClock()

    def answer(board: str, _command: object) -> HashbridgeError | None:
        return Unplugged("control", "no such device") if board == "broken" else None

    port.answer = answer
    async with seat(port, clock=clock) as s:
        s.app.desk.store.boards = {
            name: info.model_copy(update={"emulated": False}) for name, info in s.app.desk.store.boards.items()
        }
        await s.press("ctrl+x")
        port.tell(safe_off_done(run, "fine"), safe_off_done(run, "half", confirmed=False))
        await s.until(lambda: len(s.app.desk.store.stop.reports) == 2 if s.app.desk.store.stop else False)
        clock.now_s += 2.5
        await s.settle()
        told = s.panel("stop").splitlines()
        at = {name: next(index for index, line in enumerate(told) if line.startswith(name)) for name in names}
        assert told[at["fine"]] == "fine   SAFE, confirmed by read-back"
        assert "NOT CONFIRMED" in told[at["half"]]
        assert any("✗ rail off" in line and "sent, not confirmed" in line for line in told[at["half"] :])
        assert "asked 2.5 s ago, nothing confirmed yet" in told[at["late"]]
        assert "NOT CONFIRMED  control: no such device" in told[at["broken"]]
        assert s.panel("stop").count("CUT THE SUPPLY OF THIS BOARD NOW") == 3


async def test_more_boards_than_the_panel_has_room_for_show_first_what_is_not_confirmed(run: Run) -> None:
    names = [f"b{number}" for number in range(6)]
    port = scripted(run, run.live_s, names=names)
    async with seat(port) as s:
        await s.press("ctrl+x")
        port.tell(*(safe_off_done(run, name, confirmed=name != "b4") for name in names))
        await s.until(lambda: s.panel("stop").count("SAFE, confirmed by read-back") == 5)
        told = s.panel("stop")
        assert "NOT CONFIRMED" in told.splitlines()[0]
        assert told.count("rail off") == 1
        assert "more" not in told


async def test_a_lost_rig_leaves_the_stop_unconfirmed_and_says_who_makes_safe(run: Run) -> None:
    port = pair(run)
    port.held = asyncio.Event()
    async with seat(port, reopen=False) as s:
        await s.press("ctrl+x")
        await s.until(lambda: len(port.asked) == 2)
        port.hang_up()
        await s.until(lambda: s.panel("stop").count("NOT CONFIRMED") == 2)
        assert "the rig process hung up" in s.panel("stop")
        await s.press("escape", "ctrl+x")  # with nobody there to ask
        await s.until(lambda: s.panel("stop").count("no rig to ask") == 2)


async def test_a_stop_that_found_no_rig_is_asked_of_the_rig_that_comes(run: Run) -> None:
    first, second = pair(run), pair(run)
    async with seat(first, second, reopen=False) as s:
        first.hang_up()
        await s.until(lambda: not s.app.desk.store.line.up)
        await s.press("ctrl+x")
        await s.until(lambda: "no rig to ask" in s.panel("stop"))
        await s.press("r")
        await s.until(lambda: len(second.asked) == 2)
        await s.settle()
        assert all(map(is_safe_off, second.asked))
        assert "no rig to ask" not in s.panel("stop")


@pytest.mark.parametrize("held", [True, False], ids=["while the first board powers up", "before the rig is there"])
async def test_a_stop_ends_the_start_that_was_asked_for_on_the_command_line(run: Run, held: bool) -> None:
    port = scripted(run, run.off_s, names=BOARDS)
    gate = asyncio.Event()
    if held:
        port.held = gate

    async def opens() -> ScriptedPort:
        if not held:
            await gate.wait()
        return port

    app = HashbridgeApp(opens, start=True, owner=True, clock=StillClock())
    async with app.run_test(size=USUAL) as pilot:
        s = Seat(app, pilot, StillClock())
        await s.until(lambda: (len(port.asked) == 1) is held)
        await s.press("ctrl+x")
        await s.until(lambda: app.desk.store.stop is not None)
        if not held:
            await s.settle()
            assert "stopped as soon as there is one" in s.panel("stop")
        gate.set()
        await s.until(lambda: sum(map(is_safe_off, port.asked)) == 2)
        await s.settle()
        energising = [command for _, command in port.asked if isinstance(command, PowerUp)]
        assert len(energising) == (1 if held else 0)
        if held:
            assert ("right", energising[0]) not in port.asked


async def test_start_powers_up_at_stock_and_hashes_and_says_what_went_wrong(run: Run) -> None:
    port = scripted(run, run.off_s)
    async with seat(port, start=True) as s:
        await s.until(lambda: len(port.asked) == 2)
        power_up, start_work = port.asked_of("gamma")
        assert isinstance(power_up, PowerUp)
        assert (power_up.frequency_mhz, power_up.core_v) == (525.0, 1.15)
        assert start_work == StartWork(work="synthetic")
    port = scripted(run, run.off_s)
    port.answer = lambda _board, _command: Unplugged("control", "no such device")
    async with seat(port, start=True) as s:
        await s.until(lambda: s.toasts)
        assert s.toasts == ["control: no such device"]
        assert len(port.asked) == 1


async def test_nothing_is_powered_up_while_the_stop_panel_is_open(run: Run) -> None:
    port = scripted(run, run.off_s)
    async with seat(port, mode="tune") as s:
        await s.press("ctrl+x")
        await s.until(lambda: port.asked)
        await s.press("a")
        await s.settle()
        assert all(map(is_safe_off, port.asked))
        await s.press("escape", "a")
        await s.until(lambda: len(port.asked) == 2)
        assert isinstance(port.asked[-1][1], PowerUp)


async def test_a_recording_says_that_no_board_hears_the_stop(run: Run) -> None:
    async with seat(run.open(run.live_s)) as s:
        await s.press("ctrl+x")
        await s.settle()
        assert s.panel("stop") == "this is a recording: no board hears it"
        assert "SUPPLY" not in s.text()


async def test_an_unprotected_board_is_told_to_be_cut_at_once(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        port.change(state=GuardState.UNPROTECTED)
        await s.until(lambda: "UNPROTECTED" in s.panel("heading"))
        assert "PULL THE SUPPLY" in s.panel("heading")
        await s.press("ctrl+x")
        await s.settle()
        assert "cut the supply now" in s.panel("stop")


@pytest.mark.parametrize("size", [USUAL, (80, 24)])
async def test_pull_the_supply_outlives_the_rigs_last_word(run: Run, size: tuple[int, int]) -> None:
    """Both ports gone: nothing is swept any more, no snapshot comes, and the board hashes on."""
    port, clock = scripted(run, run.live_s, names=BOARDS), StillClock()
    async with seat(port, clock=clock, size=size) as s:
        port.change(BOARDS[0], state=GuardState.UNPROTECTED)
        await s.until(lambda: "UNPROTECTED" in s.panel("heading"))
        clock.now_s += 5.0
        await s.until(lambda: "SILENT 5.0 s" in s.panel("heading"))
        assert " UNPROTECTED  nobody can cut the rail: PULL THE SUPPLY." in s.panel("heading")
        port.hang_up()
        await s.until(lambda: "LOST" in s.panel("heading"))
        assert "PULL THE SUPPLY" in s.panel("heading")
    port = scripted(run, run.live_s, names=BOARDS)
    async with seat(port, clock=clock, size=size) as s:  # another board than the one that is looked at
        port.change(BOARDS[1], state=GuardState.UNPROTECTED)
        await s.until(lambda: "UNPROTECTED: right" in s.panel("heading"))
        clock.now_s += 5.0
        await s.until(lambda: "SILENT" in s.panel("heading"))
        assert "PULL THE SUPPLY" in s.panel("heading")
