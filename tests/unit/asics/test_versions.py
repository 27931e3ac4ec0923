"""Versions under a mask: counted up inside it, and as many as a job has room for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.asics import ASICS
from drivers.asics.versions import ROLLED_VERSION_BITS, check_mask, midstates_of, rolled
from drivers.errors import UsageError

BM1397 = ASICS["BM1397"]


@pytest.mark.parametrize(
    ("version", "mask", "wanted"),
    [
        (0x2000_0000, 0x1FFF_E000, (0x2000_0000, 0x2000_2000, 0x2000_4000, 0x2000_6000)),
        (0x2000_6000, 0x0000_6000, (0x2000_6000, 0x2000_0000, 0x2000_2000, 0x2000_4000)),  # ESP-Miner: 20010000
        (0x2000_2000, 0x0080_2000, (0x2000_2000, 0x2080_0000, 0x2080_2000, 0x2000_0000)),  # ESP-Miner: 20008000
        (0x3FFF_E000, 0x1FFF_E000, (0x3FFF_E000, 0x2000_0000, 0x2000_2000, 0x2000_4000)),
        (0x2000_E000, 0x1000_0000, (0x2000_E000, 0x3000_E000)),
        (0x2000_E000, 0x0000_0000, (0x2000_E000,)),
    ],
)
def test_the_version_is_counted_up_inside_the_mask_and_wraps_inside_it(
    version: int, mask: int, wanted: tuple[int, ...]
) -> None:
    assert rolled(version, mask, midstates_of(BM1397, mask)) == wanted


@given(version=st.integers(0, 0xFFFF_FFFF), mask=st.integers(0, 0xFFFF).map(lambda field: field << 13))
def test_the_first_is_the_jobs_own_all_differ_and_nothing_outside_the_mask_moves(version: int, mask: int) -> None:
    versions = rolled(version, mask, midstates_of(BM1397, mask))
    assert versions[0] == version
    assert len(set(versions)) == len(versions) == min(4, 2 ** bin(mask).count("1"))
    assert {each & ~mask for each in versions} == {version & ~mask}


@pytest.mark.parametrize("mask", [0x0000_1000, 0x2000_0000, 0xFFFF_FFFF, -1])
@pytest.mark.parametrize("chip", ["BM1397", "BM1370"])
def test_bits_that_nobody_may_roll_are_refused(chip: str, mask: int) -> None:
    with pytest.raises(UsageError, match=r"version_mask: .* is not allowed; allowed: bits of 1fffe000"):
        check_mask(ASICS[chip], mask)


@pytest.mark.parametrize("chip", sorted(ASICS))
@pytest.mark.parametrize("mask", [0, 0x0000_2000, 0x0FFF_E000])
def test_a_chip_that_rolls_by_itself_takes_the_full_mask_alone(chip: str, mask: int) -> None:
    check_mask(ASICS[chip], ROLLED_VERSION_BITS)
    if ASICS[chip].midstates:
        check_mask(ASICS[chip], mask)
    else:
        with pytest.raises(UsageError, match=f"1fffe000 alone: what a {chip} makes of fewer bits"):
            check_mask(ASICS[chip], mask)
