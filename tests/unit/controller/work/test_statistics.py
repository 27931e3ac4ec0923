"""Intervals against tables and against what they promise."""

from __future__ import annotations

import math
import random

import pytest

from controller.work import statistics
from controller.work.meter import hash_rate, hash_rate_interval, smallest_ticket_difficulty
from controller.work.statistics import gamma_quantile, poisson_interval, regularised_gamma, wilson_interval


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (0, 0.0, 3.689),
        (1, 0.025, 5.572),
        (2, 0.242, 7.225),
        (5, 1.623, 11.668),
        (10, 4.795, 18.390),
        (20, 12.217, 30.888),
    ],
)
def test_poisson_intervals_equal_the_printed_tables(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), abs=6e-4)


@pytest.mark.parametrize(
    ("count", "low_percent", "high_percent"),
    [(20, -39, 54), (100, -19, 22), (655, -7.5, 8.0), (2500, -3.9, 4.0), (10_000, -2.0, 2.0), (167_600, -0.5, 0.5)],
)
def test_relative_bounds_shrink_with_the_count(count: int, low_percent: float, high_percent: float) -> None:
    low, high = poisson_interval(count)
    assert 100 * (low / count - 1) == pytest.approx(low_percent, abs=0.6)
    assert 100 * (high / count - 1) == pytest.approx(high_percent, abs=0.6)


def test_the_approximation_for_large_counts_meets_the_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = gamma_quantile(0.99995, 2001.0)
    monkeypatch.setattr(statistics, "_EXACT_BELOW", math.inf)
    gamma_quantile.cache_clear()
    assert quick == pytest.approx(gamma_quantile(0.99995, 2001.0), rel=1e-5)
    gamma_quantile.cache_clear()


@pytest.mark.parametrize("shape", [0.5, 1.0, 7.5, 100.0, 1500.0])
@pytest.mark.parametrize("probability", [5e-5, 0.025, 0.5, 0.975])
def test_a_quantile_is_where_the_distribution_has_its_probability(shape: float, probability: float) -> None:
    assert regularised_gamma(shape, gamma_quantile(probability, shape)) == pytest.approx(probability, rel=1e-9)


def test_the_poisson_interval_covers_the_true_mean_at_least_as_often_as_it_says() -> None:
    chance, mean, rounds = random.Random(5), 12.0, 4000
    covered = 0
    for _ in range(rounds):
        count, product = 0, chance.random()
        while product > math.exp(-mean):
            count += 1
            product *= chance.random()
        low, high = poisson_interval(count)
        covered += low <= mean <= high
    assert covered / rounds >= 0.95


def test_wilson_intervals_stay_inside_0_to_1_and_contain_the_share() -> None:
    assert wilson_interval(0, 0) is None
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert wilson_interval(626, 626) == pytest.approx((0.99390, 1.0), abs=1e-5)
    assert wilson_interval(625, 626) == pytest.approx((0.99100, 0.99972), abs=2e-4)


def test_each_ticket_stands_for_its_difficulty_times_2_to_the_32() -> None:
    assert hash_rate(249, 1, 1.0) == pytest.approx(1.0695e12, rel=1e-4)
    assert hash_rate(1, 256, 1.0) == float(256 * 2**32)
    assert hash_rate(5, 1, 0.0) is None
    interval = hash_rate_interval(20, 1, 10.0)
    assert interval == pytest.approx((12.217 * 2**32 / 10, 30.888 * 2**32 / 10), rel=1e-4)
    assert hash_rate_interval(5, 1, 0.0) is None


@pytest.mark.parametrize(
    ("expected_hs", "baud", "difficulty"),
    [(1.071e12, 115_200, 1), (3.3e12, 115_200, 2), (3.3e12, 1_000_000, 1), (100e12, 3_125_000, 2), (0.0, 115_200, 1)],
)
def test_the_ticket_difficulty_is_the_smallest_that_leaves_half_the_line_free(
    expected_hs: float, baud: int, difficulty: int
) -> None:
    assert smallest_ticket_difficulty(expected_hs, baud) == difficulty
