"""The table of supported devices of README.md says what the rows say."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.boards import BOARDS
from tests.devices import PART, captured, line

PAGE = Path(__file__).parents[2] / "README.md"


def test_the_page_is_fresh() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert PART.put(page) == page, "run: make devices"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_line_says_name_chips_parts_and_what_was_proven(name: str) -> None:
    kind, text = BOARDS[name], line(BOARDS[name])
    assert kind.parts
    for word in (f"`{name}`", kind.chip, *kind.parts, f"{captured(kind.chip)} of the"):
        assert word in text
    assert text.endswith("| nothing yet |") == (kind.on_hardware is None)


def test_only_what_was_recorded_of_this_very_chip_counts_as_captured() -> None:
    assert captured("BM1370") > captured("BM1366") > captured("BM1368") == 0
    assert captured("BM1366/BM1368") == 0
