"""The screens on a real terminal: how soon they are there, how soon a key is answered, what they cost.

One emulated board in a process of its own, one rig, one screen of 120 by 40. Times are from this side of the terminal:
from the start of the process, or the write of a key, to the read that brought the last part of what was to appear.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from controller.emulators import child_environment
from controller.model import StartWork
from emulator.benches import BenchSettings
from emulator.virtual_time import virtual_run
from tests.measuring import spread
from tests.processes import cpu_s
from tests.scenarios.gamma import NAME, stand
from tests.scenarios.screen_stage import BOARD, Stage, until_live
from tests.scenarios.screen_trials import misfortunes
from tests.terminal import NotShown, Terminal

_SAMPLES: Final = 60
_STARTS: Final = 3
_IDLE_S: Final = 8.0
_PATIENCE_S: Final = 30.0
_SETTLE_S: Final = 0.3
"""So long nobody looks: reading a screen is work, and would be measured with the rest."""
_SHARES: Final = {"p50": 0.5, "p95": 0.95}
_LAST_LINE: Final = {"1": " 1 board", "2": " + step up", "3": " / search"}
"""How the key bar begins, which is painted last."""
_TITLES: Final = {"1": "Readings", "2": "Guard rails", "3": "Log "}


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="hb-") as directory:
        journal = Path(directory) / "run.jsonl"
        virtual_run(_journal(journal))
        result: dict[str, Any] = {
            "first_paint_ms": {
                "emulate": _first_paint(("--emulate", BOARD), "SAFE OFF"),
                "open": _first_paint(("--open", str(journal)), "RECORDING"),
            }
        }
    with Stage() as stage:
        result |= _live(stage)
    with Stage() as stage:
        result["misfortunes"] = misfortunes(stage).figures()
    fed = subprocess.run(
        [sys.executable, "-m", "tests.bench.screen_feed"],
        cwd=Path(__file__).parents[2],
        env=child_environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return {**result, **json.loads(fed.stdout)}


async def _journal(path: Path) -> None:
    """A power-up and the first job, as `--open` gets it."""
    async with stand(BenchSettings(seed=1, dilution=2**29), journal=path) as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="synthetic", seed=1))


def _first_paint(arguments: Sequence[str], shown: str) -> dict[str, float]:
    """From the start of the process to the first screen that has readings of a board."""
    taken_ms = []
    for _ in range(_STARTS):
        with Stage() as stage:
            terminal = stage.tui(*arguments)
            seen_ns = _when(terminal, 0, lambda lines: shown in lines[0] and _LAST_LINE["1"] in lines[-1])
            taken_ms.append((seen_ns - terminal.began_ns) / 1e6)
            terminal.press("q")
            terminal.wait()
    return spread(taken_ms, _SHARES, 1)


def _live(stage: Stage) -> dict[str, Any]:
    terminal = stage.tui("--emulate", BOARD, "--start")
    until_live(terminal)
    terminal.press("2")
    terminal.wait_for("Guard rails")
    keys = {"screens": _keys(terminal, _screens), "plus_on_tune": _keys(terminal, _steps)}
    terminal.press("1")
    terminal.wait_for("Readings")
    idle = {}
    for name, key in (("board", "1"), ("tune", "2"), ("log", "3")):
        terminal.press(key)
        terminal.wait_for(_TITLES[key])
        idle[name] = _share(terminal)
    return {"key_to_paint_ms": keys, "idle_cpu_percent": idle}


def _share(terminal: Terminal) -> dict[str, float]:
    """Of one core, while nobody presses anything; and what the screen writes meanwhile."""
    before_s, bytes_before = cpu_s(terminal.pid), len(terminal.raw)
    time.sleep(_IDLE_S)  # the stretch that is measured; nothing of ours may run in it
    share = (cpu_s(terminal.pid) - before_s) / _IDLE_S
    written = (len(terminal.raw) - bytes_before) / _IDLE_S
    return {"cpu_percent": round(100.0 * share, 1), "bytes_per_s": round(written)}


def _screens(at: int) -> tuple[str, Callable[[list[str]], bool]]:
    """The next screen, whole: its first panel and its key bar."""
    key = "312"[at % 3]
    return key, lambda lines: any(_TITLES[key] in line for line in lines) and lines[-1].startswith(_LAST_LINE[key])


def _steps(at: int) -> tuple[str, Callable[[list[str]], bool]]:
    """One step up, the next one back; done when the staged clock is there."""
    key, staged = ("+", "[  531.25]") if at % 2 == 0 else ("-", "[  525.00]")
    return key, lambda lines: any(staged in line for line in lines)


def _keys(terminal: Terminal, choose: Callable[[int], tuple[str, Callable[[list[str]], bool]]]) -> dict[str, float]:
    taken_ms = []
    for at in range(_SAMPLES):
        key, done = choose(at)
        terminal.lines()
        first, pressed_ns = len(terminal.chunks), time.monotonic_ns()
        terminal.press(key)
        taken_ms.append((_when(terminal, first, done) - pressed_ns) / 1e6)
    return spread(taken_ms, _SHARES, 1)


def _when(terminal: Terminal, first: int, done: Callable[[list[str]], bool]) -> int:
    """When this was on the screen; a slow one counts like any other, and one that never comes ends the measurement."""
    give_up_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_s:
        time.sleep(_SETTLE_S)  # nobody looks meanwhile: see _SETTLE_S
        if (seen_ns := terminal.when(first, done)) is not None:
            return seen_ns
    raise NotShown(f"not within {_PATIENCE_S:g} s; the screen:\n{terminal.text}")
