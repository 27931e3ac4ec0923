"""What `hashbridge status` says: of protections, those that are there and those that are not; of several boards."""

from __future__ import annotations

import pytest

from controller.cli.live import known_name
from controller.cli.status import board_text, boards_text, only
from controller.model import ChainSnapshot, ChipSnapshot, GuardState, Snapshot
from drivers.boards.board import Protection
from drivers.errors import UsageError
from tests.unit.cli.fakes import ZERO, board_snapshot, work_snapshot


def chain_of(chips: tuple[ChipSnapshot, ...]) -> ChainSnapshot:
    return ChainSnapshot(
        chip="BM1366", chips=chips, expected_chips=len(chips), frequency_mhz=485.0, expected_hs=0.0,
        ticket_difficulty=1, jobs=0, nonces=0, verified=0, hw_errors=0, duplicates=0, stale=0, link_errors=0,
    )  # fmt: skip


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


def test_a_chip_with_a_cap_has_a_line_with_the_clock_that_it_was_told_and_that_it_reads() -> None:
    chip = ChipSnapshot(index=0, address=0, chip_id=0x1366, finds=0, hw_errors=0)
    chips = tuple(
        chip.model_copy(update={"index": at, "frequency_mhz": told, "read_mhz": read, "read_at_s": 0.0})
        for at, (told, read) in enumerate([(485.0, 485.0), (450.0, 450.0), (475.0, None)])
    )
    live = board_snapshot(chains=(chain_of(chips),), caps_mhz={2: 475.0, 1: 450.0})
    assert [one.split(maxsplit=1)[1] for one in board_text(live).splitlines() if one.startswith("cap ")] == [
        "chip 1 at 450 MHz at most, now 450.00 MHz, reads 450.00 MHz",
        "chip 2 at 475 MHz at most, now 475.00 MHz",
    ]
    off = board_snapshot(caps_mhz={5: 450.0})
    assert line(board_text(off), "cap") == "chip 5 at 450 MHz at most, from the next power-up on"
