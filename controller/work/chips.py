"""What each chip of a chain did in a spell of work. What that says of it is judged in verdicts.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from controller.model import ChipWork
from controller.work.sources import DOMAINS

_ALIKE: Final = 1e-9


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


def clock_ratios(mhz_s: Sequence[float]) -> list[float]:
    """Each over the mean of all; exactly 1 where none differs."""
    mean = sum(mhz_s) / len(mhz_s) if mhz_s else 0.0
    if not mean or max(mhz_s) - min(mhz_s) < _ALIKE * mean:
        return [1.0] * len(mhz_s)
    return [each / mean for each in mhz_s]


def chip_work(
    counts: Sequence[tuple[int, int]], tally: Tally | None, mhz_s: Sequence[float] = ()
) -> tuple[ChipWork, ...]:
    """`counts`: finds and wrong nonces, by chip. `mhz_s`: the clock of each over time."""
    ratios = clock_ratios(mhz_s)
    made = []
    for index, (verified, hw_errors) in enumerate(counts):
        due, found = tally.by_domain(index) if tally is not None else ((), ())
        made.append(
            ChipWork.model_construct(
                index=index,
                verified=verified,
                hw_errors=hw_errors,
                due_by_domain=due,
                found_by_domain=found,
                clock_ratio=ratios[index] if ratios else 1.0,
            )
        )
    return tuple(made)
