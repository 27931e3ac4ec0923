"""What the channels of a board say of each other: rules over seconds, looked at once a second. Pure.

A rule that fires names the channels that it doubts and the numbers that it compared. Where two channels contradict each
other and one of them has other evidence against it, that one is doubted; else both are. No rule has a cause to offer:
what follows from a doubt is decided elsewhere. Limits: `drivers/boards/plausibility.py`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from controller.safety.commanded import Commanded
from controller.safety.levels import Held
from controller.safety.tracker import Doubt, Tracker
from drivers.boards.board import Channel, DieFromRegulator, Envelope, PlausibilityLimits, PowerLaw

_REFERENCE_DIE_C: Final = 60.0
_COLDEST_DIE_C: Final = 20.0
"""A chip at work is not colder than this: what a die would have to be to explain a power."""
_JUMPED_LATELY_S: Final = 60.0
_CLOSE_RATIO: Final = 0.15
"""Power this near to what is expected is a fair point to compare later ones with."""
_MOVED_K: Final = 0.75
"""A die that has moved by less bears no witness: half of what 3 W do to it at once."""
_RAIL_UP_V: Final = 0.5
_COMMANDED_LATELY_S: Final = 10.0
_ASKED_RATIO: Final = 0.5
"""Of a power step that was asked for, at least so much follows from what was commanded."""

Doubts = dict[Channel, Doubt]


@dataclass(frozen=True, slots=True)
class Look:
    """What the rules see at one moment. A value is None unless its channel's own samples are good and fresh."""

    at_s: float
    trackers: Mapping[Channel, Tracker]
    commanded: Commanded
    working: bool
    chip_c: float | None
    vr_c: float | None
    core_v: float | None
    core_a: float | None
    core_w: float | None
    input_w: float | None
    fan_rpm: float | None


class CrossChecks:
    """All rules of one board, with their memory."""

    def __init__(self, envelope: Envelope, limits: PlausibilityLimits) -> None:
        self._limits = limits
        self._unchanged = _Unchanged(limits)
        self._power_step = _PowerStep(limits)
        model = limits.die_from_regulator
        self._disagreement = None if model is None else _Disagreement(model, limits, envelope)
        self._drift = None if limits.drift_c is None else _Drift(limits, limits.drift_c, envelope)
        law = limits.power_law
        at_input = limits.core_from_input is not None
        meter = Channel.INPUT_W if at_input else Channel.CORE_A
        self._power = None if law is None else _Power(law, limits, float(envelope.chip_c_trip), meter)
        self._efficiency = None if at_input else _Efficiency(limits)
        self.vr_most_c: float | None = None
        """How warm the regulator can be, by everything but its own thermometer; None: nothing bounds it."""

    def review(
        self, at_s: float, trackers: Mapping[Channel, Tracker], commanded: Commanded, working: bool
    ) -> Mapping[Channel, Doubt]:
        """The doubts that stand now, by channel. The first rule that doubts a channel is the one that is named."""
        now = _look(at_s, trackers, commanded, working, self._limits)
        doubts: Doubts = {}
        self._unchanged.look(now, self._heat_w(now), doubts)
        self._power_step.look(now, doubts)
        die_span_c = None
        if self._disagreement is not None:
            self._disagreement.look(now, doubts)
            die_span_c = self._disagreement.die_span_c(now)
        if self._power is not None:
            self._power.look(now, doubts, die_span_c)
        if self._efficiency is not None:
            self._efficiency.look(now, doubts)
        if self._disagreement is not None and self._drift is not None:
            self._drift.look(now, self._disagreement, doubts)  # the last: it learns from what nobody doubts
        rests_on = (Channel.CHIP_C, Channel.CORE_V, Channel.CORE_A, Channel.CORE_W)
        doubted = any(channel in doubts for channel in rests_on)
        bounded = self._disagreement is not None and self._limits.regulator_bounded and not doubted
        self.vr_most_c = self._disagreement.vr_most_c(now) if self._disagreement is not None and bounded else None
        return doubts

    def _heat_w(self, now: Look) -> float:
        """What the chips draw at least: measured, or so much that a current sensor which reads nothing is no excuse."""
        measured_w = now.core_w or 0.0
        c, law = now.commanded, self._limits.power_law
        clock = c.mean_mhz
        if law is None or not now.working or c.core_v is None or clock is None or not c.window_mhz:
            return measured_w
        return max(measured_w, self._limits.power_ratio_low * law.cold_w(c.core_v, clock))


