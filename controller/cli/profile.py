"""`hashbridge profile`: named operating points, saved for a kind of board and given to a running one."""

from __future__ import annotations

import asyncio
import json
from argparse import SUPPRESS, ArgumentParser, Namespace
from typing import Final

from controller.attach import choose_rig
from controller.cli.exits import Exit
from controller.cli.live import add_board_option, add_rig_option, choose_board
from controller.cli.quantities import parse_frequency, parse_voltage
from controller.cli.set import exit_of, where_it_is
from controller.cli.status import found_in, newest
from controller.cli.talk import Talk, number, table
from controller.cli.trial import add_trial_option, move, parse_keep_within, point_text
from controller.model import BoardSnapshot, GuardState, OperatingPoint, SetOperatingPoint
from controller.port import LiveRig, RigPort
from controller.profiles import SCHEMA, Profile, Profiles, check_point, command_for
from controller.text import UNKNOWN, printable
from drivers.boards import BOARDS, known_board
from drivers.errors import Refused, UsageError

_KIND_HELP: Final = f"kind of board: {', '.join(sorted(BOARDS))}"


def add_arguments(parser: ArgumentParser) -> None:
    talk = ArgumentParser(add_help=False)
    talk.add_argument("-v", "--verbose", action="count", default=SUPPRESS, help="say more")
    talk.add_argument("-q", "--quiet", action="store_true", default=SUPPRESS, help="say nothing but errors")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, summary: str) -> ArgumentParser:
        return actions.add_parser(name, help=summary, description=summary, parents=[talk], allow_abbrev=False)

    listing = action("list", "what is saved")
    listing.add_argument("board", metavar="BOARD", nargs="?", help=_KIND_HELP)
    listing.add_argument("--json", action="store_true", help=f"one {SCHEMA} object")

    save = action("save", "save the requested point of a running board, or the one that is given")
    save.add_argument("name", metavar="NAME", help="1 to 40 letters, digits, blanks or - _ .")
    add_rig_option(save)
    save.add_argument("--board", metavar="BOARD", help=f"which board of the rig; with a given point the {_KIND_HELP}")
    save.add_argument("--frequency", metavar="F", help="a given point: MHz when bare")
    save.add_argument("--voltage", metavar="V", help="a given point: mV when bare")
    save.add_argument("--note", metavar="TEXT", default="", help="a word about it")
    save.add_argument("--replace", action="store_true", help="replace the one that has this name")

    load = action("load", "give a saved point to a running board; a board that is off is powered up")
    load.add_argument("name", metavar="NAME")
    add_rig_option(load)
    add_board_option(load)
    add_trial_option(load)

    delete = action("delete", "forget a saved point")
    delete.add_argument("name", metavar="NAME")
    delete.add_argument("--board", metavar="KIND", required=True, help=_KIND_HELP)


def run(arguments: Namespace) -> int:
    match arguments.action:
        case "list":
            return _list(arguments)
        case "save":
            return _save(arguments)
        case "load":
            keep_within_s = parse_keep_within(arguments.keep_within)
            return asyncio.run(_load(arguments, keep_within_s))
        case _:
            Profiles().delete(arguments.board, arguments.name)
            Talk(arguments.quiet).say(f"{arguments.board}: {arguments.name} is deleted")
            return Exit.OK


# --- list -------------------------------------------------------------------------------------------------------------


def _list(arguments: Namespace) -> int:
    kinds = sorted(BOARDS) if arguments.board is None else [known_board(arguments.board)]
    found = [(kind, profile) for kind in kinds for profile in Profiles().list(kind)]
    if arguments.json:
        objects = [
            {"board": kind, **profile.model_dump(mode="json"), "refused": refusal(kind, profile)}
            for kind, profile in found
        ]
        print(json.dumps({"schema": SCHEMA, "profiles": objects}))
    elif found:
        header = ("board", "name", "frequency", "core voltage", "saved", "note")
        print(table([_row(kind, profile) for kind, profile in found], header=header))
    else:
        Talk(arguments.quiet).say("none; `hashbridge profile save NAME` keeps the point of a running board")
    return Exit.OK


