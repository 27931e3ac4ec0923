"""The recorded run tells its whole story, and tells it the same way each time."""

from __future__ import annotations

from pathlib import Path

from controller.model import (
    BoardAttached,
    CommandRefused,
    FaultLatched,
    PointKept,
    PointPending,
    PointReverted,
    Remark,
    SafeOffDone,
    WorkStarted,
)
from tests.tui.recorded import Run, record

STORY = [
    BoardAttached,
    WorkStarted,
    Remark,
    CommandRefused,
    PointPending,
    PointKept,
    PointPending,
    PointReverted,
    WorkStarted,
    WorkStarted,
    FaultLatched,
    SafeOffDone,
]


def test_the_recorded_run_holds_every_part_of_its_story_in_order(run: Run) -> None:
    told = iter(run.items.events)
    for wanted in STORY:
        assert any(isinstance(event, wanted) for event in told), f"no {wanted.__name__} at its place"
    assert not run.items.truncated
    assert 120.0 <= run.open(0.0).duration_s <= 200.0


def test_two_recordings_of_the_story_are_equal(run: Run, tmp_path: Path) -> None:
    assert Run.read(record(tmp_path / "again.jsonl")).items == run.items
