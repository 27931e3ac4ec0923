"""`hashbridge emulate`: serves an emulated board on two pseudo-terminals, until interrupted."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path

from controller.cli.exits import Exit
from controller.cli.quantities import parse_dilution, parse_number, parse_seed
from controller.cli.talk import Talk, facts
from controller.emulators import emulator_directory
from controller.files import new_file, readable_file
from drivers.errors import PortBusy, UnknownPart, UsageError, one_of
from emulator.benches import BENCHES, BRIDGES_ALONE, DIALECTS, BenchSettings
from emulator.script import ScriptError
from emulator.serve import Served, main_async

_NAMES = sorted({*BENCHES, *BRIDGES_ALONE})
_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("board", metavar="NAME", help=f"which board: {', '.join(_NAMES)}")
    parser.add_argument("--seed", metavar="N", default="1", help="the seed of all chance (1)")
    parser.add_argument("--dilution", metavar="K", default="1", help="one hash of unsolved work stands for K (1)")
    parser.add_argument("--solved", metavar="FILE", help="other solved headers, raw 80-byte records")
    parser.add_argument(
        "--dialect", metavar="D", help="its bridge answers in this reply dialect, where its firmwares differ"
    )
    parser.add_argument("--ambient", metavar="C", help="air temperature (25)")
    parser.add_argument("--source-ohm", metavar="R", help="impedance of supply and cable (0.09)")
    parser.add_argument("--name", metavar="NAME", help="what the ports are called; default: the board's name")
    parser.add_argument("--directory", metavar="DIR", help="where they are published; default: the runtime directory")
    parser.add_argument(
        "--trace", metavar="FILE", help="append what the emulated actuators do, and faults, as JSON lines"
    )
    parser.add_argument("--script", metavar="FILE", help="faults that come by themselves: docs/faults.md")
    parser.add_argument("--json", action="store_true", help="print the sidecar, hashbridge.emulator/1, on one line")
    parser.add_argument("--owner-fd", type=int, help=SUPPRESS)


def run(arguments: Namespace) -> int:
    board = arguments.board
    if board not in _NAMES:
        raise UnknownPart("emulate", board, one_of(_NAMES, board))
    if arguments.dialect not in (None, *DIALECTS[board]):
        raise UsageError("--dialect", arguments.dialect, f"{', '.join(DIALECTS[board])}: those of {board}")
    settings = settings_of(arguments)
    name = arguments.name or board
    if not set(name) <= _NAME_LETTERS or name.startswith("."):
        raise UsageError("--name", name, "letters, digits, dot, dash and underscore")
    directory = Path(arguments.directory).absolute() if arguments.directory else emulator_directory()
    trace = new_file(arguments.trace, "--trace") if arguments.trace else None
    script = readable_file(arguments.script, "--script") if arguments.script else None
    talk = Talk(arguments.quiet or arguments.owner_fd is not None)

    def ready(served: Served) -> None:
        if arguments.json:
            print(json.dumps({"name": name, **served.as_dict()}))
        else:
            print(facts([("control", served.control), ("data", served.data), ("plant", served.plant)]))
        sys.stdout.flush()
        talk.say(f"{board}, seed {served.seed}, one hash stands for {served.dilution}; Ctrl+C ends it")

    try:
        asyncio.run(
            main_async(
                board,
                directory,
                settings=settings,
                name=name,
                trace=Path(trace) if trace else None,
                script=script,
                owner_fd=arguments.owner_fd,
                on_ready=ready,
            )
        )
    except FileExistsError as error:
        raise PortBusy(f"emulator {name} ({error})") from error
    except ScriptError as error:
        where = f"{error.file}, {error.entry}" if error.entry else error.file
        raise UsageError(f"{where}, {error.key}", error.value, error.allowed) from error
    return Exit.OK


def settings_of(arguments: Namespace) -> BenchSettings:
    """The bench that the options describe."""
    ohm = arguments.source_ohm
    return BenchSettings(
        seed=parse_seed(arguments.seed),
        dilution=parse_dilution(arguments.dilution),
        solved=None if arguments.solved is None else readable_file(arguments.solved, "--solved"),
        ambient_c=None if arguments.ambient is None else parse_number(arguments.ambient, "--ambient", -20, 60, "C"),
        dialect=arguments.dialect,
        source_ohm=None if ohm is None else parse_number(ohm, "--source-ohm", 0, 5, "ohm"),
    )
