"""One scenario: a specimen in a room, a point, an operator who means no good, and what goes wrong. From two numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from controller.model import (
    FAN_TARGET_MAX_C,
    FAN_TARGET_MIN_C,
    CapChip,
    ClearFault,
    Command,
    FanMode,
    KeepPoint,
    LimitSession,
    OperatorLimits,
    PowerDown,
    PowerUp,
    Reach,
    RevertPoint,
    SafeOff,
    SessionLimits,
    SetFan,
    SetOperatingPoint,
    SetReach,
    StartWork,
    StopWork,
)
from emulator.benches import BenchSettings
from tests.campaign.catalogue import Fault, draw
from tests.campaign.subject import GAMMA, Subject, subject_of

DILUTION = 1 << 31
"""Coarse work: a find a second at ticket difficulty 256 costs next to nothing to emulate."""
DILUTION_OF_OTHERS = 1 << 32
"""As coarse as it gets: many chips find more."""
WITHOUT_FAULT = 0.2
"""This share of the scenarios has no fault: whatever trips there is a false trip."""
WITH_FAN = 0.5
"""This share leads the fan, by one to four commands; else it stays at full."""
WITH_CAPS = 0.5
"""This share of the boards with several chips has some of them slowed down, by one to six commands."""
WITH_RETRY = 0.3
LETS_IT_START = 0.8
"""So often a room too warm to power up in is a cooler one, and who may have stock only asks for stock first; else these
lives, four of ten, would be those of a board that is off."""
WARMEST_START_C: Final = 38.0
COOLER_C: Final = 20.0
FIRST_FAULT_S = 1.0
MOST_COMMANDS = 40
SUPPLIES: Final = {False: ((5.15, 5.4), (0.05, 0.12)), True: ((12.3, 12.8), (0.02, 0.06))}
"""No-load volts and ohms from, to: of 5 V, as published; of 12 V, assumed: a supply that is in order for the board."""
CLOCKS: Final = (0.0, 50.0, 100.0, 125.0, 175.0, 225.0)
"""Of the 225 MHz that the range of a Gamma spans."""
CLOCK_SPAN_MHZ: Final = 225.0
CLOCK_STEP_MHZ: Final = 6.25
"""Clocks that every chip has."""
CORE_FIFTHS: Final = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a life depends on. Times in seconds from the first command on."""

    seed: int
    index: int
    minutes: float
    settings: BenchSettings
    operator: OperatorLimits
    commands: tuple[tuple[float, Command], ...]
    faults: tuple[Fault, ...]
    board: str = GAMMA


def scenario(seed: int, index: int, minutes: float, board: str = GAMMA, *, by_itself: bool = True) -> Scenario:
    """The same on every machine. `by_itself` False: without fan loop and retry, as before there were any."""
    rng = random.Random(f"{seed}/{index}")
    about = subject_of(board)
    volts, ohms = SUPPLIES[about.twelve_volt]
    plant = replace(
        about.plant,
        spread=True,
        source_v=rng.uniform(*volts),
        source_ohm=rng.uniform(*ohms),
        power_per_k=rng.uniform(0.007, 0.013),
    )
    specimen, room_c = rng.randrange(1, 1 << 30), rng.uniform(5.0, 45.0)
    settings = BenchSettings(
        seed=specimen,
        dilution=DILUTION if board == GAMMA else DILUTION_OF_OTHERS,
        ambient_c=room_c,
        plant=plant,
        fan_controller=rng.choice(["EMC2101", "EMC2101-R"]),
        rail_on_at_power_up=rng.random() < 0.2,
    )
    operator = OperatorLimits(unlock=rng.choice([Reach.STOCK, Reach.RANGE, Reach.RANGE, Reach.HARD]))
    end_s = 60.0 * minutes
    first = _point(rng, about, hostile=False)
    commands: list[tuple[float, Command]] = [
        (0.0, SetReach(reach=operator.unlock)),
        (0.1, PowerUp(frequency_mhz=first[0], core_v=first[1])),
        (rng.uniform(15.0, 30.0), _work(rng)),
    ]
    at_s, pauses_s = 30.0, rng.choice([(0.0, 0.1, 2.0, 10.0, 30.0, 90.0), (60.0, 120.0, 240.0)])
    while (at_s := at_s + rng.choice(pauses_s)) < end_s - 5.0 and len(commands) < MOST_COMMANDS:
        commands.append((at_s, _command(rng, about)))
    faults: list[Fault] = []
    if rng.random() >= WITHOUT_FAULT:
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            faults.append(draw(rng, round(rng.uniform(FIRST_FAULT_S, end_s - 15.0), 2), about))
    if by_itself:
        more = random.Random(f"{seed}/{index}/by itself")  # so that all else is drawn as without it
        operator = operator.model_copy(update={"retry": more.random() < WITH_RETRY})
        apart = random.Random(f"{seed}/{index}/caps")
        commands = sorted(commands + _fan(more, end_s) + _caps(apart, end_s, about), key=lambda asked: asked[0])
        if room_c > WARMEST_START_C and more.random() < LETS_IT_START:
            settings = replace(settings, ambient_c=room_c - COOLER_C)
        if (operator.retry or operator.unlock is Reach.STOCK) and more.random() < LETS_IT_START:
            at = next(place for place, (_, command) in enumerate(commands) if isinstance(command, PowerUp))
            commands[at] = (commands[at][0], PowerUp())
    by_time = tuple(sorted(faults, key=lambda fault: fault.at_s))
    return Scenario(seed, index, minutes, settings, operator, tuple(commands), by_time, board)


