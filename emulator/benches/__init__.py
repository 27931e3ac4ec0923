"""The emulated boards, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from emulator.benches.bench import Actuation, Bench, BenchSettings
from emulator.benches.bitaxe_gamma import BitaxeGamma

BENCHES: Final[Mapping[str, Callable[[BenchSettings], Bench]]] = {
    BitaxeGamma.board: BitaxeGamma,
}

__all__ = ["BENCHES", "Actuation", "Bench", "BenchSettings"]
