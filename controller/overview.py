"""Many boards at a glance: how the work of one goes, and what of it a person should know, gravest first.

Pure; shared by `hashbridge status` and the screens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from controller.model import BoardSnapshot, Channel, GuardState, Quality
from controller.text import UNKNOWN, hashrate, number

GRAVEST_FIRST: Final = (
    GuardState.UNPROTECTED,
    GuardState.LATCHED,
    GuardState.UNKNOWN,
    GuardState.STARTING,
    GuardState.LIVE,
    GuardState.SAFE_OFF,
)
FAULTY: Final = frozenset({GuardState.UNPROTECTED, GuardState.LATCHED})
"""States that a person has to see whatever else is looked at."""


def work_text(board: BoardSnapshot) -> str:
    """The hash rate, or the yield of known-answer work. Of work that has ended there is no rate now."""
    work = board.work
    if work is None or not work.running:
        return UNKNOWN
    return hashrate(work.hashrate_hs) if work.answers_due is None else f"yield {number(work.yield_ratio, 3)}"


def rate_hs(boards: Iterable[BoardSnapshot]) -> float | None:
    """Of all that hash, together; None where none has a rate."""
    rates = [
        board.work.hashrate_hs
        for board in boards
        if board.work is not None and board.work.running and board.work.hashrate_hs is not None
    ]
    return sum(rates) if rates else None


def states(boards: Iterable[BoardSnapshot]) -> list[tuple[GuardState, int]]:
    """How many are in which state, gravest first."""
    counts = Counter(board.state for board in boards)
    return [(state, counts[state]) for state in GRAVEST_FIRST if counts[state]]


def remarks(board: BoardSnapshot) -> tuple[str, ...]:
    """What is wrong or out of the ordinary, a sentence each, gravest first. Empty: nothing."""
    said: list[str] = []
    if board.state is GuardState.UNPROTECTED:
        said.append("nobody can cut the rail: PULL THE SUPPLY")
    if board.latched is not None:
        sensor = f" ({board.latched.sensor})" if board.latched.sensor else ""
        said.append(f"{board.latched.cause.value}{sensor}: {board.latched.detail}")
    if board.retry is not None and board.retry.due_s is not None:
        due_s = max(0.0, board.retry.due_s - board.at_s)
        said.append(f"retry {board.retry.number} of {board.retry.of} in {due_s:.0f} s")
    if board.pending is not None:
        left_s = max(0.0, board.pending.until_s - board.at_s)
        said.append(f"on trial, {left_s:.0f} s left")
    if board.limited is not None:
        said.append(f"gives way: {board.limited.sensor} {board.limited.detail}")
    if board.work is not None:
        said += board.work.remarks
    if board.fan is not None and board.fan.degraded is not None:
        said.append(f"fan degraded: {board.fan.degraded}")
    if board.supply is not None and board.supply.weak:
        said.append(f"weak supply: {board.supply.ohm:.3f} ohm")
    if board.state is GuardState.LIVE and (doubted := _doubted(board)):
        said.append(doubted)
    if board.state is GuardState.LIVE and (board.work is None or not board.work.running):
        said.append("live without work")
    return tuple(said)


def _doubted(board: BoardSnapshot) -> str:
    """The channels that are not to be trusted now, with what speaks against the first; "" for none. A channel that has
    no value on a live board has never had one: what a board must measure was good before it was live."""
    doubted = [
        (channel, reading)
        for channel, reading in board.channels.items()
        if reading.quality is not Quality.GOOD and reading.value is not None
    ]
    if not doubted:
        return ""
    why = doubted[0][1].evidence
    return f"doubtful: {', '.join(channel.value for channel, _ in doubted)}{f': {why}' if why else ''}"


def value_of(board: BoardSnapshot, channel: Channel) -> float | None:
    """As last read; None where it is not known."""
    reading = board.channels.get(channel)
    return None if reading is None else reading.value
