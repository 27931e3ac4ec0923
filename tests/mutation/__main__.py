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
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.mutation.kept import Kept, OfOtherSources
from tests.mutation.mutants import ROOT, Mutant, mutants
from tests.mutation.plugin import MUTANT, REACH, TESTS
from tests.mutation.reach import Reach

SCHEMA: Final = "hashbridge.mutation/1"
IN_PROCESS: Final = (
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
    "tests/unit/controller/test_plausibility.py",
    "tests/unit/controller/test_crosschecks.py",
    "tests/unit/controller/test_drift.py",
    "tests/unit/controller/test_tracker.py",
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
    "tests/scenarios/test_retries_of_the_next_rig.py",
    "tests/scenarios/test_plausibility_gamma.py",
    "tests/scenarios/test_fan_loop.py",
    "tests/unit/asics/test_stop.py",
    "tests/unit/controller/test_watcher_rules.py",
    "tests/scenarios/test_bare_hash.py",
)
"""The tests that enter the rules."""
_WATCHED: Final = ("tests/unit/controller/test_watcher.py", "tests/scenarios/test_bare_hash_watched.py")
PROCESSES: Final = {
    "controller/barehash.py": (("tests/scenarios/test_bare_hash_watched.py", "tests/unit/cli/test_chain_hash.py"),),
    "controller/safety/watcher.py": (_WATCHED, ("tests/scenarios/test_bare_hash_deaths.py",)),
    "drivers/asics/stop.py": (_WATCHED,),
}
"""Those that run a module in processes of its own, where nobody sees what they enter: for what the others let pass, the
quick ones first."""
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


def learn(file: str, scratch: Path) -> dict[str, Any]:
    """What the tests of one file enter; raises `Broken`."""
    told = scratch / f"{file.replace('/', '-')}.json"
    done = _run((file,), {REACH: str(told)}, None)
    if done.returncode != 0:
        raise Broken(f"{file} fails with nothing taken out:\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return found


def judge(mutant: Mutant, reach: Reach, scratch: Path) -> Result:
    """Who notices. Raises `Broken`."""
    return Result(mutant, next((killer for killer in _killers(mutant, reach, scratch) if killer), None))


def _killers(mutant: Mutant, reach: Reach, scratch: Path) -> Iterator[str | None]:
    if tests := reach.of(mutant.path, mutant.function):
        chosen = scratch / f"{mutant.name.replace('/', '-')}.json"
        chosen.write_text(json.dumps(tests), encoding="utf-8")
        files = tuple(dict.fromkeys(test.partition("::")[0] for test in tests))
        longest_s = LONGEST_S + SLOWER * sum(reach.took_s[test] for test in tests)
        yield _killer(mutant, files, {TESTS: str(chosen)}, longest_s)
    for stage in PROCESSES.get(mutant.path, ()):
        yield _killer(mutant, stage, {}, LONGEST_S)


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
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep what is found in FILE, and go on from there")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chosen = [
        each
        for each in mutants()
        if arguments.only is None or any(arguments.only in part for part in (each.name, each.function, each.text))
    ]
    kept = Kept(arguments.resume)
    with ThreadPoolExecutor(arguments.jobs) as pool, tempfile.TemporaryDirectory() as name:
        scratch, began_s = Path(name), time.monotonic()
        reach = kept.reach
        if reach is None:
            reach = Reach.told(*pool.map(partial(learn, scratch=scratch), IN_PROCESS))
            kept.learned(reach)
            print(f"looked at {len(reach.tests)} tests in {time.monotonic() - began_s:.0f} s", file=sys.stderr)
        left = [mutant for mutant in chosen if mutant.name not in kept.killers]
        for number, result in enumerate(pool.map(partial(judge, reach=reach, scratch=scratch), left), 1):
            kept.add(result.mutant.name, result.killer)
            mark = "killed" if result.killer else "SURVIVED"
            print(f"{number}/{len(left)} {mark} {result.mutant.name} {result.mutant.text}", file=sys.stderr, flush=True)
    results = [Result(mutant, kept.killers[mutant.name]) for mutant in chosen]
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
    except (Broken, OfOtherSources) as broken:
        print(broken, file=sys.stderr)
        sys.exit(2)
