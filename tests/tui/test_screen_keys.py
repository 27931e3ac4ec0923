"""Keys of the program itself: screens, boards, pause, help, pictures, leaving, joining again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from controller.model import GuardState, RigPort
from controller.tui.app import HashbridgeApp
from controller.tui.ask import AskYesNo
from controller.tui.widgets.panel import Panel
from drivers.errors import Unplugged
from tests.tui.covering import shows
from tests.tui.driving import NARROW, StillClock, seat
from tests.tui.ports import scripted
from tests.tui.recorded import Run

pytestmark = pytest.mark.real_time

BOARDS = ("left", "right")


@shows("screen.board", "screen.tune", "screen.log")
async def test_the_digits_choose_the_screen_and_the_key_bar_names_them(run: Run) -> None:
    async with seat(scripted(run, run.live_s)) as s:
        for key, mode, panel in (("2", "tune", "rails"), ("3", "log", "detail"), ("1", "board", "readings")):
            await s.press(key)
            await s.until_it_is(mode, lambda: s.app.current_mode)
            await s.settle()
            assert s.panel(panel)
            for word in ("1 board", "2 tune", "3 log", "? help", "q quit", "^X STOP"):
                assert word in s.panel("keys")


@pytest.mark.parametrize("mode", ["board", "tune", "log"])
async def test_help_quit_and_stop_are_never_pushed_off_a_narrow_screen(run: Run, mode: str) -> None:
    async with seat(scripted(run, run.on_trial_s), mode=mode, size=NARROW) as s:
        assert s.panel("keys").endswith("? help  q quit  ^X STOP")


@shows("board.next", "board.before")
async def test_brackets_go_round_the_boards_and_do_nothing_when_there_is_one(run: Run) -> None:
    async with seat(scripted(run, run.live_s, names=("a", "b", "c"))) as s:
        seen = []
        for key in ("right_square_bracket",) * 3 + ("left_square_bracket",) * 2:
            await s.press(key)
            seen.append(s.app.desk.selected)
            assert f"{s.app.desk.selected} {'abc'.index(s.app.desk.selected) + 1}/3" in s.panel("heading")
        assert seen == ["b", "c", "a", "c", "b"]
    async with seat(scripted(run, run.live_s)) as s:
        await s.press("right_square_bracket", "left_square_bracket")
        assert s.app.desk.selected == "gamma"
        assert "1/1" not in s.panel("heading")


async def test_a_fault_of_a_board_that_is_not_looked_at_is_told_with_the_key_that_shows_it(run: Run) -> None:
    port = scripted(run, run.live_s, names=BOARDS)
    latched = run.snapshots(run.latched_s)[-1].boards[0]
    async with seat(port) as s:
        port.change("right", state=GuardState.LATCHED, latched=latched.latched)
        await s.until(lambda: "LATCHED: right" in s.panel("heading"))
        await s.press("right_square_bracket")
        assert "FAN (fan_rpm)" in s.panel("heading")


@shows("screen.pause")
async def test_a_paused_screen_stands_still_but_for_alarms_and_says_so(run: Run) -> None:
    port = scripted(run, run.live_s)
    clock = StillClock()
    latched = run.snapshots(run.latched_s)[-1].boards[0]
    async with seat(port, clock=clock) as s:
        before = s.panel("readings")
        await s.press("p")
        clock.now_s += 7.0
        port.show(run.snapshots(run.on_trial_s)[-1])
        await s.until(lambda: "ON TRIAL" in s.panel("heading"))  # what must be seen is seen
        port.change(pending=None)
        await s.until(lambda: "stands still for 7.0 s" in s.panel("heading"))
        assert "PAUSED" in s.panel("heading")
        assert s.panel("readings") == before
        port.change(state=GuardState.LATCHED, latched=latched.latched)
        await s.until(lambda: "FAN (fan_rpm)" in s.panel("heading"))
        assert "PAUSED" in s.panel("heading")
        await s.press("p")
        await s.until(lambda: s.panel("readings") != before)
        assert "PAUSED" not in s.panel("heading")


@shows("help", "HelpScreen.escape")
@pytest.mark.parametrize("mode", ["board", "tune", "log"])
async def test_help_is_about_what_is_focused_and_lists_every_key_of_ours_and_no_other(run: Run, mode: str) -> None:
    expected = {"board": "Screens show what is", "tune": "Stage a point", "log": "Every event in order"}[mode]
    async with seat(scripted(run, run.live_s), mode=mode, size=(120, 70)) as s:
        wanted = {
            active.binding.description
            for active in s.app.screen.active_bindings.values()
            if active.binding.id is not None and active.binding.description
        }
        await s.press("question_mark")
        await s.until(lambda: s.modal == "HelpScreen")
        assert expected in s.text()
        listed = s.text()
        assert all(f"  {description}" in listed for description in wanted)
        assert "STOP" in wanted
        for foreign in ("Focus Next", "Copy selected text", "Quit"):
            assert foreign not in listed
        for key in ("escape", "f1", "question_mark", "f1", "q", "f1", "enter"):
            await s.press(key)
        await s.until(lambda: not s.modal)


async def test_every_panel_that_has_a_title_has_a_help_text_but_the_stop(run: Run) -> None:
    async with seat(scripted(run, run.live_s)) as s:
        for mode in ("board", "tune", "log"):
            s.app.switch_mode(mode)
            await s.settle()
            without = {p.id for p in s.app.screen.query(Panel) if p.FRAMED and not getattr(p, "HELP", "")}
            assert without == {"stop"}


@shows("screen.picture")
async def test_f8_writes_a_picture_into_the_working_directory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with seat(scripted(run, run.live_s)) as s:
        await s.press("f8")
        await s.until(lambda: s.toasts)
        monkeypatch.chdir("/proc")  # where nobody, not even root, may write
        await s.press("f8")
        await s.until(lambda: len(s.toasts) == 2)
        assert s.toasts[1].startswith("no screenshot: ")
    (picture,) = os.listdir(tmp_path)
    assert s.toasts[0] == f"screenshot: {tmp_path / picture}"
    assert "TH/s" in (tmp_path / picture).read_text(encoding="utf-8").replace("&#160;", " ")


@shows("suspend")
async def test_ctrl_z_stops_this_program_and_not_the_rig(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        assert s.app._driver is not None
        monkeypatch.setattr(type(s.app._driver), "can_suspend", True)
        await s.press("ctrl+z")
        assert sent == [(os.getpid(), signal.SIGTSTP)]
        assert port.asked == []


# --- leaving ----------------------------------------------------------------------------------------------------------


@shows("quit", "AskYesNo.y", "AskYesNo.n")
@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_leaving_asks_when_hashing_would_end_and_only_y_is_yes(run: Run, key: str) -> None:
    port = scripted(run, run.live_s)
    async with seat(port, owner=True) as s:
        for no in ("n", "escape", "enter"):
            await s.press(key)
            await s.until(lambda: s.modal == "AskYesNo")
            assert "hashing ends" in s.text()
            await s.press("ctrl+q")  # no second question over the first
            assert sum(isinstance(screen, AskYesNo) for screen in s.app.screen_stack) == 1
            await s.press(no)
            await s.until(lambda: not s.modal)
            assert s.app.is_running
        await s.press(key, "y")
        await s.until(lambda: not s.app.is_running)
    assert port.asked == []


async def test_leaving_asks_when_a_change_is_on_trial_on_any_board(run: Run) -> None:
    port = scripted(run, run.on_trial_s, names=BOARDS)
    async with seat(port, owner=False) as s:
        port.change("left", pending=None)
        await s.until(lambda: s.app.desk.board is not None and s.app.desk.board.pending is None)
        await s.press("q")
        await s.until(lambda: "Leaving does not keep it" in s.text())


@pytest.mark.parametrize("state", [GuardState.SAFE_OFF, GuardState.LATCHED])
async def test_leaving_does_not_ask_when_nothing_ends_by_it(run: Run, state: GuardState) -> None:
    for owner, position_s, goes in ((False, run.live_s, False), (True, run.live_s, True)):
        port = scripted(run, position_s)
        async with seat(port, owner=owner) as s:
            if goes:
                port.change(state=state)
                await s.until(lambda: s.app.desk.board is not None and s.app.desk.board.state is state)
            await s.press("q")
            await s.until(lambda: not s.app.is_running)
            assert s.app.return_code == 0


async def test_an_owner_of_two_boards_is_asked_when_the_other_one_hashes(run: Run) -> None:
    port = scripted(run, run.live_s, names=BOARDS)
    async with seat(port, owner=True) as s:
        port.change("left", state=GuardState.SAFE_OFF)
        await s.until(lambda: "SAFE OFF" in s.panel("heading"))
        await s.press("q")
        await s.until(lambda: s.modal == "AskYesNo")


async def test_a_recording_is_left_without_a_question(run: Run) -> None:
    async with seat(run.open(run.on_trial_s)) as s:
        await s.press("q")
        await s.until(lambda: not s.app.is_running)


async def test_a_beat_that_comes_while_the_program_ends_is_let_go(run: Run) -> None:
    async with seat(scripted(run, run.live_s)) as s:
        pass
    s.app.desk.store.changes += 1
    s.app.beat()
    assert s.app.return_code in (None, 0)


# --- a rig that goes and comes ----------------------------------------------------------------------------------------


@shows("rig.reconnect")
async def test_r_starts_a_lost_rig_again_and_is_no_key_while_the_rig_is_there(run: Run) -> None:
    first, second = scripted(run, run.live_s), scripted(run, run.off_s)
    clock = StillClock()
    async with seat(first, Unplugged("control", "still gone"), second, owner=True, clock=clock) as s:
        await s.press("r")
        assert s.opened == [first]
        first.hang_up()
        await s.until(lambda: "LOST" in s.panel("heading"))
        clock.now_s += 5.0
        await s.settle()
        assert "LOST 5.0 s" in s.panel("heading")
        assert "the rig process hung up" in s.panel("heading")
        assert "(LIVE)" in s.panel("heading")
        assert "5.0 s old" in s.panel("readings")
        assert "start again" in s.panel("keys")
        await s.press("a", "D", "w", "k")
        assert first.asked == []
        await s.press("r")
        await s.until(lambda: "still gone" in s.panel("heading"))
        assert "LOST 5.0 s" in s.panel("heading")
        await s.press("r")
        await s.until(lambda: s.opened == [first, second])
        await s.until(lambda: "SAFE OFF" in s.panel("heading"))


async def test_a_viewer_joins_again_by_itself(run: Run) -> None:
    first, second = scripted(run, run.live_s), scripted(run, run.live_s)
    async with seat(first, second, reopen=True) as s:
        first.hang_up()
        await s.until(lambda: "LOST" in s.panel("heading"))
        assert "start again" not in s.panel("keys")
        await s.until(lambda: s.opened == [first, second])
        await s.until(lambda: "LIVE" in s.panel("heading") and "LOST" not in s.panel("heading"))


async def test_a_rig_that_cannot_be_joined_at_all_ends_the_program_with_the_reason(run: Run) -> None:
    async def nobody() -> RigPort:
        raise Unplugged("rig", "nobody serves it")

    app = HashbridgeApp(nobody, clock=StillClock())
    async with app.run_test() as pilot:
        for _ in range(100):
            if app.error is not None:
                break
            await pilot.pause(0.01)
    assert str(app.error) == "rig: nobody serves it"
    assert app.return_code == 0


async def test_a_rig_that_says_nothing_is_silent_and_the_sentinel_watches_it(run: Run) -> None:
    clock = StillClock()
    async with seat(scripted(run, run.live_s), clock=clock) as s:
        clock.now_s += 1.5
        await s.settle()
        assert "SILENT 1.5 s" in s.panel("heading")
        assert "its sentinel watches it" in s.panel("heading")
