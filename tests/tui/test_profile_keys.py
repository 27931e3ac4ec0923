"""Profiles from the screen, over real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.model import SetOperatingPoint
from controller.profiles import Profile, Profiles
from tests.tui.covering import shows
from tests.tui.driving import seat
from tests.tui.ports import scripted
from tests.tui.recorded import Run

pytestmark = pytest.mark.real_time

KIND = "bitaxe-gamma"


@shows("tune.profiles")
async def test_a_point_is_saved_loaded_applied_as_a_profile_and_deleted(run: Run, tmp_path: Path) -> None:
    profiles = Profiles(tmp_path)
    profiles.save(KIND, Profile.make("far away", 450.0, 1.05, "fan barely audible"))
    port = scripted(run, run.live_s)
    async with seat(port, profiles=profiles) as s:
        await s.press("P")
        await s.until(lambda: s.modal == "AskChoice")
        for words in ("far away         450.00 MHz 1.050 V  fan barely audible", "save 525.00 MHz", "delete far away"):
            assert words in s.text()
        await s.press("enter")
        await s.until(lambda: not s.modal)
        assert s.app.current_mode == "tune"
        await s.until_it_is("far away", lambda: s.app.desk.preset)
        await s.press("a")
        await s.until(lambda: port.asked)
        (command,) = port.asked_of("gamma")
        assert command == SetOperatingPoint(
            frequency_mhz=450.0, core_v=1.05, preset=True, keep_within_s=10.0, note="profile far away"
        )
        assert s.app.desk.preset is None  # a step by hand from here is no profile
        await s.press("P")
        await s.until(lambda: s.modal == "AskChoice")
        await s.press("down", "enter")
        await s.until(lambda: "Save as" in s.text())
        await s.type("schema")
        await s.press("enter")
        await s.until(lambda: "'schema' is not allowed; allowed: 1 to 40" in s.text())
        assert s.modal == "AskText"
        await s.press(*["backspace"] * 6)
        await s.type("stock")
        await s.press("enter")
        await s.until(lambda: s.toasts == ["saved as stock"])
        saved = {profile.name: (profile.frequency_mhz, profile.core_v) for profile in profiles.list(KIND)}
        assert saved == {"far away": (450.0, 1.05), "stock": (525.0, 1.15)}
        await s.press("P", "down", "down", "down", "enter")
        await s.until(lambda: s.toasts[1:] == ["deleted far away"])
        assert [profile.name for profile in profiles.list(KIND)] == ["stock"]


async def test_a_file_of_profiles_that_cannot_be_read_is_told_and_nothing_opens(run: Run, tmp_path: Path) -> None:
    (tmp_path / f"{KIND}.toml").write_text("this is no TOML [")
    async with seat(scripted(run, run.live_s), profiles=Profiles(tmp_path)) as s:
        await s.press("P")
        await s.until(lambda: s.toasts)
        assert f"{KIND}.toml" in s.toasts[0]
        assert s.modal == ""


async def test_a_staged_profile_that_is_stepped_by_hand_is_no_profile_any_more(run: Run, tmp_path: Path) -> None:
    profiles = Profiles(tmp_path)
    profiles.save(KIND, Profile.make("quiet", 450.0, 1.05))
    port = scripted(run, run.live_s)
    async with seat(port, profiles=profiles) as s:
        await s.press("P", "enter")
        await s.until(lambda: s.app.desk.preset == "quiet")
        await s.press("plus", "a")
        await s.until(lambda: port.asked)
        (command,) = port.asked_of("gamma")
        assert isinstance(command, SetOperatingPoint)
        assert (command.frequency_mhz, command.preset, command.note) == (456.25, False, "")
