"""A bare hash board whose program dies or freezes: the watcher stops its chips, and how soon.

Real processes over a pseudo-terminal: the command as it is typed, its watcher, and twelve emulated chips.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.emulators import child_command, child_environment
from controller.journal import read_journal
from controller.model import BareHashAccepted, WorkStarted
from emulator.benches.hashboard import HashBoardModel
from tests.processes import alive, strike
from tests.served import Served
from tests.waiting import until

pytestmark = [pytest.mark.real_time, pytest.mark.alone]  # it measures

CHIPS = 12
KILLED_WITHIN_S = 0.5
FROZEN_WITHIN_S = 2.0
"""As the rail of a rig's board: the watcher's 1.0 s of patience, and a loaded machine."""


def when(what: Callable[[], bool], within_s: float) -> float:
    """When it was so, CLOCK_MONOTONIC."""
    assert until(what, within_s), "it never came to that"
    return time.monotonic()


@contextmanager
def hashing(directory: Path) -> Iterator[tuple[Served, subprocess.Popen[str], Path]]:
    """The board, the command that makes it hash, and where its watcher reports."""
    environment = {**child_environment(), "HASHBRIDGE_STATE_DIR": str(directory / "state")}
    with Served(HashBoardModel("bench", (("BM1362", CHIPS),))) as board:
        line = ["chain", "--port", board.path, "--chips", str(CHIPS), "--chip", "BM1362", "--hash"]
        line += ["--supply", "bench supply, in reach", "--accept-no-cutoff", "--seconds", "60", "--frequency", "100"]
        line += ["--journal", str(directory / "journal")]
        process = subprocess.Popen(
            child_command(*line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        try:
            assert until(lambda: board.bench.hashing, 30.0)
            assert board.bench.fastest_mhz == pytest.approx(100.0, abs=1.0)
            yield board, process, directory / "state" / f"watcher-{process.pid}.json"
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def read(report: Path) -> dict[str, Any]:
    assert until(report.exists, 5.0)
    found: dict[str, Any] = json.loads(report.read_text(encoding="ascii"))
    return found


def test_killed_the_chips_stand_still_within_half_a_second(tmp_path: Path) -> None:
    with hashing(tmp_path) as (board, process, report):
        struck_s = strike(process.pid, signal.SIGKILL)
        stopped_s = when(lambda: not board.bench.hashing and board.bench.fastest_mhz == 50.0, 5.0)
        print(f"stopped {1000.0 * (stopped_s - struck_s):.0f} ms after SIGKILL")
        assert stopped_s - struck_s < KILLED_WITHIN_S
        said = process.communicate()[1]  # until the watcher, which has the same standard error, has ended too
        found = read(report)
        assert (found["confirmed"], found["why"]) == (True, "the rig closed the socket")
        assert found["detail"] == f"{2 * CHIPS} registers read back"
        assert f"the chips are stopped, {2 * CHIPS} registers read back" in said.splitlines()[-1]
        events = read_journal(tmp_path / "journal").events
        assert isinstance(events[0], BareHashAccepted)
        assert (events[0].supply, events[0].watched) == ("bench supply, in reach", True)
        assert isinstance(events[-1], WorkStarted)  # the one who would have told the end is dead


def test_frozen_the_chips_stand_still_and_the_program_does_not_start_them_again_when_it_wakes(tmp_path: Path) -> None:
    with hashing(tmp_path) as (board, process, report):
        struck_s = strike(process.pid, signal.SIGSTOP)
        stopped_s = when(lambda: not board.bench.hashing and board.bench.fastest_mhz == 50.0, 5.0)
        print(f"stopped {1000.0 * (stopped_s - struck_s):.0f} ms after SIGSTOP")
        assert stopped_s - struck_s < FROZEN_WITHIN_S
        assert read(report)["confirmed"] is True
        assert alive(process.pid)
        os.kill(process.pid, signal.SIGCONT)
        out, said = process.communicate(timeout=20.0)
        assert process.returncode == 7
        assert not board.bench.hashing
        told = " ".join(out.split())
        assert "trip sentinel_lost: the watcher has stopped the chips: no beat for 1." in told
        assert "stop confirmed by read-back, by this process" in told
        assert said.splitlines()[-1].startswith("TRIP sentinel_lost")
