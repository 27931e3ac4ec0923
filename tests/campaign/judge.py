"""Holds what was really so against what is promised. What sensors said does not count."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from controller.model import Cause, GuardState
from drivers.boards.board import Channel
from tests.campaign.catalogue import Excuse, Fault
from tests.campaign.life import Life, Trip, Truth
from tests.campaign.scenario import Scenario
from tests.campaign.subject import Subject, subject_of


class Bound(NamedTuple):
    """A hard limit, and how far physics may carry a board beyond it before anybody can have acted."""

    of: Callable[[Truth], float]
    hard: float
    overshoot: float
    unit: str
    for_s: float = 0.0
    """It may be passed for so long."""

    @property
    def most(self) -> float:
        return self.hard + self.overshoot


WHY: Final[Mapping[str, str]] = {
    "die": "1 s of debounce, a sweep and the safe-off at 2 C/s",
    "regulator": "the same times at 0.5 C/s: its time constant is 100 s",
    "core voltage": "VOUT_MAX, which the regulator itself holds, is 50 mV above the hard limit, on the whole rail; "
    "a DAC has no such limit, and steps of 3.7 mV",
    "core current": "the regulator's own limit, latched; it measures to 5 %",
    "input power": "0.2 s of debounce, two sweeps",
}
"""Why a board may be beyond its limit by so much."""
DAC_STEP_V: Final = 0.004
RAIL_STEP_V: Final = 2.0**-9
"""Of a TPS546: it may have been told half of this more than the hard limit."""


@cache
def bounds_of(board: str) -> Mapping[str, Bound]:
    """Of what the board can measure: nothing is promised of a quantity that it does not know."""
    about = subject_of(board)
    e, own = about.envelope, about.own
    most_v = e.core_v_hard + DAC_STEP_V if own is None else own.core_v
    found = {
        "die": Bound(lambda now: now.die_c, float(e.chip_c_trip), 3.0, "C"),
        "regulator": Bound(lambda now: now.vr_c, float(e.vr_c_trip), 1.0, "C"),
        "core voltage": Bound(lambda now: now.core_v, float(e.core_v_hard), most_v - e.core_v_hard, "V"),
        "core current": Bound(lambda now: now.core_a, 0.0 if own is None else own.core_a, 1.5, "A"),
        "input power": Bound(lambda now: now.input_w, float(e.power_hard_w), 1.0, "W", for_s=0.8),
    }
    needs = {"regulator": Channel.VR_C, "core current": Channel.CORE_A}
    return {name: bound for name, bound in found.items() if name not in needs or e.means.sees(needs[name])}


SUDDEN_C: Final = 6.0
"""A heatsink that comes off heats the die's 2 J/K by up to 20 C/s. The emergency level needs one sample: a sweep of
0.2 s, the reading and the safe-off later it is so much hotter than that level."""
FRESH_S: Final = 15.0
"""So long after its end a fault may still be what a trip is about: votes, doubts and debounces take 10 s at most."""
SAME_MOMENT_S: Final = 0.001
"""A port that goes is noticed in the moment in which it goes; the two are stamped by different sums of seconds."""
INPUT_FRESH_S: Final = 75.0
"""Three dips within a minute are a trip."""
HEAT_STAYS_S: Final = 300.0
"""The heatsink's time constant is 90 s."""
LOOK_BACK_S: Final = 5.0
LEARNT_S: Final = 240.0
"""A board that worked for so long without a break has been learned: 60 s of warming up, 60 looks, moves between."""
DRIFT_SPREAD_C: Final = 4.0
"""By so much an honest board may differ from what it has shown."""
REACHES_AGAIN_S: Final = 10.0
"""A board that can be reached again is safe by then."""
NO_YIELD: Final = 0.3
"""A chip whose results are right this seldom is silent because of its point, not because of a fault."""
POOR_YIELD: Final = 0.93
BRING_UP_MHZ: Final = 56.25
RAIL_STANDS_S: Final = 0.2
REACHED_S: Final = 2.0
"""A rig has made a board safe so long after it, or the supply, was there."""
RAIL_STARTS_S: Final = 0.1
"""The comparator of the emulated regulator rests while its output rises [U]: one that regulates a volt too high, and is
switched on again by a person, shows all of that until it looks."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failures` break a promise. `declared`: outside of it, with an excuse from the catalogue."""

    failures: tuple[str, ...]
    declared: tuple[str, ...]


class Finding(NamedTuple):
    text: str
    excuse: str = ""


