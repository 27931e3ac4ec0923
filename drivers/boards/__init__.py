"""Boards: which parts, in which order. A new board is a file and a row of `BOARDS`, then `make udev`."""

from __future__ import annotations

from typing import Final

from drivers.boards.bitaxe_dac import BITAXE_MAX, BITAXE_SUPRA_401, BITAXE_ULTRA_205
from drivers.boards.bitaxe_gamma import BITAXE_GAMMA
from drivers.boards.bitaxe_gamma_duo import BITAXE_GAMMA_DUO
from drivers.boards.bitaxe_gt import BITAXE_GT
from drivers.boards.bitaxe_hex import BITAXE_HEX, BITAXE_SUPRA_HEX
from drivers.boards.bitaxe_supra import BITAXE_SUPRA
from drivers.boards.bitaxe_ultra import BITAXE_ULTRA_207
from drivers.boards.board import BoardKind
from drivers.boards.bridge_alone import BRIDGES_ALONE
from drivers.boards.emberone import EMBERONE00
from drivers.boards.emberone_dac import EMBERONE00_V2, EMBERONE00_V3, EMBERONE00_V4
from drivers.errors import UnknownPart, one_of

_KINDS: Final = (
    BITAXE_GAMMA,
    BITAXE_GAMMA_DUO,
    BITAXE_GT,
    BITAXE_HEX,
    BITAXE_MAX,
    BITAXE_SUPRA,
    BITAXE_SUPRA_401,
    BITAXE_SUPRA_HEX,
    BITAXE_ULTRA_205,
    BITAXE_ULTRA_207,
    EMBERONE00,
    EMBERONE00_V2,
    EMBERONE00_V3,
    EMBERONE00_V4,
)

BOARDS: Final[dict[str, BoardKind]] = {kind.name: kind for kind in _KINDS}


def known_board(name: str, key: str = "board") -> str:
    """The name itself. `UnknownPart` lists the names that there are, or says why a board is none of them."""
    if name in BRIDGES_ALONE:
        raise UnknownPart(key, name, f"a board whose chip is driven; {BRIDGES_ALONE[name].refusal}")
    if name not in BOARDS:
        raise UnknownPart(key, name, one_of(sorted(BOARDS), name))
    return name


__all__ = ["BOARDS", "BoardKind", "known_board"]
