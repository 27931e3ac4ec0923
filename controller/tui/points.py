"""The history of operating points, read from the events: who wished what, what became of it, and what was noted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from controller.model import (
    CommandAccepted,
    Event,
    GuardState,
    OperatingPoint,
    PointKept,
    PointPending,
    PointReverted,
    PowerUp,
    Remark,
    SetOperatingPoint,
    StateChanged,
)


class Fate(StrEnum):
    """What became of a change."""

    ASKED = "asked"
    TRIAL = "on trial"
    KEPT = "kept"
    REVERTED = "reverted"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the history. A remark of a person has no point of its own."""

    at_utc: datetime
    seq: int
    point: OperatingPoint | None
    fate: Fate
    note: str = ""


@dataclass(slots=True)
class Points:
    """Of one board, oldest first."""

    changes: list[Change] = field(default_factory=list)

    def take(self, event: Event) -> None:
        match event:
            case CommandAccepted(command=PowerUp() | SetOperatingPoint() as wish, point=point):
                self._add(event, point, Fate.ASKED, wish.note)
            case PointPending(point=point):
                self._fate(Fate.TRIAL, point)
            case PointKept(point=point):
                self._fate(Fate.KEPT, point)
            case PointReverted(point=point, why=why):
                self._fate(Fate.REVERTED, None)
                self._add(event, point, Fate.KEPT, f"back: {why}")
            case StateChanged(after=GuardState.LIVE):
                self._fate(Fate.KEPT, None)
            case StateChanged(after=GuardState.SAFE_OFF | GuardState.LATCHED | GuardState.UNPROTECTED):
                if self.changes and self.changes[-1].fate in (Fate.ASKED, Fate.TRIAL):
                    self._fate(Fate.ENDED, None)
            case Remark(text=text):
                self._add(event, None, Fate.KEPT, text)

    def kept(self) -> list[OperatingPoint]:
        """The points that stood, oldest first, each once in a row."""
        found: list[OperatingPoint] = []
        for change in self.changes:
            if change.point is not None and change.fate is Fate.KEPT and (not found or found[-1] != change.point):
                found.append(change.point)
        return found

    def _add(self, event: Event, point: OperatingPoint | None, fate: Fate, note: str) -> None:
        self.changes.append(Change(event.at_utc, event.seq, point, fate, note))

    def _fate(self, fate: Fate, point: OperatingPoint | None) -> None:
        for index in range(len(self.changes) - 1, -1, -1):
            change = self.changes[index]
            if change.point is None:
                continue
            self.changes[index] = replace(change, fate=fate, point=point or change.point)
            return
