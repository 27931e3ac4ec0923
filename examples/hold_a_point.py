"""Set a point and hold it, until the time is over or the die is too warm. The asynchronous face of the library.

python examples/hold_a_point.py --emulate bitaxe-gamma --frequency 500 --voltage 1100 --seconds 60 --chip-c 60
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from controller.cli.exits import Exit, script
from controller.cli.quantities import parse_frequency, parse_number, parse_seconds, parse_voltage
from controller.library import AsyncRig, Held, Progress, connect, good
from controller.model import BoardSnapshot, Channel, GuardState
from controller.text import number


async def hold_a_point(rig: AsyncRig, frequency_mhz: float, core_v: float, seconds: float, most_chip_c: float) -> Held:
    def too_warm(snapshot: BoardSnapshot) -> str | None:
        chip_c = good(snapshot, Channel.CHIP_C)
        if chip_c is None or chip_c < most_chip_c:
            return None  # a temperature that stays unknown is for the rig to trip on
        return f"the die is at {chip_c:.1f} C"

    if (await rig.read()).state is GuardState.SAFE_OFF:
        await rig.power_up(frequency_mhz, core_v, on_progress=show)
    else:
        await rig.set_point(frequency_mhz, core_v, preset=True, on_progress=show)
    return await rig.hold(seconds, until=too_warm, on_progress=show)


def show(progress: Progress) -> None:
    chip_c = number(good(progress.snapshot, Channel.CHIP_C), 1, "C")
    print(f"\r{progress.phase} {progress.elapsed_s:.0f} s, die {chip_c} ", end="", file=sys.stderr)


async def run(said: argparse.Namespace) -> int:
    frequency_mhz, core_v = parse_frequency(said.frequency), parse_voltage(said.voltage)
    seconds, most_chip_c = parse_seconds(said.seconds), parse_number(said.chip_c, "--chip-c", 20, 75, "C")
    async with connect(emulate=said.emulate, port=said.port, rig=said.rig) as rig:
        held = await hold_a_point(rig, frequency_mhz, core_v, seconds, most_chip_c)
    print(file=sys.stderr)
    print(f"held for {held.elapsed_s:.1f} s: {held.reason or 'the time is over'}")
    return Exit.OK if held.reason is None else Exit.FAILED


def main() -> int:
    parser = argparse.ArgumentParser(description="Set a point and hold it.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--emulate", metavar="NAME", help="an emulated board, such as bitaxe-gamma")
    where.add_argument("--port", metavar="CONTROL[,DATA]", help="a board, by its ports or its name in `list`")
    where.add_argument("--rig", metavar="PID", help="a rig that runs; it is left at the point")
    parser.add_argument("--frequency", metavar="F", required=True, help="MHz when bare")
    parser.add_argument("--voltage", metavar="V", required=True, help="mV when bare")
    parser.add_argument("--seconds", metavar="N", default="60", help="how long (60)")
    parser.add_argument("--chip-c", metavar="C", default="60", help="stop when the die is so warm (60)")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    script(main)