def _look(
    at_s: float,
    trackers: Mapping[Channel, Tracker],
    commanded: Commanded,
    working: bool,
    limits: PlausibilityLimits,
) -> Look:
    def value(channel: Channel) -> float | None:
        tracker = trackers.get(channel)
        return tracker.value if tracker is not None and tracker.trusted else None

    core_v, core_a, fan = value(Channel.CORE_V), value(Channel.CORE_A), trackers.get(Channel.FAN_RPM)
    input_w, core_w = value(Channel.INPUT_W), None
    if limits.core_from_input is not None:
        core_w = None if input_w is None else limits.core_from_input.core_w(input_w)
    elif core_v is not None and core_a is not None:
        core_w = limits.domains * core_v * core_a
    return Look(
        at_s=at_s,
        trackers=trackers,
        commanded=commanded,
        working=working,
        chip_c=value(Channel.CHIP_C),
        vr_c=value(Channel.VR_C),
        core_v=core_v,
        core_a=core_a,
        core_w=core_w,
        input_w=input_w,
        fan_rpm=None if fan is None else fan.value,
    )


# --- one sensor that does not live ------------------------------------------------------------------------------------


class _Unchanged:
    """A value that repeats itself to the last bit while the board works is not a measurement."""

    def __init__(self, limits: PlausibilityLimits) -> None:
        self._limits = limits
        self._patience_s = tuple(
            (channel, unchanged_s)
            for channel, unchanged_s in (
                (Channel.CHIP_C, limits.chip.unchanged_s),
                (Channel.VR_C, limits.vr.unchanged_s),
                (Channel.CORE_A, limits.core_a_unchanged_s),
                (Channel.CORE_V, limits.core_v_unchanged_s),
                (Channel.INPUT_V, limits.input_v_unchanged_s),
                (Channel.INPUT_W, limits.input_w_unchanged_s),
            )
            if unchanged_s is not None
        )
        self._hot = Held()
        self._since: dict[Channel, float] = {}

    def look(self, now: Look, heat_w: float, doubts: Doubts) -> None:
        hot_s = self._hot.feed(now.at_s, now.commanded.rail_on and heat_w > self._limits.powered_w)
        for channel, patience_s in self._patience_s:
            tracker = now.trackers.get(channel)
            if tracker is None or not tracker.trusted:
                continue
            same_s = tracker.at_s - tracker.unchanged_since_s
            if min(same_s, hot_s) < patience_s or tracker.unchanged < self._limits.unchanged_samples:
                self._since.pop(channel, None)
                continue
            since_s = self._since.setdefault(channel, now.at_s)
            text = (
                f"read {tracker.value:g} in each of {tracker.unchanged} samples over {same_s:.0f} s "
                f"while the chips draw {heat_w:.1f} W"
            )
            doubts[channel] = Doubt("stuck", text, since_s)


@dataclass(slots=True)
class _Step:
    """A temperature that has to move, because the power has."""

    began_s: float
    from_w: float
    to_w: float
    lowest_c: float
    highest_c: float
    failed_s: float | None = None


class _Moment(NamedTuple):
    at_s: float
    core_w: float
    level_s: float
    temperatures: Mapping[Channel, float]


