"""`hashbridge set`: moves the clock or the core voltage of a running rig. The rig's guard judges it like any wish."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser, Namespace
from typing import Final

from controller.attach import choose_rig
from controller.cli.exits import Exit
from controller.cli.live import add_rig_option, choose_board
from controller.cli.quantities import parse_frequency, parse_voltage
from controller.cli.status import newest
from controller.cli.talk import Talk, number
from controller.model import BoardSnapshot, OperatingPoint, SetOperatingPoint
from controller.port import LiveRig
from drivers.errors import UsageError

SCHEMA: Final = "hashbridge.set/1"
_SEEN_WAIT_S: Final = 3.0


def add_arguments(parser: ArgumentParser) -> None:
    add_rig_option(parser)
    parser.add_argument("--board", metavar="NAME", help="which board, where the rig has several")
    parser.add_argument("--frequency", metavar="F", help="MHz when bare: 525, 525MHz, 0.525GHz")
    parser.add_argument("--voltage", metavar="V", help="mV when bare: 1150, 1150mV, 1.15V")
    parser.add_argument("--preset", action="store_true", help="allow more than 50 MHz and 50 mV at once")
    parser.add_argument("--json", action="store_true", help="one object: requested, granted, achieved")


def run(arguments: Namespace) -> int:
    if arguments.frequency is None and arguments.voltage is None:
        raise UsageError("set", None, "--frequency, --voltage or both")
    command = SetOperatingPoint(
        frequency_mhz=None if arguments.frequency is None else parse_frequency(arguments.frequency),
        core_v=None if arguments.voltage is None else parse_voltage(arguments.voltage),
        preset=arguments.preset,
    )
    return asyncio.run(_run(arguments, command))


async def _run(arguments: Namespace, command: SetOperatingPoint) -> int:
    async with await LiveRig.connect(choose_rig(arguments.rig, "--rig").socket) as rig:
        board = choose_board(rig, arguments.board)
        await newest(rig)
        await rig.request(board, command)
        after = await _read_back(rig, board)
    if after is None:
        Talk(arguments.quiet).warn("done, but no snapshot came afterwards")
        return Exit.LINK
    if arguments.json:
        print(json.dumps({"schema": SCHEMA, "board": board, **after.point.model_dump(mode="json")}))
    else:
        print(f"{board}: requested {_point(after.point.requested)}, achieved {_point(after.point.achieved)}")
    return Exit.OK


async def _read_back(rig: LiveRig, board: str) -> BoardSnapshot | None:
    """The first snapshot that was taken after the command was done: it shows what is, not what was asked for."""
    stale = True
    try:
        async with asyncio.timeout(_SEEN_WAIT_S):
            async for snapshot in rig.snapshots():
                if stale:
                    stale = False
                    continue
                return next((found for found in snapshot.boards if found.board == board), None)
    except TimeoutError:
        return None
    return None


def _point(point: OperatingPoint) -> str:
    return f"{number(point.frequency_mhz, 2, 'MHz')} at {number(point.core_v, 3, 'V')}"
