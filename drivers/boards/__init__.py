"""Boards: which parts, in which order. A new board is a file and a row of `BOARDS`, then `make udev`."""

from __future__ import annotations

from typing import Final

from drivers.boards.bitaxe_gamma import BITAXE_GAMMA
from drivers.boards.board import BoardKind

BOARDS: Final[dict[str, BoardKind]] = {BITAXE_GAMMA.name: BITAXE_GAMMA}

__all__ = ["BOARDS", "BoardKind"]
