"""Keys that ask something of a board: what is sent for them, when, and what a person sees of the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from textual.widgets import Input

from controller.model import (
    AddRemark,
    ClearFault,
    GuardState,
    KeepPoint,
    OperatingPoint,
    PendingPoint,
    PointStatus,
    PowerDown,
    PowerUp,
    RevertPoint,
    SetOperatingPoint,
    StartWork,
    StopWork,
)
from drivers.errors import Refused
from tests.tui.covering import shows
from tests.tui.driving import seat
from tests.tui.ports import ScriptedPort, scripted
from tests.tui.recorded import Run
from tests.tui.telling import STOCK

pytestmark = pytest.mark.real_time

TOO_MUCH = "core_v 1.4 V is outside 1 to 1.25 V"


def refusing(rule: str, reason: str) -> Any:
    return lambda _board, _command: Refused(rule, reason)


def trial(run: Run) -> PendingPoint:
    pending = run.snapshots(run.on_trial_s)[-1].boards[0].pending
    assert pending is not None
    return pending


def live_at(port: ScriptedPort, point: OperatingPoint) -> None:
    """The board has gone there."""
    port.change(point=PointStatus(requested=point, granted=point, achieved=point))


STEPS = (
    ("plus", 531.25, 1.15),
    ("equals_sign", 531.25, 1.15),
    ("right", 531.25, 1.15),
    ("minus", 518.75, 1.15),
    ("left", 518.75, 1.15),
    ("shift+right", 587.5, 1.15),
    ("shift+up", 587.5, 1.15),
    ("shift+left", 462.5, 1.15),
    ("shift+down", 462.5, 1.15),
    ("underscore", 462.5, 1.15),
    ("down plus", 525.0, 1.16),
    ("up minus", 525.0, 1.14),
    ("v shift+right", 525.0, 1.25),
    ("down up plus", 531.25, 1.15),
)

# --- stage, check, apply ----------------------------------------------------------------------------------------------


@shows("tune.up", "tune.down", "tune.up_ten", "tune.down_ten", "tune.field")
async def test_steps_stage_a_point_on_the_grid_and_ask_for_nothing(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port, mode="tune") as s:
        for keys, mhz, volts in STEPS:
            await s.press(*keys.split())
            assert s.app.desk.staged == OperatingPoint(frequency_mhz=mhz, core_v=volts), keys
            await s.settle()
            assert f"[{mhz:8.2f}] MHz" in s.panel("setpoint")
            assert f"[{volts:8.3f}] V" in s.panel("setpoint")
            s.app.desk.unstage()
            s.app.desk.field = 0
        assert port.asked == []


async def test_the_guard_is_asked_about_what_is_staged_without_a_trace(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port, mode="tune") as s:
        await s.press("plus", "v", "plus")
        await s.until(lambda: "would be granted now" in s.panel("verdict"))
        _, asked = port.dry_runs[-1]
        assert asked == SetOperatingPoint(frequency_mhz=531.25, core_v=1.16, keep_within_s=10.0, dry_run=True)
        assert port.asked == []


async def test_a_refused_dry_run_shows_the_guards_own_words_and_is_asked_again(run: Run) -> None:
    port = scripted(run, run.live_s)
    port.answer = refusing("envelope", TOO_MUCH)
    async with seat(port, mode="tune") as s:
        await s.press("plus")
        await s.until(lambda: "refused" in s.panel("verdict"))
        assert f"envelope: {TOO_MUCH}" in s.panel("verdict").replace("\n", " ")
        assert s.toasts == []
        port.answer = lambda _board, _command: None
        await s.until(lambda: "would be granted now" in s.panel("verdict"))


async def test_no_guard_is_asked_while_nobody_looks_at_its_answer(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port, mode="tune") as s:
        await s.settle()
        assert port.dry_runs == []  # nothing is staged
        await s.press("plus", "1")
        before = len(port.dry_runs)
        for _ in range(5):
            s.app.desk.store.changes += 1
            s.app.beat()
            await s.pilot.pause()
        assert len(port.dry_runs) == before


@shows("tune.apply")
async def test_apply_puts_a_staged_change_on_trial_and_what_was_done_is_no_wish_any_more(run: Run) -> None:
    port = scripted(run, run.live_s)
    port.held = asyncio.Event()
    async with seat(port, mode="tune", keep_within_s=30.0) as s:
        await s.press("plus", "a")
        await s.until(lambda: "applying" in s.panel("verdict"))
        await s.press("a")  # once is enough
        assert port.asked_of("gamma") == [SetOperatingPoint(frequency_mhz=531.25, core_v=1.15, keep_within_s=30.0)]
        port.held.set()
        live_at(port, OperatingPoint(frequency_mhz=531.25, core_v=1.15))
        await s.until(lambda: "nothing is staged" in s.panel("verdict"))
        assert not s.app.desk.differs


async def test_apply_on_a_board_that_is_off_powers_it_up_to_the_staged_point(run: Run) -> None:
    port = scripted(run, run.off_s)
    async with seat(port, mode="tune") as s:
        assert "a powers up to this point" in s.panel("setpoint")
        await s.press("minus", "a")
        await s.until(lambda: port.asked)
        assert port.asked_of("gamma") == [PowerUp(frequency_mhz=518.75, core_v=1.15)]


async def test_a_refused_change_stays_staged_and_says_why(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port, mode="tune") as s:
        await s.press("plus")
        await s.until(lambda: "would be granted now" in s.panel("verdict"))
        port.answer = refusing("slew", "too fast")
        await s.press("a")
        await s.until(lambda: s.toasts)
        assert s.toasts == ["slew: too fast"]
        await s.until(lambda: "slew: too fast" in s.panel("verdict"))
        assert s.app.desk.differs


async def test_what_comes_of_an_apply_is_told_of_the_board_it_was_asked_for(run: Run) -> None:
    port = scripted(run, run.live_s, names=("left", "right"))
    port.held = asyncio.Event()
    async with seat(port, mode="tune") as s:
        await s.press("plus", "a")
        await s.until(lambda: port.asked)
        await s.press("right_square_bracket", "plus", "plus")
        await s.until(lambda: "right 2/2" in s.panel("heading"))
        port.held.set()
        await s.settle()
        assert s.app.desk.staged.frequency_mhz == 537.5
        await s.press("left_square_bracket")
        assert s.app.desk.staged.frequency_mhz == 525.0  # done: no wish any more
        port.answer = refusing("slew", "too fast")
        await s.press("plus", "a")
        await s.until(lambda: s.toasts)
        assert s.toasts == ["left: slew: too fast"]


async def test_apply_says_what_to_do_when_nothing_is_staged(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        s.app.action_apply()
        await s.until(lambda: s.toasts)
        assert "nothing is staged" in s.toasts[0]
        await s.press("a")
        assert port.asked == []


# --- keep, undo -------------------------------------------------------------------------------------------------------


@shows("tune.keep")
async def test_keep_names_the_trial_that_is_shown(run: Run) -> None:
    port = scripted(run, run.on_trial_s)
    async with seat(port) as s:
        assert "ON TRIAL   6 s" in s.panel("heading")
        await s.press("k")
        await s.until(lambda: port.asked)
        assert port.asked_of("gamma") == [KeepPoint(until_s=trial(run).until_s)]


async def test_keep_is_no_key_when_nothing_is_on_trial(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        assert "keep" not in s.panel("keys")
        await s.press("k")
        assert port.asked == []


@shows("tune.undo")
async def test_undo_takes_a_change_on_trial_back(run: Run) -> None:
    port = scripted(run, run.on_trial_s)
    async with seat(port, mode="tune") as s:
        await s.press("plus", "u")
        await s.until(lambda: port.asked)
        assert port.asked_of("gamma") == [RevertPoint(until_s=trial(run).until_s, why="taken back by a person")]
        assert s.app.desk.differs  # the trial goes first


@shows("tune.undo")
async def test_undo_takes_a_staged_point_off_and_asks_for_nothing(run: Run) -> None:
    port = scripted(run, run.reverted_s)
    async with seat(port, mode="tune") as s:
        await s.press("plus")
        await s.until(lambda: s.app.desk.differs)
        await s.press("u")
        assert not s.app.desk.differs
        assert port.asked == []


@shows("tune.undo")
async def test_undo_goes_back_on_trial_to_the_point_that_was_kept_before(run: Run) -> None:
    port = scripted(run, run.reverted_s)
    async with seat(port, mode="tune") as s:
        await s.press("u")
        await s.until(lambda: port.asked)
        (command,) = port.asked_of("gamma")
        assert command == SetOperatingPoint(
            frequency_mhz=525.0, core_v=1.15, preset=True, keep_within_s=10.0, note="undo"
        )


async def test_undo_is_grey_when_there_is_nothing_to_go_back_to(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        assert s.app.check_action("undo", ()) is None
        await s.press("u")
        assert port.asked == []


async def test_the_way_back_that_is_refused_is_said_in_both_places(run: Run) -> None:
    port = scripted(run, run.on_trial_s)
    async with seat(port, mode="tune") as s:
        port.change(pending=trial(run).model_copy(update={"refused": "state: chip_c is unknown"}))
        await s.until(lambda: "WAY BACK REFUSED" in s.panel("heading"))
        assert "state: chip_c is unknown" in s.panel("heading")
        assert "way back refused: state: chip_c is unknown" in s.panel("trial").replace("\n", " ")


# --- a typed number ---------------------------------------------------------------------------------------------------


@shows("tune.edit", "AskText.escape")
async def test_a_number_is_typed_for_the_marked_quantity_and_staged_and_no_more(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        await s.press("e")
        await s.until(lambda: s.modal == "AskText")
        assert "Clock in MHz" in s.text()
        assert "400 to 625 MHz (range)." in " ".join(s.text().split())
        await s.type("540.5")
        await s.press("enter")
        await s.until(lambda: not s.modal)
        assert s.app.desk.staged == OperatingPoint(frequency_mhz=540.5, core_v=1.15)
        assert s.app.current_mode == "tune"
        await s.press("v", "e")
        await s.until(lambda: "Core voltage in V" in s.text())
        await s.type("1,125")
        await s.press("enter")
        await s.until(lambda: not s.modal)
        assert s.app.desk.staged == OperatingPoint(frequency_mhz=540.5, core_v=1.125)
        await s.press("e", "9", "escape")
        await s.until(lambda: not s.modal)
        assert s.app.desk.staged == OperatingPoint(frequency_mhz=540.5, core_v=1.125)
        assert port.asked == []


async def test_a_wrong_number_stays_open_and_says_what_is_allowed(run: Run) -> None:
    async with seat(scripted(run, run.live_s)) as s:
        await s.press("e")
        await s.until(lambda: s.modal == "AskText")
        field = s.app.screen.query_one("#answer", Input)
        for text in ("", "abc", "-5", "0", "nan", "inf", "1e9", "5 5"):
            field.value = text
            await s.press("enter")
            await s.until(lambda: "is no number of MHz; allowed: 400 to 625" in s.text(), text)
            assert s.modal == "AskText"
            await s.press("7")
            await s.settle()
            assert "is no number" not in s.text()
        assert not s.app.desk.differs


async def test_an_absurd_voltage_can_be_staged_and_it_is_the_guard_that_says_no(run: Run) -> None:
    port = scripted(run, run.live_s)
    port.answer = refusing("envelope", "core_v 0.01 V is outside 1 to 1.25 V")
    async with seat(port, mode="tune") as s:
        await s.press("v", "e")
        await s.type("0.01")
        await s.press("enter")
        await s.until(lambda: "core_v 0.01 V is outside" in s.panel("verdict").replace("\n", " "))
        assert "inf" in s.panel("rails")


# --- work, stop, latch, notes -----------------------------------------------------------------------------------------


@shows("board.work", "AskChoice.escape")
async def test_work_is_stopped_when_it_runs_and_chosen_when_it_does_not(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        await s.press("w")
        await s.until(lambda: port.asked_of("gamma") == [StopWork()])
        port.change(work=None)
        await s.until(lambda: "no work yet" in s.panel("work"))
        await s.press("w", "escape")
        await s.until(lambda: not s.modal)
        await s.press("w", "enter")
        await s.until(lambda: port.asked_of("gamma")[1:] == [StartWork(work="synthetic")])
        await s.press("w", "down", "enter")
        await s.until(lambda: port.asked_of("gamma")[2:] == [StartWork(work="pattern")])


@shows("board.power_down")
async def test_power_down_is_a_capital_letter_and_works_on_a_live_board_alone(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        await s.press("D")
        await s.until(lambda: port.asked_of("gamma") == [PowerDown()])
        port.change(state=GuardState.SAFE_OFF)
        await s.until(lambda: "SAFE OFF" in s.panel("heading"))
        await s.press("D")
        assert len(port.asked) == 1


@shows("board.clear_fault")
async def test_clearing_the_fault_works_on_a_latched_board_alone_and_a_refusal_is_told(run: Run) -> None:
    port = scripted(run, run.latched_s)
    port.answer = refusing("latch", "fan_rpm is 0 rpm")
    async with seat(port) as s:
        await s.press("C")
        await s.until(lambda: s.toasts == ["latch: fan_rpm is 0 rpm"])
        assert port.asked_of("gamma") == [ClearFault()]
        port.change(state=GuardState.LIVE, latched=None)
        await s.until(lambda: "LIVE" in s.panel("heading"))
        await s.press("C")
        assert len(port.asked) == 1


@shows("board.remark")
async def test_a_note_is_sent_as_it_was_typed_and_an_empty_one_is_not(run: Run) -> None:
    port = scripted(run, run.live_s)
    async with seat(port) as s:
        await s.press("n")
        await s.type("  quiet, 2 of 3!  ")
        await s.press("enter")
        await s.until(lambda: port.asked_of("gamma") == [AddRemark(text="quiet, 2 of 3!")])
        await s.press("n", "space", "enter")
        await s.until(lambda: not s.modal)
        await s.press("n", "x", "escape")
        await s.until(lambda: not s.modal)
        assert len(port.asked) == 1


# --- the history ------------------------------------------------------------------------------------------------------


@shows(
    "History.up", "History.down", "History.pageup", "History.pagedown", "History.enter", "panel.next", "panel.before"
)
async def test_a_point_of_the_history_is_marked_and_staged(run: Run) -> None:
    port = scripted(run, run.reverted_s)
    async with seat(port, mode="tune") as s:

        def marked() -> str:
            return next((line for line in s.panel("history").splitlines() if line.startswith("▸")), "")

        assert marked() == ""
        await s.press("tab")
        await s.settle()
        assert "550.00 MHz 1.170 V  back: not kept within 10 s" in marked()
        await s.press("up")
        assert "575.00 MHz 1.200 V  step 2" in marked()
        await s.press("pageup")
        assert "525.00 MHz 1.150 V" in marked()
        await s.press("enter")
        assert s.app.desk.staged == OperatingPoint(frequency_mhz=525.0, core_v=1.15)
        await s.press("down")
        assert "new paste on the die" in marked()
        await s.press("enter")  # a remark has no point
        assert s.app.desk.staged == OperatingPoint(frequency_mhz=525.0, core_v=1.15)
        await s.press("pagedown")
        assert "back: not kept within 10 s" in marked()
        await s.press("shift+tab")
        await s.settle()
        assert marked() == ""
        assert type(s.app.focused).__name__ == "SetPoint"


async def test_the_staged_point_starts_from_the_last_kept_one_on_a_board_that_is_off(run: Run) -> None:
    port = scripted(run, run.latched_s)
    async with seat(port, mode="tune") as s:
        assert s.app.desk.base == OperatingPoint(frequency_mhz=550.0, core_v=1.17)
    port = scripted(run, run.off_s)
    async with seat(port, mode="tune") as s:
        assert s.app.desk.base == STOCK


@pytest.mark.parametrize("mode", ["board", "log"])
async def test_a_board_is_powered_up_by_a_key_only_where_the_point_is_in_sight(run: Run, mode: str) -> None:
    port = scripted(run, run.off_s)
    async with seat(port, mode=mode) as s:
        await s.press("a")
        await s.settle()
        assert port.asked == []
        await s.press("2", "a")
        await s.until(lambda: port.asked)
        assert isinstance(port.asked[0][1], PowerUp)
