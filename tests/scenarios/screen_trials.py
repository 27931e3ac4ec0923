"""What becomes of a rig whose screen is not read, frozen, or killed: one screen, its misfortunes one after the other.

The wire is recorded: each sweep of the sensors begins with a READ_VIN, and the gaps between those are what a sentinel
would notice. Used by a test and by a benchmark.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from drivers.transports.tap import TX, read_tap
from tests.measuring import spread
from tests.processes import state_of, strike
from tests.scenarios.screen_stage import Stage, events_of, until_live
from tests.terminal import Terminal
from tests.waiting import until

UNREAD_S: Final = 6.0
FROZEN_S: Final = 3.0
QUIET_S: Final = 4.0
"""Before and after, to compare with."""
SWEEP_S: Final = 0.2
_READ_VIN: Final = bytes.fromhex("0005 40 24 88 02")
_DAY_S: Final = 86_400
_COUNTED: Final = re.compile(r"Log +\d+ of (\d+) ")
_CLOCK: Final = re.compile(r"(\d\d):(\d\d):(\d\d) UTC")


@dataclass(slots=True)
class Phase:
    """A stretch of time (CLOCK_MONOTONIC), and the sweeps on the wire from the last before it to the first after it."""

    name: str
    from_s: float
    to_s: float
    sweeps_s: list[float] = field(default_factory=list)

    @property
    def gaps_s(self) -> list[float]:
        return [late - early for early, late in zip(self.sweeps_s, self.sweeps_s[1:], strict=False)]

    @property
    def lateness_ms(self) -> list[float]:
        """How much later than the one before plus 200 ms each sweep began."""
        return [max(0.0, gap_s - SWEEP_S) * 1000.0 for gap_s in self.gaps_s]

    def figures(self) -> dict[str, float]:
        late = spread(self.lateness_ms, {"median": 0.5, "p99": 0.99}, 2)
        return {**late, "seconds": round(self.to_s - self.from_s, 2)}


@dataclass(slots=True)
class Outcome:
    """What happened to the one board."""

    phases: dict[str, Phase]
    events: list[dict[str, Any]]
    """The rig's own, from its journal."""
    moves: list[dict[str, Any]]
    """The emulated board's own."""
    full: bool
    """The terminal that was not read had no room left."""
    stopped: bool
    """The frozen process was stopped."""
    counted: dict[str, tuple[int, int]]
    """After each misfortune: events that the log of the screen counts, and those that the journal has."""
    killed_s: float
    rig_log: str

    def between(self, phase: Phase) -> list[str]:
        """The kinds of the events in that time; the rig's clock is CLOCK_MONOTONIC."""
        return [event["kind"] for event in self.events if phase.from_s <= event["at_s"] <= phase.to_s]

    def moves_since(self, at_s: float) -> list[dict[str, Any]]:
        return [move for move in self.moves if move["t_ns"] > at_s * 1e9 and move["what"] != "fan duty"]

    @property
    def rail_off_ms(self) -> float:
        """From the death of the screen to the rail being off."""
        off_ns = next(move["t_ns"] for move in self.moves_since(self.killed_s) if move["what"] == "rail off")
        return float(off_ns / 1e6 - self.killed_s * 1e3)

    def figures(self) -> dict[str, Any]:
        late = {f"lateness_ms_{name.replace(' ', '_')}": phase.figures() for name, phase in self.phases.items()}
        return {**late, "rail_off_ms_after_kill": round(self.rail_off_ms, 1)}


def misfortunes(stage: Stage) -> Outcome:
    """About 45 s: power up, hash, not read for 6 s while it paints as fast as it can, frozen for 3 s, killed."""
    board = stage.emulator("--dilution", "16777216")
    journal, wire = stage.directory / "journal.jsonl", stage.directory / "wire.jsonl"
    terminal = stage.tui("--port", board.control, "--start", "--journal", str(journal), "--record", str(wire))
    until_live(terminal)
    phases: list[Phase] = []
    counted: dict[str, tuple[int, int]] = {}

    def during(name: str, what: Callable[[], None]) -> None:
        from_s = time.monotonic()
        what()
        phases.append(Phase(name, from_s, time.monotonic()))

    def calm(name: str) -> None:
        during(name, lambda: time.sleep(QUIET_S))  # the stretch whose sweeps are measured

    calm("before")
    full = False

    def unread() -> None:
        """Each change of screen is a whole screen painted; the keys go on when nobody reads what comes of them."""
        nonlocal full
        terminal.stop_reading()
        until_s, key = time.monotonic() + UNREAD_S, 0
        while time.monotonic() < until_s:
            terminal.press_unread("123"[key % 3])
            key += 1
        full = terminal.is_full()

    during("unread", unread)
    terminal.read_on()
    counted["unread"] = _catches_up(terminal, journal)
    calm("after unread")
    stopped = False

    def frozen() -> None:
        nonlocal stopped
        strike(terminal.pid, signal.SIGSTOP)
        time.sleep(FROZEN_S)  # the misfortune itself
        stopped = state_of(terminal.pid) == "T"

    during("frozen", frozen)
    strike(terminal.pid, signal.SIGCONT)
    counted["frozen"] = _catches_up(terminal, journal)
    calm("after frozen")
    killed_s = strike(terminal.pid, signal.SIGKILL)
    terminal.wait()
    until(lambda: not stage.rigs(), 20.0)
    _fill(phases, wire)
    (log,) = stage.state.glob("rig-*.log")
    return Outcome(
        phases={phase.name: phase for phase in phases},
        events=events_of(journal),
        moves=board.moves(),
        full=full,
        stopped=stopped,
        counted=counted,
        killed_s=killed_s,
        rig_log=log.read_text(),
    )


def _catches_up(terminal: Terminal, journal: Path) -> tuple[int, int]:
    """Wait until the screen shows the time of now, and read what its log counts when the journal counts the same."""
    now = datetime.now(UTC)
    wanted_s = now.hour * 3600 + now.minute * 60 + now.second + 1

    def shows_now() -> bool:
        found = _CLOCK.search(terminal.lines()[0])
        if found is None:
            return False
        hours, minutes, seconds = map(int, found.groups())
        ahead_s = (hours * 3600 + minutes * 60 + seconds - wanted_s) % _DAY_S
        return ahead_s < _DAY_S / 2

    terminal.wait_until(shows_now, what="the newest readings")
    terminal.press("3")
    terminal.wait_for(_COUNTED)
    seen = (-1, 0)

    def same() -> bool:
        nonlocal seen
        found = _COUNTED.search(terminal.text)
        seen = (int(found.group(1)) if found else -1, len(events_of(journal)))
        return seen[0] == seen[1]

    until(same, 10.0)
    return seen


def _fill(phases: Sequence[Phase], wire: Path) -> None:
    sweeps_s = [
        record.t_ns / 1e9
        for record in read_tap(wire)
        if record.port == "control" and record.direction == TX and record.data[3:] == _READ_VIN
    ]
    for phase in phases:
        inside = [at for at, sweep_s in enumerate(sweeps_s) if phase.from_s <= sweep_s <= phase.to_s]
        if inside:
            phase.sweeps_s = sweeps_s[max(0, inside[0] - 1) : inside[-1] + 2]


__all__ = ["FROZEN_S", "SWEEP_S", "UNREAD_S", "Outcome", "Phase", "misfortunes"]
