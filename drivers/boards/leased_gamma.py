"""A Gamma behind bonanza-bridge, the firmware with a host lease: emulated only, unverified on hardware.

Not among `BOARDS`, because nobody can buy it: bonanza-bridge sits behind another MCU, where no host computer speaks to
it. It is here so that the lease has been driven, byte for byte, by the time that a board with one can be had. Wired as
`emulator/benches/leased_gamma.py` is: pin 1 drives the regulator's EN pin, pin 2 the reset of the chip.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.asics.chain import Chain
from drivers.boards import five_volt
from drivers.boards.bitaxe import Bitaxe, open_ports
from drivers.boards.bitaxe_gamma import BITAXE_GAMMA, PARTS
from drivers.boards.bitaxe_safe_off import Wiring
from drivers.boards.board import Attached, BoardKind
from drivers.boards.rails import of_tps546
from drivers.bridges.bitaxe_raw import BitaxeRawBridge
from drivers.bridges.bonanza import BonanzaLease
from drivers.traits import Transport

_WIRING: Final = Wiring(dialect="B", reset_pin=2, rail_pin=1)
_PARTS: Final = replace(
    PARTS,
    rail=of_tps546(replace(five_volt.regulator(BITAXE_GAMMA.envelope), on_off_config=0x1F)),
    wiring=_WIRING,
)


class LeasedGamma(Bitaxe):
    """A `Board` with a lease. Made by `open_board`."""

    lease: BonanzaLease

    def __init__(self, kind: BoardKind, bridge: BitaxeRawBridge, chain: Chain) -> None:
        super().__init__(kind, _PARTS, bridge, chain)
        self.lease = BonanzaLease(bridge)

    def replace_control(self, control: Transport) -> None:
        super().replace_control(control)
        self.lease = BonanzaLease(self.bridge)

    async def _firmware(self) -> str:
        info = await self.lease.firmware()
        return f"bonanza-bridge {info.version}, protocol {info.major}.{info.minor}, reply dialect B"


async def open_board(attached: Attached) -> LeasedGamma:
    return LeasedGamma(LEASED_GAMMA, *open_ports(attached, LEASED_GAMMA.chip, _WIRING))


LEASED_GAMMA: Final = replace(
    BITAXE_GAMMA,
    name="leased-gamma",
    title="Gamma with a host lease (emulated only)",
    matches=(),
    safe_off_recipe=_PARTS.safe_off().recipe(),
    open=open_board,
    dialect=_WIRING.dialect,
)
