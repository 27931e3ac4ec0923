"""What the driver must know of a chip: one row of `ASICS`. Facts and a list of frames, no behaviour of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.asics import pll
from drivers.codecs.bm13xx import LONG_REPLY_BYTES, SHORT_REPLY_BYTES, HostMessage, WriteRegister
from drivers.units import Celsius, Megahertz, Seconds

SETTLE_S: Final = 0.010
"""Stock firmware leaves about 10 ms between configuration writes."""
VERSION_ROLLING: Final = WriteRegister(0xA4, 0x9000_FFFF, None)
"""Bit 31 switches on-chip rolling and 11-byte replies on; the low half lets header version bits 28..13 roll."""
INIT_TICKET_DIFFICULTY: Final = 256
LEAST_ANSWER_S: Final = 0.1
"""Less is waited for no answer, however short the line: USB adapters hold bytes back, those of FTDI for 16 ms."""
_ANSWER_S, _ANSWER_PER_CHIP_S = 0.050, 0.001
_DIE_LOW_C, _DIE_HIGH_C = -40.0, 150.0


@dataclass(frozen=True, slots=True)
class InitStep:
    """One frame of a bring-up, and how long to wait behind it. `per_chip`: once for each address, as a unicast."""

    message: HostMessage
    pause_s: float
    what: str
    per_chip: bool = False

    def addressed(self, address: int) -> HostMessage:
        """The frame for one chip."""
        if self.per_chip and isinstance(self.message, WriteRegister):
            return WriteRegister(self.message.register, self.message.value, address)
        return self.message


@dataclass(frozen=True, slots=True)
class DieThermometer:
    """A thermometer in the die that answers on the line. What it measured stands in `result` until the next one."""

    start: tuple[InitStep, ...]
    """Begins a measurement, in all chips."""
    result: int
    """Bit 31: it holds one; bits 15 to 0: steps."""
    c_per_step: float
    zero_c: float

    def celsius(self, word: int) -> Celsius | None:
        """None: nothing was measured, or what no die can be."""
        celsius = (word & 0xFFFF) * self.c_per_step + self.zero_c
        return Celsius(celsius) if word >> 31 and _DIE_LOW_C <= celsius <= _DIE_HIGH_C else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AsicKind:
    """A chip of either family. BM1362 and later take whole headers, roll the version themselves, and sweep for as long
    as a window says. A BM1397 takes midstates, of versions that the host has rolled, and walks its nonces once a job.

    `cores`, `sub_cores`: as the nonce counts them. `small_cores`: what really hashes, for the expected rate.
    `job_mask`, `job_shift`: the job byte of a nonce is `(result & job_mask) >> job_shift`. What has a default is alike
    on BM1366, BM1368 and BM1370.
    """

    name: str
    chip_id: int
    cores: int
    sub_cores: int
    """A power of two."""
    small_cores: int
    midstates: int = 0
    """The most versions that a job carries, each as a midstate; the mask says how many it does (`versions.py`).
    0: jobs are whole headers."""
    job_length_byte: int = 0x56
    """Of a whole header; that of a midstate job is what it says."""
    job_ids: int = 16
    job_step: int
    job_mask: int
    job_shift: int
    core_bits: int = 7
    sub_core_bits: int = 0
    """Of a nonce, below the core: the sub-core, where the result byte has the midstate in its place."""
    reset_baud: int = 115_200
    fast_baud: int = 1_000_000
    """What the host sets; the chip's own divider comes within 5 % of it."""
    baud_register: int = 0x28
    fast_baud_word: int = 0x1130_0200
    clock_limits_mhz: tuple[float, float]
    """Absolute: the driver sends no clock outside, whoever asks."""
    reset_clock_mhz: Megahertz = Megahertz(50.0)
    floor_clock_mhz: Megahertz = Megahertz(50.0)
    pll_shape: pll.PllShape
    pll_rule: pll.Rule = pll.Rule.CLOSEST
    before_clock: tuple[InitStep, ...] = ()
    """Goes out before each clock write."""
    clock_writes: int = 1
    """How often a clock is written, one settling apart."""
    starts_at_offset: bool = False
    """Where the chips of a chain begin their walk: at the offset of register 0C, written after the first job; else at
    their address."""
    window_guard_ticks: int = 0
    """Taken off the sweep window, which overruns by about half as much."""
    stop_register: int = 0x10
    """0 in it stops the hashing."""
    run_word: int | None = None
    """What it holds otherwise; None: the sweep window."""
    hash_count_register: int | None = 0x8C
    """The chip's own count of 2**32 hashes; None: it has none."""
    thermometer: DieThermometer | None = None
    init_ticket_difficulty: int = INIT_TICKET_DIFFICULTY
    version_rolling: WriteRegister | None = VERSION_ROLLING
    before_enumeration: tuple[InitStep, ...] = ()
    after_enumeration: tuple[InitStep, ...] = ()
    """Up to the addressing of the chips; the broadcasts and per-chip frames behind it are in `after_addressing`."""
    after_addressing: tuple[InitStep, ...]
    chip_id_window_s: float = 1.0
    address_pause_s: float = 0.010
    baud_pause_s: float = 0.060

    @property
    def sub_core_mask(self) -> int:
        """Where the result byte of a nonce has the sub-core."""
        return self.sub_cores - 1

    @property
    def midstate_mask(self) -> int:
        """Where the result byte of a nonce says which midstate it is of."""
        return (1 << (self.midstates - 1).bit_length()) - 1 if self.midstates else 0

    @property
    def reply_bytes(self) -> int:
        """Of a chip that was found."""
        return SHORT_REPLY_BYTES if self.midstates else LONG_REPLY_BYTES

    @property
    def job_bytes(self) -> tuple[int, ...]:
        """Every job byte in the order of use."""
        return tuple(self.job_step * (index + 1) % 128 for index in range(self.job_ids))


