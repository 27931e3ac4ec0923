"""The chips that can be emulated, one file each: a `MODEL` (registers, cores) and a `UNIT` (power, heat, yield).

The emulator's own tables: they share nothing with the drivers, so that the two can disagree. A new chip is a file and a
row of `CHIPS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emulator.chips import bm1362, bm1366, bm1368, bm1370, bm1397
from emulator.physics import PlantSettings
from emulator.silicon.model import ChipModel

CHIPS: Final = (
    bm1362,
    bm1366,
    bm1368,
    bm1370,
    bm1397,
)

MODELS: Final[Mapping[str, ChipModel]] = {chip.MODEL.name: chip.MODEL for chip in CHIPS}
UNITS: Final[Mapping[str, PlantSettings]] = {chip.MODEL.name: chip.UNIT for chip in CHIPS}
"""By the name of the chip."""

__all__ = ["CHIPS", "MODELS", "UNITS"]
