"""The electro-thermal plant of a board with mining chips: power from volts and clock, heat from power and fan, yield
from volts, clock and heat, input volts from the supply behind the board.

Chips stand in `board_domains` in series on the rail, each with an equal share of its volts [A]: what a dead chip does
to its neighbours' share is not modelled. They sit on one heatsink, each die a node of its own with its own watts and
its own paste.

The defaults are calibrated to public logs of Bitaxe Gamma boards (ccalvop/bitaxe-lab docs/06-results.md,
mtab3000/bitaxe-monitor, ESP-Miner main/power); other chips are in `units.py`. In the comments, [F] marks a figure
fitted to such logs, [D] one derived from a nameplate or from firmware, [A] an assumption: plausible, uncalibrated, no
property of the silicon.

Thermal states advance on a fixed grid of 50 ms from time 0, so that a run does not depend on when it is looked at.
Everything electrical is solved for the moment asked about, at the die temperature of the last grid point.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

GRID_S: Final = 0.05
"""Step of the thermal states."""
DOMAINS: Final = 4
"""Voltage domains in series inside a chip; domain = core mod 4 [A]."""
REFERENCE_DIE_C: Final = 60.0
FAN_STALL_RATIO: Final = 0.05
"""Below this duty a turning fan stops [A]."""
FAN_START_RATIO: Final = 0.22
"""Below this duty a fan at rest does not start (ESP-Miner#1171: 20 to 25 %)."""
FAN_REST_RPM: Final = 60.0
BURN_C: Final = 150.0
"""At this die temperature the chip is destroyed [A]."""


class ChipSupply(NamedTuple):
    """What a chip feels of the board. `yields`: per domain, the share of results that are right, 0 to 1."""

    core_v: float
    die_c: float
    yields: tuple[float, float, float, float]
    burnt: bool


class Electrical(NamedTuple):
    """One solution of the power path. `collapsed`: the source cannot deliver; `input_v` is then half of its EMF."""

    chip_w: float
    core_a: float
    input_w: float
    input_v: float
    collapsed: bool


@dataclass(frozen=True, slots=True)
class PlantSettings:
    """One unit and its surroundings. The defaults are the unit of bitaxe-lab, whose points the checks are made of."""

    seed: int = 1
    spread: bool = False
    """Draw k (8 %), Vc (`v99_spread_mv`) and R_js (15 %) from `seed`, as they differ from unit to unit."""
    ambient_c: float = 25.0
    start_c: float | None = None
    """Temperature of all parts at time 0; None: ambient."""
    hold_die_c: float | None = None
    """Pin the die to this temperature, for comparison with points that were taken at one."""

    chips: int = 1
    board_domains: int = 1
    """In series on the core rail: a chip gets its volts divided by this."""
    source_v: float = 5.38
    source_ohm: float = 0.09
    """No-load voltage and impedance of a 5 V brick with its cable: 0.066 to 0.15 ohm on six board-days [F]."""

    power_w_per_v2_mhz: float = 0.0175
    """k in P = k V^2 f at 60 C; the population has 0.0186 with 8 % spread [F]."""
    power_per_k: float = 0.010
    """Growth of chip power with die temperature, 0.007 to 0.013 [F]."""
    clocked_idle_ratio: float = 0.9
    """Share of full power of a clocked chip that has no work [A]: boards brown out in clock ramps, before any job."""
    standby_w: float = 0.2
    """Power at nominal voltage in reset or with the clock stopped; grows with the square of the voltage [A]."""
    droop_v: float = 0.025
    """The chip gets this much less than the set point: 24.5 to 31.1 mV, nearly a constant [F]."""

    regulator_w: float = 0.5
    regulator_w_per_a2: float = 0.006
    """Regulator loss a + b I^2 [A], about 90 % at 12 A."""
    board_w: float = 2.6
    fan_w: float = 1.2
    """The rest of the board, and the fan at full speed, which takes the cube of its speed [A]: with the regulator's
    loss they make the 5 W that AxeOS adds."""
    reported_offset_w: float = 5.0
    """ESP-Miner main/device_config.h: what AxeOS adds to READ_VOUT x READ_IOUT."""

    die_to_sink_k_per_w: float = 0.5
    sink_to_air_min_k_per_w: float = 0.4
    sink_to_air_k_per_w: float = 1.12
    """R = R_min + R_ref (rpm_ref / rpm)^0.65 [F in sum]: 2.02 K/W from die to air at full fan."""
    sink_to_air_exponent: float = 0.65
    sink_still_air_k_per_w: float = 8.0
    board_to_air_k_per_w: float = 2.02
    """The air at the sink is warmed by all the other watts of the board, so that the die stands 2.02 K above ambient
    for each watt of board power [F]."""
    vr_to_sink_k_per_w: float = 22.8
    vr_to_air_k_per_w: float = 22.8
    vr_still_air_ratio: float = 2.5
    """Regulator node: with 60 C at the chip it stands at 39.5 + 1.26 P_chip [F]; without a fan its own path to the air
    is this much worse [A]."""
    die_j_per_k: float = 2.0
    sink_j_per_k: float = 60.0
    vr_j_per_k: float = 9.0
    """Heat capacities [A]: time constants of 1 s, 91 s and about 100 s (cold-start log of ESP-Miner PR#800)."""

    fan_max_rpm: float = 5230.0
    fan_rest_ratio: float = 0.29
    """Speed at the lowest duty as a share of the highest [F, 0.23 to 0.35]."""
    fan_lag_s: float = 1.5

    burn_v: float = 1.5
    """At this core voltage a chip is destroyed [A]; the regulator of a Gamma can give 2.0 V."""
    nominal_core_v: float = 1.150
    v99_mv: float = 1062.0
    v99_spread_mv: float = 20.0
    """One sigma: a third Gamma of three needed 25 mV more [F]."""
    v99_at_mhz: float = 525.0
    v99_at_c: float = REFERENCE_DIE_C
    mv_per_mhz: float = 0.40
    mv_per_k: float = -0.6
    domain_offset_mv: tuple[float, float, float, float] = (-78.0, -67.0, -67.0, -113.0)
    domain_scale_mv: tuple[float, float, float, float] = (25.0, 5.0, 5.0, 5.0)
    """Yield per domain [F, one unit, points P001 to P008 each at its own die temperature; sign of mv_per_k supported,
    magnitude not]. Voltages here are set points, not voltages at the chip."""


class Unit(NamedTuple):
    """What differs from one specimen to the next."""

    power_w_per_v2_mhz: float
    v99_mv: float
    die_to_sink_k_per_w: float


def units_of(settings: PlantSettings) -> tuple[Unit, ...]:
    """The specimens that the settings name, one a chip: nominal, or drawn from their seed."""
    nominal = Unit(settings.power_w_per_v2_mhz, settings.v99_mv, settings.die_to_sink_k_per_w)
    if not settings.spread:
        return (nominal,) * settings.chips
    rng = random.Random(f"{settings.seed}/unit")
    return tuple(
        Unit(
            nominal.power_w_per_v2_mhz * max(0.5, rng.gauss(1.0, 0.08)),
            nominal.v99_mv + rng.gauss(0.0, settings.v99_spread_mv),
            nominal.die_to_sink_k_per_w * max(0.4, rng.gauss(1.0, 0.15)),
        )
        for _ in range(settings.chips)
    )


def domain_yields(
    set_mv: float, frequency_mhz: float, die_c: float, settings: PlantSettings, v99_mv: float | None = None
) -> tuple[float, float, float, float]:
    """Share of right results of each domain, 0 to 1.

    `set_mv`: the set point of the core rail. `v99_mv`: of the specimen; None: as in the settings.
    """
    needed_mv = settings.v99_mv if v99_mv is None else v99_mv
    needed_mv += settings.mv_per_mhz * (frequency_mhz - settings.v99_at_mhz)
    needed_mv += settings.mv_per_k * (die_c - settings.v99_at_c)
    (a, b, c, d), (sa, sb, sc, sd) = settings.domain_offset_mv, settings.domain_scale_mv
    margin = set_mv - needed_mv
    return (
        _logistic((margin - a) / sa),
        _logistic((margin - b) / sb),
        _logistic((margin - c) / sc),
        _logistic((margin - d) / sd),
    )


def _logistic(x: float) -> float:
    if x > 40.0:
        return 1.0
    return 0.0 if x < -700.0 else 1.0 / (1.0 + math.exp(-x))


class Plant:
    """The board's electricity and heat.

    The regulator calls `set_rail`, the fan controller `set_fan_duty`, the chip `set_load`; each with the time. A call
    with a time before the last one acts on the present state. `chip_supply` is what the chip looks at.
    """

    def __init__(self, settings: PlantSettings | None = None) -> None:
        self.settings = settings or PlantSettings()
        self.units = list(units_of(self.settings))
        """By chip, chip 0 first. A fault may put another one in (`set_unit`)."""
        start_c = self.settings.ambient_c if self.settings.start_c is None else self.settings.start_c
        held_c = self.settings.hold_die_c
        self.die_c = start_c if held_c is None else held_c
        """Degrees Celsius at the last grid point, of the mean die; so are `sink_c` and `vr_c`."""
        self.sink_c = start_c
        self.vr_c = start_c
        self.rpm = 0.0
        self.ambient_c = self.settings.ambient_c
        self.source_v = self.settings.source_v
        self.source_ohm = self.settings.source_ohm
        self.burnt: str | None = None
        """Why the chip is destroyed; None: it is not."""
        self.rail_watchers: list[Callable[[float, float], None]] = []
        """Called with core_v and at_s after each `set_rail`: for the chip, which loses its state without power."""
        self.input_watchers: list[Callable[[float, float], None]] = []
        """Called with input_v and at_s after each electrical change and grid step: for a regulator that must see its
        input sag between two questions."""

        self._tick = 0
        self._now_s = 0.0
        self._duty = 0.0
        self._fan_stalled = False
        self._fan_health = 1.0
        self.heatsink_factor = 1.0
        """What the resistance from die to sink is multiplied by."""
        self._loads = [(0.0, 0.0)] * self.settings.chips
        """Clock in MHz and activity, by chip."""
        self._pulls = [0.0] * self.settings.chips
        """What each chip draws at 1 V and 60 C, in watts; 0: it stands by."""
        self._pull = 0.0
        self._standing_by = self.settings.chips
        self._rail_from_v = self._rail_to_v = 0.0
        self._rail_from_s = self._rail_to_s = 0.0
        self._ramping = False
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._agenda_count = 0
        self._rail_on = False
        self._regulated_v = 0.0
        self._energy_j = 0.0
        self._since_s = 0.0
        self._fan_keep = math.exp(-GRID_S / self.settings.fan_lag_s)
        self._air_rpm = -1.0
        self._sink_to_air = self.settings.sink_still_air_k_per_w
        self._vr_to_air = self.settings.vr_to_air_k_per_w
        self._chip_w = 0.0
        self._solved: Electrical | None = None
        self._supplies: list[ChipSupply | None] = [None] * self.settings.chips
        self._yields: list[tuple[float, float, float, float]] = [(0.0, 0.0, 0.0, 0.0)] * self.settings.chips
        self._yields_for: list[tuple[float, ...]] = [()] * self.settings.chips
        self._die_paths()
        self._apart_k = [0.0] * self.settings.chips
        """How far above the mean die each one is."""

    # --- what moves it

    def set_rail(self, commanded_v: float, on: bool, at_s: float, ramp_s: float = 0.0) -> None:
        """The regulator's output: `commanded_v` volts when `on`, reached in a straight line within `ramp_s` seconds."""
        self._change(at_s)
        now_v = self._rail_v(self._now_s)
        target_v = commanded_v if on else 0.0
        self._rail_from_v, self._rail_to_v = now_v, target_v
        self._rail_from_s, self._rail_to_s = self._now_s, self._now_s + (ramp_s if on else 0.0)
        self._ramping = self._rail_to_s > self._rail_from_s
        self._rail_on = on
        if target_v >= self.settings.burn_v * self.settings.board_domains and self.burnt is None:
            self.burnt = f"core rail raised to {target_v:.3f} V"
        self._changed()
        for watcher in self.rail_watchers:
            watcher(self.core_v(self._now_s), self._now_s)

    def set_load(self, frequency_mhz: float, activity: float, at_s: float, chip: int = 0) -> None:
        """A chip's hash clock in MHz (0: stopped, or in reset) and how much of it hashes, 0 to 1."""
        self._change(at_s)
        self._loads[chip] = frequency_mhz, activity
        self._pull_of(chip)
        self._changed()

    def set_unit(self, unit: Unit, at_s: float, chip: int = 0) -> None:
        """Another specimen in a chip's place."""
        self._change(at_s)
        self.units[chip] = unit
        self._yields_for[chip] = ()
        self._die_paths()
        self._pull_of(chip)
        self._changed()

    def set_fan_duty(self, ratio: float, at_s: float) -> None:
        """The true duty of the fan's PWM, 0 to 1."""
        self._change(at_s)
        self._duty = min(1.0, max(0.0, ratio))

    def set_fan_stalled(self, stalled: bool, at_s: float | None = None) -> None:
        """Block the rotor, or free it."""
        self._change(at_s)
        self._fan_stalled = stalled

    def set_source(self, at_s: float | None = None, *, volts: float | None = None, ohm: float | None = None) -> None:
        """Change the supply behind the board; None leaves a value as it is."""
        self._change(at_s)
        self.source_v = self.source_v if volts is None else volts
        self.source_ohm = self.source_ohm if ohm is None else ohm
        self._changed()

    def set_ambient_c(self, celsius: float, at_s: float | None = None) -> None:
        self._change(at_s)
        self.ambient_c = celsius

    def set_heatsink(self, resistance_factor: float, at_s: float | None = None) -> None:
        """Multiply the resistance from die to sink: 5 is a loose heatsink, 1 the mounted one."""
        self._change(at_s)
        self.heatsink_factor = resistance_factor

    def set_fan_health(self, ratio: float, at_s: float | None = None) -> None:
        """Share of its speed that the fan reaches, 0 to 1."""
        self._change(at_s)
        self._fan_health = ratio

    def call_at(self, at_s: float, call: Callable[[], None]) -> None:
        """Have something done when the plant comes to this moment, in the midst of a longer advance too."""
        self._agenda_count += 1
        heapq.heappush(self._agenda, (max(at_s, self._now_s), self._agenda_count, call))

    # --- what it shows

    @property
    def time_s(self) -> float:
        return self._now_s

    @property
    def rail_on(self) -> bool:
        return self._rail_on

    @property
    def fan_duty(self) -> float:
        return self._duty

    @property
    def frequency_mhz(self) -> float:
        """The clock of chip 0 as last told."""
        return self._loads[0][0]

    @property
    def fastest_mhz(self) -> float:
        """The fastest clock of all chips, as last told."""
        return max(frequency_mhz for frequency_mhz, _ in self._loads)

    def die_of_c(self, chip: int) -> float:
        """Degrees Celsius of one die."""
        return self.die_c + self._apart_k[chip]

    @property
    def hottest_die_c(self) -> float:
        return self.die_c + max(self._apart_k)

    def core_v(self, at_s: float) -> float:
        """Volts at the chips, all domains in series, which is also the regulator's sense point; 0: the rail is off."""
        self.advance(at_s)
        return self._regulated_v

    def input_v(self, at_s: float) -> float:
        """Volts at the input of the regulator."""
        self.advance(at_s)
        return self._electrical().input_v

    def collapsed(self, at_s: float) -> bool:
        """Whether the source cannot deliver what is asked of it."""
        self.advance(at_s)
        return self._electrical().collapsed

    @property
    def core_a(self) -> float:
        """Amps out of the regulator at the time of the last call; so the powers below, in watts."""
        return self._electrical().core_a

    @property
    def chip_w(self) -> float:
        return self._electrical().chip_w

    @property
    def input_w(self) -> float:
        """At the board's input: chip, regulator loss, board and fan."""
        return self._electrical().input_w

    @property
    def reported_power_w(self) -> float:
        """As AxeOS would report it: output voltage x output current + 5 W. It is not the input power."""
        return self._electrical().chip_w + self.settings.reported_offset_w

    def yields(self, at_s: float, chip: int = 0) -> tuple[float, float, float, float]:
        """Per domain of a chip, at the present voltage, clock and die temperature."""
        return self.chip_supply(at_s, chip).yields

    def chip_supply(self, at_s: float, chip: int = 0) -> ChipSupply:
        """What a chip feels. The same object as long as nothing has changed."""
        if at_s > self._now_s:
            self.advance(at_s)
        supply = self._supplies[chip]
        if supply is None:
            supply = self._supplies[chip] = self._feel(chip)
        return supply

    def advance(self, at_s: float) -> None:
        """Carry all states to `at_s`, seconds since time 0. An earlier time changes nothing."""
        if self._ramping or self._agenda:
            self._go_step_by_step(at_s)
        if at_s > self._now_s:
            self._run(at_s)

    # --- inside

    def _go_step_by_step(self, at_s: float) -> None:
        """As far as the rail is on its way somewhere, or something is on the agenda."""
        while True:
            due_s = self._agenda[0][0] if self._agenda else math.inf
            if due_s <= at_s and (due_s <= self._now_s or not self._ramping):
                call = heapq.heappop(self._agenda)[2]  # first: whoever looks on the way would find it again
                if due_s > self._now_s:
                    self._run(due_s)
                call()
            elif self._ramping and at_s > self._now_s:
                self._run(min(at_s, due_s, self._rail_to_s, self._now_s + GRID_S))
                self._ramping = self._now_s < self._rail_to_s
                self._changed()
            else:
                break

    def _run(self, at_s: float) -> None:
        last = int(at_s / GRID_S + 1e-9)
        while self._tick < last:
            self._tick += 1
            self._now_s = self._tick * GRID_S
            self._step()
        self._now_s = max(self._now_s, at_s)

    def _change(self, at_s: float | None) -> None:
        """Carry the states to the time of a change and book the energy spent up to it."""
        if at_s is not None:
            self.advance(at_s)
        self._energy_j += self._chip_w * (self._now_s - self._since_s)
        self._since_s = self._now_s

    def _changed(self) -> None:
        self._energy_j += self._chip_w * (self._now_s - self._since_s)
        self._since_s = self._now_s
        self._regulated_v = max(0.0, self._rail_v(self._now_s) - self.settings.droop_v)
        self._power_anew()
        self._tell_input()

    def _power_anew(self) -> None:
        self._chip_w = self._power_w()
        self._solved = None
        self._supplies = [None] * len(self.units)

    def _pull_of(self, chip: int) -> None:
        known, (clock_mhz, activity) = self.settings, self._loads[chip]
        share = known.clocked_idle_ratio + (1.0 - known.clocked_idle_ratio) * activity
        self._pulls[chip] = share * self.units[chip].power_w_per_v2_mhz * clock_mhz if clock_mhz > 0.0 else 0.0
        self._pull = sum(self._pulls)
        self._standing_by = self._pulls.count(0.0)

    def _die_paths(self) -> None:
        self._die_to_sink_k_per_w = 1.0 / sum(1.0 / unit.die_to_sink_k_per_w for unit in self.units)

    def _heat_dies(self, mean_w: float) -> float:
        """One step of every die by itself. Returns the mean die, each weighed by how well its heat flows away."""
        known, pull, factor = self.settings, self._pull, self.heatsink_factor
        dies_c: list[float] = []
        weighed_c = 0.0
        for chip, unit in enumerate(self.units):
            k_per_w = unit.die_to_sink_k_per_w
            die_c = self.die_c + self._apart_k[chip]
            own_w = mean_w * self._pulls[chip] / pull if pull else mean_w / len(self.units)
            die_c += GRID_S * (own_w - (die_c - self.sink_c) / (k_per_w * factor)) / known.die_j_per_k
            dies_c.append(die_c)
            weighed_c += die_c / k_per_w
        mean_c = weighed_c * self._die_to_sink_k_per_w
        self._apart_k = [die_c - mean_c for die_c in dies_c]
        return mean_c

    def _tell_input(self) -> None:
        if self.input_watchers:
            volts = self._electrical().input_v
            for watcher in tuple(self.input_watchers):
                watcher(volts, self._now_s)

    def _rail_v(self, at_s: float) -> float:
        if at_s >= self._rail_to_s:
            return self._rail_to_v
        share = (at_s - self._rail_from_s) / (self._rail_to_s - self._rail_from_s)
        return self._rail_from_v + (self._rail_to_v - self._rail_from_v) * max(0.0, share)

    def _power_w(self) -> float:
        known = self.settings
        volts = self._regulated_v / known.board_domains
        if volts <= 0.0:
            return 0.0
        standby_w = known.standby_w * (volts / known.nominal_core_v) ** 2
        chips = len(self.units)
        if self.burnt or not self._pull:
            return standby_w * chips
        warmth = math.exp(known.power_per_k * (self.die_c - REFERENCE_DIE_C))
        clocked = chips - self._standing_by
        return standby_w * self._standing_by + max(standby_w * clocked, self._pull * volts * volts * warmth)

    def _electrical(self) -> Electrical:
        if self._solved is None:
            chip_w = self._chip_w
            core_a = chip_w / self._regulated_v if self._regulated_v > 0.0 else 0.0
            input_w = chip_w + self._other_w(core_a)
            source_v, source_ohm = self.source_v, self.source_ohm
            under_root = source_v * source_v - 4.0 * source_ohm * input_w
            collapsed = under_root < 0.0
            input_v = source_v / 2.0 if collapsed else (source_v + math.sqrt(under_root)) / 2.0
            self._solved = Electrical(chip_w, core_a, input_w, input_v, collapsed)
        return self._solved

    def _other_w(self, core_a: float) -> float:
        """Everything but the chip: regulator loss, board, fan."""
        known = self.settings
        loss_w = known.regulator_w + known.regulator_w_per_a2 * core_a * core_a if self._rail_on else 0.0
        return loss_w + known.board_w + known.fan_w * (self.rpm / known.fan_max_rpm) ** 3

    def _feel(self, chip: int) -> ChipSupply:
        known, clock_mhz, die_c = self.settings, self._loads[chip][0], self.die_of_c(chip)
        key = (self._regulated_v, clock_mhz, round(die_c, 2))
        if key != self._yields_for[chip]:
            set_mv = (self._regulated_v + known.droop_v) / known.board_domains * 1e3
            self._yields[chip] = domain_yields(set_mv, clock_mhz, die_c, known, self.units[chip].v99_mv)
            self._yields_for[chip] = key
        core_v = self._regulated_v / known.board_domains
        return ChipSupply(core_v, die_c, self._yields[chip], self.burnt is not None)

    def _air(self) -> None:
        """Thermal resistances to the air at the present fan speed."""
        known = self.settings
        self._air_rpm = self.rpm
        still = known.sink_still_air_k_per_w
        if self.rpm < FAN_REST_RPM:
            self._sink_to_air = still
        else:
            forced = known.sink_to_air_k_per_w * (known.fan_max_rpm / self.rpm) ** known.sink_to_air_exponent
            self._sink_to_air = min(still, known.sink_to_air_min_k_per_w + forced)
        full = known.sink_to_air_min_k_per_w + known.sink_to_air_k_per_w
        worse = min(known.vr_still_air_ratio, self._sink_to_air / full)
        self._vr_to_air = known.vr_to_air_k_per_w * worse

    def _target_rpm(self) -> float:
        if self._fan_stalled:
            return 0.0
        known = self.settings
        least = FAN_START_RATIO if self.rpm < FAN_REST_RPM else FAN_STALL_RATIO
        if self._duty < least:
            return 0.0
        full = known.fan_max_rpm * (known.fan_rest_ratio + (1.0 - known.fan_rest_ratio) * self._duty)
        return full * self._fan_health

    def _step(self) -> None:
        """One step of 50 ms, explicit Euler: the fastest node, the die, has a time constant of 1 s."""
        known = self.settings
        target_rpm = self._target_rpm()
        if self.rpm != target_rpm:
            gap = (self.rpm - target_rpm) * self._fan_keep
            self.rpm = target_rpm + (gap if abs(gap) > 0.5 else 0.0)
            if abs(self.rpm - self._air_rpm) > 2.0 or self.rpm == target_rpm:
                self._air()
        elif self._air_rpm < 0.0:
            self._air()
        if self._ramping:  # begun by a watcher, in the middle of a long advance
            self._ramping = self._now_s < self._rail_to_s
            self._regulated_v = max(0.0, self._rail_v(self._now_s) - known.droop_v)
        mean_w = (self._energy_j + self._chip_w * (self._now_s - self._since_s)) / GRID_S
        self._energy_j, self._since_s = 0.0, self._now_s
        core_a = mean_w / self._regulated_v if self._regulated_v > 0.0 else 0.0
        loss_w = known.regulator_w + known.regulator_w_per_a2 * core_a * core_a if self._rail_on else 0.0
        die_c, sink_c, vr_c = self.die_c, self.sink_c, self.vr_c
        air_c = self.ambient_c + known.board_to_air_k_per_w * self._other_w(core_a)
        to_sink_w = (die_c - sink_c) / (self._die_to_sink_k_per_w * self.heatsink_factor)
        vr_to_sink_w = (vr_c - sink_c) / known.vr_to_sink_k_per_w
        vr_to_air_w = (vr_c - self.ambient_c) / self._vr_to_air
        if len(self.units) > 1:
            mean_c = self._heat_dies(mean_w)
            self.die_c = mean_c if known.hold_die_c is None else die_c
        elif known.hold_die_c is None:
            self.die_c = die_c + GRID_S * (mean_w - to_sink_w) / known.die_j_per_k
        self.sink_c = (
            sink_c + GRID_S * (to_sink_w + vr_to_sink_w - (sink_c - air_c) / self._sink_to_air) / known.sink_j_per_k
        )
        self.vr_c = vr_c + GRID_S * (loss_w - vr_to_sink_w - vr_to_air_w) / known.vr_j_per_k
        if self.burnt is None and (hottest_c := self.hottest_die_c) >= BURN_C:
            self.burnt = f"die at {hottest_c:.0f} C"
        self._power_anew()
        self._tell_input()
