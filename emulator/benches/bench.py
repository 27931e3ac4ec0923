"""What every emulated board has in common: settings, two ports, the truth, and the list of what moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from emulator.device import Device
from emulator.faults import Faults
from emulator.physics import Plant, PlantSettings


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """How to build a bench. One seed decides all chance on it."""

    seed: int = 1
    dilution: int = 1
    """How many hashes one emulated hash of unsolved work stands for; 1 on hardware."""
    solved: Path | None = None
    """Solved 80-byte headers, raw; None: the 8,000 that ship."""
    ambient_c: float | None = None
    """Air temperature; None: as the plant settings say."""
    source_ohm: float | None = None
    """Impedance of the supply behind the board; None: as the plant settings say."""
    plant: PlantSettings | None = None
    """The specimen; None: the usual one of its chip (`emulator.chips`)."""
    regulator: str = "TPS546D24A"
    fan_controller: str = "EMC2101"
    """Or `EMC2101-R`: both are found on Gamma boards."""
    dialect: str | None = None
    """In which its bridge answers, where firmwares of the board differ in that; None: as its latest released one."""
    rail_on_at_power_up: bool = False
    """The regulator starts by itself when the supply comes, and OPERATION does not stop it before ON_OFF_CONFIG is
    written. Seen on Gamma 601 boards with this firmware (bitaxe-raw issue 10)."""
    first_temperature_quirk: bool = True
    """The regulator's first temperature after enabling reads 127.88 C."""


class Actuation(NamedTuple):
    """Something moved on the board. `what`: `reset`, `rail` or `fan`."""

    at_s: float
    what: str
    detail: str


class Bench(Protocol):
    """An emulated board on its bench. Times are seconds since the supply came."""

    @property
    def board(self) -> str: ...

    @property
    def settings(self) -> BenchSettings: ...

    @property
    def dialect(self) -> str:
        """In which its bridge answers, as its USB descriptor would say."""
        ...

    @property
    def control(self) -> Device: ...

    @property
    def data(self) -> Device: ...

    @property
    def plant(self) -> Plant: ...

    @property
    def chips(self) -> Sequence[Any]: ...

    @property
    def faults(self) -> Faults: ...

    clock: Callable[[], float]
    """The present, for what comes without a time (faults). A port that carries the bench replaces it."""

    on_actuation: Callable[[Actuation], None] | None
    """Told each move as it happens."""

    @property
    def actuations(self) -> list[Actuation]:
        """All moves so far, in order."""
        ...

    def advance(self, at_s: float) -> None:
        """Bring everything on the bench to this moment."""
        ...

    def truth(self, at_s: float) -> dict[str, Any]:
        """What is really so, at this moment, whatever the sensors say."""
        ...
