"""Intervals for counts, in plain Python: how far a rate or a yield may be from what was seen.

Nonces arrive as a Poisson process, so a count is all there is to know; answers found of answers due are a binomial.
Exact where it matters (small counts), to better than 1e-5 of the value elsewhere. Sources: Garwood 1936 for the
Poisson interval; Wilson 1927 for the proportion; Wilson and Hilferty 1931 for the start of the search.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_EXACT_BELOW = 2000
_NORMAL = NormalDist()


def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds on the mean of a Poisson variable seen `count` times: chi2inv(a/2, 2N)/2 and chi2inv(1-a/2, 2N+2)/2."""
    if count < 0:
        raise ValueError(f"a count of {count}")
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if count == 0 else gamma_quantile(tail, float(count))
    return low, gamma_quantile(1.0 - tail, float(count + 1))


@lru_cache(maxsize=4096)
def gamma_quantile(probability: float, shape: float) -> float:
    """The x below which a gamma variable of this shape and scale 1 lies with `probability`. chi2inv(p, k) is twice
    gamma_quantile(p, k/2)."""
    z = _NORMAL.inv_cdf(probability)
    spread = 1.0 / (9.0 * shape)
    x = shape * (1.0 - spread + z * math.sqrt(spread)) ** 3
    if shape > _EXACT_BELOW:
        return x
    if x <= 0.0:
        x = math.exp((math.log(probability) + math.lgamma(shape + 1.0)) / shape)
    for _ in range(60):
        below = regularised_gamma(shape, x)
        density = math.exp((shape - 1.0) * math.log(x) - x - math.lgamma(shape))
        step = (below - probability) / density
        following = x - step
        if following <= 0.0:
            following = x / 2.0
        if abs(following - x) <= 1e-12 * following:
            return following
        x = following
    return x


def regularised_gamma(shape: float, x: float) -> float:
    """P(a, x): the lower incomplete gamma function over the whole. Series below a + 1, continued fraction above."""
    if x <= 0.0:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = total = 1.0 / shape
        denominator = shape
        while abs(term) > 1e-16 * abs(total):
            denominator += 1.0
            term *= x / denominator
            total += term
        return total * front
    b = x + 1.0 - shape
    c = 1e300
    d = 1.0 / b
    fraction = d
    index = 0
    while True:
        index += 1
        numerator = -index * (index - shape)
        b += 2.0
        d = 1.0 / _not_zero(numerator * d + b)
        c = _not_zero(b + numerator / c)
        change = d * c
        fraction *= change
        if abs(change - 1.0) < 1e-15 or index > 100_000:
            return 1.0 - fraction * front


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300


def wilson_interval(found: int, due: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Bounds on a proportion of which `found` of `due` was seen. None when nothing was due."""
    if due <= 0:
        return None
    z = _NORMAL.inv_cdf(0.5 + confidence / 2.0)
    share, square = found / due, z * z
    centre = share + square / (2 * due)
    half = z * math.sqrt(share * (1.0 - share) / due + square / (4.0 * due * due))
    whole = 1.0 + square / due
    low = 0.0 if found == 0 else max(0.0, (centre - half) / whole)
    high = 1.0 if found == due else min(1.0, (centre + half) / whole)
    return low, high


def binomial_at_most(count: int, trials: int, probability: float) -> float:
    """P(X <= count) for a binomial variable, `probability` neither 0 nor 1. Costs as many terms as matter: those within
    some standard deviations of `count`, on the side away from the mean."""
    if count >= trials:
        return 1.0
    if count >= trials * probability:
        return 1.0 - binomial_at_most(trials - count - 1, trials, 1.0 - probability)
    ratio = (1.0 - probability) / probability
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    term = math.exp(ways + count * math.log(probability) + (trials - count) * math.log1p(-probability))
    total, k = 0.0, count
    while k >= 0 and term > 1e-17 * total:
        total += term
        term *= k / (trials - k + 1) * ratio
        k -= 1
    return total


def binomial_at_least(count: int, trials: int, probability: float) -> float:
    """P(X >= count) for a binomial variable."""
    return 1.0 if count <= 0 else binomial_at_most(trials - count, trials, 1.0 - probability)