def next_power_of_two(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


def answer_s(chips: int) -> Seconds:
    """How long a register read may take on a line of so many chips: 50 ms and 1 ms a chip, through all of which an
    answer has to pass. Source: 20 to 30 ms were seen with four at 1 MBd (ESP-Miner-NerdQAxePlus)."""
    return Seconds(max(LEAST_ANSWER_S, _ANSWER_S + _ANSWER_PER_CHIP_S * chips))


def window_ticks(kind: AsicKind, clock: pll.Dividers, chips: int, midstates: int | None = None) -> int:
    """Crystal ticks in which a core walks its share of the nonces, rounded down: the hash-counting number (register
    0x10) of a chip that has one.

    The share is 2**32 / cores / chips, both rounded up to powers of two. Two nonces a clock; on a chip that is sent
    midstates each sub-core walks its part of the share, one hash a clock, so with fewer `midstates` (None: as many as
    it takes) it is done sooner. Sources: ESP-Miner components/asic (formulas), mujina REFERENCE.md (two per clock,
    overrun of about 130 ticks), cgminer driver-gekko.c (a job lasts as many times longer as it has midstates).
    """
    share = (1 << 32) // next_power_of_two(kind.cores) // next_power_of_two(chips)
    if kind.midstates:
        return share * (midstates or kind.midstates) * clock.ref * clock.p1 * clock.p2 // (kind.sub_cores * clock.fb)
    return share * clock.ref * clock.p1 * clock.p2 // (2 * clock.fb) - kind.window_guard_ticks


def ticket_mask_word(difficulty: int) -> int:
    """Register 0x14 for a difficulty, rounded down to a power of two: as many low one bits, each byte bit-reversed."""
    mask = (1 << difficulty.bit_length() - 1) - 1
    return int.from_bytes(bytes(int(f"{byte:08b}"[::-1], 2) for byte in mask.to_bytes(4, "big")), "big")


def rolling_on(times: int) -> tuple[InitStep, ...]:
    """Version rolling and 11-byte replies, so many times: every known bring-up sends it three times or more."""
    steps = [InitStep(VERSION_ROLLING, 0.005, "version rolling, 11-byte replies") for _ in range(times - 1)]
    return (*steps, InitStep(VERSION_ROLLING, SETTLE_S, "version rolling, the last time before the question"))


def core_word(register: int, value: int) -> int:
    """Word for the core mailbox 0x3C: this core register of all cores."""
    return 0x8000_8000 | register << 8 | value


def to_all(register: int, value: int, what: str, pause_s: float = SETTLE_S) -> InitStep:
    return InitStep(WriteRegister(register, value, None), pause_s, what)


def to_each(register: int, value: int, what: str, pause_s: float = SETTLE_S) -> InitStep:
    """Once for each address, as a unicast."""
    return InitStep(WriteRegister(register, value, 0), pause_s, what, per_chip=True)