class _PowerStep:
    """A thermometer that stays where it was after a power step that was asked for and measured."""

    def __init__(self, limits: PlausibilityLimits) -> None:
        self._limits = limits
        self._sensors = ((Channel.CHIP_C, limits.chip), (Channel.VR_C, limits.vr))
        self._past: deque[_Moment] = deque()
        self._asked: deque[tuple[float, float]] = deque()
        """When, and what chips of this kind draw at what was commanded, W."""
        self._steps: dict[Channel, _Step] = {}
        self._level_w = 0.0
        self._level_since_s: float | None = None

    def look(self, now: Look, doubts: Doubts) -> None:
        limits, core_w, c = self._limits, now.core_w, now.commanded
        if self._level_since_s is None or abs((core_w or 0.0) - self._level_w) > limits.power_step_w / 2:
            self._level_w, self._level_since_s = core_w or 0.0, now.at_s
        if core_w is None or not c.rail_on:
            self._past.clear()
            self._steps.clear()
            self._asked.clear()
            return
        self._begin(now, core_w, now.at_s - self._level_since_s)
        for channel, sensor in self._sensors:
            step, tracker = self._steps.get(channel), now.trackers.get(channel)
            if step is None or tracker is None or not tracker.trusted:
                continue
            gone_back = abs(core_w - step.from_w) < limits.power_step_w / 2
            # The span, not the distance from the start: a sink that still warms up may bring it back to where it was.
            step.lowest_c = min(step.lowest_c, tracker.smooth)
            step.highest_c = max(step.highest_c, tracker.smooth)
            moved_c = step.highest_c - step.lowest_c
            if gone_back or moved_c >= sensor.moves_c:
                del self._steps[channel]
                continue
            if now.at_s - step.began_s < sensor.moves_within_s:
                continue
            if step.failed_s is None:
                step.failed_s = now.at_s
            text = (
                f"moved by {moved_c:.2f} C in {now.at_s - step.began_s:.0f} s after the core power went "
                f"from {step.from_w:.1f} to {step.to_w:.1f} W"
            )
            doubts.setdefault(channel, Doubt("stuck", text, step.failed_s))

    def _begin(self, now: Look, core_w: float, level_s: float) -> None:
        limits, c, past = self._limits, now.commanded, self._past
        temperatures = {
            channel: tracker.smooth
            for channel, _ in self._sensors
            if (tracker := now.trackers.get(channel)) is not None and tracker.trusted
        }
        past.append(_Moment(now.at_s, core_w, level_s, temperatures))
        while now.at_s - past[0].at_s > limits.power_step_s + 0.5:
            past.popleft()
        old, step_w = past[0], core_w - past[0].core_w
        self._note_asked(now.at_s, c)
        commanded_s = max(c.rail_changed_s, c.frequency_changed_s, c.core_v_changed_s)
        if abs(step_w) <= limits.power_step_w or now.at_s - commanded_s > _COMMANDED_LATELY_S:
            return
        if self._asked_w(rises=step_w > 0.0) < abs(step_w) * _ASKED_RATIO:
            return  # a current that was misread, and is so no more, heats no die
        for channel, sensor in self._sensors:
            if channel in old.temperatures and channel not in self._steps and old.level_s >= sensor.settled_s:
                # What it did since then counts as well: two moves, one up and one down, may begin and end alike.
                seen = [moment.temperatures[channel] for moment in past if channel in moment.temperatures]
                self._steps[channel] = _Step(old.at_s, old.core_w, core_w, min(seen), max(seen))

    def _note_asked(self, at_s: float, c: Commanded) -> None:
        law, clock = self._limits.power_law, c.mean_mhz
        known_w = 0.0 if law is None or c.core_v is None or clock is None else law.cold_w(c.core_v, clock)
        self._asked.append((at_s, known_w))
        while at_s - self._asked[0][0] > _COMMANDED_LATELY_S + self._limits.power_step_s:
            self._asked.popleft()

    def _asked_w(self, *, rises: bool) -> float:
        """By how much what was commanded lately lets the power rise, or fall; infinite: no law of it is known."""
        if self._limits.power_law is None:
            return math.inf
        lately_w = [watts for _, watts in self._asked]
        return lately_w[-1] - min(lately_w) if rises else max(lately_w) - lately_w[-1]


