"""Bitaxe Hex and Supra Hex: six chips in three domains on one rail of 12 V, an EMC2302 and two TMP1075.

ESP-Miner `main/device_config.h` (parts, addresses, order of the chips), `main/thermal`; taken to be wired to bitaxe-raw
as a Gamma is [inf]. Where the thermometers sit is not public: each is near three of the chips, 10 C below their dies,
which is the offset that ESP-Miner adds [A].
"""

from __future__ import annotations

from typing import Any, Final

from emulator.benches.bitaxe import Bitaxe
from emulator.faults.topic import Tap
from emulator.parts.emc230x import Emc230x
from emulator.parts.tmp1075 import Tmp1075
from emulator.units import HEX, SUPRA_HEX

BELOW_DIE_C: Final = 10.0
FAN_ADDRESS: Final = 0x2F
THERMOMETERS: Final = (0x4A, 0x4B)
CHIPS: Final = 6


class Near:
    """What a thermometer on the board near these chips feels."""

    def __init__(self, bench: Bitaxe, chips: range) -> None:
        self._bench, self._chips = bench, chips

    def __call__(self, at_s: float) -> float:
        plant = self._bench.plant
        plant.advance(at_s)
        return sum(plant.die_of_c(chip) for chip in self._chips) / len(self._chips) - BELOW_DIE_C


class _SixChips(Bitaxe):
    chip_count = CHIPS

    def _make_cooling(self) -> tuple[Any, ...]:
        seed = self.settings.seed
        fan = Emc230x(look=self._fan_rpm, drive=self._drive_fan, seed=seed, product="EMC2302", address=FAN_ADDRESS)
        half = CHIPS // 2
        self.thermometers = tuple(
            Tmp1075(look=Near(self, range(half * at, half * at + half)), seed=seed, address=address)
            for at, address in enumerate(THERMOMETERS)
        )
        return (fan, *self.thermometers)

    def _parts(self) -> dict[str, int]:
        names = {f"tmp1075_{name}": part.address for name, part in zip("ab", self.thermometers, strict=True)}
        return {"tps546": self.regulator.address, "emc2302": self.fan.address, **names}

    def _fan_rpm(self, at_s: float) -> float:
        self.plant.advance(at_s)
        return self.plant.rpm

    def _tick_cooling(self, at_s: float) -> None:
        """Nothing here acts by itself."""

    def _diode_disturbed(self, at_s: float) -> None:
        """Its thermometers are on the board, and no chip disturbs them."""

    def _power_up(self, at_s: float) -> None:
        super()._power_up(at_s)
        for thermometer in self.thermometers:
            thermometer.power_up()

    def set_tap(self, tap: Tap | None) -> None:
        self.regulator.tap = self.fan.tap = tap
        for thermometer in self.thermometers:
            thermometer.tap = None if tap is None else lambda c: tap("chip_c", c + BELOW_DIE_C) - BELOW_DIE_C

    def set_diode(self, state: str) -> None:
        """It has none: what breaks is the wire of the first thermometer."""
        self.thermometers[0].off_the_bus = state != "ok"


class BitaxeHex(_SixChips):
    """302 and 303."""

    board = "bitaxe-hex"
    chip_name = "BM1366"
    unit = HEX


class BitaxeSupraHex(_SixChips):
    """701 and 702."""

    board = "bitaxe-supra-hex"
    chip_name = "BM1368"
    unit = SUPRA_HEX
