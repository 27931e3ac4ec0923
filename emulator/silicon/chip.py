"""A mining chip at register level: what it answers on its line, and what the registers make its cores do.

Facts: mujina mujina-miner/src/asic/bm13xx/REFERENCE.md, GPTechinno/bm13xx-rs, ESP-Miner components/asic;
collected in docs/wire/bm13xx.md. Where silicon is not documented the choice made here is marked [inf].

What it hears and says goes over a `emulator.silicon.line.ChipLine`, alone or with others. Sans-I/O: everything takes
the time. Chance comes from generators of its own, all drawn from the one that the bench hands in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

from drivers.codecs.bm13xx import (
    BadFrame,
    ChainInactive,
    Command,
    DeviceCodec,
    Job,
    MidstateJob,
    Noise,
    NonceReply,
    ReadRegister,
    RegisterReply,
    SetAddress,
    WriteRegister,
)
from emulator.hashing import SolvedHeaders
from emulator.physics import DOMAINS, ChipSupply
from emulator.silicon import registers as reg
from emulator.silicon.cores import Cores, Truth
from emulator.silicon.model import ChipModel

UNLOCK_RATIO: Final = 0.75
"""Below this share of the nominal core voltage the PLL loses its lock, until the next reset."""
POWER_LOST_RATIO: Final = 0.26
"""Below this share of it the chip forgets everything and is silent [inf]."""
BAUD_TOLERANCE: Final = 0.05
TURNAROUND_S: Final = 20e-6
"""From the end of a question to the start of its answer [inf]."""
QUEUED_NONCES: Final = 256
"""Frames that wait for the line; a further nonce is lost and counted in register 50 [inf]."""
_MEASURES_S: Final = 0.010
_COUNTERS_OF_ROLLING_CHIPS: Final = frozenset((*reg.HASH_COUNT_DOMAIN, reg.HASH_COUNT_TOTAL, reg.TICKET_NONCE_COUNTER))
_OF_ROLLING_CHIPS: Final = frozenset(
    (
        reg.HASH_COUNTING_NUMBER,
        reg.MISC_CONTROL,
        reg.UART_BAUD,
        reg.PLL3_PARAMETER,
        reg.ORDERED_CLOCK_ENABLE,
        reg.TICKET_NONCE_COUNTER,
        reg.MIDSTATE_CONFIG,
        reg.SOFT_RESET_CONTROL,
    )
)
"""Registers that a chip which is sent midstates lacks, or has for something else."""

Say = Callable[[bytes, int, float], None]
"""Puts a frame on the way: its bytes, the chip's line rate, and when it is ready to go."""


