"""`hashbridge list`: boards plugged in, emulators, running rigs."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any, Final

from controller.cli.emulators import running_emulators
from controller.cli.exits import Exit
from controller.cli.talk import Talk, table
from controller.paths import list_rigs
from drivers.discovery import find_boards

SCHEMA: Final = "hashbridge.list/1"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one object")


def run(arguments: Namespace) -> int:
    found: dict[str, list[dict[str, Any]]] = {
        "boards": [asdict(board) for board in find_boards()],
        "emulators": [asdict(emulator) for emulator in running_emulators()],
        "rigs": [{"pid": rig.pid, "boards": list(rig.boards), "socket": str(rig.socket)} for rig in list_rigs()],
    }
    if arguments.json:
        print(json.dumps({"schema": SCHEMA, **found}))
        return Exit.OK
    rows = [("board", board["board"], board["control"] or "", board["data"] or "") for board in found["boards"]]
    rows += [("emulator", each["board"], each["control"], each["data"]) for each in found["emulators"]]
    rows += [("rig", ", ".join(rig["boards"]), f"pid {rig['pid']}", "") for rig in found["rigs"]]
    if rows:
        print(table(rows, header=("what", "board", "control", "data")))
    else:
        Talk(arguments.quiet).say("nothing; try `hashbridge doctor`, or `hashbridge run --emulate bitaxe-gamma`")
    return Exit.OK
