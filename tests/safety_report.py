"""How soon the board is safe after each fault, against a budget: `make safety-report`. Markdown, or JSON.

Each row is an emulated Gamma that hashes at a point, one fault, and what the rig does with it, in virtual time: the
same figures on every machine. Safe is what the board did, not what the rig says: reset asserted and rail off, by the
record of the emulated actuators. The die is the true one of the plant, not what the sensor read.

Rows that want processes (a killed host, an unplugged port) are in tests/deaths.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any, Final

from controller.model import Cause, FaultLatched, GuardState, SafeOff, SetOperatingPoint, StartWork
from controller.tasks import end_tasks
from drivers.boards.leased_gamma import LEASED_GAMMA
from drivers.errors import HashbridgeError
from emulator.benches.leased_gamma import LeasedGamma
from emulator.virtual_time import VirtualTimeLoop
from tests.scenarios.gamma import NAME, Stand, freeze, stand

SCHEMA: Final = "hashbridge.safety-report/1"
LOOK_S: Final = 0.05
"""How often the true die temperature is looked at."""
Inject = Callable[[Stand], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Row:
    """One injection. `budget_s` None: it must not trip at all within `watch_s`.

    `leased`: on the emulated board whose firmware has a host lease, without a sentinel; the time then counts from the
    last heartbeat that the firmware heard.
    """

    number: str
    what: str
    inject: Inject
    causes: frozenset[Cause]
    budget_s: float | None
    why_budget: str
    watch_s: float = 120.0
    frequency_mhz: float = 525.0
    core_v: float = 1.150
    leased: bool = False


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


_SENSOR: Final = frozenset({Cause.SENSOR_INVALID, Cause.SENSOR_STALE})
_RISE: Final = SetOperatingPoint(core_v=1.190)
_CLOCK: Final = SetOperatingPoint(frequency_mhz=575.0)
_LEASE: Final = "2.0 s of lease, looked at every 4 ms"

ROWS: Final = (
    Row("1a", "die reads 127 C", do("misread", channel="chip_c", value=127.0), _SENSOR, 3.0, "invalid 2 s, safe 1 s"),
    Row("1b", "die reads -1 C", do("misread", channel="chip_c", value=-1.0), _SENSOR, 3.0, "the same"),
    Row("1c", "die reads 255 C", do("misread", channel="chip_c", value=255.0), _SENSOR, 3.0, "the same"),
    Row("1d", "die sensor NAKs", do("nak", part="emc2101"), _SENSOR, 3.0, "the same"),
    Row("1e", "die diode open", do("open_diode"), _SENSOR, 3.0, "the same"),
    Row("1f", "die frozen", do("freeze_channel", channel="chip_c"), _SENSOR, 66.0, "60 s unchanged, 5 s of doubt, 1 s"),
    Row(
        "2",
        "fan stops at full load",
        do("stall_fan"),
        frozenset({Cause.FAN}),
        6.0,
        "3 s below a third, and its run-down",
        frequency_mhz=625.0,
        core_v=1.200,
    ),
    Row(
        "3",
        "heatsink comes off (5 x)",
        do("loosen_heatsink", factor=5.0),
        frozenset({Cause.RUNAWAY, Cause.CHIP_TEMPERATURE}),
        5.0,
        "2 s of rise, 1 s at 75 C",
    ),
    Row(
        "4a",
        "supply sags while the clock rises",
        move("source_ohm", _CLOCK, ohm=0.40),
        frozenset({Cause.INPUT_LOW}),
        2.0,
        "0.1 s below 4.60 V, never called a temperature",
    ),
    Row(
        "4b",
        "supply sags slowly",
        do("source_ohm", ohm=0.40, over_s=5.0),
        frozenset({Cause.INPUT_LOW}),
        7.0,
        "the same",
    ),
    Row(
        "5a",
        "regulator ignores a new voltage",
        move("ignore_writes", _RISE, command="VOUT_COMMAND", count=99),
        frozenset({Cause.ACTUATION}),
        1.0,
        "read back after the write",
    ),
    Row(
        "5b",
        "regulator doubles a new voltage",
        move("double_writes", _RISE, count=99),
        frozenset({Cause.ACTUATION, Cause.CORE_VOLTAGE, Cause.REGULATOR_FAULT}),
        1.0,
        "read back; its own limit at 1.40 V",
    ),
    Row(
        "5c",
        "rail 120 mV too high",
        do("regulation_error", volts=0.12),
        frozenset({Cause.CORE_VOLTAGE}),
        0.7,
        "8 % for 0.1 s",
    ),
    Row(
        "5d",
        "rail runs away upward",
        do("run_away", v_per_s=0.1),
        frozenset({Cause.CORE_VOLTAGE}),
        2.5,
        "8 % for 0.1 s",
    ),
    Row("5e", "regulator goes off without a cause", do("trip_rail"), frozenset({Cause.REGULATOR_OFF}), 0.7, "at once"),
    Row(
        "6a",
        "rig frozen, no sentinel, host lease",
        freeze_rig,
        frozenset({Cause.LEASE_EXPIRED}),
        2.01,
        _LEASE,
        leased=True,
    ),
    Row(
        "6b",
        "rig's loop ended, no sentinel, host lease",
        end_poll_loop,
        frozenset({Cause.LEASE_EXPIRED}),
        2.01,
        _LEASE,
        leased=True,
    ),
    Row(
        "6c",
        "no byte reaches the bridge, host lease",
        do("lose_bytes", p=1.0, port="control", way="to_board"),
        frozenset({Cause.LEASE_LOST, Cause.SENSOR_BUS}),
        2.01,
        _LEASE,
        leased=True,
    ),
    Row("7", "127.88 C once", do("garbage_once", channel="vr_c", value=127.88), frozenset(), None, "no trip"),
    Row(
        "8",
        "throttle at 1.08 V in a hot room",
        do("ambient_c", celsius=38.0),
        frozenset(),
        None,
        "gives way, never below 1.00 V, point kept",
        watch_s=600.0,
        core_v=1.080,
    ),
    Row(
        "9",
        "chip silent at full power",
        do("silence_chip"),
        frozenset({Cause.CHIP_SILENT}),
        11.0,
        "60 gaps, 10 s at least",
    ),
)


async def run(row: Row) -> Outcome:
    there = {"build": LeasedGamma, "kind": LEASED_GAMMA, "sentinel": False} if row.leased else {}
    async with stand(**there) as s:  # type: ignore[arg-type]
        await s.power_up(row.frequency_mhz, row.core_v)
        await s.rig.request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(60.0)
        loop = asyncio.get_running_loop()
        began_s, hottest, highest = loop.time(), 0.0, 0.0
        injected = asyncio.create_task(row.inject(s))
        ok = True
        while loop.time() - began_s < row.watch_s:
            truth = s.bench.truth(loop.time())
            hottest, highest = max(hottest, truth["die_c"]), max(highest, truth["rail_v"])
            if row.budget_s is None:
                board = s.rig.snapshot().boards[0]
                granted = board.point.granted.core_v
                ok = ok and board.state is GuardState.LIVE and (granted is None or granted >= 1.0)
                ok = ok and board.point.requested.core_v == row.core_v
            elif s.find(FaultLatched) and s.is_safe():
                break
            await asyncio.sleep(LOOK_S)
        await asyncio.gather(injected, return_exceptions=True)
        await asyncio.sleep(1.0)
        fault = s.find(FaultLatched)[0] if s.find(FaultLatched) else None
        if row.leased:
            assert isinstance(s.bench, LeasedGamma)
            began_s = s.bench.bridge.control.heartbeats[-1]
        safe_s = _safe_after(s, began_s)
    safe = safe_s is not None and row.budget_s is not None and safe_s <= row.budget_s
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


def _safe_after(s: Stand, began_s: float) -> float | None:
    """When, after the fault, reset was asserted and the rail off, by the actuators' own record."""
    moves = [move for move in s.bench.actuations if move.at_s >= began_s]
    reset = next((move.at_s for move in moves if move.what == "reset asserted"), None)
    rail = next((move.at_s for move in moves if move.what == "rail off"), None)
    return None if reset is None or rail is None else max(reset, rail) - began_s


def report() -> list[Outcome]:
    outcomes = []
    for row in ROWS:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            outcomes.append(runner.run(run(row)))
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.safety_report", description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    outcomes = report()
    if arguments.json:
        print(json.dumps({"schema": SCHEMA, "rows": [asdict(outcome) for outcome in outcomes]}))
    else:
        print("| # | fault | cause named | safe after, s | budget, s | hottest die, C | highest rail, V | |")
        print("|---|---|---|---|---|---|---|---|")
        for one in outcomes:
            safe = (
                "no trip" if one.cause is None else "never" if one.safe_after_s is None else f"{one.safe_after_s:.2f}"
            )
            budget = "no trip" if one.budget_s is None else f"{one.budget_s:g}"
            mark = "held" if one.held else "**MISSED**"
            cells = (
                one.number,
                one.what,
                one.cause or "",
                safe,
                budget,
                f"{one.hottest_die_c:.1f}",
                f"{one.highest_core_v:.3f}",
                mark,
            )
            print(f"| {' | '.join(cells)} |")
    return 0 if all(outcome.held for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