def judge(told: Scenario, life: Life) -> Verdict:
    about = subject_of(told.board)
    found = [
        *excursions(told.faults, life, about),
        *trips(told.faults, life, about),
        *confirmations(told.faults, life, about),
        *order(
            told.faults,
            life,
            rail_on_at_first=told.settings.rail_on_at_power_up,
            wakes_released=about.wakes_released,
        ),
        *end(told.faults, life, 60.0 * told.minutes, about),
        *(Finding(f"broken: {what}") for what in life.broken),
    ]
    return Verdict(
        tuple(each.text for each in found if not each.excuse),
        tuple(f"{each.text}: {each.excuse}" for each in found if each.excuse),
    )


def _with(faults: Iterable[Fault], excuse: Excuse, at_s: float, for_s: float) -> list[Fault]:
    return [fault for fault in faults if excuse in fault.excuses and fault.acts(at_s, for_s)]


def excursions(faults: Sequence[Fault], life: Life, about: Subject) -> list[Finding]:
    """The worst of each quantity that no fault excuses; if all are excused, the worst of those."""
    found: list[Finding] = []
    for name, bound in bounds_of(about.kind.name).items():
        bad: tuple[float, float] | None = None
        excused: tuple[float, float, str] | None = None
        since_s: float | None = None
        on_s: float | None = None
        for now in life.truth:
            value = bound.of(now)
            on_s = (now.at_s if on_s is None else on_s) if now.rail_on else None
            starts = on_s is not None and now.at_s - on_s < RAIL_STARTS_S
            if value <= bound.most:
                since_s = None
                continue
            since_s = now.at_s if since_s is None else since_s
            if now.at_s - since_s < bound.for_s:
                continue
            excuse = _excuse(name, value, now.at_s, faults, about, starts=starts)
            if not excuse and name == "die" and _reads_low(value, now.at_s, faults, life.truth, about):
                excuse = Excuse.READS_LOW.value
            if (
                not excuse
                and name in ("core current", "input power")
                and now.die_c > bounds_of(about.kind.name)["die"].most
            ):
                # What a die draws that nobody could keep from being so hot: 1 % more with each kelvin.
                excuse = _excuse("die", now.die_c, now.at_s, faults, about, starts=starts)
            if not excuse and (bad is None or value > bad[0]):
                bad = (value, now.at_s)
            elif excuse and (excused is None or value > excused[0]):
                excused = (value, now.at_s, excuse)
        if bad is not None:
            found.append(Finding(f"excursion: {name} {bad[0]:.3f} {bound.unit} at {bad[1]:.2f} s"))
        elif excused is not None:
            text = f"excursion: {name} {excused[0]:.3f} {bound.unit} at {excused[1]:.2f} s"
            found.append(Finding(text, excused[2]))
    if life.burnt is not None:
        found.append(Finding(f"excursion: the chip is destroyed: {life.burnt}", _excuse_of_death(faults, life, about)))
    return found


def _excuse_of_death(faults: Sequence[Fault], life: Life, about: Subject) -> str:
    assert life.burnt is not None
    if "rail raised" in life.burnt:
        own = any(Excuse.RAIL_IS_ITS_OWN in fault.excuses for fault in faults)
        return Excuse.RAIL_IS_ITS_OWN.value if own else ""
    hottest = max(life.truth, key=lambda now: now.die_c)
    return _excuse("die", hottest.die_c, hottest.at_s, faults, about, starts=False)


def _excuse(name: str, value: float, at_s: float, faults: Sequence[Fault], about: Subject, *, starts: bool) -> str:
    match name:
        case "die" | "regulator":
            heats = _with(faults, Excuse.NO_COOLING, at_s, HEAT_STAYS_S)
            helpless = [
                fault
                for excuse in (Excuse.BLIND, Excuse.RAIL_STAYS, Excuse.NOBODY_REACHES_IT, Excuse.ACTS_BY_ITSELF)
                for fault in _with(faults, excuse, at_s, FRESH_S)
                if fault not in heats
            ]
            if heats and helpless:
                return f"two faults: {heats[0].action} and {helpless[0].action}"
            if _with(faults, Excuse.NOBODY_STOPS_IT, at_s, FRESH_S):
                return Excuse.NOBODY_STOPS_IT.value
            sudden = any(fault.action == "loosen_heatsink" for fault in heats)
            if name == "die" and sudden and value <= about.envelope.chip_c_emergency + SUDDEN_C:
                return Excuse.SUDDEN_HEAT.value
            return ""
        case "core voltage" | "core current" | "input power":
            if name == "core voltage" and value <= about.wakes_at_v and _wakes(at_s, faults):
                return Excuse.WAKES_HIGH.value
            own = _with(faults, Excuse.RAIL_IS_ITS_OWN, at_s, 2.0)
            # Where nothing limits the rail, nothing bounds it.
            told_v = about.envelope.core_v_hard + RAIL_STEP_V / 2.0 / about.plant.board_domains
            most_v = math.inf if about.own is None else about.own.over_ratio * told_v
            bounded = name != "core voltage" or starts or value <= most_v
            return Excuse.RAIL_IS_ITS_OWN.value if own and bounded else ""
    raise AssertionError(name)