# --- two thermometers -------------------------------------------------------------------------------------------------


class _Disagreement:
    """The die against what the regulator's own thermometer and the power let expect of it."""

    def __init__(self, model: DieFromRegulator, limits: PlausibilityLimits, envelope: Envelope) -> None:
        self._model, self._limits = model, limits
        self._fan_full_rpm, self._warm_c = float(envelope.fan_full_rpm), float(envelope.chip_c_warn)
        self._sink_k = self._regulator_k = 0.0
        self.unknown_c = model.unknown_c
        """Where the nodes stand is known to this much."""
        self._last_s: float | None = None
        self._held = Held()

    def look(self, now: Look, doubts: Doubts) -> None:
        self._follow(now)
        apart_c = self.apart_c(now)
        if now.chip_c is None or apart_c is None:
            return
        limit_c = self._limits.disagreement_c + self.unknown_c
        held_s = self._held.feed(now.at_s, abs(apart_c) > limit_c)
        if held_s < self._limits.disagreement_s:
            return
        accused = _accused(now, doubts, (Channel.CHIP_C, Channel.VR_C))
        if apart_c > 0.0 and now.chip_c >= self._warm_c and len(accused) > 1:
            return  # a heatsink that came off looks like this: it counts as heat, and the levels act and name it
        text = (
            f"chip_c reads {now.chip_c:.1f} C, vr_c {now.vr_c:.1f} C with {now.core_w or 0.0:.1f} W "
            f"lets expect {now.chip_c - apart_c:.1f} C, {abs(apart_c):.1f} C apart (limit {limit_c:.0f} C)"
        )
        if len(accused) > 1:
            text += "; one of both is wrong, or the die has lost its heatsink"
        for channel in accused:
            doubts.setdefault(channel, Doubt("disagreement", text, now.at_s - held_s + self._limits.disagreement_s))

    def apart_c(self, now: Look) -> float | None:
        """By how much the die reads more than expected. None: one of the two thermometers is not known."""
        if now.chip_c is None or now.vr_c is None:
            return None
        return now.chip_c - self.expected_c(now.vr_c, now.core_w or 0.0)

    def die_span_c(self, now: Look) -> tuple[float, float] | None:
        """Where the die can be, whatever its own sensor says. None: nothing is known of it."""
        if now.vr_c is None:
            return None
        expected_c = self.expected_c(now.vr_c, now.core_w or 0.0)
        around_c = self._limits.disagreement_c / 2 + self.unknown_c
        return expected_c - around_c, expected_c + around_c

    def vr_most_c(self, now: Look) -> float | None:
        """The warmest that the regulator can be while the die reads what it reads. None: die or power are not known."""
        if now.chip_c is None or now.core_w is None or now.core_a is None:
            return None
        level_c = self.expected_c(0.0, now.core_w)  # the die above the regulator
        return now.chip_c - level_c + self._limits.disagreement_c + self.unknown_c

    def expected_c(self, vr_c: float, core_w: float) -> float:
        """What the die should read, by the regulator's thermometer and the core power."""
        model = self._model
        return vr_c + model.level_c + self._sink_k - self._regulator_k + self._limits.die_k_per_w * core_w

    def _follow(self, now: Look) -> None:
        """Carries the two slow nodes on: how far sink and regulator stand above their air."""
        model = self._model
        passed_s = 0.0 if self._last_s is None else now.at_s - self._last_s
        self._last_s = now.at_s
        core_w, core_a = now.core_w or 0.0, now.core_a or 0.0
        air_k_per_w = model.sink_k_per_w - model.sink_fixed_k_per_w
        if now.fan_rpm is not None:
            slower = self._fan_full_rpm / max(now.fan_rpm, 0.1 * self._fan_full_rpm)
            air_k_per_w *= max(1.0, slower) ** model.sink_exponent
        sink_k = (model.sink_fixed_k_per_w + air_k_per_w) * core_w
        up = now.commanded.rail_on if now.core_v is None else now.core_v > _RAIL_UP_V  # it may be up by itself
        loss_w = model.loss_w + model.loss_w_per_a2 * core_a * core_a if up else 0.0
        self._sink_k += (sink_k - self._sink_k) * -math.expm1(-passed_s / model.sink_s)
        regulator_k = model.regulator_share * self._sink_k + model.regulator_k_per_w * loss_w
        keep = math.exp(-passed_s / model.regulator_s)
        self._regulator_k += (regulator_k - self._regulator_k) * (1.0 - keep)
        self.unknown_c *= keep


