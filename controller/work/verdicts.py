"""What is wrong with which chip of a chain, and how its share compares. Pure.

Known answers show what is missing: a domain without a clock, a chip behind a broken line. Wrong nonces show what is
computed badly: too little voltage for the clock. Where answers are not known, a chip is held against the finds of the
others, each by its own clock, whatever that was meanwhile. Nothing is said of a chip before chance explains it in less
than one case of a million.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from controller.model import ChipWork
from controller.work.statistics import binomial_at_least, binomial_at_most, wilson_interval

CHANCE: Final = 1e-6
_LEAST_DUE: Final = 8
"""Known answers; a short hiccup may swallow a few in a row."""
_HEALTHY_YIELD: Final = 0.99
_HEALTHY_WRONG: Final = 0.01
_HEALTHY_SHARE: Final = 0.97
"""Of an equal share of the finds: chips differ, and so do their shares of the nonces by a little."""


class ChipState(StrEnum):
    """The worst that is said of a chip; the gravest first."""

    SILENT = "silent"
    DEAD_DOMAIN = "dead domain"
    WEAK = "weak"
    SLOW = "slow"
    UNCLEAR = "too few"
    """So little was counted that even a silent chip could not be told from chance."""
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one chip, a sentence each; none: nothing that chance does not explain."""

    chip: ChipWork
    state: ChipState
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """Of what was expected, as a ratio with its 95 % interval; `high` may be infinite."""

    ratio: float
    low: float
    high: float


def remarks(chips: Sequence[ChipWork]) -> tuple[str, ...]:
    """What is wrong, a sentence for each chip or domain."""
    return tuple(sentence for verdict in verdicts(chips) for sentence in verdict.said)


def verdicts(chips: Sequence[ChipWork]) -> tuple[Verdict, ...]:
    """Of each chip, in the order of the chain. Where something is said of some, the others are the measure of all."""
    told = _would_tell(chips)
    silent = {chip.index: why for chip in chips if (why := _silent(chip, chips, told)) is not None}
    living = [chip for chip in chips if chip.index not in silent]

    def judged(measure: Sequence[ChipWork]) -> tuple[Verdict, ...]:
        others = _Others.of(chips, measure, told)
        return tuple(_verdict(chip, others, silent.get(chip.index)) for chip in chips)

    first = judged(living)
    healthy = _healthy(first)
    return first if len(healthy) in (0, len(living)) else judged(healthy)


def _healthy(found: Sequence[Verdict]) -> list[ChipWork]:
    return [verdict.chip for verdict in found if not verdict.said]


@dataclass(frozen=True, slots=True)
class _Others:
    """What chips are held against: which, and what they found together."""

    several: bool
    indexes: frozenset[int]
    finds: int
    clocks: float
    """Of all of them together, in those of a chip at the mean of the chain: their number where all have one clock."""
    apart: bool
    """Some chip has a clock of its own."""
    told: bool
    """Without known answers, silence would have been told by now."""

    @classmethod
    def of(cls, chips: Sequence[ChipWork], measure: Sequence[ChipWork], told: bool = True) -> Self:
        indexes = frozenset(chip.index for chip in measure)
        finds, clocks = sum(chip.verified for chip in measure), sum(chip.clock_ratio for chip in measure)
        apart = any(chip.clock_ratio != 1.0 for chip in chips)
        return cls(len(chips) > 1, indexes, finds, clocks, apart, told)

    def without(self, chip: ChipWork) -> tuple[float, int]:
        """How many chips of this one's clock they are besides it, and their finds."""
        within = chip.index in self.indexes
        others = self.clocks - (chip.clock_ratio if within else 0.0)
        many = others / chip.clock_ratio if chip.clock_ratio > 0.0 else math.inf
        return many, self.finds - (chip.verified if within else 0)


def shares(found: Sequence[Verdict]) -> tuple[Share | None, ...]:
    """Of each chip: of its known answers those that came, by Wilson; otherwise its finds over those that one of the
    healthy others has on average, which is a binomial given the sum of both. None: nothing to hold it against."""
    chips = [verdict.chip for verdict in found]
    living = [verdict.chip for verdict in found if verdict.state is not ChipState.SILENT]
    others = _Others.of(chips, _healthy(found) or living)
    return tuple(_share(chip, others) for chip in chips)


