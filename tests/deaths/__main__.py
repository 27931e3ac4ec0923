"""Death trials, many of them: `make death-trials BOARD=... TRIALS=50`. Markdown, or JSON. Wants the machine alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from drivers.boards import BOARDS
from tests.campaign.subject import GAMMA
from tests.deaths.field import Trial
from tests.deaths.report import HEADER, line, stopped_hashing
from tests.deaths.trials import run

SCHEMA: Final = "hashbridge.death-trials/1"
BATCH: Final = 10
"""Side by side. More would measure the machine."""
WITHIN_S: Final = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deaths", description=__doc__)
    parser.add_argument("--board", choices=sorted(BOARDS), default=GAMMA, help="what is emulated (%(default)s)")
    parser.add_argument("--trials", type=int, default=50, metavar="N", help="of each kind (50)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.trials < 1:
        parser.error(f"--trials: {arguments.trials} is not allowed; allowed: 1 and more")
    began_s, load = time.monotonic(), os.getloadavg()
    found: dict[str, list[Trial]] = {}
    left = arguments.trials
    while left:
        count = min(BATCH, left)
        left -= count
        with tempfile.TemporaryDirectory(prefix="hb-") as name:
            for kind, trials in run(Path(name), count, count, WITHIN_S, arguments.board).items():
                found.setdefault(kind, []).extend(trials)
        print(f"{arguments.trials - left} of {arguments.trials} done", file=sys.stderr, flush=True)
    rows = [line(kind, trials) for kind, trials in found.items()]
    rows.append(stopped_hashing(found["control unplugged"]))
    if arguments.json:
        said = {
            "board": arguments.board,
            "load_before": list(load),
            "took_s": round(time.monotonic() - began_s),
            "rows": [r.said() for r in rows],
        }
        print(json.dumps({"schema": SCHEMA, **said}))
    else:
        print(f"{arguments.board}\n")
        print("\n".join((HEADER, *(row.text for row in rows))))
        print(f"\nLoad before {load[0]:.1f}, {time.monotonic() - began_s:.0f} s in all.")
    return 1 if any(row.broken for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
