"""In which order a board is moved: lists of steps, nothing else. Pure.

Raise: voltage first, read back, then clock. Lower: clock first, then voltage. So at every moment the rail is at least
what the present clock needs. The sweep window (hash-counting number) is slice * 25 MHz / f / 2 ticks: a faster clock
needs *fewer* ticks, and a window that is too long runs into the next core's share and finds duplicates. So the shorter
window goes out before a clock rises and the longer one after it has fallen. Numbers: docs/safety.md, "Ordering".
"""

from __future__ import annotations

import math

from drivers.boards.board import (
    AssertReset,
    BringUp,
    CoreVoltage,
    Envelope,
    FanDuty,
    FastLink,
    Frequency,
    LockDown,
    RailOn,
    ReleaseReset,
    Step,
    SweepWindow,
    TicketDifficulty,
    VerifyRail,
)
from drivers.units import Megahertz, Ratio, Volts

CHIP_RESET_MHZ = Megahertz(50.0)
"""The clock of a chip out of reset (BM1366 and later)."""
HALF_WAY_PAUSE_S = 2.0
"""The ramp of a power-up waits here at half the target, so that a weak supply shows before full load."""
RAIL_SETTLE_S = 0.1
"""From the last voltage write to its read-back."""
_NEAR_MHZ = 1e-6
_NEAR_V = 1e-6


def power_up(envelope: Envelope, core_v: Volts, frequency_mhz: Megahertz, ticket_difficulty: int | None) -> list[Step]:
    """From safe-off to the point: fan, limits, rail, reset, chips, clock."""
    steps: list[Step] = [
        FanDuty(Ratio(1.0)),
        LockDown(),
        CoreVoltage(core_v),
        RailOn(settle_s=0.5),
        _verify(envelope, core_v),
    ]
    return steps + chips_up(envelope, frequency_mhz, ticket_difficulty)


def chips_up(envelope: Envelope, frequency_mhz: Megahertz, ticket_difficulty: int | None) -> list[Step]:
    """Of a powered board whose chips are in reset: out of it, and to the clock."""
    steps: list[Step] = [ReleaseReset(), BringUp()]
    if ticket_difficulty is not None:
        steps.append(TicketDifficulty(ticket_difficulty))
    half_mhz = frequency_mhz / 2
    before_mhz: float = CHIP_RESET_MHZ
    for step in clock_ramp(envelope, CHIP_RESET_MHZ, frequency_mhz):
        paused = before_mhz < half_mhz <= step.frequency_mhz
        steps.append(Frequency(step.frequency_mhz, settle_s=HALF_WAY_PAUSE_S) if paused else step)
        before_mhz = step.frequency_mhz
    steps += [SweepWindow(frequency_mhz), FastLink()]
    return steps


def chips_again(
    envelope: Envelope, core_v: Volts, frequency_mhz: Megahertz, ticket_difficulty: int | None
) -> list[Step]:
    """Of a live board: its chips through reset and back to the clock, on a rail read back without its load."""
    steps: list[Step] = [FanDuty(Ratio(1.0)), AssertReset(), VerifyRail(core_v)]
    return steps + chips_up(envelope, frequency_mhz, ticket_difficulty)


def move(envelope: Envelope, from_v: Volts, from_mhz: Megahertz, to_v: Volts, to_mhz: Megahertz) -> list[Step]:
    """From one live point to another. A falling clock moves first, a falling voltage moves last."""
    volts_up = voltage_rise(envelope, from_v, to_v)
    volts_down = voltage_fall(envelope, from_v, to_v)
    ramp = list(clock_ramp(envelope, from_mhz, to_mhz))
    if to_mhz > from_mhz + _NEAR_MHZ:
        return [*volts_up, SweepWindow(to_mhz), *ramp, *volts_down]
    if to_mhz < from_mhz - _NEAR_MHZ:
        return [*ramp, SweepWindow(to_mhz), *(volts_up or volts_down)]
    return volts_up or volts_down


def power_down(envelope: Envelope, from_mhz: Megahertz) -> list[Step]:
    """The orderly part of a stop: the clock to its floor, then no hashing. Safe-off follows."""
    return [*clock_ramp(envelope, from_mhz, CHIP_RESET_MHZ), SweepWindow(Megahertz(0.0))]


def clock_ramp(envelope: Envelope, from_mhz: Megahertz, to_mhz: Megahertz) -> list[Frequency]:
    """As `slew`, on the grid of the board."""
    return slew(from_mhz, to_mhz, envelope.frequency_step_mhz, envelope.frequency_step_s)


def slew(from_mhz: float, to_mhz: Megahertz, grid: float, pause_s: float) -> list[Frequency]:
    """Steps on the grid (MHz), the last one exactly on the target. Empty when already there."""
    steps: list[Frequency] = []
    if to_mhz > from_mhz + _NEAR_MHZ:
        index = math.floor(from_mhz / grid + _NEAR_MHZ) + 1
        while index * grid < to_mhz - _NEAR_MHZ:
            steps.append(Frequency(Megahertz(index * grid), settle_s=pause_s))
            index += 1
    elif to_mhz < from_mhz - _NEAR_MHZ:
        index = math.ceil(from_mhz / grid - _NEAR_MHZ) - 1
        while index * grid > to_mhz + _NEAR_MHZ:
            steps.append(Frequency(Megahertz(index * grid), settle_s=pause_s))
            index -= 1
    else:
        return steps
    steps.append(Frequency(to_mhz, settle_s=pause_s))
    return steps


def voltage_rise(envelope: Envelope, from_v: Volts, to_v: Volts) -> list[Step]:
    """Up in small steps, then one read-back. Empty when the voltage does not rise."""
    if to_v <= from_v + _NEAR_V:
        return []
    count = math.ceil((to_v - from_v) / envelope.core_v_step_v - 1e-9)
    values = [from_v + envelope.core_v_step_v * index for index in range(1, count)]
    steps: list[Step] = [CoreVoltage(Volts(round(value, 6)), settle_s=envelope.core_v_step_s) for value in values]
    steps += [CoreVoltage(to_v, settle_s=envelope.core_v_step_s), _verify(envelope, to_v)]
    return steps


def voltage_fall(envelope: Envelope, from_v: Volts, to_v: Volts) -> list[Step]:
    """Down in one move: the regulator sets the slope. Empty when the voltage does not fall."""
    if to_v >= from_v - _NEAR_V:
        return []
    return [CoreVoltage(to_v, settle_s=RAIL_SETTLE_S), _verify(envelope, to_v)]


def _verify(envelope: Envelope, core_v: Volts) -> VerifyRail:
    return VerifyRail(core_v, tolerance_v=envelope.core_v_within_v)
