"""Runs the tests of the safety code once for every rule taken out, and prints who noticed. Markdown, or JSON."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Final

from tests.mutation.mutants import ROOT, Mutant, mutants
from tests.mutation.plugin import VARIABLE

SCHEMA: Final = "hashbridge.mutation/1"
STAGES: Final = (
    (
        "tests/unit/controller/test_guard.py",
        "tests/unit/controller/test_guard_permit.py",
        "tests/unit/controller/test_caps.py",
        "tests/unit/controller/test_fan.py",
        "tests/unit/controller/test_throttle.py",
        "tests/unit/controller/test_trips.py",
        "tests/unit/controller/test_envelope.py",
        "tests/unit/controller/test_silence.py",
        "tests/unit/controller/test_derate.py",
        "tests/unit/controller/test_retry.py",
        "tests/unit/controller/test_supply.py",
        "tests/unit/controller/test_lease.py",
    ),
    ("tests/properties/test_guard_machine.py",),
    (
        "tests/scenarios/test_capped_chips.py",
        "tests/scenarios/test_giving_way.py",
        "tests/scenarios/test_dynamics.py",
        "tests/scenarios/test_bring_up_frames.py",
        "tests/scenarios/test_rig_gamma.py",
        "tests/scenarios/test_changes_on_trial.py",
        "tests/scenarios/test_silent_chips.py",
        "tests/scenarios/test_derate.py",
        "tests/scenarios/test_host_lease.py",
        "tests/scenarios/test_retries.py",
        "tests/scenarios/test_fan_loop.py",
    ),
)
"""The quick ones first."""
_WATCHED: Final = (
    "tests/unit/controller/test_watcher_rules.py",
    "tests/unit/controller/test_watcher.py",
    "tests/scenarios/test_bare_hash_watched.py",
)
OTHERS: Final = {
    "controller/barehash.py": (
        ("tests/scenarios/test_bare_hash.py",),
        ("tests/scenarios/test_bare_hash_watched.py", "tests/unit/cli/test_chain_hash.py"),
    ),
    "controller/safety/watcher.py": (_WATCHED, ("tests/scenarios/test_bare_hash_deaths.py",)),
    "drivers/asics/stop.py": (("tests/unit/asics/test_stop.py",), ("tests/scenarios/test_bare_hash.py",), _WATCHED),
}
"""Of modules that have tests of their own."""
LONGEST_S: Final = 300.0
"""Tests that have not ended by then have noticed."""
PLUGINS: Final = ("-p", "tests.mutation.plugin", "-p", "no:cacheprovider")
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Result:
    mutant: Mutant
    killer: str | None
    """The first test that failed; None when none did."""


def judge(mutant: Mutant) -> Result:
    for stage in OTHERS.get(mutant.path, STAGES):
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", *PLUGINS, *stage],
                cwd=ROOT,
                env={**os.environ, VARIABLE: mutant.name},
                capture_output=True,
                text=True,
                check=False,
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            return Result(mutant, f"{stage[0]} did not end")
        if done.returncode != 0:
            found = _FAILED.search(done.stdout)
            return Result(mutant, found.group(1) if found else f"pytest ended with {done.returncode}")
    return Result(mutant, None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--only", metavar="TEXT", help="mutants whose file, function or text holds TEXT")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chosen = [
        each
        for each in mutants()
        if arguments.only is None or any(arguments.only in part for part in (each.name, each.function, each.text))
    ]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = []
        for result in pool.map(judge, chosen):
            results.append(result)
            mark = "killed" if result.killer else "SURVIVED"
            print(f"{len(results)}/{len(chosen)} {mark} {result.mutant.name} {result.mutant.text}", file=sys.stderr)
    survivors = [result for result in results if result.killer is None]
    if arguments.json:
        rows = [{**asdict(result.mutant), "killer": result.killer} for result in results]
        print(json.dumps({"schema": SCHEMA, "mutants": len(results), "survivors": len(survivors), "rules": rows}))
    else:
        print("| rule taken out | in | noticed by |\n|---|---|---|")
        for result in results:
            where = f"{result.mutant.path.rpartition('/')[2]}:{result.mutant.line} {result.mutant.function}"
            text = result.mutant.text.replace("|", "\\|")
            print(f"| `{text}` | {where} | {result.killer or '**nobody**'} |")
        print(f"\n{len(results) - len(survivors)} of {len(results)} were noticed.")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
