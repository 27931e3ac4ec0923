"""Watch a board and write what it reads to a CSV file, one line a snapshot. Moves nothing.

    python examples/watch_to_csv.py readings.csv --seconds 60

Without --emulate, --port or --rig it joins the one rig that runs. A reading that cannot be trusted is an empty cell.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TextIO

from controller.cli.exits import Exit, script
from controller.cli.quantities import parse_seconds
from controller.files import new_file
from controller.library import good
from controller.model import Channel
from controller.sync import SyncRig

CHANNELS = (Channel.FREQUENCY_MHZ, Channel.CORE_V, Channel.CORE_W, Channel.CHIP_C, Channel.VR_C, Channel.FAN_RPM)


def watch_to_csv(rig: SyncRig, out: TextIO, seconds: float) -> int:
    """Returns the number of lines below the header."""
    table = csv.writer(out)
    table.writerow(["utc", "board", "state", *CHANNELS])
    lines = 0
    for snapshot in rig.watch(seconds):
        readings = [good(snapshot, channel) for channel in CHANNELS]
        table.writerow([snapshot.at_utc.isoformat(), snapshot.board, snapshot.state, *readings])
        lines += 1
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="Write what a board reads to a CSV file.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--emulate", metavar="NAME", help="an emulated board, such as bitaxe-gamma")
    where.add_argument("--port", metavar="CONTROL[,DATA]", help="a board, by its ports or its name in `list`")
    where.add_argument("--rig", metavar="PID", help="a rig that runs")
    parser.add_argument("--seconds", metavar="N", default="60", help="how long (60)")
    parser.add_argument("file", metavar="FILE", help="a file that does not exist yet")
    said = parser.parse_args()
    seconds, path = parse_seconds(said.seconds), Path(new_file(said.file, "FILE"))
    with (
        SyncRig.connect(emulate=said.emulate, port=said.port, rig=said.rig) as rig,
        path.open("w", encoding="utf-8", newline="") as out,
    ):
        lines = watch_to_csv(rig, out, seconds)
    print(f"{lines} lines")
    return Exit.OK


if __name__ == "__main__":
    script(main)
