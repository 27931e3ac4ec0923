"""Events and snapshots made by hand, in order: for what the recorded run does not tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from controller.model import (
    ActionRecord,
    BareHashAccepted,
    BoardAttached,
    BoardLost,
    BoardSnapshot,
    Cause,
    ChipCapped,
    ChipsStopped,
    CommandAccepted,
    CommandRefused,
    Event,
    EventBase,
    FaultCleared,
    FaultLatched,
    FaultRecorded,
    GuardState,
    KeepPoint,
    LimitLifted,
    LimitsChanged,
    Note,
    OperatingPoint,
    OperatorLimits,
    PointKept,
    PointLimited,
    PointPending,
    PointReverted,
    PointStatus,
    PowerUp,
    Protection,
    Quality,
    Reach,
    Reading,
    Remark,
    RetryEnded,
    RetryPlanned,
    RetryRefused,
    SafeOffDone,
    SafeOffRecord,
    Snapshot,
    StateChanged,
    StepApplied,
    WorkSnapshot,
    WorkStarted,
    WorkStopped,
)
from controller.safety.envelope import Envelopes
from drivers.boards import BOARDS
from drivers.boards.board import Channel
from tests.unit.cli.fakes import work_snapshot

E = TypeVar("E", bound=EventBase)

ZERO: Final = datetime(2025, 1, 1, tzinfo=UTC)
STOCK: Final = OperatingPoint(frequency_mhz=525.0, core_v=1.150)
MORE: Final = OperatingPoint(frequency_mhz=550.0, core_v=1.180)
MOST: Final = OperatingPoint(frequency_mhz=575.0, core_v=1.200)


def utc(at_s: float) -> datetime:
    return ZERO + timedelta(seconds=at_s)


class Teller:
    """Numbers the events of one rig. Each comes a second after the one before, unless told otherwise."""

    def __init__(self, board: str = "gamma") -> None:
        self.board, self.seq, self.at_s = board, 0, 0.0
        self.told: list[Event] = []

    def __call__(self, kind: type[E], *, at_s: float | None = None, board: str | None = None, **fields: Any) -> E:
        self.seq += 1
        self.at_s = self.at_s + 1.0 if at_s is None else at_s
        event = kind(seq=self.seq, at_s=self.at_s, at_utc=utc(self.at_s), board=board or self.board, **fields)
        self.told.append(event)  # type: ignore[arg-type]
        return event

    def attached(self, **fields: Any) -> BoardAttached:
        usual = {"firmware": "bitaxe-raw", "parts": {}, "hashing_suspected": False, "emulated": True}
        return self(BoardAttached, **{**usual, "dilution": 1, "seed": 1, **fields})

    def accepted(self, command: Any, point: OperatingPoint | None = None, **fields: Any) -> CommandAccepted:
        return self(CommandAccepted, command=command, steps=1, point=point, **fields)

    def state(self, before: GuardState, after: GuardState, **fields: Any) -> StateChanged:
        return self(StateChanged, before=before, after=after, why="a reason", **fields)

    def pending(self, point: OperatingPoint, revert_to: OperatingPoint) -> PointPending:
        return self(PointPending, point=point, revert_to=revert_to, until_s=self.at_s + 10.0, keep_within_s=10.0)

    def fault(self, **fields: Any) -> FaultLatched:
        usual = {"cause": Cause.FAN, "sensor": "fan_rpm", "detail": "0 rpm", "snapshot": None}
        return self(FaultLatched, **{**usual, **fields})

    def safe_off(self, *, confirmed: bool = True, **fields: Any) -> SafeOffDone:
        return self(SafeOffDone, reason="requested", report=record(confirmed=confirmed), **fields)


def record(*, confirmed: bool = True) -> SafeOffRecord:
    rail = ActionRecord(name="rail off", sent=True, confirmed=confirmed)
    return SafeOffRecord(at_s=0.0, confirmed=confirmed, by="rig", actions=(rail,))


def work(kind: str = "synthetic", **fields: Any) -> WorkSnapshot:
    """Random work that has found nothing yet."""
    unknown = dict.fromkeys(("answers_due", "answers_found", "yield_ratio", "yield_ci95"))
    none_yet = {"elapsed_s": 10.0, "jobs": 1, "nonces": 0, "verified": 0, "extra": 0}
    rate = {"hashrate_hs": 1.0e12, "hashrate_ci95_hs": (0.9e12, 1.1e12), "expected_hs": 1.07e12}
    return work_snapshot(kind, **{**unknown, **none_yet, **rate, **fields})


def board(
    at_s: float, name: str = "gamma", *, channels: dict[Channel, float | None] | None = None, **fields: Any
) -> Any:
    """A live board whose readings were all taken at `at_s`."""
    read = {
        channel: Reading(value=value, at_s=at_s, quality=Quality.GOOD if value is not None else Quality.INVALID)
        for channel, value in (channels or {Channel.CHIP_C: 50.0}).items()
    }
    usual: dict[str, Any] = {
        "board": name,
        "at_s": at_s,
        "at_utc": utc(min(at_s, 1e6)),
        "state": GuardState.LIVE,
        "protections": frozenset(),
        "channels": read,
        "point": PointStatus(requested=STOCK),
        "chains": (),
        "work": None,
        "emulated": True,
        "dilution": 1,
        "seed": 1,
    }
    return BoardSnapshot(**{**usual, **fields})


def snapshot(*boards: BoardSnapshot) -> Snapshot:
    return Snapshot(at_s=boards[0].at_s, at_utc=boards[0].at_utc, boards=boards)


def one_of_each() -> list[Event]:
    """Every kind of event."""
    tell = Teller()
    tell.attached(hashing_suspected=True)
    tell(BoardLost, port="control", detail="the cable is out")
    tell.state(GuardState.SAFE_OFF, GuardState.STARTING)
    tell.accepted(PowerUp(), STOCK)
    tell(CommandRefused, command=KeepPoint(), rule="trial", reason="no change is on trial")
    tell(StepApplied, step="core_voltage", detail="core voltage 1.160 V")
    tell(ChipCapped, chip=3, cap_mhz=None, frequency_mhz=525.0, note="cured")
    tell.pending(MORE, STOCK)
    tell(PointKept, point=MORE, why="kept")
    tell(PointReverted, left=MORE, point=STOCK, why="not kept within 10 s")
    heat: dict[str, Any] = {"cause": Cause.CHIP_TEMPERATURE, "sensor": "chip_c"}
    point = OperatingPoint(frequency_mhz=500.0, core_v=1.15)
    tell(PointLimited, **heat, detail="70.4 C is above the throttle level of 70 C", point=point)
    tell(LimitLifted, cause=Cause.CHIP_TEMPERATURE, point=STOCK)
    unlocked = Envelopes(BOARDS["bitaxe-gamma"].envelope, OperatorLimits(unlock=Reach.RANGE))
    tell(LimitsChanged, limits=unlocked.limits(frozenset({Protection.SENTINEL})), why="reach range: on the screen")
    tell(Remark, text="new paste")
    tell.fault()
    tell(FaultRecorded, cause=Cause.FAN, path="/trips/fan.jsonl")
    tell(FaultCleared, cause=Cause.FAN)
    lower = OperatingPoint(frequency_mhz=425.0, core_v=1.15)
    tell(RetryPlanned, cause=Cause.INPUT_LOW, number=1, of=3, wait_s=60.0, wanted=STOCK, point=lower)
    tell(RetryEnded, cause=Cause.INPUT_LOW, number=1, how="cancelled", why="somebody asks for safe_off")
    tell(RetryRefused, cause=Cause.FAN, why="fan is left to a person")
    tell.safe_off(confirmed=False)
    tell(WorkStarted, work="pattern", ticket_difficulty=1)
    tell(WorkStopped, result=work(running=False))
    tell(
        BareHashAccepted,
        supply="APW12, switch in hand",
        port="/dev/ttyUSB0",
        board_kind="antminer-s21",
        chip="BM1368",
        chips=108,
        dilution=1,
        work="pattern",
        frequency_mhz=50.0,
        seconds=60.0,
        watched=True,
    )
    tell(ChipsStopped, confirmed=False, by="nobody", stop_s=0.3, detail="not every chip has said so")
    tell(Note, level="warn", text="the machine slept")
    return tell.told
