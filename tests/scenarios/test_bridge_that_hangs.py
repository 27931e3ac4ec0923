"""A bridge that is there and answers nothing: it holds the rail as it was, and only the data port is left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.emulators import EmulatorChild
from controller.model import (
    BoardLost,
    Cause,
    ClearFault,
    GuardState,
    Note,
    PowerUp,
    Protection,
    SafeOffDone,
    StartWork,
    StateChanged,
)
from controller.port import BoardConfig, HostConfig, LiveRig
from drivers.errors import Refused
from tests.plant import ask
from tests.scenarios.gamma import NAME, SETTINGS, Stand, stand

STOPPED = "hashing stopped through the data port"


def truth(s: Stand, of: str) -> object:
    return s.bench.truth(asyncio.get_running_loop().time())[of]


def notes(s: Stand, text: str) -> list[str]:
    return [note.text for note in s.find(Note) if text in note.text]


async def test_its_chips_are_stopped_through_the_data_port_and_the_board_is_shown_unprotected() -> None:
    async with stand(SETTINGS) as s:
        await s.hashes()
        assert truth(s, "hashing")
        s.bench.faults.wedge()
        began_s = asyncio.get_running_loop().time()
        assert (await s.fault()).cause is Cause.SENSOR_BUS
        await s.wait_for_note(STOPPED)
        assert asyncio.get_running_loop().time() - began_s < 6.0
        assert notes(s, STOPPED) == [f"{STOPPED}: confirmed"]
        assert not truth(s, "hashing")
        assert truth(s, "rail_on"), "nobody can cut it"
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.UNPROTECTED
        assert not board.protections & {Protection.SOFTWARE_TRIPS, Protection.SENTINEL}
        assert board.latched is not None
        assert board.latched.cause is Cause.SENSOR_BUS
        with pytest.raises(Refused, match="unprotected: not yet safe"):
            await s.rig.request(NAME, ClearFault())


async def test_it_is_stopped_once_and_the_tries_to_make_it_safe_go_on_until_it_is() -> None:
    async with stand(SETTINGS) as s:
        await s.hashes()
        s.bench.faults.wedge()
        await s.fault()
        await asyncio.sleep(20.0)
        assert len([done for done in s.find(SafeOffDone) if not done.report.confirmed]) >= 4
        assert notes(s, STOPPED) == [f"{STOPPED}: confirmed"]
        s.bench.faults.wedge(off=True)  # a reset of its MCU: both ports go and come
        await asyncio.sleep(1.0)
        s.new_data()
        s.rig.control_restored(NAME, None, s.new_control())
        await asyncio.sleep(5.0)
        assert s.find(SafeOffDone)[-1].report.confirmed
        assert s.is_safe()
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LATCHED
        assert Protection.SOFTWARE_TRIPS in board.protections
        states = [event.after for event in s.find(StateChanged)]
        assert states[-2:] == [GuardState.UNPROTECTED, GuardState.LATCHED]
        await asyncio.sleep(30.0)
        await s.rig.request(NAME, ClearFault())
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="synthetic", ticket_difficulty=32, seed=3))
        await asyncio.sleep(5.0)
        work = s.rig.snapshot().boards[0].work
        assert work is not None
        assert work.verified > 0, "the line to the chips is as it was"


async def test_chips_that_do_not_confirm_are_asked_again() -> None:
    async with stand(SETTINGS) as s:
        await s.hashes()
        s.bench.faults.wedge()
        s.bench.faults.break_chain(chip=0)
        await asyncio.sleep(20.0)
        assert len(notes(s, f"{STOPPED}: NOT confirmed")) >= 2


async def test_a_port_that_goes_while_its_bridge_hangs_is_told_as_lost() -> None:
    async with stand(SETTINGS) as s:
        await s.hashes()
        s.bench.faults.wedge()
        await s.wait_for_note(STOPPED)
        s.bench.faults.unplug_control()
        await asyncio.sleep(10.0)
        assert [lost.port for lost in s.find(BoardLost)] == ["control"]
        assert s.rig.snapshot().boards[0].state is GuardState.UNPROTECTED


@pytest.mark.real_time
async def test_the_sentinel_is_first_to_see_it_and_the_rig_stops_the_chips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sweep comes to its end, so there is no beat: the sentinel fences the rig off, and reaches nothing either."""
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("HASHBRIDGE_STATE_DIR", str(tmp_path / "state"))
    child = await EmulatorChild.start(("bitaxe-gamma", "--name", "hangs", "--dilution", str(2**31)))
    try:
        sidecar = child.sidecar
        assert sidecar.plant is not None
        board = BoardConfig(
            name="gamma", kind=sidecar.board, control=sidecar.control, data=sidecar.data, emulated=True, dilution=2**31
        )
        async with await LiveRig.start(HostConfig(boards=(board,), orphan_s=5.0)) as rig:
            await rig.request("gamma", PowerUp())
            await rig.request("gamma", StartWork(work="synthetic", ticket_difficulty=32, seed=3))
            await asyncio.sleep(2.0)
            assert (await ask(sidecar.plant, get="truth"))["truth"]["hashing"]
            await ask(sidecar.plant, do="wedge")
            async with asyncio.timeout(10.0):
                async for event in rig.events():
                    if isinstance(event, Note) and event.text.startswith(STOPPED):
                        assert event.text == f"{STOPPED}: confirmed"
                        break
            now = (await ask(sidecar.plant, get="truth"))["truth"]
            assert not now["hashing"]
            assert now["rail_on"]
            snapshot = await anext(rig.snapshots())
            assert snapshot.boards[0].state is GuardState.UNPROTECTED
    finally:
        await child.aclose()
