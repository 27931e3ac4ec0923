"""Less before off: when a live board has to give way, by how much, and when it may have its point back. Pure.

Above the throttle level of die or regulator the clock falls by one slew step every 2 s, down to 0.6 of stock; then the
core voltage follows, never below what the operator may ask for. When everything is below the level by its hysteresis,
one step comes back every 30 s, voltage before clock. An input voltage below its warning level costs one step, a second
time within 60 s a tenth of the clock (a third time is a trip, controller/safety/trips.py). What the operator asked for
is remembered and never written over.

Only GOOD samples count, each once: a doubtful one is the business of the trips. Levels: docs/safety.md, section 3.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from controller.model import BoardSnapshot, Cause, Channel, Envelope, Limited, OperatingPoint
from controller.safety.commanded import Commanded
from controller.safety.levels import DIPS_WITHIN_S, Gate, input_warning

DOWN_EVERY_S: Final = 2.0
UP_EVERY_S: Final = 30.0
FLOOR_OF_STOCK: Final = 0.6
HOLD_S: Final = 3.0
DIE_HYSTERESIS_C: Final = 5.0
VR_HYSTERESIS_C: Final = 5.0
DIP_SHARE: Final = 0.9
DERATE_AGAIN_S: Final = 12.0
"""A way down that was not taken is asked for again."""
_JITTER_S: Final = 0.01
_NEAR: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Give:
    """One move: down because of `cause`, or up because its cause is gone."""

    point: OperatingPoint
    cause: Cause
    sensor: str
    detail: str
    up: bool = False


class Throttle:
    """One per board."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = e = envelope
        self._heat = (
            (Cause.CHIP_TEMPERATURE, Gate(Channel.CHIP_C, e.chip_c_throttle, DIE_HYSTERESIS_C, HOLD_S)),
            *(
                ((Cause.VR_TEMPERATURE, Gate(Channel.VR_C, e.vr_c_throttle, VR_HYSTERESIS_C, HOLD_S)),)
                if e.means.sees(Channel.VR_C)
                else ()
            ),
        )
        self._input = input_warning(e)
        self._dips: deque[float] = deque(maxlen=8)
        self._moved_s = self._derated_s = float("-inf")
        self.limited: Limited | None = None
        """Why the board does not run at what was asked for; None when it does."""

    def look(
        self,
        now: BoardSnapshot,
        commanded: Commanded,
        requested: OperatingPoint,
        *,
        derated: tuple[float, str] | None = None,
    ) -> Give | None:
        """After each sweep of a live board. A move that is returned counts as begun.

        `derated`: the highest clock, MHz, that it may have without the regulator's thermometer, and why. Nothing comes
        back meanwhile."""
        dipped = self._input.feed(now)
        if dipped:
            self._dips.append(now.at_s)
        for _, gate in self._heat:
            gate.feed(now)
        if commanded.frequency_mhz is None or commanded.core_v is None:
            return None
        if self.limited is not None:
            # A move that waits for its turn behind another command is not made yet: its point tells.
            present = OperatingPoint(frequency_mhz=commanded.frequency_mhz, core_v=commanded.core_v)
            if self._reached(present, requested) and self._reached(self.limited.point, requested):
                self.limited = None
        if derated is not None and commanded.frequency_mhz > derated[0] + _NEAR:
            if now.at_s - self._derated_s < DERATE_AGAIN_S:
                return None  # on its way
            self._derated_s = now.at_s
            point = OperatingPoint(frequency_mhz=derated[0], core_v=commanded.core_v)
            return self._begin(now, Give(point, Cause.SENSOR_INVALID, Channel.VR_C.value, derated[1]))
        if dipped:
            return self._begin(now, self._for_input(now, commanded))
        hot = next(((cause, gate) for cause, gate in self._heat if gate.active), None)
        if hot is not None:
            if now.at_s - self._moved_s < DOWN_EVERY_S - _JITTER_S:
                return None
            return self._begin(now, self._for_heat(*hot, commanded))
        if derated is not None:
            self._moved_s = now.at_s
            return None
        if self.limited is None or now.at_s - self._moved_s < UP_EVERY_S - _JITTER_S:
            return None
        if not (self._input.calm and all(gate.calm for _, gate in self._heat)):
            return None
        back = self._back(commanded, requested)
        if back is None:  # it is there: the last move down was never made
            self.limited = None
        return self._begin(now, back)

    def forget(self) -> None:
        """The board is not live any more."""
        for _, gate in self._heat:
            gate.forget()
        self._input.forget()
        self._dips.clear()
        self._moved_s = self._derated_s = float("-inf")
        self.limited = None

    def _begin(self, now: BoardSnapshot, give: Give | None) -> Give | None:
        if give is None:
            return None
        self._moved_s = now.at_s
        since_s = now.at_s if self.limited is None else self.limited.since_s
        if give.up and self.limited is not None:
            self.limited = self.limited.model_copy(update={"point": give.point})
        else:
            self.limited = Limited(
                cause=give.cause, sensor=give.sensor, detail=give.detail, since_s=since_s, point=give.point
            )
        return give

    def _for_heat(self, cause: Cause, gate: Gate, commanded: Commanded) -> Give | None:
        detail = f"{gate.value:.1f} C is above the throttle level of {gate.limit:g} C"
        point = self._lower(commanded, self._envelope.frequency_step_mhz)
        return None if point is None else Give(point, cause, gate.channel.value, detail)

    def _for_input(self, now: BoardSnapshot, commanded: Commanded) -> Give | None:
        assert commanded.frequency_mhz is not None
        again = sum(1 for dip in self._dips if now.at_s - dip <= DIPS_WITHIN_S) > 1
        step = self._envelope.frequency_step_mhz
        down = (1.0 - DIP_SHARE) * commanded.frequency_mhz if again else step
        detail = f"{self._input.value:.3f} V is below the warning level of {self._input.limit:g} V"
        if again:
            detail += f", again within {DIPS_WITHIN_S:g} s"
        point = self._lower(commanded, down, voltage_too=False)
        return None if point is None else Give(point, Cause.INPUT_LOW, Channel.INPUT_V.value, detail)

    def _lower(self, commanded: Commanded, by_mhz: float, *, voltage_too: bool = True) -> OperatingPoint | None:
        """The clock first, on the grid of the slew step; at its floor the voltage. None when both are down."""
        assert commanded.frequency_mhz is not None
        assert commanded.core_v is not None
        e = self._envelope
        floor_mhz = FLOOR_OF_STOCK * e.stock_frequency_mhz
        if commanded.frequency_mhz > floor_mhz + _NEAR:
            grid = float(e.frequency_step_mhz)
            wish = int((commanded.frequency_mhz - by_mhz) / grid + _NEAR) * grid
            return OperatingPoint(frequency_mhz=max(floor_mhz, wish), core_v=commanded.core_v)
        if voltage_too and commanded.core_v > e.core_v.low + _NEAR:
            lower_v = max(e.core_v.low, round(commanded.core_v - e.core_v_step_v, 6))
            return OperatingPoint(frequency_mhz=commanded.frequency_mhz, core_v=lower_v)
        return None

    def _back(self, commanded: Commanded, requested: OperatingPoint) -> Give | None:
        assert self.limited is not None
        assert commanded.frequency_mhz is not None
        assert commanded.core_v is not None
        e, wish_mhz, wish_v = self._envelope, requested.frequency_mhz, requested.core_v
        point: OperatingPoint | None = None
        if wish_v is not None and commanded.core_v < wish_v - _NEAR:
            higher_v = min(wish_v, round(commanded.core_v + e.core_v_step_v, 6))
            point = OperatingPoint(frequency_mhz=commanded.frequency_mhz, core_v=higher_v)
        elif wish_mhz is not None and commanded.frequency_mhz < wish_mhz - _NEAR:
            grid = float(e.frequency_step_mhz)
            next_mhz = (int(commanded.frequency_mhz / grid + _NEAR) + 1) * grid
            point = OperatingPoint(frequency_mhz=min(wish_mhz, next_mhz), core_v=commanded.core_v)
        if point is None:
            return None
        return Give(point, self.limited.cause, self.limited.sensor, "below its level again", up=True)

    @staticmethod
    def _reached(point: OperatingPoint, requested: OperatingPoint) -> bool:
        assert point.frequency_mhz is not None
        assert point.core_v is not None
        mhz, volts = requested.frequency_mhz, requested.core_v
        return (mhz is None or point.frequency_mhz >= mhz - 1.0) and (volts is None or point.core_v >= volts - _NEAR)
