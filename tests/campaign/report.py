"""What came of a campaign: one outcome a scenario, and the figures of all of them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drivers.boards import BOARDS
from tests.campaign.judge import Verdict, bounds_of, judge
from tests.campaign.life import Life, live
from tests.campaign.scenario import Scenario, scenario
from tests.campaign.subject import GAMMA

SCHEMA: Final = "hashbridge.campaign/1"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scenario, told in what can be compared: the same seed and index give the same outcome on every machine."""

    index: int
    faults: tuple[str, ...]
    trips: tuple[str, ...]
    end: str
    hottest_die_c: float
    highest_core_v: float
    highest_core_a: float
    highest_input_w: float
    failures: tuple[str, ...]
    declared: tuple[str, ...]

    @classmethod
    def told(cls, fields: Mapping[str, Any]) -> Outcome:
        """From its line in a file."""
        known: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
        return cls(**known)

    @classmethod
    def of(cls, told: Scenario, life: Life, verdict: Verdict) -> Outcome:
        return cls(
            index=told.index,
            faults=tuple(fault.action for fault in told.faults),
            trips=tuple(trip.cause.value for trip in life.trips),
            end=life.end_state.value,
            hottest_die_c=round(max(now.die_c for now in life.truth), 2),
            highest_core_v=round(max(now.core_v for now in life.truth), 4),
            highest_core_a=round(max(now.core_a for now in life.truth), 2),
            highest_input_w=round(max(now.input_w for now in life.truth), 2),
            failures=verdict.failures,
            declared=verdict.declared,
        )


def outcome(seed: int, index: int, minutes: float, board: str = GAMMA) -> Outcome:
    told = scenario(seed, index, minutes, board)
    life = live(told)
    return Outcome.of(told, life, judge(told, life))


def one(index: int, seed: int, minutes: float, board: str) -> tuple[Outcome, float]:
    """In a process of the pool, with the CPU seconds that it took."""
    quiet()
    began_s = time.process_time()
    return outcome(seed, index, minutes, board), time.process_time() - began_s


def quiet() -> None:
    """What a rig logs of its emulated misfortunes is of no use here. Errors still reach the one who looks for them."""
    logging.getLogger().addHandler(logging.NullHandler())
    logging.disable(logging.WARNING)


def replay(seed: int, index: int, minutes: float, board: str = GAMMA) -> tuple[str, bool]:
    """One scenario with all that happened, for people; and whether it kept every promise."""
    told = scenario(seed, index, minutes, board)
    life = live(told)
    verdict = judge(told, life)
    found = Outcome.of(told, life, verdict)
    lines = [
        f"{board}, seed {seed}, scenario {index}, {minutes:g} minutes; {told.settings}",
        f"operator: {told.operator.model_dump(exclude_none=True)}",
        *(f"{at_s:9.2f} s  {text}" for at_s, text in life.timeline),
        f"end: {life.end_state.value}, rail {'on' if life.end_rail_on else 'off'}, reset "
        f"{'asserted' if life.end_reset_asserted else 'released'}; at most: die {found.hottest_die_c:.1f} C, core "
        f"{found.highest_core_v:.3f} V, {found.highest_core_a:.1f} A, {found.highest_input_w:.1f} W",
        *(f"DECLARED {text}" for text in verdict.declared),
        *(f"FAILED   {text}" for text in verdict.failures),
    ]
    return "\n".join(lines), not verdict.failures


def summed(outcomes: Sequence[Outcome], minutes: float) -> dict[str, Any]:
    """The figures of a campaign."""
    failures = [text for each in outcomes for text in each.failures]
    return {
        "scenarios": len(outcomes),
        "virtual_hours": round(len(outcomes) * minutes / 60.0, 1),
        "without_fault": sum(1 for each in outcomes if not each.faults),
        "trips": dict(Counter(cause for each in outcomes for cause in each.trips).most_common()),
        "excursions": sum(text.startswith("excursion") for text in failures),
        "false_trips": sum(text.startswith("false trip") for text in failures),
        "wrong_causes": sum(text.startswith("wrong cause") for text in failures),
        "out_of_order": sum(text.startswith("order") for text in failures),
        "not_safe_at_the_end": sum(text.startswith("end") for text in failures),
        "false_confirmations": sum(text.startswith("false confirmation") for text in failures),
        "broken": sum(text.startswith("broken") for text in failures),
        "declared": sum(1 for each in outcomes if each.declared),
        "hottest_die_c": max((each.hottest_die_c for each in outcomes), default=0.0),
        "highest_core_v": max((each.highest_core_v for each in outcomes), default=0.0),
        "highest_core_a": max((each.highest_core_a for each in outcomes), default=0.0),
        "highest_input_w": max((each.highest_input_w for each in outcomes), default=0.0),
    }


def markdown(found: dict[str, Any]) -> str:
    rows = [(key.replace("_", " "), value) for key, value in found.items() if key != "trips"]
    lines = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows), ""]
    lines += ["Trips: " + (", ".join(f"{cause} {count}" for cause, count in found["trips"].items()) or "none")]
    return "\n".join(lines)


def bounds() -> str:
    """What counts as an excursion on each board, as docs/safety.md has it: hard limit + overshoot."""
    names = list(bounds_of(GAMMA))
    units = [bounds_of(GAMMA)[name].unit for name in names]
    titles = " | ".join(f"{name}, {unit}" for name, unit in zip(names, units, strict=True))
    lines = [f"| | {titles} |", "|---" * (len(names) + 1) + "|"]
    for board in sorted(BOARDS):
        known = bounds_of(board)
        cells = [f"{known[name].hard:g} + {known[name].overshoot:.3g}" if name in known else "-" for name in names]
        lines.append(f"| {board} | {' | '.join(cells)} |")
    return "\n".join(lines)
