"""A chain of mining chips on one serial line: brought up, clocked, fed with headers. `judge.py` verifies the nonces.

Sources: ESP-Miner components/asic, kanoi/cgminer driver-gekko.c, mujina bm13xx/thread.rs.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from drivers.asics import pll
from drivers.asics.boundaries import Boundaries
from drivers.asics.clocks import SLEW_STEP_MHZ as SLEW_STEP_MHZ
from drivers.asics.clocks import Clocks, Moves, Told
from drivers.asics.dies import Dies
from drivers.asics.judge import Judge
from drivers.asics.kind import LEAST_ANSWER_S, SETTLE_S, AsicKind, InitStep, answer_s, ticket_mask_word, window_ticks
from drivers.asics.partition import Partition, who_is_missing
from drivers.asics.records import CHIP_ID, Chip, Counters, Find, Work, of_register
from drivers.asics.stop import CLOCK, StopFrames, floor_clock, stop_frames, stop_writes
from drivers.asics.versions import ROLLED_VERSION_BITS, check_mask, job_of, midstates_of, rolled
from drivers.codecs.bm13xx import (
    SHORT_REPLY_BYTES,
    ChainInactive,
    HostCodec,
    HostEvent,
    HostMessage,
    ReadRegister,
    RegisterReply,
    SetAddress,
    WriteRegister,
)
from drivers.errors import NoReply, Unplugged, UsageError, VerifyError
from drivers.link import Link
from drivers.traits import Transport
from drivers.units import HashesPerSecond, Megahertz, Seconds

_log = logging.getLogger(__name__)

__all__ = ["Chain", "Chip", "Counters", "Find", "Work"]

READ_TRIES: Final = 3
SLEW_S: Final = 0.1
"""Between two steps of a ramp."""

_NONCE_OFFSET, _TICKET, _ERROR_COUNT = 0x0C, 0x14, 0x4C
_CRYSTAL_HZ: Final = 25e6


class Chain:
    """Made with a transport that was not started yet. Methods that move something raise `NoReply`, `Unplugged`,
    `VerifyError` or `UsageError`; nothing here moves a clock by more than one slew step at a time.

    `dilution`: 1 on silicon. An emulated chip may need log2(dilution) zero bits less, and both ends must state it.
    """

    def __init__(
        self,
        transport: Transport,
        kind: AsicKind,
        *,
        expected_chips: int,
        dilution: int = 1,
        name: str = "chain",
        boundaries: Boundaries | None = None,
    ) -> None:
        self.kind, self.name, self.dilution = kind, name, dilution
        self.expected_chips = expected_chips
        self.partition = Partition(kind, expected_chips)
        self._answer_s = answer_s(expected_chips)
        self._version_mask = ROLLED_VERSION_BITS
        self._judge = Judge(kind, self.partition, dilution)
        self.hash_count: int | None = None
        """The chips' own count, in units of 2**32 hashes, as last read; None: not read since the reset."""
        self.on_lost: Callable[[Unplugged], None] | None = None
        self._boundaries = boundaries
        self._transport = transport
        self._codec = HostCodec()
        self._link: Link[HostMessage, HostEvent] = Link(
            transport, self._codec, on_events=self._judge.take, on_lost=self._on_lost
        )
        self._asking = asyncio.Lock()
        self._clocks = Clocks(kind, expected_chips)
        self._running: dict[int | None, int] = {None: 0}
        """What the stop register holds, of all chips and of those that were told something else: the sweep window, or a
        constant; 0: no hashing."""
        self._fast = self._separated = False
        self._looks_at, self._counted = 0, -1
        """The chip whose clock is read next, and the one whose count was read last."""
        self._dies = Dies(kind.thermometer)

    # --- what is known ------------------------------------------------------------------------------------------------

    @property
    def chips(self) -> list[Chip]:
        """Those that were found; empty before."""
        return self._judge.chips

    @property
    def counters(self) -> Counters:
        return self._judge.counters

    @property
    def on_finds(self) -> Callable[[list[Find]], None] | None:
        """Called once a read, with all finds in it."""
        return self._judge.on_finds

    @on_finds.setter
    def on_finds(self, call: Callable[[list[Find]], None] | None) -> None:
        self._judge.on_finds = call

    @property
    def lost(self) -> Unplugged | None:
        """Why the data port is gone; None while it is there."""
        return self._link.lost

    @property
    def ticket_difficulty(self) -> int:
        return self._judge.ticket_difficulty

    @property
    def frequency_mhz(self) -> Megahertz | None:
        """The clock last written to all chips, as the PLL makes it. None: in reset, or not known."""
        common = self._clocks.common
        return None if common is None else common.actual_mhz

    @property
    def own_clocks_mhz(self) -> Mapping[int, Megahertz]:
        """Of the chips that were told another clock than all: by their place on the line."""
        return self._clocks.own

    def clock_of(self, chip: int) -> Megahertz | None:
        """What this chip was last told, as the PLL makes it. None: in reset, or not known."""
        clock = self._clocks.of(chip)
        return None if clock is None else clock.actual_mhz

    @property
    def fast(self) -> bool:
        """Whether chip and host were moved to the fast line rate."""
        return self._fast

    @property
    def expected_hs(self) -> HashesPerSecond:
        """What all chips together should hash at their present clocks."""
        return HashesPerSecond(self._clocks.sum_mhz * 1e6 * self.kind.small_cores)

    @property
    def version_mask(self) -> int:
        """The header version bits that may roll in the jobs to come, all of 28..13 at first. Setting one that this kind
        cannot be fed under is a `UsageError`."""
        return self._version_mask

    @version_mask.setter
    def version_mask(self, mask: int) -> None:
        check_mask(self.kind, mask)
        self._version_mask = mask

    @property
    def midstates(self) -> int:
        """How many a job carries; 0: jobs are whole headers."""
        return midstates_of(self.kind, self._version_mask)

    @property
    def window_s(self) -> Seconds:
        """How long one sweep over the nonces takes: the window written, or the one that would fit the clock. Of chips
        with different ones the longest: by then each has been over its share."""
        ticks = max(self._running.values()) if self.kind.run_word is None else 0
        if not ticks:
            ticks = max(map(self._ticks, self._clocks.present()), default=0)
        return Seconds(ticks / _CRYSTAL_HZ)

    @property
    def job_lasts_s(self) -> Seconds:
        """From when on a job gives nothing new: after one sweep, that of the fastest chip, where the host rolls the
        version. Else infinite, which is short for 65,536 versions."""
        if not self.kind.midstates:
            return Seconds(math.inf)
        return Seconds(min(map(self._ticks, self._clocks.present()), default=0) / _CRYSTAL_HZ)

    def _ticks(self, clock: pll.PllWord) -> int:
        dividers = pll.dividers(clock.word, self.kind.pll_shape)
        return window_ticks(self.kind, dividers, self.expected_chips, self.midstates)

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read. Nothing is sent."""
        self._link.start()

    async def aclose(self) -> None:
        await self._link.aclose()

    async def replace_port(self, transport: Transport) -> None:
        """From now on over this port, in place of one that is gone. The chips are as they were left: at their rate."""
        gone, self._transport = self._link, transport
        self._link = Link(transport, self._codec, on_events=self._judge.take, on_lost=self._on_lost)
        self._link.start()
        await gone.aclose()
        await self._host_rate(self.kind.fast_baud if self._fast else self.kind.reset_baud)

    def _on_lost(self, error: Unplugged) -> None:
        if self.on_lost is not None:
            self.on_lost(error)

    async def reset_line(self) -> None:
        """The chips are in reset, or have just left it: everything here back to their reset state.

        Host rate to the reset rate, 9-byte replies, no jobs: nonces of an earlier life are not counted at all.
        """
        self._forget()
        await self._transport.set_baud(self.kind.reset_baud)
        await self._transport.discard_input()
        self._codec.reset()

    def _forget(self) -> None:
        self._codec.reset()
        self._codec.use_reply_bytes(SHORT_REPLY_BYTES)
        self._codec.expect(None)
        self._judge.forget_jobs()
        self._clocks.forget()
        self._clocked()
        self.hash_count = None
        self._running, self._fast, self._separated = {None: 0}, False, False
        self._dies.forget()
        for chip in self.chips:
            chip.die_c = None
            chip.read_back(None, -math.inf)

    # --- bring-up -----------------------------------------------------------------------------------------------------

    async def enumerate(self) -> None:
        """Find the chips. `VerifyError` when their number or kind is not what the board should carry."""
        for step in self.kind.before_enumeration:
            await self._play(step)
        self._codec.use_reply_bytes(None)
        self._codec.expect(CHIP_ID)
        found: list[RegisterReply] = []
        counts: list[int] = []
        for _ in range(READ_TRIES):
            found = await self._link.collect(
                ReadRegister(CHIP_ID, None), of_register(CHIP_ID), self.kind.chip_id_window_s, quiet_s=self._answer_s
            )
            counts.append(len(found))
            if len(found) == self.expected_chips:
                break
        reply_bytes = self._codec.seen_reply_bytes
        self._codec.use_reply_bytes(self.kind.reply_bytes)
        self._codec.expect(None)
        for index, reply in enumerate(found):
            if reply.value >> 16 != self.kind.chip_id:
                which = f"chip {index}" if self.expected_chips > 1 else "chip"
                raise VerifyError(f"{self.name}: {which}", self.kind.name, f"BM{reply.value >> 16:04x}")
        if len(found) != self.expected_chips:
            raise VerifyError(
                f"{self.name}: chips that answer", self.expected_chips, who_is_missing(self.expected_chips, counts)
            )
        if len(counts) > 1:
            _log.warning("%s: chips that answered, in turn: %s", self.name, counts)
        if reply_bytes != self.kind.reply_bytes:
            wanted = f"replies of {self.kind.reply_bytes} bytes"
            raise VerifyError(f"{self.name}: version rolling", wanted, reply_bytes)
        kept = self.chips
        self._judge.chips = [Chip(at, self.partition.address(at), reply.value >> 16) for at, reply in enumerate(found)]
        for old, new in zip(kept, self.chips, strict=False):
            new.finds, new.hw_errors = old.finds, old.hw_errors

    async def initialise(self) -> None:
        """Address the chips and write their configuration. The clock stays at its reset value and nothing hashes."""
        for step in self.kind.after_enumeration:
            await self._play(step)
        await self._link.send(ChainInactive())
        await asyncio.sleep(self.kind.address_pause_s)
        for chip in self.chips:
            await self._link.send(SetAddress(chip.address))
            await asyncio.sleep(self.kind.address_pause_s)
        steps = self.kind.after_addressing
        first = next((index for index, step in enumerate(steps) if step.per_chip), len(steps))
        last = next((index for index in range(first, len(steps)) if not steps[index].per_chip), len(steps))
        for step in steps[:first]:
            await self._play(step)
        for step in self._boundaries.steps(self.partition.address) if self._boundaries is not None else ():
            await self._play(step)
        for chip in self.chips:
            for step in steps[first:last]:
                await self._play(step, chip.address)
        for step in steps[last:]:
            await self._play(step)
        self._judge.set_ticket(self.kind.init_ticket_difficulty)
        reset_mhz = self.kind.reset_clock_mhz
        self._clocks.took(Told(reset_mhz, pll.solve(reset_mhz, self.kind.pll_rule, self.kind.pll_shape)))
        self._clocks.divider = self.kind.pll_shape.reset_divider
        self._clocked()
        self._running = {None: self.kind.run_word or 0}
        if len(self.chips) > 1:
            await self._confirm_addresses()

    async def _play(self, step: InitStep, address: int = 0) -> None:
        await self._link.send(step.addressed(address))
        await asyncio.sleep(step.pause_s)

    async def _confirm_addresses(self) -> None:
        """Each address must answer exactly once: twice is an address given twice, never a lost chip. The second of two
        follows the first, and is not waited for as long as a far one."""
        for chip in self.chips:
            asked, picked = ReadRegister(CHIP_ID, chip.address), of_register(CHIP_ID, chip.address)
            found = await self._link.collect(asked, picked, self._answer_s, quiet_s=LEAST_ANSWER_S)
            if len(found) != 1:
                raise VerifyError(f"{self.name}: answers from address {chip.address:#04x}", 1, len(found))

    # --- settings -----------------------------------------------------------------------------------------------------

    async def set_frequency_step(self, frequency_mhz: float, chip: int | None = None) -> Megahertz:
        """One clock write, to all chips or to one, at most one slew step from the present clock of each that it moves.
        Returns what the PLL makes of it. A write to all ends every clock of a chip's own.

        `UsageError` when the step is too far or the present clock unknown, `LimitError` outside the absolute limits."""
        told = self._clocks.step(frequency_mhz, chip)
        address = None if chip is None else self.partition.address(chip)
        if self._clocks.divider != 1:
            self._clocks.forget()  # should this end half way: the old word under a new divider
            self._clocked()
        for step in self.kind.before_clock:
            await self._play(step if address is None else replace(step, per_chip=True), address or 0)
        for again in range(self.kind.clock_writes):
            if again:
                await asyncio.sleep(SETTLE_S)
            await self._link.send(WriteRegister(CLOCK, told.clock.word, address))
        self._clocks.took(told, chip)
        self._clocked()
        return told.clock.actual_mhz

    async def set_frequency_round(self, frequency_mhz: float, own_mhz: Mapping[int, float] | None = None) -> None:
        """All chips to one clock, but for those of `own_mhz`, in one slew step each: a write to all, or to each that
        moves. Raises as `set_frequency_step` before anything is sent."""
        for chip, mhz in self._clocks.round(frequency_mhz, own_mhz or {}):
            await self.set_frequency_step(mhz, chip)
        self._clocks.settle(frequency_mhz)

    def _clocked(self) -> None:
        """The clocks have changed."""
        at_s = asyncio.get_running_loop().time()
        for chip in self.chips:
            clock_mhz = self.clock_of(chip.index)
            if clock_mhz != chip.frequency_mhz:
                chip.clocked(clock_mhz, at_s)

    async def ramp(
        self,
        frequency_mhz: float,
        own_mhz: Mapping[int, float] | None = None,
        on_round: Callable[[Moves], None] | None = None,
    ) -> None:
        """All chips to one clock, but for those of `own_mhz`, a slew step each every 0.1 s, together where they go
        together. No chip leaves the span between its clock and where it goes. Windows: `set_window`, before a clock
        that rises and behind one that falls. Raises as `set_frequency_step`; then some chips have moved."""
        while moves := self._clocks.moves(frequency_mhz, own_mhz or {}):
            await asyncio.sleep(SLEW_S)
            for chip, mhz in moves:
                await self.set_frequency_step(mhz, chip)
            if on_round is not None:
                on_round(moves)
        self._clocks.settle(frequency_mhz)

    async def set_window(self, frequency_mhz: float, own_mhz: Mapping[int, float] | None = None) -> None:
        """Write the sweep window that fits a clock, which need not be the present one; 0 MHz stops hashing. `own_mhz`:
        of chips whose window is to fit another.

        A chip without a window is stopped and started again all the same; while it runs there is nothing to write.
        On the fast line the write is confirmed (`VerifyError`); before that, `fast_link` confirms it.
        """
        word = self._window_word(frequency_mhz)
        if self.kind.run_word is None or word != self._running[None]:
            await self._link.send(WriteRegister(self.kind.stop_register, word, None))
        self._running = {None: word}
        for chip, mhz in (own_mhz or {}).items():
            own = self._window_word(mhz)
            if own != word:
                await self._link.send(WriteRegister(self.kind.stop_register, own, self.partition.address(chip)))
                self._running[chip] = own
        if self._fast:
            await self._confirm_settings()

    def _window_word(self, frequency_mhz: float) -> int:
        if frequency_mhz == 0:
            return 0
        ticks = self._ticks(pll.nearest(frequency_mhz, self.kind.pll_rule, self.kind.pll_shape))
        return ticks if self.kind.run_word is None else self.kind.run_word

    async def set_ticket(self, difficulty: int) -> None:
        """The smallest difficulty that the chips report: a power of two."""
        if difficulty < 1 or difficulty & (difficulty - 1) or difficulty > 1 << 32:
            raise UsageError("ticket_difficulty", difficulty, "a power of two from 1 to 2**32")
        await self._link.send(WriteRegister(_TICKET, ticket_mask_word(difficulty), None))
        self._judge.set_ticket(difficulty)

    async def fast_link(self) -> None:
        """Chips and host to the fast line rate, confirmed by reading the chip id, the clock and the window back.

        When nothing answers, the host goes back to the reset rate and asks there, so that the `VerifyError` can say
        which end did not follow. Version rolling, where there is, is written once more before, as every known bring-up
        does.
        """
        if not self._fast:
            if self.kind.version_rolling is not None:
                await self._link.send(self.kind.version_rolling)
                await asyncio.sleep(SETTLE_S)
            await self._link.send(WriteRegister(self.kind.baud_register, self.kind.fast_baud_word, None))
            await asyncio.sleep(self.kind.baud_pause_s)
            await self._host_rate(self.kind.fast_baud)
            if not await self._answers():
                await self._host_rate(self.kind.reset_baud)
                where = f"an answer at {self.kind.reset_baud} only" if await self._answers() else "no answer at all"
                raise VerifyError(f"{self.name}: line rate", f"{self.kind.fast_baud} baud", where)
            self._fast = True
        await self._confirm_settings()

    async def _host_rate(self, baud: int) -> None:
        await self._transport.set_baud(baud)
        await self._transport.discard_input()
        self._codec.reset()

    async def _answers(self) -> bool:
        try:
            for chip in self.chips:
                await self.read_register(CHIP_ID, chip.address)
        except NoReply:
            return False
        return True

    async def _confirm_settings(self) -> None:
        for chip in self.chips:
            found, running = await self.read_register(self.kind.stop_register, chip.address), self._running[None]
            if found != (wanted := self._running.get(chip.index, running)):
                what = "sweep window" if self.kind.run_word is None else f"register {self.kind.stop_register:02x}"
                raise VerifyError(f"{self.name}: {what} of chip {chip.index}", wanted, found)
            word, clock = await self.read_register(CLOCK, chip.address), self._clocks.of(chip.index)
            chip.read_back(self._clocks.mhz(word), asyncio.get_running_loop().time())
            if not self._clocks.is_clock(word, clock):
                wanted_word = f"{clock.word:08x}" if clock else "a known clock"
                raise VerifyError(f"{self.name}: PLL word of chip {chip.index}", wanted_word, f"{word:08x}")

    async def stop_hashing(self) -> bool:
        """The clock to its floor and the stop register to 0, read back. For when only this port is left.

        At the present line rate, then at the fast one, at which another program may have left the chip. True when every
        chip confirmed both. A chip that does not answer, or a port that is gone, is False, no error.
        """
        floor = floor_clock(self.kind)
        known = self._clocks.common is not None
        self._clocks.divider = 1  # or more, and the clock is slower still
        if not known and self.kind.reply_bytes != SHORT_REPLY_BYTES:
            self._codec.use_reply_bytes(None)  # found like this, not brought up here: both lengths may come
        try:
            stopped = await self._stop(floor)
            if not stopped and not self._fast:
                await self._host_rate(self.kind.fast_baud)
                stopped = self._fast = await self._stop(floor)
                if not stopped:
                    await self._host_rate(self.kind.reset_baud)
        except Unplugged:
            stopped = False
        if stopped:
            self._clocks.took(Told(self.kind.floor_clock_mhz, floor))
            self._running = {None: 0}
        else:
            self._clocks.forget()
        self._clocked()
        return stopped

    async def _stop(self, floor: pll.PllWord) -> bool:
        """Two attempts at one line rate; a silent chip costs four times what an answer may take."""
        addresses = [chip.address for chip in self.chips] or [0]
        stop = self.kind.stop_register
        for _ in range(2):
            for write in stop_writes(self.kind):
                await self._link.send(write)
            try:
                running = [await self.read_register(stop, address, tries=2) for address in addresses]
                words = [await self.read_register(CLOCK, address, tries=2) for address in addresses]
            except NoReply:
                continue
            if not any(running) and all(self._clocks.is_clock(word, floor) for word in words):
                return True
        return False

    def stop_frames(self) -> StopFrames:
        """What `stop_hashing` sends and wants to hear, as bytes for somebody else at this port."""
        return stop_frames(self.kind, self.expected_chips)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def read_register(self, register: int, address: int = 0, *, tries: int = READ_TRIES) -> int:
        """One register of one chip. `NoReply` when it stays silent."""
        what = f"{self.name}: register {register:#04x} of {address:#04x}"
        async with self._asking:
            self._codec.expect(register)
            for attempt in range(1, tries + 1):
                try:
                    reply = await self._link.ask(
                        ReadRegister(register, address), of_register(register, address), self._answer_s, what
                    )
                except NoReply:
                    if attempt == tries:
                        raise
                else:
                    return reply.value
        raise UsageError("tries", tries, "1 or more")

    @property
    def looks_at(self) -> Chip:
        """The chip that `read_clock` asks next, of those that were found."""
        return self.chips[self._looks_at % len(self.chips)]

    async def read_clock(self) -> Megahertz | None:
        """The clock that a chip says it has; None when its word makes no sense. Each call asks the next chip of the
        chain, and one whose clock is not the commanded one again."""
        at = self._looks_at % len(self.chips) if self.chips else 0
        word = await self.read_register(CLOCK, self.chips[at].address if self.chips else 0, tries=1)
        if self._clocks.is_clock(word, self._clocks.of(at)):
            self._looks_at = at + 1
        elif len(self.chips) > 1:
            _log.warning("%s: PLL word of chip %d: %08x", self.name, at, word)
        found_mhz = self._clocks.mhz(word)
        if self.chips:
            self.chips[at].read_back(found_mhz, asyncio.get_running_loop().time())
        return found_mhz

    async def read_counters(self) -> tuple[int | None, int | None]:
        """The chips' own counts of 2**32 hashes and of errors, summed; None where a chip did not answer."""
        return await self._sum(self.kind.hash_count_register), await self._sum(_ERROR_COUNT)

    async def read_hash_count(self) -> int | None:
        """The next chip's own count of 2**32 hashes; their sum, as last read of each, is kept in `hash_count`. None:
        not all are known."""
        register = self.kind.hash_count_register
        self._counted = (self._counted + 1) % len(self.chips) if self.chips else 0
        if not self.chips or register is None:
            return None
        chip = self.chips[self._counted]
        try:
            chip.hash_count = await self.read_register(register, chip.address, tries=1)
        except NoReply:
            chip.hash_count = None
        counts = [each.hash_count for each in self.chips if each.hash_count is not None]
        self.hash_count = sum(counts) if len(counts) == len(self.chips) else None
        return self.hash_count

    async def read_die(self) -> None:
        """The next chip's own thermometer, into `chips`, when it is due. Nothing where the kind has none."""
        await self._dies.read(self.chips, lambda *where: self.read_register(*where, tries=1), self._play)

    async def _sum(self, register: int | None) -> int | None:
        if register is None:
            return None
        total = 0
        try:
            for chip in self.chips:
                total += await self.read_register(register, chip.address, tries=1)
        except NoReply:
            return None
        return total if self.chips else None

    # --- work ---------------------------------------------------------------------------------------------------------

    async def send(self, work: Work) -> None:
        """Give the chips a header. It replaces the one before, whose last nonces still count."""
        version = int.from_bytes(work.header[:4], "little")
        if version & ROLLED_VERSION_BITS and not self.kind.midstates:
            key = f"work {work.number}: header version"
            raise UsageError(key, f"{version:08x}", "bits 28..13 clear: the chip rolls them")
        if not self._separated and self.kind.starts_at_offset and len(self.chips) > 1:
            await self._send_job(work)
            await self._separate()
        await self._send_job(work)

    async def _separate(self) -> None:
        """Each chip gets its start, after the first job as stock firmware does; that job is then sent again, because
        the chips have begun it anywhere."""
        for chip in self.chips:
            await self._link.send(WriteRegister(_NONCE_OFFSET, self.partition.offset_word(chip.index), chip.address))
            await asyncio.sleep(self.kind.address_pause_s)
        self._separated = True

    async def _send_job(self, work: Work) -> None:
        header, mask, count = work.header, self._version_mask, self.midstates
        versions = rolled(int.from_bytes(header[:4], "little"), mask, count) if count else ()
        # First the table, then the line: the answer may be back before the write is.
        job_byte = self._judge.enter(work, versions, mask)
        await self._link.send(job_of(self.kind, job_byte, header, versions))
        self.counters.jobs += 1
