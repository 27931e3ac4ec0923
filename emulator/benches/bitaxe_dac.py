"""Bitaxes whose core rail is a TPS40305 with a DS4432U, and whose input goes through an INA260: Max, Ultra 0.11 to
205, Supra 400 and 401.

ESP-Miner `main/device_config.h` (parts, addresses), `main/power`; taken to be wired to bitaxe-raw as a Gamma is [inf].
The ASIC_ENABLE pin of the regulator is driven by no bridge, and whether the board pulls it up or down is not public: up
here, which is the worse of both [A]. The rail is there as soon as the supply is, at 1.458 V. The EMC2101 of a
Max reads the diode of the chip. The others have none; theirs tells its own temperature, which is 5 C below the die, the
offset that ESP-Miner adds [A].
"""

from __future__ import annotations

from typing import Any, Final

from emulator.benches.bitaxe import Bitaxe
from emulator.faults.topic import Tap
from emulator.parts import I2cTarget
from emulator.parts.ds4432u import BITAXE, BITAXE_FULL_SCALE_OHM, Ds4432u
from emulator.parts.emc2101 import Emc2101, Surroundings
from emulator.parts.ina260 import Ina260, Line
from emulator.parts.tps546 import RailState
from emulator.parts.tps40305 import Tps40305
from emulator.units import MAX, SUPRA_DAC, ULTRA_DAC

BELOW_DIE_C: Final = 5.0


class DacRail:
    """Regulator, DAC and meter, as a bench has a regulator."""

    stores = 0
    first_temperature_quirk = False

    def __init__(self, bench: Bitaxe, seed: int, buck: Tps40305, full_scale_ohm: float) -> None:
        self._bench = bench
        self.buck = buck
        self.dac = Ds4432u(drive=self._steer, full_scale_ohm=(full_scale_ohm, full_scale_ohm))
        self.meter = Ina260(look=self._line, seed=seed)

    @property
    def set_v(self) -> float:
        return self.buck.set_v

    @property
    def tap(self) -> Tap | None:
        return self.meter.tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self.meter.tap = tap

    def power_up(self, at_s: float) -> None:
        self.meter.power_up(at_s)
        self.dac.power_up(at_s)
        self.buck.power_up(self._bench.plant.input_v(at_s), at_s)

    def supervise(self, at_s: float, state: RailState) -> None:
        self.buck.supervise(state.input_v, at_s)

    def set_regulation_error(self, volts: float, at_s: float) -> None:
        self.buck.set_regulation_error(volts, at_s)

    def trip(self, at_s: float) -> None:
        self.buck.trip(at_s)

    def release(self, at_s: float) -> None:
        self.buck.release(self._bench.plant.input_v(at_s), at_s)

    def _steer(self, output: int, sourced_a: float, at_s: float) -> None:
        if output == 0:
            self.buck.steer(sourced_a, at_s)

    def _line(self, at_s: float) -> Line:
        plant = self._bench.plant
        plant.advance(at_s)
        input_v = plant.input_v(at_s)
        return Line(input_v, plant.input_w / input_v if input_v > 0.0 else 0.0)


class _WithDac(Bitaxe):
    def _make_regulator(self) -> DacRail:
        buck = Tps40305(BITAXE, drive=self._drive_rail)
        return DacRail(self, self.settings.seed, buck, BITAXE_FULL_SCALE_OHM)

    def _rail_targets(self) -> tuple[I2cTarget, ...]:
        return (self.regulator.dac, self.regulator.meter)

    def _parts(self) -> dict[str, int]:
        dac, meter = self._rail_targets()
        return {"ds4432u": dac.address, "ina260": meter.address, "emc2101": self.fan.address}


class BitaxeMax(_WithDac):
    """2.2 and 102."""

    board = "bitaxe-max"
    chip_name = "BM1397"
    unit = MAX


class _WithoutDiode(_WithDac):
    def _surroundings(self) -> Surroundings:
        plant = self.plant
        return Surroundings(plant.die_of_c(0), plant.die_of_c(0) - BELOW_DIE_C, plant.rpm)

    def _make_cooling(self) -> tuple[Any, ...]:
        return (
            Emc2101(
                look=self._look,
                drive=self._drive_fan,
                seed=self.settings.seed,
                product=self.settings.fan_controller,
                below_die_c=BELOW_DIE_C,
            ),
        )


class BitaxeUltraDac(_WithoutDiode):
    """0.11, 201, 202, 203, 204 and 205."""

    board = "bitaxe-ultra-205"
    chip_name = "BM1366"
    unit = ULTRA_DAC


class BitaxeSupraDac(_WithoutDiode):
    """400 and 401."""

    board = "bitaxe-supra-401"
    chip_name = "BM1368"
    unit = SUPRA_DAC
