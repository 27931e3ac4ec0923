"""The vocabulary of a rig: readings, snapshots, commands, events, and the door that screens and scripts see.

Pydantic at the border: everything here crosses a socket or a journal as JSON and comes back equal. Unknown is `None`;
zero is a measurement. Every moment carries the loop's time (`at_s`, monotonic) and UTC.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from drivers.boards.board import Channel as Channel
from drivers.boards.board import Envelope as Envelope
from drivers.boards.board import Protection as Protection

NOTE_CHARACTERS: Final = 500
KEEP_WITHIN_MIN_S: Final = 1.0
KEEP_WITHIN_MAX_S: Final = 3600.0


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Quality(StrEnum):
    GOOD = "good"
    SUSPECT = "suspect"
    INVALID = "invalid"


class GuardState(StrEnum):
    """SAFE_OFF -power up-> STARTING -reached-> LIVE; a fault from anywhere -> LATCHED -clear-> SAFE_OFF.

    UNPROTECTED: the control port is gone and nobody can cut the rail. UNKNOWN: before the first safe-off or contact.
    """

    UNKNOWN = "unknown"
    SAFE_OFF = "safe_off"
    STARTING = "starting"
    LIVE = "live"
    LATCHED = "latched"
    UNPROTECTED = "unprotected"


class Cause(StrEnum):
    """Why a board was stopped. Exact: a bus fault is never called over-temperature."""

    CHIP_TEMPERATURE = "chip_temperature"
    VR_TEMPERATURE = "vr_temperature"
    POWER = "power"
    CURRENT = "current"
    INPUT_LOW = "input_low"
    INPUT_HIGH = "input_high"
    CORE_VOLTAGE = "core_voltage"
    REGULATOR_FAULT = "regulator_fault"
    REGULATOR_OFF = "regulator_off"
    SENSOR_STALE = "sensor_stale"
    SENSOR_INVALID = "sensor_invalid"
    SENSOR_BUS = "sensor_bus"
    FAN = "fan"
    RUNAWAY = "runaway"
    ERROR_RATE = "error_rate"
    ACTUATION = "actuation"
    CHIP_SILENT = "chip_silent"
    CONTROL_PORT_LOST = "control_port_lost"
    DATA_PORT_LOST = "data_port_lost"
    SENTINEL_LOST = "sentinel_lost"
    OWNER_LOST = "owner_lost"
    SUSPENDED = "suspended"
    STOP_REQUESTED = "stop_requested"
    INTERNAL = "internal"


class Reading(Model):
    """One channel at one moment: the last known value and how far to trust it."""

    value: float | None
    at_s: float
    quality: Quality
    evidence: str | None = None


def good_value(reading: Reading | None) -> float | None:
    """What is read, in the unit of the channel; None when it is unknown, old or doubtful."""
    return reading.value if reading is not None and reading.quality is Quality.GOOD else None


class OperatingPoint(Model):
    """A frequency and a core voltage. Unknown parts are None."""

    frequency_mhz: float | None = None
    core_v: float | None = None


class PointStatus(Model):
    """What was asked for, what the guard allowed and the hardware can give, and what is read back: three fields."""

    requested: OperatingPoint = OperatingPoint()
    granted: OperatingPoint = OperatingPoint()
    achieved: OperatingPoint = OperatingPoint()


class PendingPoint(Model):
    """A change that nobody has kept yet: at `until_s` (the rig's time) the rig itself goes back to `revert_to`."""

    revert_to: OperatingPoint
    until_s: float
    keep_within_s: float
    refused: str | None = None
    """Why the way back was refused, while the rig tries again."""


class Limited(Model):
    """The board has given way: it runs at `point`, below what was requested, and takes that back by itself later."""

    cause: Cause
    sensor: str
    detail: str
    since_s: float
    point: OperatingPoint


class ChipSnapshot(Model):
    index: int
    address: int
    chip_id: int
    finds: int
    hw_errors: int


class ChainSnapshot(Model):
    """One chain of chips. Counts since the board was opened."""

    chip: str
    chips: tuple[ChipSnapshot, ...]
    expected_chips: int
    frequency_mhz: float | None
    expected_hs: float
    ticket_difficulty: int
    jobs: int
    nonces: int
    verified: int
    hw_errors: int
    duplicates: int
    stale: int
    link_errors: int
    chip_hash_count: int | None = None
    """The chip's own counter (unit 2^32 hashes), as last read."""


class WorkSnapshot(Model):
    """The work session that runs, or the last one. Counts since it began."""

    kind: str
    running: bool
    elapsed_s: float
    jobs: int
    answers_due: int | None
    answers_found: int | None
    yield_ratio: float | None
    yield_ci95: tuple[float, float] | None
    nonces: int
    verified: int
    extra: int
    hw_errors: int
    duplicates: int
    stale: int
    link_errors: int
    hashrate_hs: float | None
    hashrate_ci95_hs: tuple[float, float] | None
    expected_hs: float
    ticket_difficulty: int
    due_by_core: Mapping[int, int] = {}
    found_by_core: Mapping[int, int] = {}


class BoardSnapshot(Model):
    board: str
    at_s: float
    at_utc: datetime
    state: GuardState
    protections: frozenset[Protection]
    channels: Mapping[Channel, Reading]
    point: PointStatus
    chains: tuple[ChainSnapshot, ...]
    work: WorkSnapshot | None
    latched: FaultRecord | None = None
    pending: PendingPoint | None = None
    limited: Limited | None = None
    emulated: bool
    dilution: int
    seed: int | None


class Snapshot(Model):
    schema_: Literal["hashbridge.snapshot/1"] = Field(default="hashbridge.snapshot/1", alias="schema")
    at_s: float
    at_utc: datetime
    boards: tuple[BoardSnapshot, ...]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="null")

    def of(self, board: str) -> BoardSnapshot | None:
        """This board, by its name."""
        return next((found for found in self.boards if found.board == board), None)


