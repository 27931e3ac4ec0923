"""The badges of the board screen: one for each protection there is, ticked while the board has it, else crossed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from controller.model import Protection
from controller.tui.widgets.facts import Protections
from controller.tui.words import PROTECTIONS
from tests.tui.telling import board


def badges(held: frozenset[Protection], *, heard: bool = True) -> list[str]:
    desk = SimpleNamespace(
        board=board(0.0, protections=held),
        info=SimpleNamespace(unswitchable=()),
        store=SimpleNamespace(line=SimpleNamespace(up=heard)),
    )
    lines = Protections(cast(Any, desk)).lines(40, 10)
    return ["".join(text for text, _ in line) for line in lines]


@pytest.mark.parametrize("held", [frozenset(), frozenset({Protection.HOST_LEASE}), frozenset(Protection)])
def test_every_protection_has_its_badge_all_the_time(held: frozenset[Protection]) -> None:
    assert badges(held) == [f"{'✓' if one in held else '✗'} {PROTECTIONS[one]}" for one in Protection]


def test_of_a_rig_that_is_not_heard_nothing_is_claimed() -> None:
    assert all(badge.startswith("?") for badge in badges(frozenset(Protection), heard=False))
