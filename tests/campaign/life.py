"""Lives one scenario through, in virtual time, over the real rig, and keeps what was really so.

The plant tells each step of its grid (50 ms) and each electrical change between two, so that no peak lies between two
looks.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controller.model import Cause, Command, FaultLatched, GuardState, SafeOffDone, StateChanged
from controller.safety import silence
from drivers.errors import HashbridgeError
from drivers.transports.memory import memory_pair
from emulator.ports.memory import Wire
from emulator.virtual_time import VirtualTimeLoop
from tests.campaign.catalogue import Fault
from tests.campaign.scenario import Scenario
from tests.campaign.subject import BUILDS, subject_of
from tests.scenarios.gamma import NAME, Stand, stand

SETTLE_S = 12.0
"""After the last command, for what is under way: a safe-off of a board whose bus is slow, a power-up that gives up."""


class Truth(NamedTuple):
    """The plant at one moment: the hottest die, volts of one chip, the fastest clock. `chip_w`: of all chips; `input_w`
    at the board's input."""

    at_s: float
    die_c: float
    vr_c: float
    core_v: float
    core_a: float
    chip_w: float
    input_w: float
    input_v: float
    rpm: float
    frequency_mhz: float
    rail_on: bool
    share_right: float
    """Of the chips' results, if they hash; else 1."""
    weakest_right: float
    """The same, of the chip that does worst."""
    burnt: bool


@dataclass(frozen=True, slots=True)
class Trip:
    at_s: float
    cause: Cause
    sensor: str | None
    detail: str


class Move(NamedTuple):
    """One actuation, by the emulator's record."""

    at_s: float
    what: str


