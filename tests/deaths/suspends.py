"""The machine falls asleep while a board hashes: `make suspend-trials TRIALS=5`, as root. It puts THIS one to sleep.

Its clock wakes it (rtcwake of util-linux; needs root). CLOCK_MONOTONIC, by which the boards are traced, stands still
meanwhile, and with it every process, the emulated board among them: what is measured is the time from waking to the
rail being off. A real board goes on hashing all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from controller.model import FaultLatched
from controller.suspend import SuspendDetector, clock_monotonic_s
from drivers.boards import BOARDS
from tests.campaign.subject import GAMMA
from tests.deaths.field import Field, NeverHashed, Trial
from tests.deaths.report import ASLEEP, HEADER, line
from tests.deaths.trials import places

TICK_S: Final = 0.001


class NoSleep(Exception):
    """This machine cannot be put to sleep."""


class Waking:
    """When the machine woke, as a process sees it that does nothing but look."""

    def __init__(self) -> None:
        self.woke_s: float | None = None
        self.slept_s = 0.0
        self._over = threading.Event()

    def _look(self) -> None:
        detector = SuspendDetector()
        while not self._over.wait(TICK_S):
            slept_s = detector.check()
            if slept_s is not None and self.woke_s is None:
                self.woke_s, self.slept_s = clock_monotonic_s(), slept_s

    @contextmanager
    def looking(self) -> Iterator[Waking]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()


def sleep(mode: str, seconds: int) -> Waking:
    """Returns when the machine is awake again. Raises `NoSleep`; `NeverHashed`, to begin again, when it woke before it
    slept: on a slow machine the way into sleep may take longer than `seconds`."""
    with Waking().looking() as waking:
        try:
            done = subprocess.run(
                ["rtcwake", "-m", mode, "-s", str(seconds)], capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise NoSleep("no rtcwake here: it is in util-linux") from error
        if done.returncode != 0:
            raise NoSleep(done.stderr.strip() or f"rtcwake ended with {done.returncode}")
    if waking.woke_s is None:
        raise NeverHashed(f"rtcwake -m {mode} came back, but no clock says that the machine slept")
    return waking


async def machine_asleep(place: Field, mode: str, seconds: int) -> Trial:
    board = await place.board()
    async with place.rig(board) as rig:
        waking = await asyncio.to_thread(sleep, mode, seconds)
        assert waking.woke_s is not None
        trial = await place.off(board.name, waking.woke_s)
        await asyncio.sleep(1.0)  # whoever made it safe has said so by now
    trial.facts["confirmed"] = rig.last_safe_off[board.name].confirmed
    trial.facts["by"] = rig.last_safe_off[board.name].by
    trial.facts["slept"] = waking.slept_s
    trial.facts["cause"] = [event.cause.value async for event in rig.events() if isinstance(event, FaultLatched)]
    return trial


async def trials(directory: Path, kind: str, count: int, mode: str, seconds: int) -> list[Trial]:
    place = Field(directory, kind)
    try:
        return [await place.begin(partial(machine_asleep, mode=mode, seconds=seconds)) for _ in range(count)]
    finally:
        place.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deaths.suspends", description=__doc__)
    parser.add_argument("--board", choices=sorted(BOARDS), default=GAMMA, help="what is emulated (%(default)s)")
    parser.add_argument("--trials", type=int, default=5, metavar="N")
    parser.add_argument("--mode", choices=("mem", "freeze", "standby"), default="mem", help="of rtcwake (%(default)s)")
    parser.add_argument("--seconds", type=int, default=10, metavar="S", help="asleep in each trial (%(default)s)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="hb-") as name,
        places(Path(name)),
        asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner,
    ):
        try:
            found = runner.run(trials(Path(name), arguments.board, arguments.trials, arguments.mode, arguments.seconds))
        except (NoSleep, NeverHashed) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    row = line(ASLEEP, found)
    print(f"{arguments.board}, {arguments.mode}\n\n{HEADER}\n{row.text}\n")
    for trial in found:
        told = ", ".join(trial.facts["cause"])
        print(f"slept {trial.facts['slept']:.1f} s, safe by the {trial.facts['by']}, latched by {told}")
    return 1 if row.broken else 0


if __name__ == "__main__":
    sys.exit(main())
