"""What `hashbridge status` says of protections: those that are there, and those that are not."""

from __future__ import annotations

from controller.cli.status import board_text
from drivers.boards.board import Protection
from tests.unit.cli.fakes import board_snapshot


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
