"""The options that name a board, and what they mean."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any, Final, Protocol

from controller.attach import Where
from controller.cli.quantities import parse_dilution, parse_seed
from controller.envelope_file import parse_reach
from controller.files import readable_file

KEYS: Final = "--"
"""What the names in errors of `controller.attach` begin with here."""


class Options(Protocol):
    """Where options are added: a parser, or a group of them."""

    def add_argument(self, *names: str, **settings: Any) -> object: ...


def add_target_options(parser: ArgumentParser, *, required: bool = True) -> Options:
    """Returns what excludes each other, for those who have more to choose from."""
    where = parser.add_argument_group("board")
    choice = where.add_mutually_exclusive_group(required=required)
    choice.add_argument("--emulate", metavar="NAME", help="an emulated board, on two pseudo-terminals")
    choice.add_argument("--port", "-p", metavar="CONTROL[,DATA]", help="the ports of a board, or its name in `list`")
    where.add_argument("--board", metavar="NAME", help="which board is behind --port, where its USB strings do not say")
    where.add_argument("--unlock", metavar="REACH", help="beyond stock: range (as shipped for this board) or hard")
    where.add_argument("--envelope", metavar="FILE", help="the operator's limits; default: envelopes/KIND.toml")
    where.add_argument("--solved", metavar="FILE", help="emulated: other solved headers, raw 80-byte records")
    where.add_argument("--seed", metavar="N", help="emulated: the seed of all chance (1)")
    where.add_argument("--dilution", metavar="K", help="emulated: one hash stands for K (1; for synthetic work 2**24)")
    return choice


def where_of(arguments: Namespace) -> Where:
    """Raises `UsageError` naming option, value and what is allowed."""
    return Where(
        emulate=arguments.emulate,
        port=arguments.port,
        board=arguments.board,
        solved=arguments.solved,
        seed=None if arguments.seed is None else parse_seed(arguments.seed),
        dilution=None if arguments.dilution is None else parse_dilution(arguments.dilution),
        envelope=None if arguments.envelope is None else str(readable_file(arguments.envelope, "--envelope")),
        unlock=None if arguments.unlock is None else parse_reach(arguments.unlock, "--unlock"),
        retry=getattr(arguments, "retry", False),
    )
