"""The words of a rig: qualities, states, causes, readings and points. Unknown is `None`; zero is a measurement."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

NOTE_CHARACTERS: Final = 500
KEEP_WITHIN_MIN_S: Final = 1.0
KEEP_WITHIN_MAX_S: Final = 3600.0
FAN_TARGET_MIN_C: Final = 35.0
FAN_TARGET_MAX_C: Final = 63.0
"""3 C below the warning level, at which the fan goes to full."""


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
    LEASE_EXPIRED = "lease_expired"
    """The board's own firmware heard nothing for as long as its lease, and has made the board safe."""
    LEASE_LOST = "lease_lost"
    """Heartbeats are no longer confirmed, or the firmware knows of no lease."""
    CHIP_TRIP = "chip_trip"
    """The chips' own trip line, seen by the board's firmware."""
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


class FanMode(StrEnum):
    """FULL: always. AUTO: the fan follows the temperatures where that is allowed, and is full elsewhere."""

    FULL = "full"
    AUTO = "auto"


class FanStatus(Model):
    """How the fan is led. `floor_ratio`: the least duty in AUTO, 0 to 1. `why_full`: why it is full now; None when it
    follows. `degraded`: it turns slower than it should, with the numbers."""

    mode: FanMode
    target_chip_c: float
    floor_ratio: float
    why_full: str | None = None
    degraded: str | None = None


class RetryStatus(Model):
    """The board comes back by itself after a trip, or has done so: retry `number` of `of`, to `point`. `wanted`: what
    somebody asked for and has not got since. `due_s`: when it begins, by the rig's time; None: it runs there."""

    cause: Cause
    number: int
    of: int
    wanted: OperatingPoint
    point: OperatingPoint
    due_s: float | None


class SupplyStatus(Model):
    """The supply as a source: `open_v` behind `ohm`, of cable, plug and supply together, with one standard deviation.

    `weak`: surely above 0.12 ohm. `estimated`: the input current is not measured, and reckoned from the core power.
    """

    ohm: float
    ohm_sigma: float
    open_v: float
    weak: bool
    estimated: bool


class Limited(Model):
    """The board has given way: it runs at `point`, below what was requested, and takes that back by itself later."""

    cause: Cause
    sensor: str
    detail: str
    since_s: float
    point: OperatingPoint
