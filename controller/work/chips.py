"""What each chip of a chain did in a spell of work, and what is wrong with which of them.

Known answers show what is missing: a domain without a clock, a chip behind a broken line. Wrong nonces show what is
computed badly: too little voltage for the clock. Where answers are not known, a chip is held against its share of the
finds. Nothing is said of a chip before chance explains it in less than one case of a million.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from controller.model import ChipWork
from controller.work.sources import DOMAINS
from controller.work.statistics import binomial_at_least, binomial_at_most

CHANCE: Final = 1e-6
_LEAST_DUE: Final = 8
"""Known answers; a short hiccup may swallow a few in a row."""
_HEALTHY_YIELD: Final = 0.99
_HEALTHY_WRONG: Final = 0.01
_HEALTHY_SHARE: Final = 0.97
"""Of an equal share of the finds: chips differ, and so do their shares of the nonces by a little."""


class Tally:
    """Known answers that were due and that were found. Counted as they come: asked five times a second, of long chains
    too."""

    def __init__(self) -> None:
        self._due_by_core: dict[int, int] = {}
        self._found_by_core: dict[int, int] = {}
        self._due_by_domain: dict[int, list[int]] = {}
        self._found_by_domain: dict[int, list[int]] = {}

    def due(self, chip: int, core: int) -> None:
        _count(self._due_by_core, self._due_by_domain, chip, core)

    def found(self, chip: int, core: int) -> None:
        _count(self._found_by_core, self._found_by_domain, chip, core)

    def by_core(self) -> tuple[dict[int, int], dict[int, int]]:
        """Due and found, all chips together."""
        return dict(self._due_by_core), dict(self._found_by_core)

    def by_domain(self, chip: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Due and found, of the four domains of one chip."""
        none = [0] * DOMAINS
        return tuple(self._due_by_domain.get(chip, none)), tuple(self._found_by_domain.get(chip, none))


def _count(by_core: dict[int, int], by_domain: dict[int, list[int]], chip: int, core: int) -> None:
    by_core[core] = by_core.get(core, 0) + 1
    by_domain.setdefault(chip, [0] * DOMAINS)[core % DOMAINS] += 1


def chip_work(counts: Sequence[tuple[int, int]], tally: Tally | None) -> tuple[ChipWork, ...]:
    """`counts`: finds and wrong nonces, by chip."""
    made = []
    for index, (verified, hw_errors) in enumerate(counts):
        due, found = tally.by_domain(index) if tally is not None else ((), ())
        made.append(
            ChipWork.model_construct(
                index=index, verified=verified, hw_errors=hw_errors, due_by_domain=due, found_by_domain=found
            )
        )
    return tuple(made)


def remarks(chips: Sequence[ChipWork]) -> tuple[str, ...]:
    """What is wrong, a sentence for each chip or domain."""
    return tuple(said for _, said in ailing(chips))


def ailing(chips: Sequence[ChipWork]) -> tuple[tuple[int, str], ...]:
    """The same, each with the chip that it is said of."""
    said: list[tuple[int, str]] = []
    finds = sum(chip.verified for chip in chips)
    for chip in chips:
        said += [(chip.index, text) for text in _wrong_with(chip, finds, len(chips))]
    return tuple(said)


def _wrong_with(chip: ChipWork, finds: int, chips: int) -> Iterator[str]:
    name = f"chip {chip.index}" if chips > 1 else "the chip"
    due, found = sum(chip.due_by_domain), sum(chip.found_by_domain)
    if due >= _LEAST_DUE and not found:
        yield f"{name} is silent: none of {due} known answers"
        return
    if not due and chips > 1 and (missing := _lacks(chip, finds, chips)) is not None:
        yield f"{name} {missing}"
        if not chip.verified:
            return
    dead = _dead_domains(chip)
    for domain in dead:
        yield f"{name}, domain {domain} is dead: none of {chip.due_by_domain[domain]} known answers"
    returned = chip.verified + chip.hw_errors
    if chip.hw_errors and binomial_at_least(chip.hw_errors, returned, _HEALTHY_WRONG) < CHANCE:
        share = 100.0 * chip.hw_errors / returned
        yield f"{name} is weak: {share:.1f} % of its nonces are wrong; more voltage or a lower clock"
        return
    alive = [domain for domain in range(len(chip.due_by_domain)) if domain not in dead]
    due, found = (sum(counts[domain] for domain in alive) for counts in (chip.due_by_domain, chip.found_by_domain))
    if due >= _LEAST_DUE and binomial_at_most(found, due, _HEALTHY_YIELD) < CHANCE:
        yield f"{name} is weak: {found} of {due} known answers"


def _dead_domains(chip: ChipWork) -> list[int]:
    return [
        domain
        for domain, (due, found) in enumerate(zip(chip.due_by_domain, chip.found_by_domain, strict=True))
        if due >= _LEAST_DUE and not found
    ]


def _lacks(chip: ChipWork, finds: int, chips: int) -> str | None:
    """Of the finds of the others it should have had as many as each of them."""
    others = finds - chip.verified
    if not others:
        return None
    fair = _HEALTHY_SHARE / (_HEALTHY_SHARE + chips - 1)
    if binomial_at_most(chip.verified, finds, fair) >= CHANCE:
        return None
    if not chip.verified:
        return f"is silent: no find, the others have {others / (chips - 1):.0f} each"
    share = 100.0 * chip.verified * (chips - 1) / others
    return f"is slow: {share:.0f} % of the finds of the others, {math.floor(others / (chips - 1))} each"
