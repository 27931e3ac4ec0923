"""Every trip leaves its last minute on the disk, in a file that opens like a rig, before anything is re-enabled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from controller.flight import FlightRecorder
from controller.journal import read_journal
from controller.model import (
    Cause,
    ClearFault,
    FaultLatched,
    FaultRecorded,
    GuardState,
    Note,
    PowerUp,
    SafeOffDone,
    StartWork,
)
from controller.recording import RecordedRig
from drivers.boards.board import Channel
from drivers.errors import Refused
from tests.scenarios import gamma
from tests.scenarios.gamma import NAME, Stand, stand
from tests.unit.controller.guarding import Scene


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


async def trip(s: Stand) -> FaultLatched:
    await s.power_up()
    await s.rig.request(NAME, StartWork(work="pattern"))
    await asyncio.sleep(80.0)
    s.bench.faults.stall_fan()
    return await s.fault()


async def test_a_trip_leaves_its_last_minute_and_what_followed_in_one_file(tmp_path: Path) -> None:
    async with stand(trips=tmp_path / "trips") as s:
        fault = await trip(s)
        saved = await s.wait_for(FaultRecorded)
        await asyncio.sleep(30.0)
    (path,) = files(tmp_path / "trips")
    assert saved.path == str(path)
    assert path.name.endswith("Z-gamma-fan.jsonl")
    recording = read_journal(path)
    assert not recording.truncated
    assert recording.boards[0].kind == "bitaxe-gamma"
    snapshots = [snapshot for snapshot in recording.snapshots if snapshot.at_s <= fault.at_s]
    assert fault.at_s - snapshots[0].at_s == pytest.approx(60.0, abs=0.5)
    gaps = [b.at_s - a.at_s for a, b in pairwise(snapshots)]
    assert max(gaps) < 0.3, "not at full rate"
    kinds = [type(event) for event in recording.events]
    assert kinds.index(FaultLatched) < kinds.index(SafeOffDone)
    last_s = recording.snapshots[-1].at_s
    assert fault.at_s + 9.0 < last_s <= fault.at_s + 10.0


async def test_the_record_opens_like_a_rig(tmp_path: Path) -> None:
    async with stand(trips=tmp_path) as s:
        await trip(s)
    (path,) = files(tmp_path)
    rig = RecordedRig.open(path)
    rig.seek(rig.duration_s)
    snapshot = await anext(rig.snapshots())
    latched = snapshot.boards[0].latched
    assert latched is not None
    assert latched.cause is Cause.FAN
    await rig.aclose()


async def test_the_file_is_on_the_disk_before_the_latch_can_be_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = asyncio.Event()

    async def slowly(write: Callable[[], None]) -> None:
        await slow.wait()
        write()

    monkeypatch.setattr(gamma, "at_once", slowly)
    async with stand(trips=tmp_path) as s:
        await trip(s)
        assert s.is_safe()
        assert files(tmp_path) == [], "written by who makes the board safe"
        s.bench.faults.stall_fan(off=True)
        await asyncio.sleep(120.0)  # cool again
        clearing = asyncio.create_task(s.rig.request(NAME, ClearFault()))
        await asyncio.sleep(5.0)
        assert not clearing.done()
        assert s.find(FaultRecorded) == []
        slow.set()
        await clearing
        await s.rig.request(NAME, PowerUp())
    (path,) = files(tmp_path)
    kinds = [type(event) for event in read_journal(path).events]
    assert kinds.index(FaultLatched) < kinds.index(SafeOffDone)


async def test_a_disk_that_is_full_keeps_the_latch_and_not_the_board_and_the_record_is_whole_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    async with stand(trips=tmp_path) as s:
        await trip(s)
        assert s.is_safe()
        note = await s.wait_for(Note)
        assert note.text == "no flight record of fan: [Errno 28] No space left on device"
        s.bench.faults.stall_fan(off=True)
        await asyncio.sleep(120.0)
        for _ in range(2):
            with pytest.raises(Refused, match="No space left on device; make room for it and clear again") as refused:
                await s.rig.request(NAME, ClearFault())
            assert refused.value.rule == "record"
        assert s.rig.snapshot().boards[0].state is GuardState.LATCHED
        assert s.find(FaultRecorded) == []
        assert len([note for note in s.find(Note) if "flight record" in note.text]) == 1
        monkeypatch.setattr(os, "fsync", real)
        await s.rig.request(NAME, ClearFault())
        assert len(s.find(FaultRecorded)) == 1
        await s.power_up()
    (path,) = files(tmp_path)
    told = read_journal(path)
    assert not told.truncated
    kinds = [type(event) for event in told.events]
    assert kinds.count(FaultLatched) == 1
    assert told.snapshots[-1].at_s - told.snapshots[0].at_s > 60.0


async def test_a_disk_that_fails_while_the_rig_ends_does_not_cut_the_ending_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    async with stand(trips=tmp_path / "trips", journal=tmp_path / "run.jsonl") as s:
        await trip(s)
    assert not read_journal(tmp_path / "run.jsonl").truncated
    assert read_journal(files(tmp_path / "trips")[0]).events


async def test_a_directory_that_cannot_be_made_is_told_and_the_board_is_safe(tmp_path: Path) -> None:
    (tmp_path / "trips").write_text("a file")
    async with stand(trips=tmp_path / "trips") as s:
        await trip(s)
        assert s.is_safe()
        assert "no flight record of fan" in (await s.wait_for(Note)).text


async def test_two_trips_are_two_files(tmp_path: Path) -> None:
    async with stand(trips=tmp_path) as s:
        await trip(s)
        s.bench.faults.stall_fan(off=True)
        await asyncio.sleep(120.0)
        await s.rig.request(NAME, ClearFault())
        await s.power_up()
        s.bench.faults.open_diode()
        await asyncio.sleep(10.0)
    causes = sorted(path.name.rsplit("-", 1)[1] for path in files(tmp_path))
    assert causes == ["fan.jsonl", "sensor_invalid.jsonl"]


async def test_a_run_without_a_trip_leaves_no_file(tmp_path: Path) -> None:
    async with stand(trips=tmp_path) as s:
        await s.power_up()
        await asyncio.sleep(60.0)
    assert files(tmp_path) == []


async def test_the_last_that_a_journal_tells_of_a_board_is_how_it_was_left(tmp_path: Path) -> None:
    async with stand(journal=tmp_path / "run") as s:
        await s.power_up()
        await asyncio.sleep(5.0)
    last = read_journal(tmp_path / "run").snapshots[-1].boards[0]
    assert last.state is GuardState.SAFE_OFF
    assert last.channels[Channel.RESET_RELEASED].value == 0.0
    assert last.channels[Channel.CORE_V].value == pytest.approx(0.0, abs=0.05)


async def test_boards_that_trip_together_are_recorded_one_after_the_other_each_for_itself(tmp_path: Path) -> None:
    at_once, most = 0, 0
    names = ("a", "b", "c")
    saved: list[str | None] = []
    now = Scene().live().now()

    async def slow(write: Callable[[], None]) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.5)
        write()
        at_once -= 1

    async with stand() as s:
        infos = [s.rig.info[0].model_copy(update={"name": name}) for name in names]
        recorder = FlightRecorder(tmp_path, infos, lambda fault, path, broken: saved.append(broken), carry=slow)
        for name in names:
            recorder.keep(now.at_s, name, f'{{"kind":"of {name}"}}')
            fault = FaultLatched(
                seq=1, at_s=now.at_s, at_utc=now.at_utc, board=name, cause=Cause.INPUT_LOW, sensor=None, detail="",
                snapshot=None,
            )  # fmt: skip
            recorder.begin(fault)
            recorder.save(name)
        for name in names:
            assert await recorder.settled(name) is None
        recorder.close()
    assert (most, saved) == (1, [None, None, None])
    for name, path in zip(names, files(tmp_path), strict=True):
        header, *lines = path.read_text().splitlines()
        assert f'"name": "{name}"' in header
        assert lines == [f'{{"kind":"of {name}"}}']
