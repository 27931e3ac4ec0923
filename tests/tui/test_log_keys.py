"""The log: narrowed by level, words and cause, followed, walked through and copied."""

from __future__ import annotations

import pytest
from textual.events import Paste
from textual.widgets import Input

from controller.model import FaultLatched, Note
from controller.tui import words
from controller.tui.screens.log import LogScreen
from controller.tui.widgets.log_view import LogView
from tests.tui.covering import shows
from tests.tui.driving import NARROW, Seat, seat
from tests.tui.ports import scripted
from tests.tui.recorded import Run
from tests.tui.telling import Teller

pytestmark = pytest.mark.real_time


def kinds(s: Seat) -> list[str]:
    """The kinds of the rows that are shown."""
    log = s.app.desk.store.log
    view = s.app.screen.query_one(LogView)
    return [log[index].event.kind for index in view._passed]


def marked(s: Seat) -> str:
    return next((line for line in s.panel("log").splitlines() if line.startswith("▸")), "")


def title(s: Seat) -> str:
    return s.app.screen.query_one(LogView).name_shown


@shows("log.level")
async def test_the_level_goes_round_from_info_to_everything(run: Run) -> None:
    async with seat(scripted(run, run.latched_s), mode="log") as s:
        everything = [event.kind for event in run.events(run.latched_s)]
        shown = {}
        for _ in words.LEVELS:
            shown[s.app.screen.query_one(LogView).level] = kinds(s)
            await s.press("l")
        assert set(shown) == set(words.LEVELS)
        assert shown["all"] == everything
        assert shown["info"] == [kind for kind in everything if kind != "step_applied"]
        assert shown["warn"] == ["command_refused", "point_reverted", "fault_latched", "state_changed"]
        assert shown["error"] == ["fault_latched", "state_changed"]


@shows("log.search", "log.everything")
async def test_a_search_narrows_while_it_is_typed_and_esc_lifts_it(run: Run) -> None:
    async with seat(scripted(run, run.reverted_s), mode="log") as s:
        before = kinds(s)
        await s.press("slash")
        await s.type("POINT back")
        await s.until(lambda: kinds(s) == ["point_pending", "point_pending"])
        assert "/POINT back" in title(s)
        await s.press("enter")
        await s.settle()
        assert type(s.app.focused).__name__ == "LogView"
        assert s.app.screen.query_one("#search", Input).display
        await s.press("escape")
        await s.until(lambda: kinds(s) == before)
        assert not s.app.screen.query_one("#search", Input).display
        await s.press("slash")
        await s.type("zzz")
        await s.until(lambda: kinds(s) == [])
        assert "no event passes" in s.panel("log")
        await s.press("escape")
        await s.until(lambda: kinds(s) == before)


@shows("log.search")
async def test_words_that_look_like_markup_or_move_a_cursor_are_words_like_any_other(run: Run) -> None:
    async with seat(scripted(run, run.live_s), mode="log") as s:
        for text in ("[/b]", "[red]x", "[@click=app.leave]", "\x1b[31m", "a\u202eb"):
            await s.press("slash")
            s.app.screen.query_one("#search", Input).post_message(Paste(text))
            await s.until(lambda: "/" in title(s), text)
            await s.press("enter", "question_mark")
            await s.until(lambda: s.modal == "HelpScreen", text)
            assert not any(char in s.text() for char in "\x1b\u202e")
            await s.press("escape", "escape")
            await s.until(lambda: not s.modal and "/" not in title(s), text)


@shows("log.follow", "LogView.up", "LogView.down", "LogView.pageup", "LogView.pagedown", "LogView.home", "LogView.end")
async def test_moving_the_mark_stops_following_and_f_follows_again(run: Run) -> None:
    port = scripted(run, run.reverted_s)
    async with seat(port, mode="log", size=NARROW) as s:
        view = s.app.screen.query_one(LogView)
        page = view.content_size.height - 1
        last = len(kinds(s)) - 1
        assert "point reverted" in marked(s)
        assert "following" in title(s)
        for key, at in (
            ("up", last - 1),
            ("up", last - 2),
            ("down", last - 1),
            ("pageup", max(0, last - 1 - page)),
            ("home", 0),
            ("pagedown", page),
            ("home", 0),
            ("end", last),
        ):
            await s.press(key)
            assert view._cursor == at, key
            assert marked(s)
        assert "not following" in title(s)
        await s.press("home")
        port.tell(Teller()(Note, level="warn", text="something new"))
        await s.until(lambda: len(kinds(s)) == last + 2)
        assert view._cursor == 0
        await s.press("f")
        assert "something new" in marked(s)
        port.tell(Teller()(Note, level="warn", text="something newer"))
        await s.until(lambda: "something newer" in marked(s))
        await s.press("f")
        assert "not following" in title(s)


