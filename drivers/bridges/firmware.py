"""What each bridge firmware offers: pins by name, ADC channels, LED, fan, reboot. A table, for boards to choose from.

Facts: korbin/bitaxe-raw and bitaxeorg/bitaxe-raw (4678127) `src/control/*.rs`; 256foundation/emberone-usbserial-fw main
fba2624 and, not merged, c81e9b7 with 128a9dc (dialect C), d806574 (inputs), c18de74 (reboot); bonanza-bridge-fw
22cab7b; mujina `version.rs` (what bcdDevice says). docs/wire/emberone-usbserial.md, docs/wire/host-lease.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from drivers.errors import UsageError
from drivers.units import Volts


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin of page 06."""

    name: str
    """As the schematic of the board has it."""
    number: int
    output: bool = True
    """False: read only."""
    high_at_power_up: bool = False
    """The level of an output after power-up and after a reboot of the bridge."""


@dataclass(frozen=True, slots=True)
class BridgeFirmware:
    """One firmware. What it is said to have may still be refused by an older one: then as `NotInFirmware`."""

    name: str
    dialect: str
    """Of its replies: A, B or C."""
    pins: tuple[Pin, ...]
    adc: Mapping[str, int] = field(default_factory=dict)
    """Channel by name, to the command of page 07."""
    adc_step_v: Volts | None = None
    """Volts at the pin for one count; None: not calibrated, counts alone."""
    led: bool = False
    fan: bool = False
    """Page 09 is a fan. In other firmwares the same page is `reboot`."""
    reboot: bool = False
    bridge_page: bool = False
    """Page 00 names firmware, losses and safety status."""

    def pin(self, name: str) -> Pin:
        """`UsageError` for a name that is not in the table."""
        for pin in self.pins:
            if pin.name == name:
                return pin
        raise UsageError("pin", name, f"the pins of {self.name}: {', '.join(pin.name for pin in self.pins)}")

    def channel(self, name: str) -> int:
        """`UsageError` for a name that is not in the table."""
        if name not in self.adc:
            raise UsageError("adc", name, f"the channels of {self.name}: {', '.join(self.adc) or 'none'}")
        return self.adc[name]


@dataclass(frozen=True, slots=True)
class Release:
    """What `bcdDevice` says, 0xJJMN: board revision JJ, firmware M.N."""

    hardware: int
    minor: int
    patch: int

    @classmethod
    def of(cls, bcd_device: int) -> Release:
        if not 0 <= bcd_device <= 0xFFFF:
            raise UsageError("bcdDevice", bcd_device, "0 to 0xffff")
        return cls(bcd_device >> 8, bcd_device >> 4 & 0xF, bcd_device & 0xF)


RP2040_STEP_V: Final = Volts(3.3 / 4096)

BITAXE_RAW: Final = BridgeFirmware(
    name="bitaxe-raw",
    dialect="A",
    pins=(Pin("RST_N", 0x00),),
    adc=MappingProxyType({"VDD": 0x50}),
)
EMBERONE: Final = BridgeFirmware(
    name="emberone-usbserial-fw",
    dialect="A",
    pins=(
        Pin("ASIC_RESETN", 0x00, high_at_power_up=True),
        Pin("PWR_EN", 0x01),
        Pin("IO_PWR_EN", 0x02),  # from March 2026 on
        Pin("PGOOD", 0x03, output=False),  # this and the next two: branch missing_gpio_support alone
        Pin("THERM_N", 0x04, output=False),
        Pin("SMB_ALRT_N", 0x05, output=False),
    ),
    adc=MappingProxyType({"VDD": 0x50, "VIN": 0x51}),
    adc_step_v=RP2040_STEP_V,
    led=True,
)
"""The chips are **not** in reset after power-up. Rebooting is not merged: `replace(EMBERONE, reboot=True)`."""
BITAXE_BONANZA: Final = BridgeFirmware(
    name="bitaxe-raw-bonanza",
    dialect="B",
    pins=(
        Pin("RST_N", 0x00),  # another name of ASIC_RST
        Pin("5V_EN", 0x01),
        Pin("ASIC_RST", 0x02),
        Pin("TRIP", 0x03, output=False),
        Pin("VR_EN", 0x04),
        Pin("VR_PGOOD", 0x05, output=False),
    ),
    adc=MappingProxyType({"VDD": 0x50}),
    fan=True,
    bridge_page=True,
)
BONANZA_BRIDGE: Final = BridgeFirmware(
    name="bonanza-bridge-fw",
    dialect="B",
    pins=(Pin("5V_EN", 0x01), Pin("ASIC_RST", 0x02), Pin("TRIP", 0x03, output=False)),
    fan=True,
    bridge_page=True,
)


FIRMWARES: Final = {each.name: each for each in (BITAXE_RAW, BITAXE_BONANZA, EMBERONE)}
"""Those that a computer can reach over USB."""
_BY_STRINGS: Final = {
    ("OSMU", "Bitaxe"): BITAXE_RAW,
    ("OSMU", "BitaxeBonanza"): BITAXE_BONANZA,
    ("256F", "EmberOne00"): EMBERONE,
}


def firmware_of(manufacturer: str, product: str) -> BridgeFirmware | None:
    """The firmware with these USB strings; None: not known."""
    return _BY_STRINGS.get((manufacturer, product))


def dialect_of(manufacturer: str | None, product: str | None, bcd_device: int | None) -> str | None:
    """In which dialect the firmware with this USB descriptor answers; None: nothing says."""
    firmware = firmware_of(manufacturer or "", product or "")
    if firmware is not EMBERONE:
        return firmware.dialect if firmware else None
    return None if bcd_device is None else emberone(bcd_device).dialect


def emberone(bcd_device: int) -> BridgeFirmware:
    """The firmware of an EmberOne, by its USB descriptor: from M of 1 on it answers in dialect C."""
    return replace(EMBERONE, dialect="C") if Release.of(bcd_device).minor >= 1 else EMBERONE
