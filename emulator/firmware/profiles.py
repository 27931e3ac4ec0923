"""What differs between bitaxe-raw and the firmwares made from it: pins, pages, limits. `bitaxe_raw.py` carries it out.

Facts: korbin/bitaxe-raw `src/control/*.rs` (ESP32-S3); 256foundation/emberone-usbserial-fw main fba2624, `src/main.rs`,
`src/control/*.rs`, `src/uart.rs` (RP2040), its unmerged c81e9b7 with 128a9dc (dialect C), d806574 (inputs) and c18de74
(reboot); bitaxeorg/bitaxe-raw 140cd33 (Bonanza); embassy-rp c775604 `i2c.rs`, `uart/mod.rs`. [D] = follows from that
source, not seen on hardware; [A] = assumption; [U] = unverified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from drivers.units import Volts

RP2040_UART_HZ: Final = 125_000_000


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin that page 06 offers, by the name that the schematic of its board has."""

    name: str
    mcu: str
    """The pin of the MCU."""
    output: bool = True
    """False: read only; a set is refused."""
    high_at_power_up: bool = False
    behind: bool = False
    """Another MCU has it, and drives it."""


def exactly(baud: int) -> int:
    """A UART that makes every rate."""
    return baud


def at_2_megabaud(baud: int) -> int:
    """A UART that does not care what was asked for."""
    return 2_000_000


def pl011(baud: int) -> int:
    """The rate that the RP2040 makes of the one asked for: a divisor of 16 bits and 6 behind the point."""
    divisor = 8 * RP2040_UART_HZ // baud
    whole, part = divisor >> 7, ((divisor & 0x7F) + 1) // 2
    if whole == 0:
        whole, part = 1, 0
    elif whole >= 0xFFFF:
        whole, part = 0xFFFF, 0
    return round(4 * RP2040_UART_HZ / (64 * whole + part))


@dataclass(frozen=True, slots=True)
class Profile:
    """One firmware."""

    name: str
    dialect: str
    """Of its replies: A, B or C."""
    pins: Mapping[int, Pin]
    """By the command of page 06."""
    adc: Mapping[int, str]
    """By the command of page 07."""
    adc_per_v: float
    """Counts for a volt at the pin; 12 bits."""
    i2c_min_hz: int
    i2c_max_hz: int
    refuses_reserved: bool
    """I2C addresses 01 to 07 and from 78 on are answered with an error, whoever is on the bus."""
    too_long: tuple[int, str] = (0x12, "")
    """Code and text of the error for more than 256 bytes to write."""
    usb_powered: bool = False
    """The MCU lives on the USB cable, and not on the supply of the board."""
    led: bool = False
    """Page 08."""
    system: bool = False
    """Page 09: reboot, and reboot into the UF2 loader. In other firmwares page 09 is the fan."""
    fan: bool = False
    bridge_page: bool = False
    """Page 00: info, loss counters, safety status."""
    make_baud: Callable[[int], int] = exactly
    rx_ring_bytes: int | None = None
    """What the chip UART keeps while nobody reads it; the rest is lost without a word. None: all [U]."""

    def convert(self, pin_v: Volts) -> int:
        """What the ADC makes of a voltage at its pin."""
        return min(4095, max(0, round(pin_v * self.adc_per_v)))


BITAXE_RAW: Final = Profile(
    name="bitaxe-raw",
    dialect="A",
    pins=MappingProxyType({0x00: Pin("RST_N", "GPIO1")}),
    adc=MappingProxyType({0x50: "VDD"}),  # 51 stands in its README, but not in its code
    adc_per_v=4095 / 3.1,  # full scale of the ESP32-S3 at 11 dB, uncalibrated [A]
    i2c_min_hz=1_150,  # [U]
    i2c_max_hz=1_000_000,  # [U]
    refuses_reserved=False,  # [U]
)

_EMBERONE_OUTPUTS: Final = {
    0x00: Pin("ASIC_RESETN", "GPIO11", high_at_power_up=True),
    0x01: Pin("PWR_EN", "GPIO0"),
    0x02: Pin("IO_PWR_EN", "GPIO18"),
}
_EMBERONE_INPUTS: Final = {
    0x03: Pin("PGOOD", "GPIO16", output=False),
    0x04: Pin("THERM_N", "GPIO2", output=False),
    0x05: Pin("SMB_ALRT_N", "GPIO17", output=False),
}

EMBERONE: Final = Profile(
    name="emberone-usbserial-fw",
    dialect="A",
    pins=MappingProxyType(_EMBERONE_OUTPUTS),
    adc=MappingProxyType({0x50: "VDD", 0x51: "VIN"}),
    adc_per_v=4096 / 3.3,
    i2c_min_hz=1_145,  # [D] below it the low time of SCL does not fit 16 bits
    i2c_max_hz=1_000_000,
    refuses_reserved=True,
    usb_powered=True,
    led=True,
    make_baud=pl011,
    rx_ring_bytes=64,
)
"""As on main (5.0.0): the chips are **not** held in reset at power-up."""


def emberone(*, dialect: str = "A", inputs: bool = False, reboot: bool = False) -> Profile:
    """The firmware of main, with what has not been merged yet: dialect C, read-only pins 03 to 05, page 09."""
    pins = _EMBERONE_OUTPUTS | (_EMBERONE_INPUTS if inputs else {})
    return replace(EMBERONE, dialect=dialect, pins=MappingProxyType(pins), system=reboot)


BITAXE_BONANZA: Final = replace(
    BITAXE_RAW,
    name="bitaxe-raw-bonanza",
    dialect="B",
    too_long=(0xFF, "Buf"),  # 12 means denied here
    make_baud=at_2_megabaud,
    pins=MappingProxyType(
        {
            0x00: Pin("RST_N", "RP2040 GPIO11", behind=True),
            0x01: Pin("5V_EN", "RP2040 GPIO18", behind=True),
            0x02: Pin("ASIC_RST", "RP2040 GPIO11", behind=True),
            0x03: Pin("TRIP", "RP2040 GPIO10", output=False, behind=True),
            0x04: Pin("VR_EN", "GPIO10"),
            0x05: Pin("VR_PGOOD", "GPIO11", output=False),
        }
    ),
    fan=True,
    bridge_page=True,
)
"""`bitaxe_bonanza.py` has what stands behind these pages."""
