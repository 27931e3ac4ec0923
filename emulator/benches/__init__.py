"""The emulated boards, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from emulator.benches.bench import Actuation, Bench, BenchSettings
from emulator.benches.bitaxe import BitaxeGamma, BitaxeGammaDuo, BitaxeSupra, BitaxeUltra
from emulator.benches.bitaxe_bonanza import BitaxeBonanza
from emulator.benches.bitaxe_dac import BitaxeMax, BitaxeSupraDac, BitaxeUltraDac
from emulator.benches.bitaxe_gt import BitaxeGt
from emulator.benches.bitaxe_hex import BitaxeHex, BitaxeSupraHex
from emulator.benches.emberone import EmberOne00
from emulator.benches.emberone_dac import EmberOne00V2, EmberOne00V3, EmberOne00V4

_KINDS: Final = (
    BitaxeGamma,
    BitaxeGammaDuo,
    BitaxeGt,
    BitaxeHex,
    BitaxeMax,
    BitaxeSupra,
    BitaxeSupraDac,
    BitaxeSupraHex,
    BitaxeUltra,
    BitaxeUltraDac,
    EmberOne00,
    EmberOne00V2,
    EmberOne00V3,
    EmberOne00V4,
)

BENCHES: Final[Mapping[str, Callable[[BenchSettings], Bench]]] = {bench.board: bench for bench in _KINDS}

BRIDGES_ALONE: Final[Mapping[str, Callable[[BenchSettings], Bench]]] = {BitaxeBonanza.board: BitaxeBonanza}
"""Boards of which the bridge alone is emulated: no driver powers them up."""

DIALECTS: Final[Mapping[str, tuple[str, ...]]] = {bench.board: bench.dialects for bench in (*_KINDS, BitaxeBonanza)}
"""In which the bridge of a bench can be had, the usual one first."""

__all__ = ["BENCHES", "BRIDGES_ALONE", "DIALECTS", "Actuation", "Bench", "BenchSettings"]
