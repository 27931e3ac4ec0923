"""What cools a board and what tells how warm its chips are: one EMC2101, an EMC230x beside two TMP1075, or nothing that
could be reached but two TMP1075, or a TMP451 with a diode in one chip.

A kind of cooling has the bytes that bring its fans to full speed and prove it, for the safe-off and for the sentinel,
and opens the parts. `chip` tells the warmest die that they know of, or why there is none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

from drivers.peripherals import emc230x, emc2101, emc2103
from drivers.peripherals.emc230x import Emc230x
from drivers.peripherals.emc2101 import Diode, DiodeReading, Emc2101
from drivers.peripherals.emc2103 import Emc2103
from drivers.peripherals.tmp451 import Tmp451
from drivers.peripherals.tmp1075 import Tmp1075
from drivers.traits import I2c
from drivers.units import Celsius, Ratio, Rpm


@dataclass(frozen=True, slots=True)
class FanBytes:
    """Registers of the fan controller at `address`."""

    address: int
    full: tuple[tuple[int, int], ...]
    """Register and value, in order: fans to full speed, whatever was so before."""
    proofs: tuple[tuple[str, int, int, int], ...]
    """What, register, value, mask: all hold while the fans are at full speed by the host's word."""


class Fan(Protocol):
    """A fan controller."""

    async def set_duty(self, ratio: Ratio) -> None: ...

    async def duty(self) -> Ratio: ...

    async def rpm(self) -> Rpm: ...


class Table(Protocol):
    """A temperature-to-duty table of the fan controller's own, written by `Cooling.configure`."""

    async def table_on(self) -> None: ...

    async def is_host_set(self) -> bool: ...


class Cooling(Protocol):
    """The parts, opened. Raises what the bus raises; `VerifyError` for a register that does not hold."""

    name: str
    """Of the part that was asked who it is."""

    @property
    def fan(self) -> Fan | None:
        """None: no fan of this board can be reached."""
        ...

    @property
    def table(self) -> Table | None:
        """None: it cannot lead the fan by itself, or by nothing that is there."""
        ...

    def over(self, i2c: I2c) -> Self:
        """The same parts over another access to their bus."""
        ...

    async def configure(self) -> None:
        """Set up and read back. The fan stays as it is. A table is written and not in command."""
        ...

    async def chip(self) -> DiodeReading: ...


@dataclass(frozen=True, slots=True)
class CoolingKind:
    parts: tuple[str, ...]
    """What they are, for docs."""
    bytes: FanBytes | None
    """None: no fan of this board can be reached."""
    open: Callable[[I2c], Awaitable[Cooling]]
    """Identifies the parts by reading alone; `UnknownPart` for others."""

    @property
    def told(self) -> str:
        """What first contact calls the part that it has asked who it is."""
        return "fan controller" if self.bytes is not None else "thermometer"


# --- one EMC2101 -----------------------------------------------------------------------------------------------------

EMC2101_BYTES: Final = FanBytes(
    emc2101.ADDRESS,
    full=((emc2101.Register.FAN_CONFIG, emc2101.DIRECT_MODE), (emc2101.Register.FAN_SETTING, emc2101.FULL)),
    proofs=(
        ("fan mode", emc2101.Register.FAN_CONFIG, emc2101.PROG, emc2101.PROG),
        ("fan setting", emc2101.Register.FAN_SETTING, emc2101.FULL, 0x3F),
    ),
)


class Emc2101Cooling:
    def __init__(self, fan: Emc2101, diode: Diode) -> None:
        self.name = fan.name
        self.fan, self._diode = fan, diode
        self.table: Table | None = fan

    def over(self, i2c: I2c) -> Self:
        return type(self)(self.fan.over(i2c), self._diode)

    async def configure(self) -> None:
        await self.fan.configure(self._diode)
        await self.fan.write_table(emc2101.CONSERVATIVE_TABLE)

    async def chip(self) -> DiodeReading:
        return await self.fan.diode_c()


def of_emc2101(diode: Diode) -> CoolingKind:
    """`diode`: how the chip's own diode is read."""

    async def open_parts(i2c: I2c) -> Cooling:
        return Emc2101Cooling(await Emc2101.open(i2c), diode)

    return CoolingKind(("EMC2101",), EMC2101_BYTES, open_parts)


class Emc2101BoardCooling(Emc2101Cooling):
    """The part's own temperature and so many degrees stand for the die: there is no diode in it. Its table goes by the
    diode, so it is not used."""

    def __init__(self, fan: Emc2101, above_c: float) -> None:
        super().__init__(fan, emc2101.POWER_UP_DIODE)
        self.table = None
        self._above_c = above_c

    def over(self, i2c: I2c) -> Self:
        return type(self)(self.fan.over(i2c), self._above_c)

    async def configure(self) -> None:
        await self.fan.configure(self._diode)

    async def chip(self) -> DiodeReading:
        internal_c = await self.fan.internal_c()
        if internal_c in _NO_TEMPERATURE_C:
            return DiodeReading(None, f"its own temperature reads {internal_c:g} C")
        return DiodeReading(Celsius(internal_c + self._above_c), None)


_NO_TEMPERATURE_C: Final = (-128.0, -1.0, 127.0)
"""Ends of the scale, and all ones: no temperature of a board that answers."""


def of_emc2101_alone(above_c: float) -> CoolingKind:
    """`above_c`: the die above the part's own temperature."""

    async def open_parts(i2c: I2c) -> Cooling:
        return Emc2101BoardCooling(await Emc2101.open(i2c), above_c)

    return CoolingKind(("EMC2101, its own temperature",), EMC2101_BYTES, open_parts)


# --- one EMC2103, with a diode in each of two chips -------------------------------------------------------------------

