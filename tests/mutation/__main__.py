"""Runs the tests of the safety code once for every rule taken out, and prints who noticed. Markdown, or JSON.

A first run of them all, with nothing taken out, learns which test enters which function (`reach.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.mutation.mutants import ROOT, Mutant, mutants
from tests.mutation.plugin import MUTANT, REACH, TESTS
from tests.mutation.reach import Reach

SCHEMA: Final = "hashbridge.mutation/1"
TESTED_BY: Final = (
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
    "tests/properties/test_guard_machine.py",
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
)
"""Where a rule has to be noticed, unless its module is one of `OTHERS`."""
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
"""Of modules that tests run in other processes as well, where nobody sees what they enter. The quick ones first."""
LONGEST_S: Final = 300.0
"""Tests that have not ended so long after their time have noticed."""
SLOWER: Final = 3.0
"""So many times their time they may take: other work may go on beside them by now."""
PLUGINS: Final = ("-p", "tests.mutation.plugin", "-p", "no:cacheprovider")
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Result:
    mutant: Mutant
    killer: str | None
    """The first test that failed; None when none did."""


class Broken(Exception):
    """The tests say nothing of a mutant: they fail with nothing taken out, or none was run."""


def learn(file: str, scratch: Path) -> Path:
    """What the tests of one file enter; raises `Broken`."""
    told = scratch / f"{file.replace('/', '-')}.json"
    done = _run((file,), {REACH: str(told)}, None)
    if done.returncode != 0:
        raise Broken(f"{file} fails with nothing taken out:\n{done.stdout}{done.stderr}")
    return told


def judge(mutant: Mutant, reach: Reach, scratch: Path) -> Result:
    """Who notices. Raises `Broken`."""
    if mutant.path in OTHERS:
        killers = (_killer(mutant, stage, {}, LONGEST_S) for stage in OTHERS[mutant.path])
        return Result(mutant, next((killer for killer in killers if killer), None))
    tests = reach.of(mutant.path, mutant.function)
    if not tests:
        return Result(mutant, None)
    chosen = scratch / f"{mutant.name.replace('/', '-')}.json"
    chosen.write_text(json.dumps(tests), encoding="utf-8")
    files = tuple(dict.fromkeys(test.partition("::")[0] for test in tests))
    longest_s = LONGEST_S + SLOWER * sum(reach.took_s[test] for test in tests)
    return Result(mutant, _killer(mutant, files, {TESTS: str(chosen)}, longest_s))


def _killer(mutant: Mutant, files: tuple[str, ...], told: Mapping[str, str], longest_s: float) -> str | None:
    try:
        done = _run(files, {MUTANT: mutant.name, **told}, longest_s)
    except subprocess.TimeoutExpired:
        return f"{files[0]} did not end"
    if done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise Broken(f"{mutant.name}: no test was run:\n{done.stdout}{done.stderr}")
    if done.returncode == 0:
        return None
    found = _FAILED.search(done.stdout)
    return found.group(1) if found else f"pytest ended with {done.returncode}"


def _run(files: tuple[str, ...], told: Mapping[str, str], longest_s: float | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *PLUGINS, *files],
        cwd=ROOT,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=longest_s,
    )


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
    began_s = time.monotonic()
    with ThreadPoolExecutor(arguments.jobs) as pool, tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        reach = Reach.read(pool.map(partial(learn, scratch=scratch), TESTED_BY))
        print(f"{len(reach.tests)} tests looked at in {time.monotonic() - began_s:.0f} s", file=sys.stderr)
        results = []
        for result in pool.map(partial(judge, reach=reach, scratch=scratch), chosen):
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
    try:
        sys.exit(main())
    except Broken as broken:
        print(broken, file=sys.stderr)
        sys.exit(2)
