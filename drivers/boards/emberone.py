"""EmberOne00 v5 and v6: twelve BM1362 in series on one rail, 12 V. Driven as `bitaxe.py` says, behind
emberone-usbserial-fw: PWR_EN drives the EN pin of the TPS546, IO_PWR_EN the supply of the chips' IO.

Core volts are those of a chip; the rail carries twelve times as much. The reset pin of this firmware is **high** after
power-up; a rig asserts it first. One chip of twelve has a diode that is read; nothing on the bus has to do with a fan,
so one has to run by itself. The TMP451 is left without mujina's offset of -7 C: it reads rather too warm than too cold.

Emulated only, and much of it is unverified: no public firmware mines on this board yet. The address of the regulator,
its limits (those of a Hex, which has the same part), the envelope (a proposal), what else is supplied by IO_PWR_EN.
Sources: 256-Foundation/emberone00-pcb, emberone-usbserial-fw; mujina mujina-miner/src/board/emberone00.rs;
skot/emberone-miner; docs/safety.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.boards import five_volt, twelve_volt
from drivers.boards.bitaxe import Parts, row
from drivers.boards.bitaxe_safe_off import Wiring
from drivers.boards.board import (
    BoardKind,
    Channel,
    Envelope,
    Means,
    PlausibilityLimits,
    PowerLaw,
    Span,
    TemperatureSensor,
    UsbMatch,
)
from drivers.boards.cooling import of_tmp451
from drivers.boards.rails import of_tps546
from drivers.bridges.firmware import EMBERONE
from drivers.units import Volts

CHIPS: Final = 12
_THERMOMETER: Final = 0x49
_RAIL_PART: Final = (Channel.STATUS_WORD, Channel.INPUT_V, Channel.CORE_V, Channel.CORE_A, Channel.VR_C)
_WIRING: Final = Wiring(
    firmware=EMBERONE.name,
    dialect=EMBERONE.dialect,
    reset_pin=EMBERONE.pin("ASIC_RESETN").number,
    rail_pin=EMBERONE.pin("PWR_EN").number,
    io_pin=EMBERONE.pin("IO_PWR_EN").number,
)
_ENVELOPE: Final[Envelope] = replace(
    five_volt.envelope(
        stock=(0.275, 200.0),
        core_v=Span(0.250, 0.325),
        frequency_mhz=Span(200.0, 550.0),
        hard=(0.325, 600.0),
        power_w=(100.0, 120.0),
    ),
    input_v_enable=Span(12.0, 14.0),
    input_v_low_trip=Volts(11.2),
    input_v_low_warn=Volts(11.5),
    input_v_high_trip=Volts(14.0),
    # A quarter of the volts of other chips: what is small there is not small here.
    core_v_within_v=Volts(0.010),
    core_v_above_hard_v=Volts(0.004),
    core_v_off_v=Volts(0.050),
    core_v_step_v=Volts(0.0025),
    command_core_v_max_change_v=Volts(0.0125),
    means=Means(sensors=tuple(each for each in Means().sensors if each is not Channel.FAN_RPM)),
)
_REGULATOR: Final = replace(
    twelve_volt.regulator(_ENVELOPE, domains=CHIPS, lowest_core_v=_ENVELOPE.core_v.low), on_off_config=0x1F
)
_DIODE: Final = TemperatureSensor(
    step_c=0.0625,
    noise_c=0.1,
    rate_c_per_s=15.0,
    rate_moving_c_per_s=40.0,
    age_s=0.0625,
    unchanged_s=60.0,
    moves_c=0.5,
    moves_within_s=20.0,
    settled_s=0.0,
)
_K_W_PER_V2_MHZ: Final = 0.130
"""Of one chip, at its own 0.321 V: the nameplate of an S19j Pro."""

EMBERONE00: Final[BoardKind] = row(
    name="emberone00",
    title="EmberOne00 v5, v6 (12 x BM1362)",
    chip="BM1362",
    chips=CHIPS,
    envelope=_ENVELOPE,
    plausibility=PlausibilityLimits(
        parts=(_RAIL_PART,),
        domains=CHIPS,
        chip=_DIODE,
        power_step_w=24.0,  # 1 K at each of twelve dies, as on a Hex
        die_k_per_w=0.5 / CHIPS,
        power_law=PowerLaw(k_w_per_v2_mhz=CHIPS * _K_W_PER_V2_MHZ, alpha_per_k=0.007),
    ),
    parts=Parts(
        rail=of_tps546(_REGULATOR, domains=CHIPS, power_offset_w=12.0),
        cooling=of_tmp451(_THERMOMETER),
        wiring=_WIRING,
    ),
    unswitchable=(
        "the 12 V input",
        "a fan: none can be reached, and one has to run",
        "not measured: the heat of eleven chips of twelve",
    ),
    matches=(UsbMatch(vid=0x1209, pid=0x256F, manufacturer="256F", product="EmberOne00", revisions=(5, 6)),),
    other_dialects=("C",),  # from 5.1.0 on
)
