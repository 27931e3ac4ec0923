"""What can be asked of a board. The guard judges each of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.model.limits import Reach, SessionLimits
from controller.model.words import (
    FAN_TARGET_MAX_C,
    FAN_TARGET_MIN_C,
    KEEP_WITHIN_MAX_S,
    KEEP_WITHIN_MIN_S,
    NOTE_CHARACTERS,
    FanMode,
    Model,
)


class PowerUp(Model):
    """From safe-off to a running point, in the documented order. The change-per-command limits do not bind.

    `dry_run`: judge it and do nothing else; what would be refused now is refused, and not even logged.
    """

    kind: Literal["power_up"] = "power_up"
    frequency_mhz: float | None = None
    core_v: float | None = None
    dry_run: bool = False
    note: str = Field(default="", max_length=NOTE_CHARACTERS)


class SetOperatingPoint(Model):
    """Move a live board. What is None stays. At most 50 mV and 50 MHz per command unless `preset`.

    With `keep_within_s` the change is on trial from the moment it is made: unless `KeepPoint` comes in time, the rig
    goes back by itself, whatever has become of the one who asked. Changes on trial one after the other all go back to
    the last point that was kept. Without it, the change counts as kept.
    """

    kind: Literal["set_operating_point"] = "set_operating_point"
    frequency_mhz: float | None = None
    core_v: float | None = None
    preset: bool = False
    keep_within_s: float | None = Field(default=None, ge=KEEP_WITHIN_MIN_S, le=KEEP_WITHIN_MAX_S)
    dry_run: bool = False
    note: str = Field(default="", max_length=NOTE_CHARACTERS)


class CapChip(Model):
    """From now on, also over power-downs, this chip runs at `frequency_mhz` at most: at the lower of that and the clock
    of its board. None: at the board's clock again. `chip`: its place on the line, from 0 at the host.

    A live board moves it at once, by at most 50 MHz unless `preset`. One chip at least runs at the board's clock.
    """

    kind: Literal["cap_chip"] = "cap_chip"
    chip: int = Field(ge=0)
    frequency_mhz: float | None = None
    preset: bool = False
    dry_run: bool = False
    note: str = Field(default="", max_length=NOTE_CHARACTERS)


class KeepPoint(Model):
    """The change on trial stays. `until_s`: only if it is the trial that ends then (`PendingPoint.until_s`)."""

    kind: Literal["keep_point"] = "keep_point"
    until_s: float | None = None


class RevertPoint(Model):
    """The change on trial goes back now. `until_s` as in `KeepPoint`."""

    kind: Literal["revert_point"] = "revert_point"
    until_s: float | None = None
    why: str = "asked for"


class AddRemark(Model):
    """A line of a person's own in the history, about the board as it is now."""

    kind: Literal["add_remark"] = "add_remark"
    text: str = Field(min_length=1, max_length=NOTE_CHARACTERS)


class StartWork(Model):
    """Feed the chips. `headers` is the path of raw 80-byte records for work "headers".

    `version_mask`: the header version bits that may roll, as a pool says them; None: all of 28..13.
    """

    kind: Literal["start_work"] = "start_work"
    work: Literal["pattern", "synthetic", "headers"]
    headers: str | None = None
    ticket_difficulty: int | None = None
    seed: int | None = None
    version_mask: int | None = Field(default=None, ge=0, le=0xFFFF_FFFF)


class StopWork(Model):
    """Stop feeding and let the last window end. The chips keep drawing power: this is not a safe state."""

    kind: Literal["stop_work"] = "stop_work"


class PowerDown(Model):
    """Orderly stop: work stopped, clock ramped down, then safe-off."""

    kind: Literal["power_down"] = "power_down"


class SafeOff(Model):
    """Stop now. Needs no permission."""

    kind: Literal["safe_off"] = "safe_off"
    reason: str = "requested"


class ClearFault(Model):
    """Leave the latch: an act of a person, granted only when the readings are healthy."""

    kind: Literal["clear_fault"] = "clear_fault"


class SetReach(Model):
    """Unlock what lies beyond stock, or lock it again, until the rig ends. Refused while the board is beyond it."""

    kind: Literal["set_reach"] = "set_reach"
    reach: Reach
    note: str = Field(default="", max_length=NOTE_CHARACTERS)


class LimitSession(Model):
    """From now on only this much of the operator's envelope; replaces what was said before."""

    kind: Literal["limit_session"] = "limit_session"
    limits: SessionLimits = SessionLimits()
    note: str = Field(default="", max_length=NOTE_CHARACTERS)


class SetFan(Model):
    """How the fan is led from now on, also over power-downs. Full unless somebody asks for `auto`.

    `target_chip_c`: where `auto` holds the die, C. `floor_ratio`: the least duty in `auto`, 0 to 1; a floor, never a
    ceiling: heat always wins.
    """

    kind: Literal["set_fan"] = "set_fan"
    mode: FanMode = FanMode.FULL
    target_chip_c: float = Field(default=60.0, ge=FAN_TARGET_MIN_C, le=FAN_TARGET_MAX_C)
    floor_ratio: float = Field(default=0.0, ge=0.0, le=1.0)
    note: str = Field(default="", max_length=NOTE_CHARACTERS)


Command = Annotated[
    PowerUp
    | SetOperatingPoint
    | CapChip
    | KeepPoint
    | RevertPoint
    | StartWork
    | StopWork
    | PowerDown
    | SafeOff
    | ClearFault
    | AddRemark
    | SetReach
    | LimitSession
    | SetFan,
    Field(discriminator="kind"),
]
