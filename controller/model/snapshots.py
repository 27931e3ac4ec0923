"""What a rig knows of its boards at one moment, and the records that it leaves of a fault and of a safe-off."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from controller.model.limits import Limits
from controller.model.words import (
    Cause,
    FanStatus,
    GuardState,
    Limited,
    Model,
    PendingPoint,
    PointStatus,
    Reading,
    RetryStatus,
    SupplyStatus,
)
from drivers.boards.board import Channel, Envelope, Protection


class ChipSnapshot(Model):
    index: int
    address: int
    chip_id: int
    finds: int
    hw_errors: int
    die_c: float | None = None
    """By its own thermometer, where it has one (BM1368): measured every 15 s, and never calibrated."""
    die_at_s: float | None = None
    frequency_mhz: float | None = None
    """What it was last told; not the chain's where it has a clock of its own. None: in reset, not known, or recorded
    before chips could have one."""
    read_mhz: float | None = None
    """What its own PLL word gave when it was last read back, at `read_at_s`. None: not since the reset, it made no
    sense, or recorded before it was told."""
    read_at_s: float | None = None


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


class ChipWork(Model):
    """What one chip of the chain did in a work session. Known answers by domain; empty where none are known."""

    index: int
    verified: int
    hw_errors: int
    due_by_domain: tuple[int, ...] = ()
    found_by_domain: tuple[int, ...] = ()
    clock_ratio: float = 1.0
    """Its clock over the mean of all chips, while the work ran: where chips have clocks of their own."""


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
    chips: tuple[ChipWork, ...] = ()
    remarks: tuple[str, ...] = ()
    """What is wrong with which chip or domain; empty: nothing that chance does not explain."""


class FaultRecord(Model):
    """Why a board was latched, with the sensor, the numbers and the rule that found it."""

    cause: Cause
    sensor: str | None
    detail: str
    at_s: float
    at_utc: datetime


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
    caps_mhz: Mapping[int, float] = {}
    """The most that a chip may be clocked, by its place on the line; that of the others is the board's clock."""
    latched: FaultRecord | None = None
    pending: PendingPoint | None = None
    limited: Limited | None = None
    limits: Limits | None = None
    """None: recorded before there were any."""
    retry: RetryStatus | None = None
    supply: SupplyStatus | None = None
    """None: not enough of it was seen since the power-up."""
    fan: FanStatus | None = None
    """None: recorded before the fan was led by anything."""
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
