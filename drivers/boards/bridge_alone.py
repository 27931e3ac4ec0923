"""Boards whose bridge can be talked to, and whose chips are of a family that is not driven: named, never energised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.boards.board import UsbMatch
from drivers.bridges.firmware import BITAXE_BONANZA, BridgeFirmware


@dataclass(frozen=True, slots=True)
class BridgeAlone:
    """One such board."""

    name: str
    title: str
    chip: str
    firmware: BridgeFirmware
    match: UsbMatch

    @property
    def refusal(self) -> str:
        """Why it is no board here, and what is left of it."""
        return f"the {self.chip} of a {self.title} is not driven, its bridge alone is: hashbridge bridge"


# bitaxeorg/bitaxe-raw 140cd33 src/main.rs; board 1002 of bonanza-bridge-fw, magic `BZM-BRIDGE-FW`.
BITAXE_BONANZA_BOARD: Final = BridgeAlone(
    name="bitaxe-bonanza",
    title="Bitaxe Bonanza",
    chip="BZM2",
    firmware=BITAXE_BONANZA,
    match=UsbMatch(0xC0DE, 0xCAFE, "OSMU", "BitaxeBonanza"),
)

BRIDGES_ALONE: Final[dict[str, BridgeAlone]] = {BITAXE_BONANZA_BOARD.name: BITAXE_BONANZA_BOARD}
