"""Each row of the safety report holds: the cause is named, and the board safe within its budget."""

from __future__ import annotations

import pytest

from tests.safety_report import ROWS, Row, run


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
async def test_the_board_is_safe_in_time_and_the_cause_is_named(row: Row) -> None:
    outcome = await run(row)
    assert outcome.held, outcome
