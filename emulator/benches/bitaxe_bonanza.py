"""Bitaxe Bonanza as far as its bridge goes: the firmware of both MCUs, the pins, and a fan.

Its chip, a BZM2, is another family and is not here: the data port is silent. Neither are the parts on its I2C bus, of
which no source was read: nobody answers. Not among `BENCHES`, which are the boards that are driven.
"""

from __future__ import annotations

from typing import Any

from drivers.units import Volts
from emulator.benches.bitaxe import Firmware
from emulator.benches.leased_gamma import LeasedGamma
from emulator.device import Burst
from emulator.firmware.bitaxe_bonanza import BitaxeBonanza as BothFirmwares
from emulator.parts import I2cBus

BOARD = "bitaxe-bonanza"


class _Mute:
    """A chip that says nothing."""

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        """Heard by nobody."""

    def transmit(self, at_s: float) -> list[Burst]:
        return []

    def wakes_at(self) -> float | None:
        return None


class BitaxeBonanza(LeasedGamma):
    """The bench. What hangs on the 5 V and on VR_EN is not emulated; PGOOD follows VR_EN [A]."""

    board = BOARD

    def _make_firmware(self) -> Firmware:
        self.five_volt = self.regulator_on = False
        firmware = BothFirmwares(
            self._bus(),
            _Mute(),
            self.faults,
            self,
            drive=self._drive_pin,
            pin_v=lambda channel, at_s: Volts(0.0),
            sense=lambda pin, at_s: self.regulator_on,
        )
        self.bridge = firmware.rp2040
        return firmware

    def _bus(self) -> I2cBus:
        return I2cBus((), self.faults.bus)

    def truth(self, at_s: float) -> dict[str, Any]:
        """As of every bench; `five_volt` and `regulator_on` are pins."""
        pins = {"five_volt": self.five_volt, "regulator_on": self.regulator_on}
        return super().truth(at_s) | pins | {"fan_duty": self._forced_fan}

    def set_five_volt(self, on: bool, at_s: float) -> None:
        if on != self.five_volt:
            self.five_volt = on
            self._note(at_s, "5 V on" if on else "5 V off", "")

    def _drive_pin(self, pin: str, high: bool | None, at_s: float) -> None:
        """VR_EN alone: the others are the RP2040's."""
        self.regulator_on = bool(high)

    def _drive_fan(self, duty: float, at_s: float) -> None:
        """The fan has one master, the bridge."""
        super()._drive_fan(0.0, at_s)
