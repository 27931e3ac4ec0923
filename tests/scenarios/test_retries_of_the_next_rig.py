"""Three retries in 24 hours are three of the board: a rig that is started anew goes on counting."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from controller.clock import LoopClock
from controller.emulators import EmulatorChild
from controller.model import (
    Cause,
    ClearFault,
    Event,
    FaultLatched,
    Note,
    PowerUp,
    RetryEnded,
    RetryPlanned,
    RetryRefused,
)
from controller.port import BoardConfig, HostConfig, LiveRig
from controller.tried import Kept
from drivers.errors import UsageError
from tests.plant import ask
from tests.scenarios.gamma import AGAIN, NAME, SETTINGS, Stand, at_once, stand

USED = "used within 24 hours, before this rig was started"


def kept(directory: Path) -> Kept:
    return Kept(directory / "retries", "this board", carry=at_once)


async def loses_its_input(s: Stand) -> None:
    """For a second, while it runs at stock."""
    await s.power_up(525.0, 1.150)
    s.bench.faults.source_v(4.3)
    assert (await s.fault()).cause is Cause.INPUT_LOW
    await asyncio.sleep(1.0)
    s.bench.faults.source_v(5.3)


async def falls_silent(s: Stand) -> None:
    await s.hashes()
    s.bench.faults.silence_chip("nonces")
    assert (await s.fault()).cause is Cause.CHIP_SILENT
    s.bench.faults.heal()


async def test_the_next_rig_goes_on_counting_and_says_so(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        async with stand(SETTINGS, operator=AGAIN, kept=kept(tmp_path)) as s:
            used = [event.text for event in s.find(Note) if event.text.startswith("used within 24 hours")]
            assert used == [f"{USED}: {number - 1} of 3 retries ({kept(tmp_path)})"] * (number > 1)
            await falls_silent(s)
            planned = await s.wait_for(RetryPlanned)
            assert (planned.number, planned.of) == (number, 3)
    async with stand(SETTINGS, operator=AGAIN, kept=kept(tmp_path)) as s:
        await falls_silent(s)
        assert (await s.wait_for(RetryRefused)).why == "3 retries within 24 hours"
        assert s.is_safe()


async def test_a_second_loss_of_the_input_counts_across_rigs_and_so_does_one_that_nothing_came_of(
    tmp_path: Path,
) -> None:
    async with stand(SETTINGS, operator=AGAIN, kept=kept(tmp_path)) as s:
        await loses_its_input(s)
        await s.wait_for(RetryPlanned)
    for _ in range(2):
        async with stand(SETTINGS, operator=AGAIN, kept=kept(tmp_path)) as s:
            await loses_its_input(s)
            assert (await s.wait_for(RetryRefused)).why == "the input was lost twice within 10 minutes"
    at_s = asyncio.get_running_loop().time()
    lost_s_ago = kept(tmp_path).read(LoopClock().utc(at_s)).input_lost_s_ago
    assert lost_s_ago is not None
    assert lost_s_ago < 10.0, "each loss is written down anew"


async def test_what_cannot_be_written_down_is_not_begun(tmp_path: Path) -> None:
    async with stand(SETTINGS, operator=AGAIN, kept=kept(tmp_path)) as s:
        (tmp_path / "retries").write_text("a file where the directory should be")
        await falls_silent(s)
        ended = await s.wait_for(RetryEnded)
        assert ended.how == "given up"
        assert ended.why.startswith("it could not be written down: ")
        await asyncio.sleep(120.0)
        assert s.is_safe()
        assert s.rig.snapshot().boards[0].retry is None
        await s.rig.request(NAME, ClearFault())


async def test_where_nothing_is_to_be_tried_nothing_is_read_or_written(tmp_path: Path) -> None:
    async with stand(SETTINGS, kept=kept(tmp_path)) as s:
        await falls_silent(s)
        assert s.find(RetryRefused) == []
    assert os.listdir(tmp_path) == []


async def until(rig: LiveRig, kind: type[Event]) -> Event:
    async with asyncio.timeout(30.0):
        async for event in rig.events():
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__}")


@pytest.mark.real_time
async def test_two_rig_processes_of_one_board_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("HASHBRIDGE_STATE_DIR", str(tmp_path / "state"))
    child = await EmulatorChild.start(("bitaxe-gamma", "--name", "twice", "--dilution", str(2**31)))
    try:
        sidecar = child.sidecar
        board = BoardConfig(
            name="gamma",
            kind=sidecar.board,
            control=sidecar.control,
            data=sidecar.data,
            emulated=True,
            dilution=2**31,
            operator=AGAIN,
        )
        async with await LiveRig.start(HostConfig(boards=(board,), orphan_s=5.0)) as rig:
            await rig.request("gamma", PowerUp())
            assert sidecar.plant is not None
            await ask(sidecar.plant, do="source_v", volts=4.3)
            assert isinstance(await until(rig, FaultLatched), FaultLatched)
            planned = await until(rig, RetryPlanned)
            assert isinstance(planned, RetryPlanned)
            assert planned.number == 1
        (path,) = (tmp_path / "state" / "retries").iterdir()
        assert json.loads(path.read_text())["board"] == f"bitaxe-gamma of emulator twice, process {sidecar.pid}"
        async with await LiveRig.start(HostConfig(boards=(board,), orphan_s=5.0)) as rig:
            note = await until(rig, Note)
            assert isinstance(note, Note)
            assert note.text == f"{USED}: 1 of 3 retries ({path})"
        path.write_text("{}")
        with pytest.raises(UsageError, match="a file as a rig has written it"):
            await LiveRig.start(HostConfig(boards=(board,), orphan_s=5.0))
    finally:
        await child.aclose()
