"""What is said of which chip, and how soon."""

from __future__ import annotations

import math
import random

import pytest

from controller.model import ChipWork
from controller.work.chips import Tally, chip_work
from controller.work.statistics import binomial_at_least, binomial_at_most
from controller.work.verdicts import ChipState, Verdict, remarks, shares, verdicts
from drivers.asics.records import Chip
from drivers.units import Megahertz


def known(index: int, due: tuple[int, ...], found: tuple[int, ...], wrong: int = 0) -> ChipWork:
    return ChipWork(index=index, verified=sum(found), hw_errors=wrong, due_by_domain=due, found_by_domain=found)


def open_work(*finds: int, wrong: int = 0) -> list[ChipWork]:
    return [ChipWork(index=index, verified=count, hw_errors=wrong) for index, count in enumerate(finds)]


HEALTHY = (25, 25, 25, 25)


def test_nothing_is_said_of_a_healthy_chain() -> None:
    assert remarks([known(chip, HEALTHY, (25, 25, 24, 25)) for chip in range(4)]) == ()
    assert remarks(open_work(95, 110, 104, 88)) == ()
    assert remarks([]) == ()


def test_a_silent_chip_a_dead_domain_and_a_weak_chip_are_named() -> None:
    chips = [
        known(0, HEALTHY, HEALTHY),
        known(1, HEALTHY, (0, 0, 0, 0)),
        known(2, HEALTHY, (25, 0, 25, 25)),
        known(3, HEALTHY, (22, 21, 20, 19), wrong=18),
    ]
    assert remarks(chips) == (
        "chip 1 is silent: none of 100 known answers",
        "chip 2, domain 1 is dead: none of 25 known answers",
        "chip 3 is weak: 18.0 % of its nonces are wrong; more voltage or a lower clock",
    )


def test_answers_that_are_missing_without_an_error_are_weakness_too() -> None:
    assert remarks([known(0, HEALTHY, (22, 21, 20, 19))]) == ("the chip is weak: 82 of 100 known answers",)


def test_seven_answers_that_are_missing_say_nothing_yet_and_eight_do() -> None:
    assert remarks([known(0, (7, 0, 0, 0), (0, 0, 0, 0))]) == ()
    assert remarks([known(0, (8, 0, 0, 0), (0, 0, 0, 0))]) == ("the chip is silent: none of 8 known answers",)


def test_without_known_answers_a_chip_is_held_against_the_others() -> None:
    assert remarks(open_work(100, 0, 100, 100)) == ("chip 1 is silent: no find, the others have 100 each",)
    assert remarks(open_work(1000, 700, 1000, 1000)) == ("chip 1 is slow: 70 % of the finds of the others, 1000 each",)
    assert remarks(open_work(10, 0, 12, 11)) == ()  # chance, once in fifty thousand
    assert remarks(open_work(0)) == ()


def apart(*of: tuple[int, float]) -> list[ChipWork]:
    """Finds and clock over the mean, by chip."""
    return [
        ChipWork(index=index, verified=finds, hw_errors=0, clock_ratio=ratio) for index, (finds, ratio) in enumerate(of)
    ]


def test_a_chip_with_a_clock_of_its_own_is_held_against_the_others_by_that_clock() -> None:
    assert remarks(apart((700, 0.7), (1000, 1.0), (1300, 1.3))) == ()
    assert remarks(apart((1000, 0.7), (1000, 1.0), (1000, 1.3))) == (
        "chip 1 is slow: 70 % of what the others find at its clock, 1428",
        "chip 2 is slow: 65 % of what the others find at its clock, 1529",
    )
    (said,) = remarks(apart((490, 0.7), (1000, 1.0), (1300, 1.3)))
    assert said == "chip 0 is slow: 70 % of what the others find at its clock, 700"
    assert remarks(apart((0, 0.2), (100, 1.4), (100, 1.4))) == ()  # it would have found 14: chance, once in a million
    assert remarks(apart((0, 0.2), (200, 1.4), (200, 1.4)))[0].startswith("chip 0 is silent: no find")
    ratios = [share.ratio for share in shares(verdicts(apart((700, 0.7), (1000, 1.0), (1300, 1.3)))) if share]
    assert ratios == pytest.approx([1.0, 1.0, 1.0])


def test_the_clock_of_each_chip_over_time_is_what_its_finds_are_held_against() -> None:
    assert [chip.clock_ratio for chip in chip_work([(1, 0)] * 3, None, [80.0, 100.0, 120.0])] == [0.8, 1.0, 1.2]
    assert [chip.clock_ratio for chip in chip_work([(1, 0)] * 3, None, [0.1 + 0.2, 0.3, 0.3])] == [1.0] * 3
    assert [chip.clock_ratio for chip in chip_work([(1, 0)] * 3, None, [0.0] * 3)] == [1.0] * 3
    chip = Chip(0, 0, 0x1370)
    chip.clocked(Megahertz(100.0), 5.0)
    chip.clocked(Megahertz(200.0), 7.0)
    chip.clocked(None, 8.0)
    assert [chip.mhz_s(at_s) for at_s in (8.0, 50.0)] == [400.0, 400.0]