@dataclass(slots=True)
class Life:
    """What was really so. `confirmed_s`: when a safe-off was called confirmed. `end_rail_on`: or higher than where it
    rests, if nobody can switch it off. `broken`: exceptions that are none of the project's, and what was logged as
    one."""

    truth: list[Truth] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    confirmed_s: list[float] = field(default_factory=list)
    end_state: GuardState = GuardState.UNKNOWN
    end_rail_on: bool = False
    end_reset_asserted: bool = True
    burnt: str | None = None
    broken: list[str] = field(default_factory=list)
    timeline: list[tuple[float, str]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The same wherever and whenever this scenario is lived."""
        return hashlib.sha256(repr((self.truth, self.trips, self.moves, self.timeline)).encode()).hexdigest()


class _Errors(logging.Handler):
    """An exception that somebody has logged is one that nobody has handled."""

    def __init__(self, broken: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._broken = broken

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._broken.append(f"{record.name}: {record.getMessage()}: {record.exc_info[1]!r}")


def live(told: Scenario) -> Life:
    life = Life()
    errors = _Errors(life.broken)
    logging.getLogger().addHandler(errors)
    try:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(_live(told, life))
    except Exception as error:  # noqa: BLE001 - a life that ends so is told, and the campaign goes on
        life.broken.append(repr(error))
    finally:
        logging.getLogger().removeHandler(errors)
    return life


async def _live(told: Scenario, life: Life) -> None:
    loop = asyncio.get_running_loop()

    def unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        life.broken.append(f"{context['message']}: {context.get('exception')!r}")

    loop.set_exception_handler(unhandled)
    about, build = subject_of(told.board), BUILDS[told.board]
    async with stand(told.settings, operator=told.operator, kind=about.kind, build=build) as s:
        _watch(s, life)
        _wire_again(s)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_ask(s, life, at_s, command)) for at_s, command in told.commands]
            for fault in told.faults:
                group.create_task(_go_wrong(s, life, fault))
            await asyncio.sleep(60.0 * told.minutes - loop.time())
            for task in asked:  # a command that never came to its end is seen at the end of the board
                task.cancel()
        await asyncio.sleep(SETTLE_S)
        # Chips that are being initialised again have a minute for it: what has begun may end.
        for _ in range(round(silence.BEGINS_WITHIN_S + silence.ENDS_WITHIN_S)):
            if s.rig.snapshot().boards[0].state is not GuardState.STARTING:
                break
            await asyncio.sleep(1.0)
        truth = s.bench.truth(loop.time())
        life.end_state = s.rig.snapshot().boards[0].state
        core_v = truth["rail_v"] / about.plant.board_domains
        life.end_rail_on, life.end_reset_asserted = about.energised(core_v, truth["rail_on"]), truth["reset_asserted"]
        life.burnt = truth["burnt"]
        life.moves = [Move(move.at_s, move.what) for move in s.bench.actuations]
        for event in s.told:
            match event:
                case FaultLatched():
                    life.trips.append(Trip(event.at_s, event.cause, event.sensor, event.detail))
                    text = f"TRIP {event.cause.value} ({event.sensor}): {event.detail}"
                case StateChanged():
                    text = f"{event.before.value} -> {event.after.value}: {event.why}"
                case SafeOffDone():
                    if event.report.confirmed:
                        life.confirmed_s.append(event.at_s)
                    said = "confirmed" if event.report.confirmed else "NOT CONFIRMED"
                    text = f"safe-off, {said}: {event.reason}"
                case _:
                    continue
            life.timeline.append((event.at_s, text))
        s.bench.faults.heal()  # so that the rig ends as it does on a board that it can reach
    life.timeline += [(at_s, f"moved {what}") for at_s, what in life.moves if what not in ("fan duty", "rail voltage")]
    life.timeline.sort(key=lambda line: line[0])


def _watch(s: Stand, life: Life) -> None:
    plant, note = s.bench.plant, life.truth.append
    chips, domains = range(len(plant.units)), plant.settings.board_domains

    def look(input_v: float, at_s: float) -> None:
        frequency_mhz, rail_v = plant.fastest_mhz, plant.core_v(at_s)
        shares = [1.0]
        if frequency_mhz > 0.0 and rail_v > 0.0:
            shares = [sum(plant.chip_supply(at_s, chip).yields) / 4.0 for chip in chips]
        note(
            Truth(
                at_s,
                plant.hottest_die_c,
                plant.vr_c,
                rail_v / domains,
                plant.core_a,
                plant.chip_w,
                plant.input_w,
                input_v,
                plant.rpm,
                frequency_mhz,
                plant.rail_on,
                sum(shares) / len(shares),
                min(shares),
                plant.burnt is not None,
            )
        )

    plant.input_watchers.insert(0, look)  # before the regulator acts on it: a peak is a peak


def _wire_again(s: Stand) -> None:
    """A port in memory comes back on a new wire; the control port is then given to the rig, as its host would."""
    loop = asyncio.get_running_loop()

    def control() -> Wire:
        transport, wire = memory_pair("control")
        loop.call_soon(s.rig.control_restored, NAME, None, transport)
        return wire

    def data() -> Wire:
        transport, wire = memory_pair("data")
        s.data_again.append(transport)
        return wire

    s.ports[0].new_wire, s.ports[1].new_wire = control, data


async def _ask(s: Stand, life: Life, at_s: float, command: Command) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(at_s - loop.time())
    said = f"{command.kind} {command.model_dump_json(exclude_defaults=True)}"
    life.timeline.append((loop.time(), f"asked {said}"))
    try:
        await s.rig.request(NAME, command)
    except HashbridgeError as error:
        answer = f"{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - whatever else comes out of a rig is a finding
        life.broken.append(f"{said}: {error!r}")
        answer = repr(error)
    else:
        answer = "done"
    life.timeline.append((loop.time(), f"answered {command.kind}: {answer}"))


async def _go_wrong(s: Stand, life: Life, fault: Fault) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(fault.at_s - loop.time())
    life.timeline.append((loop.time(), f"FAULT {fault.action} {dict(fault.arguments)}"))
    s.bench.faults.do(fault.action, fault.arguments, "campaign")
    if fault.for_s is not None:
        await asyncio.sleep(fault.for_s)
        life.timeline.append((loop.time(), f"FAULT {fault.action} ends"))
        s.bench.faults.do(fault.action, {**fault.arguments, "off": True}, "campaign")
