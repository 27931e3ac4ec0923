"""How this project says things on a screen: labels, digits, badges. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from controller.model import (
    BareHashAccepted,
    BoardAttached,
    BoardLost,
    CapChip,
    Channel,
    ChipCapped,
    ChipsStopped,
    Command,
    CommandAccepted,
    CommandRefused,
    Event,
    FanMode,
    FaultCleared,
    FaultLatched,
    FaultRecorded,
    GuardState,
    LimitLifted,
    LimitsChanged,
    Note,
    OperatingPoint,
    PointKept,
    PointLimited,
    PointPending,
    PointReverted,
    PowerUp,
    Protection,
    Reach,
    Remark,
    RetryEnded,
    RetryPlanned,
    RetryRefused,
    SafeOff,
    SafeOffDone,
    SetFan,
    SetOperatingPoint,
    SetReach,
    StartWork,
    StateChanged,
    StepApplied,
    WorkStarted,
    WorkStopped,
)
from controller.text import UNKNOWN, chip_cap, duration, fan, hashrate, number


class Shown(NamedTuple):
    """How a channel is shown."""

    label: str
    unit: str
    digits: int


CHANNELS: Final[Mapping[Channel, Shown]] = {
    Channel.CHIP_C: Shown("die", "°C", 1),
    Channel.VR_C: Shown("regulator", "°C", 1),
    Channel.INPUT_V: Shown("input", "V", 3),
    Channel.CORE_V: Shown("core", "V", 3),
    Channel.CORE_A: Shown("core", "A", 2),
    Channel.CORE_W: Shown("core", "W", 2),
    Channel.POWER_W: Shown("power", "W", 2),
    Channel.INPUT_W: Shown("input", "W", 2),
    Channel.FAN_RPM: Shown("fan", "rpm", 0),
    Channel.FAN_RATIO: Shown("fan duty", "%", 0),
    Channel.STATUS_WORD: Shown("status", "", 0),
    Channel.RESET_RELEASED: Shown("reset", "", 0),
    Channel.FREQUENCY_MHZ: Shown("clock", "MHz", 2),
}

STATES: Final[Mapping[GuardState, tuple[str, str]]] = {
    GuardState.UNKNOWN: ("UNKNOWN", "warn"),
    GuardState.SAFE_OFF: ("SAFE OFF", "good"),
    GuardState.STARTING: ("STARTING", "warn"),
    GuardState.LIVE: ("LIVE", "good"),
    GuardState.LATCHED: ("LATCHED", "alarm"),
    GuardState.UNPROTECTED: ("UNPROTECTED", "alarm"),
}

PROTECTIONS: Final[Mapping[Protection, str]] = {
    Protection.SOFTWARE_TRIPS: "software trips",
    Protection.SENTINEL: "sentinel",
    Protection.REGULATOR_LIMITS: "regulator limits",
    Protection.FAN_TABLE: "fan table",
    Protection.HOST_LEASE: "host lease",
}


def reading(channel: Channel, value: float | None) -> str:
    """A value with its unit, as this channel is shown."""
    shown = CHANNELS[channel]
    if value is None or not math.isfinite(value):
        return number(value, shown.digits, shown.unit)
    if channel is Channel.STATUS_WORD:
        return f"{int(value):#06x}"
    if channel is Channel.RESET_RELEASED:
        return "released" if value else "asserted"
    if channel is Channel.FAN_RATIO:
        value *= 100.0
    return number(value, shown.digits, shown.unit)


def point(wish: OperatingPoint) -> str:
    return f"{number(wish.frequency_mhz, 2)} MHz {number(wish.core_v, 3)} V"


def clock(moment: datetime, *, thousandths: bool = False) -> str:
    text = f"{moment:%H:%M:%S}"
    return f"{text}.{moment.microsecond // 1000:03d}" if thousandths else text


def dilution(count: int) -> str:
    """2^24 for a power of two."""
    return f"2^{count.bit_length() - 1}" if count & (count - 1) == 0 and count > 1 else str(count)


def command(given: Command) -> str:
    """One wish in words."""
    match given:
        case PowerUp() | SetOperatingPoint():
            what = "power up" if isinstance(given, PowerUp) else "set"
            parts = [what]
            if given.frequency_mhz is not None:
                parts.append(f"{given.frequency_mhz:.2f} MHz")
            if given.core_v is not None:
                parts.append(f"{given.core_v:.3f} V")
            if isinstance(given, SetOperatingPoint) and given.keep_within_s is not None:
                parts.append(f"on trial {given.keep_within_s:g} s")
            if given.note:
                parts.append(f"“{given.note}”")
            return " ".join(parts)
        case CapChip(chip=chip, frequency_mhz=cap, note=note):
            return f"{chip_cap(chip, cap)} “{note}”" if note else chip_cap(chip, cap)
        case StartWork(work=work, version_mask=mask):
            return f"start work {work}" if mask is None else f"start work {work}, version mask {mask:08x}"
        case SafeOff(reason=reason):
            return f"safe-off: {reason}"
        case SetFan():
            return f"fan {fan(given.mode is FanMode.AUTO, given.target_chip_c, given.floor_ratio)}"
        case SetReach(reach=reach, note=note):
            what = "lock beyond stock" if reach is Reach.STOCK else f"unlock as far as {reach.value}"
            return f"{what} “{note}”" if note else what
        case _:
            return given.kind.replace("_", " ")


LEVELS: Final = ("all", "info", "warn", "error")
"""What the log can be narrowed to: from everything to what went wrong."""


def level(event: Event) -> str:
    """detail, info, warn or error."""
    match event:
        case FaultLatched() | BoardLost():
            return "error"
        case SafeOffDone(report=report):
            return "info" if report.confirmed else "error"
        case ChipsStopped(confirmed=confirmed):
            return "info" if confirmed else "error"
        case Note(level=named):
            return named
        case CommandRefused() | PointReverted() | PointLimited() | RetryRefused():
            return "warn"
        case StateChanged(after=GuardState.LATCHED | GuardState.UNPROTECTED):
            return "error"
        case StepApplied():
            return "detail"
        case _:
            return "info"


def kind(event: Event) -> str:
    return event.kind.replace("_", " ")


def summary(event: Event) -> str:
    """What happened, in one line."""
    match event:
        case BoardAttached():
            emulated = (
                f", emulated, seed {event.seed}, one hash is {dilution(event.dilution)}" if event.emulated else ""
            )
            found = ", found powered" if event.hashing_suspected else ""
            return f"firmware {event.firmware or UNKNOWN}{emulated}{found}"
        case BoardLost():
            return f"{event.port} port: {event.detail}"
        case StateChanged():
            return f"{event.before.value} → {event.after.value}: {event.why}"
        case CommandAccepted():
            steps = f" ({event.steps} steps)" if event.steps else ""
            return f"{command(event.command)}{steps}"
        case CommandRefused():
            return f"{command(event.command)}: {event.reason}"
        case StepApplied():
            return event.detail
        case ChipCapped(chip=chip, cap_mhz=cap):
            told = "from the next power-up on" if event.frequency_mhz is None else f"now {event.frequency_mhz:g} MHz"
            return f"{chip_cap(chip, cap)}, {told}{f': {event.note}' if event.note else ''}"
        case PointPending():
            return (
                f"{point(event.point)}, back to {point(event.revert_to)} unless kept within {event.keep_within_s:g} s"
            )
        case PointKept():
            return f"{point(event.point)}: {event.why}"
        case PointReverted():
            return f"{point(event.left)} → {point(event.point)}: {event.why}"
        case PointLimited():
            return f"{point(event.point)}: {event.sensor} {event.detail}"
        case LimitLifted():
            return f"{point(event.point)}, after {event.cause.value}"
        case LimitsChanged(limits=now):
            clock, core = now.frequency_mhz_max, now.core_v_max
            most = f"at most {clock.value:g} MHz ({clock.layer.value}), {core.value:g} V ({core.layer.value})"
            return f"{most}: {event.why}"
        case Remark():
            return event.text
        case FaultLatched():
            sensor = f" ({event.sensor})" if event.sensor else ""
            return f"{event.cause.value}{sensor}: {event.detail}"
        case FaultRecorded():
            return f"{event.cause.value}: {event.path}"
        case FaultCleared():
            return f"{event.cause.value}, by a person"
        case RetryPlanned():
            return f"{event.number} of {event.of} in {duration(event.wait_s)}, {point(event.point)}"
        case RetryEnded():
            return f"{event.number}: {event.how}{f', {event.why}' if event.why else ''}"
        case RetryRefused():
            return f"{event.cause.value}: {event.why}"
        case SafeOffDone():
            failed = [action.name for action in event.report.actions if not action.confirmed]
            told = "confirmed" if event.report.confirmed else f"NOT confirmed: {', '.join(failed) or 'nothing'}"
            return f"{told} by {event.report.by}; {event.reason}"
        case WorkStarted():
            return f"{event.work}, ticket difficulty {event.ticket_difficulty}"
        case WorkStopped(result=work):
            if work.answers_due is not None:
                return f"{work.kind}: {work.answers_found} of {work.answers_due} answers in {work.elapsed_s:.0f} s"
            return f"{work.kind}: {hashrate(work.hashrate_hs)}, {work.verified} verified in {work.elapsed_s:.0f} s"
        case BareHashAccepted():
            apart = f", {len(event.own_mhz)} of them at their own clock," if event.own_mhz else ""
            asked = f"{event.chips} x {event.chip} at {event.frequency_mhz:g} MHz{apart} for {event.seconds:g} s"
            return f"{asked}, nothing can cut their power but a hand: {event.supply}"
        case ChipsStopped():
            told = f"confirmed by {event.by}" if event.confirmed else "NOT confirmed: cut the supply"
            return f"{told}, {event.stop_s:.2f} s; {event.detail}"
        case Note():
            return event.text
