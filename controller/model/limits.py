"""What a board may be asked for, by whose word. The layers are put together in controller/safety/envelope.py."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from controller.model.words import Model


class Reach(StrEnum):
    """How far an operator may go. Whatever lies beyond stock is unlocked by somebody, and that is on record."""

    STOCK = "stock"
    RANGE = "range"
    """What is known to be in order for this kind of board."""
    HARD = "hard"
    """As far as the board may go at all."""


class Layer(StrEnum):
    """Who has set a limit. Each layer lies inside the one before; `PROTECTION`: what would guard more is missing."""

    HARD = "hard"
    RANGE = "range"
    STOCK = "stock"
    OPERATOR = "operator"
    SESSION = "session"
    PROTECTION = "protection"


class Limit(Model):
    """A limit in the unit of its name, inclusive, and the layer that it comes from."""

    value: float
    layer: Layer


class Limits(Model):
    """What holds for a board now."""

    reach: Reach
    core_v_min: Limit
    core_v_max: Limit
    frequency_mhz_min: Limit
    frequency_mhz_max: Limit
    power_w_max: Limit
    chip_c_warn: Limit
    chip_c_throttle: Limit
    chip_c_trip: Limit
    vr_c_warn: Limit
    vr_c_throttle: Limit
    vr_c_trip: Limit


class SessionLimits(Model):
    """What a tuner or a script may use of the operator's envelope. None: all of it."""

    core_v_min: float | None = Field(default=None, allow_inf_nan=False)
    core_v_max: float | None = Field(default=None, allow_inf_nan=False)
    frequency_mhz_min: float | None = Field(default=None, allow_inf_nan=False)
    frequency_mhz_max: float | None = Field(default=None, allow_inf_nan=False)


class OperatorLimits(SessionLimits):
    """What the operator of a board may use of its hard envelope, fixed when the rig starts. None: as shipped.

    `unlock`: how far beyond stock. `retry`: after a trip that a lower point may cure the board comes back by itself, at
    most three times in 24 hours (controller/safety/retry.py). Temperatures and power bind the rig itself: they are
    levels of its trips.
    """

    unlock: Reach = Reach.STOCK
    retry: bool = False
    power_w_max: float | None = Field(default=None, allow_inf_nan=False)
    chip_c_warn: float | None = Field(default=None, allow_inf_nan=False)
    chip_c_throttle: float | None = Field(default=None, allow_inf_nan=False)
    chip_c_trip: float | None = Field(default=None, allow_inf_nan=False)
    vr_c_warn: float | None = Field(default=None, allow_inf_nan=False)
    vr_c_throttle: float | None = Field(default=None, allow_inf_nan=False)
    vr_c_trip: float | None = Field(default=None, allow_inf_nan=False)
