"""A command line of the screens is understood, or refused, before a port is touched or the terminal changed."""

from __future__ import annotations

import io
from argparse import ArgumentParser

import pytest

from controller.cli import tui as tui_verb
from controller.cli.exits import Exit
from controller.cli.talk import Talk
from controller.cli.tui import Wish, understand, verdict
from controller.model import Cause, FaultRecord, GuardState, Snapshot
from controller.tui.store import RigStore
from drivers.errors import UsageError
from tests.unit.cli.fakes import BOARD, CONFIRMED, ZERO, board_snapshot


def _wish(*line: str) -> Wish:
    parser = ArgumentParser()
    tui_verb.add_arguments(parser)
    return understand(parser.parse_args(list(line)))


def test_several_boards_are_asked_for_as_of_run() -> None:
    assert [where.emulate for where in _wish("--emulate", "bitaxe-gamma*2", "--emulate", "bitaxe-hex").wheres] == [
        "bitaxe-gamma",
        "bitaxe-gamma",
        "bitaxe-hex",
    ]
    ports = _wish("--port", "/dev/a", "--port", "/dev/b", "--board", "bitaxe-gt").wheres
    assert [(where.port, where.board) for where in ports] == [("/dev/a", "bitaxe-gt"), ("/dev/b", "bitaxe-gt")]
    assert _wish().wheres == ()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--emulate", "toaster"], "one of bitaxe-gamma"),
        (["--emulate", "bitaxe-gamma*33"], r"NAME\*1 to NAME\*32"),
        (["--board", "a", "--board", "b"], "one of them: the board to look at first"),
        (["--start"], "only with --emulate or --port"),
        (["--rig", "1", "--seed", "3"], "only with --emulate or --port"),
    ],
)
def test_what_can_never_be_right_is_refused(line: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _wish(*line)


LEFT, RIGHT = BOARD, f"{BOARD}-2"


def _verdict(lost: bool, *, latched: bool = False, confirmed: bool = True) -> tuple[Exit, str]:
    store = RigStore(lambda: 0.0)
    fault = FaultRecord(cause=Cause.FAN, sensor="fan_rpm", detail="0 rpm", at_s=1.0, at_utc=ZERO)
    ill = board_snapshot(board=RIGHT, state=GuardState.LATCHED, latched=fault) if latched else board_snapshot()
    store.take_snapshot(Snapshot(at_s=0.0, at_utc=ZERO, boards=(board_snapshot(), ill)))
    said = io.StringIO()
    records = {LEFT: CONFIRMED, RIGHT: CONFIRMED if confirmed else None}
    code = verdict(store, lost, records, Talk(quiet=False, stream=said))
    return code, said.getvalue()


def test_each_board_that_was_started_here_is_told_of_and_the_gravest_decides() -> None:
    code, said = _verdict(lost=False)
    assert code is Exit.OK
    assert f"{LEFT}: safe-off confirmed by rig" in said
    assert f"{RIGHT}: safe-off confirmed by rig" in said
    code, said = _verdict(lost=False, latched=True)
    assert code is Exit.TRIPPED
    assert f"{RIGHT}: latched by fan: 0 rpm" in said
    assert _verdict(lost=True, latched=True)[0] is Exit.LINK
    code, said = _verdict(lost=True, latched=True, confirmed=False)
    assert code is Exit.FAILED
    assert f"{RIGHT}: the safe-off could NOT be confirmed by read-back: CUT THE BOARD'S SUPPLY" in said
