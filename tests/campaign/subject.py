"""What the campaign has to know of the board that it is about: from its row of BOARDS, and from its bench."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from drivers.boards import BOARDS, BoardKind
from drivers.boards.board import Channel, Envelope
from drivers.boards.leased_gamma import LEASED_GAMMA
from emulator.benches import BENCHES, BenchSettings
from emulator.benches.leased_gamma import LeasedGamma
from emulator.physics import PlantSettings

GAMMA: Final = "bitaxe-gamma"
LEASED: Final = LEASED_GAMMA.name
"""Not among `BOARDS`: emulated only, with a firmware that makes the board safe when nobody is heard."""
KINDS: Final[Mapping[str, BoardKind]] = {**BOARDS, LEASED: LEASED_GAMMA}
BUILDS: Final[Mapping[str, Callable[[BenchSettings], Any]]] = {**BENCHES, LEASED: LeasedGamma}
_GAMMA_STOCK_V: Final = 1.150
_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)?")
_TWELVE_VOLT_FROM_V: Final = 6.0
_TWELVE_TO_FIVE: Final = 2.4


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """What the regulator holds by itself, of one chip. As its row tells it for the docs."""

    core_v: float
    """It never gives more."""
    over_ratio: float
    """It goes off above this share of its command."""
    core_a: float


@dataclass(frozen=True, slots=True)
class Subject:
    """`plant`: the usual specimen. `parts`: what faults call the parts on the bus, sorted. `own`: None where the
    regulator has no limits."""

    kind: BoardKind
    plant: PlantSettings
    parts: tuple[str, ...]
    own: OwnLimits | None
    wakes_at_v: float
    """Where the rail stands when the supply comes, if nobody can switch it; else 0."""
    wakes_released: bool
    """Its bridge leaves the chips out of reset when it wakes."""

    @property
    def envelope(self) -> Envelope:
        return self.kind.envelope

    @property
    def chips(self) -> int:
        return self.kind.chips

    @property
    def core_scale(self) -> float:
        """Volts of one of its chips for each volt of a Gamma's."""
        return float(self.envelope.stock_core_v) / _GAMMA_STOCK_V

    @property
    def rail_scale(self) -> float:
        """Volts of its rail for each volt of a Gamma's."""
        return self.core_scale * self.plant.board_domains

    @property
    def twelve_volt(self) -> bool:
        return self.envelope.input_v_enable.low > _TWELVE_VOLT_FROM_V

    @property
    def input_scale(self) -> float:
        """Volts of its input for each volt of a Gamma's."""
        return _TWELVE_TO_FIVE if self.twelve_volt else 1.0

    @property
    def has_dac(self) -> bool:
        """Its rail is set by a DAC: no regulator on the bus measures or limits it."""
        return not self.envelope.means.sees(Channel.CORE_A)

    @property
    def switches(self) -> bool:
        """Somebody can switch its rail off."""
        return self.envelope.means.rests_at_v is None

    @property
    def has_fan(self) -> bool:
        """One that a program can reach."""
        return self.envelope.means.sees(Channel.FAN_RPM)

    @property
    def leased(self) -> bool:
        """Its firmware has a host lease."""
        return self.kind.name == LEASED

    @property
    def rail_follows_bridge(self) -> bool:
        """A pin of the bridge switches its regulator."""
        return any(action.name.endswith("rail pin") for action in self.kind.safe_off_recipe)

    def energised(self, core_v: float, rail_on: bool) -> bool:
        """Whether the chips have more than what a board that is off leaves them. `core_v`: of one chip."""
        return core_v > self.envelope.core_off_below_v if not self.switches else rail_on


@cache
def subject_of(board: str) -> Subject:
    """KeyError for a name that is not in `KINDS`."""
    kind = KINDS[board]
    bench = BUILDS[board](BenchSettings())
    switches = kind.envelope.means.rests_at_v is None
    return Subject(
        kind=kind,
        plant=bench.plant.settings,
        parts=tuple(sorted(bench.faults.parts)),
        own=_own_limits(kind, bench.plant.settings.board_domains),
        wakes_released=not bench.truth(0.0)["reset_asserted"],
        wakes_at_v=0.0 if switches else bench.truth(0.0)["rail_set_v"],
    )


def _own_limits(kind: BoardKind, domains: int) -> OwnLimits | None:
    """The numbers of the texts that docs/safety.md has of them, in their order."""
    if Channel.CORE_V not in kind.own_limits:
        return None
    part = "TPS546"
    volts, above, _ = _NUMBERS.findall(kind.own_limits[Channel.CORE_V].removeprefix(part))
    (amps,) = _NUMBERS.findall(kind.own_limits[Channel.CORE_A].removeprefix(part))
    return OwnLimits(float(volts) / domains, float(above) / 100.0, float(amps))
