"""When a number from a sensor may be doubted: every limit of the plausibility rules, in one place. No code, only facts.

The defaults are for any board; a row of BOARDS overrides what its parts and its wiring make different. Sources in the
comments: [S] the default of the safety model (docs/safety.md, "Sensor plausibility"), [F] fitted to public logs, [A] an
assumption, [C] changed from the default with the reason beside it. Nothing here has been seen on a bench.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TemperatureSensor:
    """How one honest thermometer behaves: what follows from its step, its noise and the mass that it is on."""

    step_c: float
    """Smallest change that it can show."""
    noise_c: float
    """One sigma."""
    rate_c_per_s: float
    """Faster than this, in steady state, is not heat."""
    rate_moving_c_per_s: float
    """The same while voltage, clock, rail or reset move, and for `transition_s` after."""
    age_s: float
    """A sample may be older than the sweep that read it by so much: one conversion of the part."""
    unchanged_s: float | None
    """Repeating one value for so long is not a measurement. None: an honest sensor may do that."""
    moves_c: float
    """After a power step its mean has to span so much [S]."""
    moves_within_s: float
    settled_s: float
    """Only if the power was level for so long before: what went on then may hide what the step does."""

    @property
    def jitter_c(self) -> float:
        """What two samples of one temperature differ by at most: one step, and six sigma of their difference."""
        return self.step_c + 6.0 * math.sqrt(2.0) * self.noise_c


@dataclass(frozen=True, slots=True)
class DieFromRegulator:
    """The die's temperature as the regulator's own sensor and the power let expect it.

    Sink and regulator are two slow nodes, the die stands on the sink: die = regulator + (sink - regulator's node) +
    K/W x power, both nodes followed from the moment that they are known to be level.
    """

    sink_k_per_w: float = 1.52
    """Sink to air at full fan [F], of which `sink_fixed_k_per_w` does not depend on the fan."""
    sink_fixed_k_per_w: float = 0.4
    sink_exponent: float = 0.65
    """(full speed / speed) to this power [F, 0.53 to 0.86]."""
    sink_s: float = 91.0
    """Time constant [F]: 90 to 100 s."""
    regulator_share: float = 0.5
    """Of the sink's rise, what the regulator's node takes part in [F]."""
    regulator_k_per_w: float = 11.4
    """And what it gains for each watt of its own loss [F]: together 39.5 C + 1.26 C/W with the die at 60 C."""
    regulator_s: float = 100.0
    loss_w: float = 0.5
    loss_w_per_a2: float = 0.006
    """Regulator loss a + b I^2 [A]."""
    level_c: float = 4.0
    """Die above regulator with no power at all: the fan's and the bridge's heat warms the sink first [F]."""
    unknown_c: float = 15.0
    """Where the nodes stand when watching begins is known to this much only; fades with `regulator_s`."""


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """P = k V^2 f exp(alpha (T - 60)) of one board: all chips on one rail. Volts at the chip, MHz, C."""

    k_w_per_v2_mhz: float
    """Mean over many units, all chips of the rail."""
    alpha_per_k: float = 0.010
    """The middle of four units [F],"""
    alpha_within_per_k: float = 0.003
    """and so much either way: 0.007 to 0.013 [F]."""

    def cold_w(self, core_v: float, frequency_mhz: float) -> float:
        """What the chips draw, W, with the die at 60 C."""
        return self.k_w_per_v2_mhz * core_v * core_v * frequency_mhz


@dataclass(frozen=True, slots=True)
class CoreFromInput:
    """What the chips draw, reckoned from the power at the input where nothing measures the core current."""

    auxiliary_w: float
    """What never reaches the regulator: fan, bridge."""
    efficiency: float
    """Of the regulator, 0 to 1."""

    def core_w(self, input_w: float) -> float:
        return max(0.0, input_w - self.auxiliary_w) * self.efficiency


@dataclass(frozen=True, slots=True)
class PlausibilityLimits:
    """Counts, times and limits of all rules. Times in seconds, temperatures in C, power in watts."""

    bad_in_a_row: int = 3
    """So many bad samples in a row make a channel invalid [S]."""
    votes_of_three: int = 2
    """So many good ones of the last three bring it back [S]."""
    agreeing: int = 3
    """A jump is believed when so many samples in a row agree with each other: fewer than that are `bad_in_a_row`."""
    doubt_s: float = 5.0
    """A channel that a rule doubts for so long while the board is powered becomes invalid [A]."""
    garbage: int = 2
    """So many impossible answers of one part in one sweep: none of its answers is believed [A]."""
    parts: tuple[tuple[str, ...], ...] = ()
    """The channels that come from one part each."""
    transition_s: float = 3.0
    """After a move: three time constants of the die, 1 s [A]."""
    chip: TemperatureSensor = TemperatureSensor(
        step_c=0.125,
        noise_c=0.15,
        rate_c_per_s=15.0,  # [S]
        rate_moving_c_per_s=40.0,  # full power on 2 J/K is 20 C/s; a new diode setting moves the reading by 8 C at once
        age_s=0.0625,
        unchanged_s=60.0,  # [S]
        moves_c=0.5,  # [S]
        moves_within_s=20.0,  # [S]
        settled_s=3.0,  # [C] three time constants of the die: a peak of power between two moves has warmed nothing
    )
    vr: TemperatureSensor = TemperatureSensor(
        step_c=1.0,
        noise_c=0.3,
        rate_c_per_s=5.0,  # [S], above the jitter of a part that shows whole degrees
        rate_moving_c_per_s=5.0,
        age_s=0.0625,
        unchanged_s=None,  # [C] whole degrees and little noise: a settled regulator repeats itself for minutes
        moves_c=0.25,  # [C] less than its noise: it has not moved at all
        moves_within_s=120.0,  # [C] its time constant is 100 s: 0.6 C in 20 s for 3 W, less than one step
        settled_s=300.0,  # [C] an earlier heat on its way out once held it still for 125 s, emulated
    )
    core_a_unchanged_s: float | None = 60.0
    core_v_unchanged_s: float | None = 120.0  # [C] noise of half a step
    input_v_unchanged_s: float | None = 120.0  # [C] noise of half a step
    input_w_unchanged_s: float | None = None
    unchanged_samples: int = 60
    """And at least so many fresh samples [S]."""
    domains: int = 1
    """In series on the rail: core power is so many times core voltage x core current."""
    powered_w: float = 5.0
    """Below this the board is too quiet to expect anything of its sensors [S]."""
    power_step_w: float = 3.0
    power_step_s: float = 5.0
    """A step: so many watts more or less [S] within so many seconds [A]. Slower than that, a fan may hide it."""
    disagreement_c: float = 15.0
    disagreement_s: float = 5.0
    drift_c: float | None = None
    """A die that reads so much less, beside regulator and power, than it did on this very board before: 7 C on top of
    the 70 C where it gives way. None: the model was not fitted to boards of this kind [A]."""
    drift_slow_c: float = 5.0
    """And so much more for each time that full speed is more than the fan's [A]: at 60 % of it 3.3 C. How the sink
    follows a slower fan is known less well, and a fan is led at stock or below alone, to 7 C from giving way."""
    drift_looks: int = 60
    """The mean of so many looks in a row, one a second; learned from so many as well, so that a value that stands still
    is found out within them."""
    drift_s: float = 60.0
    """Then for so long: air that changes at once keeps the two thermometers apart for a while [A], and a reading that
    falls heats nothing by itself."""
    drift_warm_s: float = 60.0
    """What this board shows is learned after so long at work,"""
    drift_unknown_c: float = 5.0
    """once the nodes of the model are known to so much,"""
    drift_span_c: float = 4.0
    """from looks that lie within so much,"""
    drift_own_c: float = 10.0
    """and not further from what the model expects of the kind [A]."""
    die_k_per_w: float = 0.5
    """Die to sink, by which the die follows the power within seconds [A], 15 % from unit to unit."""
    die_from_regulator: DieFromRegulator | None = None
    """None: no second thermometer bounds the die."""
    regulator_bounded: bool = False
    """That model was fitted to boards of this kind: die and power bound the regulator well enough to go on without its
    thermometer for half a minute (docs/adr/0007-derate.md)."""
    efficiency_low: float = 0.70
    efficiency_high: float = 0.97
    efficiency_s: float = 3.0
    auxiliary_w: float = 0.0
    """Of the measured input, what never reaches the regulator: fan, bridge."""
    core_from_input: CoreFromInput | None = None
    """None: the core current is measured."""
    power_law: PowerLaw | None = None
    power_ratio_low: float = 0.6
    power_ratio_high: float = 1.4
    """Around the mean of many units: five times their 8 % from unit to unit [A]. The power law adds what is not known
    of their growth with heat."""
    power_own_ratio: float = 0.30
    """Around what this board itself has drawn [S]."""
    power_learn_s: float = 30.0
    power_s: float = 3.0
    steady_s: float = 2.0
    """The power rule waits so long after the last move."""
