"""EmberOne00 v5 and v6: twelve BM1362 in series on one rail, 12 V. Driven as `bitaxe.py` says, behind
emberone-usbserial-fw: PWR_EN drives the EN pin of the TPS546, IO_PWR_EN the supply of the chips' IO. v2 to v4:
`emberone_dac.py`, which takes from here what they have in common.

Core volts are those of a chip; the rail carries twelve times as much. The reset pin of this firmware is **high** after
power-up; a rig asserts it first. One chip of twelve has a diode that is read; nothing on the bus has to do with a fan,
so one has to run by itself. The TMP451 is left without mujina's offset of -7 C: it reads rather too warm than too cold.

Which board it is says `bcdDevice`, from March 2026 on. Older firmware says 0001 on all of them: then somebody has to
name it, and what is on the bus must be what that board has. A firmware says what it was built for, not what it runs on.

Emulated only, and much of it is unverified: no public firmware mines on this board yet. The address of the regulator,
its limits (those of a Hex, which has the same part), the envelope (a proposal), what else is supplied by IO_PWR_EN.
Sources: 256-Foundation/emberone00-pcb, emberone-usbserial-fw; mujina mujina-miner/src/board/emberone00.rs;
skot/emberone-miner; docs/safety.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
from drivers.boards.cooling import Cooling, CoolingKind, of_tmp451
from drivers.boards.rails import Adc, Rail, RailKind, of_tps546
from drivers.bridges.firmware import EMBERONE
from drivers.errors import Nack, UnknownPart
from drivers.peripherals.ina260 import Ina260
from drivers.peripherals.tmp1075 import Tmp1075
from drivers.traits import I2c
from drivers.units import Volts

CHIPS: Final = 12
THERMOMETER: Final = 0x49
"""A TMP451, v4 and later."""
THERMOMETERS: Final = (0x4A, 0x4B)
"""TMP1075: both v2 and v3, the first alone v4 and later."""
UNTOLD: Final = 0
"""The board revision of firmware that says 0001, whatever it runs on."""
OTHER_DIALECTS: Final = ("C",)
"""From 5.1.0 on."""
WIRING: Final = Wiring(
    firmware=EMBERONE.name,
    dialect=EMBERONE.dialect,
    reset_pin=EMBERONE.pin("ASIC_RESETN").number,
    rail_pin=EMBERONE.pin("PWR_EN").number,
)
"""IO_PWR_EN is there from v5 on."""
ENVELOPE: Final[Envelope] = replace(
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
DIODE: Final = TemperatureSensor(
    step_c=0.0625,
    noise_c=0.1,
    rate_c_per_s=15.0,
    rate_moving_c_per_s=40.0,
    age_s=0.0625,
    unchanged_s=60.0,
    moves_c=0.5,
    moves_within_s=20.0,
    settled_s=3.0,
)
_K_W_PER_V2_MHZ: Final = 0.130
"""Of one chip, at its own 0.321 V: the nameplate of an S19j Pro."""
PLAUSIBILITY: Final = PlausibilityLimits(
    domains=CHIPS,
    chip=DIODE,
    power_step_w=24.0,  # 1 K at each of twelve dies, as on a Hex
    die_k_per_w=0.5 / CHIPS,
    power_law=PowerLaw(k_w_per_v2_mhz=CHIPS * _K_W_PER_V2_MHZ, alpha_per_k=0.007),
)
NO_FAN: Final = "a fan: none can be reached, and one has to run"


def matches(*revisions: int) -> tuple[UsbMatch, ...]:
    """What firmware on boards of these revisions shows; c0de:cafe is that of before 18 February 2026, 0001 all."""
    return (
        UsbMatch(vid=0x1209, pid=0x256F, manufacturer="256F", product="EmberOne00", revisions=(UNTOLD, *revisions)),
        UsbMatch(vid=0xC0DE, pid=0xCAFE, manufacturer="256F", product="EmberOne00", revisions=(UNTOLD,)),
    )


# --- one revision taken for another, told by what is on the bus, reading alone ----------------------------------------

Look = Callable[[I2c], Awaitable[str | None]]
"""What stands on the bus that has no place on this board; None: nothing."""


async def refuse_other(i2c: I2c, look: Look, wanted: str) -> None:
    """`UnknownPart` that names the board that this is; returns when nothing says so."""
    found = await look(i2c)
    if found is not None:
        raise UnknownPart("board", found, wanted)


def told_by_its_rail(kind: RailKind, look: Look, wanted: str) -> RailKind:
    """The same, and where its parts do not answer it is looked for those of another revision."""

    async def open_parts(i2c: I2c, adc: Adc) -> Rail:
        try:
            return await kind.open(i2c, adc)
        except Nack:
            await refuse_other(i2c, look, wanted)
            raise

    async def unusable(i2c: I2c) -> str | None:
        return await look(i2c) or await kind.unusable(i2c)

    return replace(kind, open=open_parts, unusable=unusable)


def told_by_its_thermometers(kind: CoolingKind, look: Look, wanted: str) -> CoolingKind:
    """As `told_by_its_rail`."""

    async def open_parts(i2c: I2c) -> Cooling:
        try:
            return await kind.open(i2c)
        except Nack:
            await refuse_other(i2c, look, wanted)
            raise

    return replace(kind, open=open_parts)


async def _second_tmp1075(i2c: I2c) -> str | None:
    try:
        await Tmp1075(i2c, THERMOMETERS[1]).read()
    except Nack:
        return None
    return "a second TMP1075, as on an EmberOne00 v2 or v3"


ONE_DIODE: Final = told_by_its_thermometers(
    of_tmp451(THERMOMETER), _second_tmp1075, "a TMP451, as on an EmberOne00 v4 or later"
)


async def _ina260(i2c: I2c) -> str | None:
    try:
        await Ina260.open(i2c)
    except (Nack, UnknownPart):
        return None
    return "an INA260, as on an EmberOne00 v2, v3 or v4"


# --- the row ---------------------------------------------------------------------------------------------------------

_REGULATOR: Final = replace(
    twelve_volt.regulator(ENVELOPE, domains=CHIPS, lowest_core_v=ENVELOPE.core_v.low), on_off_config=0x1F
)
_RAIL: Final = told_by_its_rail(
    of_tps546(_REGULATOR, domains=CHIPS, power_offset_w=12.0), _ina260, "a TPS546, as on an EmberOne00 v5 or v6"
)
_RAIL_PART: Final = (Channel.STATUS_WORD, Channel.INPUT_V, Channel.CORE_V, Channel.CORE_A, Channel.VR_C)

EMBERONE00: Final[BoardKind] = row(
    name="emberone00",
    title="EmberOne00 v5, v6 (12 x BM1362)",
    chip="BM1362",
    chips=CHIPS,
    envelope=ENVELOPE,
    plausibility=replace(PLAUSIBILITY, parts=(_RAIL_PART,)),
    parts=Parts(
        rail=_RAIL,
        cooling=ONE_DIODE,
        wiring=replace(WIRING, io_pin=EMBERONE.pin("IO_PWR_EN").number),
    ),
    unswitchable=("the 12 V input", NO_FAN, "not measured: the heat of eleven chips of twelve"),
    matches=matches(5, 6),
    other_dialects=OTHER_DIALECTS,
)