class _Drift:
    """The die against what this board has shown before, closer than units differ: a thermometer that begins to read too
    little. Learned once in the life of a rig, not again at the next power-up, where it may be wrong already."""

    def __init__(self, limits: PlausibilityLimits, limit_c: float, envelope: Envelope) -> None:
        self._limits, self._limit_c = limits, limit_c
        self._fan_full_rpm = float(envelope.fan_full_rpm)
        self._own_c: float | None = None
        """How much more than expected this board's die reads."""
        self._seen: deque[float] = deque(maxlen=limits.drift_looks)
        self._warm, self._low = Held(), Held()

    def look(self, now: Look, model: _Disagreement, doubts: Doubts) -> None:
        limits, apart_c = self._limits, model.apart_c(now)
        warm_s = self._warm.feed(now.at_s, now.commanded.rail_on and (now.core_w or 0.0) > limits.powered_w)
        if apart_c is None or warm_s < 0.0:
            self._seen.clear()
            self._low.forget()
            return
        seen = self._seen
        seen.append(apart_c)
        mean_c = sum(seen) / len(seen)  # the regulator shows whole degrees: one look says little
        if self._own_c is None:
            warm = warm_s >= limits.drift_warm_s and model.unknown_c <= limits.drift_unknown_c
            if doubts or not warm or self._jumped_s(now) > now.at_s - limits.drift_looks - _JUMPED_LATELY_S:
                seen.clear()
            elif len(seen) == seen.maxlen and max(seen) - min(seen) <= limits.drift_span_c:
                self._own_c = mean_c if abs(mean_c) <= limits.drift_own_c else None
            return
        less_c, limit_c = self._own_c - mean_c, self._limit_c
        if now.fan_rpm is not None:
            slower = self._fan_full_rpm / max(now.fan_rpm, 0.5 * self._fan_full_rpm)
            limit_c += limits.drift_slow_c * max(0.0, slower - 1.0)
        held_s = self._low.feed(now.at_s, len(seen) == seen.maxlen and less_c > limit_c)
        if held_s < limits.drift_s:
            return
        accused = _accused(now, doubts, (Channel.CHIP_C, Channel.VR_C))
        text = (
            f"chip_c reads {now.chip_c:.1f} C, with vr_c {now.vr_c:.1f} C and {now.core_w or 0.0:.1f} W "
            f"{less_c:.1f} C less than on this board before (limit {limit_c:.0f} C)"
        )
        if len(accused) > 1:
            text += "; one of both is wrong"
        for channel in accused:
            doubts.setdefault(channel, Doubt("drift", text, now.at_s - held_s + limits.drift_s))

    @staticmethod
    def _jumped_s(now: Look) -> float:
        """When one of the two thermometers did so last: what it says since then may end as it began."""
        return max(now.trackers[channel].jumped_s for channel in (Channel.CHIP_C, Channel.VR_C))


# --- power ------------------------------------------------------------------------------------------------------------


