"""What the topics of `Faults` share: the bench that they strike, chance, and changes that take their time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from emulator.device import Burst, Device

RAMP_STEP_S: Final = 0.05
"""A ramp moves in steps of this length, the grid of the plant."""

Tap = Callable[[str, float], float]
"""Channel and what the part would show, to what it shows."""


class UartChip(Protocol):
    """What hangs on the chip UART. One chip, a whole chain and a spoilt one look alike from the firmware."""

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None: ...

    def transmit(self, at_s: float) -> list[Burst]: ...

    def wakes_at(self) -> float | None: ...


class Pluggable(Protocol):
    """A port that can be pulled out and put back."""

    device: Device
    """What it carries. A fault of the line puts itself in between."""

    @property
    def plugged(self) -> bool: ...

    def look(self) -> None:
        """The device may have something to say earlier than it said."""
        ...

    def hang_up(self) -> None: ...

    def replug(self, *, new_name: bool = False) -> None: ...

    def replug_later(self, after_s: float) -> None: ...


class FaultyBench(Protocol):
    """What the faults need of the bench that they strike. None in a setter: as the bench was built."""

    def at(self, at_s: float, call: Callable[[], None]) -> None:
        """Do something on the board when it is `at_s`, exactly then, whoever looks at it or does not."""
        ...

    def now_s(self) -> float:
        """The present, and the board has been brought to it: a ramp that is on its way is where it should be."""
        ...

    @property
    def source_v(self) -> float: ...

    @property
    def source_ohm(self) -> float: ...

    @property
    def heatsink_factor(self) -> float: ...

    @property
    def built_source_v(self) -> float: ...

    @property
    def built_source_ohm(self) -> float: ...

    def set_tap(self, tap: Tap | None) -> None:
        """What the sensors show goes through this."""
        ...

    def set_diode(self, state: str) -> None:
        """`ok`, `open` or `short`."""
        ...

    def set_fan_stalled(self, stalled: bool) -> None: ...

    def set_fan_health(self, ratio: float) -> None:
        """Share of its speed that the fan still reaches."""
        ...

    def set_tach_lost(self, lost: bool) -> None: ...

    def set_source_ohm(self, ohm: float) -> None: ...

    def set_source_v(self, volts: float) -> None: ...

    def set_ambient_c(self, celsius: float | None) -> None: ...

    def set_heatsink(self, resistance_factor: float) -> None: ...

    def set_regulation_error_v(self, volts: float) -> None: ...

    def set_first_temperature(self, wrong: bool | None) -> None:
        """Whether the regulator's first temperature after enabling is nonsense."""
        ...

    def trip_rail(self) -> None:
        """The regulator switches off and leaves no cause."""
        ...

    def release_rail(self) -> None:
        """What `trip_rail` did is over: on again, if that is what is commanded."""
        ...

    @property
    def chip_count(self) -> int: ...

    def set_dead_domains(self, domains: Iterable[int], chip: int) -> None: ...

    def set_chip_needs(self, chip: int, more_mv: float) -> None:
        """So many millivolts more than it was built with."""
        ...

    def break_chain(self, chip: int | None) -> None:
        """From this chip on nothing passes; None: mended."""
        ...

    def set_wrong_share(self, share: float) -> None:
        """This share of the chip's nonces is spoilt on its way out."""
        ...

    def wrap_chip(self, wrap: Callable[[UartChip], UartChip]) -> None:
        """Put something between the chip and the firmware, for good."""
        ...

    def chip_is_up(self) -> bool:
        """Powered, and not in reset."""
        ...

    def restart_bridge(self) -> None:
        """The MCU starts anew, its outputs as after power-up; no other part notices."""
        ...

    def lose_usb(self) -> bool:
        """The USB cable is out. Whether the MCU lived on it, and has stopped: its pins are driven by nobody then."""
        ...

    def power_cycle(self) -> None: ...


class Topic:
    """One group of faults. The first line of a topic's docstring is its heading in docs/faults.md."""

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        self.parts = dict(parts)
        """Name to address of what hangs on the I2C bus."""
        self._bench = bench
        self._seed = seed
        self._ramps: dict[str, int] = {}

    def _chance(self, name: str) -> random.Random:
        return random.Random(f"{self._seed}/{name}")

    def _end_all(self) -> None:
        """End every fault of this topic that a person could end. A topic calls the next one's."""

    def _ramp(self, what: str, now: float, target: float, over_s: float, put: Callable[[float], None]) -> None:
        """Put a value in steps that take `over_s` in all; 0: at once. A later ramp of the same thing replaces it."""
        turn = self._ramps[what] = self._ramps.get(what, 0) + 1
        steps = max(1, round(over_s / RAMP_STEP_S))
        begun_s = self._bench.now_s()

        def step(number: int) -> None:
            if self._ramps[what] != turn:
                return
            put(target if number == steps else now + (target - now) * number / steps)
            if number < steps:
                self._bench.at(begun_s + over_s * (number + 1) / steps, lambda: step(number + 1))

        if over_s <= 0.0:
            put(target)
        else:
            self._bench.at(begun_s + over_s / steps, lambda: step(1))
