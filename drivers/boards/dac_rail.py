"""Core rails that a DS4432U sets and whose input an INA260 measures. Nothing here has limits of its own that a program
could set, and nothing measures the core current or how warm the regulator is.

One that nobody can switch off, the TPS40305 of a Bitaxe without a TPS546: the bridge does not drive the pin that
enables it. So the rail is up as soon as the supply is, at 1.458 V, and the safest that a program can make of it is the
lowest voltage that the DAC is asked for, 1.000 V: below 0.989 V its byte wraps round. Its core volts: what the DAC is
set to, held against the bridge's ADC. That is not calibrated: 4,095 steps are taken for 3.1 V, and 12 % are allowed
[U]. When both agree, the setting is told, else what the ADC sees; a safe-off is confirmed by both. Core power is
reckoned from the input: 2.45 W go elsewhere, 88 % of the rest arrive (79 public points of one board with a BM1368; the
factory target of a Bitaxe Max, 2 W and 88 %, says nearly the same).

One that a pin of the bridge switches, the LM25119 of an EmberOne00 v2 to v4. It comes up at its lowest, and goes to
what it was asked for only when the ADC has seen it there: a DAC with another resistor at FS0 than the row says would
take it elsewhere. Its core volts are what the ADC sees: nothing if it is off.

Sources: ESP-Miner main/power/DS4432U.c, INA260.c, vcore.c and main/device_config.h; korbin/bitaxe-raw;
256-Foundation/emberone00-pcb (v2, v3, v4).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Self

from drivers.boards.board import Channel
from drivers.boards.plausibility import CoreFromInput
from drivers.boards.rails import RAIL_DOWN_V, RAIL_OFF, Adc, Rail, RailBytes, RailDecay, RailKind, RailProof
from drivers.boards.sweep import Sweep, again, close
from drivers.errors import LimitError, UnknownPart, VerifyError
from drivers.peripherals import ds4432u
from drivers.peripherals.ds4432u import Ds4432u, Feedback, Output
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
OUTCOME: Final = "core at its lowest"
_VDD: Final = 0x50
"""The channel of the bridge's ADC."""
_ADC_LOW: Final = RailProof("ADC", _VDD, b"\x00\x00", b"\x00\xf8")
"""Fewer than 2,048 steps, so below 1.55 V: the nearest to 1.12 V that a mask can say."""
_ADC_DOWN: Final = RailProof("ADC", _VDD, b"\x00\x00", b"\xc0\xff")
"""Fewer than 64 steps, so below 0.103 V at 1.6 mV: the nearest to 0.1 V that a mask can say."""
_PROVED_WITHIN_RATIO: Final = 0.06
"""Of the lowest volts. Reference, ADC and divider of an RP2040 board are out by 3 % [A]; the resistors of an EmberOne00
v2 and v3 put each other's lowest 10 % too high, and 11 % too low."""
_PROOF_READS: Final = 10
_PROOF_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Trim:
    """What a DAC makes of a rail, and how that is seen."""

    feedback: Feedback
    rests_at_v: Volts
    """Of a chip: the lowest that is asked for."""
    hard_v: Volts
    """Of a chip: more is never asked for."""
    adc_step_v: float
    """Of the rail, for one count of the bridge's ADC."""
    from_input: CoreFromInput
    domains: int = 1

    @property
    def rests_rail_v(self) -> Volts:
        return Volts(self.rests_at_v * self.domains)

    @property
    def rest_code(self) -> int:
        return self.feedback.encode(self.rests_rail_v)

    def rail_v(self, payload: bytes) -> float:
        """What the ADC has seen, as the bridge gives it."""
        return int.from_bytes(payload, "little") * self.adc_step_v


@dataclass(slots=True)
class _Asked:
    """What the DAC was told last, by whoever; shared by all accesses to it."""

    code: int
    rail_v: Volts
    """What that byte was made from: it stands for a little less."""


