"""EMC2101: fan controller and thermometer of the chips' diode, with a temperature-to-fan table of its own.

Sources: ESP-Miner main/thermal/EMC2101.c (set-up, diode, rpm) and its issue 1927 (the true scale of the fan setting);
the Linux hwmon driver emc2101.c as posted in 2025, Adafruit_EMC2101 and NetBSD emcfan (table); SMSC datasheet of
2009-06-16. The public sources agree on the table: eight pairs of a 7-bit temperature in whole degrees and a 6-bit
setting from 0x50, in rising order, hysteresis in 0x4F (5 bits), compared with the external diode unless bit 6 of 0x4A
forces another, writable only while PROG (bit 5 of 0x4A) is set, in command of the fan while it is clear. Unverified on
hardware: that an open diode, which reads 127, selects the last entry; what 0x4C reads while the table is in command.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Self

from drivers.errors import LimitError, UnknownPart
from drivers.peripherals.byte_registers import ByteRegisters
from drivers.traits import I2c
from drivers.units import Celsius, Ratio, Rpm

ADDRESS: Final = 0x4C
FULL: Final = 0x3F
"""The highest fan setting: full speed on any scale."""
DIRECT_MODE: Final = 0x23
"""For 0x4A: PROG (the setting in 0x4C rules, the table is writable), tachometer mode 3."""
TABLE_MODE: Final = 0x03
PROG: Final = 0x20
_TACH_INPUT: Final = 0x04
"""For 0x03: the ALERT pin is the tachometer input."""
_MANUFACTURER: Final = 0x5D
_PRODUCTS: Final = {0x16: "EMC2101", 0x28: "EMC2101-R"}
_RPM_FACTOR: Final = 5_400_000
_NO_EDGES: Final = 0xFFFF
_OPEN, _SHORT = 0x3F8, 0x3FF
_ENTRIES: Final = 8
_MAX_TABLE_C: Final = 127


class Register(IntEnum):
    INTERNAL_C = 0x00
    EXTERNAL_HIGH = 0x01
    STATUS = 0x02
    CONFIG = 0x03
    EXTERNAL_LOW = 0x10
    IDEALITY = 0x17
    BETA = 0x18
    TACH_LOW = 0x46
    TACH_HIGH = 0x47
    FAN_CONFIG = 0x4A
    FAN_SETTING = 0x4C
    PWM_FREQUENCY = 0x4D
    TABLE_HYSTERESIS = 0x4F
    TABLE = 0x50
    PRODUCT = 0xFD
    MANUFACTURER = 0xFE


@dataclass(frozen=True, slots=True)
class Diode:
    """How the external diode is read: raw register values."""

    ideality_raw: int
    beta_raw: int


POWER_UP_DIODE: Final = Diode(ideality_raw=0x12, beta_raw=0x08)
"""What the part has after power-up; ESP-Miner leaves it so on boards that are no Gamma."""


@dataclass(frozen=True, slots=True)
class FanTable:
    """Up to eight (temperature, duty) pairs in rising order. The first must be at 0 C: below it the fan would stop."""

    points: tuple[tuple[int, float], ...]
    hysteresis_c: int

    def __post_init__(self) -> None:
        temperatures = [celsius for celsius, _ in self.points]
        duties = [duty for _, duty in self.points]
        rising = temperatures == sorted(set(temperatures)) and duties == sorted(duties)
        in_range = all(0 <= celsius <= _MAX_TABLE_C for celsius in temperatures) and all(0 < d <= 1 for d in duties)
        if not (1 <= len(self.points) <= _ENTRIES and rising and in_range and temperatures[0] == 0 and duties[-1] == 1):
            raise LimitError("fan table", self.points, "1 to 8 rising points, the first at 0 C, the last at full speed")
        if not 0 <= self.hysteresis_c <= 31:
            raise LimitError("fan table hysteresis", self.hysteresis_c, "0 to 31 C")


CONSERVATIVE_TABLE: Final = FanTable(
    ((0, 0.4), (35, 0.5), (40, 0.6), (45, 0.7), (50, 0.8), (55, 0.9), (60, 1.0)), hysteresis_c=3
)
"""Full speed from 60 C, the target of the fan loop; never below 40 %, for a chip that nobody watches."""


class DiodeReading(NamedTuple):
    """The chip's temperature, or why there is none."""

    chip_c: Celsius | None
    note: str | None


