"""`hashbridge run`: power a board up, hash for a while, make it safe, print the result."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, TypeVar

from controller.attach import Target, Where, attach, host_config, record_place, sentinel_report, told_apart
from controller.cli.attach import KEYS, add_target_options, wheres_of
from controller.cli.chips import CHIP_FREQUENCY, parse_chip_frequencies
from controller.cli.exits import Exit, exit_for, explain
from controller.cli.fan import add_fan_options, parse_fan
from controller.cli.live import event_line, snapshot_line
from controller.cli.mask import add_mask_option, parse_mask
from controller.cli.quantities import parse_frequency, parse_seconds, parse_voltage
from controller.cli.result import Outcome, run_object, run_table, self_test_failure, work_failure
from controller.cli.session import Plan, Session
from controller.cli.signals import Interrupts, on_signals
from controller.cli.talk import Talk
from controller.files import new_file, readable_file
from controller.model import CapChip, Cause, SetFan, StartWork
from controller.port import LiveRig
from controller.work.sources import load_headers
from drivers.asics import ASICS
from drivers.asics.versions import check_mask
from drivers.boards import BOARDS
from drivers.errors import HashbridgeError, UsageError

RECORD_HELP: Final = "keep every byte of both ports in FILE: see `replay`; of several boards in FILE/NAME.jsonl"
RETRY_HELP: Final = "come back by itself, lower, after heat, a dip or silence"
RUNS_SCHEMA: Final = "hashbridge.runs/1"
_GRAVITY: Final = (
    Exit.FAILED,
    Exit.LINK,
    Exit.INTEGRITY,
    Exit.NOT_FOUND,
    Exit.BUSY,
    Exit.USAGE,
    Exit.REFUSED,
    Exit.TRIPPED,
    Exit.INTERRUPTED,
    Exit.OK,
)
"""Gravest first: a safe-off that was not confirmed is FAILED or LINK."""
_LOST_PORTS: Final = frozenset({Cause.CONTROL_PORT_LOST, Cause.DATA_PORT_LOST, Cause.SENSOR_BUS})


@dataclass(frozen=True, slots=True)
class Wish:
    """The command line, understood. Everything that can be wrong with it has been found before a port is touched."""

    wheres: tuple[Where, ...]
    work: StartWork
    work_kind: str
    frequency_mhz: float | None
    core_v: float | None
    seconds: float | None
    self_test_s: float | None
    fan: SetFan | None
    caps: tuple[CapChip, ...]
    journal: str | None
    record: str | None


def add_arguments(parser: ArgumentParser) -> None:
    add_target_options(parser, several=True)
    job = parser.add_argument_group("work")
    job.add_argument("--work", metavar="WORK", default="pattern", help="pattern (default), synthetic or headers:FILE")
    add_mask_option(job)
    job.add_argument(
        "--frequency", metavar="F", help="MHz when bare: 525, 525MHz, 0.525GHz; default: the board's stock"
    )
    job.add_argument("--voltage", metavar="V", help="mV when bare: 1150, 1150mV, 1.15V; default: the board's stock")
    job.add_argument(
        CHIP_FREQUENCY, metavar="N=F", action="append", help="chip N, 0 at the host, at most so fast; again for each"
    )
    add_fan_options(job)
    job.add_argument("--retry", action="store_true", help=RETRY_HELP)
    job.add_argument(
        "--seconds", metavar="N", help="how long, from the moment the point is reached; default: until Ctrl+C"
    )
    job.add_argument(
        "--self-test", metavar="S", help="before the work, S seconds of known-answer test; exit 1 if it fails"
    )
    output = parser.add_argument_group("output")
    shape = output.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one hashbridge.run/1 object at the end")
    shape.add_argument("--jsonl", action="store_true", help="snapshots and events as they come, then that object")
    output.add_argument("--journal", metavar="FILE", help="keep all readings and events in FILE")
    output.add_argument("--record", metavar="FILE", help=RECORD_HELP)


def run(arguments: Namespace) -> int:
    return asyncio.run(_run(arguments, understand(arguments)))


def understand(arguments: Namespace) -> Wish:
    """Raises `UsageError` naming option, value and what is allowed."""
    wheres = wheres_of(arguments)
    work, _, path = arguments.work.partition(":")
    if work == "headers" and path:
        found = readable_file(path, "--work headers:FILE")
        load_headers(found)  # what is wrong with it is to be known before a board is energised for it
        start = StartWork(work="headers", headers=str(found))
    elif arguments.work == "pattern":
        start = StartWork(work="pattern")
    elif arguments.work == "synthetic":
        start = StartWork(work="synthetic")
    else:
        raise UsageError("--work", arguments.work, "pattern, synthetic or headers:FILE")
    return Wish(
        wheres=wheres,
        work=start.model_copy(update={"version_mask": parse_mask(arguments.version_mask)}),
        work_kind=arguments.work,
        frequency_mhz=_parsed(arguments.frequency, parse_frequency),
        core_v=_parsed(arguments.voltage, parse_voltage),
        seconds=_parsed(arguments.seconds, parse_seconds),
        self_test_s=_parsed(arguments.self_test, lambda text: parse_seconds(text, "--self-test")),
        fan=parse_fan(arguments.fan, arguments.fan_target),
        caps=tuple(
            CapChip(chip=chip, frequency_mhz=mhz, note=CHIP_FREQUENCY)
            for chip, mhz in parse_chip_frequencies(arguments.chip_frequency or ()).items()
        ),
        journal=_parsed(arguments.journal, lambda path: new_file(path, "--journal")),
        record=_parsed(arguments.record, lambda path: new_file(path, "--record")),
    )


_T = TypeVar("_T")


def _parsed(text: str | None, parse: Callable[[str], _T]) -> _T | None:
    return None if text is None else parse(text)


async def _run(arguments: Namespace, wish: Wish) -> int:
    talk = Talk(arguments.quiet)
    interrupts = Interrupts()
    with on_signals(Interrupts.SIGNALS, interrupts.heard):
        async with AsyncExitStack() as stack:
            targets = told_apart([await attach(where, wish.work.work, stack, keys=KEYS) for where in wish.wheres])
            for target in targets:
                _announce(talk, target)
                if wish.work.version_mask is not None:  # to be known before a board is energised for it
                    check_mask(ASICS[BOARDS[target.config.kind].chip], wish.work.version_mask)
            record = record_place(wish.record, targets, "--record")
            rig = await LiveRig.start(host_config(*targets, journal=wish.journal, record=record))
            stack.push_async_callback(rig.aclose, "the run is over")
            lives = [_Life(target, _session(rig, target, wish, _talk_of(talk, target, targets))) for target in targets]
            if arguments.jsonl:
                _stream(lives)

            def interrupt() -> None:
                for life in lives:
                    life.session.interrupt()

            interrupts.hand_to(interrupt)
            await asyncio.gather(*(life.run(rig) for life in lives))
    for life in lives:
        life.close(rig)
    if len(lives) == 1:
        return _tell(lives[0], arguments, interrupted=interrupts.seen)
    return _tell_all(lives, arguments, interrupted=interrupts.seen)


def _talk_of(talk: Talk, target: Target, targets: Sequence[Target]) -> Talk:
    return talk if len(targets) == 1 else talk.of(target.config.name)


@dataclass(slots=True)
class _Life:
    """One board of the run: how it went, or why it was refused before it was energised."""

    target: Target
    session: Session
    outcome: Outcome | None = None
    error: HashbridgeError | None = None

    async def run(self, rig: LiveRig) -> None:
        try:
            self.outcome = await self.session.run()
        except HashbridgeError as error:
            self.error = error
        if self.session.rig_gone:
            if self.outcome is not None:
                report = await sentinel_report(self.target.config.name, rig.pid)
                self.outcome = self.session.accept(self.outcome, report)
            if self.target.child is not None:
                self.target.child.leave()  # the sentinel may still need it

    def close(self, rig: LiveRig) -> None:
        """After the rig and the emulators have ended."""
        child, session = self.target.child, self.session
        if child is not None and child.died:
            session.talk.warn(f"the emulator died before the rig was done with it: {child.died}")
        if self.outcome is not None and not session.rig_gone:
            self.outcome = session.accept(self.outcome, rig.last_safe_off.get(self.target.config.name))


def _tell(life: _Life, arguments: Namespace, *, interrupted: bool) -> Exit:
    """Of a run with a single board. Raises why it was refused."""
    if life.outcome is None:
        assert life.error is not None
        raise life.error
    if arguments.json or arguments.jsonl:
        print(json.dumps(run_object(life.outcome)))
    else:
        print(run_table(life.outcome))
    sys.stdout.flush()
    return verdict(life.outcome, interrupted=interrupted, talk=life.session.talk)


def _tell_all(lives: Sequence[_Life], arguments: Namespace, *, interrupted: bool) -> Exit:
    """Of several boards: one object, or a table each; and the gravest of their exit codes."""
    outcomes = [life.outcome for life in lives if life.outcome is not None]
    if arguments.json or arguments.jsonl:
        print(json.dumps({"schema": RUNS_SCHEMA, "boards": [run_object(outcome) for outcome in outcomes]}))
    elif outcomes:
        print("\n\n".join(run_table(outcome) for outcome in outcomes))
    sys.stdout.flush()
    codes = []
    for life in lives:
        if life.outcome is not None:
            codes.append(verdict(life.outcome, interrupted=interrupted, talk=life.session.talk))
        elif life.error is not None:
            life.session.talk.warn(explain(life.error))
            codes.append(exit_for(life.error))
    return gravest(codes)


def gravest(codes: Sequence[Exit]) -> Exit:
    """What a script has to know first of a run of several boards."""
    return min(codes, key=_GRAVITY.index)


def _announce(talk: Talk, target: Target) -> None:
    config = target.config
    what = f"emulated, seed {config.seed}, one hash stands for {config.dilution}" if config.emulated else "hardware"
    talk.say(f"{config.kind} ({what}) at {config.control}, {config.data}")


def _session(rig: LiveRig, target: Target, wish: Wish, talk: Talk) -> Session:
    config = target.config
    seed = config.seed if config.emulated else None
    plan = Plan(
        board=config.name,
        emulated=config.emulated,
        dilution=config.dilution,
        seed=seed,
        work=wish.work.model_copy(update={"seed": seed}),
        work_kind=wish.work_kind,
        frequency_mhz=wish.frequency_mhz,
        core_v=wish.core_v,
        self_test_s=wish.self_test_s,
        seconds=wish.seconds,
        fan=wish.fan,
        caps=wish.caps,
        retry=config.operator is not None and config.operator.retry,
    )
    return Session(rig, plan, talk)


def _stream(lives: Sequence[_Life]) -> None:
    """Snapshots and events have all boards in them: one session writes them. When their reader has left, the run ends
    in order, as with Ctrl+C."""
    first = lives[0].session

    def put(line: str) -> None:
        try:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            first.on_snapshot = first.on_event = None
            for life in lives:
                life.session.interrupt()

    first.on_snapshot = lambda snapshot: put(snapshot_line(snapshot))
    first.on_event = lambda event: put(event_line(event))


def verdict(outcome: Outcome, *, interrupted: bool, talk: Talk) -> Exit:
    """The exit code of a run that got as far as energising the board."""
    confirmed = outcome.safe_off_confirmed
    if outcome.failure is not None:
        talk.warn(explain(outcome.failure))
        if not outcome.tripped and confirmed:
            code = exit_for(outcome.failure)
            return Exit.FAILED if code is Exit.REFUSED else code
    if outcome.tripped:
        if confirmed:
            return Exit.TRIPPED
        talk.warn(f"the board tripped and its safe state could NOT be confirmed{_then(outcome)}")
        return Exit.LINK if any(trip.cause in _LOST_PORTS for trip in outcome.trips) else Exit.FAILED
    if not confirmed:
        talk.warn(f"the safe-off could NOT be confirmed by read-back{_then(outcome)}")
        return Exit.FAILED
    if interrupted:
        return Exit.INTERRUPTED
    if (unproven := work_failure(outcome.work)) is not None:
        talk.warn(unproven)
        return Exit.FAILED
    if outcome.self_test is not None and self_test_failure(outcome.self_test) is not None:
        return Exit.FAILED
    return Exit.OK


def _then(outcome: Outcome) -> str:
    return "" if outcome.emulated else ": CUT THE BOARD'S SUPPLY"
