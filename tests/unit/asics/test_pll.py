"""PLL words: every published word of the rules we have, and no clock that the PLL cannot make."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import pytest

from drivers.asics import ASICS, AsicKind, pll
from drivers.asics.bm1397 import BM1397
from drivers.asics.pll import Rule
from drivers.errors import UsageError
from tests.vectors import frame, params, rows

RULES = {"R-STOCK": Rule.STOCK, "R-ESP": Rule.ESP, "R-OLD": Rule.OLD}
ELSEWHERE = {"R-FW", "R-GEK97"}
"""Rules of other firmware that we do not carry."""
MEANING = re.compile(r"(?P<rule>R-\w+) (?:ramp step )?(?P<mhz>[\d.]+)(?: MHz)?(?:, actual (?P<actual>[\d.]+))?")


def shape_of(chip: str) -> pll.PllShape:
    if chip == "BM1397":
        return pll.BM1397
    return pll.BM1366 if chip in ("BM1366", "BM1366/BM1368") else pll.BM1370


def solvable() -> list[dict[str, Any]]:
    found = []
    for row in rows("bm13xx", "pll", "pll-ramp"):
        rule = MEANING.match(row["meaning"])
        assert rule, row
        assert rule["rule"] in RULES or rule["rule"] in ELSEWHERE
        if rule["rule"] in RULES:
            found.append(row)
    return found


@pytest.mark.parametrize("row", params(solvable()))
def test_each_rule_makes_the_published_word(row: dict[str, Any]) -> None:
    meant = MEANING.match(row["meaning"])
    assert meant
    found = pll.solve(float(meant["mhz"]), RULES[meant["rule"]], shape_of(row["chip"]))
    assert found.wire == frame(row)
    if meant["actual"]:
        assert found.actual_mhz == pytest.approx(float(meant["actual"]), abs=1e-4)


@pytest.mark.parametrize("row", params(rows("bm13xx", "pll-captured")))
def test_a_captured_word_decodes_to_the_clock_that_the_source_names(row: dict[str, Any]) -> None:
    word = int.from_bytes(frame(row), "big")
    meant = re.search(r"([\d.]+) MHz", row["meaning"])
    assert meant
    post = 8 if "(7+1)" in row["meaning"] else 1
    wanted = 50.0 if "reset value" in row["meaning"] else float(meant[1])
    assert pll.clock_mhz(word, shape_of(row["chip"]), post_divider=post) == pytest.approx(wanted, abs=0.5)


def test_all_rules_give_the_same_clock_where_their_words_differ() -> None:
    words = {rule: pll.solve(525.0, rule) for rule in Rule}
    assert {f"{found.word:08x}" for found in words.values()} == {"40a80230", "50d20240"}
    assert {found.actual_mhz for found in words.values()} == {525.0}


def best_error_mhz(mhz: float) -> float:
    """Of every legal word: REF 2, P1 >= P2, feedback A0 to EF."""
    made = (
        abs(25.0 * fb / (2 * p1 * p2) - mhz)
        for p1 in range(1, 8)
        for p2 in range(1, p1 + 1)
        for fb in (math.floor(mhz * 2 * p1 * p2 / 25.0), math.ceil(mhz * 2 * p1 * p2 / 25.0))
        if 0xA0 <= fb <= 0xEF
    )
    return min(made, default=math.inf)


def words_of_a_bm1397() -> set[float]:
    """Every clock: P1 > P2, feedback 60 to 200, a VCO of 2500 MHz at most."""
    return {
        25.0 * fb / (ref * p1 * p2)
        for ref in (1, 2)
        for p1 in range(1, 8)
        for p2 in range(1, p1)
        for fb in range(60, 201)
        if 25.0 * fb / ref <= 2500.0
    }


GRID = [50.0 + 6.25 * step for step in range(153)]
CHANCE = random.Random(1)
TARGETS = {"every step of 6.25 MHz": GRID, "1000 at random": [CHANCE.uniform(50.0, 1000.0) for _ in range(1000)]}


@pytest.mark.parametrize("targets", TARGETS.values(), ids=list(TARGETS))
def test_a_bm1397_gets_the_closest_legal_word_too_with_its_dividers_as_they_are(targets: list[float]) -> None:
    clocks = sorted(words_of_a_bm1397())
    granted = 0
    for mhz in targets:
        best_mhz = min(abs(clock - mhz) for clock in clocks)
        if best_mhz > pll.MAX_ERROR_MHZ:
            with pytest.raises(UsageError, match="within 1 MHz"):
                pll.solve(mhz, BM1397.pll_rule, BM1397.pll_shape)
            if mhz <= BM1397.clock_limits_mhz[1]:  # on a ramp
                nearest = pll.nearest(mhz, BM1397.pll_rule, BM1397.pll_shape)
                assert abs(nearest.actual_mhz - mhz) == pytest.approx(best_mhz)
            continue
        granted += 1
        found = pll.solve(mhz, BM1397.pll_rule, BM1397.pll_shape)
        parts = pll.dividers(found.word, BM1397.pll_shape)
        flag, fb, ref, post = found.wire
        assert 25.0 * fb / (ref * (post >> 4) * (post & 7)) == found.actual_mhz
        assert abs(found.actual_mhz - mhz) <= best_mhz + 1e-4, mhz
        assert (flag, parts.p1 > parts.p2) == (0x40, True)
        assert 750.0 <= parts.vco_mhz <= 2500.0
    assert granted >= 0.7 * len(targets)


OTHERS = [chip for chip in ASICS.values() if chip.pll_rule is Rule.CLOSEST]


@pytest.mark.parametrize("chip", OTHERS, ids=[chip.name for chip in OTHERS])
@pytest.mark.parametrize("targets", TARGETS.values(), ids=list(TARGETS))
def test_a_chip_gets_the_closest_legal_word_and_none_when_that_is_more_than_a_megahertz_off(
    chip: AsicKind, targets: list[float]
) -> None:
    granted = 0
    for mhz in targets:
        best_mhz = best_error_mhz(mhz)
        if best_mhz > pll.MAX_ERROR_MHZ:
            with pytest.raises(UsageError, match="within 1 MHz"):
                pll.solve(mhz, chip.pll_rule, chip.pll_shape)
            assert (
                abs(pll.nearest(mhz, chip.pll_rule, chip.pll_shape).actual_mhz - mhz) <= pll.COARSEST_MHZ
            )  # on a ramp
            continue
        granted += 1
        found = pll.solve(mhz, chip.pll_rule, chip.pll_shape)
        parts = pll.dividers(found.word, chip.pll_shape)
        assert abs(found.actual_mhz - mhz) <= best_mhz + 1e-4, mhz
        assert parts.p1 >= parts.p2
        assert 2000.0 <= parts.vco_mhz <= 2987.5
        assert found.word >> 28 == (5 if parts.vco_mhz >= 2400.0 else 4)
    assert granted >= 0.7 * len(targets)


def test_where_stock_firmware_is_as_close_its_own_word_is_sent() -> None:
    differ = []
    for mhz in GRID:
        try:
            stock = pll.solve(mhz, Rule.STOCK)
        except UsageError:
            continue
        if mhz <= 750.0 and pll.solve(mhz, Rule.CLOSEST) != stock:
            differ.append(mhz)
    assert differ == [293.75, 306.25, 318.75, 331.25]
    assert pll.dividers(pll.solve(756.25, Rule.STOCK).word).vco_mhz == 5300.0  # why it is not sent


def test_the_high_vco_bit_is_set_from_2400_mhz_on_and_not_below() -> None:
    assert pll.solve(600.0).word == 0x50C00230  # 25 * 192 / 2 is exactly 2400
    assert pll.solve(575.0).word >> 28 == 4
    assert pll.solve(56.25, Rule.ESP, pll.BM1397).word >> 28 == 4


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("mhz", [0.0, -50.0, math.nan, math.inf, 5.0, 3500.0])
def test_a_clock_that_cannot_be_made_is_refused(rule: Rule, mhz: float) -> None:
    with pytest.raises(UsageError, match="frequency_mhz"):
        pll.solve(mhz, rule)


@pytest.mark.parametrize("rule", Rule)
def test_every_clock_that_is_granted_is_within_one_megahertz(rule: Rule) -> None:
    for tenth in range(500, 8000, 7):
        wish = tenth / 10
        try:
            found = pll.solve(wish, rule)
        except UsageError:
            continue
        assert abs(found.actual_mhz - wish) <= pll.MAX_ERROR_MHZ
        assert pll.clock_mhz(found.word) == found.actual_mhz


@pytest.mark.parametrize("word", [0x40000230, 0x40A80030])
def test_a_word_with_a_zero_divider_is_refused(word: int) -> None:
    with pytest.raises(UsageError, match="pll word"):
        pll.clock_mhz(word)


def test_a_read_back_may_say_that_the_pll_has_locked() -> None:
    assert pll.clock_mhz(0xC0540165) == 50.0