class MiningChip:
    """One chip.

    `seed_rng`: where the generators of the chip are drawn from. `dilution`: K of `emulator.hashing`. `plant_view`:
    volts and heat at a time; asked at every event, so it must be cheap, and return the same object while nothing
    changes.
    """

    def __init__(
        self,
        model: ChipModel,
        seed_rng: random.Random,
        solved: SolvedHeaders,
        dilution: int,
        plant_view: Callable[[float], ChipSupply],
    ) -> None:
        self.model = model
        self.dilution = dilution
        self._unlock_v = UNLOCK_RATIO * model.nominal_core_v
        self._lost_v = POWER_LOST_RATIO * model.nominal_core_v
        self.truth = Truth()
        self.on_load: Callable[[float, float, float], None] | None = None
        """Called with frequency_mhz, activity and at_s when either of the first two changes: for the plant."""
        self._view = plant_view
        self._cores = Cores(model, seed_rng, solved, dilution, self.truth, self._return_nonce)
        self._now_s = 0.0
        self._in_reset = False
        self._supply: ChipSupply | None = None
        self._powered = False
        self._was_up = False
        self._load = (0.0, 0.0)
        self.say: Say = _mute
        """Where its frames go; so does `hush`. The line puts itself in."""
        self.hush: Callable[[float], None] = _deaf
        """Called when the chip loses what it was about to say: reset, or no power."""
        self.queued = 0
        """Frames that wait for the line, which counts them."""
        self._unlocked = False
        self._words: dict[int, int] = {}
        self._core_words: dict[int, int] = {}
        self._address = 0
        self._addressed = False
        self._broken_chain = False
        self._baud = 0
        self._reply_bytes = 9
        self.frame_s = 0.0
        """How long one of its frames is on the line."""
        self._job_byte: int | None = None
        self._job_midstates = 0
        self._cleared_at = 0
        self._measuring = 0
        """How many of the words that begin a measurement have come."""
        self._measured_at_s: float | None = None
        self._noise = random.Random(model.name)
        """Its own, so that who asks for a temperature changes nothing that the chip finds."""
        self._encode = DeviceCodec(full_header_jobs=True).encode
        self._wipe(0.0)

    # --- the line

    @property
    def listens(self) -> bool:
        return self._powered and not self._in_reset

    def hears(self, baud: int, previous_baud: int | None) -> bool | None:
        """Whether bytes at this rate are heard thanks to the host's previous rate alone; None: they are noise to it."""
        own = self._baud
        if baud == 0 or abs(baud - own) <= BAUD_TOLERANCE * own:
            return False
        if previous_baud and abs(previous_baud - own) <= BAUD_TOLERANCE * own:
            return True
        return None

    def hear(self, command: Command, baud: int, previous_baud: int | None, at_s: float) -> bool:
        """One message of the host. True: it goes no further, a chip that takes an address keeps the command."""
        late = self.hears(baud, previous_baud)
        if late is None:
            self.truth.noise_bytes += line_bytes(command)
            return False
        if late and not isinstance(command, Noise | BadFrame):
            self.truth.grace_frames += 1
            self.truth.warnings["host changed its rate before its last frame was out"] += 1
        return self._obey(command, at_s, late)

    def due_s(self) -> float:
        """When it will have more to say, or must be looked at; infinite: not to be foreseen."""
        return min(self._cores.due_s() + self.frame_s, self._cores.look_at_s)

    # --- pins and faults

    def set_reset(self, asserted: bool, at_s: float) -> None:
        """The reset line, `asserted` meaning low. Everything returns to its reset value and stays there."""
        self.advance(at_s)
        if asserted == self._in_reset:
            return
        self._in_reset = asserted
        self._wipe(at_s)
        self._was_up = self._supply is not None and self._supply.core_v >= self._unlock_v

    def set_power(self, core_v: float, at_s: float) -> None:
        """The core rail has changed to `core_v` volts: a loss of power between two looks at the plant is not missed."""
        self.advance(at_s)
        self._feel_volts(core_v, at_s)

    def set_dead_domains(self, domains: Iterable[int], at_s: float) -> None:
        """Fault: domains without a clock lose their nonces and make no errors. They draw power all the same."""
        self.advance(at_s)
        self._cores.set_yields(self._cores.yields, at_s)  # book what has been hashed so far
        self._cores.dead_domains = frozenset(domains)
        self._cores.plan_errors(at_s)

    def set_wrong_share(self, share: float, at_s: float) -> None:
        """Fault: of the nonces that would be right, this share is spoilt on its way out, its checksum right."""
        self.advance(at_s)
        self._cores.wrong_share = share

    # --- what it shows

    @property
    def frequency_mhz(self) -> float:
        """The hash clock; 0 without power, in reset, or when the PLL has lost its lock."""
        return self._load[0]

    @property
    def hash_activity(self) -> float:
        """Share of full hashing, 0 or 1."""
        return self._load[1]

    @property
    def hashrate_hs(self) -> float:
        """Hashes per second by design; wrong results are among them."""
        return self._cores.rate_hs

    @property
    def yields(self) -> tuple[float, ...]:
        """Share of right results per domain, as of the last look at the plant; 0 for a dead domain."""
        cores = self._cores
        return tuple(0.0 if d in cores.dead_domains else cores.yields[d] for d in range(DOMAINS))

    @property
    def baud(self) -> int:
        return self._baud

    @property
    def reply_bytes(self) -> int:
        """9, or 11 once version rolling has been switched on."""
        return self._reply_bytes

    @property
    def address(self) -> int:
        return self._address

    # --- time

    def advance(self, to_s: float) -> None:
        """Live through everything up to `to_s`, in order; then look at the plant."""
        if to_s > self._now_s or self._cores.look_at_s <= to_s:
            self._cores.live_until(to_s)
            self._now_s = to_s
        supply = self._view(to_s)
        if supply is not self._supply:
            self._supply = supply
            self._feel_volts(0.0 if supply.burnt else supply.core_v, to_s)
            if supply.yields != self._cores.yields:
                self._cores.set_yields(supply.yields, to_s)

    def _feel_volts(self, core_v: float, at_s: float) -> None:
        if core_v < self._lost_v:
            if self._powered:
                self._powered = self._was_up = False
                self._wipe(at_s)
            return
        if not self._powered:
            self._powered = True
            self._wipe(at_s)
        if core_v >= self._unlock_v:
            self._was_up = True
        elif self._was_up and not self._in_reset and not self._unlocked:
            self._unlocked = True
            self._retime(at_s)

    def _wipe(self, at_s: float) -> None:
        """Reset values everywhere; bytes that were on the line are cut off."""
        self._words = dict(self.model.reset)
        self._core_words = dict(self.model.core_reset)
        self._address = 0
        self._addressed = self._broken_chain = self._unlocked = False
        self._baud = self._line_baud()
        self._use_reply_bytes(9)
        self.hush(at_s)
        self._job_byte = None
        self._cleared_at = 0
        self._measuring, self._measured_at_s = 0, None
        self._cores.reset(at_s)
        self._retime(at_s)

    def _retime(self, at_s: float) -> None:
        """After anything that may change the clock or whether the cores hash."""
        words = self._words
        clock_mhz = 0.0
        if self._powered and not self._in_reset and not self._unlocked:
            less = 0 if self.model.midstates else 1
            clock_mhz = reg.pll_mhz(words[reg.PLL0_PARAMETER], words.get(reg.PLL0_DIVIDER, 0), less)
        if self.model.midstates:  # none of them enabled: the cores stand still [inf, from the name]
            ticks, enabled = words[reg.ORDERED_CLOCK_ENABLE] & 0xFFFF, True
        else:
            ticks = words.get(reg.HASH_COUNTING_NUMBER, 0)
            enabled = self._core_words.get(reg.CORE_ENABLE) == reg.CORE_ENABLED
        hashing = bool(clock_mhz and ticks and enabled and self._job_byte is not None)
        self._cores.retime(at_s, clock_mhz if hashing else 0.0, ticks)
        load = (clock_mhz, 1.0 if hashing else 0.0)
        if load != self._load:
            self._load = load
            if self.on_load is not None:
                self.on_load(clock_mhz, load[1], at_s)

    # --- commands

    def _obey(self, command: Command, at_s: float, late: bool) -> bool:
        match command:
            case Job():
                self._take_job(command, at_s)
            case WriteRegister(register, value, address):
                self._warn_of_broadcast(address)
                if address is None or address == self._address:
                    self._write(register, value, at_s)
            case ReadRegister(register, address):
                self._warn_of_broadcast(address)
                if address is None or address == self._address:
                    self._answer_read(register, self._read(register, at_s), at_s, line_bytes(command))
            case ChainInactive():
                self._addressed = False
                self._broken_chain = True
            case SetAddress(address):
                self._broken_chain = False
                if not self._addressed:
                    self._address, self._addressed = address, True
                    return True
            case BadFrame(kind, data):
                if late:
                    self.truth.noise_bytes += len(data)
                else:
                    self.truth.bad_frames += 1
                    self._count_flag(24 if kind == "command" else 16)
            case Noise(data):
                self.truth.noise_bytes += len(data)
            case MidstateJob() if self.model.midstates:
                self._take_midstates(command, at_s)
            case MidstateJob():
                self.truth.warnings["midstate job"] += 1
        return False

    def _warn_of_broadcast(self, address: int | None) -> None:
        if address is None and self._broken_chain:
            self.truth.warnings["broadcast between chain-inactive and the last address"] += 1

    def _count_flag(self, shift: int) -> None:
        """Count in one byte of 48, which stays at 255 [inf]."""
        word = self._words.get(reg.ERROR_FLAG, 0)
        if word >> shift & 0xFF < 0xFF:
            self._words[reg.ERROR_FLAG] = word + (1 << shift)

    def _take_job(self, job: Job, at_s: float) -> None:
        """Any chip takes any job, addressed or not; it replaces the one before."""
        if not self._words[reg.MIDSTATE_CONFIG] & reg.ROLLING:
            self.truth.warnings["full-header job while version rolling is off"] += 1
            return
        first = self._job_byte is None
        self._job_byte = job.job_byte
        self._cores.take(job.header[:76], at_s, self._start())
        if first:
            self._retime(at_s)

    def _take_midstates(self, job: MidstateJob, at_s: float) -> None:
        """As many of them as the job says that it has: ESP-Miner sends room for four and says one."""
        midstates = job.midstates[: job.count]
        if job.job_byte & ~self.model.job_bits or not midstates:
            self.truth.warnings["a job id or a count of midstates that nobody sends"] += 1
            return
        if len(midstates) > 1 and not self._core_words.get(reg.CLOCK_DELAY, 0) & reg.MANY_MIDSTATES:
            self.truth.warnings["several midstates while core register 0 allows one"] += 1
            midstates = midstates[:1]
        first = self._job_byte is None
        self._job_byte, self._job_midstates = job.job_byte, len(midstates)
        self._cores.take_midstates(midstates, job.tail, at_s, self._start() or 0)
        if first:
            self._retime(at_s)

    def _start(self) -> int | None:
        """Counter at which a sweep begins; None: anywhere."""
        if self.model.starts_at_address:
            return (self._address & self.model.address_bits) << self.model.counter_bits - 8
        offset = self._words.get(reg.CHIP_NONCE_OFFSET, 0)
        return (offset & 0xFFFF) << 9 if offset & reg.OFFSET_VALID else None

    def _write(self, register: int, value: int, at_s: float) -> None:
        if register in reg.READ_ONLY:
            return
        words = self._words
        words[register] = value
        if self.model.midstates and register in _OF_ROLLING_CHIPS:
            self._write_as_before(register, at_s)
            return
        match register:
            case reg.PLL0_PARAMETER | reg.PLL0_DIVIDER:
                misfit = reg.pll_misfit(words[reg.PLL0_PARAMETER], self.model.vco_mhz, vco_bit=not self.model.midstates)
                if misfit:
                    self.truth.warnings[misfit] += 1
                self._retime(at_s)
            case reg.HASH_COUNTING_NUMBER:
                self._retime(at_s)
            case reg.TICKET_MASK:
                self._cores.set_ticket(reg.zero_bits_asked(value), at_s)
            case reg.MISC_CONTROL:
                self._cores.set_answering(reg.cores_that_answer(value, self.model.cores, self.model.enable_bits), at_s)
            case reg.UART_BAUD:
                self._baud = self._line_baud()
                self._use_reply_bytes(self._reply_bytes)
            case reg.CORE_MAILBOX:
                self._use_mailbox(value, at_s)
            case reg.TEMPERATURE_CONTROL:
                self._control_thermometer(value, at_s)
            case reg.TICKET_NONCE_COUNTER if value == 0:
                self._cleared_at = sum(self._cores.counts(at_s))
            case reg.MIDSTATE_CONFIG:
                if value & reg.ROLLING and value & 0xFFFF != 0xFFFF:
                    self.truth.warnings["partial version mask: all 16 bits are rolled"] += 1
                self._use_reply_bytes(11 if value & reg.ROLLING else 9)
            case reg.SOFT_RESET_CONTROL if value & 0xF:
                # run-time core reset: the cores lose their registers and the job [inf]
                self._core_words = dict(self.model.core_reset)
                self._job_byte = None
                self._cores.drop(at_s)
                self._retime(at_s)

    def _control_thermometer(self, word: int, at_s: float) -> None:
        """The result is there 10 ms after the last word [A]; a word out of order begins nothing."""
        expected = reg.MEASURES[self._measuring]
        self._measuring = self._measuring + 1 if word == expected else int(word == reg.MEASURES[0])
        if self._measuring == len(reg.MEASURES):
            self._measuring, self._measured_at_s = 0, at_s + _MEASURES_S

    def _temperature(self, at_s: float) -> int:
        """Of the measurement begun last, with the noise of one step [A]; 0 before there is one."""
        if self.model.thermometer is None or self._supply is None:
            return 0
        if self._measured_at_s is not None and at_s >= self._measured_at_s:
            a_step, zero_c = self.model.thermometer
            steps = round((self._supply.die_c - zero_c) / a_step + self._noise.gauss(0.0, 1.0))
            self._words[reg.TEMPERATURE_RESULT] = reg.MEASURED | steps
            self._measured_at_s = None
        return self._words.get(reg.TEMPERATURE_RESULT, 0)

    def _write_as_before(self, register: int, at_s: float) -> None:
        """What a write does that means something else on a chip that is sent midstates, or nothing."""
        match register:
            case reg.MISC_CONTROL | reg.UART_BAUD | reg.PLL3_PARAMETER:
                self._baud = self._line_baud()
                self._use_reply_bytes(self._reply_bytes)
            case reg.ORDERED_CLOCK_ENABLE:
                self._retime(at_s)

    def _line_baud(self) -> int:
        words = self._words
        if not self.model.midstates:
            return reg.line_baud(words[reg.UART_BAUD])
        baud = reg.line_baud_of_misc(words[reg.MISC_CONTROL], words[reg.UART_BAUD], words[reg.PLL3_PARAMETER])
        return baud or self._baud

    def _use_mailbox(self, word: int, at_s: float) -> None:
        """A core register: written in all cores whatever the core id [inf], or read; the answer comes as 40."""
        if not word & reg.COMMAND:
            return
        number, core = word >> 8 & 0x1F, word >> 16 & 0x1FF
        if word & 0x8000:
            self._core_words[number] = word & 0xFF
            if number == reg.CORE_ENABLE:
                self._retime(at_s)
            return
        found = core < self.model.cores
        value = core << 16 | found << 8 | (self._core_words.get(number, 0) if found else 0)
        self._words[reg.CORE_REGISTER_VALUE] = value
        self._answer_read(reg.CORE_REGISTER_VALUE, value, at_s, 11)

    def _read(self, register: int, at_s: float) -> int:
        if self.model.midstates and register in _COUNTERS_OF_ROLLING_CHIPS:
            return self._words.get(register, 0)
        match register:
            case reg.CHIP_ID:
                return self._words[register] | self._address
            case reg.PLL0_PARAMETER:
                return self._words[register] & ~reg.LOCKED | (reg.LOCKED if self._load[0] else 0)
            case reg.HASH_RATE if self.model.midstates and self._load[1]:
                return round(self._cores.rate_hs / 2**20) & 0x7FFF_FFFF  # ESP-Miner reads it so
            case reg.TEMPERATURE_RESULT:
                return self._temperature(at_s)
            case reg.HASH_COUNT_TOTAL:
                return sum(self._cores.counts(at_s)) & 0xFFFF_FFFF
            case reg.TICKET_NONCE_COUNTER:
                return sum(self._cores.counts(at_s)) - self._cleared_at & 0xFFFF_FFFF
            case reg.NONCE_ERROR_COUNTER:
                self._cores.counts(at_s)
                return self._cores.wrong_count & 0xFFFF_FFFF
        if register in reg.HASH_COUNT_DOMAIN:
            return self._cores.counts(at_s)[register - reg.HASH_COUNT_DOMAIN[0]] & 0xFFFF_FFFF
        return self._words.get(register, 0)

    # --- answers

    def _answer_read(self, register: int, value: int, at_s: float, question_bytes: int) -> None:
        """The line is a UART: a question takes its time to come in, an answer to go out."""
        heard_s = at_s + question_bytes * 10 / self._baud
        self._put_on_line(RegisterReply(value, self._address, register), heard_s + TURNAROUND_S)

    def _return_nonce(self, nonce: int, version_field: int, excess: int, at_s: float) -> bool:
        """A find of the cores. False when too many wait already."""
        job_byte = self._job_byte
        if job_byte is None or self.queued >= QUEUED_NONCES:
            self.truth.overflowed += 1
            count = self._words.get(reg.NONCE_OVERFLOW_COUNTER, 0)
            self._words[reg.NONCE_OVERFLOW_COUNTER] = count + 1 & 0xFFFF_FFFF
            return False
        # Of one midstate alone the sub-core is told; of several which it was, with the sub-core in the nonce.
        low = nonce >> self.model.counter_bits if self._job_midstates == 1 else version_field
        result = self.model.result(job_byte, low)
        self._put_on_line(NonceReply(nonce.to_bytes(4, "big"), excess, result, version_field), at_s)
        return True

    def _put_on_line(self, reply: RegisterReply | NonceReply, ready_s: float) -> None:
        self.say(self._encode(reply, self._reply_bytes), self._baud, ready_s)

    def _use_reply_bytes(self, count: int) -> None:
        self._reply_bytes = count
        self.frame_s = count * 10 / self._baud


def _mute(data: bytes, baud: int, ready_s: float) -> None:
    raise AssertionError("a chip that hangs on no line")


def _deaf(at_s: float) -> None:
    """Nothing is on the way."""


def line_bytes(command: Command) -> int:
    """Bytes that a message had on the line."""
    match command:
        case Job():
            return 88
        case MidstateJob(midstates=midstates):
            return 24 + 32 * len(midstates)
        case WriteRegister():
            return 11
        case Noise(data=data) | BadFrame(data=data):
            return len(data)
        case _:
            return 7
