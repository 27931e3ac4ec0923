"""The vocabulary of a rig: readings, snapshots, commands, events, and the door that screens and scripts see.

Pydantic at the border: everything here crosses a socket or a journal as JSON and comes back equal. Unknown is `None`;
zero is a measurement. Every moment carries the loop's time (`at_s`, monotonic) and UTC.
"""

from __future__ import annotations

from controller.model.commands import (
    AddRemark as AddRemark,
)
from controller.model.commands import (
    CapChip as CapChip,
)
from controller.model.commands import (
    ClearFault as ClearFault,
)
from controller.model.commands import (
    Command as Command,
)
from controller.model.commands import (
    KeepPoint as KeepPoint,
)
from controller.model.commands import (
    LimitSession as LimitSession,
)
from controller.model.commands import (
    PowerDown as PowerDown,
)
from controller.model.commands import (
    PowerUp as PowerUp,
)
from controller.model.commands import (
    RevertPoint as RevertPoint,
)
from controller.model.commands import (
    SafeOff as SafeOff,
)
from controller.model.commands import (
    SetFan as SetFan,
)
from controller.model.commands import (
    SetOperatingPoint as SetOperatingPoint,
)
from controller.model.commands import (
    SetReach as SetReach,
)
from controller.model.commands import (
    StartWork as StartWork,
)
from controller.model.commands import (
    StopWork as StopWork,
)
from controller.model.events import (
    BareHashAccepted as BareHashAccepted,
)
from controller.model.events import (
    BoardAttached as BoardAttached,
)
from controller.model.events import (
    BoardLost as BoardLost,
)
from controller.model.events import (
    ChipCapped as ChipCapped,
)
from controller.model.events import (
    ChipsStopped as ChipsStopped,
)
from controller.model.events import (
    CommandAccepted as CommandAccepted,
)
from controller.model.events import (
    CommandRefused as CommandRefused,
)
from controller.model.events import (
    Event as Event,
)
from controller.model.events import (
    EventBase as EventBase,
)
from controller.model.events import (
    FaultCleared as FaultCleared,
)
from controller.model.events import (
    FaultLatched as FaultLatched,
)
from controller.model.events import (
    FaultRecorded as FaultRecorded,
)
from controller.model.events import (
    LimitLifted as LimitLifted,
)
from controller.model.events import (
    LimitsChanged as LimitsChanged,
)
from controller.model.events import (
    Note as Note,
)
from controller.model.events import (
    PointKept as PointKept,
)
from controller.model.events import (
    PointLimited as PointLimited,
)
from controller.model.events import (
    PointPending as PointPending,
)
from controller.model.events import (
    PointReverted as PointReverted,
)
from controller.model.events import (
    Remark as Remark,
)
from controller.model.events import (
    RetryEnded as RetryEnded,
)
from controller.model.events import (
    RetryPlanned as RetryPlanned,
)
from controller.model.events import (
    RetryRefused as RetryRefused,
)
from controller.model.events import (
    SafeOffDone as SafeOffDone,
)
from controller.model.events import (
    StateChanged as StateChanged,
)
from controller.model.events import (
    StepApplied as StepApplied,
)
from controller.model.events import (
    WorkStarted as WorkStarted,
)
from controller.model.events import (
    WorkStopped as WorkStopped,
)
from controller.model.limits import (
    Layer as Layer,
)
from controller.model.limits import (
    Limit as Limit,
)
from controller.model.limits import (
    Limits as Limits,
)
from controller.model.limits import (
    OperatorLimits as OperatorLimits,
)
from controller.model.limits import (
    Reach as Reach,
)
from controller.model.limits import (
    SessionLimits as SessionLimits,
)
from controller.model.port import (
    Playback as Playback,
)
from controller.model.port import (
    RigPort as RigPort,
)
from controller.model.snapshots import (
    ActionRecord as ActionRecord,
)
from controller.model.snapshots import (
    BoardInfo as BoardInfo,
)
from controller.model.snapshots import (
    BoardSnapshot as BoardSnapshot,
)
from controller.model.snapshots import (
    ChainSnapshot as ChainSnapshot,
)
from controller.model.snapshots import (
    ChipSnapshot as ChipSnapshot,
)
from controller.model.snapshots import (
    ChipWork as ChipWork,
)
from controller.model.snapshots import (
    FaultRecord as FaultRecord,
)
from controller.model.snapshots import (
    SafeOffRecord as SafeOffRecord,
)
from controller.model.snapshots import (
    Snapshot as Snapshot,
)
from controller.model.snapshots import (
    WorkSnapshot as WorkSnapshot,
)
from controller.model.words import (
    FAN_TARGET_MAX_C as FAN_TARGET_MAX_C,
)
from controller.model.words import (
    FAN_TARGET_MIN_C as FAN_TARGET_MIN_C,
)
from controller.model.words import (
    KEEP_WITHIN_MAX_S as KEEP_WITHIN_MAX_S,
)
from controller.model.words import (
    KEEP_WITHIN_MIN_S as KEEP_WITHIN_MIN_S,
)
from controller.model.words import (
    NOTE_CHARACTERS as NOTE_CHARACTERS,
)
from controller.model.words import (
    Cause as Cause,
)
from controller.model.words import (
    FanMode as FanMode,
)
from controller.model.words import (
    FanStatus as FanStatus,
)
from controller.model.words import (
    GuardState as GuardState,
)
from controller.model.words import (
    Limited as Limited,
)
from controller.model.words import (
    Model as Model,
)
from controller.model.words import (
    OperatingPoint as OperatingPoint,
)
from controller.model.words import (
    PendingPoint as PendingPoint,
)
from controller.model.words import (
    PointStatus as PointStatus,
)
from controller.model.words import (
    Quality as Quality,
)
from controller.model.words import (
    Reading as Reading,
)
from controller.model.words import (
    RetryStatus as RetryStatus,
)
from controller.model.words import (
    SupplyStatus as SupplyStatus,
)
from controller.model.words import (
    good_value as good_value,
)
from drivers.boards.board import Channel as Channel
from drivers.boards.board import Envelope as Envelope
from drivers.boards.board import Protection as Protection
