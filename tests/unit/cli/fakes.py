"""A rig that is none: answers commands as it is told, and says what a rig would say. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.model import (
    ActionRecord,
    BoardAttached,
    BoardInfo,
    BoardSnapshot,
    CapChip,
    Cause,
    Command,
    Event,
    FaultLatched,
    GuardState,
    OperatingPoint,
    PointStatus,
    PowerDown,
    PowerUp,
    Quality,
    Reading,
    SafeOff,
    SafeOffDone,
    SafeOffRecord,
    SetFan,
    Snapshot,
    StartWork,
    StepApplied,
    StopWork,
    WorkSnapshot,
    WorkStopped,
)
from drivers.boards.board import Channel, Protection

BOARD = "bitaxe-gamma"
ZERO = datetime(2026, 11, 22, tzinfo=UTC)
CONFIRMED = SafeOffRecord(
    at_s=9.0,
    confirmed=True,
    by="rig",
    actions=tuple(ActionRecord(name=name, sent=True, confirmed=True) for name in ("reset", "rail", "fan")),
)


def work_snapshot(kind: str = "pattern", **changes: Any) -> WorkSnapshot:
    values: dict[str, Any] = {
        "kind": kind,
        "running": True,
        "elapsed_s": 2.0,
        "jobs": 62,
        "answers_due": 61,
        "answers_found": 61,
        "yield_ratio": 1.0,
        "yield_ci95": (0.941, 1.0),
        "nonces": 561,
        "verified": 561,
        "extra": 500,
        "hw_errors": 0,
        "duplicates": 0,
        "stale": 0,
        "link_errors": 0,
        "hashrate_hs": None,
        "hashrate_ci95_hs": None,
        "expected_hs": 1.071e12,
        "ticket_difficulty": 1,
    }
    return WorkSnapshot(**(values | changes))


def board_snapshot(at_s: float = 0.0, **changes: Any) -> BoardSnapshot:
    def reading(value: float | None) -> Reading:
        return Reading(value=value, at_s=at_s, quality=Quality.GOOD)

    values: dict[str, Any] = {
        "board": BOARD,
        "at_s": at_s,
        "at_utc": ZERO + timedelta(seconds=at_s),
        "state": GuardState.LIVE,
        "protections": frozenset({Protection.SENTINEL, Protection.REGULATOR_LIMITS}),
        "channels": {
            Channel.CHIP_C: reading(58.25),
            Channel.VR_C: reading(52.0),
            Channel.CORE_V: reading(1.125),
            Channel.CORE_W: reading(11.9),
            Channel.POWER_W: reading(16.9),
            Channel.INPUT_V: reading(5.07),
            Channel.INPUT_W: reading(None),
            Channel.FAN_RPM: reading(5217.4),
        },
        "point": PointStatus(
            requested=OperatingPoint(frequency_mhz=525.0, core_v=1.15),
            granted=OperatingPoint(frequency_mhz=525.0, core_v=1.15),
            achieved=OperatingPoint(frequency_mhz=525.0, core_v=1.125),
        ),
        "chains": (),
        "work": None,
        "emulated": True,
        "dilution": 1,
        "seed": 1,
    }
    return BoardSnapshot(**(values | changes))


class FakeRig:
    """A `RigPort`. `hooks` maps the kind of a command to what happens instead of the usual."""

    info: tuple[BoardInfo, ...] = ()

    def __init__(self, **hooks: Callable[[FakeRig], Awaitable[None]]) -> None:
        self.asked: list[Command] = []
        self.hooks = hooks
        self.work: WorkSnapshot | None = None
        self.safe_off_confirmed = True
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._seq = 0
        self.tell(BoardAttached, firmware=None, parts={"tps546": "TPS546D24A"}, hashing_suspected=False,
                  emulated=True, dilution=1, seed=1)  # fmt: skip

    def tell(self, kind: Any, **fields: Any) -> None:
        self._seq += 1
        self._events.put_nowait(kind(seq=self._seq, at_s=self.now_s, at_utc=ZERO, board=BOARD, **fields))

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def hang_up(self) -> None:
        self._events.put_nowait(None)

    def trip(self, cause: Cause = Cause.CHIP_TEMPERATURE, detail: str = "76.0 C for 1.0 s") -> None:
        self.tell(FaultLatched, cause=cause, sensor="chip_c", detail=detail, snapshot=None)
        self.report_safe_off("trip")

    def report_safe_off(self, reason: str) -> None:
        confirmed = self.safe_off_confirmed
        actions = (ActionRecord(name="rail off", sent=True, confirmed=confirmed),)
        self.tell(
            SafeOffDone,
            reason=reason,
            report=SafeOffRecord(at_s=self.now_s, confirmed=confirmed, by="rig", actions=actions),
        )

    async def request(self, board: str, command: Command) -> None:
        assert board == BOARD
        self.asked.append(command)
        await asyncio.sleep(0.1)
        hook = self.hooks.get(command.kind)
        if hook is not None:
            await hook(self)
            return
        match command:
            case PowerUp():
                self.tell(StepApplied, step="RailOn", detail="")
            case StartWork(work=work):
                self.work = work_snapshot(work)
            case StopWork():
                assert self.work is not None
                self.tell(WorkStopped, result=self.work.model_copy(update={"running": False}))
                self.work = None
            case SetFan() | CapChip():
                return
            case PowerDown() | SafeOff():
                self.report_safe_off(command.kind)
            case _:
                raise AssertionError(f"nobody asks for {command.kind} here")

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        while True:
            await asyncio.sleep(0.2)
            board = board_snapshot(self.now_s, work=self.work)
            yield Snapshot(at_s=board.at_s, at_utc=board.at_utc, boards=(board,))

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event
