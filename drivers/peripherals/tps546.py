"""TPS546D24A and D24S buck regulators (PMBus): the core rail of a hash board.

The part can refuse on its own, whoever commands it: `lock_down` writes its limits before the rail comes up and reads
them back, so that they hold when the host is dead. Nothing is ever stored in its non-volatile memory: a power cut
during that can ruin it (ESP-Miner main/power/TPS546.c). Sources: ESP-Miner main/power/TPS546.c, TPS546.h, vcore.c;
mujina peripheral/tps546.rs; TI datasheet https://www.ti.com/lit/ds/symlink/tps546d24a.pdf; docs/wire/pmbus.md.
What WRITE_PROTECT and the response codes do on hardware is unverified: read-back is all the proof there is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from drivers.codecs import pmbus
from drivers.codecs.pmbus import Command, StatusWord
from drivers.errors import LimitError, UnexpectedReply, UnknownPart, VerifyError
from drivers.traits import I2c
from drivers.units import Amps, Celsius, Volts

ADDRESS: Final = 0x24
VOUT_MODE_RELATIVE: Final = 0x97
"""Exponent -9 (steps of 1.953 mV), limits as ratios of VOUT_COMMAND: the reset value, and all we know how to use."""

_OFF, _ON = b"\x00", b"\x80"
_UNLOCKED, _LOCKED = 0x00, 0x20
"""0x20: only WRITE_PROTECT, OPERATION, ON_OFF_CONFIG and VOUT_COMMAND can still be written."""
_HEALTHY_WHEN_OFF: Final = StatusWord.OFF | StatusWord.PGOOD_N
_B24A_MAX_A: Final = 20.0
_ID_BYTES: Final = 6
_BLOCK_BYTES: Final = 5


class Part(StrEnum):
    """What IC_DEVICE_ID says. The B24A is the 20 A member of the family."""

    D24A = "TPS546D24A"
    D24S = "TPS546D24S"
    B24A = "TPS546B24A"


_PARTS: Final = {
    bytes.fromhex("5449546d2441"): Part.D24A,
    bytes.fromhex("5449546d2462"): Part.D24S,
    bytes.fromhex("5449546b2441"): Part.B24A,
}


class Format(StrEnum):
    """How a register carries its number."""

    BYTE = "byte"
    WORD = "word"
    BLOCK = "block of five bytes, as one number, the first byte on top"
    LINEAR11 = "linear11"
    INTEGER11 = "linear11 with exponent 0"
    VOLTS = "ulinear16"
    UPPER_VOLTS = "ulinear16, rounded down"
    RATIO = "ulinear16, a ratio of VOUT_COMMAND, rounded down"


@dataclass(frozen=True, slots=True)
class Setting:
    """One register of the configuration. `step`: how far the read-back may be off, since the part keeps coarser steps
    than it is sent (VIN_ON 4.8 V reads 4.75 V)."""

    command: Command
    value: float
    format: Format
    step: float = 0.0


@dataclass(frozen=True, slots=True)
class Stack:
    """Several parts that make one rail. The values are ESP-Miner's for the GT; what their bits mean was not looked
    up."""

    config: int
    sync: int
    phase: int
    compensation: int
    """Five bytes."""

    def settings(self) -> tuple[Setting, ...]:
        return (
            Setting(Command.STACK_CONFIG, self.config, Format.WORD),
            Setting(Command.SYNC_CONFIG, self.sync, Format.BYTE),
            Setting(Command.PHASE, self.phase, Format.BYTE),
            Setting(Command.COMPENSATION_CONFIG, self.compensation, Format.BLOCK),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """How a board uses the part. Volts, amperes, degrees Celsius, kHz, ms; `*_ratio` are shares of VOUT_COMMAND."""

    core_v: tuple[Volts, Volts]
    """What may be commanded, absolute."""
    vout_max_v: Volts
    vin_on_v: Volts
    vin_off_v: Volts
    vin_ov_v: Volts
    scale_loop: float
    frequency_khz: int
    oc_warn_a: Amps
    oc_fault_a: Amps
    ot_warn_c: Celsius
    ot_fault_c: Celsius
    ov_fault_ratio: float = 1.25
    ov_warn_ratio: float = 1.16
    uv_warn_ratio: float = 0.90
    uv_fault_ratio: float = 0.75
    margin_high_ratio: float = 1.1
    margin_low_ratio: float = 0.9
    ton_rise_ms: int = 3
    on_off_config: int = 0x1B
    """0x1B: OPERATION alone decides, off at once. 0x1F where the host drives the EN pin too."""
    stack: Stack | None = None
    """None: one part, and what it holds after power-up stays."""

    def settings(self) -> tuple[Setting, ...]:
        """The lock-down recipe in the order of writing. Responses 0x80 and 0xC0: off, and stay off."""
        low_v = self.core_v[0]
        return (
            Setting(Command.ON_OFF_CONFIG, self.on_off_config, Format.BYTE),
            *(self.stack.settings() if self.stack is not None else ()),
            Setting(Command.FREQUENCY_SWITCH, self.frequency_khz, Format.INTEGER11, 25.0),
            Setting(Command.VIN_ON, self.vin_on_v, Format.LINEAR11, 0.25),
            Setting(Command.VIN_OFF, self.vin_off_v, Format.LINEAR11, 0.25),
            Setting(Command.VIN_OV_FAULT_LIMIT, self.vin_ov_v, Format.LINEAR11, 0.25),
            Setting(Command.VIN_OV_FAULT_RESPONSE, 0x80, Format.BYTE),
            Setting(Command.VOUT_SCALE_LOOP, self.scale_loop, Format.LINEAR11, 0.001),
            Setting(Command.VOUT_COMMAND, low_v, Format.VOLTS, 0.002),
            Setting(Command.VOUT_MAX, self.vout_max_v, Format.UPPER_VOLTS, 0.002),
            Setting(Command.VOUT_MIN, low_v, Format.VOLTS, 0.002),
            Setting(Command.VOUT_OV_FAULT_LIMIT, self.ov_fault_ratio, Format.RATIO, 0.002),
            Setting(Command.VOUT_OV_FAULT_RESPONSE, 0x80, Format.BYTE),
            Setting(Command.VOUT_OV_WARN_LIMIT, self.ov_warn_ratio, Format.RATIO, 0.002),
            Setting(Command.VOUT_MARGIN_HIGH, self.margin_high_ratio, Format.RATIO, 0.002),
            Setting(Command.VOUT_MARGIN_LOW, self.margin_low_ratio, Format.RATIO, 0.002),
            Setting(Command.VOUT_UV_WARN_LIMIT, self.uv_warn_ratio, Format.RATIO, 0.002),
            Setting(Command.VOUT_UV_FAULT_LIMIT, self.uv_fault_ratio, Format.RATIO, 0.002),
            Setting(Command.VOUT_UV_FAULT_RESPONSE, 0x80, Format.BYTE),
            Setting(Command.IOUT_OC_WARN_LIMIT, self.oc_warn_a, Format.LINEAR11, 0.5),
            Setting(Command.IOUT_OC_FAULT_LIMIT, self.oc_fault_a, Format.LINEAR11, 0.5),
            Setting(Command.IOUT_OC_FAULT_RESPONSE, 0xC0, Format.BYTE),
            Setting(Command.OT_WARN_LIMIT, self.ot_warn_c, Format.INTEGER11, 1.0),
            Setting(Command.OT_FAULT_LIMIT, self.ot_fault_c, Format.INTEGER11, 1.0),
            Setting(Command.OT_FAULT_RESPONSE, 0x80, Format.BYTE),
            Setting(Command.TON_DELAY, 0, Format.INTEGER11, 0.5),
            Setting(Command.TON_RISE, self.ton_rise_ms, Format.INTEGER11, 0.5),
            Setting(Command.TON_MAX_FAULT_LIMIT, 0, Format.INTEGER11, 0.5),
            Setting(Command.TON_MAX_FAULT_RESPONSE, 0x3B, Format.BYTE),
            Setting(Command.TOFF_DELAY, 0, Format.INTEGER11, 0.5),
            Setting(Command.TOFF_FALL, 0, Format.INTEGER11, 0.5),
        )


@dataclass(frozen=True, slots=True)
class Status:
    """Every status register at one moment. Bits stay latched until they are cleared."""

    word: int
    vout: int
    iout: int
    input: int
    temperature: int
    cml: int
    mfr: int

    def __str__(self) -> str:
        named = (
            *pmbus.status_names(StatusWord(self.word)),
            *(f"VOUT.{name}" for name in pmbus.status_names(pmbus.StatusVout(self.vout))),
            *(f"IOUT.{name}" for name in pmbus.status_names(pmbus.StatusIout(self.iout))),
            *(f"INPUT.{name}" for name in pmbus.status_names(pmbus.StatusInput(self.input))),
            *(f"TEMPERATURE.{name}" for name in pmbus.status_names(pmbus.StatusTemperature(self.temperature))),
            *(f"CML.{name}" for name in pmbus.status_names(pmbus.StatusCml(self.cml))),
            *(f"MFR.{name}" for name in pmbus.status_names(pmbus.StatusMfr(self.mfr))),
        )
        return f"{self.word:#06x} {' '.join(named) or 'healthy'}"


class Tps546:
    """One regulator. Made by `open`, so that one which exists has been identified.

    All methods raise what the bus raises. Reads may be repeated by the bus; a write is never sent twice.
    """

    def __init__(self, i2c: I2c, profile: Profile, part: Part, mode: pmbus.VoutMode, address: int = ADDRESS) -> None:
        self.profile, self.part, self.mode, self.address = profile, part, mode, address
        self._i2c = i2c

    @classmethod
    async def open(cls, i2c: I2c, profile: Profile, *, address: int = ADDRESS) -> Self:
        """Identify, by reading alone. `UnknownPart` for another part, `UnexpectedReply` for another VOUT_MODE."""
        part = await identify(i2c, address)
        mode = (await i2c.write_read(address, bytes([Command.VOUT_MODE]), 1))[0]
        if mode != VOUT_MODE_RELATIVE:
            raise UnexpectedReply(f"{part} at {address:#04x}: VOUT_MODE {mode:#04x}, not {VOUT_MODE_RELATIVE:#04x}")
        return cls(i2c, profile, part, pmbus.VoutMode.from_byte(mode), address)

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus, such as one that does not try twice."""
        return type(self)(i2c, self.profile, self.part, self.mode, self.address)

    # --- limits -------------------------------------------------------------------------------------------------------

    def check_may_energise(self) -> None:
        """`LimitError` when the profile allows more current than the part can take."""
        if self.part is Part.B24A and self.profile.oc_fault_a > _B24A_MAX_A:
            raise LimitError("regulator", self.part.value, f"a part for {self.profile.oc_fault_a:g} A")

    async def lock_down(self) -> Status:
        """Rail off, all limits written, faults cleared, registers locked, everything read back.

        Returns the status as it was found, before it was cleared. `VerifyError` names the first register that does
        not hold its value. Works on a part that an earlier run left locked. The command is left at the lowest voltage.
        """
        self.check_may_energise()
        await self.off()
        found = await self.status()
        await self._write(Command.WRITE_PROTECT, bytes([_UNLOCKED]))
        settings = self.profile.settings()
        for setting in settings:
            await self._write(setting.command, self._encode(setting))
        await self._write(Command.CLEAR_FAULTS)
        await self._write(Command.WRITE_PROTECT, bytes([_LOCKED]))
        await self.check_locked_down()
        return found

    async def check_locked_down(self) -> None:
        """Read every limit back, but for VOUT_COMMAND. `VerifyError` names the first that does not hold."""
        for setting in self.profile.settings():
            if setting.command is Command.VOUT_COMMAND:
                continue
            found = self._decode(setting, await self._read(setting.command, len(self._encode(setting))))
            wanted = self._decode(setting, self._encode(setting))
            if abs(found - wanted) > setting.step:
                raise VerifyError(f"{self.part} {setting.command.name}", setting.value, found)
        await self._check_lock()

    async def _check_lock(self) -> None:
        lock = (await self._read(Command.WRITE_PROTECT, 1))[0]
        if lock != _LOCKED:
            raise VerifyError(f"{self.part} WRITE_PROTECT", f"{_LOCKED:#04x}", f"{lock:#04x}")

    def _encode(self, setting: Setting) -> bytes:
        match setting.format:
            case Format.BYTE:
                return bytes([int(setting.value)])
            case Format.WORD:
                return pmbus.encode_word(int(setting.value))
            case Format.BLOCK:
                return bytes([_BLOCK_BYTES]) + int(setting.value).to_bytes(_BLOCK_BYTES, "big")
            case Format.LINEAR11:
                word = pmbus.encode_linear11(setting.value, "down")
            case Format.INTEGER11:
                word = pmbus.encode_linear11_integer(int(setting.value))
            case Format.VOLTS:
                word = pmbus.encode_ulinear16(setting.value, self.mode.exponent)
            case Format.UPPER_VOLTS | Format.RATIO:
                word = pmbus.encode_ulinear16(setting.value, self.mode.exponent, "down")
        return pmbus.encode_word(word)

    def _decode(self, setting: Setting, data: bytes) -> float:
        match setting.format:
            case Format.BYTE:
                return float(data[0])
            case Format.WORD:
                return float(pmbus.decode_word(data))
            case Format.BLOCK:
                return float(int.from_bytes(data[1:], "big"))
            case Format.LINEAR11 | Format.INTEGER11:
                return pmbus.decode_linear11(pmbus.decode_word(data))
            case _:
                return pmbus.decode_ulinear16(pmbus.decode_word(data), self.mode.exponent)

    # --- the rail -----------------------------------------------------------------------------------------------------

    async def set_output(self, core_v: Volts) -> None:
        """Command the rail, on or off. `LimitError` outside the profile's range, and nothing is written."""
        low_v, high_v = self.profile.core_v
        if not low_v <= core_v <= high_v:  # a NaN is not inside either
            raise LimitError("core_v", core_v, f"{low_v:.3f} to {high_v:.3f} V")
        word = pmbus.encode_ulinear16(core_v, self.mode.exponent)
        await self._write(Command.VOUT_COMMAND, pmbus.encode_word(word))
        found = pmbus.decode_word(await self._read(Command.VOUT_COMMAND, 2))
        if found != word:
            raise VerifyError(f"{self.part} VOUT_COMMAND", f"{word:#06x}", f"{found:#06x}")

    async def on(self) -> Status:
        """Switch the rail on, read the command back. Clears old faults first; returns what they were, for the log."""
        self.check_may_energise()
        found = await self.status()
        if found.word & ~_HEALTHY_WHEN_OFF:
            await self._write(Command.WRITE_PROTECT, bytes([_UNLOCKED]))
            await self._write(Command.CLEAR_FAULTS)
            await self._write(Command.WRITE_PROTECT, bytes([_LOCKED]))
            await self._check_lock()
        await self._write(Command.OPERATION, _ON)
        if not await self.is_commanded_on():
            raise VerifyError(f"{self.part} OPERATION", "on", "off")
        return found

    async def off(self) -> None:
        """Switch the rail off, at once: a soft stop would starve the chips."""
        await self._write(Command.OPERATION, _OFF)

    # --- readings -----------------------------------------------------------------------------------------------------

    async def is_locked(self) -> bool:
        """Whether the registers are still locked as `lock_down` left them: not after the supply went and came."""
        return (await self._read(Command.WRITE_PROTECT, 1))[0] == _LOCKED

    async def is_commanded_on(self) -> bool:
        return (await self._read(Command.OPERATION, 1))[0] & _ON[0] != 0

    async def status_word(self) -> int:
        """STATUS_WORD; names by `pmbus.status_names`."""
        return pmbus.decode_word(await self._read(Command.STATUS_WORD, 2))

    async def status(self) -> Status:
        """All status registers."""
        word = await self.status_word()
        details = [
            (await self._read(command, 1))[0]
            for command in (
                Command.STATUS_VOUT,
                Command.STATUS_IOUT,
                Command.STATUS_INPUT,
                Command.STATUS_TEMPERATURE,
                Command.STATUS_CML,
                Command.STATUS_MFR_SPECIFIC,
            )
        ]
        return Status(word, *details)

    async def input_v(self) -> Volts:
        return Volts(await self._linear11(Command.READ_VIN))

    async def output_v(self) -> Volts:
        """At the regulator's sense point; a healthy board reads up to 31 mV below its command."""
        word = pmbus.decode_word(await self._read(Command.READ_VOUT, 2))
        return Volts(pmbus.decode_ulinear16(word, self.mode.exponent))

    async def output_a(self) -> Amps:
        """Signed: small negative values at no load are normal."""
        return Amps(await self._linear11(Command.READ_IOUT))

    async def die_c(self) -> Celsius:
        """The regulator's own die. The first value after switching on may be 127.88 (NerdQAxePlus issue 707)."""
        return Celsius(await self._linear11(Command.READ_TEMPERATURE_1))

    async def _linear11(self, command: Command) -> float:
        value = pmbus.decode_linear11(pmbus.decode_word(await self._read(command, 2)))
        if not math.isfinite(value):
            raise UnexpectedReply(f"{command.name}: {value}")
        return value

    async def _read(self, command: Command, count: int) -> bytes:
        return await self._i2c.write_read(self.address, bytes([command]), count)

    async def _write(self, command: Command, data: bytes = b"") -> None:
        await self._i2c.write(self.address, bytes([command]) + data)


async def identify(i2c: I2c, address: int = ADDRESS) -> Part:
    """Which part answers. `UnknownPart` when it is none that this driver knows: it must not be energised."""
    block = await i2c.write_read(address, bytes([Command.IC_DEVICE_ID]), 1 + _ID_BYTES)
    found = pmbus.decode_block(block) if block[0] == _ID_BYTES else block
    part = _PARTS.get(found)
    if part is None:
        raise UnknownPart(
            "IC_DEVICE_ID", found.hex(" "), ", ".join(f"{key.hex()} {name}" for key, name in _PARTS.items())
        )
    return part