def _fan(rng: random.Random, end_s: float) -> list[tuple[float, Command]]:
    """Mostly asked for before the board is powered up, so that it is led for as long as the scenario lasts."""
    if rng.random() >= WITH_FAN:
        return []
    times_s = [rng.choice([0.05, 0.05, 20.0]), *(rng.uniform(30.0, end_s) for _ in range(rng.choice([0, 0, 1, 3])))]
    return [(at_s, _led(rng)) for at_s in times_s]


def _caps(rng: random.Random, end_s: float, about: Subject) -> list[tuple[float, Command]]:
    """Some of them before the board is powered up; also chips that there are not, and clocks that no chip may have."""
    if about.chips == 1 or rng.random() >= WITH_CAPS:
        return []
    times_s = [rng.choice([0.05, 25.0]), *(rng.uniform(30.0, end_s) for _ in range(rng.choice([0, 1, 2, 5])))]
    return [(at_s, _cap(rng, about)) for at_s in times_s]


def _cap(rng: random.Random, about: Subject) -> CapChip:
    clocks, stock_mhz = about.envelope.frequency_mhz, float(about.envelope.stock_frequency_mhz)
    known_mhz = [_clock(about, clocks.low), *(_clock(about, share * stock_mhz) for share in (0.85, 0.9, 0.95, 1.0))]
    wild_mhz = rng.choice([-1.0, 0.0, 50.0, 1e9, rng.uniform(clocks.low - 20.0, clocks.high + 20.0)])
    return CapChip(
        chip=rng.choice([*range(about.chips), about.chips]),
        frequency_mhz=rng.choice([None, *known_mhz, wild_mhz]),
        preset=rng.random() < 0.7,
    )


def _led(rng: random.Random) -> SetFan:
    return SetFan(
        mode=rng.choice([FanMode.AUTO, FanMode.AUTO, FanMode.AUTO, FanMode.FULL]),
        target_chip_c=rng.uniform(FAN_TARGET_MIN_C, FAN_TARGET_MAX_C),
        floor_ratio=rng.choice([0.0, 0.0, 0.6, 1.0]),
    )


def _point(rng: random.Random, about: Subject, *, hostile: bool) -> tuple[float | None, float | None]:
    e, scale = about.envelope, about.core_scale
    volts, clocks = e.core_v, e.frequency_mhz
    if hostile:
        most_mhz, most_v = 1.2 * e.frequency_hard_mhz, 2.0 * scale
        near_mhz = clocks.low - 20.0, clocks.high + 15.0
        near_v = volts.low - 0.02 * scale, e.core_v_hard + 0.01 * scale
        clock = rng.choice([None, rng.uniform(0.0, most_mhz), rng.uniform(*near_mhz), -1.0, 1e9])
        core = rng.choice([None, rng.uniform(0.0, most_v), rng.uniform(*near_v), -1.0])
        return clock, core
    span_mhz, span_v = clocks.high - clocks.low, volts.high - volts.low
    known_mhz = [_clock(about, clocks.low + span_mhz * part / CLOCK_SPAN_MHZ) for part in CLOCKS]
    return rng.choice(known_mhz), rng.choice([round(volts.low + span_v * part / 5, 4) for part in CORE_FIFTHS])


def _clock(about: Subject, near_mhz: float) -> float:
    """The nearest that every chip has, inside of the range."""
    clocks = about.envelope.frequency_mhz
    return min(max(round(near_mhz / CLOCK_STEP_MHZ) * CLOCK_STEP_MHZ, clocks.low), clocks.high)


def _work(rng: random.Random) -> StartWork:
    return StartWork(work="synthetic", ticket_difficulty=256, seed=rng.randrange(1, 1000))


def _command(rng: random.Random, about: Subject) -> Command:
    hostile = rng.random() < 0.5
    clock, core = _point(rng, about, hostile=hostile)
    e, scale = about.envelope, about.core_scale
    match rng.randrange(16):
        case 0 | 1 | 2 | 3 | 4 | 5:
            if clock is None and core is None:
                clocks = e.frequency_mhz
                clock = _clock(about, clocks.low + (clocks.high - clocks.low) / 3.0)
            keep_s = rng.choice([None, None, 5.0, 30.0])
            return SetOperatingPoint(frequency_mhz=clock, core_v=core, preset=rng.random() < 0.7, keep_within_s=keep_s)
        case 6 | 7:
            return PowerUp(frequency_mhz=clock, core_v=core)
        case 8 | 9:
            return _work(rng)
        case 10:
            return StopWork()
        case 11:
            return PowerDown() if rng.random() < 0.5 else SafeOff(reason="campaign")
        case 12 | 13:
            return ClearFault()
        case 14:
            return KeepPoint() if rng.random() < 0.5 else RevertPoint()
        case _:
            if rng.random() < 0.5:
                return SetReach(reach=rng.choice(tuple(Reach)))
            stock_v, hard_v = float(e.stock_core_v), float(e.core_v_hard)
            near = (stock_v - 0.05 * scale, stock_v + 0.05 * scale, hard_v - 0.01 * scale)
            most_v = rng.choice([None, *(round(volts, 4) for volts in near)])
            return LimitSession(limits=SessionLimits(core_v_max=most_v))