class _Power:
    """Measured core power against k V^2 f: of many boards, and once it is known, of this one."""

    def __init__(self, law: PowerLaw, limits: PlausibilityLimits, hottest_c: float, meter: Channel) -> None:
        """`meter`: what the power is measured with, core current or input power."""
        self._law, self._limits, self._hottest_c, self._meter = law, limits, hottest_c, meter
        self._own_k: float | None = None
        self._learned_for_s = -math.inf
        """The last move of the point that `_own_k` was learned at, or compared with."""
        self._sum = 0.0
        self._count = 0
        self._working = False
        self._fair: tuple[float, float] | None = None
        """Power and die temperature when both were last as expected."""
        self._held = Held()

    def look(self, now: Look, doubts: Doubts, die_span_c: tuple[float, float] | None) -> None:
        c, limits = now.commanded, self._limits
        if now.working != self._working:  # a fed chip draws more than one that is not; how much more, nobody knows
            self._working, self._own_k, self._fair = now.working, None, None
            self._learned_for_s = -math.inf
            self._sum, self._count = 0.0, 0
        moved_s = max(c.rail_changed_s, c.core_v_changed_s, c.frequency_changed_s)
        steady = c.rail_on and not c.moving and bool(c.window_mhz) and now.at_s - moved_s >= limits.steady_s
        core_v, core_w, clock = now.core_v, now.core_w, c.mean_mhz
        if not c.rail_on:
            # A board that is latched and out of reach may have taught what a part that repeats itself has said.
            self._own_k = None
            self._learned_for_s = -math.inf
            self._fair = None
        if not steady or core_v is None or core_w is None or clock is None:
            self._held.feed(now.at_s, False)
            self._sum, self._count = 0.0, 0
            return
        k = self._own_k or self._law.k_w_per_v2_mhz
        die_c = now.chip_c if Channel.CHIP_C not in doubts else None
        low, high = self._band(die_c)
        cold_w = k * core_v * core_v * clock
        expected_w = cold_w * self._warmth(_REFERENCE_DIE_C if die_c is None else die_c)
        if cold_w < limits.powered_w:
            self._held.feed(now.at_s, False)
            return
        ratio = core_w / expected_w
        fair = low <= ratio <= high
        coldest_c, hottest_c = die_span_c or (_COLDEST_DIE_C, self._hottest_c)
        any_die = low * cold_w * self._warmth(coldest_c) <= core_w <= high * cold_w * self._warmth(hottest_c)
        if not now.working and ratio < low:
            fair = True  # what a chip without work draws at least is not known
        elif die_c is None:
            fair = any_die
        held_s = self._held.feed(now.at_s, not fair)
        if fair and die_c is not None:
            self._learn(now.at_s, moved_s, k * ratio)
            if abs(ratio - 1.0) < _CLOSE_RATIO:
                self._fair = (core_w, now.trackers[Channel.CHIP_C].smooth)
        if fair or held_s < limits.power_s:
            return
        whose = "this board" if self._own_k is not None else "boards of this kind"
        text = (
            f"core_w {core_w:.1f} W from {self._measured(now, core_v)}, "
            f"{ratio:.2f} times the {expected_w:.1f} W of {whose} at {clock:g} MHz"
            + ("" if die_c is None else f" and chip_c {die_c:.1f} C")
        )
        since_s = now.at_s - held_s + limits.power_s
        accused: tuple[Channel, ...] = (self._meter,)
        witness = None if die_c is None else self._witness(now, core_w, expected_w)
        if witness is Channel.CORE_W:
            if ratio < low:
                return  # the die has cooled with it: the chips have stopped, and no sensor is to blame
            text += "; the die has followed: the chips draw too much"
            accused = (Channel.CORE_W,)
        elif witness is None and die_c is not None and any_die:
            text += f"; or the die is {'colder' if ratio < low else 'warmer'} than it reads"
            accused = (self._meter, Channel.CHIP_C)
        elif witness is None and ratio < low:
            text += "; or the chips draw too little"
        for channel in accused:
            doubts.setdefault(channel, Doubt("power", text, since_s))

    def _measured(self, now: Look, core_v: float) -> str:
        if self._meter is Channel.INPUT_W:
            return f"input_w {now.input_w or 0.0:.1f} W"
        return f"core_v {core_v:.3f} V and core_a {now.core_a or 0.0:.2f} A"

    def _warmth(self, die_c: float) -> float:
        return math.exp(self._law.alpha_per_k * (die_c - _REFERENCE_DIE_C))

    def _band(self, die_c: float | None) -> tuple[float, float]:
        if self._own_k is not None:
            return 1.0 - self._limits.power_own_ratio, 1.0 + self._limits.power_own_ratio
        # How a unit grows with heat is not known either, and says the more the further it is from where k was taken.
        away_k = 0.0 if die_c is None else abs(die_c - _REFERENCE_DIE_C)
        wider = math.exp(self._law.alpha_within_per_k * away_k)
        return self._limits.power_ratio_low / wider, self._limits.power_ratio_high * wider

    def _learn(self, at_s: float, moved_s: float, k: float) -> None:
        """The board's own k: the mean over the first seconds at each new point."""
        if self._learned_for_s == moved_s:
            return
        self._sum += k
        self._count += 1
        if at_s - moved_s >= self._limits.power_learn_s and self._count * 2 >= self._limits.power_learn_s:
            self._own_k = self._sum / self._count
            self._learned_for_s = moved_s
            self._sum, self._count = 0.0, 0

    def _witness(self, now: Look, core_w: float, expected_w: float) -> Channel | None:
        """What the die has to say since the last fair point: CORE_W when it moved as the measured power lets expect,
        CORE_A when it moved as the point lets expect and the current did not, None when it says nothing."""
        if self._fair is None:
            return None
        fair_w, fair_c = self._fair
        measured_k = self._limits.die_k_per_w * (core_w - fair_w)
        expected_k = self._limits.die_k_per_w * (expected_w - fair_w)
        moved_k = now.trackers[Channel.CHIP_C].smooth - fair_c
        if abs(moved_k) < _MOVED_K:
            return None
        with_measured = abs(moved_k - measured_k) < abs(moved_k - expected_k)
        if with_measured and abs(measured_k) >= _MOVED_K:
            return Channel.CORE_W
        return Channel.CORE_A if not with_measured and abs(expected_k) >= _MOVED_K else None


