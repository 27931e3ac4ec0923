"""Mining chips: facts and bring-up lists, one file a chip. A new chip is a file and a row of `ASICS`."""

from __future__ import annotations

from typing import Final

from drivers.asics.bm1362 import BM1362
from drivers.asics.bm1366 import BM1366
from drivers.asics.bm1368 import BM1368
from drivers.asics.bm1370 import BM1370
from drivers.asics.bm1397 import BM1397
from drivers.asics.kind import AsicKind

_CHIPS: Final = (
    BM1362,
    BM1366,
    BM1368,
    BM1370,
    BM1397,
)

ASICS: Final[dict[str, AsicKind]] = {chip.name: chip for chip in _CHIPS}

__all__ = ["ASICS", "AsicKind"]
