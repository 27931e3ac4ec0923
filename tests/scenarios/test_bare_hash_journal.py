"""What a spell on a bare line leaves on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from controller.journal import Journal, read_journal
from controller.journal import Recording as Recorded
from controller.model import (
    BareHashAccepted,
    Cause,
    ChipsStopped,
    FaultLatched,
    GuardState,
    Note,
    StepApplied,
    WorkStopped,
)
from tests.scenarios.bare_line import Spell


def kinds(recorded: Recorded) -> list[str]:
    """Of the events, without those of the ramp."""
    return [each.kind for each in recorded.events if not (isinstance(each, StepApplied) and each.step == "frequency")]


async def test_the_journal_has_what_was_accepted_every_step_the_counts_and_the_stop(tmp_path: Path) -> None:
    s = Spell(mhz=100.0, seconds=10.0, journal=Journal(tmp_path / "run"))
    outcome = await s.run()
    recorded = read_journal(tmp_path / "run")
    assert (recorded.boards, recorded.truncated) == ((), False)
    steps = ["step_applied"] * 5  # enumerate, initialise, sweep window, fast link, ticket
    assert kinds(recorded) == ["bare_hash_accepted", *steps, "work_started", "work_stopped", "chips_stopped"]
    accepted, *_, ended, stopped = recorded.events
    assert isinstance(accepted, BareHashAccepted)
    assert (accepted.supply, accepted.port, accepted.chip, accepted.chips) == ("bench supply", None, "BM1362", 12)
    assert (accepted.frequency_mhz, accepted.seconds, accepted.watched) == (100.0, 10.0, False)
    ramp = [each.detail for each in recorded.events if isinstance(each, StepApplied) and each.step == "frequency"]
    assert (ramp[0], ramp[-1], len(ramp)) == ("50.00 MHz", "100.00 MHz", 9)
    assert isinstance(ended, WorkStopped)
    assert ended.result == outcome.work
    assert isinstance(stopped, ChipsStopped)
    assert (stopped.confirmed, stopped.by) == (True, "this process")
    assert stopped.detail == "12 chips read back: register 10 at 0, clock at 50 MHz"
    boards = [snapshot.boards[0] for snapshot in recorded.snapshots]
    assert {board.state for board in boards} == {GuardState.UNPROTECTED}
    counted = [board.work.verified for board in boards if board.work is not None]
    assert counted == sorted(counted)
    assert outcome.work is not None
    assert counted[-1] == outcome.work.verified
    assert len(boards) >= recorded.snapshots[-1].at_s - recorded.snapshots[0].at_s
    assert all(len(board.chains[0].chips) == 12 for board in boards if board.work is not None)


async def test_the_journal_tells_a_trip_and_a_stop_that_not_every_chip_has_confirmed(tmp_path: Path) -> None:
    s = Spell(journal=Journal(tmp_path / "run"))
    s.after(3.0, lambda: s.bench.cut(7, s.now_s()))
    outcome = await s.run()
    recorded = read_journal(tmp_path / "run")
    assert kinds(recorded)[-3:] == ["fault_latched", "work_stopped", "chips_stopped"]
    fault, _, stopped = recorded.events[-3:]
    assert isinstance(fault, FaultLatched)
    assert outcome.trip is not None
    assert (fault.cause, fault.detail, fault.at_s) == (Cause.CHIP_SILENT, outcome.trip.detail, outcome.trip.at_s)
    assert recorded.snapshots[-1].boards[0].latched == outcome.trip
    assert isinstance(stopped, ChipsStopped)
    assert (stopped.confirmed, stopped.by) == (False, "nobody")


async def test_the_journal_tells_a_lost_port_an_interrupt_and_what_kept_a_line_from_starting(tmp_path: Path) -> None:
    s = Spell(journal=Journal(tmp_path / "lost"))
    s.after(3.0, s.wire.hang_up)
    await s.run()
    assert kinds(read_journal(tmp_path / "lost"))[-4:] == [
        "board_lost", "fault_latched", "work_stopped", "chips_stopped",
    ]  # fmt: skip
    s = Spell(seconds=600.0, journal=Journal(tmp_path / "interrupted"))
    s.after(1.0, s.hash.interrupt)
    await s.run()
    note, _, stopped = read_journal(tmp_path / "interrupted").events[-3:]
    assert isinstance(note, Note)
    assert note.text == "interrupted by a person"
    assert isinstance(stopped, ChipsStopped)
    assert stopped.confirmed
    s = Spell(chips=11, expected=12, journal=Journal(tmp_path / "short"))
    await s.run()
    note, stopped = read_journal(tmp_path / "short").events[-2:]
    assert isinstance(note, Note)
    assert (note.level, "chip 11, counted from 0" in note.text) == ("error", True)
    assert isinstance(stopped, ChipsStopped)
    assert (stopped.confirmed, stopped.detail) == (True, "no chip was started")


@pytest.fixture
def full_disk() -> Iterator[IO[str]]:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        yield full


async def test_a_full_disk_ends_the_journal_and_nothing_else(tmp_path: Path, full_disk: IO[str]) -> None:
    journal = Journal(tmp_path / "run")
    s = Spell(mhz=100.0, seconds=10.0, journal=journal)
    s.after(2.0, lambda: setattr(journal, "_file", full_disk))
    outcome = await s.run()
    assert journal.broken is not None
    assert "No space left" in journal.broken
    assert (outcome.trip, outcome.failure, outcome.stopped) == (None, None, True)
    assert s.still
