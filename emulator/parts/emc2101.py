"""EMC2101 fan controller and diode thermometer as an I2C target, with its own temperature-to-fan table.

Sources: Microchip EMC2101 datasheet (https://ww1.microchip.com/downloads/en/DeviceDoc/2101.pdf, register table of
section 6), held against two independent drivers written from it: adafruit/Adafruit_CircuitPython_EMC2101
(`emc2101_regs.py`, `emc2101_lut.py`) and feeph/libemc2101-python (`core.py`, reset values and status bits). ESP-Miner
issue 1927 for the true scale of the duty; bitaxe-raw issue 10 for the fan at power-up.
[M] = from memory of the datasheet, [U] = unverified on a part, [A] = assumption of this emulator.

The table: 4A bit 5 (PROG) set means that 4C drives the fan and that 4C and 4F..5F can be written; clear means that the
table drives it and they are read-only. Eight pairs, temperature (7 bits) and setting (6 bits), in rising order; going
down, a pair is left when the temperature is the hysteresis 4F below it. Both drivers act on this; one comment of the
second states the lock the other way round, against its own code. Above TCRIT (19, 85 C) the fan is at full speed
whatever drives it, until the diode is the hysteresis 21 below it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NamedTuple

ADDRESS: Final = 0x4C
PRODUCT_IDS: Final = {"EMC2101": 0x16, "EMC2101-R": 0x28}
"""Both are found on Gamma boards. The -R is meant to start the fan at full speed, and does not do so reliably."""
MAKER_ID: Final = 0x5D
REVISION: Final = 0x01
TACH_CLOCK: Final = 5_400_000
TACH_STOPPED: Final = 0xFFFF
SLOWEST_RPM: Final = 60.0
"""Below this a revolution takes longer than the counter counts."""
GARBAGE_S: Final = 0.5
"""The diode reads nonsense for so long after the chip leaves reset (mujina `board/bitaxe.rs`)."""
DIODE_OPEN_CODE: Final = 0x3F8
DIODE_SHORT_CODE: Final = 0x3FF
NOISE_C: Final = 0.15
POWER_UP_DIODE: Final = (0x12, 0x08)
"""Codes of ideality and beta after power-up."""
WRONG_BETA_C: Final = 1.5
"""What a beta that does not fit the diode adds [A]."""

INTERNAL, EXTERNAL_HIGH, STATUS, CONFIG, RATE = 0x00, 0x01, 0x02, 0x03, 0x04
FORCED, ONE_SHOT, EXTERNAL_LOW = 0x0C, 0x0F, 0x10
IDEALITY, BETA, TCRIT, TCRIT_HYSTERESIS = 0x17, 0x18, 0x19, 0x21
TACH_LOW, TACH_HIGH, TACH_LIMIT_LOW, TACH_LIMIT_HIGH = 0x46, 0x47, 0x48, 0x49
FAN_CONFIG, SPIN_UP, FAN_SETTING, PWM_FREQUENCY, PWM_DIVIDE, TABLE_HYSTERESIS = 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F
TABLE, TABLE_END = 0x50, 0x60
PRODUCT, MAKER, REVISION_REGISTER = 0xFD, 0xFE, 0xFF

_PROG, _FORCE, _POLARITY = 0x20, 0x40, 0x10
_CRITICAL_OPEN, _TACH_INPUT, _STANDBY = 0x02, 0x04, 0x40
_MIRRORS: Final = {0x09: CONFIG, 0x0A: RATE, 0x0B: 0x05, 0x0D: 0x07, 0x0E: 0x08}
_MASKS: Final = {  # writable bits; a register that is missing here cannot be written
    CONFIG: 0xFF,
    RATE: 0x0F,
    0x05: 0xFF,
    0x07: 0xFF,
    0x08: 0xFF,
    FORCED: 0xFF,
    ONE_SHOT: 0x00,
    0x11: 0xFF,
    0x12: 0xFF,
    0x13: 0xE0,
    0x14: 0xE0,
    0x16: 0xFF,
    IDEALITY: 0x3F,
    BETA: 0x0F,
    TCRIT: 0xFF,
    TCRIT_HYSTERESIS: 0x7F,
    TACH_LIMIT_LOW: 0xFF,
    TACH_LIMIT_HIGH: 0xFF,
    FAN_CONFIG: 0x7F,
    SPIN_UP: 0x3F,
    FAN_SETTING: 0x3F,
    PWM_FREQUENCY: 0x1F,
    PWM_DIVIDE: 0xFF,
    TABLE_HYSTERESIS: 0x1F,
    0xBF: 0x07,
    **{register: 0x3F if register & 1 else 0x7F for register in range(TABLE, TABLE_END)},
}
_RESET: Final = {
    CONFIG: 0x00,
    RATE: 0x08,
    0x05: 0x46,
    0x07: 0x46,
    0x16: 0xA4,
    IDEALITY: POWER_UP_DIODE[0],
    BETA: POWER_UP_DIODE[1],
    TCRIT: 0x55,
    TCRIT_HYSTERESIS: 0x0A,
    TACH_LIMIT_LOW: 0xFF,
    TACH_LIMIT_HIGH: 0xFF,
    FAN_CONFIG: 0x20,
    SPIN_UP: 0x3F,
    FAN_SETTING: 0x00,
    PWM_FREQUENCY: 0x17,
    PWM_DIVIDE: 0x01,
    TABLE_HYSTERESIS: 0x04,
    MAKER: MAKER_ID,
    REVISION_REGISTER: REVISION,
    **{register: 0x3F if register & 1 else 0x7F for register in range(TABLE, TABLE_END)},
}
_SPIN_UP_S: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_SPIN_UP_DUTY: Final = (0.0, 0.5, 0.75, 1.0)


class Surroundings(NamedTuple):
    """What the part measures."""

    chip_c: float
    """Die of the chip whose diode it reads."""
    board_c: float
    """Its own temperature."""
    fan_rpm: float


class Emc2101:
    """The part. `look` gives what is around it and brings the bench up to that moment; `drive` is told each change of
    the fan's true duty, 0 to 1. The bench calls `tick` on its own grid, so the table works without any host."""

    def __init__(
        self,
        *,
        look: Callable[[float], Surroundings],
        drive: Callable[[float, float], None],
        seed: int,
        product: str = "EMC2101",
        address: int = ADDRESS,
        right_diode: tuple[int, int] = POWER_UP_DIODE,
        below_die_c: float | None = None,
    ) -> None:
        """`right_diode`: codes of ideality and beta with which the diode reads true; others bias it.

        `below_die_c`: there is no diode, and its own temperature, so far below the die, stands for it. A tap and a
        broken diode (-128 C [A]) act on that then.
        """
        self._below_die_c = below_die_c
        self._right_ideality, self._right_beta = right_diode
        self.address = address
        self._product_id = PRODUCT_IDS[product]
        self._look, self._drive = look, drive
        self._rng = random.Random(f"{seed}/emc2101")
        self.diode = "ok"
        """`ok`, `open` or `short`."""
        self.tap: Callable[[str, float], float] | None = None
        """Channel and what would be shown, to what is shown; None: the same. Table and limits do without it."""
        self.tach_lost = False
        """No pulses arrive, whatever the fan does."""
        self.duty = 0.0
        """True duty on the pin, 0 to 1."""
        self._garbage_until_s = float("-inf")
        self.power_up(0.0)

    def power_up(self, at_s: float) -> None:
        """Reset values: direct setting 0, so the fan stands until somebody writes."""
        self._registers = bytearray(256)
        for register, value in _RESET.items():
            self._registers[register] = value
        self._registers[PRODUCT] = self._product_id
        self._critical = False
        self._critical_limit_written = False
        self._low_byte: int | None = None
        self._conversion = -1
        self._code = 0
        self._internal = 0
        self._events = 0
        self._tach_high = 0xFF
        self._table_at = -1
        self._spin_until_s: float | None = None
        self._setting = 0
        self._bias()
        self._period_s = 1 / 16
        self._set_duty(0.0, at_s)

    def disturb(self, at_s: float) -> None:
        """The chip left reset: its diode reads nonsense for a while."""
        self._garbage_until_s = at_s + GARBAGE_S

    @property
    def table_active(self) -> bool:
        return not self._registers[FAN_CONFIG] & _PROG

    # --- measuring

    def tick(self, at_s: float, around: Surroundings) -> None:
        """One look at the world: convert when it is time to, then let the table or the spin-up move the fan."""
        self._convert(at_s, around)
        if self._spin_until_s is not None:
            self._spin(at_s, around)

    def _convert(self, at_s: float, around: Surroundings) -> None:
        conversion = int(at_s / self._period_s)
        if conversion == self._conversion or self._registers[CONFIG] & _STANDBY:
            return
        self._conversion = conversion
        self._internal = round(around.board_c) & 0xFF
        if self.diode == "open" or self._below_die_c is not None:
            self._code = DIODE_OPEN_CODE
        elif self.diode == "short":
            self._code = DIODE_SHORT_CODE
        else:
            celsius = (around.chip_c + 273.15) * self._ideality_ratio - 273.15 + self._beta_c
            celsius += self._rng.gauss(0.0, NOISE_C)
            if at_s < self._garbage_until_s:
                celsius += self._rng.uniform(-60.0, 60.0)
            self._code = min(max(round(celsius * 8), -512), 1015)
        self._note_events()
        registers = self._registers
        release_c = registers[TCRIT] - (registers[TCRIT_HYSTERESIS] if self._critical else 0)
        # Boards without a diode have fans that follow under AxeOS: what is not there is not critical [A].
        critical = self._below_die_c is None and self._code / 8 > release_c
        if critical != self._critical:
            self._critical = critical
            self._apply(self._setting, at_s)
        if self.table_active:
            self._follow_table(at_s)

    def _note_events(self) -> None:
        registers = self._registers
        eighths = self._code
        high = _signed(registers[0x07]) * 8 + (registers[0x13] >> 5)
        low = _signed(registers[0x08]) * 8 + (registers[0x14] >> 5)
        if _signed(self._internal) > _signed(registers[0x05]):
            self._events |= 0x40
        if eighths > high:
            self._events |= 0x10
        if eighths < low:
            self._events |= 0x08
        if self.diode == "open":
            self._events |= 0x04  # a short does not set it
        if eighths > registers[TCRIT] * 8:
            self._events |= 0x02

    def _bias(self) -> None:
        self._ideality_ratio = _ideality(self._right_ideality) / _ideality(self._registers[IDEALITY])
        self._beta_c = 0.0 if self._registers[BETA] == self._right_beta else WRONG_BETA_C

    # --- driving

    def _follow_table(self, at_s: float) -> None:
        registers = self._registers
        celsius = _signed(registers[FORCED]) if registers[FAN_CONFIG] & _FORCE else self._code / 8
        hysteresis = registers[TABLE_HYSTERESIS]
        reached = -1
        for entry in range(8):
            threshold = registers[TABLE + 2 * entry]
            if celsius >= threshold - (hysteresis if entry <= self._table_at else 0):
                reached = entry
            else:
                break
        self._table_at = reached
        self._apply(registers[TABLE + 2 * reached + 1] if reached >= 0 else 0, at_s)  # below the first pair: off [M]

    def _apply(self, setting: int, at_s: float) -> None:
        """Drive the fan with a setting of 0..63; full is twice the PWM frequency register."""
        if setting != self._setting:
            behaviour = self._registers[SPIN_UP]
            if self._setting == 0 and behaviour & 0x07 and behaviour & 0x18:
                self._spin_until_s = at_s + _SPIN_UP_S[behaviour & 0x07]
            if setting == 0:
                self._spin_until_s = None
            self._setting = setting
        if self._spin_until_s is not None:
            self._set_duty(_SPIN_UP_DUTY[self._registers[SPIN_UP] >> 3 & 3], at_s)
            return
        if self._critical:
            self._set_duty(1.0, at_s)
            return
        full = 2 * (self._registers[PWM_FREQUENCY] & 0x1F) or 1
        duty = min(1.0, setting / full)
        self._set_duty(1.0 - duty if self._registers[FAN_CONFIG] & _POLARITY else duty, at_s)

    def _spin(self, at_s: float, around: Surroundings) -> None:
        """End the spin-up: its time is over, or the tachometer shows that the fan turns (4B bit 5)."""
        registers = self._registers
        by_tach = registers[SPIN_UP] & 0x20 and registers[CONFIG] & _TACH_INPUT
        limit = registers[TACH_LIMIT_LOW] | registers[TACH_LIMIT_HIGH] << 8
        turning = by_tach and around.fan_rpm > 0 and not self.tach_lost and TACH_CLOCK / around.fan_rpm < limit
        if self._spin_until_s is not None and (turning or at_s >= self._spin_until_s):
            self._spin_until_s = None
            self._apply(self._setting, at_s)

    def _set_duty(self, duty: float, at_s: float) -> None:
        if duty != self.duty:
            self.duty = duty
            self._drive(duty, at_s)

    # --- the bus

    def write(self, data: bytes, at_s: float) -> bool:
        register = _MIRRORS.get(data[0], data[0])
        for value in data[1:]:
            self._set(register, value, at_s)
            register = (register + 1) & 0xFF
        return True

    def _set(self, register: int, value: int, at_s: float) -> None:
        registers = self._registers
        mask = _MASKS.get(register)
        if mask is None:
            return
        if (register == FAN_SETTING or TABLE_HYSTERESIS <= register < TABLE_END) and self.table_active:
            return  # read-only while the table drives
        if register == TCRIT:
            if not registers[CONFIG] & _CRITICAL_OPEN or self._critical_limit_written:
                return  # once a power-up, and only when 03 bit 1 permits it
            self._critical_limit_written = True
        registers[register] = value & mask
        if register == RATE:
            self._period_s = 16 / 2 ** min(value & 0x0F, 9)
        elif register in (IDEALITY, BETA):
            self._bias()
        elif register in (CONFIG, ONE_SHOT):
            self._conversion = -1
        elif register in (FAN_SETTING, FAN_CONFIG, PWM_FREQUENCY):
            if self.table_active:
                self._table_at = -1
                self._convert(at_s, self._look(at_s))
                self._follow_table(at_s)
            else:
                self._apply(registers[FAN_SETTING], at_s)

    def read(self, count: int, at_s: float) -> bytes | None:
        """A read that names no register [U]: acknowledged, from register 00 on."""
        return self.write_read(b"\x00", count, at_s)

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        register = data[0]
        if len(data) > 1:
            self.write(data, at_s)
        if count == 1:
            return bytes((self._get(register, at_s),))
        return bytes(self._get((register + step) & 0xFF, at_s) for step in range(count))

    def _get(self, register: int, at_s: float) -> int:
        if register in (EXTERNAL_HIGH, EXTERNAL_LOW, INTERNAL, STATUS):
            around = self._look(at_s)
            self._convert(at_s, around)
            if register == EXTERNAL_HIGH:
                code = self._shown_code()
                self._low_byte = code << 5 & 0xE0  # held for the read that should follow
                return code >> 3 & 0xFF
            if register == EXTERNAL_LOW:
                low, self._low_byte = self._low_byte, None
                return self._shown_code() << 5 & 0xE0 if low is None else low
            if register == INTERNAL:
                return self._shown_internal()
            return self._read_status(around)
        if register == TACH_LOW:
            count = self._tach(self._look(at_s), self.tap)
            self._tach_high = count >> 8
            return count & 0xFF
        if register == TACH_HIGH:
            return self._tach_high
        if register == FAN_SETTING and self.table_active:
            return self._setting  # what the table drives at the moment [M]
        return self._registers[_MIRRORS.get(register, register)]

    def _shown_code(self) -> int:
        """What the diode reads, in eighths of a degree."""
        return self._code if self.tap is None else round(self.tap("chip_c", self._code / 8) * 8)

    def _shown_internal(self) -> int:
        below_c = self._below_die_c
        if below_c is None:
            return self._internal
        if self.diode != "ok":
            return 0x80
        if self.tap is None:
            return self._internal
        shown_c = self.tap("chip_c", _signed(self._internal) + below_c) - below_c
        return min(max(round(shown_c), -128), 127) & 0xFF

    def _read_status(self, around: Surroundings) -> int:
        """Reading clears; what still holds is set again by the next conversion."""
        events, self._events = self._events, 0
        registers = self._registers
        if registers[CONFIG] & _TACH_INPUT:
            limit = registers[TACH_LIMIT_LOW] | registers[TACH_LIMIT_HIGH] << 8
            if self._tach(around) > limit:
                events |= 0x01
        if self.diode == "open":
            events |= 0x04
        return events

    def _tach(self, around: Surroundings, tap: Callable[[str, float], float] | None = None) -> int:
        """Clock counts for a revolution, the mode of 4A in the lowest two bits; FFFF when the fan stands or the pin
        is the alert output."""
        if not self._registers[CONFIG] & _TACH_INPUT:
            return TACH_STOPPED
        rpm = 0.0 if self.tach_lost else around.fan_rpm
        if rpm >= SLOWEST_RPM:
            rpm *= 1 + self._rng.gauss(0.0, 0.002)  # jitter [A]
        if tap is not None:
            rpm = tap("fan_rpm", rpm)
        if rpm < SLOWEST_RPM:
            return TACH_STOPPED
        return min(int(TACH_CLOCK / rpm) & 0xFFFC | self._registers[FAN_CONFIG] & 0x03, TACH_STOPPED)


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _ideality(code: int) -> float:
    """08 is 0.9949, 37 is 1.0566, even steps between."""
    return 0.9949 + 0.0617 / 47 * (code - 0x08)