class BoardInfo(Model):
    """What of a board does not change while the rig runs. Ports are paths, for messages; empty where there are none."""

    name: str
    kind: str
    title: str
    chip: str
    chips: int
    emulated: bool
    dilution: int = Field(ge=1)
    seed: int | None
    control: str = ""
    data: str = ""
    envelope: Envelope
    unswitchable: tuple[str, ...] = ()


class FaultRecord(Model):
    """Why a board was latched, with the sensor, the numbers and the rule that found it."""

    cause: Cause
    sensor: str | None
    detail: str
    at_s: float
    at_utc: datetime


class ActionRecord(Model):
    name: str
    sent: bool
    confirmed: bool
    detail: str = ""


class SafeOffRecord(Model):
    at_s: float
    confirmed: bool
    by: Literal["rig", "sentinel"]
    actions: tuple[ActionRecord, ...]


# --- commands --------------------------------------------------------------------------------------------------------


class PowerUp(Model):
    """From safe-off to a running point, in the documented order. The change-per-command limits do not bind.

    `dry_run`: judge it and do nothing else; what would be refused now is refused, and not even logged.
    """

    kind: Literal["power_up"] = "power_up"
    frequency_mhz: float | None = None
    core_v: float | None = None
    dry_run: bool = False
    note: str = Field(default="", max_length=NOTE_CHARACTERS)


class SetOperatingPoint(Model):
    """Move a live board. What is None stays. At most 50 mV and 50 MHz per command unless `preset`.

    With `keep_within_s` the change is on trial from the moment it is made: unless `KeepPoint` comes in time, the rig
    goes back by itself, whatever has become of the one who asked. Changes on trial one after the other all go back to
    the last point that was kept. Without it, the change counts as kept.
    """

    kind: Literal["set_operating_point"] = "set_operating_point"
    frequency_mhz: float | None = None
    core_v: float | None = None
    preset: bool = False
    keep_within_s: float | None = Field(default=None, ge=KEEP_WITHIN_MIN_S, le=KEEP_WITHIN_MAX_S)
    dry_run: bool = False
    note: str = Field(default="", max_length=NOTE_CHARACTERS)


