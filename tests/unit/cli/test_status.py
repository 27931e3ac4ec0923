"""What `hashbridge status` says: of protections, those that are there and those that are not; of several boards."""

from __future__ import annotations

import pytest

from controller.cli.live import known_name
from controller.cli.status import board_text, boards_text, only
from controller.model import GuardState, Snapshot
from drivers.boards.board import Protection
from drivers.errors import UsageError
from tests.unit.cli.fakes import ZERO, board_snapshot, work_snapshot


def line(text: str, name: str) -> str:
    (found,) = [one for one in text.splitlines() if one.startswith(f"{name}  ")]
    return found.removeprefix(name).strip()


def test_a_protection_is_named_on_one_side_or_the_other() -> None:
    text = board_text(board_snapshot())
    assert line(text, "protected by") == "regulator_limits, sentinel"
    assert line(text, "not protected by") == "software_trips, fan_table, host_lease"


def test_a_host_lease_changes_sides_while_it_is_held() -> None:
    text = board_text(board_snapshot(protections=frozenset(Protection)))
    assert "host_lease" in line(text, "protected by")
    assert line(text, "not protected by") == "-"


def test_a_board_that_nothing_guards_says_so() -> None:
    assert line(board_text(board_snapshot(protections=frozenset())), "protected by") == "NOTHING"


SEVERAL = Snapshot(
    at_s=0.0,
    at_utc=ZERO,
    boards=(
        board_snapshot(board="left", work=work_snapshot(remarks=("chip 1 is silent: none of 8 known answers",))),
        board_snapshot(board="right\x1b[2J", state=GuardState.SAFE_OFF),
    ),
)


def test_several_boards_get_a_line_each_and_what_is_wrong_below() -> None:
    assert boards_text(SEVERAL).splitlines() == [
        "board      state     clock       core     die     power   work",
        "left       live      525.00 MHz  1.125 V  58.2 C  16.9 W  yield 1.000",
        "right␛[2J  safe_off  525.00 MHz  1.125 V  58.2 C  16.9 W  —",
        "left: chip 1 is silent: none of 8 known answers",
        "2 boards: 1 live, 1 safe_off",
    ]


def test_one_of_several_is_chosen_by_name() -> None:
    assert only(SEVERAL, None) is SEVERAL
    assert [board.board for board in only(SEVERAL, "left").boards] == ["left"]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (None, "--board is missing; needed"),
        ("middle", "--board: 'middle' is not allowed; allowed"),
        ("", "--board: '' is not allowed; allowed"),
    ],
)
def test_a_board_that_is_not_clear_is_one_error_with_all_the_names(wanted: str | None, says: str) -> None:
    with pytest.raises(UsageError, match=f"^{says}: one of left, right, the boards"):
        known_name(wanted, ["left", "right"])
