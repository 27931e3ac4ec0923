"""Which chips answer on a line, and nothing more: for a bare hash board on a USB-UART, whose supply nobody here cuts.

What goes out: version rolling (without it a chip answers in 9 bytes; not to a BM1397, which always does), reads of the
chip id, chain-inactive and the addresses. `SurveyCodec` encodes nothing else, so no mistake elsewhere can clock,
configure or feed a chip from here.
The chips keep the addresses and 11-byte replies until their next reset.

Two passes. Before they have addresses the chips can only be counted. Then each gets one, 256 / the next power of two of
the expected chips apart, and is asked by broadcast and by address: from then on an answer says whose it is. Positions
count from 0 at the host, and are those of the chips that take an address: one that is bridged out shifts all behind it.
Times: stock firmware's pauses; for an answer those of the driver, `answer_s` in kind.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from drivers.asics import ASICS
from drivers.asics.chain import READ_TRIES
from drivers.asics.kind import SETTLE_S, VERSION_ROLLING, AsicKind, answer_s, next_power_of_two, rolling_on
from drivers.asics.partition import address_interval
from drivers.asics.records import CHIP_ID, of_register
from drivers.codecs.bm13xx import (
    LONG_REPLY_BYTES,
    SHORT_REPLY_BYTES,
    ChainInactive,
    HostCodec,
    HostEvent,
    HostMessage,
    Noise,
    NonceReply,
    ReadRegister,
    RegisterReply,
    SetAddress,
    encode,
)
from drivers.errors import NoReply, UnexpectedReply, Unplugged, UsageError
from drivers.link import Link
from drivers.traits import Transport
from drivers.units import Seconds

MOST_CHIPS: Final = 128
"""On one line: their addresses are even."""
RESET_BAUD: Final = 115_200
LIMIT_S: Final = 60.0
"""Five times what a line of 128 chips takes of which none answers twice alike; a port that hangs ends here."""
_ROLLING: Final = rolling_on(4)
_COUNT_WINDOW_S: Final = 1.0
_ADDRESS_PAUSE_S: Final = SETTLE_S
_READ_PACE_S: Final = 0.010
"""Until the next address is asked where this one has not answered: a late answer carries its address."""
_NOISE_KEPT: Final = 64
_NAMED: Final = 8
"""So many unstable chips are told each with its numbers."""


class ChipState(StrEnum):
    STEADY = "steady"
    UNSTABLE = "unstable"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class SurveyedChip:
    """What came from one address. `chip_ids`: what it said that it is, more than one where it said different things.
    `broadcasts` and `reads`: how many answers each question to all, and each to this address alone, has brought."""

    position: int
    address: int
    chip_ids: tuple[int, ...]
    broadcasts: tuple[int, ...]
    reads: tuple[int, ...]

    @property
    def state(self) -> ChipState:
        answers = (*self.broadcasts, *self.reads)
        if not any(answers):
            return ChipState.MISSING
        return ChipState.STEADY if all(answers) else ChipState.UNSTABLE

    @property
    def most_answers(self) -> int:
        """To one question: 1 where all is well."""
        return max(*self.broadcasts, *self.reads)


@dataclass(frozen=True, slots=True)
class ChainSurvey:
    """What answered on a line. `counts`: how many chips did before they had addresses, each time they were asked."""

    expected_chips: int
    expected_kind: AsicKind | None
    """None: any will do."""
    baud: int
    counts: tuple[int, ...]
    chips: tuple[SurveyedChip, ...]
    """As many as got an address: those that are expected, and those beyond for which there was one."""
    strangers: tuple[int, ...]
    """Addresses that answered although nobody got them here."""
    short_replies: int
    """Of the last answers to a question to all: those of 9 bytes, in which version rolling has not been taken."""
    nonces: int
    noise_bytes: int
    sent: tuple[tuple[str, int], ...]
    """What went out, and how often: all of it."""
    elapsed_s: Seconds

    def in_state(self, state: ChipState) -> tuple[int, ...]:
        """Positions of the chips that are expected and in this state."""
        return tuple(chip.position for chip in self.chips[: self.expected_chips] if chip.state is state)

    @property
    def answering(self) -> tuple[int, ...]:
        """Positions of the expected chips that answered at least once."""
        return tuple(chip.position for chip in self.chips[: self.expected_chips] if chip.state is not ChipState.MISSING)

    @property
    def extra(self) -> tuple[int, ...]:
        """Positions beyond the expected ones that answered."""
        return tuple(chip.position for chip in self.chips[self.expected_chips :] if chip.state is not ChipState.MISSING)

    @property
    def kinds(self) -> dict[str, tuple[int, ...]]:
        """Kinds by name, with the positions that named them."""
        found: dict[str, list[int]] = {}
        for chip in self.chips:
            for chip_id in chip.chip_ids:
                found.setdefault(kind_name(chip_id), []).append(chip.position)
        return {name: tuple(positions) for name, positions in found.items()}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know that is no fault of the board."""
        told = [f"{name} is no chip that hashbridge drives" for name in self.kinds if name not in ASICS]
        if self.noise_bytes:
            told.append(f"{self.noise_bytes} bytes of noise on the line")
        return tuple(told)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is not as expected, a sentence each. Empty: the line is whole."""
        told = []
        if self.nonces:
            told.append(f"the chips are hashing: {self.nonces} nonces came in; no frame sent here starts or stops that")
        told += [*self._missing(), *self._unstable(), *self._too_many(), *self._wrong_kinds()]
        known = [ASICS[name].reply_bytes for name, at in self.kinds.items() if name in ASICS for _ in at]
        short = self.short_replies - known.count(SHORT_REPLY_BYTES)  # a BM1397 has no others
        if short > 0 and LONG_REPLY_BYTES in known:
            told.append(f"version rolling was not taken: {short} replies of {SHORT_REPLY_BYTES} bytes")
        return tuple(told)

    def _missing(self) -> Iterable[str]:
        missing = self.in_state(ChipState.MISSING)
        if len(missing) == self.expected_chips and not self.extra:
            yield f"no chip answers since the addresses were given; before that {_in_turn(self.counts)} did"
            return
        first = self.expected_chips
        while not self.extra and first - 1 in missing:
            first -= 1
        silent = [position for position in missing if position < first]
        if silent:
            yield f"{chips_named(silent)} {'does' if len(silent) == 1 else 'do'} not answer, chips behind do"
        if first < self.expected_chips:
            behind = self.expected_chips - first - 1
            reach = f"; the {behind} behind it {'is' if behind == 1 else 'are'} not reached" if behind else ""
            yield f"chip {first} is the first that is missing{reach}"

    def _unstable(self) -> Iterable[str]:
        unstable = [chip for chip in self.chips if chip.state is ChipState.UNSTABLE]
        first = len(self.chips)
        while first and self.chips[first - 1] in unstable:
            first -= 1
        if first < len(self.chips) - 1:
            behind = unstable[unstable.index(self.chips[first]) :]
            fewest, most = (pick(sum(map(bool, chip.broadcasts)) for chip in behind) for pick in (min, max))
            span = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            asked = len(behind[0].broadcasts)
            yield f"all are unstable from chip {first} on: they answered {span} of {asked} questions to all"
            unstable = unstable[: -len(behind)]
        for chip in unstable[:_NAMED]:
            answered = sum(map(bool, chip.broadcasts)), sum(map(bool, chip.reads))
            yield (
                f"chip {chip.position} is unstable: it answered {answered[0]} of {len(chip.broadcasts)} questions to "
                f"all and {answered[1]} of {len(chip.reads)} to its address"
            )
        if len(unstable) > _NAMED:
            yield f"unstable as well: {chips_named(chip.position for chip in unstable[_NAMED:])}"
        if first == len(self.chips) and not unstable and len(set(self.counts)) > 1:
            yield f"unstable before they had addresses: {_in_turn(self.counts)} chips answered; all alike since"

    def _too_many(self) -> Iterable[str]:
        if self.extra:
            yield f"{chips_named(self.extra)} beyond the {self.expected_chips} expected"
        for chip in self.chips:
            if chip.most_answers > 1:
                at_00 = "a chip too many for the addresses, or one that was reset or did not take its own"
                why = at_00 if chip.address == 0 else "more than one chip has it"
                yield f"address {chip.address:02x} answers {chip.most_answers} times: {why}"
        if self.strangers:
            yield f"answers from addresses that were not given: {', '.join(f'{at:02x}' for at in self.strangers)}"

    def _wrong_kinds(self) -> Iterable[str]:
        wanted = self.expected_kind
        if wanted is not None:
            wrong = {name: at for name, at in self.kinds.items() if name != wanted.name}
            yield from (f"{name} instead of {wanted.name}: {chips_named(at)}" for name, at in wrong.items())
        elif len(self.kinds) > 1:
            yield f"mixed kinds: {'; '.join(f'{name}: {chips_named(at)}' for name, at in self.kinds.items())}"
        for chip in self.chips:
            if len(chip.chip_ids) > 1:
                yield f"chip {chip.position} says different things: {', '.join(map(kind_name, chip.chip_ids))}"


def kind_name(chip_id: int) -> str:
    """The name of a chip by the upper half of its id register."""
    return next((kind.name for kind in ASICS.values() if kind.chip_id == chip_id), f"BM{chip_id:04x}")


def spans(numbers: Iterable[int]) -> str:
    """3, 4, 5 and 9 are `3 to 5, 9`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def chips_named(positions: Iterable[int]) -> str:
    """Chip 3, or chips 3 to 5, 9."""
    known = list(positions)
    return f"{'chip' if len(known) == 1 else 'chips'} {spans(known)}"


