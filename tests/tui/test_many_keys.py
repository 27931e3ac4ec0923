"""Many boards on one screen: which is which, which is ill, and how to get to it."""

from __future__ import annotations

import re

import pytest

from controller.model import GuardState, PowerDown, SafeOff
from tests.tui.covering import shows
from tests.tui.driving import NARROW, StillClock, seat
from tests.tui.ports import scripted, with_readings
from tests.tui.recorded import Run
from tests.tui.scenes import MANY, many

pytestmark = pytest.mark.real_time

FLEET = tuple(f"board-{number}" for number in range(1, 33))


def row_of(text: str, name: str) -> str:
    (found,) = [line for line in text.splitlines() if re.search(rf"\b{name}(?![-\w])", line)]
    return found


@shows("screen.boards", "boards.open")
async def test_0_shows_all_boards_and_enter_opens_the_marked_one(run: Run) -> None:
    async with many(NARROW)(run) as s:
        rows = {name: row_of(s.panel("boards"), name) for name in MANY}
        assert re.search(r"LIVE .* TH/s$", rows[MANY[0]])
        assert "▲67.5" in rows[MANY[1]]
        assert "on trial" in rows[MANY[1]]
        assert "weak" in rows[MANY[2]]
        assert "LATCHED" in rows[MANY[3]]
        assert rows[MANY[3]].startswith("▸")
        await s.press("up")
        assert "the chip is weak: 82 of 100 known answers" in s.panel("remarks")
        await s.press("enter")
        await s.until(lambda: s.app.current_mode == "board")
        assert f"{MANY[2]} 3/4" in s.panel("heading")
        await s.press("0")
        await s.until(lambda: s.app.current_mode == "boards")
        assert row_of(s.panel("boards"), MANY[2]).startswith("▸")


async def test_a_rig_with_one_board_has_no_such_screen(run: Run) -> None:
    async with seat(scripted(run, run.live_s), overview=True) as s:
        assert s.app.current_mode == "board"
        await s.press("0")
        assert s.app.current_mode == "board"
        assert "0 boards" not in s.panel("keys")


async def test_a_rig_with_several_is_shown_whole_at_first_unless_one_was_named(run: Run) -> None:
    async with seat(scripted(run, run.live_s, names=MANY), overview=True) as s:
        assert s.app.current_mode == "boards"
    async with seat(scripted(run, run.live_s, names=MANY), board=MANY[2]) as s:
        assert (s.app.current_mode, s.app.desk.selected) == ("board", MANY[2])
    async with seat(scripted(run, run.live_s, names=MANY), board="gone since") as s:
        assert s.app.desk.selected == MANY[0]


@shows("Listing.up", "Listing.down", "Listing.pageup", "Listing.pagedown", "Listing.home", "Listing.end")
async def test_a_list_that_is_longer_than_the_screen_scrolls_with_its_mark_and_says_what_is_hidden(run: Run) -> None:
    async with seat(scripted(run, run.live_s, names=FLEET), mode="boards", size=NARROW) as s:
        height = len(s.panel("boards").splitlines())
        page = height - 2
        assert f"1 to {height - 1} of 32" in s.text()
        for key, at in (
            ("up", 0),
            ("down", 1),
            ("pagedown", 1 + page),
            ("end", 31),
            ("pageup", 31 - page),
            ("home", 0),
        ):
            await s.press(key)
            assert s.app.desk.selected == FLEET[at], key
            assert row_of(s.panel("boards"), FLEET[at]).startswith("▸"), key


@shows("boards.order")
async def test_o_puts_the_gravest_first_and_the_mark_stays_on_its_board(run: Run) -> None:
    port = scripted(run, run.live_s, names=FLEET)
    async with seat(port, mode="boards", size=NARROW) as s:
        port.change(FLEET[20], state=GuardState.LATCHED)
        port.change(FLEET[30], state=GuardState.UNPROTECTED)
        port.change(FLEET[10], work=None)  # live, and nothing to do
        await s.until(lambda: "1 UNPROTECTED  1 LATCHED  30 LIVE" in s.app.screen.query_one("#boards").name_shown)  # type: ignore[attr-defined]
        await s.press("o")
        shown = re.findall(r"board-\d+", s.panel("boards"))
        assert shown[:4] == [FLEET[30], FLEET[20], FLEET[10], FLEET[0]]
        assert s.app.desk.selected == FLEET[0]
        await s.press("o")
        assert re.findall(r"board-\d+", s.panel("boards"))[:3] == list(FLEET[:3])


async def test_a_board_that_nobody_can_switch_off_is_told_over_every_other_board(run: Run) -> None:
    port = scripted(run, run.on_trial_s, names=MANY)
    async with seat(port, size=(120, 40)) as s:
        assert "ON TRIAL" in s.panel("heading")
        port.change(MANY[2], state=GuardState.UNPROTECTED)
        await s.until(lambda: f"UNPROTECTED: {MANY[2]}  nobody can cut the rail: PULL THE SUPPLY" in s.panel("heading"))
        assert s.panel("heading").endswith("0 shows all")


async def test_values_are_in_brackets_when_they_are_old_and_when_the_rig_is_gone(run: Run) -> None:
    port, clock = scripted(run, run.live_s, names=MANY), StillClock()
    async with seat(port, mode="boards", clock=clock) as s:
        board = port.newest.boards[0]
        old = board.channels["chip_c"].model_copy(update={"at_s": board.at_s - 60.0})  # type: ignore[index]
        port.change(MANY[1], channels=with_readings(board, chip_c=old, power_w=None))
        value = f"{old.value:.1f}"
        await s.until(lambda: f"({value})" in row_of(s.panel("boards"), MANY[1]))
        assert "—" in row_of(s.panel("boards"), MANY[1])
        assert f"({value})" not in row_of(s.panel("boards"), MANY[0])
        port.hang_up()
        await s.until(lambda: f"({value})" in row_of(s.panel("boards"), MANY[0]))
        assert "(LIVE)" in row_of(s.panel("boards"), MANY[0])


async def test_keys_act_on_the_marked_board_and_the_stop_on_all(run: Run) -> None:
    port = scripted(run, run.live_s, names=MANY)
    async with seat(port, mode="boards", size=NARROW) as s:
        await s.press("down", "D")
        await s.until(lambda: port.asked)
        assert [(board, type(command)) for board, command in port.asked] == [(MANY[1], PowerDown)]
        await s.press("ctrl+x")
        await s.until(lambda: len(port.asked) == 5)
        assert {board for board, command in port.asked if isinstance(command, SafeOff)} == set(MANY)
        assert "EMERGENCY STOP" in s.text()
        await s.press("escape")
        await s.until(lambda: "EMERGENCY STOP" not in s.text())


async def test_the_palette_finds_a_board_by_its_name(run: Run) -> None:
    async with seat(scripted(run, run.live_s, names=MANY)) as s:
        await s.press("ctrl+p")
        await s.until(lambda: s.modal == "Palette")
        await s.type("gamma-3")
        await s.until(lambda: f"Look at {MANY[2]}" in s.text())
        await s.press("enter")
        await s.until(lambda: s.app.desk.selected == MANY[2])


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (79, 23), (200, 60)])
async def test_it_is_drawn_in_any_window(run: Run, size: tuple[int, int]) -> None:
    async with seat(scripted(run, run.live_s, names=FLEET), mode="boards", size=size) as s:
        await s.press("end", "home", "pagedown", "o")
        assert "^X STOP" in s.text()
        assert size[1] < 10 or FLEET[0][:5] in s.text()
