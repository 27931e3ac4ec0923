"""A bench that nobody can buy: the parts of a Gamma behind bonanza-bridge, the firmware with a host lease.

Made to prove the lease, and not among `BENCHES`: no public board has this firmware where a host computer could speak to
it. Wiring, all of it made up: the 5 V pin of the bridge drives the EN pin of the regulator, its reset pin the chip, and
the fan turns as fast as the faster of its two masters wants, bridge or EMC2101.
"""

from __future__ import annotations

from typing import Any

from emulator.benches.bench import BenchSettings
from emulator.benches.bitaxe import BitaxeGamma, Firmware
from emulator.firmware.bonanza_bridge import BonanzaBridge
from emulator.parts import I2cBus

BOARD = "leased-gamma"


class LeasedGamma(BitaxeGamma):
    """The bench. Its bridge is `bridge`."""

    board = BOARD
    dialects = ("B",)

    def __init__(self, settings: BenchSettings | None = None) -> None:
        self._forced_fan = 0.0
        super().__init__(settings)

    def _make_firmware(self) -> Firmware:
        bus = I2cBus(self.targets, self.faults.bus)
        self.bridge = BonanzaBridge(bus, self, self.faults, self)
        return self.bridge

    def _power_up(self, at_s: float) -> None:
        self.regulator.enable_pin = False
        super()._power_up(at_s)

    def truth(self, at_s: float) -> dict[str, Any]:
        """As of a Gamma; `fan_duty` is what the fan really gets. `lease_left_s` is 0 without a lease."""
        truth = super().truth(at_s)
        status = self.bridge.policy.status(at_s)
        return truth | {
            "fan_duty": max(self.fan.duty, self._forced_fan),
            "lease": status.state.name.lower(),
            "lease_left_s": status.lease_left_ms / 1000,
            "bridge_fault": status.fault.name.lower(),
        }

    # --- the pins of the bridge

    def set_five_volt(self, on: bool, at_s: float) -> None:
        self.plant.advance(at_s)
        if on != self.regulator.enable_pin:
            self._note(at_s, "5 V on" if on else "5 V off", "")
        self.regulator.set_enable_pin(on, at_s)

    def set_reset(self, asserted: bool, at_s: float) -> None:
        self._set_reset(asserted, at_s)

    def set_forced_fan(self, percent: int, at_s: float) -> None:
        if percent / 100 != self._forced_fan:
            self._forced_fan = percent / 100
            self._drive_fan(self.fan.duty, at_s)

    def fan_rpm(self, at_s: float) -> float:
        self.plant.advance(at_s)
        return self.plant.rpm

    def trip_input(self, tripped: bool, at_s: float) -> None:
        """The chips' own trip line, to the bridge."""
        self.advance(at_s)
        self.bridge.set_trip_input(tripped, at_s)

    def bring(self, at_s: float) -> None:
        self.plant.advance(at_s)

    def _drive_fan(self, duty: float, at_s: float) -> None:
        super()._drive_fan(max(duty, self._forced_fan), at_s)