_EMC2103_BYTES: Final = FanBytes(
    emc2103.ADDRESS,
    full=(
        (emc2103.Register.FAN_CONFIG, emc2103.DIRECT_TWO_POLES),
        (emc2103.Register.SETTING, emc2103.FULL),
    ),
    proofs=(
        ("fan mode", emc2103.Register.FAN_CONFIG, 0x00, emc2103.CLOSED_LOOP),
        ("fan setting", emc2103.Register.SETTING, emc2103.FULL, 0xFF),
    ),
)


class Emc2103Cooling:
    """The warmer of two dies. A broken diode leaves none: the other one need not be the warmer."""

    table = None

    def __init__(self, fan: Emc2103) -> None:
        self.name, self.fan = fan.name, fan

    def over(self, i2c: I2c) -> Self:
        return type(self)(self.fan.over(i2c))

    async def configure(self) -> None:
        await self.fan.configure()

    async def chip(self) -> DiodeReading:
        found = await self.fan.diodes()
        for number, diode in enumerate(found, start=1):
            if diode.chip_c is None:
                return DiodeReading(None, f"diode {number}: {diode.note}")
        return max(found, key=lambda diode: diode.chip_c or 0.0)


def of_emc2103() -> CoolingKind:
    async def open_parts(i2c: I2c) -> Cooling:
        return Emc2103Cooling(await Emc2103.open(i2c))

    return CoolingKind(("EMC2103-2",), _EMC2103_BYTES, open_parts)


# --- an EMC230x and thermometers on the board ------------------------------------------------------------------------


class BoardCooling:
    """The dies are reckoned: the warmest thermometer and `above_c`. One that is broken, or far from the others, leaves
    none: the warmest of what is left need not be the warmest."""

    table = None

    def __init__(
        self, fan: Emc230x | None, i2c: I2c, thermometers: tuple[int, ...], above_c: float, apart_c: float
    ) -> None:
        self.name = "TMP1075" if fan is None else fan.name
        self.fan, self._above_c, self._apart_c = fan, above_c, apart_c
        self._thermometers = tuple(Tmp1075(i2c, address) for address in thermometers)

    def over(self, i2c: I2c) -> Self:
        addresses = tuple(each.address for each in self._thermometers)
        fan = None if self.fan is None else self.fan.over(i2c)
        return type(self)(fan, i2c, addresses, self._above_c, self._apart_c)

    async def configure(self) -> None:
        if self.fan is not None:
            await self.fan.configure()

    async def chip(self) -> DiodeReading:
        found: list[float] = []
        for thermometer in self._thermometers:
            reading = await thermometer.read()
            if reading.celsius is None:
                return DiodeReading(None, f"thermometer {thermometer.address:#04x}: {reading.note}")
            found.append(reading.celsius)
        if max(found) - min(found) > self._apart_c:
            told = " and ".join(f"{celsius:.1f} C" for celsius in found)
            return DiodeReading(None, f"the thermometers read {told}, more than {self._apart_c:g} C apart")
        return DiodeReading(Celsius(max(found) + self._above_c), None)


def of_emc230x(
    address: int, fans: int, *, thermometers: tuple[int, ...], above_c: float, apart_c: float
) -> CoolingKind:
    """`above_c`: the dies above the thermometers. `apart_c`: these are never so far apart on a healthy board."""
    outputs = range(fans)
    place = emc230x.register
    settings = tuple(
        pair
        for fan in outputs
        for pair in (
            (place(fan, emc230x.CONFIG_1), emc230x.DIRECT_TWO_POLES),
            (place(fan, emc230x.SETTING), emc230x.FULL),
        )
    )
    proofs = tuple(
        proof
        for fan in outputs
        for proof in (
            (f"fan {fan} mode", place(fan, emc230x.CONFIG_1), 0x00, emc230x.DIRECT),
            (f"fan {fan} setting", place(fan, emc230x.SETTING), emc230x.FULL, 0xFF),
        )
    )

    async def open_parts(i2c: I2c) -> Cooling:
        return BoardCooling(await Emc230x.open(i2c, address), i2c, thermometers, above_c, apart_c)

    parts = (f"EMC230x with {fans} outputs", f"{len(thermometers)} x TMP1075")
    return CoolingKind(parts, FanBytes(address, settings, proofs), open_parts)


def of_tmp1075(*, thermometers: tuple[int, ...], above_c: float, apart_c: float) -> CoolingKind:
    """The same without a fan that could be reached. Each has to answer; they do not say what they are."""

    async def open_parts(i2c: I2c) -> Cooling:
        cooling = BoardCooling(None, i2c, thermometers, above_c, apart_c)
        for address in thermometers:
            await Tmp1075(i2c, address).read()
        return cooling

    return CoolingKind((f"{len(thermometers)} x TMP1075", "no fan"), None, open_parts)


# --- no fan, and a TMP451 with a diode in one of the chips -----------------------------------------------------------


class DiodeAlone:
    """A fan that somebody else has to see to."""

    name = "TMP451"
    fan = table = None

    def __init__(self, thermometer: Tmp451) -> None:
        self._thermometer = thermometer

    def over(self, i2c: I2c) -> Self:
        return type(self)(self._thermometer.over(i2c))

    async def configure(self) -> None:
        await self._thermometer.configure()

    async def chip(self) -> DiodeReading:
        reading = await self._thermometer.remote()
        return DiodeReading(reading.celsius, reading.note)


def of_tmp451(address: int) -> CoolingKind:
    async def open_parts(i2c: I2c) -> Cooling:
        return DiodeAlone(await Tmp451.open(i2c, address))

    return CoolingKind(("TMP451", "no fan"), None, open_parts)
