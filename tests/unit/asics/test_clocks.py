"""Clocks of a chain: by which steps they get where, chips together or apart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.asics import ASICS, pll
from drivers.asics.clocks import SLEW_STEP_MHZ, Clocks, Told
from drivers.errors import UsageError

CHIPS = 4
clocks_mhz = st.sampled_from([50.0, 56.25, 100.0, 137.5, 150.3, 200.0, 400.0])


def at(name: str, mhz: float) -> Clocks:
    kind = ASICS[name]
    clocks = Clocks(kind, CHIPS)
    clocks.took(Told(mhz, pll.nearest(mhz, kind.pll_rule, kind.pll_shape)))
    return clocks


def carry_out(clocks: Clocks, common: float, own: dict[int, float]) -> list[list[float]]:
    """What every chip was told, round by round."""
    seen = []
    while moves := clocks.moves(common, own):
        for chip, mhz in moves:
            clocks.took(clocks.step(mhz, chip), chip)
        seen.append([told.asked_mhz for told in clocks._told if told is not None])
        assert len(seen) < 200
    clocks.settle(common)
    return seen


@pytest.mark.parametrize("name", ["BM1397", "BM1370"])
@settings(max_examples=60, deadline=None)
@given(
    start=clocks_mhz,
    first=clocks_mhz,
    then=clocks_mhz,
    own=st.dictionaries(st.integers(0, CHIPS - 1), clocks_mhz),
    later=st.dictionaries(st.integers(0, CHIPS - 1), clocks_mhz),
)
def test_no_chip_jumps_or_leaves_the_span_between_its_clock_and_where_it_goes(
    name: str, start: float, first: float, then: float, own: dict[int, float], later: dict[int, float]
) -> None:
    clocks = at(name, start)
    before = [start] * CHIPS
    for common, apart in ((first, own), (then, later), (start, {})):
        goals = [apart.get(chip, common) for chip in range(CHIPS)]
        for told in (rounds := carry_out(clocks, common, apart)):
            for was, now, goal in zip(before, told, goals, strict=True):
                assert abs(now - was) <= SLEW_STEP_MHZ + 1e-9
                assert min(was, goal) - 1e-9 <= now <= max(was, goal) + 1e-9
            before = told
        assert before == goals or not rounds
        wanted = {chip for chip, mhz in apart.items() if mhz != common}
        if len(wanted) < CHIPS:
            assert set(clocks.own) == wanted
    assert clocks.moves(start, {}) == []
    assert not clocks.own


def test_chips_that_go_together_are_told_by_one_write_and_apart_each_by_its_own() -> None:
    clocks = at("BM1370", 100.0)
    assert clocks.moves(200.0, {}) == [(None, 106.25)]
    assert clocks.moves(100.0, {2: 120.0}) == [(2, 106.25)]
    assert clocks.moves(200.0, {2: 90.0}) == [(0, 106.25), (1, 106.25), (2, 93.75), (3, 106.25)]
    clocks.took(clocks.step(106.25, 2), 2)
    assert clocks.moves(106.25, {}) == [(0, 106.25), (1, 106.25), (3, 106.25)]
    assert clocks.sum_mhz == 3 * 100.0 + 106.25


def test_a_write_to_all_that_would_make_one_of_them_jump_names_it() -> None:
    clocks = at("BM1370", 100.0)
    for mhz in (106.25, 112.5):
        clocks.took(clocks.step(mhz, 3), 3)
    with pytest.raises(UsageError, match=r"at most 6\.25 MHz from the present 112\.5 MHz of chip 3"):
        clocks.step(100.0)
    clocks.took(clocks.step(106.25))
    assert (clocks.own, clocks.sum_mhz) == ({}, 4 * 106.25)


def test_before_a_first_clock_of_all_no_chip_gets_one_of_its_own() -> None:
    """A BM1397 divides by eight until then."""
    clocks = at("BM1397", 50.0)
    clocks.divider = 8
    with pytest.raises(UsageError, match="none before a first clock was written to all"):
        clocks.step(56.25, 1)
    clocks.forget()
    for chip in (None, 1):
        clocks.divider = 1
        with pytest.raises(UsageError, match="nothing before the chips are initialised"):
            clocks.step(56.25, chip)
