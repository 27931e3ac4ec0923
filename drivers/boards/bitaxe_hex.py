"""Bitaxe Hex 302, 303 (six BM1366) and Supra Hex 701, 702 (six BM1368): 12 V, three domains. Driven as `bitaxe.py`
says.

Emulated only. Not verified: that bitaxe-raw wires its pins as on a Gamma; the switching frequency of the regulator;
where the two thermometers sit. The temperature of the chips is reckoned from the board's, as AxeOS reckons it.
"""

from __future__ import annotations

from typing import Final

from drivers.boards import twelve_volt
from drivers.boards.bitaxe import Parts, row
from drivers.boards.board import BoardKind, PowerLaw, Span
from drivers.boards.rails import of_tps546

_UNSWITCHABLE: Final = ("the 12 V input", "the supply of fan and bridge")
_HEX: Final = twelve_volt.envelope(
    stock=(1.200, 485.0),
    core_v=Span(1.100, 1.300),
    frequency_mhz=Span(400.0, 575.0),
    hard=(1.350, 625.0),
    power_w=(75.0, 90.0),
)
_SUPRA_HEX: Final = twelve_volt.envelope(
    stock=(1.166, 490.0),
    core_v=Span(1.100, 1.300),
    frequency_mhz=Span(400.0, 575.0),
    hard=(1.350, 650.0),
    power_w=(100.0, 120.0),
)

BITAXE_HEX: Final[BoardKind] = row(
    name="bitaxe-hex",
    title="Bitaxe Hex 302, 303 (6 x BM1366)",
    chip="BM1366",
    chips=twelve_volt.CHIPS,
    envelope=_HEX,
    plausibility=twelve_volt.plausibility(PowerLaw(k_w_per_v2_mhz=0.0120, alpha_per_k=0.007)),
    parts=Parts(
        rail=of_tps546(twelve_volt.regulator(_HEX), domains=twelve_volt.DOMAINS, power_offset_w=12.0),
        cooling=twelve_volt.cooling(),
    ),
    unswitchable=_UNSWITCHABLE,
)
BITAXE_SUPRA_HEX: Final[BoardKind] = row(
    name="bitaxe-supra-hex",
    title="Bitaxe Supra Hex 701, 702 (6 x BM1368)",
    chip="BM1368",
    chips=twelve_volt.CHIPS,
    envelope=_SUPRA_HEX,
    plausibility=twelve_volt.plausibility(PowerLaw(k_w_per_v2_mhz=0.0145, alpha_per_k=0.007)),
    parts=Parts(
        rail=of_tps546(twelve_volt.regulator(_SUPRA_HEX), domains=twelve_volt.DOMAINS, power_offset_w=25.0),
        cooling=twelve_volt.cooling(),
    ),
    unswitchable=_UNSWITCHABLE,
)
