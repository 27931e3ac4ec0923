"""How weak the supply is: its source impedance, from what the input loses while the load grows. Pure.

Each power-up takes the load from next to nothing to the point: a line through input voltage over input current is the
open voltage less the impedance times the current. Cable, plug and supply are all in it. Healthy supplies of 5 V boards
have 0.066 to 0.15 ohm, a bad plug has 0.4 (reference: physics); above 0.12 ohm less may be asked of one: a rise that
would bring the input to its warning level, or the load to half of what the source can give at all, is refused.

Where the input current is not measured it is estimated, as power over input voltage; the power is then core power and
a constant, so the losses of the regulator are missed and the impedance comes out too high (by up to 6 % on the
emulated Gamma). That errs to the safe side, and is marked.
"""

from __future__ import annotations

import math
from typing import Final

from controller.model import BoardSnapshot, Channel, Envelope, Quality, Reading, SupplyStatus
from controller.safety.commanded import Commanded
from drivers.errors import Refused

WEAK_OHM: Final = 0.12
LEAST_SPREAD_A: Final = 0.2
"""Standard deviation of the current below which no line is drawn."""
LEAST_SAMPLES: Final = 20
LEAST_NOISE_V: Final = 0.005
"""A step of the input voltage is 7.8 mV, its noise 4 mV: no line is better than that."""
FORGETS: Final = 0.999
"""A sample a sweep counts half after two minutes: a supply that warms up is another one."""
MARGIN_V: Final = 0.05


class Supply:
    """One per board."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._last_s = -math.inf
        self.forget()

    def forget(self) -> None:
        """A new start may have another supply."""
        self._n = self._a = self._v = self._aa = self._av = self._vv = 0.0
        self._measured = self._told = False
        self._found: SupplyStatus | None = None
        """What was worked out of the samples so far, until there is another: snapshots ask for it again and again."""

    def look(self, now: BoardSnapshot, commanded: Commanded) -> None:
        """One sweep of a board that is being started or is live."""
        volts, (watts, measured) = now.channels.get(Channel.INPUT_V), _power(now)
        if volts is None or watts is None or not commanded.rail_on:
            return
        if volts.quality is not Quality.GOOD or watts.quality is not Quality.GOOD or volts.at_s <= self._last_s:
            return
        if volts.value is None or watts.value is None or volts.value <= 0.0:
            return
        self._last_s, self._measured, self._found = volts.at_s, measured, None
        v, a = volts.value, watts.value / volts.value
        self._n = FORGETS * self._n + 1.0
        self._a, self._v = FORGETS * self._a + a, FORGETS * self._v + v
        self._aa, self._av = FORGETS * self._aa + a * a, FORGETS * self._av + a * v
        self._vv = FORGETS * self._vv + v * v

    def status(self) -> SupplyStatus | None:
        """None before enough was seen."""
        if self._found is None:
            self._found = self._line()
        return self._found

    def _line(self) -> SupplyStatus | None:
        if self._n < LEAST_SAMPLES:
            return None
        mean_a, mean_v = self._a / self._n, self._v / self._n
        var_a = self._aa / self._n - mean_a * mean_a
        if var_a < LEAST_SPREAD_A**2:
            return None
        cov = self._av / self._n - mean_a * mean_v
        ohm = -cov / var_a
        left = max(0.0, self._vv / self._n - mean_v * mean_v - cov * cov / var_a)
        sigma = max(LEAST_NOISE_V, math.sqrt(left)) / math.sqrt(self._n * var_a)
        return SupplyStatus(
            ohm=ohm,
            ohm_sigma=sigma,
            open_v=mean_v + ohm * mean_a,
            weak=ohm - 2.0 * sigma > WEAK_OHM,
            estimated=not self._measured,
        )

    def news(self) -> str | None:
        """That the supply is weak, once a power-up."""
        found = None if self._told else self.status()
        if found is None or not found.weak:
            return None
        self._told = True
        reckoned = ", the current estimated" if found.estimated else ""
        return f"weak supply: {found.ohm:.2f} ohm{reckoned}; above {WEAK_OHM:g} ohm less may be asked of it"

    def room(self, now: BoardSnapshot, grows: float) -> None:
        """Before the core power grows by this factor. Raises `Refused` where a weak supply would not stand it."""
        found = self.status()
        core, (total, _) = now.channels.get(Channel.CORE_W), _power(now)
        if found is None or not found.weak or grows <= 1.0 or core is None or core.value is None:
            return
        if total is None or total.value is None:
            return
        watts = total.value + core.value * (grows - 1.0)
        most_w = found.open_v**2 / (4.0 * found.ohm)
        limit_v = self._envelope.input_v_low_warn + MARGIN_V
        text = f"the supply has {found.ohm:.2f} ohm{' (estimated)' if found.estimated else ''}: {watts:.1f} W would be"
        if watts > 0.5 * most_w:
            raise Refused("supply", f"{text} more than half of the {most_w:.1f} W that it can give at all")
        # Of the two currents that give this power it is the lower one.
        amps = (found.open_v - math.sqrt(found.open_v**2 - 4.0 * found.ohm * watts)) / (2.0 * found.ohm)
        input_v = found.open_v - found.ohm * amps
        if input_v < limit_v:
            raise Refused("supply", f"{text} {input_v:.2f} V at the input, less than {limit_v:.2f} V")


def _power(now: BoardSnapshot) -> tuple[Reading | None, bool]:
    """At the input: measured, where a board measures it; else reckoned from the core power."""
    measured = now.channels.get(Channel.INPUT_W)
    if measured is not None and measured.value is not None:
        return measured, True
    return now.channels.get(Channel.POWER_W), False
