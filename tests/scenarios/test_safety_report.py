"""Each row of the safety report holds: the cause is named, and the board safe within its budget."""

from __future__ import annotations

import pytest

from drivers.boards import BOARDS
from tests.campaign.subject import subject_of
from tests.safety_report import ROWS, Row, all_rows, not_here, rows_of, run


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
async def test_the_board_is_safe_in_time_and_the_cause_is_named(row: Row) -> None:
    outcome = await run(row)
    assert outcome.held, outcome


@pytest.mark.parametrize(
    ("board", "number"),
    [
        ("bitaxe-ultra-205", "5a"),  # the rail stays where it is: reset alone
        ("bitaxe-ultra-205", "5e"),
        ("bitaxe-hex", "1d"),  # a thermometer of two
        ("emberone00", "5d"),
    ],
)
async def test_so_it_is_on_boards_of_other_kinds(board: str, number: str) -> None:
    (row,) = (row for row in rows_of(board) if row.number == number)
    outcome = await run(row, board)
    assert outcome.held, outcome


@pytest.mark.parametrize("board", sorted(BOARDS))
def test_a_row_that_does_not_apply_says_why(board: str) -> None:
    about = subject_of(board)
    left_out = not_here(about)
    assert [row.number for row in all_rows(about)] == [row.number for row in ROWS]
    assert {row.number for row in rows_of(board)} | set(left_out) == {row.number for row in ROWS}
    assert not {row.number for row in rows_of(board)} & set(left_out)
    assert all(left_out.values())
