"""A recording under the keys: played, sped up, sought in, and nothing in it that could be commanded."""

from __future__ import annotations

import pytest

from controller.recording import RecordedRig
from controller.tui.app import SPEEDS
from drivers.boards.board import Channel
from tests.tui.covering import shows
from tests.tui.driving import StillClock, seat
from tests.tui.recorded import Run

pytestmark = pytest.mark.real_time


@shows("recording.play", "recording.speed")
async def test_space_plays_and_pauses_and_s_goes_through_the_speeds(run: Run) -> None:
    clock = StillClock(0.0)
    rig = RecordedRig.open(run.path, now=clock)
    rig.seek(run.live_s)
    async with seat(rig, clock=clock) as s:
        assert f"‖ {run.live_s:.1f} s of 2 min" in s.panel("heading")
        await s.press("space")
        await s.until(lambda: rig.playing)
        clock.now_s += 3.0
        await s.until(lambda: f"▶ {run.live_s + 3.0:.1f} s of 2 min" in s.panel("heading"))
        await s.press("space")
        assert not rig.playing
        clock.now_s += 100.0
        await s.settle()
        assert rig.position_s == pytest.approx(run.live_s + 3.0)
        seen = []
        for _ in SPEEDS:
            await s.press("s")
            seen.append(rig.speed)
            await s.until(lambda: f"×{rig.speed:g} " in s.panel("heading"))
        assert seen == [*SPEEDS[1:], SPEEDS[0]]


@shows("recording.on", "recording.back", "recording.far_on", "recording.far_back")
async def test_seeking_shows_the_board_the_trends_and_the_log_of_the_new_place(run: Run) -> None:
    rig = run.open(run.live_s)
    async with seat(rig) as s:
        for key, by_s in (
            ("full_stop", 10.0),
            ("full_stop", 10.0),
            ("comma", -10.0),
            ("greater_than_sign", 60.0),
            ("less_than_sign", -60.0),
            ("less_than_sign", -60.0),
            ("greater_than_sign", 60.0),
            ("greater_than_sign", 60.0),
        ):
            place_s = min(max(0.0, rig.position_s + by_s), rig.duration_s)
            await s.press(key)
            assert rig.position_s == place_s, key
            there = run.snapshots(place_s)[-1].boards[0] if run.snapshots(place_s) else None
            await s.until_it_is(there, lambda: s.app.desk.board, key)
            await s.until_it_is(run.events(place_s), lambda: [row.event for row in s.app.desk.store.log], key)
            if there is not None:
                known_s = s.app.desk.store.views["gamma"].trends[Channel.CHIP_C].known_s
                assert known_s == pytest.approx(place_s, abs=2.0)


async def test_nothing_can_be_commanded_in_a_recording_and_no_key_claims_it(run: Run) -> None:
    async with seat(run.open(run.on_trial_s), mode="tune") as s:
        assert "RECORDING" in s.panel("heading")
        await s.press("a", "k", "e", "w", "D", "C", "P", "n", "r")
        await s.settle()
        assert s.modal == ""
        assert s.toasts == []
        for word in ("apply", "edit", "work", "keep", "profiles", "note", "power down"):
            assert word not in s.panel("keys")
        assert "k keep" not in s.panel("heading") + s.panel("trial")
        assert "nothing can be moved here" in s.panel("setpoint")
        await s.press("plus")
        assert s.app.desk.verdict.answer.value == "none"


async def test_the_times_of_a_recording_are_its_own(run: Run) -> None:
    rig = run.open(run.on_trial_s)
    async with seat(rig, clock=StillClock(5e6)) as s:
        assert "ON TRIAL   6 s" in s.panel("heading")
        assert "SILENT" not in s.panel("heading")
        assert " old" not in s.panel("readings")
