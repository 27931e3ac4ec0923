"""The table of protections of docs/safety.md says what the rows and the trips say."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.model import Channel
from controller.safety.trips import Trips
from drivers.boards import BOARDS
from tests.protections import PART, table

PAGE = Path(__file__).parents[2] / "docs" / "safety.md"


def test_the_page_is_fresh() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert PART.put(page) == page, "run: make protections"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_every_level_and_every_own_limit_of_a_board_is_in_its_table(name: str) -> None:
    kind = BOARDS[name]
    text = "\n".join(table(kind))
    measured = [level for level in Trips(kind.envelope).levels if level.channel is not Channel.INPUT_W]
    assert len(measured) > (8 if kind.envelope.means.sees(Channel.VR_C) else 5)
    for level in measured:
        assert f"{level.limit:g} {level.unit}" in text or f"{level.limit:.3f} {level.unit}" in text
    assert bool(kind.own_limits) is kind.envelope.means.sees(Channel.CORE_A)
    for own in kind.own_limits.values():
        assert own in text


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no <!--"):
        PART.put("# Safety\n")
    assert PART.put(f"a\n{PART.block()}\nb\n") == f"a\n{PART.block()}\nb\n"
