"""What has happened on a rig: numbered, in order, none left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from controller.model.commands import Command
from controller.model.limits import Limits
from controller.model.snapshots import BoardSnapshot, SafeOffRecord, WorkSnapshot
from controller.model.words import Cause, GuardState, Model, OperatingPoint


class EventBase(Model):
    seq: int
    """Counts up from 1 without gaps, over all boards of a rig."""
    at_s: float
    at_utc: datetime
    board: str


class BoardAttached(EventBase):
    kind: Literal["board_attached"] = "board_attached"
    firmware: str | None
    parts: Mapping[str, str | None]
    hashing_suspected: bool
    emulated: bool
    dilution: int
    seed: int | None


class BoardLost(EventBase):
    kind: Literal["board_lost"] = "board_lost"
    port: Literal["control", "data"]
    detail: str


class StateChanged(EventBase):
    kind: Literal["state_changed"] = "state_changed"
    before: GuardState
    after: GuardState
    why: str


class CommandAccepted(EventBase):
    kind: Literal["command_accepted"] = "command_accepted"
    command: Command
    steps: int
    point: OperatingPoint | None = None
    """Where a command that moves the board leads to, complete: what the command left open is filled in."""


class CommandRefused(EventBase):
    kind: Literal["command_refused"] = "command_refused"
    command: Command
    rule: str
    reason: str


class StepApplied(EventBase):
    kind: Literal["step_applied"] = "step_applied"
    step: str
    detail: str


class ChipCapped(EventBase):
    """A chip runs at `cap_mhz` at most from now on; None: at the board's clock again. `frequency_mhz`: what it was told
    with that; None: the board is off, and it holds from its next power-up on."""

    kind: Literal["chip_capped"] = "chip_capped"
    chip: int
    cap_mhz: float | None
    frequency_mhz: float | None
    note: str = ""


class PointPending(EventBase):
    """A change is made and on trial."""

    kind: Literal["point_pending"] = "point_pending"
    point: OperatingPoint
    revert_to: OperatingPoint
    until_s: float
    keep_within_s: float
    note: str = ""


class PointKept(EventBase):
    kind: Literal["point_kept"] = "point_kept"
    point: OperatingPoint
    why: str


class PointReverted(EventBase):
    """The rig has gone back to the last point that was kept."""

    kind: Literal["point_reverted"] = "point_reverted"
    left: OperatingPoint
    point: OperatingPoint
    why: str


class PointLimited(EventBase):
    """The board gave way by one move, because of heat or a weak supply. The request stays as it is."""

    kind: Literal["point_limited"] = "point_limited"
    cause: Cause
    sensor: str
    detail: str
    point: OperatingPoint


class LimitLifted(EventBase):
    """The board is back at what was requested, or the request has come down to it."""

    kind: Literal["limit_lifted"] = "limit_lifted"
    cause: Cause
    point: OperatingPoint


class LimitsChanged(EventBase):
    """The limits that hold from now on, and why they are not those of before."""

    kind: Literal["limits_changed"] = "limits_changed"
    limits: Limits
    why: str


class Remark(EventBase):
    kind: Literal["remark"] = "remark"
    text: str


class FaultLatched(EventBase):
    kind: Literal["fault_latched"] = "fault_latched"
    cause: Cause
    sensor: str | None
    detail: str
    snapshot: BoardSnapshot | None


class FaultRecorded(EventBase):
    """The minute around a trip is on the disk; `hashbridge tui --open PATH` shows it."""

    kind: Literal["fault_recorded"] = "fault_recorded"
    cause: Cause
    path: str


class FaultCleared(EventBase):
    kind: Literal["fault_cleared"] = "fault_cleared"
    cause: Cause


class RetryPlanned(EventBase):
    """The board will be powered up again by itself, in `wait_s`, to `point`; `wanted` is remembered."""

    kind: Literal["retry_planned"] = "retry_planned"
    cause: Cause
    number: int
    of: int
    wait_s: float
    wanted: OperatingPoint
    point: OperatingPoint


class RetryEnded(EventBase):
    kind: Literal["retry_ended"] = "retry_ended"
    cause: Cause
    number: int
    how: Literal["done", "given up", "cancelled"]
    why: str


class RetryRefused(EventBase):
    """The operator lets this board come back by itself, but not after this trip."""

    kind: Literal["retry_refused"] = "retry_refused"
    cause: Cause
    why: str


class SafeOffDone(EventBase):
    kind: Literal["safe_off_done"] = "safe_off_done"
    reason: str
    report: SafeOffRecord


class WorkStarted(EventBase):
    kind: Literal["work_started"] = "work_started"
    work: str
    ticket_difficulty: int


class WorkStopped(EventBase):
    kind: Literal["work_stopped"] = "work_stopped"
    result: WorkSnapshot


class BareHashAccepted(EventBase):
    """A person starts a line of chips without a bridge: how they named the supply that only they can cut, and that they
    accept it. `watched`: another process stops the chips when this one cannot."""

    kind: Literal["bare_hash_accepted"] = "bare_hash_accepted"
    supply: str
    port: str | None
    board_kind: str | None
    chip: str
    chips: int
    dilution: int
    work: str
    frequency_mhz: float
    own_mhz: Mapping[int, float] = {}
    """Of chips that get another clock than all."""
    seconds: float
    watched: bool


class ChipsStopped(EventBase):
    """The end of that. `confirmed`: every chip was read back at its lowest clock and not hashing. Never a safe-off."""

    kind: Literal["chips_stopped"] = "chips_stopped"
    confirmed: bool
    by: str
    stop_s: float
    """From the decision to the last read-back."""
    detail: str


class Note(EventBase):
    """Something worth a line in the log that changes nothing by itself."""

    kind: Literal["note"] = "note"
    level: Literal["info", "warn", "error"]
    text: str


Event = Annotated[
    BoardAttached
    | BoardLost
    | StateChanged
    | CommandAccepted
    | CommandRefused
    | StepApplied
    | ChipCapped
    | PointPending
    | PointKept
    | PointReverted
    | PointLimited
    | LimitLifted
    | LimitsChanged
    | Remark
    | FaultLatched
    | FaultRecorded
    | FaultCleared
    | RetryPlanned
    | RetryEnded
    | RetryRefused
    | SafeOffDone
    | WorkStarted
    | WorkStopped
    | BareHashAccepted
    | ChipsStopped
    | Note,
    Field(discriminator="kind"),
]