def _in_turn(counts: Iterable[int]) -> str:
    return ", ".join(map(str, counts))


def frame_name(message: HostMessage) -> str | None:
    """What a message is called that a survey may send; None: it may not."""
    match message:
        case ReadRegister(register, address) if register == CHIP_ID:
            return "chip id read of all" if address is None else "chip id read by address"
        case ChainInactive():
            return "chain inactive"
        case SetAddress():
            return "address"
    return "version rolling" if message == VERSION_ROLLING else None


class SurveyCodec(HostCodec):
    """A `HostCodec` that has words for a survey alone, and counts them. Anything else is a `UsageError`."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: Counter[str] = Counter()
        self.heard_bytes = 0
        self.first_noise = b""

    def encode(self, message: HostMessage) -> bytes:
        name = frame_name(message)
        if name is None:
            allowed = "version rolling, reads of the chip id, chain inactive and addresses"
            raise UsageError("frame of a survey", message, allowed)
        data = super().encode(message)
        self.sent[name] += 1
        return data

    def feed(self, data: bytes) -> list[HostEvent]:
        self.heard_bytes += len(data)
        events = super().feed(data)
        for event in events:
            if isinstance(event, Noise) and len(self.first_noise) < _NOISE_KEPT:
                self.first_noise = (self.first_noise + event.data)[:_NOISE_KEPT]
        return events


async def survey(
    transport: Transport, expected_chips: int, kind: AsicKind | None = None, *, baud: int = RESET_BAUD
) -> ChainSurvey:
    """Ask who is there. `transport`: not started yet; closed at the end, whatever the end is.

    Raises `NoReply` when not one byte comes back, `UnexpectedReply` when bytes do and no reply is among them,
    `Unplugged` with a note of what was being done, `UsageError` for a number of chips that no line carries. Takes about
    3 s for 126 chips, 12 s at worst, `LIMIT_S` where the port hangs. May be cancelled at any time.
    """
    if not 1 <= expected_chips <= MOST_CHIPS:
        raise UsageError("expected_chips", expected_chips, f"1 to {MOST_CHIPS} on one line")
    asking = _Asking(transport, expected_chips, kind, baud)
    try:
        async with asyncio.timeout(LIMIT_S) as limit:
            return await asking.run()
    except Unplugged as error:
        error.add_note(f"while {asking.doing}")
        raise
    except TimeoutError as error:
        if isinstance(error, NoReply) or not limit.expired():
            raise
        raise NoReply(f"{transport.name} itself, while {asking.doing}", LIMIT_S) from None
    finally:
        await asking.link.aclose()


class _Asking:
    """One survey under way."""

    def __init__(self, transport: Transport, expected_chips: int, kind: AsicKind | None, baud: int) -> None:
        self.doing = "the line was set up"
        self._transport, self._expected, self._kind, self._baud = transport, expected_chips, kind, baud
        self._codec = SurveyCodec()
        self.link: Link[HostMessage, HostEvent] = Link(transport, self._codec, on_events=self._take)
        self._unasked: list[RegisterReply] = []
        self._ids: dict[int, set[int]] = {}
        self._nonces = 0
        self._short = 0

    def _take(self, events: list[HostEvent]) -> None:
        for event in events:
            if isinstance(event, RegisterReply):
                self._unasked.append(event)
            elif isinstance(event, NonceReply):
                self._nonces += 1

    async def run(self) -> ChainSurvey:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self.link.start()
        await self._transport.set_baud(self._baud)
        await self._transport.discard_input()
        self._codec.expect(CHIP_ID)
        self.doing = "version rolling was sent"
        rolls = self._kind is None or self._kind.version_rolling is not None
        for step in _ROLLING if rolls else ():
            await self.link.send(step.message)
            await asyncio.sleep(step.pause_s)
        counts = await self._count()
        if not any(counts):
            raise self._nobody(loop.time() - began_s)
        slots = min(MOST_CHIPS, next_power_of_two(self._expected))
        addresses = [at * address_interval(self._expected) % 256 for at in range(slots)]
        addresses = addresses[: max(self._expected, *counts)]
        await self._give(addresses)
        self._unasked.clear()
        broadcasts = [self._by_address(await self._ask_all("with their addresses", turn)) for turn in range(READ_TRIES)]
        reads = await self._ask_each(addresses)
        strangers = set(self._ids) - set(addresses)
        chips = tuple(
            SurveyedChip(
                position,
                address,
                tuple(sorted(self._ids.get(address, ()))),
                tuple(turn[address] for turn in broadcasts),
                tuple(reads[address]),
            )
            for position, address in enumerate(addresses)
        )
        return ChainSurvey(
            self._expected,
            self._kind,
            self._baud,
            tuple(counts),
            chips,
            tuple(sorted(strangers)),
            self._short,
            self._nonces,
            self._codec.noise_bytes + self._codec.pending,
            tuple(self._codec.sent.items()),
            Seconds(loop.time() - began_s),
        )

    async def _count(self) -> list[int]:
        """How many answer before they have addresses, until as many do as are expected."""
        counts: list[int] = []
        while len(counts) < READ_TRIES and self._expected not in counts:
            counts.append(len(await self._ask_all("before they had addresses", len(counts))))
        return counts

    async def _ask_all(self, when: str, turn: int) -> list[RegisterReply]:
        self.doing = f"all chips were asked for their id {when}, try {turn + 1} of {READ_TRIES}"
        codec, nonces = self._codec, self._nonces
        before = codec.heard_bytes - codec.pending - codec.noise_bytes
        found = await self.link.collect(
            ReadRegister(CHIP_ID, None), of_register(CHIP_ID), _COUNT_WINDOW_S, quiet_s=answer_s(self._expected)
        )
        replies = codec.heard_bytes - codec.pending - codec.noise_bytes - before
        replies -= LONG_REPLY_BYTES * (self._nonces - nonces)
        if found:
            # What replies have beyond 11 bytes each does not exist: the lack of it tells how many have 9.
            self._short = (LONG_REPLY_BYTES * len(found) - replies) // (LONG_REPLY_BYTES - SHORT_REPLY_BYTES)
        return found

    async def _give(self, addresses: list[int]) -> None:
        self.doing = "the chips were told to forget their addresses"
        await self.link.send(ChainInactive())
        await asyncio.sleep(_ADDRESS_PAUSE_S)
        for given, address in enumerate(addresses):
            self.doing = f"addresses were given, {given} of {len(addresses)} so far"
            await self.link.send(SetAddress(address))
            await asyncio.sleep(_ADDRESS_PAUSE_S)

    async def _ask_each(self, addresses: list[int]) -> dict[int, list[int]]:
        """How many answers came from each address, a number a round; after the first round only what is in doubt."""
        answers: dict[int, list[int]] = {address: [] for address in addresses}
        asked = addresses
        for turn in range(READ_TRIES):
            heard = await self._round(asked, turn)
            for address in asked:
                answers[address].append(heard[address])
            asked = [address for address in asked if heard[address] != 1]
            if not asked:
                break
        return answers

    async def _round(self, addresses: list[int], turn: int) -> Counter[int]:
        self._unasked.clear()
        found: list[RegisterReply] = []
        for done, address in enumerate(addresses):
            self.doing = f"each address was asked, {done} of {len(addresses)} so far, try {turn + 1} of {READ_TRIES}"
            question = ReadRegister(CHIP_ID, address)
            found += await self.link.collect(question, of_register(CHIP_ID, address), _READ_PACE_S, quiet_s=0.0)
        self.doing = f"the last answers were waited for, try {turn + 1} of {READ_TRIES}"
        await asyncio.sleep(answer_s(len(addresses)))
        if self.link.lost is not None:
            raise Unplugged(self.link.lost.port, self.link.lost.why)
        return self._by_address([*found, *self._unasked])

    def _by_address(self, replies: list[RegisterReply]) -> Counter[int]:
        for reply in replies:
            self._ids.setdefault(reply.address, set()).add(reply.value >> 16)
        return Counter(reply.address for reply in replies)

    def _nobody(self, waited_s: float) -> Exception:
        """Why no chip was counted, from what came instead."""
        port, codec = self._transport.name, self._codec
        if self._nonces:
            return UnexpectedReply(f"{port}: {self._nonces} nonces and no answer: the chips hash, and hear nothing")
        if not codec.heard_bytes:
            silent = NoReply(f"the chip id of all, asked {READ_TRIES} times at {self._baud} baud on {port},", waited_s)
            silent.add_note("not one byte came back. Look at: core and IO supply, reset released, TX and RX crossed,")
            silent.add_note("ground, signal level of the adapter, line rate (115200 after a reset; --baud)")
            return silent
        if codec.first_noise.startswith(encode(VERSION_ROLLING)):
            return UnexpectedReply(f"{port}: what came back is what was sent: TX and RX are joined")
        shown = codec.first_noise[:16].hex(" ")
        noise = UnexpectedReply(
            f"{port}: {codec.heard_bytes} bytes came back at {self._baud} baud, no reply among them: {shown}"
        )
        noise.add_note("Chips at another rate (115200 after a reset; --baud), an input that floats, or no hash board")
        return noise
