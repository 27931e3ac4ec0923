"""The options that name a board, and what they mean."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Any, Final, Protocol

from controller.attach import Where
from controller.cli.quantities import parse_dilution, parse_seed
from controller.envelope_file import parse_reach
from controller.files import readable_file
from drivers.boards import known_board
from drivers.errors import UsageError

KEYS: Final = "--"
"""What the names in errors of `controller.attach` begin with here."""


class Options(Protocol):
    """Where options are added: a parser, or a group of them."""

    def add_argument(self, *names: str, **settings: Any) -> object: ...


MOST_BOARDS: Final = 32
"""That one command line may ask for."""
_SO_MANY: Final = re.compile(r"(?P<name>[^*]*)\*(?P<count>[0-9]{1,4})")


def add_target_options(
    parser: ArgumentParser, *, required: bool = True, several: bool = False, board_of_rig: str = ""
) -> Options:
    """Returns what excludes each other, for those who have more to choose from. `several`: an option may come again.
    `board_of_rig`: what --board means without --port, if it means something."""
    where = parser.add_argument_group("board")
    choice = where.add_mutually_exclusive_group(required=required)
    action = "append" if several else "store"
    again = "; NAME*4 for four, or again for another" if several else ""
    choice.add_argument(
        "--emulate", metavar="NAME", action=action, help=f"an emulated board, on two pseudo-terminals{again}"
    )
    again = "; again for another" if several else ""
    choice.add_argument(
        "--port",
        "-p",
        metavar="CONTROL[,DATA]",
        action=action,
        help=f"the ports of a board, or its name in `list`{again}",
    )
    again = "; again for each --port, or once for all" if several else ""
    board_help = f"which board is behind --port, where its USB strings do not say{again}{board_of_rig}"
    where.add_argument("--board", metavar="NAME", action=action, help=board_help)
    where.add_argument("--unlock", metavar="REACH", help="beyond stock: range (as shipped for this board) or hard")
    where.add_argument("--envelope", metavar="FILE", help="the operator's limits; default: envelopes/KIND.toml")
    where.add_argument("--solved", metavar="FILE", help="emulated: other solved headers, raw 80-byte records")
    where.add_argument("--seed", metavar="N", help="emulated: the seed of all chance (1)")
    where.add_argument(
        "--dilution", metavar="K", help="emulated: one hash stands for K (1; for synthetic work 2**24 or 2**27)"
    )
    where.add_argument("--dialect", metavar="D", help="emulated: its bridge answers in it, where its firmwares differ")
    return choice


def wheres_of(arguments: Namespace) -> tuple[Where, ...]:
    """Every board that is meant, of options that may come again. Emulated ones have seeds of their own, one after the
    other. Raises `UsageError` naming option, value and what is allowed."""
    names = [name for asked in arguments.emulate or () for name in _so_many(asked)]
    ports = arguments.port or []
    if len(names) + len(ports) > MOST_BOARDS:
        raise UsageError("--emulate", f"{len(names)} boards", f"at most {MOST_BOARDS} in one rig")
    if arguments.envelope is not None and len(names) + len(ports) > 1:
        raise UsageError("--envelope", arguments.envelope, "only with a single board")
    boards = arguments.board or [None]
    if len(boards) > 1 and len(boards) != len(ports):
        raise UsageError("--board", ", ".join(boards), f"once for all, or for each --port in their order: {len(ports)}")
    first = where_of(arguments, emulate=None, port=None, board=boards[0])
    seed = 1 if first.seed is None else first.seed
    if len(names) == 1:
        return (replace(first, emulate=names[0]),)
    emulated = [replace(first, emulate=name, seed=seed + index) for index, name in enumerate(names)]
    told = boards if len(boards) > 1 else boards * len(ports)
    return (*emulated, *(replace(first, port=port, board=board) for port, board in zip(ports, told, strict=True)))


def _so_many(asked: str) -> list[str]:
    """`bitaxe-gamma*4` is four of them."""
    found = _SO_MANY.fullmatch(asked)
    if found is None:
        return [known_board(asked, "--emulate")]
    count = int(found["count"])
    if not 1 <= count <= MOST_BOARDS:
        raise UsageError("--emulate", asked, f"NAME*1 to NAME*{MOST_BOARDS}")
    return [known_board(found["name"], "--emulate")] * count


def where_of(arguments: Namespace, **instead: Any) -> Where:
    """One board. Raises `UsageError` naming option, value and what is allowed. `instead` of what the line says."""
    return Where(
        emulate=instead.get("emulate", arguments.emulate),
        port=instead.get("port", arguments.port),
        board=instead.get("board", arguments.board),
        solved=arguments.solved,
        seed=None if arguments.seed is None else parse_seed(arguments.seed),
        dilution=None if arguments.dilution is None else parse_dilution(arguments.dilution),
        dialect=arguments.dialect,
        envelope=None if arguments.envelope is None else str(readable_file(arguments.envelope, "--envelope")),
        unlock=None if arguments.unlock is None else parse_reach(arguments.unlock, "--unlock"),
        retry=getattr(arguments, "retry", False),
    )
