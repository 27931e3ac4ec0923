"""Faults of supply, heat and fan: what happens around the chip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from emulator.faults.actions import action
from emulator.faults.arguments import Number, Off
from emulator.faults.topic import FaultyBench, Topic

Ohm = Annotated[float, Number(0.0, 10.0, "ohm")]
Volts = Annotated[float, Number(0.0, 30.0, "V")]
Celsius = Annotated[float, Number(-40.0, 150.0, "C")]
OverS = Annotated[float, Number(0.0, 86_400.0, "s")]


class PowerFaults(Topic):
    """Supply, heat and fan

    `over_s`: how long the change takes; 0 is at once. `off`: as the bench was built.
    """

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        super().__init__(bench, parts, seed)
        self._no_load_v: float | None = None
        self._dip_v = 0.0

    def _end_all(self) -> None:
        bench = self._bench
        bench.set_fan_stalled(False)
        bench.set_fan_health(1.0)
        self._ramp("heatsink", 1.0, 1.0, 0.0, bench.set_heatsink)
        self._ramp("source_ohm", 0.0, bench.built_source_ohm, 0.0, bench.set_source_ohm)
        self._ramps["dip"] = self._ramps.get("dip", 0) + 1
        self._dip_v = 0.0
        self._ramp("source_v", 0.0, bench.built_source_v, 0.0, self._put_source_v)
        bench.set_ambient_c(None)
        super()._end_all()

    @action("docs/safety.md 3: fan; ESP-Miner #564, braiins #83")
    def stall_fan(self, *, off: Off = False) -> None:
        """The rotor is blocked: no air, no tachometer pulses."""
        self._bench.set_fan_stalled(not off)

    @action("docs/safety.md 3: fan, below 30 % of expected")
    def degrade_fan(self, ratio: Annotated[float, Number(0.0, 1.0)] = 0.5, *, off: Off = False) -> None:
        """The fan reaches this share of the speed that its duty should give: dust, a worn bearing."""
        self._bench.set_fan_health(1.0 if off else ratio)

    @action("docs/safety.md 3: die; die to sink differs by 15 % from paste to paste")
    def loosen_heatsink(
        self, factor: Annotated[float, Number(0.1, 1000.0)] = 5.0, over_s: OverS = 0.0, *, off: Off = False
    ) -> None:
        """The resistance from die to sink is multiplied: a loose heatsink at once, or paste that dries over hours."""
        now = self._bench.heatsink_factor
        self._ramp("heatsink", now, 1.0 if off else factor, 0.0 if off else over_s, self._bench.set_heatsink)

    @action("a benchmark drove boards to 68.9 C on a hot day: Bitaxe-Hashrate-Benchmark #1")
    def ambient_c(self, celsius: Celsius = 40.0, *, off: Off = False) -> None:
        """The air is this warm."""
        self._bench.set_ambient_c(None if off else celsius)

    @action("0.4 ohm at 12 V: ESP-Miner-NerdQAxePlus #676; ESP-Miner #1188")
    def source_ohm(self, ohm: Ohm = 0.3, over_s: OverS = 0.0, *, off: Off = False) -> None:
        """The resistance of supply and cable. Below VIN_OFF the output goes off with STATUS_WORD 0840 and no latched
        bit."""
        bench = self._bench
        target = bench.built_source_ohm if off else ohm
        self._ramp("source_ohm", bench.source_ohm, target, 0.0 if off else over_s, bench.set_source_ohm)

    @action("ESP-Miner #1188, #1682; docs/safety.md 3: input voltage")
    def source_v(self, volts: Volts = 4.9, over_s: OverS = 0.0, *, off: Off = False) -> None:
        """The no-load voltage of the supply."""
        target = self._bench.built_source_v if off else volts
        self._ramp("source_v", self._no_load(), target, 0.0 if off else over_s, self._put_source_v)

    @action("ESP-Miner-NerdQAxePlus #676: the trace of a brown-out lasts a second and was missed")
    def dip(
        self,
        by_v: Annotated[float, Number(0.0, 30.0, "V")] = 1.5,
        for_s: Annotated[float, Number(0.0001, 60.0, "s")] = 0.02,
        *,
        off: Off = False,
    ) -> None:
        """The supply gives that much less, for so long: another load starts on the same brick."""
        turn = self._ramps["dip"] = self._ramps.get("dip", 0) + 1

        def over() -> None:
            if self._ramps["dip"] == turn:
                self._dip_to(0.0)

        self._dip_to(0.0 if off else by_v)
        if not off:
            self._bench.at(self._bench.now_s() + for_s, over)

    def _no_load(self) -> float:
        now_v = self._bench.source_v  # brings the bench to the present, and a ramp with it
        return now_v if self._no_load_v is None else self._no_load_v

    def _put_source_v(self, volts: float) -> None:
        self._no_load_v = volts
        self._bench.set_source_v(max(0.0, volts - self._dip_v))

    def _dip_to(self, by_v: float) -> None:
        volts = self._no_load()
        self._dip_v = by_v
        self._put_source_v(volts)
