"""PMBus: command codes, number formats and status bits, as the TPS546D24A uses them.

Sources: PMBus 1.3 part II; TI TPS546D24A datasheet SLUSDN0, https://www.ti.com/lit/ds/symlink/tps546d24a.pdf; ESP-Miner
main/power/TPS546.c; mujina peripheral/tps546.rs. Words travel low byte first. Collected in docs/wire/pmbus.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final, Literal, Self

from drivers.errors import UnexpectedReply, UsageError

Rounding = Literal["nearest", "down"]


class Command(IntEnum):
    """Command codes. STORE_USER_ALL is left out on purpose: a power cut during it can ruin the part."""

    PAGE = 0x00
    OPERATION = 0x01
    ON_OFF_CONFIG = 0x02
    CLEAR_FAULTS = 0x03
    PHASE = 0x04
    WRITE_PROTECT = 0x10
    RESTORE_DEFAULT_ALL = 0x12
    CAPABILITY = 0x19
    VOUT_MODE = 0x20
    VOUT_COMMAND = 0x21
    VOUT_TRIM = 0x22
    VOUT_MAX = 0x24
    VOUT_MARGIN_HIGH = 0x25
    VOUT_MARGIN_LOW = 0x26
    VOUT_TRANSITION_RATE = 0x27
    VOUT_SCALE_LOOP = 0x29
    VOUT_MIN = 0x2B
    FREQUENCY_SWITCH = 0x33
    VIN_ON = 0x35
    VIN_OFF = 0x36
    IOUT_CAL_GAIN = 0x38
    IOUT_CAL_OFFSET = 0x39
    VOUT_OV_FAULT_LIMIT = 0x40
    VOUT_OV_FAULT_RESPONSE = 0x41
    VOUT_OV_WARN_LIMIT = 0x42
    VOUT_UV_WARN_LIMIT = 0x43
    VOUT_UV_FAULT_LIMIT = 0x44
    VOUT_UV_FAULT_RESPONSE = 0x45
    IOUT_OC_FAULT_LIMIT = 0x46
    IOUT_OC_FAULT_RESPONSE = 0x47
    IOUT_OC_WARN_LIMIT = 0x4A
    OT_FAULT_LIMIT = 0x4F
    OT_FAULT_RESPONSE = 0x50
    OT_WARN_LIMIT = 0x51
    VIN_OV_FAULT_LIMIT = 0x55
    VIN_OV_FAULT_RESPONSE = 0x56
    VIN_UV_WARN_LIMIT = 0x58
    IIN_OC_FAULT_LIMIT = 0x5B
    IIN_OC_WARN_LIMIT = 0x5D
    TON_DELAY = 0x60
    TON_RISE = 0x61
    TON_MAX_FAULT_LIMIT = 0x62
    TON_MAX_FAULT_RESPONSE = 0x63
    TOFF_DELAY = 0x64
    TOFF_FALL = 0x65
    STATUS_BYTE = 0x78
    STATUS_WORD = 0x79
    STATUS_VOUT = 0x7A
    STATUS_IOUT = 0x7B
    STATUS_INPUT = 0x7C
    STATUS_TEMPERATURE = 0x7D
    STATUS_CML = 0x7E
    STATUS_MFR_SPECIFIC = 0x80
    READ_VIN = 0x88
    READ_IIN = 0x89
    READ_VOUT = 0x8B
    READ_IOUT = 0x8C
    READ_TEMPERATURE_1 = 0x8D
    READ_POUT = 0x96
    READ_PIN = 0x97
    PMBUS_REVISION = 0x98
    IC_DEVICE_ID = 0xAD
    COMPENSATION_CONFIG = 0xB1
    SYNC_CONFIG = 0xE4
    STACK_CONFIG = 0xEC
    PIN_DETECT_OVERRIDE = 0xEE


# --- numbers ---------------------------------------------------------------------------------------------------------


def encode_word(word: int) -> bytes:
    """Two bytes, low first."""
    if not 0 <= word <= 0xFFFF:
        raise UsageError("word", word, "0x0000 to 0xFFFF")
    return word.to_bytes(2, "little")


def decode_word(data: bytes) -> int:
    """The word in exactly two bytes, low first. `UnexpectedReply` for any other count."""
    if len(data) != 2:
        raise UnexpectedReply(f"a word of {len(data)} bytes: {data.hex(' ')}")
    return int.from_bytes(data, "little")


def decode_block(data: bytes) -> bytes:
    """The content of a block read: a count, then that many bytes. Bytes behind it are dropped."""
    if not data or len(data) < 1 + data[0]:
        raise UnexpectedReply(f"a block cut short: {data.hex(' ')}")
    return data[1 : 1 + data[0]]


def decode_linear11(word: int) -> float:
    """SLINEAR11: bits 15:11 a signed exponent, bits 10:0 a signed mantissa. READ_IOUT goes below zero at no load."""
    if not 0 <= word <= 0xFFFF:
        raise UsageError("word", word, "0x0000 to 0xFFFF")
    exponent = (word >> 11 ^ 0x10) - 0x10
    mantissa = (word & 0x7FF ^ 0x400) - 0x400
    return math.ldexp(mantissa, exponent)


def encode_linear11(value: float, rounding: Rounding = "nearest") -> int:
    """The SLINEAR11 word with the smallest exponent that holds the value, so with the finest step.

    "down" never goes above the value: for upper limits. Compare what is decoded, never words: one value has many.
    """
    for exponent in range(-16, 16):
        mantissa = _rounded(value, -exponent, rounding)
        if -0x400 <= mantissa <= 0x3FF:
            return (exponent & 0x1F) << 11 | mantissa & 0x7FF if mantissa else 0
    raise UsageError("value", value, f"{-0x400 << 15} to {0x3FF << 15}")


def encode_linear11_integer(value: int) -> int:
    """The SLINEAR11 word with exponent 0, -1024 to 1023: the form that ESP-Miner sends for kHz, degrees and ms."""
    if not -0x400 <= value <= 0x3FF:
        raise UsageError("value", value, "-1024 to 1023")
    return value & 0x7FF


def decode_ulinear16(word: int, exponent: int) -> float:
    """ULINEAR16: an unsigned word times 2**exponent, that of VOUT_MODE. Volts, or a ratio for a relative limit."""
    if not 0 <= word <= 0xFFFF:
        raise UsageError("word", word, "0x0000 to 0xFFFF")
    return math.ldexp(word, exponent)


def encode_ulinear16(value: float, exponent: int, rounding: Rounding = "nearest") -> int:
    """The ULINEAR16 word of a value: "nearest" for a setting, "down" for an upper limit. Refused if it does not fit."""
    word = _rounded(value, -exponent, rounding)
    if not 0 <= word <= 0xFFFF:
        raise UsageError("value", value, f"0 to {math.ldexp(0xFFFF, exponent)}")
    return word


def _rounded(value: float, shift: int, rounding: Rounding) -> int:
    """`value` x 2**shift as an integer. The product is exact, so "down" is exact too; halves go up."""
    if not math.isfinite(value) or abs(value) > 1e9:
        raise UsageError("value", value, "a finite number")
    scaled = math.ldexp(value, shift)
    return math.floor(scaled if rounding == "down" else scaled + 0.5)


@dataclass(frozen=True, slots=True)
class VoutMode:
    """VOUT_MODE: the exponent of all output voltages, and whether limits are ratios of VOUT_COMMAND (0x97: yes)."""

    exponent: int
    relative: bool

    @classmethod
    def from_byte(cls, byte: int) -> Self:
        """`UnexpectedReply` when the mode is not linear."""
        if byte & 0x60 or not 0 <= byte <= 0xFF:
            raise UnexpectedReply(f"VOUT_MODE {byte:#04x} is not linear")
        return cls(exponent=(byte & 0x1F ^ 0x10) - 0x10, relative=bool(byte & 0x80))

    def to_byte(self) -> int:
        """The register byte."""
        if not -16 <= self.exponent <= 15:
            raise UsageError("exponent", self.exponent, "-16 to 15")
        return self.relative << 7 | self.exponent & 0x1F

    @property
    def step_v(self) -> float:
        """Volts of one step."""
        return math.ldexp(1, self.exponent)


# --- status ----------------------------------------------------------------------------------------------------------


class StatusWord(IntFlag):
    """STATUS_WORD; its low byte is STATUS_BYTE. Bits stay until CLEAR_FAULTS, off and on, or a 1 written to them."""

    VOUT = 0x8000
    IOUT = 0x4000
    INPUT = 0x2000
    MFR = 0x1000
    PGOOD_N = 0x0800
    FANS = 0x0400
    OTHER = 0x0200
    UNKNOWN = 0x0100
    BUSY = 0x0080
    OFF = 0x0040
    VOUT_OV = 0x0020
    IOUT_OC = 0x0010
    VIN_UV = 0x0008
    TEMP = 0x0004
    CML = 0x0002
    NONE_OF_ABOVE = 0x0001


class StatusVout(IntFlag):
    """STATUS_VOUT. TON_MAX is 0x04 by TI's table; mujina has 0x02."""

    OV_FAULT = 0x80
    OV_WARN = 0x40
    UV_WARN = 0x20
    UV_FAULT = 0x10
    VOUT_MIN_MAX = 0x08
    TON_MAX = 0x04


