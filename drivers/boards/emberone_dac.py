"""EmberOne00 v2, v3 and v4: an LM25119 that a DS4432U trims and PWR_EN switches, an INA260 at the input. v1 is a power
stage without chips and without a bridge: nothing to drive.

PWR_EN is the UVLO pin of the LM25119, and nothing else is on it (v2: by its jumper JP1, as it is delivered; v3, v4:
R33): low is off. So its input has no lower end of its own either. MCU, DAC, meter and thermometers live on the USB
cable, as do the supplies of the chips' IO, always on. The DAC wakes at the middle, 3.6 V, 0.30 V a chip, which a chip
may have; it is at its lowest before PWR_EN rises. VDD is halved in front of the ADC on all three; the ADC's other
channel, VIN, is not wired.

| | at FS0 of the DAC | rail | thermometers |
|---|---|---|---|
| v2 | 80.6 kohm | 3.250 to 3.950 V | TMP1075 at 4A and 4B |
| v3, and a v2 that was changed by hand | 39 kohm | 2.876 to 4.324 V | TMP1075 at 4A and 4B |
| v4 | 39 kohm | 2.876 to 4.324 V | TMP451 at 49, TMP1075 at 4A (not read) |

What is on the bus tells v4 from v2 and v3, and these from v5. v2 and v3 are alike there: the first volts tell, when the
rail comes up at its lowest (`dac_rail.py`), within what both may have.

Nothing here has limits of its own, and less is measured: no core current, no regulator temperature. So what may be
asked for ends at stock, and beyond it needs an unlock that says `hard`. Emulated only. Unverified besides: the
envelope (a proposal), the regulator's efficiency, 10 C between the thermometers of a v2 or v3 and the dies (as on a
Hex), what becomes of PWR_EN when the USB cable is out. Sources: 256-Foundation/emberone00-pcb, branches v2, v3, v4
(nets of the layout; of v4 the schematic) and issues 20, 21, 34, 44; skot/emberone-miner; docs/safety.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.boards import five_volt
from drivers.boards.bitaxe import Parts, row
from drivers.boards.board import BoardKind, Channel, Envelope, Means, Span, TemperatureSensor
from drivers.boards.cooling import CoolingKind, of_tmp1075
from drivers.boards.dac_rail import Trim, of_switched_ds4432u
from drivers.boards.emberone import (
    CHIPS,
    DIODE,
    ENVELOPE,
    NO_FAN,
    ONE_DIODE,
    OTHER_DIALECTS,
    PLAUSIBILITY,
    THERMOMETER,
    THERMOMETERS,
    WIRING,
    matches,
    told_by_its_rail,
    told_by_its_thermometers,
)
from drivers.boards.plausibility import CoreFromInput
from drivers.boards.rails import RailKind
from drivers.bridges.firmware import RP2040_STEP_V
from drivers.errors import Nack, UnknownPart
from drivers.peripherals import tps546
from drivers.peripherals.ds4432u import EMBERONE_V2, EMBERONE_V3, Feedback
from drivers.peripherals.tmp451 import Tmp451
from drivers.traits import I2c
from drivers.units import Volts

_STOCK: Final = (ENVELOPE.stock_core_v, ENVELOPE.stock_frequency_mhz)
_LOWEST_V: Final = {EMBERONE_V2: Volts(0.271), EMBERONE_V3: Volts(ENVELOPE.core_v.low)}
"""Of a chip: what the DAC reaches, and not less than the other boards are asked for."""
_FROM_INPUT: Final = CoreFromInput(auxiliary_w=2.0, efficiency=0.95)
"""[A] Two phases with sense resistors of 3 mohm; bridge and IO are on the USB cable."""
_ADC_STEP_V: Final = 2 * RP2040_STEP_V
"""Two resistors of 100 kohm."""
_NEAR_THE_CHIPS: Final = replace(DIODE, noise_c=0.06, age_s=0.0275)
_UNSWITCHABLE: Final = (
    "the 12 V input",
    "the supply of the chips' IO",
    NO_FAN,
    "limits of the regulator: it has none that could be set",
)
_UNSEEN: Final = "not measured: core current, regulator temperature, the heat of"


def _envelope(feedback: Feedback) -> Envelope:
    """Of a v5, but that it ends at stock, and of what is measured."""
    return replace(
        ENVELOPE,
        core_v=Span(_LOWEST_V[feedback], _STOCK[0]),
        frequency_mhz=Span(_STOCK[1], _STOCK[1]),
        means=Means(sensors=(Channel.CHIP_C, Channel.INPUT_V, Channel.CORE_V, Channel.INPUT_W)),
    )


async def _tps546(i2c: I2c) -> str | None:
    try:
        await tps546.identify(i2c)
    except (Nack, UnknownPart):
        return None
    return "a TPS546, as on an EmberOne00 v5 or v6"


def _rail(feedback: Feedback) -> RailKind:
    trim = Trim(feedback, _LOWEST_V[feedback], ENVELOPE.core_v_hard, _ADC_STEP_V, _FROM_INPUT, CHIPS)
    wanted = "an INA260 with a DS4432U, as on an EmberOne00 v2, v3 or v4"
    return told_by_its_rail(of_switched_ds4432u("LM25119", trim), _tps546, wanted)


async def _tmp451(i2c: I2c) -> str | None:
    try:
        await Tmp451.open(i2c, THERMOMETER)
    except (Nack, UnknownPart):
        return None
    return "a TMP451, as on an EmberOne00 v4 or later"


_TWO_TMP1075: Final = told_by_its_thermometers(
    of_tmp1075(thermometers=THERMOMETERS, above_c=10.0, apart_c=15.0),
    _tmp451,
    "two TMP1075, as on an EmberOne00 v2 or v3",
)


def _row(
    name: str, revision: int, title: str, feedback: Feedback, envelope: Envelope, cooling: CoolingKind,
    chip: TemperatureSensor, unseen: str,
) -> BoardKind:  # fmt: skip
    return row(
        name=name,
        title=f"{title} (12 x BM1362)",
        chip="BM1362",
        chips=CHIPS,
        envelope=envelope,
        plausibility=replace(
            PLAUSIBILITY,
            parts=((Channel.INPUT_V, Channel.INPUT_W),),
            chip=chip,
            core_v_unchanged_s=None,  # [U] how much noise the ADC of an RP2040 has on a steady rail
            input_w_unchanged_s=120.0,  # noise of one step
            core_from_input=_FROM_INPUT,
        ),
        parts=Parts(rail=_rail(feedback), cooling=cooling, wiring=WIRING),
        unswitchable=(*_UNSWITCHABLE, f"{_UNSEEN} {unseen}"),
        matches=matches(revision),
        other_dialects=OTHER_DIALECTS,
    )


def _on_the_board(name: str, revision: int, title: str, feedback: Feedback) -> BoardKind:
    """Without a sensor in any die."""
    envelope = five_volt.without_die_sensor(_envelope(feedback))
    return _row(name, revision, title, feedback, envelope, _TWO_TMP1075, _NEAR_THE_CHIPS, "the chips themselves")


EMBERONE00_V2: Final = _on_the_board("emberone00-v2", 2, "EmberOne00 v2", EMBERONE_V2)
EMBERONE00_V3: Final = _on_the_board("emberone00-v3", 3, "EmberOne00 v3", EMBERONE_V3)
EMBERONE00_V4: Final = _row(
    "emberone00-v4",
    4,
    "EmberOne00 v4",
    EMBERONE_V3,
    _envelope(EMBERONE_V3),
    ONE_DIODE,
    DIODE,
    "eleven chips of twelve",
)