class DacRail:
    """One that nobody can switch off."""

    name = "DS4432U and INA260"

    def __init__(self, trim: Trim, dac: Ds4432u, meter: Ina260, adc: Adc, asked: _Asked) -> None:
        self._trim, self._dac, self._meter, self._adc, self._asked = trim, dac, meter, adc, asked

    def over(self, i2c: I2c, adc: Adc) -> Self:
        return type(self)(self._trim, self._dac.over(i2c), self._meter.over(i2c), adc, self._asked)

    async def lock_down(self) -> str:
        found_v = await self._dac.commanded_v()
        await self._set(self._trim.rests_at_v)
        await self._meter.configure()
        return f"the DAC asked for {found_v:.3f} V"

    async def set_core(self, core_v: Volts) -> None:
        low_v, high_v = self._trim.rests_at_v, self._trim.hard_v
        if not low_v <= core_v <= high_v:  # a NaN is not inside either
            raise LimitError("core_v", core_v, f"{low_v:.3f} to {high_v:.3f} V")
        await self._set(core_v)

    async def _set(self, core_v: Volts) -> None:
        rail_v = Volts(core_v * self._trim.domains)
        # Before the write: should it fail half-way, what is found next is not what was asked for.
        self._asked.code, self._asked.rail_v = self._trim.feedback.encode(rail_v), rail_v
        await self._dac.set_volts(rail_v)

    async def ready(self) -> None:
        """It is up already, by itself."""

    async def on(self) -> str:
        seen_v = await self._seen_v()
        if seen_v < _UP_FROM_V:
            raise VerifyError("core rail", "up by itself: nothing can switch it on here", f"{seen_v:.2f} V at the ADC")
        return f"{seen_v:.2f} V at the ADC"

    async def core_v(self) -> Volts:
        return self._judge(await self._dac.commanded_v(), await self._seen_v())

    async def is_commanded_on(self) -> bool:
        return False

    async def is_up(self) -> bool:
        return False

    async def is_locked(self) -> bool:
        # A safe-off goes past this object.
        return await self._dac.read() in (self._asked.code, self._trim.rest_code)

    async def read(self, sweep: Sweep) -> None:
        await self._read_core(sweep)
        await sweep.take(Channel.INPUT_V, self._meter.bus_v)
        input_w = await sweep.take(Channel.INPUT_W, self._meter.power_w)
        why = None if input_w is not None else "needs the input power"
        sweep.put(Channel.POWER_W, input_w, why)
        sweep.put(Channel.CORE_W, None if input_w is None else self._trim.from_input.core_w(input_w), why)
        sweep.put(Channel.CORE_A, None, "this board does not measure its core current")
        sweep.put(Channel.VR_C, None, "this board does not measure its regulator's temperature")
        sweep.put(Channel.STATUS_WORD, None, "the regulator of this board has no status")

    async def _read_core(self, sweep: Sweep) -> None:
        hard_rail_v = self._trim.hard_v * self._trim.domains

        def high(rail_v: float) -> bool:
            return rail_v > hard_rail_v

        set_v = await sweep.ask((Channel.CORE_V,), again(self._dac.commanded_v, high, close))
        seen_v = await sweep.ask((Channel.CORE_V,), again(self._seen_v, high, close))
        if set_v is not None and seen_v is not None:
            sweep.put(Channel.CORE_V, self._judge(set_v, seen_v))

    async def _seen_v(self) -> Volts:
        """At the rail."""
        return Volts(await self._adc() * self._trim.adc_step_v)

    @staticmethod
    def _judge(set_v: Volts, seen_v: Volts) -> Volts:
        return set_v if abs(seen_v - set_v) <= _ADC_WITHIN_RATIO * set_v else seen_v


class SwitchedDacRail(DacRail):
    """One that a pin of the bridge switches, and that an ADC sees whose scale is known."""

    async def ready(self) -> None:
        """The lowest volts wait for it, whatever was asked for."""
        await self._dac.set_volts(self._trim.rests_rail_v)

    async def on(self) -> str:
        trim = self._trim
        lowest_v, seen_v = trim.rests_rail_v, Volts(0.0)
        within_v = _PROVED_WITHIN_RATIO * lowest_v
        for attempt in range(_PROOF_READS):
            if attempt:
                await asyncio.sleep(_PROOF_POLL_S)
            seen_v = await self._seen_v()
            if abs(seen_v - lowest_v) <= within_v:
                break
        else:
            wanted = f"{lowest_v:.2f} V +- {within_v:.2f} V at its lowest ({trim.feedback.name})"
            raise VerifyError(
                "core rail", wanted, f"{seen_v:.2f} V at the ADC: no rail, or another resistor at the DAC"
            )
        await self._dac.set_volts(self._asked.rail_v)
        return f"{seen_v:.2f} V at its lowest"

    async def core_v(self) -> Volts:
        return Volts(await self._seen_v() / self._trim.domains)

    async def is_up(self) -> bool:
        return await self._seen_v() > RAIL_DOWN_V

    async def _read_core(self, sweep: Sweep) -> None:
        await sweep.take(Channel.CORE_V, again(self.core_v, lambda core_v: core_v > self._trim.hard_v, close))


async def _unusable(i2c: I2c) -> str | None:
    try:
        await Ina260.open(i2c)
    except UnknownPart as error:
        return str(error)
    return "INA260"


def _kind(rail: type[DacRail], trim: Trim, regulator: str, decay: RailDecay, outcome: str) -> RailKind:
    async def open_parts(i2c: I2c, adc: Adc) -> Rail:
        # A DAC has no identity: the meter beside it tells that this is such a board.
        meter = await Ina260.open(i2c)
        hard_rail_v = Volts(trim.hard_v * trim.domains)
        dac = Ds4432u(i2c, trim.feedback, (trim.rests_rail_v, hard_rail_v))
        return rail(trim, dac, meter, adc, _Asked(await dac.read(), trim.rests_rail_v))

    return RailKind(
        parts=(f"{regulator} with DS4432U", "INA260"),
        bytes=RailBytes(
            ds4432u.ADDRESS,
            moves=(bytes([Output.OUT0, trim.rest_code]),),
            proofs=(RailProof("DAC", Output.OUT0, bytes([trim.rest_code]), b"\xff"),),
            decay=decay,
            outcome=outcome,
        ),
        channels=(Channel.CORE_V, Channel.INPUT_V, Channel.INPUT_W, Channel.POWER_W, Channel.CORE_W),
        own_limits={},
        open=open_parts,
        unusable=_unusable,
    )


def of_ds4432u(hard_v: Volts) -> RailKind:
    """A Bitaxe's. `hard_v`: more is never asked for."""
    trim = Trim(ds4432u.BITAXE, RESTS_AT_V, hard_v, _ADC_FULL_V / _ADC_STEPS, FROM_INPUT)
    decay = RailDecay(_ADC_LOW, trim.rail_v, RESTS_AT_V * (1.0 + _ADC_WITHIN_RATIO), by_adc=True)
    return _kind(DacRail, trim, "TPS40305", decay, OUTCOME)


def of_switched_ds4432u(regulator: str, trim: Trim) -> RailKind:
    """One that goes off with a pin of the bridge: the row's `Wiring` has to name it. The DAC's bytes alone take it to
    its lowest."""
    return _kind(
        SwitchedDacRail, trim, regulator, RailDecay(_ADC_DOWN, trim.rail_v, RAIL_DOWN_V, by_adc=True), RAIL_OFF
    )
