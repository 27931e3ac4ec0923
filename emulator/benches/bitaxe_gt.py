"""Bitaxe GT 801: two BM1370 on one rail, 12 V, an EMC2103 with a diode in each chip. The two regulators are one here.

ESP-Miner `main/device_config.h`, `main/thermal/EMC2103.c` (it swaps the diodes: the first is in the second chip); taken
to be wired to bitaxe-raw as a Gamma is [inf].
"""

from __future__ import annotations

from typing import Any

from emulator.benches.bitaxe import Bitaxe
from emulator.parts.emc2103 import Emc2103
from emulator.units import GT


class BitaxeGt(Bitaxe):
    board = "bitaxe-gt"
    chip_name = "BM1370"
    chip_count = 2
    unit = GT

    def _make_cooling(self) -> tuple[Any, ...]:
        return (Emc2103(look=self._dies, drive=self._drive_fan, seed=self.settings.seed),)

    def _parts(self) -> dict[str, int]:
        return {"tps546": self.regulator.address, "emc2103": self.fan.address}

    def _dies(self, at_s: float) -> tuple[float, float, float, float]:
        plant = self.plant
        plant.advance(at_s)
        return plant.die_of_c(1), plant.die_of_c(0), (plant.vr_c + plant.ambient_c) / 2, plant.rpm

    def _tick_cooling(self, at_s: float) -> None:
        """Nothing here acts by itself."""