class KeepPoint(Model):
    """The change on trial stays. `until_s`: only if it is the trial that ends then (`PendingPoint.until_s`)."""

    kind: Literal["keep_point"] = "keep_point"
    until_s: float | None = None


class RevertPoint(Model):
    """The change on trial goes back now. `until_s` as in `KeepPoint`."""

    kind: Literal["revert_point"] = "revert_point"
    until_s: float | None = None
    why: str = "asked for"


class AddRemark(Model):
    """A line of a person's own in the history, about the board as it is now."""

    kind: Literal["add_remark"] = "add_remark"
    text: str = Field(min_length=1, max_length=NOTE_CHARACTERS)


class StartWork(Model):
    """Feed the chips. `headers` is the path of raw 80-byte records for work "headers"."""

    kind: Literal["start_work"] = "start_work"
    work: Literal["pattern", "synthetic", "headers"]
    headers: str | None = None
    ticket_difficulty: int | None = None
    seed: int | None = None


class StopWork(Model):
    """Stop feeding and let the last window end. The chips keep drawing power: this is not a safe state."""

    kind: Literal["stop_work"] = "stop_work"


class PowerDown(Model):
    """Orderly stop: work stopped, clock ramped down, then safe-off."""

    kind: Literal["power_down"] = "power_down"


class SafeOff(Model):
    """Stop now. Needs no permission."""

    kind: Literal["safe_off"] = "safe_off"
    reason: str = "requested"


class ClearFault(Model):
    """Leave the latch: an act of a person, granted only when the readings are healthy."""

    kind: Literal["clear_fault"] = "clear_fault"


Command = Annotated[
    PowerUp
    | SetOperatingPoint
    | KeepPoint
    | RevertPoint
    | StartWork
    | StopWork
    | PowerDown
    | SafeOff
    | ClearFault
    | AddRemark,
    Field(discriminator="kind"),
]


# --- events ----------------------------------------------------------------------------------------------------------


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
    | PointPending
    | PointKept
    | PointReverted
    | PointLimited
    | LimitLifted
    | Remark
    | FaultLatched
    | FaultRecorded
    | FaultCleared
    | SafeOffDone
    | WorkStarted
    | WorkStopped
    | Note,
    Field(discriminator="kind"),
]


class RigPort(Protocol):
    """What screens, tuners and scripts see of a rig: live, remote or recorded, all look alike."""

    @property
    def info(self) -> tuple[BoardInfo, ...]:
        """The boards of this rig and what does not change of them."""
        ...

    async def request(self, board: str, command: Command) -> None:
        """Returns when the command is done. Raises `Refused`, `Latched`, `UsageError` or another project error."""
        ...

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """State: the newest wins, none queue up."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """History from the rig's first event on: in order, none lost."""
        ...


@runtime_checkable
class Playback(Protocol):
    """What a recorded `RigPort` can do besides: its time is a position in the recording, in seconds from its start.

    A seek is a new beginning: the iterators of `snapshots` and `events` end, and new ones begin with the first event
    and go on as far as the new position. `generation` counts the seeks.
    """

    generation: int
    playing: bool
    speed: float

    @property
    def duration_s(self) -> float: ...

    @property
    def position_s(self) -> float: ...

    def play(self) -> None: ...

    def pause(self) -> None: ...

    def seek(self, position_s: float) -> None:
        """Clamped to the recording."""
        ...

    def past(self, span_s: float, at_most: int) -> Sequence[Snapshot]:
        """What was before the position, oldest first: at most so many snapshots of the last `span_s`, evenly chosen."""
        ...


BoardSnapshot.model_rebuild()