class Emc2101(ByteRegisters):
    """One fan controller. Made by `open`, so that one which exists has been identified."""

    def __init__(self, i2c: I2c, name: str, full_scale: int, address: int = ADDRESS) -> None:
        super().__init__(i2c, name, address)
        self.full_scale = full_scale
        """The setting that is full speed: twice the PWM frequency register; 46 after power-up."""

    @classmethod
    async def open(cls, i2c: I2c, *, address: int = ADDRESS) -> Self:
        """Identify, by reading alone. `UnknownPart` when something else answers."""
        name = await identify(i2c, address)
        frequency = (await i2c.write_read(address, bytes([Register.PWM_FREQUENCY]), 1))[0] & 0x1F
        return cls(i2c, name, min(FULL, 2 * frequency) or FULL, address)

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus."""
        return type(self)(i2c, self.name, self.full_scale, self.address)

    # --- set-up -------------------------------------------------------------------------------------------------------

    async def configure(self, diode: Diode) -> None:
        """Tachometer input, host-set fan, diode; the fan setting stays. Read back; `VerifyError` names the register."""
        await self._set(Register.CONFIG, _TACH_INPUT)
        await self._set(Register.FAN_CONFIG, DIRECT_MODE)
        await self._set(Register.IDEALITY, diode.ideality_raw)
        await self._set(Register.BETA, diode.beta_raw)

    async def write_table(self, table: FanTable) -> None:
        """Write the temperature-to-fan table and read it back. Leaves the fan host-set; `table_on` hands over."""
        await self._set(Register.FAN_CONFIG, DIRECT_MODE)
        points = [(celsius, self._setting(duty)) for celsius, duty in table.points]
        points += [(_MAX_TABLE_C, FULL)] * (_ENTRIES - len(points))
        for index, (celsius, setting) in enumerate(points):
            await self._set(Register.TABLE + 2 * index, celsius)
            await self._set(Register.TABLE + 2 * index + 1, setting)
        await self._set(Register.TABLE_HYSTERESIS, table.hysteresis_c)

    async def table_on(self) -> None:
        """The table is in command of the fan from now on, host or no host."""
        await self._set(Register.FAN_CONFIG, TABLE_MODE)

    # --- fan ----------------------------------------------------------------------------------------------------------

    async def full_speed(self) -> None:
        """Host-set, full speed, in two writes that need no reading first: the first thing to do to a board."""
        await self._write(Register.FAN_CONFIG, DIRECT_MODE)
        await self._write(Register.FAN_SETTING, FULL)

    async def set_duty(self, ratio: Ratio) -> None:
        """A true duty, 0 to 1, host-set. `LimitError` outside, and nothing is written."""
        if not 0.0 <= ratio <= 1.0:
            raise LimitError("fan duty", ratio, "0 to 1")
        await self._set(Register.FAN_CONFIG, DIRECT_MODE)
        await self._set(Register.FAN_SETTING, self._setting(ratio))

    def _setting(self, ratio: float) -> int:
        return FULL if ratio >= 1.0 else math.floor(self.full_scale * ratio + 0.5)

    async def duty(self) -> Ratio:
        """The true duty that the part reports: settings beyond the full scale are all full speed."""
        setting = await self._read(Register.FAN_SETTING) & FULL
        return Ratio(min(1.0, setting / self.full_scale))

    async def is_host_set(self) -> bool:
        """False while the table is in command."""
        return await self._read(Register.FAN_CONFIG) & PROG != 0

    async def rpm(self) -> Rpm:
        """Fan speed, 0 when there are no edges. The low byte goes first: reading it holds the high one."""
        low = await self._read(Register.TACH_LOW)
        count = await self._read(Register.TACH_HIGH) << 8 | low
        return Rpm(0.0) if count in (0, _NO_EDGES) else Rpm(_RPM_FACTOR / count)

    # --- temperatures -------------------------------------------------------------------------------------------------

    async def diode_c(self) -> DiodeReading:
        """The external diode, in eighths of a degree. The high byte goes first: reading it holds the low one."""
        high = await self._read(Register.EXTERNAL_HIGH)
        low = await self._read(Register.EXTERNAL_LOW)
        return decode_diode(high, low)

    async def internal_c(self) -> Celsius:
        """The part's own temperature: of the board, not of the chip."""
        raw = await self._read(Register.INTERNAL_C)
        return Celsius(float(raw - 256 if raw & 0x80 else raw))

    # --- registers ----------------------------------------------------------------------------------------------------


def decode_diode(high: int, low: int) -> DiodeReading:
    """Two register bytes to a temperature: 11 bits, signed, in eighths of a degree. Two codes are faults."""
    code = (high << 8 | low) >> 5
    if code == _OPEN:
        return DiodeReading(None, "diode open (reads 127.0 C)")
    if code == _SHORT:
        return DiodeReading(None, "diode shorted (reads 127.875 C)")
    return DiodeReading(Celsius((code - 0x800 if code & 0x400 else code) / 8), None)


async def identify(i2c: I2c, address: int = ADDRESS) -> str:
    """The name of the part. `UnknownPart` for anything else: several parts share this address."""
    manufacturer = (await i2c.write_read(address, bytes([Register.MANUFACTURER]), 1))[0]
    product = (await i2c.write_read(address, bytes([Register.PRODUCT]), 1))[0]
    name = _PRODUCTS.get(product)
    if manufacturer != _MANUFACTURER or name is None:
        raise UnknownPart(
            "fan controller", f"maker {manufacturer:02x} product {product:02x}", "maker 5d product 16 or 28"
        )
    return name
