"""The history of operating points, read from the events: who wished what, what became of it, and what was noted."""

from __future__ import annotations

from collections.abc import Iterator
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
    point: OperatingPoint | None
    fate: Fate
    note: str = ""


@dataclass(slots=True)
class Points:
    """Of one board, oldest first."""

    changes: list[Change] = field(default_factory=list)
    _open_from: int = 0
    """The changes before this place are decided."""

    def take(self, event: Event) -> None:
        match event:
            case CommandAccepted(command=PowerUp() | SetOperatingPoint() as wish, point=point):
                self._add(event, point, Fate.ASKED, wish.note)
            case PointPending(point=point):
                for index in self._undecided()[:1]:
                    self.changes[index] = replace(self.changes[index], fate=Fate.TRIAL, point=point)
            case PointKept():
                self._decide(Fate.KEPT, Fate.ENDED)
            case PointReverted(point=point, why=why):
                self._decide(Fate.REVERTED, Fate.REVERTED)
                self._add(event, point, Fate.KEPT, f"back: {why}")
            case StateChanged(after=GuardState.LIVE):
                if Fate.TRIAL not in {self.changes[at].fate for at in self._undecided()}:
                    self._decide(Fate.KEPT, Fate.ENDED)  # else its chips were initialised again, and it goes back
            case StateChanged(after=GuardState.SAFE_OFF | GuardState.LATCHED | GuardState.UNPROTECTED):
                self._decide(Fate.ENDED, Fate.ENDED)
            case Remark(text=text):
                self._add(event, None, Fate.KEPT, text)

    def kept(self) -> Iterator[OperatingPoint]:
        """The points that stood, newest first, each once in a row."""
        after: OperatingPoint | None = None
        for change in reversed(self.changes):
            if change.point is not None and change.fate is Fate.KEPT and change.point != after:
                after = change.point
                yield after

    def _add(self, event: Event, point: OperatingPoint | None, fate: Fate, note: str) -> None:
        self.changes.append(Change(event.at_utc, point, fate, note))

    def _undecided(self) -> list[int]:
        """Where the changes are that may still be kept or go back, newest first."""
        open_ones = (Fate.ASKED, Fate.TRIAL)
        newest = len(self.changes) - 1
        return [at for at in range(newest, self._open_from - 1, -1) if self.changes[at].fate in open_ones]

    def _decide(self, newest: Fate, older: Fate) -> None:
        """Of several changes on trial one after the other only the newest can be kept; all of them go back together."""
        for index in self._undecided():
            self.changes[index] = replace(self.changes[index], fate=newest)
            newest = older
        self._open_from = len(self.changes)