def _reads_low(value: float, at_s: float, faults: Sequence[Fault], truth: Sequence[Truth], about: Subject) -> bool:
    """Whether the die is above its bound by no more than its thermometer reads too little, and nothing can tell."""
    limits = about.kind.plausibility
    for fault in faults:
        said = fault.arguments
        less_c = -float(said["by"]) if fault.action == "offset" and said.get("channel") == "chip_c" else 0.0
        if less_c <= 0.0 or not fault.acts(at_s, FRESH_S) or value > bounds_of(about.kind.name)["die"].most + less_c:
            continue
        known = limits.drift_c is not None and less_c > limits.drift_c + DRIFT_SPREAD_C
        told_s = fault.at_s + said["over_s"] + limits.drift_looks + limits.drift_s + FRESH_S
        if known and at_s > told_s and _worked(truth, fault.at_s - LEARNT_S, at_s, limits.powered_w):
            continue
        return True
    return False


def _worked(truth: Sequence[Truth], from_s: float, to_s: float, above_w: float) -> bool:
    """All the time, so that the program has seen it."""
    return from_s >= 0.0 and all(now.chip_w > above_w + 1.0 for now in truth if from_s <= now.at_s <= to_s)


def _wakes(at_s: float, faults: Sequence[Fault]) -> bool:
    """Whether the supply came just now."""
    came_s = (0.0, *(fault.at_s for fault in faults if fault.action == "power_cycle"))
    return any(since_s <= at_s <= since_s + REACHED_S for since_s in came_s)


def explained(trip: Trip, truth: Sequence[Truth], about: Subject) -> bool:
    """Whether the plant itself was where this cause says, shortly before; within the sensors' noise of the level."""

    def place(at_s: float) -> int:
        return bisect_right(truth, at_s, key=lambda now: now.at_s)

    def before(for_s: float) -> Sequence[Truth]:
        return truth[place(trip.at_s - for_s) : place(trip.at_s)]

    past = before(LOOK_BACK_S)
    if not past:
        return False
    e, near_v = about.envelope, 0.02 * about.input_scale
    if past[-1].burnt and trip.cause in (Cause.ACTUATION, Cause.CHIP_SILENT):
        return True  # a chip that is destroyed answers nothing
    match trip.cause:
        case Cause.CHIP_TEMPERATURE:
            return max(now.die_c for now in past) >= e.chip_c_trip - 1.0
        case Cause.VR_TEMPERATURE:
            return max(now.vr_c for now in past) >= e.vr_c_trip - 2.0
        case Cause.INPUT_LOW:
            return min(now.input_v for now in before(60.0 + LOOK_BACK_S)) <= e.input_v_low_warn + near_v
        case Cause.INPUT_HIGH:
            return max(now.input_v for now in past) >= e.input_v_high_trip - near_v
        case Cause.POWER if not e.means.sees(Channel.CORE_A):
            return max(now.input_w for now in past) >= e.power_operator_w
        case Cause.POWER:
            return max(now.chip_w for now in past) + about.plant.reported_offset_w >= e.power_operator_w
        case Cause.CURRENT:
            return max(now.core_a for now in past) >= e.core_a_trip - 0.5
        case Cause.CHIP_SILENT:
            return min(now.weakest_right for now in before(60.0)) < NO_YIELD
        case Cause.ERROR_RATE:
            return min(now.share_right for now in before(60.0)) < POOR_YIELD
        case _:
            return False


def trips(faults: Sequence[Fault], life: Life, about: Subject) -> list[Finding]:
    """Each trip that has no reason, or the wrong one."""
    found: list[Finding] = []
    for trip in life.trips:
        fresh_s = INPUT_FRESH_S if trip.cause in (Cause.INPUT_LOW, Cause.INPUT_HIGH) else FRESH_S
        before = [fault for fault in faults if fault.acts(trip.at_s + SAME_MOMENT_S, fresh_s)]
        right = frozenset[Cause]().union(*(fault.causes for fault in before))
        if any(fault.excuses & {Excuse.RAIL_STAYS, Excuse.NOBODY_REACHES_IT} for fault in before):
            right |= {Cause.ACTUATION}  # a safe-off that could not be confirmed is one
        if right & {Cause.INPUT_LOW, Cause.INPUT_HIGH} and any(map(_hides_the_input, before)):
            right |= {Cause.REGULATOR_OFF}  # two faults: why it went off cannot be read
        if trip.cause in right or explained(trip, life.truth, about):
            continue
        names = ", ".join(fault.action for fault in before)
        what = f"wrong cause after {names}" if before else "false trip"
        found.append(Finding(f"{what}: {trip.cause.value} ({trip.sensor}) at {trip.at_s:.1f} s: {trip.detail}"))
    return found


