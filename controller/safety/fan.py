"""How fast the fan has to turn, when it may turn slower than full at all, and whether it turns as it should. Pure.

Full is the rule. Only where somebody asked for it does the fan follow the temperatures, and only while everything that
this rests on is known: a live board at stock or below that does not give way, with die, regulator and current measured,
each below its warning level, and a fan that turns as it should. Whatever is missing means full at once. The loop is a
PI controller on the worse of two errors; a floor that somebody sets is a floor and never a ceiling.

It slows the fan down only while die and regulator are below their targets, which is what the interlock demands of each
such step; it speeds it up at any time. It never stops it: the least duty is above the 40 % from which on the trip
`fan` judges the speed, so a fan that stands still is found as soon as at full speed.

A board that is off has it at full as well, until it is cool and everything that says so is known; then at 30 %, where
less than full was asked for at all. It never stands still: the next power-up wants to see it turn.
"""

from __future__ import annotations

from typing import Final

from controller.model import BoardSnapshot, Channel, Envelope, FanMode, FanStatus, OperatingPoint, Quality, SetFan
from controller.safety.commanded import Commanded
from controller.safety.levels import Gate, Held
from controller.safety.trips import FAN_JUDGED_ABOVE_RATIO, expected_rpm

LEAST_RATIO: Final = FAN_JUDGED_ABOVE_RATIO + 0.05
TARGET_VR_C: Final = 75.0
KP_PER_C: Final = 0.05
KI_PER_C_S: Final = 0.001
EMA: Final = 0.36
"""0.2 at 10 Hz is a time constant of 0.45 s; at five samples a second that is 0.36."""
STEP_RATIO: Final = 1.0 / 46.0
"""The EMC2101 as it is set up has 46 settings."""
SLOWER_EVERY_S: Final = 1.0
FULL_AT_FIRST_S: Final = 60.0
WARM_BELOW_TARGET_C: Final = 10.0
DIE_HYSTERESIS_C: Final = 3.0
VR_HYSTERESIS_C: Final = 5.0
OFF_RATIO: Final = 0.30
OFF_BELOW_C: Final = 50.0
OFF_HYSTERESIS_C: Final = 3.0
OFF_FULL_AT_FIRST_S: Final = 10.0
"""The sink is warmer than the die says a second after the power is gone: its heat comes back to the die."""
OFF_FRESH_S: Final = 2.0
DEGRADED_RATIO: Final = 0.7
DEGRADED_HOLD_S: Final = 5.0
SPINS_UP_S: Final = 3.0
LEARN_SAMPLES: Final = 30
LEARN_WITHIN: Final = 0.15
"""A fan of this kind of board is within 15 % of the row's; one that is not is no reason to expect less of it."""
_NEAR: Final = 1e-6
_NO_FAN: Final = "no fan of this board can be reached"