@shows("log.chain", "log.everything")
async def test_a_cause_chain_shows_what_belongs_to_the_marked_event_and_esc_shows_everything(run: Run) -> None:
    async with seat(scripted(run, run.latched_s), mode="log") as s:
        before = kinds(s)
        fault = before.index("fault_latched")
        await s.press(*["up"] * (len(before) - 1 - fault))
        assert "fault latched" in marked(s)
        seq = next(e.seq for e in run.items.events if isinstance(e, FaultLatched))
        await s.press("c")
        assert kinds(s) == ["fault_latched", "state_changed", "work_stopped", "safe_off_done"]
        assert f"cause chain of #{seq}" in title(s)
        assert "fault latched" in marked(s)
        await s.press("c")
        assert kinds(s) == before
        assert "fault latched" in marked(s)
        await s.press("c", "escape")
        assert kinds(s) == before


async def test_the_mark_stays_on_its_event_when_the_filter_changes(run: Run) -> None:
    async with seat(scripted(run, run.latched_s), mode="log") as s:
        refused = kinds(s).index("command_refused")
        await s.press(*["home", *["down"] * refused])
        for keys in ("l", "slash 1 . 4", "escape", "c", "c"):
            await s.press(*keys.split())
            await s.settle()
            assert "command refused" in marked(s), keys


async def test_the_detail_shows_the_marked_event_whole_and_what_it_has_no_room_for_is_counted(run: Run) -> None:
    async with seat(scripted(run, run.on_trial_s), mode="log") as s:
        detail = s.panel("detail")
        for line in (
            "point           550.00 MHz 1.170 V",
            "revert_to       525.00 MHz 1.150 V",
            "keep_within_s   10.0",
            "note            step 1",
            "board           gamma",
        ):
            assert line in detail
        await s.pilot.resize_terminal(*NARROW)
        await s.settle()
        assert s.panel("detail").splitlines()[-1].startswith("… ")


async def test_a_recording_that_is_moved_back_under_a_cause_chain_shows_everything_again(run: Run) -> None:
    rig = run.open(run.latched_s)
    async with seat(rig, mode="log") as s:
        await s.press("c")
        assert "cause chain" in title(s)
        rig.seek(run.live_s)
        await s.until(lambda: "cause chain" not in title(s) and kinds(s)[-1:] == ["remark"])
        assert len(s.app.desk.store.log) == len(run.events(run.live_s))


@shows("screen.copy")
async def test_copying_gives_the_marked_line_or_the_readings_and_nothing_that_a_terminal_obeys(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port, mode="log") as s:
        await s.press("y")
        assert s.app.clipboard == "00:00:33   remark            new paste on the die, fan cable re-seated"
        port.tell(Teller()(Note, level="warn", text="a\x1b]52;c;aGk=\x07b"))
        await s.until(lambda: "]52;c;" in marked(s))
        await s.press("y")
        assert s.app.clipboard.endswith("a␛]52;c;aGk=␇b")
        await s.press("1")
        await s.until(lambda: s.app.current_mode == "board")
        await s.press("y")
        rows = dict(line.split("\t") for line in s.app.clipboard.split("\n"))
        assert rows["chip_c"] == "35.4 °C"
        assert rows["core_v"] == "1.125 V"
        assert s.toasts == ["copied"] * 3


async def test_a_beat_that_comes_before_the_screen_is_composed_ends_nothing(run: Run) -> None:
    async with seat(scripted(run, run.live_s)) as s:
        screen = LogScreen(s.app.desk)
        screen.freshen()
        assert screen.view.behind == 0, "it has taken what there was"
