"""EmberOne00 v5 and v6 on its bench: twelve BM1362 in series, a TPS546 at 24 [inf], a TMP451 at 49, no fan on the bus.

256-Foundation/emberone00-pcb (v5, v6 schematics), emberone-usbserial-fw (pins). The diode is that of chip 0 and reads
true [A]. Without IO_PWR_EN the chips are as if they were in reset [A]; the thermometer and the regulator have their own
supply [A]. A fan runs at full by itself.
"""

from __future__ import annotations

from typing import Any, Final

from drivers.units import Volts
from emulator.benches.bitaxe import Bitaxe, Firmware
from emulator.faults.topic import Tap
from emulator.firmware.bitaxe_raw import BitaxeRaw
from emulator.firmware.profiles import emberone
from emulator.parts import I2cBus, I2cTarget
from emulator.parts.tmp451 import Tmp451, Warmth
from emulator.units import EMBERONE

THERMOMETER: Final = 0x49
CHIPS: Final = 12


class FreeFan:
    """A fan that nobody on the bus has anything to do with."""

    duty = 1.0
    table_active = False
    tach_lost = False
    tap: Tap | None = None
    diode = "ok"


class EmberOne00(Bitaxe):
    board = "emberone00"
    chip_name = "BM1362"
    chip_count = CHIPS
    unit = EMBERONE
    dialects = ("A", "C")  # main, and from 5.1.0 on, which is not merged

    def __init__(self, settings: Any = None) -> None:
        self._resetn = self._io_on = False
        super().__init__(settings)

    def _make_cooling(self) -> tuple[Any, ...]:
        self.thermometer = Tmp451(look=self._warmth, seed=self.settings.seed, address=THERMOMETER)
        return (FreeFan(), self.thermometer)

    def _cooling_targets(self, *parts: Any) -> tuple[I2cTarget, ...]:
        return (self.thermometer,)

    def _parts(self) -> dict[str, int]:
        return {"tps546": self.regulator.address, "tmp451": THERMOMETER}

    def _make_firmware(self) -> Firmware:
        bus, profile = I2cBus(self.targets, self.faults.bus), emberone(dialect=self.dialect)
        return BitaxeRaw(bus, self, self.faults, drive=self._drive_pin, pin_v=self._adc_pin_v, profile=profile)

    def _warmth(self, at_s: float) -> Warmth:
        self.plant.advance(at_s)
        plant = self.plant
        return Warmth((plant.sink_c + plant.ambient_c) / 2, plant.die_of_c(0))

    def _drive_pin(self, pin: str, high: bool | None, at_s: float) -> None:
        if pin == "PWR_EN":
            self.regulator.set_enable_pin(bool(high), at_s)
            return
        if pin == "ASIC_RESETN":
            self._resetn = bool(high)
        elif pin == "IO_PWR_EN":
            self._io_on = bool(high)
        self._set_reset(not (self._resetn and self._io_on), at_s)

    def _adc_pin_v(self, channel: str, at_s: float) -> Volts:
        """VDD through two resistors of 100 k, as on v4 [inf]; the divider of VIN is not known: a seventh [A]."""
        if channel == "VDD":
            return Volts(self.plant.core_v(at_s) / 2)
        return Volts(self.plant.input_v(at_s) / 7)

    def _tick_cooling(self, at_s: float) -> None:
        """Nothing here acts by itself."""

    def _diode_disturbed(self, at_s: float) -> None:
        """Not seen on this part."""

    def _power_up(self, at_s: float) -> None:
        self.regulator.enable_pin = False
        self.regulator.power_up(at_s)
        self.firmware.power_up(at_s)
        self.thermometer.power_up(at_s)
        self.plant.set_fan_duty(1.0, at_s)

    def set_tap(self, tap: Tap | None) -> None:
        self.regulator.tap = self.thermometer.tap = tap

    def set_diode(self, state: str) -> None:
        self.thermometer.diode = state
