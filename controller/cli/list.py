"""`hashbridge list`: boards plugged in, emulators, running rigs."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any, Final

from controller.cli.exits import Exit
from controller.cli.talk import Talk, table
from controller.emulators import running_emulators
from controller.paths import list_rigs
from controller.text import printable
from drivers.discovery import FoundBoard, discover

SCHEMA: Final = "hashbridge.list/1"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one object")


def run(arguments: Namespace) -> int:
    boards, emulators, rigs = discover(), running_emulators(), list_rigs()
    if arguments.json:
        found = {
            "schema": SCHEMA,
            "boards": [board_object(board) for board in boards],
            "emulators": [asdict(emulator) for emulator in emulators],
            "rigs": [{"pid": rig.pid, "boards": list(rig.boards), "socket": str(rig.socket)} for rig in rigs],
        }
        print(json.dumps(found))
        return Exit.OK
    talk = Talk(arguments.quiet)
    rows = [("board", board.id, board.control or "none", board.data or "none") for board in boards]
    rows += [("emulator", each.name, each.control, each.data) for each in emulators]
    rows += [("rig", ", ".join(rig.boards), f"pid {rig.pid}", "") for rig in rigs]
    if rows:
        shown = [tuple(printable(word) for word in row) for row in rows]
        print(table(shown, header=("what", "name", "control", "data")))
    else:
        talk.say("nothing; try `hashbridge doctor`, or `hashbridge run --emulate bitaxe-gamma`")
    for board in boards:
        if len(board.names) > 1:
            talk.say(f"{board.id}: {', '.join(board.names)} show the same USB strings; say which: --board NAME")
        if board.note:
            talk.say(f"{board.id}: {board.note}", "warn")
    return Exit.OK


def board_object(board: FoundBoard) -> dict[str, Any]:
    """A board that is plugged in. `board` is null where its strings do not say which one it is; `could_be` has the
    names, none of a device with other firmware."""
    return {
        "id": board.id,
        "board": None if board.kind is None else board.kind.name,
        "could_be": list(board.names),
        "serial": board.serial,
        "location": board.location,
        "control": board.control,
        "data": board.data,
        "note": board.note,
    }
