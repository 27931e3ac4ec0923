"""What a part does by itself once it is programmed, for the table of protections: no host, no bridge, no sentinel."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.boards.board import Channel
from drivers.peripherals.tps546 import Profile


def of_tps546(p: Profile) -> Mapping[Channel, str]:
    """Of the limits that the lock-down writes and reads back. Every response is off and latched."""
    return {
        Channel.CORE_V: (
            f"TPS546 never gives more than {p.vout_max_v:.3f} V; off above {100 * p.ov_fault_ratio:.0f} % of its "
            f"command and below {100 * p.uv_fault_ratio:.0f} %"
        ),
        Channel.CORE_A: f"TPS546 off above {p.oc_fault_a:g} A",
        Channel.INPUT_V: f"TPS546 off below {p.vin_off_v:g} V and above {p.vin_ov_v:g} V",
        Channel.VR_C: f"TPS546 off above {p.ot_fault_c:g} C",
    }
