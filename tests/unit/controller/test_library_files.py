"""What the library does with files: recordings that open like a rig, and named points."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.library import AsyncRig, open_recording
from controller.model import BoardAttached, GuardState, PointKept
from controller.profiles import Profile, Profiles
from controller.sync import SyncRig
from drivers.errors import ProtocolError, Refused, UsageError
from tests.scenarios.gamma import stand

KIND = "bitaxe-gamma"


@pytest.fixture(autouse=True)
def _own_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHBRIDGE_CONFIG_DIR", str(tmp_path / "config"))
    Profiles().save(KIND, Profile.make("quiet", 450.0, 1.050, "fan barely audible"))


async def make_journal(path: Path) -> None:
    async with stand(journal=path) as s:
        await s.power_up(500.0, 1.15)
        await asyncio.sleep(5.0)


async def test_a_recording_opens_like_a_rig_and_plays(tmp_path: Path) -> None:
    await make_journal(tmp_path / "run")
    async with open_recording(tmp_path / "run") as rig:
        assert rig.info.kind == KIND
        playback = rig.playback
        assert playback is not None
        playback.seek(playback.duration_s / 2)
        assert (await rig.read()).state is GuardState.STARTING
        playback.play()
        states = []
        async for snapshot in rig.watch(playback.duration_s):
            states.append(snapshot.state)
        assert states[-1] is GuardState.SAFE_OFF
        assert GuardState.LIVE in states
        events = []
        async for event in rig.events():
            events.append(event)
            if len(events) == 5:
                break
        assert isinstance(events[0], BoardAttached)
        with pytest.raises(Refused, match="a recording can be looked at, not moved"):
            await rig.power_up()
    assert rig.safe_off_report is None


async def test_a_recording_that_will_not_do_is_one_error_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"path: .*nothing"):
        open_recording(tmp_path / "nothing")
    (tmp_path / "text").write_text("hello\n")
    with pytest.raises(ProtocolError, match=r"text, line 1"):
        open_recording(tmp_path / "text")
    await make_journal(tmp_path / "run")
    with pytest.raises(UsageError, match=r"board: 'other' is not allowed; allowed: one of gamma"):
        open_recording(tmp_path / "run", "other")


@pytest.mark.real_time
async def test_the_blocking_twin_opens_recordings_too(tmp_path: Path) -> None:
    def make() -> None:
        from emulator.virtual_time import VirtualTimeLoop

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(make_journal(tmp_path / "run"))

    def look() -> GuardState:
        with SyncRig.open_recording(tmp_path / "run") as rig:
            assert rig.playback is not None
            rig.playback.seek(1e9)
            return rig.read().state

    await asyncio.to_thread(make)
    assert await asyncio.to_thread(look) is GuardState.SAFE_OFF


async def test_a_profile_powers_up_a_board_that_is_off_and_moves_one_that_is_live_however_far() -> None:
    async with stand() as s:
        rig = AsyncRig(s.rig)
        assert (await rig.apply_profile("quiet")).requested.frequency_mhz == 450.0
        await rig.set_point(600.0, 1.200, preset=True)
        after = await rig.apply_profile("quiet", keep_within_s=60.0)
        assert (after.requested.frequency_mhz, after.requested.core_v) == (450.0, 1.050)
        await rig.keep()
        assert s.find(PointKept)[-1].point.frequency_mhz == 450.0
        with pytest.raises(UsageError, match=r"'loud' is not allowed; allowed: .*quiet"):
            await rig.apply_profile("loud")
        with pytest.raises(UsageError, match="keep_within_s: 0 "):
            await rig.apply_profile("quiet", keep_within_s=0)
