"""When a board has to stop: limits, how long each may be exceeded, and how the cause is named. Pure.

Time is the time of the samples. A sample counts once, and only when it is GOOD: a stale or blanked one neither starts
nor feeds a trip. Levels and times: docs/safety.md, "Trip levels".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.model import BoardSnapshot, Cause, ChipSnapshot, FaultRecord, Quality, Reading, good_value
from controller.safety.commanded import Commanded, Realise
from controller.safety.dynamics import ErrorRate, OwnHeat, Runaway
from controller.safety.levels import DIPS_WITHIN_S, Held, input_warning
from controller.safety.silence import Silence
from drivers.boards.board import Channel, Envelope
from drivers.units import Megahertz

SETTLED_S: Final = 0.1
"""Samples taken earlier than this after a write may still show the state before it."""
_JITTER_S: Final = 0.01
_FRESH_LOW_INPUT_S: Final = 1.0
_VERIFY_WINDOW_S: Final = 1.0
_MISMATCHES: Final = 2
_RAIL_DOWN_WITHIN_S: Final = 2.0
_ANSWERS_S: Final = 0.5
"""A part that was read this lately, two sweeps and a half, is there."""
_FREQUENCY_TOLERANCE_MHZ: Final = 1.0
_FAN_TOLERANCE: Final = 0.05
FAN_STOPPED_RPM: Final = 500.0
FAN_HELD_S: Final = 3.0
FAN_STALLED_RATIO: Final = 0.3
FAN_JUDGED_ABOVE_RATIO: Final = 0.4
FAN_NEEDED_ABOVE_W: Final = 10.0
_FAN_IDLE_RPM_RATIO: Final = 0.3
"""Speed of a fan at zero duty as a share of full speed: 0.23 to 0.43 seen on Bitaxe fans; a fit, not a datasheet."""
CORE_HIGH_RATIO: Final = 1.08
CORE_HIGH_S: Final = 0.1
CORE_LOW_RATIO: Final = 0.90
CORE_LOW_S: Final = 0.5
_DIPS: Final = 3
_FIVE_VOLT_BELOW_V: Final = 6.0
_RECOVERS: Final = (7.0, 0.05)
"""A load, W, that shows in the input when it is gone, and what the input gains then at least, V: 1.4 A over the 0.05 to
0.15 ohm of healthy supplies are 0.07 V and more."""
_RECOVERS_ON_12_V: Final = (20.0, 0.0)
"""1.7 A over 0.02 ohm are 0.03 V, two steps of the sensor: there only an input that gains nothing has given way."""

STATUS_OFF: Final = 0x0040
STATUS_NOT_GOOD: Final = 0x0800
_STATUS_VOUT: Final = 0x8000
"""A limit of its output, warning or fault: the regulator tells which by switching off."""
_STATUS_VIN_UV: Final = 0x0008
_STATUS_TEMPERATURE: Final = 0x0004
"""Warning or fault: the regulator tells which by switching off. The warning level is a trip of our own."""
_STATUS_FAULTS: Final = ((0x0020, "VOUT_OV_FAULT"), (0x0010, "IOUT_OC_FAULT"))
_STATUS_OF_STARTS: Final = (*_STATUS_FAULTS, (_STATUS_VOUT, "VOUT"))
"""What a start that was cut short leaves behind; VOUT alone: the output stayed too low."""


def expected_rpm(envelope: Envelope, duty: float) -> float:
    """Fan speed at a true duty (0..1), good to about 15 %."""
    return float(envelope.fan_full_rpm) * (_FAN_IDLE_RPM_RATIO + (1 - _FAN_IDLE_RPM_RATIO) * duty)


@dataclass(frozen=True, slots=True)
class Level:
    """A trip at a number, in `unit`, held for `hold_s`. Only GOOD samples count."""

    cause: Cause
    channel: Channel
    unit: str
    limit: float
    above: bool
    hold_s: float
    held: Held


class Trips:
    """The trips of one board, with their timers. `realise`: the clock that a commanded one comes out as."""

    def __init__(self, envelope: Envelope, realise: Realise = lambda wish: wish) -> None:
        self._envelope, self._realise = envelope, realise
        e = envelope

        def over(cause: Cause, channel: Channel, unit: str, limit: float, hold_s: float) -> Level:
            return Level(cause, channel, unit, limit, True, hold_s, Held())

        self._electrical = (
            Level(Cause.INPUT_LOW, Channel.INPUT_V, "V", e.input_v_low_trip, False, 0.1, Held()),
            over(Cause.INPUT_HIGH, Channel.INPUT_V, "V", e.input_v_high_trip, 0.1),
            over(Cause.CORE_VOLTAGE, Channel.CORE_V, "V", e.core_v_hard + e.core_v_above_hard_v, 0.0),
            *((over(Cause.CURRENT, Channel.CORE_A, "A", e.core_a_trip, 0.5),) if e.means.sees(Channel.CORE_A) else ()),
            over(Cause.POWER, Channel.POWER_W, "W", e.power_hard_w, 0.2),
            over(Cause.POWER, Channel.POWER_W, "W", 1.05 * e.power_operator_w, 2.0),
            over(Cause.POWER, Channel.INPUT_W, "W", e.power_hard_w, 0.2),
            over(Cause.POWER, Channel.INPUT_W, "W", 1.05 * e.power_operator_w, 2.0),
        )
        self._thermal = (
            over(Cause.CHIP_TEMPERATURE, Channel.CHIP_C, "C", e.chip_c_emergency, 0.0),
            over(Cause.CHIP_TEMPERATURE, Channel.CHIP_C, "C", e.chip_c_trip, 1.0),
            *(
                (
                    over(Cause.VR_TEMPERATURE, Channel.VR_C, "C", e.vr_c_emergency, 0.0),
                    over(Cause.VR_TEMPERATURE, Channel.VR_C, "C", e.vr_c_trip, 1.0),
                )
                if e.means.sees(Channel.VR_C)
                else ()
            ),
        )
        self._core_high, self._core_low, self._core_off_band = Held(), Held(), Held()
        self._core_present = Held()
        self._starts = {bit: Held() for bit, _ in _STATUS_OF_STARTS}
        self._kept_bits: int | None = None
        """Fault bits of the status word that are from before the board was off; None: not read since then."""
        self._fan = Held()
        self._mismatch = {
            channel: Held()
            for channel in (Channel.CORE_V, Channel.FREQUENCY_MHZ, Channel.RESET_RELEASED, Channel.FAN_RATIO)
        }
        self._astray: dict[int, Held] = {}
        self._input_low_s = float("-inf")
        self._dip, self._dips = input_warning(e), list[float]()
        five_volt = e.input_v_enable.low < _FIVE_VOLT_BELOW_V
        self._loaded_w, self._recovers_v = _RECOVERS if five_volt else _RECOVERS_ON_12_V
        self._loaded_input_v: float | None = None
        self._runaway, self._error_rate, self.silence = Runaway(e), ErrorRate(e), Silence()
        self._own_heat = OwnHeat(e)
        self._core_in_band_since_s: float | None = None
        self._last_core_s = float("-inf")

    @property
    def levels(self) -> tuple[Level, ...]:
        """Every trip that is a number and a time, for the table of docs/safety.md."""
        return (*self._electrical, *self._thermal)

    def core_in_band_s(self) -> float:
        """For how long, by samples, the core rail has been within 5 % of its command. 0 when it is not."""
        return 0.0 if self._core_in_band_since_s is None else self._last_core_s - self._core_in_band_since_s

    def watch(self, now: BoardSnapshot, commanded: Commanded, without: Channel | None = None) -> FaultRecord | None:
        """The most specific fault of this sweep, or None. For a board that is being started or is live. `without`: what
        it may do without for now (controller/safety/derate.py)."""
        channels = now.channels
        found: list[tuple[Cause, str | None, str]] = []
        if commanded.rail_on:
            self._bear(channels.get(Channel.INPUT_V), channels.get(Channel.CORE_W), channels.get(Channel.STATUS_WORD))
            self._status(channels.get(Channel.STATUS_WORD), channels.get(Channel.INPUT_V), commanded, found)
            self._levels(self._electrical, now, found)
            self._core_band(channels.get(Channel.CORE_V), commanded, found)
            self._dipping(now, found)
        self._levels(self._thermal, now, found)
        if commanded.rail_on and (running := self._runaway.look(now, commanded)) is not None:
            found.append((Cause.RUNAWAY, Channel.CHIP_C.value, running))
        if commanded.rail_on and (hot := self._own_heat.look(now)) is not None:
            found.append((Cause.CHIP_TEMPERATURE, None, hot))
        self._sensors(now, found, without)
        if commanded.rail_on:
            self._fan_speed(now, commanded, found)
            self._read_backs(now, commanded, found)
            if (silent := self.silence.look(now, commanded)) is not None:
                found.append((Cause.CHIP_SILENT, None, silent))
            if (wrong := self._error_rate.look(now, commanded)) is not None:
                found.append((Cause.ERROR_RATE, None, wrong))
        if not found:
            return None
        cause, sensor, detail = found[0]
        return FaultRecord(cause=cause, sensor=sensor, detail=detail, at_s=now.at_s, at_utc=now.at_utc)

    def watch_off(self, now: BoardSnapshot, commanded: Commanded) -> FaultRecord | None:
        """For a board that is off: the rail must stay down, its regulator try nothing, and reset be asserted."""
        core = now.channels.get(Channel.CORE_V)
        detail: str | None = None
        sensor = Channel.CORE_V
        if core is not None and core.quality is Quality.GOOD and core.value is not None:
            off_v, switches = self._envelope.core_off_below_v, self._envelope.means.rests_at_v is None
            held_s = self._core_present.feed(core.at_s, core.value > off_v)
            # One that nobody can switch off has lost its setting with its supply; there is no decay to wait for.
            lost = not switches and core.value > self._envelope.core_v_hard + self._envelope.core_v_above_hard_v
            if lost or held_s >= _RAIL_DOWN_WITHIN_S - _JITTER_S:
                told = "off" if switches else f"down, to less than {off_v:.3f} V"
                detail = f"the core rail reads {core.value:.3f} V for {held_s:.1f} s although it is commanded {told}"
        if detail is None and (tried := self._tries_to_start(now, commanded)):
            sensor, detail = Channel.STATUS_WORD, tried
        reset = now.channels.get(Channel.RESET_RELEASED)
        if reset is not None and reset.quality is Quality.GOOD and reset.value is not None:
            held = self._mismatch[Channel.RESET_RELEASED]
            settled = reset.at_s > commanded.reset_changed_s + SETTLED_S
            if settled and held.feed(reset.at_s, reset.value != 0.0) >= 0.0 and held.count >= _MISMATCHES:
                sensor = Channel.RESET_RELEASED
                detail = f"reset reads released {held.count} times although it is commanded asserted"
        if detail is None:
            return None
        return FaultRecord(cause=Cause.ACTUATION, sensor=sensor, detail=detail, at_s=now.at_s, at_utc=now.at_utc)

    def forget(self) -> None:
        """A new start: nothing held from before counts."""
        for level in self.levels:
            level.held.forget()
        for held in (self._core_high, self._core_low, self._core_off_band, self._core_present, self._fan):
            held.forget()
        for held in self._starts.values():
            held.forget()
        self._kept_bits = None
        for held in self._mismatch.values():
            held.forget()
        self._astray.clear()
        self._input_low_s = float("-inf")
        self._dip.forget()
        self._dips.clear()
        self._loaded_input_v = None
        self._runaway.forget()
        self._error_rate.forget()
        self.silence.forget()
        self._own_heat.forget()
        self._core_in_band_since_s = None

    # --- one rule each ------------------------------------------------------------------------------------------------

    def _tries_to_start(self, now: BoardSnapshot, commanded: Commanded) -> str | None:
        """A regulator that has forgotten that it is off, and whose own limit cuts each start short, shows no volts to
        who looks five times a second: only a status word that changes under the eyes, or what cut it short, which was
        not in its word when the board went off."""
        status, core = now.channels.get(Channel.STATUS_WORD), now.channels.get(Channel.CORE_V)
        if status is None or status.at_s < commanded.rail_changed_s + SETTLED_S:
            return None
        unknown_s = now.at_s - status.at_s
        answers = core is not None and core.quality is Quality.GOOD and now.at_s - core.at_s < _ANSWERS_S
        if answers and status.quality is not Quality.GOOD and unknown_s >= _RAIL_DOWN_WITHIN_S - _JITTER_S:
            return f"no status word for {unknown_s:.1f} s although the regulator answers: {status.evidence}"
        word = good_value(status)
        if word is None:
            return None
        if self._kept_bits is None:
            self._kept_bits = int(word)
        self._kept_bits &= int(word)
        new = int(word) & ~self._kept_bits
        for bit, name in _STATUS_OF_STARTS:
            held_s = self._starts[bit].feed(status.at_s, bool(new & bit))
            if held_s >= _RAIL_DOWN_WITHIN_S - _JITTER_S:
                return f"status {int(word):#06x}: {name} for {held_s:.1f} s although the rail is commanded off"
        return None

    @staticmethod
    def _levels(levels: tuple[Level, ...], now: BoardSnapshot, found: list[tuple[Cause, str | None, str]]) -> None:
        channels = now.channels
        for level in levels:
            sample = channels.get(level.channel)
            if sample is None or sample.quality is not Quality.GOOD or sample.value is None:
                continue
            value = sample.value
            held_s = level.held.feed(sample.at_s, value > level.limit if level.above else value < level.limit)
            if held_s >= 0.0 and held_s >= level.hold_s - _JITTER_S:
                side = "above" if level.above else "below"
                found.append(
                    (
                        level.cause,
                        level.channel.value,
                        f"{value:.3f} {level.unit} is {side} {level.limit:.3f} {level.unit} for {held_s:.1f} s",
                    )
                )

    def _bear(self, supply: Reading | None, load: Reading | None, status: Reading | None) -> None:
        """What the input is under a load whose loss would show in it."""
        input_v, load_w, word = good_value(supply), good_value(load), good_value(status)
        if input_v is not None and load_w is not None and word is not None and not int(word) & STATUS_OFF:
            self._loaded_input_v = input_v if load_w >= self._loaded_w else None

    def _status(
        self,
        status: Reading | None,
        supply: Reading | None,
        commanded: Commanded,
        found: list[tuple[Cause, str | None, str]],
    ) -> None:
        low_warn = self._envelope.input_v_low_warn
        if (
            supply is not None
            and supply.quality is Quality.GOOD
            and supply.value is not None
            and supply.value < low_warn
        ):
            self._input_low_s = supply.at_s
        if status is None or status.quality is not Quality.GOOD or status.value is None:
            return
        if status.at_s < commanded.rail_changed_s + SETTLED_S:
            return
        word = int(status.value)
        sensor = Channel.STATUS_WORD.value
        for bit, name in _STATUS_FAULTS:
            if word & bit:
                found.append((Cause.REGULATOR_FAULT, sensor, f"status {word:#06x}: {name}"))
                return
        if word & _STATUS_TEMPERATURE and word & STATUS_OFF:
            found.append((Cause.VR_TEMPERATURE, sensor, f"status {word:#06x}: off by its own over-temperature limit"))
        elif word & _STATUS_VIN_UV:
            found.append((Cause.INPUT_LOW, sensor, f"status {word:#06x}: VIN_UV_FAULT"))
        elif word & STATUS_OFF:
            if status.at_s - self._input_low_s <= _FRESH_LOW_INPUT_S:
                text = f"status {word:#06x}: off while commanded on, input below {low_warn:.2f} V within 1 s before"
                found.append((Cause.INPUT_LOW, sensor, text))
            elif supply is not None and (high_v := self._high_input_v(supply)) is not None:
                limit_v = self._envelope.input_v_high_trip
                text = f"status {word:#06x}: off while commanded on, input {high_v:.2f} V, above {limit_v:.1f} V"
                found.append((Cause.INPUT_HIGH, sensor, text))
            elif word & _STATUS_VOUT:
                found.append((Cause.REGULATOR_FAULT, sensor, f"status {word:#06x}: off by its own limit of the output"))
            elif (weak := self._weak_supply(supply)) is not None:
                found.append((Cause.INPUT_LOW, sensor, f"status {word:#06x}: off while commanded on; {weak}"))
            else:
                text = f"status {word:#06x}: off while commanded on, no cause given"
                found.append((Cause.REGULATOR_OFF, sensor, text))

    def _high_input_v(self, supply: Reading) -> float | None:
        """The regulator goes off by itself above 6.5 V, sooner than any debounce of ours."""
        if supply.quality is not Quality.GOOD or supply.value is None:
            return None
        return supply.value if supply.value > self._envelope.input_v_high_trip else None

    def _weak_supply(self, supply: Reading | None) -> str | None:
        """A brown-out is over within a millisecond, and the input is back before the next sweep. But with the load gone
        it stands higher than before, if the supply is as it was; one that does not has given way.
        """
        before = self._loaded_input_v
        if supply is None or supply.quality is not Quality.GOOD or supply.value is None or before is None:
            return None
        if supply.value > before + self._recovers_v:
            return None
        return f"input {before:.3f} V with the load and {supply.value:.3f} V without it: the supply gives way"

    def _dipping(self, now: BoardSnapshot, found: list[tuple[Cause, str | None, str]]) -> None:
        """One dip costs a step of the clock, two a tenth of it (controller/safety/throttle.py); three end it."""
        if not self._dip.feed(now):
            return
        self._dips = [dip for dip in self._dips if now.at_s - dip <= DIPS_WITHIN_S] + [now.at_s]
        if len(self._dips) >= _DIPS:
            text = f"{len(self._dips)} dips below {self._dip.limit:g} V within {DIPS_WITHIN_S:g} s"
            found.append((Cause.INPUT_LOW, Channel.INPUT_V.value, f"{text}, the last to {self._dip.value:.3f} V"))

    def _core_band(
        self, core: Reading | None, commanded: Commanded, found: list[tuple[Cause, str | None, str]]
    ) -> None:
        target = commanded.core_v
        if core is None or core.quality is not Quality.GOOD or core.value is None or target is None:
            return
        changed_s = max(commanded.core_v_changed_s, commanded.rail_changed_s)
        if core.at_s < changed_s + SETTLED_S:
            return
        value = core.value
        if core.at_s > self._last_core_s:
            self._last_core_s = core.at_s
            if abs(value - target) > 0.05 * target:
                self._core_in_band_since_s = None
            elif self._core_in_band_since_s is None or self._core_in_band_since_s < changed_s:
                self._core_in_band_since_s = core.at_s
        sensor = Channel.CORE_V.value
        high_s = self._core_high.feed(core.at_s, value > CORE_HIGH_RATIO * target)
        low_s = self._core_low.feed(core.at_s, value < CORE_LOW_RATIO * target)
        if high_s >= CORE_HIGH_S - _JITTER_S:
            found.append((Cause.CORE_VOLTAGE, sensor, f"{value:.3f} V is 8 % above {target:.3f} V for {high_s:.1f} s"))
        if low_s >= CORE_LOW_S - _JITTER_S:
            found.append((Cause.CORE_VOLTAGE, sensor, f"{value:.3f} V is 10 % below {target:.3f} V for {low_s:.1f} s"))

    def _sensors(self, now: BoardSnapshot, found: list[tuple[Cause, str | None, str]], without: Channel | None) -> None:
        invalid: tuple[Channel, str] | None = None
        stale: tuple[Channel, str] | None = None
        fresh_somewhere = False
        for channel in self._envelope.means.sensors:
            sample = now.channels.get(channel)
            if channel is without:
                continue
            if sample is None:
                stale = stale or (channel, "is not measured at all")
                continue
            age_s = now.at_s - sample.at_s
            fresh_somewhere = fresh_somewhere or age_s < self._envelope.stale_bad_s
            limit_s = self._envelope.fan_stale_bad_s if channel is Channel.FAN_RPM else self._envelope.stale_bad_s
            if sample.quality is Quality.INVALID and sample.value is not None and age_s < limit_s - _JITTER_S:
                fresh_somewhere = True
                invalid = invalid or (channel, sample.evidence or "implausible")
            elif age_s >= limit_s - _JITTER_S:
                text = f"no good value for {age_s:.1f} s (limit {limit_s:.1f} s): {sample.evidence or 'no new sample'}"
                stale = stale or (channel, text)
        if invalid is not None and invalid[0] is Channel.INPUT_V and self._says_no_input(now):
            # Of a board whose rail was not commanded on yet; with it on, the status itself is a trip, and the first.
            found.append((Cause.INPUT_LOW, Channel.INPUT_V.value, f"VIN_UV_FAULT of the regulator; {invalid[1]}"))
        elif invalid is not None:
            found.append((Cause.SENSOR_INVALID, invalid[0].value, invalid[1]))
        elif stale is not None and not fresh_somewhere:
            found.append((Cause.SENSOR_BUS, None, f"no sensor answers; {stale[0].value}: {stale[1]}"))
        elif stale is not None:
            found.append((Cause.SENSOR_STALE, stale[0].value, stale[1]))
        core_w = now.channels.get(Channel.CORE_W)
        if (
            core_w is not None
            and core_w.quality is Quality.INVALID
            and now.at_s - core_w.at_s < self._envelope.stale_bad_s - _JITTER_S
        ):
            # Fresh and still not to be accepted: its sensors agree, it is the power that is wrong.
            found.append((Cause.POWER, Channel.CORE_W.value, core_w.evidence or "implausible"))

    @staticmethod
    def _says_no_input(now: BoardSnapshot) -> bool:
        """The regulator's own comparator bears out an input that reads too low to be a supply."""
        word = good_value(now.channels.get(Channel.STATUS_WORD))
        return word is not None and bool(int(word) & _STATUS_VIN_UV)

    def _fan_speed(self, now: BoardSnapshot, commanded: Commanded, found: list[tuple[Cause, str | None, str]]) -> None:
        fan = now.channels.get(Channel.FAN_RPM)
        if fan is None or fan.quality is not Quality.GOOD or fan.value is None:
            return
        duty = commanded.fan_ratio
        if duty is None:
            said = now.channels.get(Channel.FAN_RATIO)
            duty = said.value if said is not None and said.value is not None else 1.0
        power = now.channels.get(Channel.POWER_W) or now.channels.get(Channel.CORE_W)
        # Unknown power counts as high: only a good reading below 10 W excuses a slow fan.
        known_w = power.value if power is not None and power.quality is Quality.GOOD else None
        light = known_w is not None and known_w <= FAN_NEEDED_ABOVE_W
        limit = max(FAN_STOPPED_RPM, FAN_STALLED_RATIO * expected_rpm(self._envelope, duty))
        held_s = self._fan.feed(fan.at_s, fan.value < limit and duty > FAN_JUDGED_ABOVE_RATIO and not light)
        if held_s >= FAN_HELD_S - _JITTER_S:
            text = f"{fan.value:.0f} rpm is below {limit:.0f} rpm at duty {duty:.2f} for {held_s:.1f} s"
            found.append((Cause.FAN, Channel.FAN_RPM.value, text))

    def _read_backs(self, now: BoardSnapshot, commanded: Commanded, found: list[tuple[Cause, str | None, str]]) -> None:
        if commanded.moving:
            return
        c = commanded
        rail_s = max(c.core_v_changed_s, c.rail_changed_s)
        rail_tolerance_v = max(0.04 * c.core_v, self._envelope.core_v_within_v) if c.core_v is not None else 0.0
        # Where the core voltage is told by what it is set to, a byte that was lost is not seen by anything else.
        rail_until_s = rail_s + _VERIFY_WINDOW_S if self._envelope.means.rests_at_v is None else None
        # A board may come to rest on a step of the slew that its clock gives coarsely: 868.75 MHz reads 870.83.
        clock = None if c.frequency_mhz is None else self._realise(Megahertz(c.frequency_mhz))
        for channel, wanted, changed_s, until_s, tolerance in (
            (Channel.CORE_V, c.core_v, rail_s, rail_until_s, rail_tolerance_v),
            (Channel.FREQUENCY_MHZ, clock, c.frequency_changed_s, None, _FREQUENCY_TOLERANCE_MHZ),
            (Channel.RESET_RELEASED, 1.0 if c.reset_released else 0.0, c.reset_changed_s, None, 0.5),
            (Channel.FAN_RATIO, c.fan_ratio, c.fan_changed_s, None, _FAN_TOLERANCE),
        ):
            sample = now.channels.get(channel)
            if sample is None or sample.quality is not Quality.GOOD or sample.value is None or wanted is None:
                continue
            if sample.at_s < changed_s + SETTLED_S or (until_s is not None and sample.at_s > until_s):
                continue
            if channel is Channel.FAN_RATIO and c.fan_moving:
                continue
            held = self._mismatch[channel]
            bad = held.feed(sample.at_s, abs(sample.value - wanted) > tolerance) >= 0.0
            if bad and held.count >= _MISMATCHES:
                text = f"commanded {wanted:g}, reads {sample.value:g}, {held.count} times (tolerance {tolerance:g})"
                found.append((Cause.ACTUATION, channel.value, text))
        for chain in now.chains if c.caps_mhz else ():
            for chip in chain.chips:
                self._chip_clock(chip, c, found)

    def _chip_clock(self, chip: ChipSnapshot, c: Commanded, found: list[tuple[Cause, str | None, str]]) -> None:
        """Where chips are capped, that of the board is not what each of them has to read."""
        wanted, read_mhz, read_s = c.clock_of(chip.index), chip.read_mhz, chip.read_at_s
        if wanted is None or read_mhz is None or read_s is None or read_s < c.frequency_changed_s + SETTLED_S:
            return
        wanted = self._realise(Megahertz(wanted))
        held = self._astray.setdefault(chip.index, Held())
        bad = held.feed(read_s, abs(read_mhz - wanted) > _FREQUENCY_TOLERANCE_MHZ) >= 0.0
        if bad and held.count >= _MISMATCHES:
            text = f"chip {chip.index}: commanded {wanted:g}, reads {read_mhz:g}, {held.count} times"
            text += f" (tolerance {_FREQUENCY_TOLERANCE_MHZ:g})"
            found.append((Cause.ACTUATION, Channel.FREQUENCY_MHZ.value, text))