def test_a_tally_is_by_core_and_by_domain_of_each_chip() -> None:
    tally = Tally()
    for chip, core in ((0, 1), (0, 5), (1, 5)):
        tally.due(chip, core)
    tally.found(1, 5)
    assert tally.by_core() == ({1: 1, 5: 2}, {5: 1})
    assert tally.by_domain(0) == ((0, 2, 0, 0), (0, 0, 0, 0))
    assert [chip.found_by_domain for chip in chip_work([(0, 0), (1, 0)], tally)] == [(0, 0, 0, 0), (0, 1, 0, 0)]


@pytest.mark.parametrize(
    ("count", "trials", "share"), [(0, 3, 0.99), (5, 20, 0.3), (9, 10, 0.99), (80, 100, 0.99), (3, 50, 0.2)]
)
def test_tails_of_a_binomial_are_exact(count: int, trials: int, share: float) -> None:
    exact = math.fsum(math.comb(trials, k) * share**k * (1.0 - share) ** (trials - k) for k in range(count + 1))
    assert binomial_at_most(count, trials, share) == pytest.approx(exact, rel=1e-10)
    assert binomial_at_least(count + 1, trials, share) == pytest.approx(1.0 - exact, rel=1e-9, abs=1e-12)


def states(chips: list[ChipWork]) -> list[str]:
    return [verdict.state.value for verdict in verdicts(chips)]


def test_every_chip_has_a_state_and_the_worst_of_what_is_said_decides() -> None:
    chips = [
        known(0, HEALTHY, HEALTHY),
        known(1, HEALTHY, (0, 0, 0, 0)),
        known(2, HEALTHY, (25, 0, 18, 18), wrong=30),
        known(3, HEALTHY, (22, 21, 20, 19), wrong=18),
        known(4, (2, 2, 2, 1), (2, 2, 2, 1)),
    ]
    assert states(chips) == ["ok", "silent", "dead domain", "weak", "too few"]
    assert [len(verdict.said) for verdict in verdicts(chips)] == [0, 1, 2, 1, 0]


def test_ok_is_said_only_where_silence_would_have_been_told() -> None:
    assert states(open_work(10, 0, 12, 11)) == ["too few"] * 4
    assert states(open_work(1000, 0, 600, 1000)) == ["ok", "silent", "slow", "ok"]
    assert states(open_work(*[20] * 126)) == ["ok"] * 126
    assert states(open_work(*[12] * 126)) == ["too few"] * 126  # a silent one would lack 12: once in 119,000
    assert states(open_work(50)) == ["too few"]  # nothing to hold it against
    assert states(open_work(0, 0)) == ["too few"] * 2


def test_silent_chips_hide_no_slow_one() -> None:
    half = [1000, 0, 1000, 0, 600, 0, 1000, 0]
    assert states(open_work(*half)) == ["ok", "silent", "ok", "silent", "slow", "silent", "ok", "silent"]
    assert remarks(open_work(*half))[1:3] == (
        "chip 3 is silent: no find, the others have 900 each",
        "chip 4 is slow: 60 % of the finds of the others, 1000 each",
    )


def test_what_is_said_of_one_chip_is_measured_by_those_of_which_nothing_is_said() -> None:
    assert remarks(open_work(1000, 600, 1000, 600)) == (
        "chip 1 is slow: 60 % of the finds of the others, 1000 each",
        "chip 3 is slow: 60 % of the finds of the others, 1000 each",
    )


def test_a_share_is_of_the_answers_that_were_due_or_of_what_one_of_the_others_found() -> None:
    of_answers = shares(
        verdicts([known(0, HEALTHY, HEALTHY), known(1, HEALTHY, (0, 0, 0, 0)), known(2, (0,) * 4, (0,) * 4)])
    )
    assert [None if share is None else share.ratio for share in of_answers] == [1.0, 0.0, None]
    assert of_answers[1] is not None
    assert (of_answers[1].low, of_answers[1].high) == pytest.approx((0.0, 0.0370), abs=1e-4)
    of_finds = shares(verdicts(open_work(1000, 0, 500, 1000)))
    assert [share and round(share.ratio, 3) for share in of_finds] == [1.0, 0.0, 0.5, 1.0]
    nothing_to_compare, none = shares(verdicts(open_work(5, 0)))
    assert nothing_to_compare is None
    assert none is not None
    assert (none.ratio, none.low, none.high) == pytest.approx((0.0, 0.0, 0.768), abs=1e-3)
    assert shares(verdicts(open_work(7))) == (None,)


def test_the_interval_of_a_share_of_finds_holds_the_truth_as_often_as_it_says() -> None:
    """2,000 chains of six chips, one at 80 % of the others; about 40 finds each."""
    chance = random.Random(5)

    def count(mean: float) -> int:
        return sum(1 for _ in range(400) if chance.random() < mean / 400)

    held = 0
    for _ in range(2000):
        chips = open_work(count(32.0), *(count(40.0) for _ in range(5)))
        share = shares(tuple(Verdict(chip, ChipState.OK) for chip in chips))[0]
        assert share is not None
        held += share.low <= 0.8 <= share.high
    assert 0.94 <= held / 2000 <= 0.97