def _share(chip: ChipWork, others: _Others) -> Share | None:
    if chip.due_by_domain:
        due, answers = sum(chip.due_by_domain), sum(chip.found_by_domain)
        of_answers = wilson_interval(answers, due)
        return None if of_answers is None else Share(answers / due, *of_answers)
    count, finds = others.without(chip)
    interval = wilson_interval(chip.verified, chip.verified + finds)
    if not finds or interval is None or math.isinf(count):
        return None
    low, high = (count * of / (1.0 - of) if of < 1.0 else math.inf for of in interval)
    return Share(count * chip.verified / finds, low, high)


def _silent(chip: ChipWork, chips: Sequence[ChipWork], told: bool) -> str | None:
    """Why it is; None where it is not, or where that cannot be told yet."""
    due, answers = sum(chip.due_by_domain), sum(chip.found_by_domain)
    if due >= _LEAST_DUE and not answers:
        return f"is silent: none of {due} known answers"
    if due or chip.verified or not told:
        return None
    others = [other.verified for other in chips if other.verified]
    return f"is silent: no find, the others have {sum(others) / len(others):.0f} each"


def _would_tell(chips: Sequence[ChipWork]) -> bool:
    """Without known answers: so much was found that none at all would be no chance, not of the slowest clock either."""
    finds = sum(chip.verified for chip in chips)
    slowest = min((chip.clock_ratio for chip in chips), default=1.0)
    if len(chips) < 2 or slowest <= 0.0:
        return False
    return binomial_at_most(0, finds, _fair(len(chips) / slowest - 1.0)) < CHANCE


def _fair(others: float) -> float:
    """The least that a healthy chip finds of what it and so many others of its clock find together."""
    return _HEALTHY_SHARE / (_HEALTHY_SHARE + others)


def _verdict(chip: ChipWork, others: _Others, silent: str | None) -> Verdict:
    name = f"chip {chip.index}" if others.several else "the chip"
    if silent is not None:
        return Verdict(chip, ChipState.SILENT, (f"{name} {silent}",))
    found: list[tuple[ChipState, str]] = []
    due = sum(chip.due_by_domain)
    if not due and (slow := _slow(chip, others)) is not None:
        found.append((ChipState.SLOW, f"{name} {slow}"))
    dead = _dead_domains(chip)
    found += [
        (
            ChipState.DEAD_DOMAIN,
            f"{name}, domain {domain} is dead: none of {chip.due_by_domain[domain]} known answers",
        )
        for domain in dead
    ]
    if (weak := _weak(chip, dead)) is not None:
        found.append((ChipState.WEAK, f"{name} {weak}"))
    if found:
        order = list(ChipState)
        state = min((state for state, _ in found), key=order.index)
        return Verdict(chip, state, tuple(sentence for _, sentence in found))
    tells = due >= _LEAST_DUE if chip.due_by_domain else others.told
    return Verdict(chip, ChipState.OK if tells else ChipState.UNCLEAR)


def _dead_domains(chip: ChipWork) -> list[int]:
    return [
        domain
        for domain, (due, found) in enumerate(zip(chip.due_by_domain, chip.found_by_domain, strict=True))
        if due >= _LEAST_DUE and not found
    ]


def _weak(chip: ChipWork, dead: Sequence[int]) -> str | None:
    returned = chip.verified + chip.hw_errors
    if chip.hw_errors and binomial_at_least(chip.hw_errors, returned, _HEALTHY_WRONG) < CHANCE:
        share = 100.0 * chip.hw_errors / returned
        return f"is weak: {share:.1f} % of its nonces are wrong; more voltage or a lower clock"
    alive = [domain for domain in range(len(chip.due_by_domain)) if domain not in dead]
    due, found = (sum(counts[domain] for domain in alive) for counts in (chip.due_by_domain, chip.found_by_domain))
    if due >= _LEAST_DUE and binomial_at_most(found, due, _HEALTHY_YIELD) < CHANCE:
        return f"is weak: {found} of {due} known answers"
    return None


def _slow(chip: ChipWork, others: _Others) -> str | None:
    """Of what it and the others found together it should have had a fair part."""
    count, finds = others.without(chip)
    if not finds or math.isinf(count) or binomial_at_most(chip.verified, chip.verified + finds, _fair(count)) >= CHANCE:
        return None
    share, due = 100.0 * chip.verified * count / finds, math.floor(finds / count)
    if others.apart:
        return f"is slow: {share:.0f} % of what the others find at its clock, {due}"
    return f"is slow: {share:.0f} % of the finds of the others, {due} each"
