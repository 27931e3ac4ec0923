"""What the actuators of a board were last told, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.units import Megahertz

Realise = Callable[[Megahertz], Megahertz]
"""What the chip's clock can give for a wish: from the PLL solver of the chain."""


@dataclass(slots=True)
class Commanded:
    """What the actuators were last told, and when. Times are the loop's."""

    chips: int = 1
    """How many there are."""
    rail_on: bool = False
    rail_changed_s: float = float("-inf")
    core_v: float | None = None
    core_v_changed_s: float = float("-inf")
    reset_released: bool = False
    reset_changed_s: float = float("-inf")
    frequency_mhz: float | None = None
    frequency_changed_s: float = float("-inf")
    fan_ratio: float | None = None
    """None: the fan follows the controller's own table, or nothing was commanded yet."""
    fan_changed_s: float = float("-inf")
    caps_mhz: Mapping[int, float] = field(default_factory=dict)
    """The caps that chips were told with their clock: of one that moves, where it has got to."""
    window_mhz: float | None = None
    window_caps_mhz: Mapping[int, float] = field(default_factory=dict)
    locked_down: bool = False
    verified_v: float | None = None
    brought_up: bool = False
    moving: bool = False
    """A step is under way: read-backs may show the state before or after it."""
    fan_moving: bool = False
    """The same of the fan alone, which is led beside everything else."""

    def clock_of(self, chip: int) -> float | None:
        """What this chip was told, MHz: the clock of the board, or its cap where that is lower."""
        clock = self.frequency_mhz
        return None if clock is None else min(clock, self.caps_mhz.get(chip, clock))

    def window_of(self, chip: int) -> float:
        """For which clock, MHz, the window of this chip is."""
        window = self.window_mhz or 0.0
        return min(window, self.window_caps_mhz.get(chip, window))

    @property
    def mean_mhz(self) -> float | None:
        """Of all chips, which is what their power goes by."""
        return None if self.frequency_mhz is None else mean_mhz(self.frequency_mhz, self.caps_mhz, self.chips)


def mean_mhz(frequency_mhz: float, caps_mhz: Mapping[int, float], chips: int) -> float:
    """The mean clock of so many chips of a board at this clock."""
    less = sum(frequency_mhz - cap for cap in caps_mhz.values() if cap < frequency_mhz)
    return frequency_mhz - less / chips if less else frequency_mhz
