"""`hashbridge set`: moves the clock or the core voltage of a running rig. The rig's guard judges it like any wish."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser, Namespace
from typing import Final

from controller.attach import choose_rig
from controller.cli.chips import parse_chip
from controller.cli.exits import Exit
from controller.cli.fan import add_fan_options, parse_fan
from controller.cli.live import add_board_option, add_rig_option, choose_board
from controller.cli.quantities import parse_frequency, parse_voltage
from controller.cli.status import capped, found_in, newest
from controller.cli.talk import Talk
from controller.cli.trial import Moved, add_trial_option, checked_note, move, parse_keep_within, point_text
from controller.envelope_file import parse_reach
from controller.model import BoardSnapshot, CapChip, FanMode, PointStatus, Reach, SetFan, SetOperatingPoint, SetReach
from controller.port import LiveRig
from controller.text import fan as led_fan
from drivers.errors import UsageError

SCHEMA: Final = "hashbridge.set/1"


def add_arguments(parser: ArgumentParser) -> None:
    add_rig_option(parser)
    add_board_option(parser)
    parser.add_argument("--frequency", metavar="F", help="MHz when bare: 525, 525MHz, 0.525GHz")
    parser.add_argument("--voltage", metavar="V", help="mV when bare: 1150, 1150mV, 1.15V")
    parser.add_argument("--chip", metavar="N", help="with --frequency: this chip at most so fast, 0 at the host")
    parser.add_argument("--uncap", action="store_true", help="with --chip: at the board's clock again")
    parser.add_argument("--unlock", metavar="REACH", help="first: stock, range or hard, until the rig ends")
    add_fan_options(parser)
    parser.add_argument("--preset", action="store_true", help="allow more than 50 MHz and 50 mV at once")
    parser.add_argument("--note", metavar="TEXT", default="", help="why, for the history")
    parser.add_argument("--dry-run", action="store_true", help="ask the guard and change nothing: exit 0 or 6")
    add_trial_option(parser)
    parser.add_argument("--json", action="store_true", help="one object: requested, granted, achieved")


def run(arguments: Namespace) -> int:
    reach = None if arguments.unlock is None else parse_reach(arguments.unlock, "--unlock")
    fan = parse_fan(arguments.fan, arguments.fan_target)
    cap = _cap_of(arguments)
    if arguments.frequency is None and arguments.voltage is None and cap is None and reach is None and fan is None:
        raise UsageError("set", None, "--frequency, --voltage or both, --chip, --fan, or --unlock")
    if arguments.dry_run and fan is not None:
        raise UsageError("--fan", arguments.fan, "not with --dry-run, which changes nothing")
    if arguments.dry_run and reach is not None:
        raise UsageError("--unlock", arguments.unlock, "not with --dry-run, which changes nothing")
    if arguments.dry_run and arguments.keep_within is not None:
        raise UsageError("--keep-within", arguments.keep_within, "not with --dry-run, which changes nothing")
    command = SetOperatingPoint(
        frequency_mhz=None if arguments.frequency is None else parse_frequency(arguments.frequency),
        core_v=None if arguments.voltage is None else parse_voltage(arguments.voltage),
        preset=arguments.preset,
        keep_within_s=parse_keep_within(arguments.keep_within),
        dry_run=arguments.dry_run,
        note=checked_note(arguments.note),
    )
    return asyncio.run(_run(arguments, command if cap is None else cap, reach, fan))


def _cap_of(arguments: Namespace) -> CapChip | None:
    """What is asked of one chip; None: nothing."""
    if arguments.chip is None:
        if arguments.uncap:
            raise UsageError("--uncap", True, "with --chip N: which chip")
        return None
    if arguments.uncap is (arguments.frequency is not None):
        raise UsageError("--chip", arguments.chip, "with one of --frequency F, which it is not to pass, and --uncap")
    for option, value in (
        ("--voltage", arguments.voltage),
        ("--keep-within", arguments.keep_within),
        ("--fan", arguments.fan),
    ):
        if value is not None:
            raise UsageError(option, value, "not with --chip, which has --frequency, --uncap, --preset and --note")
    return CapChip(
        chip=parse_chip(arguments.chip),
        frequency_mhz=None if arguments.frequency is None else parse_frequency(arguments.frequency),
        preset=arguments.preset,
        dry_run=arguments.dry_run,
        note=checked_note(arguments.note),
    )


async def _run(
    arguments: Namespace, command: SetOperatingPoint | CapChip, reach: Reach | None, fan: SetFan | None
) -> int:
    talk = Talk(arguments.quiet)
    async with await LiveRig.connect(choose_rig(arguments.rig, "--rig").socket) as rig:
        board = choose_board(rig, arguments.board)
        if reach is not None:
            await rig.request(board, SetReach(reach=reach, note=command.note))
            talk.say(f"{board}: unlocked as far as {reach.value}" if reach is not Reach.STOCK else f"{board}: locked")
        if fan is not None:
            await rig.request(board, fan.model_copy(update={"note": command.note}))
            led = led_fan(fan.mode is FanMode.AUTO, fan.target_chip_c, fan.floor_ratio)
            talk.say(f"{board}: fan {led}")
        before = await newest(rig)
        if isinstance(command, SetOperatingPoint) and command.core_v is None and command.frequency_mhz is None:
            _tell(arguments, found_in(before, board), None)
            return Exit.OK
        if command.dry_run:
            await rig.request(board, command)
            _tell(arguments, found_in(before, board), None)
            return Exit.OK
        moved = await move(rig, board, command, talk)
    if moved.after is not None:
        _tell(arguments, moved.after, moved.kept)
    return exit_of(moved, talk)


def exit_of(moved: Moved, talk: Talk) -> Exit:
    """0 for a point that stays, 1 for one that has gone back."""
    if moved.kept is False:
        return Exit.FAILED
    if moved.after is None:
        talk.warn("done, but no snapshot came afterwards")
        return Exit.LINK
    return Exit.OK


def _tell(arguments: Namespace, board: BoardSnapshot, kept: bool | None) -> None:
    if arguments.json:
        said = {"kept": kept, "dry_run": arguments.dry_run, "caps_mhz": board.caps_mhz}
        print(json.dumps({"schema": SCHEMA, "board": board.board, **board.point.model_dump(mode="json"), **said}))
    elif arguments.dry_run:
        asked = point_text(board.point.requested)
        print(f"{board.board}: the guard allows it; nothing was changed, requested is {asked}")
    else:
        print("\n".join([where_it_is(board.board, board.point), *(f"  {line}" for line in capped(board))]))


def where_it_is(board: str, point: PointStatus) -> str:
    return f"{board}: requested {point_text(point.requested)}, achieved {point_text(point.achieved)}"
