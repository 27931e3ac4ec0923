"""What led to what, read from the order of events. Pure.

A command, a fault, a lost port, a first contact or a remark begins something; what the rig tells of the same board
afterwards, until the next beginning, followed from it. Two beginnings belong together where the second only carries out
the first: a fault after a lost port, a way back after the change that was on trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from controller.model import (
    BoardAttached,
    BoardLost,
    CommandAccepted,
    CommandRefused,
    Event,
    FaultLatched,
    Note,
    PointPending,
    Remark,
    RevertPoint,
)
from controller.tui.store import LogRow

_BEGINNINGS: Final = (BoardAttached, BoardLost, CommandAccepted, CommandRefused, FaultLatched, Note, Remark)
_TOGETHER_S: Final = 2.0
AT_MOST: Final = 200
LOOK_BACK: Final = 5000


def chain(log: Sequence[LogRow], index: int) -> list[int]:
    """The places in the log of everything that belongs to the event at `index`, in order, itself among them."""
    root = _root(log, index)
    roots = [root]
    before = _led_to(log, root)
    while before is not None and len(roots) < 8:
        roots.insert(0, before)
        before = _led_to(log, before)
    return [place for one in roots for place in _followed(log, one)][:AT_MOST]


def _root(log: Sequence[LogRow], index: int) -> int:
    row = log[index]
    for place in range(index, max(-1, index - LOOK_BACK), -1):
        candidate = log[place]
        if candidate.rig == row.rig and _begins(candidate.event) and candidate.event.board == row.event.board:
            return place
    return index


def _followed(log: Sequence[LogRow], root: int) -> list[int]:
    row, found = log[root], [root]
    for place in range(root + 1, min(len(log), root + LOOK_BACK)):
        candidate = log[place]
        if candidate.rig != row.rig:
            break
        if candidate.event.board != row.event.board:
            continue
        if _begins(candidate.event):
            break
        found.append(place)
    return found


def _led_to(log: Sequence[LogRow], root: int) -> int | None:
    """The beginning that this one carries on, None when it stands by itself."""
    event = log[root].event
    if isinstance(event, FaultLatched):
        return _last(log, root, lambda other: isinstance(other, BoardLost) and event.at_s - other.at_s < _TOGETHER_S)
    if isinstance(event, CommandAccepted) and isinstance(event.command, RevertPoint):
        pending = _last(log, root, lambda other: isinstance(other, PointPending))
        return None if pending is None else _root(log, pending)
    return None


def _last(log: Sequence[LogRow], before: int, wanted: Callable[[Event], bool]) -> int | None:
    row = log[before]
    for place in range(before - 1, max(-1, before - LOOK_BACK), -1):
        candidate = log[place]
        if candidate.rig != row.rig:
            return None
        if candidate.event.board == row.event.board and wanted(candidate.event):
            return place
    return None


def _begins(event: Event) -> bool:
    return isinstance(event, _BEGINNINGS)
