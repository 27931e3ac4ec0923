"""Mining chips: facts and bring-up lists, one file a chip. A new chip is a file and a row of `ASICS`."""

from __future__ import annotations

from typing import Final

from drivers.asics.bm1370 import BM1370
from drivers.asics.kind import AsicKind

ASICS: Final[dict[str, AsicKind]] = {BM1370.name: BM1370}

__all__ = ["ASICS", "AsicKind"]
