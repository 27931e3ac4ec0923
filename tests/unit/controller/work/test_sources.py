"""Which headers are good for known answers, and how they are drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from controller.work.sources import (
    PatternSource,
    SyntheticSource,
    check_headers,
    load_headers,
    shipped_headers,
)
from drivers.asics import ASICS
from drivers.asics.partition import Partition
from drivers.errors import UsageError

BM1370 = Partition(ASICS["BM1370"], 1).owner
GENESIS = shipped_headers()[:80]


def test_the_shipped_headers_are_8000_solved_ones() -> None:
    data = shipped_headers()
    assert len(data) == 8000 * 80
    check_headers(data, "shipped")


def test_the_core_of_a_nonce_is_its_top_bits_most_significant_byte_first() -> None:
    assert GENESIS[76:80].hex() == "1dac2b7c"
    assert BM1370(GENESIS[76:80]) == (0, 0x1D >> 1)


def test_most_shipped_nonces_lie_in_the_first_quarter_of_the_cores() -> None:
    data = shipped_headers()
    owners = [BM1370(data[start + 76 : start + 80]) for start in range(0, len(data), 80)]
    assert sum(owner is not None and owner[1] < 32 for owner in owners) / len(owners) == pytest.approx(0.83, abs=0.01)


@pytest.mark.parametrize(
    ("chip", "cores", "share"), [("BM1366", 112, 0.028), ("BM1368", 80, 0.086), ("BM1397", 168, 0.079)]
)
def test_nonces_beyond_the_last_core_are_not_asked_for(chip: str, cores: int, share: float) -> None:
    source = PatternSource(shipped_headers(), Partition(ASICS[chip], 1).owner, seed=1)
    assert source.unreachable / 8000 == pytest.approx(share, abs=0.003)
    assert all(source.draw().core < cores for _ in range(2000))


def test_a_chain_is_asked_evenly_too_and_never_for_what_lies_in_nobodys_share() -> None:
    source = PatternSource(shipped_headers(), Partition(ASICS["BM1366"], 6).owner, seed=1)
    drawn = [source.draw() for _ in range(2400)]
    assert Counter((solved.chip, solved.core % 4) for solved in drawn) == {
        (chip, domain): 100 for chip in range(6) for domain in range(4)
    }
    assert source.unreachable / 8000 == pytest.approx(0.028 + 0.972 * 0.25, abs=0.01)  # two of eight addresses are free


def test_headers_are_drawn_evenly_over_the_domains_without_repeats_and_by_seed() -> None:
    drawn = [PatternSource(shipped_headers(), BM1370, seed=7).draw() for _ in range(1)]
    source = PatternSource(shipped_headers(), BM1370, seed=7)
    first = [source.draw() for _ in range(800)]
    assert first[0] == drawn[0]
    assert Counter(solved.core % 4 for solved in first) == dict.fromkeys(range(4), 200)
    assert len({solved.header for solved in first}) == 800
    other = PatternSource(shipped_headers(), BM1370, seed=8)
    assert [other.draw() for _ in range(800)] != first


def test_a_file_with_few_headers_is_drawn_again_and_again() -> None:
    source = PatternSource(GENESIS, BM1370, seed=1)
    assert {source.draw().header for _ in range(10)} == {GENESIS}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes"),
        (GENESIS + b"x", "81 bytes"),
        (GENESIS + bytes(80), "record 1"),
        (GENESIS * 3 + (0x20002000).to_bytes(4, "little") + GENESIS[4:], "record 3, version 0x20002000"),
    ],
)
def test_a_file_that_will_not_do_is_refused_by_record(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "headers.bin"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=why):
        load_headers(path)


def test_a_file_that_is_not_there_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_headers(tmp_path / "none")


def test_synthetic_headers_leave_the_rolled_bits_clear_and_never_repeat() -> None:
    source = SyntheticSource(seed=3)
    headers = [source.draw() for _ in range(500)]
    assert {len(header) for header in headers} == {80}
    assert {header[:4] for header in headers} == {bytes.fromhex("00000020")}
    assert len(set(headers)) == 500
    assert SyntheticSource(seed=3).draw() == headers[0]
