"""How soon a board is safe after each fault, against a budget: `make safety-report BOARD=bitaxe-gamma`. Markdown, or
JSON.

Each row is an emulated board that hashes at a point, one fault, and what the rig does with it, in virtual time: the
same figures on every machine. Safe is what the board did, not what the rig says: reset asserted and rail off, by the
record of the emulated actuators; at its lowest, if nobody can switch it off. The die is the hottest one of the plant,
volts are those of a chip, not what the sensors read.

Rows that want processes (a killed host, an unplugged port) are in tests/deaths.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from controller.model import Cause, FaultLatched, GuardState, SafeOff, SetOperatingPoint, StartWork
from controller.tasks import end_tasks
from drivers.boards import BOARDS
from drivers.boards.leased_gamma import LEASED_GAMMA
from drivers.errors import HashbridgeError
from emulator.benches import BENCHES
from emulator.benches.leased_gamma import LeasedGamma
from emulator.parts import ds4432u
from emulator.virtual_time import VirtualTimeLoop
from tests.campaign.catalogue import WARM
from tests.campaign.subject import GAMMA, Subject, subject_of
from tests.scenarios.gamma import NAME, Stand, freeze, stand

SCHEMA: Final = "hashbridge.safety-report/1"
LOOK_S: Final = 0.05
"""How often the true die temperature is looked at."""
Inject = Callable[[Stand], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Row:
    """One injection. `budget_s` None: it must not trip at all within `watch_s`. `frequency_mhz`, `core_v` None: stock.

    `leased`: on the emulated board whose firmware has a host lease, without a sentinel; the time then counts from the
    last heartbeat that the firmware heard. `from_trip_level`: it counts from when the hottest die passes that level.
    `rail_obeys` False: of a rail that cannot be cut off and does not regulate, only reset can be asked for.
    """

    number: str
    what: str
    inject: Inject
    causes: frozenset[Cause]
    budget_s: float | None
    why_budget: str
    watch_s: float = 120.0
    frequency_mhz: float | None = None
    core_v: float | None = None
    leased: bool = False
    from_trip_level: bool = False
    rail_obeys: bool = True
    gives_way: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    number: str
    what: str
    cause: str | None
    detail: str
    safe_after_s: float | None
    budget_s: float | None
    hottest_die_c: float
    highest_core_v: float
    held: bool


def do(action: str, **arguments: Any) -> Inject:
    async def inject(s: Stand) -> None:
        s.bench.faults.do(action, arguments)

    return inject


def move(action: str, then: SetOperatingPoint, **arguments: Any) -> Inject:
    """The fault, and then a command that meets it."""

    async def inject(s: Stand) -> None:
        s.bench.faults.do(action, arguments)
        with contextlib.suppress(HashbridgeError):  # the trip that is looked for ends the command
            await s.rig.request(NAME, then)

    return inject


async def freeze_rig(s: Stand) -> None:
    freeze(10.0)


async def end_poll_loop(s: Stand) -> None:
    """The rig lives, answers and looks at nothing any more. Ten seconds later somebody asks it for a safe-off."""
    await end_tasks(s.rig._runner(NAME)._polling)
    await asyncio.sleep(10.0)
    await s.rig.request(NAME, SafeOff(reason="the report"))


def sag(about: Subject, over_s: float = 0.0, then: SetOperatingPoint | None = None) -> Inject:
    """As much resistance in the supply as brings the input 7 % below its trip level, within 1 s at least: what is over
    between two sweeps leaves an output that is off, and nothing that says why. On a Gamma 0.40 ohm, at once."""

    async def inject(s: Stand) -> None:
        plant, low_v = s.bench.plant, 0.93 * about.envelope.input_v_low_trip
        ohm, for_s = (plant.source_v - low_v) * low_v / plant.input_w, max(1.0, over_s)
        if about.kind.name == GAMMA:
            ohm, for_s = 0.40, over_s
        sags = {"ohm": ohm, "over_s": for_s}
        await (do("source_ohm", **sags) if then is None else move("source_ohm", then, **sags))(s)

    return inject


def warm_room(about: Subject) -> Inject:
    """So warm that the die settles 2 C above where the board gives way; for a Gamma at 1.08 V that is 38 C."""

    async def inject(s: Stand) -> None:
        plant = s.bench.plant
        if about.kind.name != GAMMA:
            await asyncio.sleep(SETTLED_S)
        more_c = about.envelope.chip_c_throttle + 2.0 - plant.hottest_die_c
        s.bench.faults.do("ambient_c", {"celsius": 38.0 if about.kind.name == GAMMA else plant.ambient_c + more_c})

    return inject


SETTLED_S: Final = 400.0
_SENSOR: Final = frozenset({Cause.SENSOR_INVALID, Cause.SENSOR_STALE})
_LEASE: Final = "2.0 s of lease, looked at every 4 ms"


def rows_of(board: str) -> tuple[Row, ...]:
    """Those that apply to this board."""
    about = subject_of(board)
    return tuple(row for row in all_rows(about) if row.number not in not_here(about))


def not_here(about: Subject) -> Mapping[str, str]:
    """Numbers of the rows that do not apply, and why."""
    found: dict[str, str] = {}
    if about.kind.name != GAMMA:
        found |= dict.fromkeys(("6a", "6b", "6c"), "no firmware with a host lease is emulated on this board")
    if about.kind.plausibility.chip.unchanged_s is None:
        found["1f"] = "whole degrees: an honest one repeats itself as well; shows after a step of the power alone"
    if about.has_dac:
        found["5b"] = "a DAC is told a current, not volts"
        found["7"] = "nothing measures how warm the regulator is"
        if not about.has_fan:
            found["2"] = "no fan is read, and up to stock, where its range ends, the die stays below its trip level"
    return found


def all_rows(about: Subject) -> tuple[Row, ...]:
    return (*_of_sensors(about), *_of_heat(about), *_of_power(about), *_of_the_host(), *_of_the_rest(about))


def _of_sensors(about: Subject) -> tuple[Row, ...]:
    thermometer = next(part for part in about.parts if part in WARM)
    same = "the same"
    return (
        Row(
            "1a", "die reads 127 C", do("misread", channel="chip_c", value=127.0), _SENSOR, 3.0, "invalid 2 s, safe 1 s"
        ),
        Row("1b", "die reads -1 C", do("misread", channel="chip_c", value=-1.0), _SENSOR, 3.0, same),
        Row("1c", "die reads 255 C", do("misread", channel="chip_c", value=255.0), _SENSOR, 3.0, same),
        Row("1d", "die sensor NAKs", do("nak", part=thermometer), _SENSOR, 3.0, same),
        Row("1e", "die diode open", do("open_diode"), _SENSOR, 3.0, same),
        Row(
            "1f",
            "die frozen",
            do("freeze_channel", channel="chip_c"),
            _SENSOR,
            66.0 if about.kind.name == GAMMA else 66.7,
            "60 s unchanged, 5 s of doubt, 1 s; elsewhere three sweeps and the safe-off as well",
        ),
    )


def _of_heat(about: Subject) -> tuple[Row, ...]:
    e = about.envelope
    # Half-way between stock and the most that may be asked for.
    full_load = float(e.frequency_mhz.high), round((e.stock_core_v + e.core_v.high) / 2.0, 4)
    hot = frozenset({Cause.CHIP_TEMPERATURE})
    stops = Row(
        "2",
        "fan stops at full load",
        do("stall_fan"),
        frozenset({Cause.FAN}),
        6.0,
        "3 s below a third, and its run-down",
    )
    if not about.has_fan or about.has_dac:
        judged = "no fan is read" if not about.has_fan else "below 10 W a fan is not judged"
        stops = replace(
            stops,
            causes=hot if not about.has_fan else hot | stops.causes,
            budget_s=1.6,
            why_budget=f"{judged}; 1 s at the trip level of the die, a sweep",
            watch_s=900.0,
            from_trip_level=True,
        )
    loose = Row(
        "3",
        "heatsink comes off (5 x)",
        do("loosen_heatsink", factor=5.0),
        hot | {Cause.RUNAWAY},
        5.0,
        "2 s of rise, 1 s at 75 C",
    )
    if about.kind.name != GAMMA:
        loose = replace(
            loose,
            what="heatsink comes off (1000 x)",
            inject=do("loosen_heatsink", factor=1000.0),
            budget_s=1.6,
            why_budget="1 s at the trip level, a sweep",
            from_trip_level=True,
        )
    return replace(stops, frequency_mhz=full_load[0], core_v=full_load[1]), loose


def _of_power(about: Subject) -> tuple[Row, ...]:
    e, dac = about.envelope, about.has_dac
    stock_v, stock_mhz, by_v = float(e.stock_core_v), float(e.stock_frequency_mhz), 0.040 * about.core_scale
    # A board that may not go beyond stock rises to it.
    low_v, low_mhz = stock_v, stock_mhz
    if dac:
        low_v, low_mhz = max(e.core_v.low, stock_v - by_v), max(e.frequency_mhz.low, stock_mhz - 50.0)
    rise = SetOperatingPoint(core_v=round(min(low_v + by_v, e.core_v.high), 4))
    clock = SetOperatingPoint(frequency_mhz=min(low_mhz + 50.0, e.frequency_mhz.high))
    own = frozenset({Cause.CORE_VOLTAGE})
    ignored = {"command": ds4432u.OUT0, "part": "ds4432u"} if dac else {"command": "VOUT_COMMAND"}
    higher_v = 0.2 * stock_v * about.plant.board_domains if dac else 0.12 * about.rail_scale
    off = own | {Cause.ACTUATION} if dac else frozenset({Cause.REGULATOR_OFF})
    input_low = frozenset({Cause.INPUT_LOW})
    limit = f"0.1 s below {e.input_v_low_trip:.2f} V"
    return (
        Row(
            "4a",
            "supply sags while the clock rises",
            sag(about, then=clock),
            input_low,
            2.0,
            f"{limit}, never called a temperature",
            frequency_mhz=low_mhz,
        ),
        Row("4b", "supply sags slowly", sag(about, over_s=5.0), input_low, 7.0, "the same"),
        Row(
            "5a",
            "regulator ignores a new voltage",
            move("ignore_writes", rise, **ignored, count=99),
            frozenset({Cause.ACTUATION}),
            1.0,
            "read back after the write",
            core_v=low_v,
            rail_obeys=about.switches,
        ),
        Row(
            "5b",
            "regulator doubles a new voltage",
            move("double_writes", rise, count=99),
            frozenset({Cause.ACTUATION, Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT}),
            1.0,
            "read back; its own limit",
        ),
        Row(
            "5c",
            f"rail {1000 * higher_v:.0f} mV too high",
            do("regulation_error", volts=higher_v),
            own,
            0.7,
            "8 % for 0.1 s",
            rail_obeys=about.switches,
        ),
        Row(
            "5d",
            "rail runs away upward",
            do("run_away", v_per_s=0.1 * about.rail_scale),
            own,
            2.5,
            "8 % for 0.1 s; seen from 12 % on" if dac else "8 % for 0.1 s",
            rail_obeys=about.switches,
        ),
        Row(
            "5e",
            "regulator goes off without a cause",
            do("trip_rail"),
            off,
            1.2 if dac else 0.7,
            "not what was commanded, twice" if dac else "at once",
        ),
    )


def _of_the_host() -> tuple[Row, ...]:
    lost = frozenset({Cause.LEASE_LOST, Cause.SENSOR_BUS})
    expired = frozenset({Cause.LEASE_EXPIRED})
    silence = do("lose_bytes", p=1.0, port="control", way="to_board")
    return (
        Row("6a", "rig frozen, no sentinel, host lease", freeze_rig, expired, 2.01, _LEASE, leased=True),
        Row("6b", "rig's loop ended, no sentinel, host lease", end_poll_loop, expired, 2.01, _LEASE, leased=True),
        Row("6c", "no byte reaches the bridge, host lease", silence, lost, 2.01, _LEASE, leased=True),
    )


def _of_the_rest(about: Subject) -> tuple[Row, ...]:
    e = about.envelope
    low_v = round(max(e.core_v.low, e.stock_core_v - 0.070 * about.core_scale), 4)
    warm = Row(
        "8",
        f"throttle at {low_v:.3g} V in a hot room",
        warm_room(about),
        frozenset(),
        None,
        f"gives way, never below {e.core_v.low:.2f} V, point kept",
        watch_s=600.0 if about.kind.name == GAMMA else 600.0 + SETTLED_S,
        core_v=low_v,
        gives_way=True,
    )
    return (
        Row("7", "127.88 C once", do("garbage_once", channel="vr_c", value=127.88), frozenset(), None, "no trip"),
        warm,
        Row(
            "9",
            "chip silent at full power",
            do("silence_chip"),
            frozenset({Cause.CHIP_SILENT}),
            35.0,
            "10 s, reset at once; 10 s of bring-up; 10 s again",
        ),
    )


ROWS: Final = rows_of(GAMMA)


async def run(row: Row, board: str = GAMMA) -> Outcome:
    about = subject_of(board)
    e, domains = about.envelope, about.plant.board_domains
    there: dict[str, Any] = {"build": BENCHES[board], "kind": about.kind}
    if row.leased:
        there = {"build": LeasedGamma, "kind": LEASED_GAMMA, "sentinel": False}
    point_v = float(e.stock_core_v) if row.core_v is None else row.core_v
    async with stand(**there) as s:
        await s.power_up(row.frequency_mhz, point_v)
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(60.0)
        loop = asyncio.get_running_loop()
        began_s, hottest, highest = loop.time(), 0.0, 0.0
        passed_s: float | None = None
        gave_way = False
        injected = asyncio.create_task(row.inject(s))
        ok = True
        while loop.time() - began_s < row.watch_s:
            truth = s.bench.truth(loop.time())
            hottest, highest = max(hottest, truth["die_c"]), max(highest, truth["rail_v"] / domains)
            if passed_s is None and truth["die_c"] > e.chip_c_trip:
                passed_s = loop.time()
            if row.budget_s is None:
                live = s.rig.snapshot().boards[0]
                granted = live.point.granted.core_v
                ok = ok and live.state is GuardState.LIVE and (granted is None or granted >= e.core_v.low)
                ok = ok and live.point.requested.core_v == point_v
                gave_way = gave_way or live.limited is not None
            elif s.find(FaultLatched) and (s.is_safe() or not row.rail_obeys):
                break
            await asyncio.sleep(LOOK_S)
        await asyncio.gather(injected, return_exceptions=True)
        await asyncio.sleep(1.0)
        fault = s.find(FaultLatched)[0] if s.find(FaultLatched) else None
        if row.leased:
            assert isinstance(s.bench, LeasedGamma)
            began_s = s.bench.bridge.control.heartbeats[-1]
        if row.from_trip_level:
            began_s = loop.time() if passed_s is None else passed_s
        safe_s = _safe_after(s, began_s, about if row.rail_obeys else None)
    safe = safe_s is not None and row.budget_s is not None and safe_s <= row.budget_s
    ok = ok and gave_way >= row.gives_way
    named = fault is not None and fault.cause in row.causes
    return Outcome(
        number=row.number,
        what=row.what,
        cause=None if fault is None else fault.cause.value,
        detail="" if fault is None else fault.detail,
        safe_after_s=None if safe_s is None else round(safe_s, 2),
        budget_s=row.budget_s,
        hottest_die_c=round(hottest, 1),
        highest_core_v=round(highest, 3),
        held=(ok and fault is None) if row.budget_s is None else (safe and named),
    )


def _safe_after(s: Stand, began_s: float, about: Subject | None) -> float | None:
    """When, after the fault, reset was asserted and the rail off, or at rest, by the actuators' own record; before it
    counts as at once. `about` None: reset alone."""
    moves = s.bench.actuations
    reset = [move.at_s for move in moves if move.what == "reset asserted"][-1:]
    if about is None:
        rail = reset
    elif about.has_dac and s.bench.plant.rail_on:
        rail = [move.at_s for move in moves if move.what == "rail voltage"][-1:] if s.is_safe() else []
    else:
        rail = [move.at_s for move in moves if move.what == "rail off"][-1:]
    return max(0.0, *reset, *rail, began_s) - began_s if reset and rail else None


def report(board: str = GAMMA) -> list[Outcome]:
    outcomes = []
    for row in rows_of(board):
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            outcomes.append(runner.run(run(row, board)))
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.safety_report", description=__doc__)
    parser.add_argument("--board", choices=sorted(BOARDS), default=GAMMA, help="what is emulated (%(default)s)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    outcomes, left_out = report(arguments.board), not_here(subject_of(arguments.board))
    if arguments.json:
        rows = [asdict(outcome) for outcome in outcomes]
        print(json.dumps({"schema": SCHEMA, "board": arguments.board, "rows": rows, "not_here": left_out}))
    else:
        print(markdown(outcomes))
        print("".join(f"\nNot here: {number}, {why}." for number, why in left_out.items()))
    return 0 if all(outcome.held for outcome in outcomes) else 1


def markdown(outcomes: Sequence[Outcome]) -> str:
    lines = [
        "| # | fault | cause named | safe after, s | budget, s | hottest die, C | highest core, V | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        safe = "no trip" if one.cause is None else "never" if one.safe_after_s is None else f"{one.safe_after_s:.2f}"
        cells = (
            one.number,
            one.what,
            one.cause or "",
            safe,
            "no trip" if one.budget_s is None else f"{one.budget_s:g}",
            f"{one.hottest_die_c:.1f}",
            f"{one.highest_core_v:.3f}",
            "held" if one.held else "**MISSED**",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
