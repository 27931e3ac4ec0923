"""A change on trial from a command line: only an empty line keeps it. On an emulated board, in virtual time."""

from __future__ import annotations

import asyncio
import io
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.cli.talk import Talk
from controller.cli.trial import Moved, checked_note, keep_or_not, move, parse_keep_within, person
from controller.journal import Journal
from controller.model import (
    KeepPoint,
    OperatingPoint,
    PendingPoint,
    PointReverted,
    PowerDown,
    RevertPoint,
    SetOperatingPoint,
)
from controller.recording import RecordedRig
from drivers.errors import Refused, Unplugged, UsageError
from tests.scenarios.gamma import NAME, Stand, stand

STOCK = OperatingPoint(frequency_mhz=525.0, core_v=1.150)
MORE = SetOperatingPoint(frequency_mhz=550.0, keep_within_s=10.0)


@pytest.fixture
def keyboard() -> Iterator[tuple[int, int]]:
    """What a person types in, and what is read of it."""
    heard, typed = os.pipe()
    yield typed, heard
    os.close(heard)
    os.close(typed)


async def on_trial(s: Stand, command: SetOperatingPoint = MORE) -> PendingPoint:
    await s.power_up()
    await s.rig.request(NAME, command)
    pending = (await s.snapshot()).boards[0].pending
    assert pending is not None
    return pending


async def requested(s: Stand) -> OperatingPoint:
    return (await s.snapshot()).boards[0].point.requested


def talk() -> tuple[Talk, io.StringIO]:
    said = io.StringIO()
    return Talk(stream=said), said


async def press(typed: int, after_s: float, line: bytes) -> None:
    await asyncio.sleep(after_s)
    os.write(typed, line)


async def test_an_empty_line_keeps_the_change(keyboard: tuple[int, int]) -> None:
    typed, heard = keyboard
    async with stand() as s:
        trial = await on_trial(s)
        mouth, said = talk()
        pressing = asyncio.create_task(press(typed, 4.0, b"\n"))
        assert await keep_or_not(s.rig, NAME, trial, mouth, heard)
        await pressing
        await asyncio.sleep(20.0)
        assert (await requested(s)).frequency_mhz == 550.0
    assert "on trial, goes back in 10 s  Enter keeps it" in said.getvalue()
    assert "kept: 550.00 MHz at 1.150 V" in said.getvalue()


@pytest.mark.parametrize("line", [b"no\n", b" \n", b"keep\n"])
async def test_any_other_line_takes_it_back_at_once(keyboard: tuple[int, int], line: bytes) -> None:
    typed, heard = keyboard
    async with stand() as s:
        trial = await on_trial(s)
        mouth, said = talk()
        pressing = asyncio.create_task(press(typed, 2.0, line))
        assert not await keep_or_not(s.rig, NAME, trial, mouth, heard)
        await pressing
        assert asyncio.get_running_loop().time() < trial.until_s
        assert await requested(s) == STOCK
    assert "gone back to 525.00 MHz at 1.150 V: taken back" in said.getvalue()


async def test_the_end_of_the_input_takes_it_back_at_once() -> None:
    heard, typed = os.pipe()
    async with stand() as s:
        trial = await on_trial(s)
        os.close(typed)
        assert not await keep_or_not(s.rig, NAME, trial, talk()[0], heard)
        assert asyncio.get_running_loop().time() < trial.until_s
    os.close(heard)


async def test_without_a_terminal_the_rig_takes_it_back_when_the_time_is_over() -> None:
    async with stand() as s:
        trial = await on_trial(s)
        mouth, said = talk()
        assert not await keep_or_not(s.rig, NAME, trial, mouth, None)
        assert asyncio.get_running_loop().time() >= trial.until_s
        assert await requested(s) == STOCK
    assert "nobody can keep it" in said.getvalue()
    assert "not kept within 10 s" in said.getvalue()


