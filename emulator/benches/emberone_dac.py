"""EmberOne00 v2, v3 and v4 on their benches: an LM25119 on PWR_EN that a DS4432U trims, an INA260 at the input, and
two TMP1075 (v2, v3) or a TMP451 beside one (v4).

256-Foundation/emberone00-pcb, branches v2, v3, v4: R11 at FS0 of the DAC is 80.6 kohm on a v2 and 39 kohm since; VDD is
halved in front of the ADC; MCU, DAC, meter and thermometers hang on the USB cable, as do the supplies of the chips'
IO. Where a TMP1075 sits is not said: each is near six of the chips, 10 C below their dies, as on a Hex [A]; that of a
v4 is near all of them. What nobody drives is low: the LM25119 is off [A].
"""

from __future__ import annotations

from typing import Any, Final

from drivers.units import Volts
from emulator.benches.bitaxe_dac import DacRail
from emulator.benches.bitaxe_hex import BELOW_DIE_C, Near
from emulator.benches.emberone import CHIPS, THERMOMETER, EmberOne00, FreeFan
from emulator.faults.topic import Tap
from emulator.parts import I2cTarget
from emulator.parts.ds4432u import EMBERONE, EMBERONE_FULL_SCALE_OHM, EMBERONE_V2_FULL_SCALE_OHM
from emulator.parts.lm25119 import Lm25119
from emulator.parts.tmp1075 import Tmp1075
from emulator.units import EMBERONE_DAC

THERMOMETERS: Final = (0x4A, 0x4B)


class _WithDac(EmberOne00):
    unit = EMBERONE_DAC
    full_scale_ohm = EMBERONE_FULL_SCALE_OHM

    def _make_regulator(self) -> DacRail:
        self.buck = Lm25119(EMBERONE, drive=self._drive_rail)
        return DacRail(self, self.settings.seed, self.buck, self.full_scale_ohm)

    def _rail_targets(self) -> tuple[I2cTarget, ...]:
        return (self.regulator.dac, self.regulator.meter)

    def _dac_and_meter(self) -> dict[str, int]:
        dac, meter = self._rail_targets()
        return {"ds4432u": dac.address, "ina260": meter.address}

    def _drive_pin(self, pin: str, high: bool | None, at_s: float) -> None:
        """IO_PWR_EN goes nowhere."""
        if pin == "PWR_EN":
            self.buck.set_enable_pin(bool(high), self.plant.input_v(at_s), at_s)
        elif pin == "ASIC_RESETN":
            self._set_reset(not high, at_s)

    def _adc_pin_v(self, channel: str, at_s: float) -> Volts:
        """VIN is not wired [A: it reads nothing]."""
        return Volts(self.plant.core_v(at_s) / 2 if channel == "VDD" else 0.0)

    def _power_up(self, at_s: float) -> None:
        self.regulator.power_up(at_s)
        self.firmware.power_up(at_s)
        self._wake_thermometers(at_s)
        self.plant.set_fan_duty(1.0, at_s)

    def _wake_thermometers(self, at_s: float) -> None:
        for part in self._cooling_targets():
            part.power_up(at_s)

    def _cooling_targets(self, *parts: Any) -> tuple[Any, ...]:
        return (self.thermometer,)

    def lose_usb(self) -> bool:
        """DAC, meter and thermometers lose their supply with the MCU."""
        lost = super().lose_usb()
        at_s = self.now_s()
        self.regulator.dac.power_up(at_s)
        self.regulator.meter.power_up(at_s)
        self._wake_thermometers(at_s)
        return lost


class _OnTheBoard(_WithDac):
    """No die is read."""

    def _make_cooling(self) -> tuple[Any, ...]:
        half = CHIPS // 2
        self.thermometers = tuple(
            Tmp1075(look=Near(self, range(half * at, half * at + half)), seed=self.settings.seed, address=address)
            for at, address in enumerate(THERMOMETERS)
        )
        return (FreeFan(), *self.thermometers)

    def _cooling_targets(self, *parts: Any) -> tuple[Any, ...]:
        return self.thermometers

    def _parts(self) -> dict[str, int]:
        names = {f"tmp1075_{name}": part.address for name, part in zip("ab", self.thermometers, strict=True)}
        return self._dac_and_meter() | names

    def set_tap(self, tap: Tap | None) -> None:
        self.regulator.tap = tap
        for thermometer in self.thermometers:
            thermometer.tap = None if tap is None else lambda c: tap("chip_c", c + BELOW_DIE_C) - BELOW_DIE_C

    def set_diode(self, state: str) -> None:
        """It has none: what breaks is the wire of the first thermometer."""
        self.thermometers[0].off_the_bus = state != "ok"


class EmberOne00V2(_OnTheBoard):
    board = "emberone00-v2"
    full_scale_ohm = EMBERONE_V2_FULL_SCALE_OHM


class EmberOne00V3(_OnTheBoard):
    board = "emberone00-v3"


class EmberOne00V4(_WithDac):
    board = "emberone00-v4"

    def _make_cooling(self) -> tuple[Any, ...]:
        self.near = Tmp1075(look=Near(self, range(CHIPS)), seed=self.settings.seed, address=THERMOMETERS[0])
        return super()._make_cooling()

    def _cooling_targets(self, *parts: Any) -> tuple[Any, ...]:
        return (self.thermometer, self.near)

    def _parts(self) -> dict[str, int]:
        return self._dac_and_meter() | {"tmp451": THERMOMETER}