def refusal(kind: str, profile: Profile) -> str | None:
    """Why this profile cannot be loaded; None when it can."""
    try:
        check_point(kind, profile)
    except UsageError as error:
        return str(error)
    return None


def _row(kind: str, profile: Profile) -> tuple[str, ...]:
    refused = refusal(kind, profile)
    note = profile.note if refused is None else f"CANNOT BE LOADED: {refused}"
    return (
        kind,
        profile.name,
        number(profile.frequency_mhz, 2, "MHz"),
        number(profile.core_v, 3, "V"),
        UNKNOWN if profile.saved is None else f"{profile.saved:%Y-%m-%d %H:%M}",
        printable(note),
    )


# --- save and load ----------------------------------------------------------------------------------------------------


def _save(arguments: Namespace) -> int:
    if arguments.frequency is None and arguments.voltage is None:
        kind, frequency_mhz, core_v = asyncio.run(_requested(arguments))
    else:
        kind, frequency_mhz, core_v = _given(arguments)
    profile = Profile.make(arguments.name, frequency_mhz, core_v, arguments.note)
    Profiles().save(kind, profile, replace=arguments.replace)
    point = OperatingPoint(frequency_mhz=frequency_mhz, core_v=core_v)
    Talk(arguments.quiet).say(f"{kind}: {profile.name} is saved: {point_text(point)}", "good")
    return Exit.OK


def _given(arguments: Namespace) -> tuple[str, float, float]:
    if arguments.rig is not None:
        raise UsageError("--rig", arguments.rig, "not with --frequency and --voltage, which give the point themselves")
    for option in ("frequency", "voltage", "board"):
        if getattr(arguments, option) is None:
            raise UsageError(f"--{option}", None, "a point is given by --frequency, --voltage and --board together")
    return known_board(arguments.board), parse_frequency(arguments.frequency), parse_voltage(arguments.voltage)


async def _requested(arguments: Namespace) -> tuple[str, float, float]:
    async with await LiveRig.connect(choose_rig(arguments.rig, "--rig").socket) as rig:
        board = choose_board(rig, arguments.board)
        return kind_of(rig, board), *requested(found_in(await newest(rig), board))


def requested(board: BoardSnapshot) -> tuple[float, float]:
    """Clock in MHz and core voltage in V that were asked for. Raises `Refused` for a board that was asked for none."""
    point = board.point.requested
    if point.frequency_mhz is None or point.core_v is None:
        raise Refused("state", f"{board.board} is {board.state.value}: it has no point to be saved")
    return point.frequency_mhz, point.core_v


async def _load(arguments: Namespace, keep_within_s: float | None) -> int:
    talk = Talk(arguments.quiet)
    async with await LiveRig.connect(choose_rig(arguments.rig, "--rig").socket) as rig:
        board = choose_board(rig, arguments.board)
        state = found_in(await newest(rig), board).state
        profile = Profiles().load(kind_of(rig, board), arguments.name)
        return await apply(rig, board, state, profile, keep_within_s, talk)


async def apply(
    port: RigPort, board: str, state: GuardState, profile: Profile, keep_within_s: float | None, talk: Talk
) -> int:
    """Gives a profile to a board in this state, and prints where the board is then."""
    command = command_for(profile, state, keep_within_s)
    if keep_within_s is not None and not isinstance(command, SetOperatingPoint):
        raise UsageError(
            "--keep-within", f"{keep_within_s:g}", "only for a live board: a power-up has no point to go back to"
        )
    moved = await move(port, board, command, talk)
    if moved.after is not None:
        print(where_it_is(board, moved.after.point))
    return exit_of(moved, talk)


def kind_of(port: RigPort, board: str) -> str:
    return next(info.kind for info in port.info if info.name == board)
