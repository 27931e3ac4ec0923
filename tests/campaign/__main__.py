"""The campaign: `make campaign BOARD=bitaxe-gamma N=1000 SEED=1 JOBS=2`. `ONLY=17` replays one scenario with all that
happened in it."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from tests.campaign.report import SCHEMA, Outcome, markdown, one, quiet, replay, summed
from tests.campaign.subject import GAMMA, KINDS

EVERY: Final = 25
"""So often progress is told."""


def earlier(path: Path | None) -> Iterator[Outcome]:
    """The scenarios of an interrupted campaign, from its file."""
    if path is None or not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        yield Outcome.told(json.loads(line))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--board", choices=sorted(KINDS), default=GAMMA, help="what is emulated (%(default)s)")
    parser.add_argument("--scenarios", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="of virtual time each (10)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    parser.add_argument("--only", type=int, metavar="INDEX", help="replay this one and tell everything")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep each outcome in FILE, and go on from there")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    if said.only is not None:
        quiet()
        text, kept_all = replay(said.seed, said.only, said.minutes, said.board)
        print(text)
        return 0 if kept_all else 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes of the pool end as well
    began_s, cpu_s = time.monotonic(), 0.0
    done = {each.index: each for each in earlier(said.resume)}
    left = [index for index in range(said.scenarios) if index not in done]
    work = partial(one, seed=said.seed, minutes=said.minutes, board=said.board)
    kept = None if said.resume is None else said.resume.open("a", encoding="utf-8", buffering=1)
    with ProcessPoolExecutor(said.jobs, multiprocessing.get_context("spawn")) as pool:
        for number, (found, took_s) in enumerate(pool.map(work, left), 1):
            done[found.index], cpu_s = found, cpu_s + took_s
            if kept is not None:
                kept.write(json.dumps(asdict(found)) + "\n")
            for failure in found.failures:
                print(f"scenario {found.index}: {failure}", file=sys.stderr, flush=True)
            if number % EVERY == 0 or number == len(left):
                print(f"{number} of {len(left)}, {cpu_s / number:.2f} s of CPU each", file=sys.stderr, flush=True)
    if kept is not None:
        kept.close()
    outcomes = [done[index] for index in sorted(done) if index < said.scenarios]
    failed = [each for each in outcomes if each.failures]
    figures = {
        **summed(outcomes, said.minutes),
        "cpu_s_each": round(cpu_s / len(left), 2) if left else None,
        "took_s": round(time.monotonic() - began_s),
        "jobs": said.jobs,
    }
    if said.json:
        again = [{"index": each.index, "failures": each.failures} for each in failed]
        about = {"schema": SCHEMA, "board": said.board, "seed": said.seed, "minutes": said.minutes}
        print(json.dumps({**about, **figures, "failed": again}))
    else:
        print(markdown(figures))
        for each in failed:
            again_by = f"BOARD={said.board} SEED={said.seed} MINUTES={said.minutes:g} ONLY={each.index}"
            print(f"\nScenario {each.index}: make campaign {again_by}")
            print("\n".join(f"- {failure}" for failure in each.failures))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
