"""The palette offers what is possible now, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.model import GuardState, KeepPoint
from controller.profiles import Profiles
from tests.tui.driving import Seat, seat
from tests.tui.ports import scripted
from tests.tui.recorded import Run

pytestmark = pytest.mark.real_time

ALWAYS = {"Emergency stop", "Go to Tune", "Go to Log", "Theme", "Screenshot", "Help", "Quit"}


def offered(s: Seat) -> set[str]:
    return {command.title for command in s.app.get_system_commands(s.app.screen)} - ALWAYS


async def test_what_the_palette_offers_follows_the_state_of_the_board(run: Run, tmp_path: Path) -> None:
    port = scripted(run, run.reverted_s)
    # Recorded with --unlock range.
    usual = {"Edit the set point", "Profiles", "Write a note", "Lock beyond stock", "Fan follows"}
    trial = run.snapshots(run.on_trial_s)[-1].boards[0].pending
    async with seat(port, profiles=Profiles(tmp_path), owner=True) as s:
        assert offered(s) == usual | {"Undo", "Start or stop work", "Power down"}
        s.app.desk.step(1)
        assert offered(s) == usual | {"Undo", "Apply the staged point", "Start or stop work", "Power down"}
        s.app.desk.unstage()
        for fields, more in (
            ({"pending": trial}, {"Undo", "Keep the change on trial", "Start or stop work", "Power down"}),
            ({"pending": None, "state": GuardState.SAFE_OFF}, {"Power up"}),
            ({"state": GuardState.STARTING}, set()),
            ({"state": GuardState.LATCHED}, {"Clear the fault"}),
            ({"state": GuardState.UNPROTECTED}, set()),
            ({"state": GuardState.UNKNOWN}, set()),
        ):
            port.change(**fields)
            await s.until(lambda: s.app.desk.board == port.newest.boards[0])
            assert offered(s) == usual | more, fields
        port.hang_up()
        await s.until(lambda: not s.app.desk.store.line.up)
        assert offered(s) == {"Edit the set point", "Profiles", "Start the rig again"}
        assert {command.title for command in s.app.get_system_commands(s.app.screen)} >= ALWAYS


async def test_the_palette_of_a_recording_offers_playing_and_no_command(run: Run) -> None:
    async with seat(run.open(run.on_trial_s)) as s:
        assert offered(s) == {"Play or pause", "Speed"}


async def test_a_command_that_is_chosen_in_the_palette_is_carried_out(run: Run) -> None:
    port = scripted(run, run.on_trial_s)
    async with seat(port) as s:
        await s.press("ctrl+p")
        await s.until(lambda: s.modal == "Palette")
        await s.type("keep the change")
        await s.until(lambda: "the countdown ends, the point stays" in s.text())
        await s.press("enter")
        await s.until(lambda: not s.modal and port.asked)
        assert isinstance(port.asked[0][1], KeepPoint)


async def test_a_question_over_the_palette_is_no_reason_for_a_second_palette(run: Run, tmp_path: Path) -> None:
    async with seat(scripted(run, run.live_s), profiles=Profiles(tmp_path)) as s:
        await s.press("ctrl+p")
        await s.until(lambda: s.modal == "Palette")
        s.app.action_profiles()  # as when a command of the palette is carried out before the palette has gone
        await s.until(lambda: s.modal == "AskChoice")
        s.app.action_command_palette()
        await s.settle()
        assert s.modal == "AskChoice"
        await s.press("escape")
        await s.until(lambda: s.modal == "Palette")
        assert s.app.is_running
