"""TMP451 as an I2C target: its own temperature and that of a remote diode, one byte a register.

Sources: TI SLOS877C (registers, where they are read and written, reset values, status), Georges760/tmp451-rs (rates,
ideality, 22 and 24). [M] = from memory of the datasheet, [A] = assumption of this emulator: a measurement takes 34 ms;
what the registers of an open diode say is what it said last; addresses that are only written read as 00. The two pins
that the limits drive, filter and consecutive alerts are not emulated: 22 and 24 keep what is written.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NamedTuple

ADDRESS: Final = 0x4C
NOISE_C: Final = 0.1
MEASURE_S: Final = 0.034
IDEALITY: Final = 1.008
"""Of a diode that reads true after power-up."""
LOCAL_HIGH, REMOTE_HIGH, STATUS, CONFIGURATION, RATE = 0x00, 0x01, 0x02, 0x03, 0x04
ONE_SHOT, REMOTE_LOW, OFFSET_HIGH, OFFSET_LOW, LOCAL_LOW = 0x0F, 0x10, 0x11, 0x12, 0x15
REMOTE_THERM, LOCAL_THERM, HYSTERESIS, N_FACTOR, MAKER = 0x19, 0x20, 0x21, 0x23, 0xFE
_WRITTEN_AT: Final = {0x09: 0x03, 0x0A: 0x04, 0x0B: 0x05, 0x0C: 0x06, 0x0D: 0x07, 0x0E: 0x08}
_MASKS: Final = {
    CONFIGURATION: 0xE4,
    RATE: 0x0F,
    0x05: 0xFF,
    0x06: 0xFF,
    0x07: 0xFF,
    0x08: 0xFF,
    OFFSET_HIGH: 0xFF,
    OFFSET_LOW: 0xF0,
    0x13: 0xF0,
    0x14: 0xF0,
    REMOTE_THERM: 0xFF,
    LOCAL_THERM: 0xFF,
    HYSTERESIS: 0xFF,
    0x22: 0x8F,
    N_FACTOR: 0xFF,
    0x24: 0x03,
}
_RESET: Final = {
    RATE: 0x08,
    0x05: 0x55,
    0x07: 0x55,
    REMOTE_THERM: 0x6C,
    LOCAL_THERM: 0x55,
    HYSTERESIS: 0x0A,
    0x22: 0x01,  # [M]
    MAKER: 0x55,
}
_SHUTDOWN, _EXTENDED = 0x40, 0x04
_BUSY, _LOCAL_ABOVE, _LOCAL_BELOW, _REMOTE_ABOVE, _REMOTE_BELOW, _OPEN = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04
_REMOTE_HOT, _LOCAL_HOT = 0x02, 0x01


class Warmth(NamedTuple):
    """What the part measures."""

    local_c: float
    remote_c: float


class Tmp451:
    """The part. `look` gives what is around it and brings the bench up to that moment."""

    def __init__(self, *, look: Callable[[float], Warmth], seed: int, address: int = ADDRESS) -> None:
        self.address = address
        self._look = look
        self._rng = random.Random(f"{seed}/tmp451/{address}")
        self.diode = "ok"
        """`ok`, `open` or `short`."""
        self.tap: Callable[[str, float], float] | None = None
        """Channel (`chip_c`, the diode) and what would be shown, to what is shown; None: the same. The limits do
        without it."""
        self.power_up(0.0)

    def power_up(self, at_s: float) -> None:
        self._registers = bytearray(256)
        for register, value in _RESET.items():
            self._registers[register] = value
        self._local = self._remote = 0
        """In sixteenths of a degree, before the range cuts them."""
        self._events = 0
        self._hot = 0
        self._conversion = -1
        self._asked_s: float | None = None
        self._low: tuple[int, int] | None = None
        self._pointer = 0

    # --- measuring

    def _convert(self, at_s: float) -> None:
        if self._registers[CONFIGURATION] & _SHUTDOWN:
            if self._asked_s is None or at_s < self._asked_s + MEASURE_S:
                return
            self._asked_s = None
        else:
            period_s = 16.0 / 2 ** min(self._registers[RATE], 9)
            conversion = int(at_s / period_s)
            if conversion == self._conversion:
                return
            self._conversion = conversion
        around = self._look(at_s)
        self._local = round((around.local_c + self._rng.gauss(0.0, NOISE_C)) * 16)
        n_factor = _signed(self._registers[N_FACTOR])
        celsius = (around.remote_c + 273.15) * (2088 + n_factor) / 2088 - 273.15 + self._rng.gauss(0.0, NOISE_C)
        if self.diode == "short":
            celsius = -273.15
        if self.diode != "open":
            offset = _signed(self._registers[OFFSET_HIGH]) * 16 + (self._registers[OFFSET_LOW] >> 4)
            self._remote = round(celsius * 16) + offset
        self._note_events()

    def _note_events(self) -> None:
        registers = self._registers
        base = 64 * 16 if registers[CONFIGURATION] & _EXTENDED else 0
        local, remote = self._cut(self._local) - base, self._cut(self._remote) - base
        if self.diode == "open":
            self._events |= _OPEN
        elif remote > _limit(registers[0x07], registers[0x13]) - base:
            self._events |= _REMOTE_ABOVE
        elif remote <= _limit(registers[0x08], registers[0x14]) - base:
            self._events |= _REMOTE_BELOW
        if local > _limit(registers[0x05], 0) - base:
            self._events |= _LOCAL_ABOVE
        elif local <= _limit(registers[0x06], 0) - base:
            self._events |= _LOCAL_BELOW
        for bit, sixteenths, register in ((_REMOTE_HOT, remote, REMOTE_THERM), (_LOCAL_HOT, local, LOCAL_THERM)):
            hysteresis = registers[HYSTERESIS] * 16 if self._hot & bit else 0
            hot = sixteenths > _limit(registers[register], 0) - base - hysteresis
            self._hot = self._hot | bit if hot else self._hot & ~bit

    def _cut(self, sixteenths: int) -> int:
        """As the registers hold it: from 0, or from -64 C, which stands as 0."""
        if self._registers[CONFIGURATION] & _EXTENDED:
            return min(max(sixteenths + 64 * 16, 0), 0xFFF)
        return min(max(sixteenths, 0), 0x7FF)

    # --- the bus

    def write(self, data: bytes, at_s: float) -> bool:
        self._pointer = data[0]
        if len(data) == 2:
            if data[0] == ONE_SHOT:
                if self._registers[CONFIGURATION] & _SHUTDOWN:
                    self._convert(at_s)
                    self._asked_s = at_s
            elif data[0] not in (CONFIGURATION, RATE, 0x05, 0x06, 0x07, 0x08):  # those are written elsewhere
                self._set(_WRITTEN_AT.get(data[0], data[0]), data[1], at_s)
        return True

    def _set(self, register: int, value: int, at_s: float) -> None:
        mask = _MASKS.get(register)
        if mask is None:
            return
        self._convert(at_s)
        self._registers[register] = value & mask
        if register in (CONFIGURATION, RATE):
            self._conversion = -1

    def read(self, count: int, at_s: float) -> bytes | None:
        return bytes([self._get(self._pointer, at_s)] * count)

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        self.write(data, at_s)
        return self.read(count, at_s)

    def _get(self, register: int, at_s: float) -> int:
        low, self._low = self._low, None
        if low is not None and low[0] == register:
            return low[1]  # of the conversion whose high byte was just read [M]
        if register in (LOCAL_HIGH, LOCAL_LOW, REMOTE_HIGH, REMOTE_LOW, STATUS):
            self._convert(at_s)
        if register in (LOCAL_HIGH, LOCAL_LOW):
            word = self._cut(self._local)
            self._low = (LOCAL_LOW, word << 4 & 0xF0) if register == LOCAL_HIGH else None
            return word >> 4 if register == LOCAL_HIGH else word << 4 & 0xF0
        if register in (REMOTE_HIGH, REMOTE_LOW):
            word = self._cut(self._shown())
            self._low = (REMOTE_LOW, word << 4 & 0xF0) if register == REMOTE_HIGH else None
            return word >> 4 if register == REMOTE_HIGH else word << 4 & 0xF0
        if register == STATUS:
            events, self._events = self._events, 0
            busy = _BUSY if self._asked_s is not None else 0
            return busy | events | (_OPEN if self.diode == "open" else 0) | self._hot
        return self._registers[register]

    def _shown(self) -> int:
        return self._remote if self.tap is None else round(self.tap("chip_c", self._remote / 16) * 16)


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _limit(high: int, low: int) -> int:
    return high << 4 | low >> 4
