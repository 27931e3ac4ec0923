"""What has to hold before each step, looked at immediately before it: the interlock table of docs/safety.md. Pure.

Each row raises `Refused` with the numbers. A move toward safety is not asked about here (G1, in the guard).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from controller.model import BoardSnapshot, Quality, good_value
from controller.safety.caps import ChipCaps
from controller.safety.commanded import Commanded
from controller.safety.envelope import Envelopes
from controller.safety.fan import LEAST_RATIO, TARGET_VR_C
from controller.safety.trips import (
    SETTLED_S,
    STATUS_NOT_GOOD,
    STATUS_OFF,
    expected_rpm,
)
from drivers.boards.board import (
    AssertReset,
    BringUp,
    Channel,
    CoreVoltage,
    FanDuty,
    FanTable,
    FastLink,
    Frequency,
    LockDown,
    Protection,
    RailOn,
    ReleaseReset,
    Step,
    SweepWindow,
    TicketDifficulty,
    VerifyRail,
)
from drivers.errors import Refused, UsageError

REALISABLE_WITHIN_MHZ: Final = 1.0
NEAR: Final = 1e-6
_UNGUARDED_BELOW_MHZ: Final = 56.25
_THROTTLE_MARGIN_C: Final = 5.0
_IN_BAND_S: Final = 0.2
_DIE_READ_S: Final = 0.5
"""Less than the blanking of the diode, so that the sample is one since the rail came; two sweeps, one of them late."""
_SLOW: Final = frozenset({Channel.FAN_RPM, Channel.RESET_RELEASED})
"""Channels that a board may read less often than once a sweep."""
_SLOW_FRESH_S: Final = 2.0
_JITTER_S: Final = 0.01

PATIENCE_S: Final[Mapping[type[Step], float]] = MappingProxyType(
    # A rising point waits for a doubtful sensor longer than a trip does, so that the trip gets to name it.
    {RailOn: 3.0, ReleaseReset: 3.0, Frequency: 6.0, CoreVoltage: 6.0}
)
"""How long `permit` may be asked again before a refusal is final: a fan needs time to spin up."""
PATIENCE_ELSE_S: Final = 0.5


class Interlocks:
    """The table of one board. `commanded` and `core_in_band_s` are asked anew each time."""

    def __init__(
        self,
        envelopes: Envelopes,
        commanded: Callable[[], Commanded],
        core_in_band_s: Callable[[], float],
        fan_target_c: Callable[[], float],
        caps: ChipCaps,
        *,
        leased: bool = False,
    ) -> None:
        """`leased`: the firmware of the board has a host lease, which has to be armed first."""
        self.envelope = envelopes.row
        self._envelopes = envelopes
        self._leased, self._caps = leased, caps
        self.warm = False
        """The board came down in an orderly way: it may start again while it is still warm."""
        self._commanded, self._core_in_band_s, self._fan_target_c = commanded, core_in_band_s, fan_target_c

    def permit(self, step: Step, now: BoardSnapshot) -> None:
        """Raises `Refused` when what has to hold before this step does not hold now."""
        c = self._commanded()
        match step:
            case FanDuty(ratio=ratio):
                need(self.envelope.means.sees(Channel.FAN_RPM), "no fan of this board can be reached")
                if not LEAST_RATIO - NEAR <= ratio <= 1.0:
                    raise Refused("envelope", f"fan duty {ratio} is outside {LEAST_RATIO:g} to 1")
                self._cool_for_less_fan(now)
                self._at_stock_for_less_fan()
            case FanTable():
                need(c.locked_down, "the fan table is not written")
                self._cool_for_less_fan(now)
            case LockDown():
                need(not c.rail_on, "limits are written before the rail is on")
            case CoreVoltage(core_v=target):
                self._permit_voltage(target, now)
            case RailOn():
                self._permit_rail(now)
            case AssertReset():
                need(c.rail_on and c.core_v is not None, "the rail is not on")
            case ReleaseReset():
                self._permit_reset_release(now)
            case BringUp():
                need(c.rail_on and c.reset_released, "chips are brought up after rail and reset")
            case Frequency():
                self._permit_clock_rise(step, now)
            case SweepWindow():
                need(c.brought_up, "no chip was brought up")
                for chip in self._chips():
                    window, clock = _told(step, chip), c.clock_of(chip)
                    text = f"a window for {window:g} MHz is longer than the share of a core at {clock} MHz"
                    need(math.isfinite(window) and window >= (clock or 0.0) - NEAR, text)
            case FastLink():
                need(c.brought_up, "no chip was brought up")
            case TicketDifficulty(difficulty=difficulty):
                need(c.brought_up, "no chip was brought up")
                power_of_two(difficulty)
            case VerifyRail():
                return

    def _permit_voltage(self, target: float, now: BoardSnapshot) -> None:
        c, e = self._commanded(), self.envelope
        low_v, rises = e.core_v.low, not c.rail_on or c.core_v is None or target > c.core_v
        high_v = min(self._envelopes.limits(now.protections).core_v_max.value if rises else math.inf, e.core_v_hard)
        if not math.isfinite(target) or not low_v <= target <= high_v + NEAR:
            raise Refused("envelope", f"core_v {target:g} V is outside {low_v:g} to {high_v:g} V")
        need(c.locked_down, "the regulator's own limits are not written")
        if not c.rail_on or c.core_v is None or target <= c.core_v:
            return
        self._caps.even(target, c.frequency_mhz, c.caps_mhz)
        rise_v = target - c.core_v
        need(rise_v <= e.core_v_step_v + NEAR, f"{rise_v * 1000:.0f} mV in one step")
        self._full_fan_above_stock(e.above_stock(target, None))
        self.fresh(now, self.envelope.means.sensors)

    def _permit_rail(self, now: BoardSnapshot) -> None:
        c = self._commanded()
        need(c.locked_down, "the regulator's own limits are not written")
        need(c.core_v is not None, "no core voltage is set")
        need(not c.reset_released and self.reads(now, Channel.RESET_RELEASED) == 0.0, "reset is not asserted")
        need(c.fan_ratio == 1.0, "the fan is not commanded to full")
        need(not self._leased or Protection.HOST_LEASE in now.protections, "the host lease is not armed")
        self.fresh(now, self.envelope.means.sensors)
        self.cool_enough(now)
        self.input_inside(now)
        if not self.envelope.means.sees(Channel.FAN_RPM):
            return
        fan = now.channels[Channel.FAN_RPM]
        limit = 0.5 * expected_rpm(self.envelope, 1.0)
        turning = fan.value is not None and fan.value > limit and fan.at_s >= c.fan_changed_s + SETTLED_S
        need(turning, f"fan at {fan.value} rpm, needs more than {limit:.0f} rpm")

    def _permit_reset_release(self, now: BoardSnapshot) -> None:
        c = self._commanded()
        need(c.rail_on and c.core_v is not None, "the rail is not on")
        need(c.verified_v == c.core_v, "the rail was not read back")
        self.fresh(now, (Channel.CORE_V,))
        held_s = self._core_in_band_s()
        text = f"the core rail was within 5 % for {held_s:.1f} s, needs {_IN_BAND_S:.1f} s"
        need(held_s >= _IN_BAND_S - _JITTER_S, text)
        status = self.reads(now, Channel.STATUS_WORD)
        word = 0 if status is None else int(status)
        need(not word & (STATUS_OFF | STATUS_NOT_GOOD), f"regulator status {word:#06x}: power is not good")
        if self.envelope.means.sees(Channel.CHIP_C):
            self._die_just_read(now)

    def _die_just_read(self, now: BoardSnapshot) -> None:
        """The diode is not read while it settles, after the rail came and again after the release: both in one leave
        the die unknown for 1.0 s, and a computer that is late makes the 2.0 s of it that trip."""
        self.fresh(now, (Channel.CHIP_C,))
        age_s = now.at_s - now.channels[Channel.CHIP_C].at_s
        need(age_s <= _DIE_READ_S, f"chip_c is {age_s:.1f} s old, needs {_DIE_READ_S:.1f} s: it is not read after this")

    def only_falls(self, step: Frequency) -> bool:
        """No chip is faster after it, none is below its floor, and none gets more volts than it may from being slow."""
        c, low_mhz = self._commanded(), self.envelope.floor_frequency_mhz
        for chip in self._chips():
            present = c.clock_of(chip)
            if present is None or not low_mhz <= _told(step, chip) <= present:
                return False
        try:
            self._caps.even(c.core_v, step.frequency_mhz, step.caps_mhz)
        except Refused:
            return False
        return True

    def _chips(self) -> range:
        return range(self._caps.stack.chips)

    def _permit_clock_rise(self, step: Frequency, now: BoardSnapshot) -> None:
        c, e, clock = self._commanded(), self.envelope, step.frequency_mhz
        present = c.frequency_mhz
        high_mhz = min(self._envelopes.limits(now.protections).frequency_mhz_max.value, e.frequency_hard_mhz)
        if not math.isfinite(clock) or clock > high_mhz + NEAR:
            raise Refused("envelope", f"{clock:g} MHz is above {high_mhz:g} MHz")
        if clock < e.floor_frequency_mhz:
            raise Refused("envelope", f"{clock:g} MHz is below {e.floor_frequency_mhz:g} MHz")
        if present is None or not (c.rail_on and c.reset_released and c.brought_up):
            raise Refused("interlock", "no chip was brought up")
        for chip in self._chips():
            self._permit_rise_of(chip, _told(step, chip))
        self._caps.even(c.core_v, clock, step.caps_mhz)
        need(c.verified_v == c.core_v, "the core rail was not read back before the clock rises")
        if clock > _UNGUARDED_BELOW_MHZ:
            self.fresh(now, self.envelope.means.sensors)
            self.chips_complete(now)
        self.room_above_stock(now, clock)
        self._full_fan_above_stock(e.above_stock(None, clock))

    def _permit_rise_of(self, chip: int, clock: float) -> None:
        c, e = self._commanded(), self.envelope
        rise = clock - (c.clock_of(chip) or 0.0)
        need(math.isfinite(clock) and clock >= e.floor_frequency_mhz, f"{clock:g} MHz is below the floor of the clock")
        need(rise <= e.frequency_step_mhz + REALISABLE_WITHIN_MHZ, f"{rise:g} MHz in one step")
        cap = self._caps.wanted.get(chip, math.inf)
        need(rise <= NEAR or clock <= cap + NEAR, f"chip {chip} is capped at {cap:g} MHz: not at {clock:g} MHz")
        longest = c.window_of(chip)
        need(not longest or clock <= longest + NEAR, f"the window is for {longest:g} MHz: too long for {clock:g} MHz")

    # --- what the interlocks ask --------------------------------------------------------------------------------------

    def fresh(self, now: BoardSnapshot, channels: tuple[Channel, ...]) -> None:
        for channel in channels:
            sample = now.channels.get(channel)
            if sample is None or sample.value is None:
                raise Refused("fresh", f"{channel.value} is unknown")
            age_s = now.at_s - sample.at_s
            if sample.quality is not Quality.GOOD:
                raise Refused("fresh", f"{channel.value} is {sample.quality.value}: {sample.evidence}")
            if age_s > (_SLOW_FRESH_S if channel in _SLOW else self.envelope.stale_warn_s):
                raise Refused("fresh", f"{channel.value} is {age_s:.1f} s old")

    def cool_enough(self, now: BoardSnapshot) -> None:
        limit = self.envelope.warm_start_max_c if self.warm else self.envelope.cold_start_max_c
        chip_c = self.reads(now, Channel.CHIP_C)
        if chip_c is None or chip_c >= limit:
            raise Refused("interlock", f"chip_c is {chip_c} C; a start needs less than {limit:g} C")

    def input_inside(self, now: BoardSnapshot) -> None:
        span, supply = self.envelope.input_v_enable, self.reads(now, Channel.INPUT_V)
        if supply is None or supply not in span:
            raise Refused("interlock", f"input_v is {supply} V, outside {span.low:g} to {span.high:g} V")

    def chips_complete(self, now: BoardSnapshot) -> None:
        for chain in now.chains:
            if len(chain.chips) != chain.expected_chips:
                raise Refused("interlock", f"{len(chain.chips)} of {chain.expected_chips} {chain.chip} answered")
        if not now.chains:
            raise Refused("interlock", "no chain of chips")

    def room_above_stock(self, now: BoardSnapshot, clock: float) -> None:
        e = self.envelope
        if not e.above_stock(None, clock):
            return
        chip_c, supply = self.reads(now, Channel.CHIP_C), self.reads(now, Channel.INPUT_V)
        limit_c = e.chip_c_throttle - _THROTTLE_MARGIN_C
        if chip_c is None or chip_c >= limit_c:
            raise Refused("interlock", f"chip_c is {chip_c} C; above stock needs less than {limit_c:g} C")
        if supply is None or supply <= e.input_v_low_warn:
            raise Refused("interlock", f"input_v is {supply} V; above stock needs more than {e.input_v_low_warn:g} V")

    def _cool_for_less_fan(self, now: BoardSnapshot) -> None:
        for channel in (Channel.VR_C, Channel.CORE_A):
            need(
                self.envelope.means.sees(channel), f"{channel.value} is not measured on this board: the fan stays full"
            )
        self.fresh(now, (Channel.CHIP_C, Channel.VR_C, Channel.CORE_A))
        chip_c, vr_c = self.reads(now, Channel.CHIP_C), self.reads(now, Channel.VR_C)
        target_c = self._fan_target_c()
        cool = chip_c is not None and vr_c is not None and chip_c < target_c and vr_c < TARGET_VR_C
        need(cool, f"chip_c {chip_c} C and vr_c {vr_c} C: less fan needs less than {target_c:g} and {TARGET_VR_C:g} C")

    def _full_fan_above_stock(self, above: bool) -> None:
        ratio = self._commanded().fan_ratio  # None: the part's own table is in command
        need(not above or ratio is None or ratio == 1.0, f"the fan is at {ratio}, above stock it has to be full")

    def _at_stock_for_less_fan(self) -> None:
        """With nobody there a fan stays as it is: above stock that has to be full."""
        c = self._commanded()
        above = self.envelope.above_stock(c.core_v, c.frequency_mhz)
        need(not above, "the point is above stock: the fan stays at full")

    @staticmethod
    def reads(now: BoardSnapshot, channel: Channel) -> float | None:
        return good_value(now.channels.get(channel))


def _told(step: Frequency | SweepWindow, chip: int) -> float:
    """The clock that this chip is told, or that its window is told to fit."""
    return min(step.frequency_mhz, step.caps_mhz.get(chip, step.frequency_mhz))


def need(holds: bool, why: str) -> None:
    if not holds:
        raise Refused("interlock", why)


def power_of_two(difficulty: int) -> None:
    if difficulty < 1 or difficulty & (difficulty - 1):
        raise UsageError("ticket_difficulty", difficulty, "a power of two")