class StatusIout(IntFlag):
    """STATUS_IOUT."""

    OC_FAULT = 0x80
    OC_WARN = 0x20


class StatusInput(IntFlag):
    """STATUS_INPUT. BELOW_VIN_ON is live, not latched."""

    OV_FAULT = 0x80
    UV_WARN = 0x20
    BELOW_VIN_ON = 0x08


class StatusTemperature(IntFlag):
    """STATUS_TEMPERATURE: of the regulator's own die."""

    OT_FAULT = 0x80
    OT_WARN = 0x40


class StatusCml(IntFlag):
    """STATUS_CML: communication, memory, logic."""

    UNSUPPORTED_COMMAND = 0x80
    BAD_DATA = 0x40
    PEC = 0x20
    MEMORY = 0x10
    PROCESSOR = 0x08
    COMMUNICATION = 0x02


class StatusMfr(IntFlag):
    """STATUS_MFR_SPECIFIC of the TPS546D24A."""

    POWER_ON_RESET = 0x80
    SELF_CHECK = 0x40
    RESET = 0x08
    STACK = 0x04
    SYNC = 0x02


def status_names(status: int) -> list[str]:
    """The names of the bits that are set, highest first. A plain integer is read as STATUS_WORD."""
    flags = status if isinstance(status, IntFlag) else StatusWord(status)
    known = {int(flag): (flag.name or "").replace("PGOOD_N", "PGOOD#") for flag in type(flags)}
    set_bits = (1 << shift for shift in range(15, -1, -1) if flags >> shift & 1)
    return [known.get(bit, f"bit {bit:#04x}") for bit in set_bits]


