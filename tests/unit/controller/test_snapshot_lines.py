"""A snapshot of several boards, as one line and as a line of each."""

from __future__ import annotations

import json

from controller.journal import SnapshotLines, snapshot_line
from controller.model import Snapshot
from tests.unit.controller.guarding import Scene


def several() -> Snapshot:
    boards = tuple(Scene().live().now().model_copy(update={"board": name}) for name in ("a", "b", "c[]"))
    return Snapshot(at_s=boards[0].at_s, at_utc=boards[0].at_utc, boards=boards)


def test_the_whole_is_what_a_journal_writes() -> None:
    snapshot = several()
    assert SnapshotLines(snapshot).whole() == snapshot_line(snapshot)
    bare = snapshot.model_copy(update={"boards": ()})
    assert SnapshotLines(bare).whole() == snapshot_line(bare)


def test_each_board_reads_as_if_it_were_alone() -> None:
    snapshot = several()
    for board in snapshot.boards:
        alone = Snapshot.model_validate(json.loads(SnapshotLines(snapshot).of(board.board))["snapshot"])
        assert alone == snapshot.model_copy(update={"boards": (board,)})