class _Efficiency:
    """Input power against output power, where both are measured."""

    def __init__(self, limits: PlausibilityLimits) -> None:
        self._limits = limits
        self._held = Held()

    def look(self, now: Look, doubts: Doubts) -> None:
        limits = self._limits
        text = None
        if now.input_w is not None and now.core_w is not None and now.commanded.rail_on:
            text = odd_efficiency(now.input_w, now.core_w, limits)
        held_s = self._held.feed(now.at_s, text is not None)
        if text is None or held_s < limits.efficiency_s:
            return
        since_s = now.at_s - held_s + limits.efficiency_s
        for channel in _accused(now, doubts, (Channel.INPUT_W, Channel.CORE_A)):
            doubts.setdefault(channel, Doubt("efficiency", text, since_s))


def odd_efficiency(input_w: float, core_w: float, limits: PlausibilityLimits) -> str | None:
    """What is wrong between input and output of the regulator, in watts; None: nothing, or too little power to tell."""
    regulator_w = input_w - limits.auxiliary_w
    if max(regulator_w, core_w) <= limits.powered_w:
        return None
    ratio = core_w / regulator_w if regulator_w > 0.0 else math.inf
    if limits.efficiency_low <= ratio <= limits.efficiency_high:
        return None
    return (
        f"core_w {core_w:.1f} W of input_w {input_w:.1f} W is {100.0 * ratio:.0f} %, outside "
        f"{100.0 * limits.efficiency_low:.0f} to {100.0 * limits.efficiency_high:.0f} %"
    )


def _accused(now: Look, doubts: Doubts, channels: tuple[Channel, Channel]) -> tuple[Channel, ...]:
    """The one of two with other evidence against it, else both."""
    with_more = tuple(
        channel
        for channel in channels
        if channel in doubts
        or ((tracker := now.trackers.get(channel)) is not None and now.at_s - tracker.jumped_s < _JUMPED_LATELY_S)
    )
    return with_more if len(with_more) == 1 else channels


__all__ = ["CrossChecks", "Look", "odd_efficiency"]