# --- fault responses -------------------------------------------------------------------------------------------------

RETRY_FOREVER: Final = 7

_ACTIONS: Final = {
    Command.VOUT_OV_FAULT_RESPONSE: ("ignore", "shut down", "shut down", "invalid"),
    Command.VOUT_UV_FAULT_RESPONSE: ("ignore", "shut down after the delay", "shut down", "action 3"),
    Command.IOUT_OC_FAULT_RESPONSE: ("ignore", "invalid", "shut down after the delay", "shut down"),
    Command.OT_FAULT_RESPONSE: ("ignore", "action 1", "shut down", "shut down until cool"),
}


@dataclass(frozen=True, slots=True)
class FaultResponse:
    """A fault response byte. `action`: bits 7:6, whose meaning depends on the register. `retries`: 0 stays off, 1 to 6
    tries, 7 forever. `delay`: a code of 0 to 7."""

    action: int
    retries: int
    delay: int

    @classmethod
    def from_byte(cls, byte: int) -> Self:
        """The fields of a response byte."""
        if not 0 <= byte <= 0xFF:
            raise UsageError("fault response", byte, "0x00 to 0xFF")
        return cls(byte >> 6, byte >> 3 & 7, byte & 7)

    def to_byte(self) -> int:
        """The register byte."""
        for key, value, high in (("action", self.action, 3), ("retries", self.retries, 7), ("delay", self.delay, 7)):
            if not 0 <= value <= high:
                raise UsageError(key, value, f"0 to {high}")
        return self.action << 6 | self.retries << 3 | self.delay

    @property
    def stays_off(self) -> bool:
        """Whether the output, once off, needs a host to come back."""
        return self.action != 0 and self.retries == 0

    def describe(self, command: Command) -> str:
        """In words, for the register it was read from."""
        action = _ACTIONS.get(command, ("ignore", "action 1", "action 2", "action 3"))[self.action]
        if self.action == 0:
            return action
        if self.retries == 0:
            return f"{action}, stay off"
        return f"{action}, retry {'forever' if self.retries == RETRY_FOREVER else f'{self.retries} times'}"