def _hides_the_input(fault: Fault) -> bool:
    said = fault.arguments
    return said.get("channel") == "input_v" or said.get("part") == "tps546" or fault.action == "stuck_bus"


def confirmations(faults: Sequence[Fault], life: Life, about: Subject) -> list[Finding]:
    """Each safe-off that was called confirmed while the rail was on, or not where it rests."""
    found = []
    for at_s in life.confirmed_s:
        place = bisect_right(life.truth, at_s, key=lambda now: now.at_s)
        if place and about.energised((now := life.truth[place - 1]).core_v, now.rail_on):
            excuse = Excuse.RAIL_IS_ITS_OWN.value if _rests_elsewhere(faults, at_s, now.core_v, about) else ""
            found.append(Finding(f"false confirmation: the rail is on at {at_s:.2f} s", excuse))
    return found


SEEN_V: Final = 1.12
"""What the ADC of a bridge tells from the 1.000 V of a rail at rest: 12 %."""


def _rests_elsewhere(faults: Sequence[Fault], at_s: float, core_v: float, about: Subject) -> bool:
    """A rail that nobody can switch off is not where its DAC was told, and nothing sees it."""
    own = bool(_with(faults, Excuse.RAIL_IS_ITS_OWN, at_s, 0.0))
    return not about.switches and core_v <= SEEN_V and own


def order(
    faults: Sequence[Fault], life: Life, *, rail_on_at_first: bool = False, wakes_released: bool = False
) -> list[Finding]:
    """Reset is released only while the rail stands for 0.2 s, the rail comes on only while reset is asserted, and the
    clock is raised only then. Not judged while something acts by itself; `wakes_released`: a bridge that has its reset
    pin high when it wakes does so at first."""
    found: list[Finding] = []
    released = False
    on_s = 0.0 if rail_on_at_first else None
    for at_s, what in life.moves:
        by_itself = bool(_with(faults, Excuse.ACTS_BY_ITSELF, at_s, LOOK_BACK_S)) or (wakes_released and at_s == 0.0)
        match what:
            case "rail on":
                if released and not by_itself:
                    found.append(Finding(f"order: rail on while reset is released, at {at_s:.2f} s"))
                on_s = at_s
            case "rail off":
                on_s = None
            case "reset released":
                if not by_itself and (on_s is None or at_s - on_s < RAIL_STANDS_S):
                    found.append(Finding(f"order: reset released before the rail stood, at {at_s:.2f} s"))
                released = True
            case "reset asserted":
                released = False
    on_s = 0.0 if rail_on_at_first else None
    for now in life.truth:
        on_s = (now.at_s if on_s is None else on_s) if now.rail_on else None
        early = on_s is None or now.at_s - on_s < RAIL_STANDS_S
        if early and now.rail_on and now.frequency_mhz > BRING_UP_MHZ:
            if _with(faults, Excuse.ACTS_BY_ITSELF, now.at_s, LOOK_BACK_S):
                continue
            found.append(Finding(f"order: {now.frequency_mhz:g} MHz before the rail stood, at {now.at_s:.2f} s"))
            break
    return found


def end(faults: Sequence[Fault], life: Life, lasts_s: float, about: Subject) -> list[Finding]:
    """A board that is not live is safe, or is said not to be: or a fault that is still there keeps it from it."""
    found: list[Finding] = []
    state = life.end_state
    safe = not life.end_rail_on and life.end_reset_asserted
    said = f"end: {state.value}, rail {'on' if life.end_rail_on else 'off'}, reset "
    said += "asserted" if life.end_reset_asserted else "released"
    reach = (Excuse.RAIL_STAYS, Excuse.NOBODY_REACHES_IT)
    still = [fault for excuse in reach for fault in _with(faults, excuse, lasts_s, REACHES_AGAIN_S)]
    excuse = min((each.value for fault in still for each in fault.excuses if each in reach), default="")
    own = Excuse.RAIL_IS_ITS_OWN.value if _rests_elsewhere(faults, lasts_s, life.truth[-1].core_v, about) else ""
    match state:
        case GuardState.LIVE:
            if not life.end_rail_on or life.end_reset_asserted is not False:
                found.append(Finding(said))
        case GuardState.SAFE_OFF:
            if not safe:
                found.append(Finding(said, own))
        case GuardState.LATCHED | GuardState.UNKNOWN:
            if not safe:
                found.append(Finding(said, excuse))
        case GuardState.UNPROTECTED if about.leased and safe:
            pass  # the rig cannot know: its firmware has made it safe
        case GuardState.UNPROTECTED:
            found.append(Finding(said, excuse))
        case GuardState.STARTING:
            found.append(Finding(said))
    return found
