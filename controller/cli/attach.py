"""Which board on which ports: an emulated one, started for this run, or ports that are there already."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from controller.cli.emulators import EmulatorChild, Sidecar, emulator_behind
from controller.cli.files import readable_file
from controller.cli.quantities import parse_dilution, parse_seed
from controller.port import BoardConfig
from drivers.boards import BOARDS
from drivers.discovery import discover
from drivers.errors import PortMissing, UnknownPart, UsageError

SYNTHETIC_DILUTION: Final = 2**24
"""A Gamma's 250 nonces a second then cost 64,000 hashes a second: the emulator takes about 15 % of a core."""


@dataclass(frozen=True, slots=True)
class Target:
    """A board to be opened. `child`: the emulator that was started for it."""

    config: BoardConfig
    child: EmulatorChild | None = None


def add_target_options(parser: ArgumentParser) -> None:
    where = parser.add_argument_group("board")
    choice = where.add_mutually_exclusive_group(required=True)
    choice.add_argument("--emulate", metavar="NAME", help="an emulated board, on two pseudo-terminals")
    choice.add_argument("--port", "-p", metavar="CONTROL[,DATA]", help="the ports of a board, or its name in `list`")
    where.add_argument("--board", metavar="NAME", help="which board is behind --port, where its USB strings do not say")
    where.add_argument("--solved", metavar="FILE", help="emulated: other solved headers, raw 80-byte records")
    where.add_argument("--seed", metavar="N", help="emulated: the seed of all chance (1)")
    where.add_argument("--dilution", metavar="K", help="emulated: one hash stands for K (1; for synthetic work 2**24)")


def known_board(name: str, key: str) -> str:
    """The name itself. `UnknownPart` lists the names that there are."""
    if name not in BOARDS:
        raise UnknownPart(key, name, f"one of {', '.join(sorted(BOARDS))}")
    return name


async def attach(arguments: Namespace, work: str, stack: AsyncExitStack) -> Target:
    """The board of a command line. An emulator that was started ends with `stack`."""
    if arguments.emulate is not None:
        return await _emulate(arguments, work, stack)
    return Target(_given(arguments))


def _checked_dilution(arguments: Namespace) -> int | None:
    return None if arguments.dilution is None else parse_dilution(arguments.dilution)


async def _emulate(arguments: Namespace, work: str, stack: AsyncExitStack) -> Target:
    board = known_board(arguments.emulate, "--emulate")
    if arguments.board is not None:
        raise UsageError("--board", arguments.board, "only with --port; --emulate names its board itself")
    dilution = _checked_dilution(arguments) or (SYNTHETIC_DILUTION if work == "synthetic" else 1)
    seed = 1 if arguments.seed is None else parse_seed(arguments.seed)
    name = f"{board}-{os.getpid()}"
    options = [board, "--name", name, "--seed", str(seed), "--dilution", str(dilution)]
    if arguments.solved is not None:
        options += ["--solved", str(readable_file(arguments.solved, "--solved"))]
    child = await EmulatorChild.start(options)
    stack.push_async_callback(child.aclose)
    return Target(_config_of(child.sidecar), child)


def _config_of(sidecar: Sidecar) -> BoardConfig:
    return BoardConfig(
        name=sidecar.board,
        kind=sidecar.board,
        control=sidecar.control,
        data=sidecar.data,
        emulated=True,
        dilution=sidecar.dilution,
        seed=sidecar.seed,
    )


def _given(arguments: Namespace) -> BoardConfig:
    control, _, data = arguments.port.partition(",")
    for option in ("solved", "seed"):
        if getattr(arguments, option) is not None:
            raise UsageError(f"--{option}", getattr(arguments, option), "only with --emulate")
    dilution = _checked_dilution(arguments)
    sidecar = emulator_behind(control)
    if sidecar is not None:
        if dilution not in (None, sidecar.dilution):
            raise UsageError(
                "--dilution", dilution, f"{sidecar.dilution}, which the emulator at {control} was started with"
            )
        if arguments.board not in (None, sidecar.board):
            raise UsageError("--board", arguments.board, f"{sidecar.board}, which the emulator at {control} emulates")
        config = _config_of(sidecar)
        return config.model_copy(update={"control": control, "data": data or sidecar.data})
    if dilution is not None:
        raise UsageError(
            "--dilution", dilution, f"only with an emulated board, and {control} is none: hardware hashes 1:1"
        )
    found = [each for each in discover() if control in (each.id, each.serial) or _same(each.control, control)]
    plugged = found[0] if len(found) == 1 else None
    if plugged is not None and plugged.kind is not None:
        control, data = plugged.control or control, data or plugged.data or ""
    if plugged is None and not os.path.exists(control):
        raise PortMissing(control, "no such port, and no board of that name is plugged in")
    board = arguments.board or (plugged.kind.name if plugged is not None and plugged.kind is not None else None)
    if board is None:
        raise UsageError("--board", None, f"one of {', '.join(sorted(BOARDS))}; the USB strings of {control} name none")
    data = data or data_port(control) or ""
    if not data:
        raise UsageError("--port", control, "CONTROL,DATA: the data port cannot be told from this name")
    return BoardConfig(name=known_board(board, "--board"), kind=board, control=control, data=data)


def _same(one: str | None, other: str) -> bool:
    return one is not None and os.path.realpath(one) == os.path.realpath(other)


_PAIRS: Final = ((r"-if00$", "-if02"), (r"-control$", "-data"), (r"-00$", "-02"))
"""How stable names of a control port differ from those of its data port: by-id, emulator, /dev/hashbridge."""


def data_port(control: str) -> str | None:
    """The data port that belongs to a control port by its stable name; None when the name does not tell."""
    for pattern, data in _PAIRS:
        found, count = re.subn(pattern, data, control)
        if count and os.path.exists(found):
            return found
    return None
