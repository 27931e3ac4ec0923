"""What the actuators of a board were last told, and when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Commanded:
    """What the actuators were last told, and when. Times are the loop's."""

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
    window_mhz: float | None = None
    locked_down: bool = False
    verified_v: float | None = None
    brought_up: bool = False
    moving: bool = False
    """A step is under way: read-backs may show the state before or after it."""
    fan_moving: bool = False
    """The same of the fan alone, which is led beside everything else."""
