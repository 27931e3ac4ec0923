"""The core rail of a Bitaxe without a TPS546: a TPS40305 that nobody can switch off, set by a DS4432U, its input
measured by an INA260.

The bridge does not drive the pin that enables the regulator. So the rail is up as soon as the supply is, at 1.458 V,
and the safest that a program can make of it is the lowest voltage that the DAC is asked for, 1.000 V: below 0.989 V its
byte wraps round. Nothing here has limits of its own, and nothing measures the core current or how warm the regulator
is.

Core volts: what the DAC is set to, held against the bridge's ADC. That is not calibrated: 4,095 steps are taken for
3.1 V, and 12 % are allowed [U]. When both agree, the setting is told, else what the ADC sees; a safe-off is confirmed
by both. Core power is reckoned from the input: 2.45 W go elsewhere, 88 % of the rest arrive (79 public points of one
board with a BM1368; the factory target of a Bitaxe Max, 2 W and 88 %, says nearly the same).

Sources: ESP-Miner main/power/DS4432U.c, INA260.c, vcore.c and main/device_config.h; korbin/bitaxe-raw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from drivers.boards.board import Channel
from drivers.boards.plausibility import CoreFromInput
from drivers.boards.rails import Adc, Rail, RailBytes, RailDecay, RailKind, RailProof
from drivers.boards.sweep import Sweep
from drivers.errors import LimitError, UnknownPart, VerifyError
from drivers.peripherals import ds4432u
from drivers.peripherals.ds4432u import Ds4432u, Output
from drivers.peripherals.ina260 import Ina260
from drivers.traits import I2c
from drivers.units import Volts

RESTS_AT_V: Final = Volts(1.000)
FROM_INPUT: Final = CoreFromInput(auxiliary_w=2.45, efficiency=0.88)
_ADC_FULL_V: Final = 3.1
_ADC_STEPS: Final = 4095
_ADC_WITHIN_RATIO: Final = 0.12
_UP_FROM_V: Final = 0.7
"""Less at the ADC is no rail, whatever its scale."""
_REST_CODE: Final = ds4432u.BITAXE.encode(RESTS_AT_V)
OUTCOME: Final = "core at its lowest"
_REST_BELOW_V: Final = RESTS_AT_V * (1.0 + _ADC_WITHIN_RATIO)
_ADC_LOW: Final = RailProof("ADC", 0x50, b"\x00\x00", b"\x00\xf8")
"""Fewer than 2,048 steps, so below 1.55 V: the nearest to 1.12 V that a mask can say."""


def _seen_v(payload: bytes) -> float:
    return int.from_bytes(payload, "little") / _ADC_STEPS * _ADC_FULL_V


@dataclass(slots=True)
class _Asked:
    """What the DAC was told last, by whoever; shared by all accesses to it."""

    code: int


class DacRail:
    name = "DS4432U and INA260"

    def __init__(self, dac: Ds4432u, meter: Ina260, adc: Adc, asked: _Asked) -> None:
        self._dac, self._meter, self._adc, self._asked = dac, meter, adc, asked

    def over(self, i2c: I2c, adc: Adc) -> Self:
        return type(self)(self._dac.over(i2c), self._meter.over(i2c), adc, self._asked)

    async def lock_down(self) -> str:
        found_v = await self._dac.commanded_v()
        await self._set(RESTS_AT_V)
        await self._meter.configure()
        return f"the DAC asked for {found_v:.3f} V"

    async def set_core(self, core_v: Volts) -> None:
        low_v, high_v = self._dac.allowed_v
        if not low_v <= core_v <= high_v:  # a NaN is not inside either
            raise LimitError("core_v", core_v, f"{low_v:.3f} to {high_v:.3f} V")
        await self._set(core_v)

    async def _set(self, core_v: Volts) -> None:
        # Before the write: should it fail half-way, what is found next is not what was asked for.
        self._asked.code = ds4432u.BITAXE.encode(core_v)
        await self._dac.set_volts(core_v)

    async def on(self) -> str:
        seen_v = self._volts(await self._adc())
        if seen_v < _UP_FROM_V:
            raise VerifyError("core rail", "up by itself: nothing can switch it on here", f"{seen_v:.2f} V at the ADC")
        return f"{seen_v:.2f} V at the ADC"

    async def core_v(self) -> Volts:
        return self._judge(await self._dac.commanded_v(), await self._adc())

    async def is_commanded_on(self) -> bool:
        return False

    async def is_up(self) -> bool:
        return False

    async def is_locked(self) -> bool:
        return await self._dac.read() in (self._asked.code, _REST_CODE)  # a safe-off goes past this object

    async def read(self, sweep: Sweep) -> None:
        set_v = await sweep.ask((Channel.CORE_V,), self._dac.commanded_v)
        raw = await sweep.ask((Channel.CORE_V,), self._adc)
        if set_v is not None and raw is not None:
            sweep.put(Channel.CORE_V, self._judge(set_v, raw))
        await sweep.take(Channel.INPUT_V, self._meter.bus_v)
        input_w = await sweep.take(Channel.INPUT_W, self._meter.power_w)
        why = None if input_w is not None else "needs the input power"
        sweep.put(Channel.POWER_W, input_w, why)
        sweep.put(Channel.CORE_W, None if input_w is None else FROM_INPUT.core_w(input_w), why)
        sweep.put(Channel.CORE_A, None, "this board does not measure its core current")
        sweep.put(Channel.VR_C, None, "this board does not measure its regulator's temperature")
        sweep.put(Channel.STATUS_WORD, None, "the regulator of this board has no status")

    @staticmethod
    def _volts(raw: int) -> Volts:
        return Volts(raw / _ADC_STEPS * _ADC_FULL_V)

    def _judge(self, set_v: Volts, raw: int) -> Volts:
        seen_v = self._volts(raw)
        return set_v if abs(seen_v - set_v) <= _ADC_WITHIN_RATIO * set_v else seen_v


async def _unusable(i2c: I2c) -> str | None:
    try:
        await Ina260.open(i2c)
    except UnknownPart as error:
        return str(error)
    return "INA260"


def of_ds4432u(hard_v: Volts) -> RailKind:
    """`hard_v`: more is never asked for."""

    async def open_parts(i2c: I2c, adc: Adc) -> Rail:
        # A DAC has no identity: the meter beside it tells that this is such a board.
        meter = await Ina260.open(i2c)
        dac = Ds4432u(i2c, ds4432u.BITAXE, (RESTS_AT_V, hard_v))
        return DacRail(dac, meter, adc, _Asked(await dac.read()))

    return RailKind(
        parts=("TPS40305 with DS4432U", "INA260"),
        bytes=RailBytes(
            ds4432u.ADDRESS,
            moves=(bytes([Output.OUT0, _REST_CODE]),),
            proofs=(RailProof("DAC", Output.OUT0, bytes([_REST_CODE]), b"\xff"),),
            decay=RailDecay(_ADC_LOW, _seen_v, _REST_BELOW_V, by_adc=True),
            outcome=OUTCOME,
        ),
        channels=(Channel.CORE_V, Channel.INPUT_V, Channel.INPUT_W, Channel.POWER_W, Channel.CORE_W),
        own_limits={},
        open=open_parts,
        unusable=_unusable,
    )
