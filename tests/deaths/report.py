"""What came of the trials: a row for each kind, with its promise and whether every trial kept it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from controller.model import GuardState, StateChanged
from tests.deaths.field import LIMIT_S, Trial, stripped

UNPLUGGED_LIMIT_S = 1.0
_LIMITS_S = {"control unplugged": UNPLUGGED_LIMIT_S, "both killed": 10.0, "out of memory": 3.0}
"""Where it is not 2.0 s. Nobody is there after both were killed: the next rig has to start first. A rig without memory
may go on for a while."""
ASLEEP = "machine asleep"
_SINCE = {
    "control unplugged": "the port's return",
    "both killed": "the start of the next rig",
    ASLEEP: "waking",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds from `since` to the rail being off. `broken`: the trials that did not keep the promise, and why."""

    kind: str
    since: str
    trials: int
    minimum_ms: float
    median_ms: float
    p95_ms: float
    maximum_ms: float
    limit_ms: float
    broken: tuple[str, ...]

    @property
    def text(self) -> str:
        held = "held" if not self.broken else f"BROKEN: {'; '.join(self.broken)}"
        times = " | ".join(f"{ms:.0f}" for ms in (self.minimum_ms, self.median_ms, self.p95_ms, self.maximum_ms))
        return f"| {self.kind} | {self.trials} | {self.since} | {times} | {self.limit_ms:.0f} | {held} |"

    def said(self) -> dict[str, Any]:
        return asdict(self)


HEADER = "| kind | trials | ms from | min | median | p95 | max | limit | |\n|---|---|---|---|---|---|---|---|---|"


def line(kind: str, trials: Sequence[Trial]) -> Row:
    beaten = all(trial.last_beat_s is not None for trial in trials)
    times = sorted(1000.0 * (trial.since_beat_s if beaten else trial.since_strike_s) for trial in trials)
    limit_s = _LIMITS_S.get(kind, LIMIT_S)
    broken = [f"{trial.board}: {why}" for trial, ms in zip(trials, _ms(trials, beaten), strict=True)
              if (why := _broken(kind, trial, ms, limit_s))]  # fmt: skip
    since = _SINCE.get(kind, "the last beat" if beaten else "the strike")
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    return Row(
        kind, since, len(times), times[0], statistics.median(times), p95, times[-1], 1000.0 * limit_s, tuple(broken)
    )


def stopped_hashing(trials: Sequence[Trial]) -> Row:
    """How soon the chips of an unplugged board stood still."""
    times = sorted(1000.0 * trial.facts["hashing stopped after"] for trial in trials)
    broken = tuple(f"{trial.board}: {why}" for trial in trials if (why := _still_hashing(trial)))
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    return Row(
        "control unplugged: hashing stopped",
        "the strike",
        len(times),
        times[0],
        statistics.median(times),
        p95,
        times[-1],
        1000.0 * UNPLUGGED_LIMIT_S,
        broken,
    )


def _ms(trials: Sequence[Trial], beaten: bool) -> list[float]:
    return [1000.0 * (trial.since_beat_s if beaten else trial.since_strike_s) for trial in trials]


def _broken(kind: str, trial: Trial, ms: float, limit_s: float) -> str | None:
    if ms >= 1000.0 * limit_s:
        return f"safe after {ms:.0f} ms"
    if stripped(trial.moves) != trial.due:
        return f"moves {stripped(trial.moves)}"
    if kind == "disk full" and trial.facts.get("refused") != "record":
        return f"its latch was cleared without a record: {trial.facts.get('refused')}"
    if kind == "both killed" and not (trial.facts["left"]["hashing"] and trial.facts["left"]["fan_duty"] == 1.0):
        return f"left hashing {trial.facts['left']['hashing']}, fan at {trial.facts['left']['fan_duty']}"
    if trial.facts.get("hashing while stopped") is False:
        return "not hashing while its client was stopped"
    if trial.facts.get("confirmed") is False:
        return "not confirmed"
    if kind == "control unplugged" and not trial.facts["safe"]["reset_asserted"]:
        return "reset released after the port's return"
    return None


def _still_hashing(trial: Trial) -> str | None:
    if trial.facts["unplugged"]["hashing"] or trial.facts["hashing stopped after"] >= UNPLUGGED_LIMIT_S:
        return f"hashing after {1000.0 * trial.facts['hashing stopped after']:.0f} ms"
    states = [event.after for event in trial.facts["events"] if isinstance(event, StateChanged)]
    return None if GuardState.UNPROTECTED in states else "never shown as UNPROTECTED"
