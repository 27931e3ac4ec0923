"""One recorded run for all pictures and tests of the screens: an emulated Gamma in virtual time, two minutes long.

Its story: first contact, power-up to stock, random work, a remark, a voltage that the guard refuses, a change on trial
that is kept, one that goes back by itself, known-answer work, a fan that stands still, the latch and the safe-off. The
same run every time, to the last digit.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from controller.journal import Recording, read_journal
from controller.model import (
    AddRemark,
    BoardInfo,
    Event,
    EventBase,
    FaultLatched,
    KeepPoint,
    PointPending,
    PointReverted,
    Remark,
    SetOperatingPoint,
    Snapshot,
    StartWork,
    StateChanged,
    StopWork,
)
from controller.recording import RecordedRig
from drivers.errors import Refused
from emulator.benches import BenchSettings
from emulator.virtual_time import virtual_run
from tests.scenarios.gamma import NAME, stand

E = TypeVar("E", bound=EventBase)

SEED: Final = 7
DILUTION: Final = 1 << 29
KEEP_WITHIN_S: Final = 10.0
SETTINGS: Final = BenchSettings(seed=SEED, dilution=DILUTION)


async def _story(path: Path) -> None:
    async with stand(SETTINGS, journal=path) as s:
        request = s.rig.request
        await asyncio.sleep(2.0)
        await s.power_up(525.0, 1.150)
        await request(NAME, StartWork(work="synthetic"))
        await asyncio.sleep(20.0)
        await request(NAME, AddRemark(text="new paste on the die, fan cable re-seated"))
        await asyncio.sleep(5.0)
        try:
            await request(NAME, SetOperatingPoint(core_v=1.4))
        except Refused:
            await asyncio.sleep(5.0)
        else:
            raise AssertionError("1.4 V was not refused")
        await request(
            NAME, SetOperatingPoint(frequency_mhz=550.0, core_v=1.170, keep_within_s=KEEP_WITHIN_S, note="step 1")
        )
        await asyncio.sleep(6.0)
        await request(NAME, KeepPoint())
        await asyncio.sleep(20.0)
        await request(
            NAME, SetOperatingPoint(frequency_mhz=575.0, core_v=1.200, keep_within_s=KEEP_WITHIN_S, note="step 2")
        )
        await s.wait_for(PointReverted)
        await asyncio.sleep(15.0)
        await request(NAME, StopWork())
        await request(NAME, StartWork(work="pattern"))
        await asyncio.sleep(8.0)
        await request(NAME, StopWork())
        await request(NAME, StartWork(work="synthetic"))
        await asyncio.sleep(12.0)
        s.bench.faults.stall_fan()
        await s.fault()
        await asyncio.sleep(10.0)


def record(path: Path) -> Path:
    """Writes the run as a journal; returns `path`. About two seconds."""
    virtual_run(_story(path))
    return path


@dataclass(frozen=True)
class Run:
    """The run, read back. Positions are seconds from its first item, as `RecordedRig` counts them."""

    path: Path
    items: Recording

    @classmethod
    def read(cls, path: Path) -> Run:
        return cls(path, read_journal(path))

    @property
    def info(self) -> BoardInfo:
        return self.items.boards[0]

    @property
    def began_s(self) -> float:
        return self.items.items[0].at_s

    def position(self, kind: type[E], where: Callable[[E], bool] = lambda _event: True) -> float:
        """The position of the first event of this kind."""
        for event in self.items.events:
            if isinstance(event, kind) and where(event):
                return event.at_s - self.began_s
        raise AssertionError(f"no {kind.__name__} in the recorded run")

    def events(self, position_s: float) -> list[Event]:
        """Everything told up to there."""
        return [event for event in self.items.events if event.at_s - self.began_s <= position_s]

    def snapshots(self, position_s: float) -> list[Snapshot]:
        """Everything seen up to there, oldest first."""
        found = self.items.snapshots
        return found[: bisect_right([snapshot.at_s - self.began_s for snapshot in found], position_s)]

    def open(self, position_s: float) -> RecordedRig:
        """As a recording, paused at this position. Its clock stands still until a test moves it."""
        rig = RecordedRig.open(self.path, now=lambda: 0.0)
        rig.seek(position_s)
        return rig

    # --- the moments of the story -------------------------------------------------------------------------------------

    @property
    def live_s(self) -> float:
        """Hashing for some twenty seconds, with the remark just written."""
        return self.position(Remark) + 2.0

    @property
    def on_trial_s(self) -> float:
        """Four seconds into the first change on trial, which will be kept."""
        return self.position(PointPending) + 4.0

    @property
    def reverted_s(self) -> float:
        """After the second change has gone back by itself."""
        return self.position(PointReverted) + 5.0

    @property
    def latched_s(self) -> float:
        """The fan stood still; the board is latched and safe."""
        return self.position(FaultLatched) + 3.0

    @property
    def off_s(self) -> float:
        """After first contact, before anything was asked for."""
        return self.position(StateChanged) + 1.0