async def test_an_interrupted_wait_takes_it_back_at_once(keyboard: tuple[int, int]) -> None:
    async with stand() as s:
        trial = await on_trial(s)
        waiting = asyncio.create_task(keep_or_not(s.rig, NAME, trial, talk()[0], keyboard[1]))
        await asyncio.sleep(3.0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [event.why for event in s.find(PointReverted)] == ["interrupted"]
        assert await requested(s) == STOCK


async def test_what_somebody_else_decides_ends_the_wait() -> None:
    async with stand() as s:
        trial = await on_trial(s)
        waiting = asyncio.create_task(keep_or_not(s.rig, NAME, trial, talk()[0], None))
        await asyncio.sleep(1.0)
        await s.rig.request(NAME, KeepPoint())
        assert await waiting
    async with stand() as s:
        trial = await on_trial(s)
        waiting = asyncio.create_task(keep_or_not(s.rig, NAME, trial, talk()[0], None))
        await asyncio.sleep(1.0)
        await s.rig.request(NAME, RevertPoint())
        assert not await waiting


async def test_a_board_that_goes_off_during_the_trial_keeps_nothing() -> None:
    async with stand() as s:
        trial = await on_trial(s)
        mouth, said = talk()
        waiting = asyncio.create_task(keep_or_not(s.rig, NAME, trial, mouth, None))
        await asyncio.sleep(1.0)
        await s.rig.request(NAME, PowerDown())
        assert not await waiting
    assert "the trial ended: safe_off" in said.getvalue()


async def test_a_rig_that_goes_away_during_the_trial_is_told_as_that(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    async with RecordedRig.open(tmp_path / "j") as gone:
        trial = PendingPoint(revert_to=STOCK, until_s=10.0, keep_within_s=10.0)
        waiting = asyncio.create_task(keep_or_not(gone, NAME, trial, talk()[0], None))
        await asyncio.sleep(1.0)
    with pytest.raises(Unplugged, match="went away during the trial"):
        await waiting


async def test_the_decisions_of_earlier_trials_are_not_taken_for_this_one_s() -> None:
    async with stand() as s:
        await on_trial(s)
        await s.rig.request(NAME, KeepPoint())
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=540.0, keep_within_s=10.0))
        trial = (await s.snapshot()).boards[0].pending
        assert trial is not None
        assert not await keep_or_not(s.rig, NAME, trial, talk()[0], None)
        assert (await requested(s)).frequency_mhz == 550.0


async def test_keeping_a_change_that_another_one_has_overtaken_is_refused(keyboard: tuple[int, int]) -> None:
    typed, heard = keyboard
    async with stand() as s:
        trial = await on_trial(s)
        waiting = asyncio.create_task(keep_or_not(s.rig, NAME, trial, talk()[0], heard))
        await asyncio.sleep(1.0)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=560.0, keep_within_s=60.0))
        os.write(typed, b"\n")
        with pytest.raises(Refused, match="another change is on trial"):
            await waiting


async def test_a_move_tells_where_the_board_is_once_its_trial_is_over() -> None:
    async with stand() as s:
        await s.power_up()
        moved = await move(s.rig, NAME, SetOperatingPoint(frequency_mhz=550.0), talk()[0])
        assert moved.kept is None
        assert moved.after is not None
        assert moved.after.point.requested.frequency_mhz == 550.0
        moved = await move(s.rig, NAME, SetOperatingPoint(frequency_mhz=560.0, keep_within_s=5.0), talk()[0])
        assert moved.kept is False
        assert moved.after is not None
        assert moved.after.point.requested.frequency_mhz == 550.0
        assert Moved(None).kept is None


@pytest.mark.parametrize("text", ["0.5", "3601", "0.5h2", "-1", "nan", "2h"])
def test_a_trial_out_of_range_is_refused_before_anything_is_asked(text: str) -> None:
    with pytest.raises(UsageError, match="--keep-within"):
        parse_keep_within(text)


def test_the_time_of_a_trial_is_seconds_when_bare() -> None:
    assert parse_keep_within(None) is None
    assert parse_keep_within("10") == 10.0
    assert parse_keep_within("1h") == 3600.0


def test_a_note_that_is_too_long_is_refused() -> None:
    assert checked_note("x" * 500)
    with pytest.raises(UsageError, match=r"--note: .* at most 500 characters"):
        checked_note("x" * 501)


def test_only_a_terminal_has_a_person_and_what_was_typed_before_the_question_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("\n")
    with (tmp_path / "lines").open() as file:
        assert person(file) is None
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as terminal:
        os.write(master, b"\n")
        assert person(terminal) == terminal.fileno()
        os.set_blocking(terminal.fileno(), False)
        with pytest.raises(BlockingIOError):
            os.read(terminal.fileno(), 10)
    os.close(master)
