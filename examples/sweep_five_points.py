"""Five points, and at each of them rate, power and energy: a table on stdout.

    python examples/sweep_five_points.py --emulate bitaxe-gamma --seconds 30

Each point is applied on trial and kept once it was measured: if this program dies in between, the rig goes back to
the point before by itself.
"""

from __future__ import annotations

import argparse
from statistics import fmean

from controller.cli.exits import Exit, script
from controller.cli.quantities import parse_seconds
from controller.library import Progress, ReachName, good
from controller.model import Channel, GuardState
from controller.sync import SyncRig
from controller.text import number

POINTS = ((450.0, 1.09), (475.0, 1.10), (500.0, 1.12), (525.0, 1.15), (550.0, 1.18))  # MHz, V
TRIAL_S = 60.0

Row = tuple[float, float, float | None, float | None, float | None]


def sweep(rig: SyncRig, seconds: float) -> list[Row]:
    """MHz, V, TH/s, W and J/TH of each point. The power is core power plus 5 W: to compare, not to pay for."""
    if rig.read().state is GuardState.SAFE_OFF:
        rig.power_up(*POINTS[0])
    rows: list[Row] = []
    for frequency_mhz, core_v in POINTS:
        rig.set_point(frequency_mhz, core_v, preset=True, keep_within_s=seconds + TRIAL_S, note="sweep")
        seen: list[Progress] = []
        work = rig.work("synthetic", seconds, on_progress=seen.append)
        rig.keep()
        read_w = [good(progress.snapshot, Channel.POWER_W) for progress in seen]
        known_w = [power_w for power_w in read_w if power_w is not None]
        power_w = fmean(known_w) if known_w else None
        rate_ths = None if work.hashrate_hs is None else work.hashrate_hs / 1e12
        energy = power_w / rate_ths if power_w is not None and rate_ths else None
        rows.append((frequency_mhz, core_v, rate_ths, power_w, energy))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="Rate, power and energy at five points.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--emulate", metavar="NAME", help="an emulated board, such as bitaxe-gamma")
    where.add_argument("--port", metavar="CONTROL[,DATA]", help="a board, by its ports or its name in `list`")
    where.add_argument("--rig", metavar="PID", help="a rig that runs; it is left at the last point")
    parser.add_argument("--seconds", metavar="N", default="30", help="how long at each point (30)")
    said = parser.parse_args()
    seconds = parse_seconds(said.seconds)
    # The last point is beyond stock. A rig that runs has been unlocked by whoever started it, or refuses.
    unlock: ReachName | None = "range" if said.emulate or said.port else None
    with SyncRig.connect(emulate=said.emulate, port=said.port, rig=said.rig, work="synthetic", unlock=unlock) as rig:
        rows = sweep(rig, seconds)
    print("    MHz      V    TH/s      W   J/TH")
    for frequency_mhz, core_v, *measured in rows:
        rate, power, energy = (number(value, 3) for value in measured)
        print(f"{frequency_mhz:7.2f} {core_v:6.3f} {rate:>7} {power:>6} {energy:>6}")
    return Exit.OK


if __name__ == "__main__":
    script(main)
