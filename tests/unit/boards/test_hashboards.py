"""The rows of the bare hash boards: against captured words, and against the emulator's own."""

from __future__ import annotations

import pytest

from drivers.asics import ASICS
from drivers.asics.partition import Partition
from drivers.asics.survey import MOST_CHIPS
from drivers.boards.hashboards import HASHBOARDS, known_hashboard
from drivers.errors import UnknownPart
from emulator.benches.hashboard import HASHBOARDS as BENCHES
from emulator.benches.hashboard import HashBoard
from tests.vectors import rows


@pytest.mark.parametrize("name", sorted(HASHBOARDS))
def test_a_row_fits_a_line_and_the_emulated_board(name: str) -> None:
    kind, bench = HASHBOARDS[name], BENCHES[name]
    assert kind.chip in ASICS
    assert kind.chips <= MOST_CHIPS
    assert kind.domains * kind.domain_chips == kind.chips
    assert bench.chips == ((kind.chip, kind.chips),)
    assert bench.domain_chips == kind.domain_chips
    assert len(HashBoard(bench).chips) == kind.chips


def test_both_tables_have_the_same_boards() -> None:
    assert set(HASHBOARDS) == set(BENCHES)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("antminer-s19-xp", 0x7C, 0x18), ("antminer-s21-xp", 0x69, 0x15), ("antminer-s21-pro", 0x4F, 0x13)],
)
def test_domains_make_the_captured_gaps_of_the_relays(name: str, first: int, last: int) -> None:
    """Register 2C of the first and the last domain: chips a domain x domains that are left + 14."""
    kind = HASHBOARDS[name]
    gaps = [kind.domain_chips * (kind.domains - domain) + 14 for domain in range(kind.domains)]
    assert (gaps[0], gaps[-1]) == (first, last)


@pytest.mark.parametrize(("name", "end"), [("antminer-s19-xp", "DA"), ("antminer-s21-xp", "B4")])
def test_the_last_chip_has_the_address_of_the_last_domain_end_in_the_capture(name: str, end: str) -> None:
    kind = HASHBOARDS[name]
    assert Partition(ASICS[kind.chip], kind.chips).address(kind.chips - 1) == int(end, 16)
    assert any(f"domain end {end}" in row["meaning"] for row in rows("bm13xx"))


def test_a_chip_belongs_to_the_domain_that_has_it() -> None:
    board = HASHBOARDS["antminer-s21-xp"]
    assert [board.domain_of(at) for at in (0, 6, 7, 90)] == [0, 0, 1, 12]
    assert list(board.in_domain(12)) == list(range(84, 91))


def test_what_no_capture_shows_is_marked() -> None:
    assert {name for name, kind in HASHBOARDS.items() if kind.doubt} == {
        "antminer-s19j-pro", "antminer-s19k-pro", "antminer-s21"
    }  # fmt: skip


def test_a_board_that_is_not_known_is_told_what_is() -> None:
    with pytest.raises(UnknownPart, match=r"--board: 'antminer-s9' is not allowed; allowed: one of antminer-s19-xp, "):
        known_hashboard("antminer-s9", "--board")


def test_an_emulated_board_breaks_where_it_has_chips_and_in_one_way() -> None:
    model = BENCHES["antminer-s21-pro"]
    for broken in ({"dead_chip": 65}, {"dead_domain": 13}, {"silent_chips": [-1]}):
        with pytest.raises(ValueError, match="of 65"):
            HashBoard(model, **broken)
    with pytest.raises(ValueError, match="not both"):
        HashBoard(model, dead_chip=1, dead_domain=1)