class FanLoop:
    """One per board."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self.wish = SetFan()
        self.degraded: str | None = None
        """The fan turns slower than it should, with the numbers. Stays until somebody sets the fan, or a power-up."""
        self._why_full: str | None = None
        self._die_warns = Gate(Channel.CHIP_C, envelope.chip_c_warn, DIE_HYSTERESIS_C, 0.0)
        self._vr_warns = Gate(Channel.VR_C, envelope.vr_c_warn, VR_HYSTERESIS_C, 0.0)
        self._slow = Held()
        self._speed, self._speeds = 1.0, list[float]()
        self._live_s: float | None = None
        self._warm = False
        self._error_c: float | None = None
        self._integral = 1.0
        self._die_s = self._turned_s = float("-inf")

    @property
    def target_chip_c(self) -> float:
        return self.wish.target_chip_c

    def ask(self, command: SetFan) -> None:
        """What somebody wants from now on. It stays over power-downs."""
        self.wish = command
        self._error_c = None
        self.degraded = None
        self._slow.forget()

    def status(self) -> FanStatus:
        wish = self.wish
        return FanStatus.model_construct(
            mode=wish.mode,
            target_chip_c=wish.target_chip_c,
            floor_ratio=max(LEAST_RATIO, wish.floor_ratio),
            why_full=self._why_full,
            degraded=self.degraded,
        )

    def forget(self) -> None:
        """The board is not live any more. What was learned of the fan holds: it is the same fan."""
        self._live_s, self._warm, self._error_c = None, False, None
        self._why_full = None
        self._slow.forget()
        self._die_warns.forget()
        self._vr_warns.forget()

    def started(self) -> None:
        """A power-up begins: the fan is given another chance."""
        self.degraded = None
        self.forget()

    def look(
        self, now: BoardSnapshot, commanded: Commanded, requested: OperatingPoint, *, gives_way: bool
    ) -> float | None:
        """After each sweep of a live board: the duty that it should have, 0 to 1; None when it has that."""
        self._live_s = now.at_s if self._live_s is None else self._live_s
        self._die_warns.feed(now)
        self._vr_warns.feed(now)
        self._tach(now, commanded)
        present = commanded.fan_ratio
        if present is None:
            return None  # the part's own table is in command
        self._why_full = self._full(now, commanded, requested, gives_way=gives_way)
        if self._why_full is not None:
            self._error_c = None
            return self._turn(1.0, now.at_s) if present < 1.0 else None
        wanted = self._wanted(now, present)
        if wanted > present + _NEAR and (wanted >= present + STEP_RATIO or wanted == 1.0):
            return self._turn(wanted, now.at_s)
        if wanted <= present - STEP_RATIO and now.at_s - self._turned_s >= SLOWER_EVERY_S:
            return self._turn(wanted, now.at_s)
        return None

    def look_off(self, now: BoardSnapshot, commanded: Commanded) -> float | None:
        """After each sweep of a board that is off, confirmed and not latched: as `look`."""
        self.forget()
        self._why_full = self.full_while_off(now, commanded)
        present = commanded.fan_ratio
        if present is None:
            return None
        wanted = max(OFF_RATIO, self.wish.floor_ratio) if self._why_full is None else 1.0
        return None if abs(wanted - present) <= _NEAR else wanted

    def full_while_off(self, now: BoardSnapshot, commanded: Commanded) -> str | None:
        """Why the fan of a board that is off has to be full; None when it need not be."""
        means = self._envelope.means
        if not means.sees(Channel.FAN_RPM):
            return _NO_FAN
        if self.wish.mode is FanMode.FULL:
            return "as it was asked for"
        if self.degraded is not None:
            return self.degraded
        if means.rests_at_v is not None:
            return "the core rail cannot be switched off"
        if not means.sees(Channel.VR_C):
            return f"{Channel.VR_C.value} is not measured on this board"
        if now.at_s - commanded.rail_changed_s < OFF_FULL_AT_FIRST_S:
            return "the board has just been switched off"
        slower = commanded.fan_ratio is not None and commanded.fan_ratio < 1.0
        warm_c = OFF_BELOW_C + (OFF_HYSTERESIS_C if slower else 0.0)
        for channel, below in (
            (Channel.CHIP_C, warm_c),
            (Channel.VR_C, warm_c),
            (Channel.CORE_V, float(self._envelope.core_off_below_v)),
            (Channel.RESET_RELEASED, 0.5),
        ):
            sample = now.channels.get(channel)
            if sample is None or sample.value is None or sample.quality is not Quality.GOOD:
                return f"{channel.value} is not known"
            if now.at_s - sample.at_s > OFF_FRESH_S:
                return f"{channel.value} is {now.at_s - sample.at_s:.1f} s old"
            if sample.value >= below:
                return f"{channel.value} reads {sample.value:g}, less than {below:g} is wanted"
        return None

    def _turn(self, ratio: float, at_s: float) -> float:
        self._turned_s = at_s
        return ratio

    # --- when it has to be full ---------------------------------------------------------------------------------------

    def _full(self, now: BoardSnapshot, c: Commanded, requested: OperatingPoint, *, gives_way: bool) -> str | None:
        e = self._envelope
        if not e.means.sees(Channel.FAN_RPM):
            return _NO_FAN
        if self.wish.mode is FanMode.FULL:
            return "as it was asked for"
        if self.degraded is not None:
            return self.degraded
        for channel in (Channel.CHIP_C, Channel.VR_C, Channel.CORE_A):
            if channel is not Channel.CHIP_C and not e.means.sees(channel):
                return f"{channel.value} is not measured on this board"
            sample = now.channels.get(channel)
            if sample is None or sample.value is None or sample.quality is not Quality.GOOD:
                return f"{channel.value} is not known"
            if now.at_s - sample.at_s > e.stale_warn_s:
                return f"{channel.value} is {now.at_s - sample.at_s:.1f} s old"
        for gate in (self._die_warns, self._vr_warns):
            if gate.active:
                return f"{gate.channel.value} is above its warning level, {gate.limit:g} C"
        if gives_way:
            return "the board gives way"
        for volts, mhz in ((c.core_v, c.frequency_mhz), (requested.core_v, requested.frequency_mhz)):
            if volts is None or mhz is None:
                return "no point is known"
            if e.above_stock(volts, mhz):
                return "the point is above stock"
        die_c = now.channels[Channel.CHIP_C].value
        assert die_c is not None
        assert self._live_s is not None
        self._warm = self._warm or die_c > self.target_chip_c - WARM_BELOW_TARGET_C
        if not self._warm and now.at_s - self._live_s < FULL_AT_FIRST_S:
            return "the board has just been powered up"
        return None

    # --- the loop -----------------------------------------------------------------------------------------------------

    def _wanted(self, now: BoardSnapshot, present: float) -> float:
        die, vr = now.channels[Channel.CHIP_C], now.channels[Channel.VR_C]
        assert die.value is not None
        assert vr.value is not None
        error_c = max(die.value - self.target_chip_c, vr.value - TARGET_VR_C)
        least = max(LEAST_RATIO, self.wish.floor_ratio)
        if self._error_c is None:  # without a bump: what is there now is what the integral holds
            self._error_c, self._die_s = error_c, die.at_s
            self._integral = present - KP_PER_C * error_c
            return max(present, least)
        if die.at_s <= self._die_s:
            return present
        passed_s, self._die_s = die.at_s - self._die_s, die.at_s
        self._error_c += EMA * (error_c - self._error_c)
        share = KP_PER_C * self._error_c
        integral = self._integral + KI_PER_C_S * self._error_c * passed_s
        wanted = min(1.0, max(least, share + integral))
        if wanted < present and error_c >= 0.0:
            wanted = max(present, least)
        if wanted == share + integral:
            self._integral = integral
        else:  # at an end of its range, or held: it must not wind up
            self._integral = wanted - share
        return wanted

    # --- whether it turns as it should --------------------------------------------------------------------------------

    def _tach(self, now: BoardSnapshot, commanded: Commanded) -> None:
        fan, duty = now.channels.get(Channel.FAN_RPM), commanded.fan_ratio
        if fan is None or fan.value is None or fan.quality is not Quality.GOOD or duty is None:
            return
        if fan.at_s < commanded.fan_changed_s + SPINS_UP_S:
            self._slow.forget()
            return
        expected = expected_rpm(self._envelope, duty)
        slow = fan.value < DEGRADED_RATIO * self._speed * expected
        held_s = self._slow.feed(fan.at_s, slow)
        if held_s < 0.0:
            self._learn(fan.value / expected, duty)
            return
        if held_s >= DEGRADED_HOLD_S and self.degraded is None:
            self.degraded = (
                f"{fan.value:.0f} rpm at duty {duty:.2f}, {100.0 * fan.value / (self._speed * expected):.0f} % of what "
                f"is expected, for {held_s:.0f} s"
            )

    def _learn(self, ratio: float, duty: float) -> None:
        """What this very fan does at full, from the first half minute of good samples; frozen afterwards."""
        if duty < 1.0 or len(self._speeds) >= LEARN_SAMPLES:
            return
        self._speeds.append(ratio)
        if len(self._speeds) == LEARN_SAMPLES:
            mean = sum(self._speeds) / LEARN_SAMPLES
            self._speed = min(1.0 + LEARN_WITHIN, max(1.0 - LEARN_WITHIN, mean))


__all__ = ["LEAST_RATIO", "OFF_RATIO", "FanLoop"]
