"""What is said of which chip, and how soon."""

from __future__ import annotations

import math

import pytest

from controller.model import ChipWork
from controller.work.chips import Tally, chip_work, remarks
from controller.work.statistics import binomial_at_least, binomial_at_most


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
