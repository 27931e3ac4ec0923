"""The survey of a bare line: who answers and who does not, by position; and that it says nothing that starts a chip."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import pytest

from drivers.asics import ASICS
from drivers.asics.chain import Chain, Work
from drivers.asics.survey import LIMIT_S, ChainSurvey, ChipState, SurveyCodec, chips_named, frame_name, survey
from drivers.codecs.bm13xx import (
    ChainInactive,
    DeviceCodec,
    HostMessage,
    Job,
    MidstateJob,
    ReadRegister,
    RegisterReply,
    SetAddress,
    WriteRegister,
)
from drivers.errors import NoReply, UnexpectedReply, Unplugged, UsageError
from drivers.transports.memory import MemoryTransport, MemoryWire, memory_pair
from emulator.benches.hashboard import HASHBOARDS, HashBoard, HashBoardModel
from emulator.ports.memory import MemoryPort
from emulator.silicon.chip import MiningChip
from tests.unit.boards.recording import Recording
from tests.vectors import frame, rows

KINDS = sorted(ASICS)
ROLLING = "55 aa 51 09 00 a4 90 00 ff ff 1c"
UNTOUCHED = (0x08, 0x0C, 0x10, 0x14, 0x18, 0x28, 0x2C, 0x3C, 0x58, 0xA8)


@dataclass
class OnTheBench:
    bench: HashBoard
    port: Recording
    wire: MemoryWire
    carrier: MemoryPort

    async def survey(self, expected: int, kind: str | None = None, **options: int) -> ChainSurvey:
        """And hold what went over the wire, and what became of the chips, against the list."""
        before = [(chip._read(at, 0.0), chip.frequency_mhz) for chip in self.bench.chips for at in UNTOUCHED]
        try:
            return await survey(self.port, expected, None if kind is None else ASICS[kind], **options)
        finally:
            only_harmless([data for _, data in self.port.writes])
            after = [(chip._read(at, 0.0), chip.frequency_mhz) for chip in self.bench.chips for at in UNTOUCHED]
            assert after == before
            assert not self.bench.hashing


def only_harmless(writes: list[bytes]) -> None:
    """Decoded as a chip does, from the bytes alone."""
    for command in DeviceCodec(full_header_jobs=True).feed(b"".join(writes)):
        match command:
            case WriteRegister(register=0xA4, value=0x9000_FFFF, address=None) | ReadRegister(register=0x00):
                continue
            case ChainInactive() | SetAddress():
                continue
        raise AssertionError(f"a survey sent {command}")


def bench_of(*chips: tuple[str, int], **broken: Any) -> OnTheBench:
    bench = HashBoard(HashBoardModel("bench", chips), **broken)
    port, wire = memory_pair("data")
    return OnTheBench(bench, Recording(port), wire, MemoryPort(bench.data, wire))


def answers_when(chip: MiningChip, often: Callable[[], bool]) -> None:
    """Some of its answers get lost."""
    say = chip.say
    chip.say = lambda data, baud, ready_s: say(data, baud, ready_s) if often() else None


def answers_late(chip: MiningChip, late_s: float) -> None:
    say = chip.say
    chip.say = lambda data, baud, ready_s: say(data, baud, ready_s + late_s)


def deaf_to_rolling(chip: MiningChip) -> None:
    hear = chip.hear

    def hears(command: HostMessage, *rest: Any) -> bool:
        rolling = isinstance(command, WriteRegister) and command.register == 0xA4
        return False if rolling else hear(command, *rest)

    cast(Any, chip).hear = hears


# --- whole lines


@pytest.mark.parametrize("chips", [1, 2, 3, 12, 65, 126, 128])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_line_is_whole_and_each_chip_has_its_address(kind: str, chips: int) -> None:
    on = bench_of((kind, chips))
    found = await on.survey(chips, kind)
    assert found.faults == found.remarks == ()
    assert found.answering == tuple(range(chips))
    assert found.kinds == {kind: tuple(range(chips))}
    short = 0 if ASICS[kind].version_rolling else chips
    assert (found.counts, found.short_replies, found.noise_bytes, found.nonces) == ((chips,), short, 0, 0)
    assert [chip.address for chip in on.bench.chips] == [chip.address for chip in found.chips]
    assert len({chip.address for chip in found.chips}) == chips
    assert all(chip.reads == (1,) and chip.broadcasts == (1, 1, 1) for chip in found.chips)
    assert not any(chip.truth.warnings or chip.truth.bad_frames for chip in on.bench.chips)


@pytest.mark.parametrize("name", sorted(HASHBOARDS))
async def test_every_emulated_board_is_found_whole_within_three_seconds(name: str) -> None:
    ((kind, chips),) = HASHBOARDS[name].chips
    found = await bench_of((kind, chips)).survey(chips, kind)
    assert found.faults == ()
    assert found.elapsed_s < 3.0


async def test_what_goes_out_is_what_captures_and_drivers_show() -> None:
    on = bench_of(("BM1370", 65))
    await on.survey(65, "BM1370")
    known = {frame(row).hex(" ") for row in rows("bm13xx", "command")}
    sent = on.port.frames
    assert sent[:5] == [ROLLING] * 4 + ["55 aa 52 05 00 00 0a"]
    assert sent[5:10] == [
        "55 aa 53 05 00 00 03",
        "55 aa 40 05 00 00 1c",
        "55 aa 40 05 02 00 01",
        "55 aa 40 05 04 00 03",
        "55 aa 40 05 06 00 1e",
    ]
    assert set(sent[3:10]) <= known
    addresses = [at for at, data in on.port.writes if data[2] in (0x40, 0x53)]
    assert min(later - earlier for earlier, later in pairwise(addresses)) > 0.00999
    assert on.port.rates[0][1] == 115_200


async def test_all_that_was_sent_is_told() -> None:
    on = bench_of(("BM1362", 126))
    found = await on.survey(126)
    assert dict(found.sent) == {
        "version rolling": 4,
        "chip id read of all": 4,
        "chain inactive": 1,
        "address": 126,
        "chip id read by address": 126,
    }
    assert sum(dict(found.sent).values()) == len(on.port.writes)


async def test_a_second_survey_finds_the_same_although_the_chips_have_addresses() -> None:
    on = bench_of(("BM1366", 77))
    assert (await on.survey(77)).faults == ()
    host, wire = memory_pair("again")
    on.carrier.hang_up()
    on.carrier.replug(wire)
    assert (await survey(host, 77)).faults == ()


@pytest.mark.parametrize("late_s", [0.012, 0.030, 0.090])
async def test_answers_that_come_after_the_next_question_count_for_their_own_address(late_s: float) -> None:
    on = bench_of(("BM1362", 65))
    for chip in on.bench.chips:
        answers_late(chip, late_s)
    found = await on.survey(65)
    assert found.faults == ()
    assert all(chip.reads == (1,) for chip in found.chips)


# --- broken lines


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dead_chip_cuts_the_line_and_is_named(kind: str) -> None:
    found = await bench_of((kind, 65), dead_chip=41).survey(65, kind)
    assert found.counts == (41, 41, 41)
    assert found.in_state(ChipState.MISSING) == tuple(range(41, 65))
    assert found.faults == ("chip 41 is the first that is missing; the 23 behind it are not reached",)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_chip_in_the_middle_that_says_nothing_is_named_and_those_behind_it_answer(kind: str) -> None:
    found = await bench_of((kind, 65), silent_chips=[40]).survey(65, kind)
    assert found.in_state(ChipState.MISSING) == (40,)
    assert found.faults == ("chip 40 does not answer, chips behind do",)
    assert found.chips[40].reads == (0, 0, 0)


async def test_silent_chips_and_a_cut_line_are_told_apart() -> None:
    found = await bench_of(("BM1366", 12), silent_chips=[2, 4, 5, 6], dead_chip=10).survey(12)
    assert found.faults == (
        "chips 2, 4 to 6 do not answer, chips behind do",
        "chip 10 is the first that is missing; the 1 behind it is not reached",
    )


async def test_the_last_chip_alone_may_be_missing() -> None:
    found = await bench_of(("BM1368", 7)).survey(8)
    assert found.faults == ("chip 7 is the first that is missing",)


async def test_a_dead_domain_cuts_the_line_at_its_first_chip() -> None:
    bench = HashBoard(HASHBOARDS["antminer-s19-xp"], dead_domain=4)
    port, wire = memory_pair("data")
    MemoryPort(bench.data, wire)
    found = await survey(port, 110)
    assert found.faults == ("chip 40 is the first that is missing; the 69 behind it are not reached",)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_chip_too_many_is_named_by_its_position_where_there_is_an_address_for_it(kind: str) -> None:
    found = await bench_of((kind, 66)).survey(65, kind)
    assert found.counts == (66, 66, 66)
    assert found.extra == (65,)
    assert found.faults == ("chip 65 beyond the 65 expected",)


async def test_chips_too_many_for_the_addresses_answer_at_00() -> None:
    found = await bench_of(("BM1370", 6)).survey(4)
    told = (
        "address 00 answers 3 times: a chip too many for the addresses, or one that was reset or did not take its own"
    )
    assert found.faults == (told,)
    assert (found.chips[0].broadcasts, found.chips[0].reads) == ((3, 3, 3), (3, 3, 3))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_chip_that_answers_now_and_then_is_unstable_by_position(kind: str) -> None:
    on = bench_of((kind, 65))
    turn = iter([True, False, True, False, True, True, True])
    answers_when(on.bench.chips[9], lambda: next(turn))
    found = await on.survey(65, kind)
    assert found.in_state(ChipState.UNSTABLE) == (9,)
    assert found.chips[9].broadcasts == (0, 1, 0)
    told = "chip 9 is unstable: it answered 1 of 3 questions to all and 1 of 1 to its address"
    assert found.faults == (told,)


async def test_a_line_that_opens_and_closes_is_unstable_from_a_chip_on() -> None:
    on = bench_of(("BM1362", 126))
    loop, line = asyncio.get_running_loop(), on.bench.line
    # Open while they are counted and addressed, shut for the third question to all.
    loop.call_later(1.90, lambda: line.break_at(50, loop.time()))
    loop.call_later(2.05, lambda: line.break_at(None, loop.time()))
    found = await on.survey(126)
    assert found.in_state(ChipState.UNSTABLE) == tuple(range(50, 126))
    assert found.faults == ("all are unstable from chip 50 on: they answered 2 of 3 questions to all",)


async def test_chips_that_were_unstable_only_before_they_had_addresses_are_told_without_a_position() -> None:
    on = bench_of(("BM1370", 4))
    turn = iter([False, True])
    answers_when(on.bench.chips[2], lambda: next(turn, True))
    found = await on.survey(4)
    assert found.faults == ("unstable before they had addresses: 3, 4 chips answered; all alike since",)


async def test_a_chip_that_is_reset_on_the_way_is_missing_at_its_address_and_one_too_many_at_00() -> None:
    on = bench_of(("BM1366", 6))
    loop, chip = asyncio.get_running_loop(), on.bench.chips[3]

    def brown_out() -> None:
        chip.set_reset(True, loop.time())
        chip.set_reset(False, loop.time())

    loop.call_later(0.1985, brown_out)  # addressed at 0.191 s, asked again at 0.201 s
    found = await on.survey(6)
    assert found.chips[3].state is ChipState.MISSING
    told = (
        "address 00 answers 2 times: a chip too many for the addresses, or one that was reset or did not take its own"
    )
    assert found.faults[:2] == ("chip 3 does not answer, chips behind do", told)
    assert found.short_replies == 1


# --- kinds and lengths


async def test_mixed_kinds_are_told_with_their_positions() -> None:
    found = await bench_of(("BM1366", 3), ("BM1368", 1), ("BM1366", 2)).survey(6)
    assert found.faults == ("mixed kinds: BM1366: chips 0 to 2, 4, 5; BM1368: chip 3",)
    found = await bench_of(("BM1366", 3), ("BM1368", 1), ("BM1366", 2)).survey(6, "BM1366")
    assert found.faults == ("BM1368 instead of BM1366: chip 3",)


async def test_a_chip_that_is_not_driven_here_is_named_by_its_id() -> None:
    on = bench_of(("BM1370", 2))
    for chip in on.bench.chips:
        chip._words[0x00] = 0x1387_1800
        deaf_to_rolling(chip)
    found = await on.survey(2)
    assert found.faults == ()
    assert found.remarks == ("BM1387 is no chip that hashbridge drives",)
    assert found.short_replies == 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ASICS[kind].version_rolling is not None])
@pytest.mark.parametrize("deaf", [[0, 1, 2, 3, 4, 5], [4], [0, 3]])
async def test_replies_of_nine_bytes_are_read_too_and_counted(kind: str, deaf: list[int]) -> None:
    on = bench_of((kind, 6))
    for at in deaf:
        deaf_to_rolling(on.bench.chips[at])
    found = await on.survey(6, kind)
    assert found.answering == tuple(range(6))
    assert found.short_replies == len(deaf)
    assert found.faults == (f"version rolling was not taken: {len(deaf)} replies of 9 bytes",)


# --- lines that say nothing, or nonsense


async def test_a_dead_line_is_silence_in_so_many_words() -> None:
    with pytest.raises(NoReply) as caught:
        await bench_of(("BM1370", 65), dead_chip=0).survey(65)
    assert str(caught.value) == ("no reply to the chip id of all, asked 3 times at 115200 baud on data, within 3.025 s")
    assert caught.value.__notes__[0].startswith("not one byte came back. Look at: core and IO supply, reset released")


async def test_chips_at_another_rate_than_the_host_are_silence() -> None:
    with pytest.raises(NoReply, match="at 1000000 baud on data"):
        await bench_of(("BM1370", 2)).survey(2, baud=1_000_000)


def answering_with(reply: Callable[[bytes], bytes]) -> MemoryTransport:
    port, wire = memory_pair("data")
    wire.attach(lambda baud, data: wire.deliver(reply(data)), lambda baud: None)
    return port


async def test_garbage_is_told_with_its_first_bytes() -> None:
    rng = random.Random(5)
    port = answering_with(lambda data: rng.randbytes(5))
    with pytest.raises(UnexpectedReply, match=r"^data: 35 bytes came back at 115200 baud, no reply among them: 45 7c"):
        await survey(port, 3)


async def test_a_line_that_sends_back_what_it_gets_is_called_that() -> None:
    with pytest.raises(UnexpectedReply, match=r"^data: what came back is what was sent: TX and RX are joined$"):
        await survey(answering_with(lambda data: data), 3)


async def test_noise_beside_good_answers_is_a_remark_and_no_fault() -> None:
    on = bench_of(("BM1362", 12))
    asyncio.get_running_loop().call_later(0.5, lambda: on.wire.deliver(b"\x00\xaa\x13"))
    found = await on.survey(12)
    assert (found.faults, found.remarks) == ((), ("3 bytes of noise on the line",))


async def test_chips_that_somebody_left_hashing_are_noise_at_another_rate_and_named_at_their_own() -> None:
    on = bench_of(("BM1370", 2))
    on.bench = HashBoard(HashBoardModel("bench", (("BM1370", 2),)), dilution=1 << 30)
    port, wire = memory_pair("data")
    carrier = MemoryPort(on.bench.data, wire)
    chain = Chain(port, ASICS["BM1370"], expected_chips=2, dilution=1 << 30)
    chain.start()
    await chain.reset_line()
    await chain.enumerate()
    await chain.initialise()
    await chain.set_ticket(1)
    await chain.set_window(50.0)
    await chain.fast_link()
    await chain.send(Work(1, bytes(76)))
    await asyncio.sleep(0.5)
    for baud, error in ((115_200, "no reply among them"), (1_000_000, None)):
        carrier.hang_up()
        host, again = memory_pair("left")
        carrier.replug(again)
        if error is not None:
            with pytest.raises(UnexpectedReply, match=error):
                await survey(host, 2, baud=baud)
            continue
        found = await survey(host, 2, baud=baud)
        assert found.nonces > 0
        assert found.answering == (0, 1)
        (told,) = found.faults
        assert told == f"the chips are hashing: {found.nonces} nonces came in; no frame sent here starts or stops that"
    await chain.aclose()


# --- ports that end, and time


@pytest.mark.parametrize(
    ("after_s", "doing"),
    [
        (0.003, "version rolling was sent"),
        (0.05, "all chips were asked for their id before they had addresses, try 1 of 3"),
        (0.55, "addresses were given, 34 of 65 so far"),
        (1.05, "all chips were asked for their id with their addresses, try 2 of 3"),
        (1.46, "each address was asked, 41 of 65 so far, try 1 of 3"),
        (1.54, "the last answers were waited for, try 1 of 3"),
    ],
)
async def test_a_port_that_is_unplugged_on_the_way_is_told_with_what_was_under_way(after_s: float, doing: str) -> None:
    on = bench_of(("BM1370", 65))
    asyncio.get_running_loop().call_later(after_s, on.carrier.hang_up)
    with pytest.raises(Unplugged) as caught:
        await on.survey(65)
    assert (str(caught.value), caught.value.__notes__) == ("data: unplugged", [f"while {doing}"])


async def test_the_worst_line_takes_twelve_seconds_at_most() -> None:
    on = bench_of(("BM1362", 128))
    rng = random.Random(3)
    for chip in on.bench.chips[:-1]:
        answers_when(chip, lambda: rng.random() < 0.3)
    trickle = asyncio.create_task(trickling(on.wire))
    found = await on.survey(128)
    trickle.cancel()
    assert any(fault.startswith("unstable as well: chips ") for fault in found.faults)
    assert 5.0 < found.elapsed_s < 12.0


async def trickling(wire: MemoryWire) -> None:
    """Now and then an answer of nobody in particular: the end of the answers never comes."""
    while True:
        await asyncio.sleep(0.09)
        wire.deliver(DeviceCodec(full_header_jobs=True).encode(RegisterReply(0x1362_0300, 0xFE, 0), 11))


class Stuck(Recording):
    async def write(self, data: bytes) -> None:
        await asyncio.Event().wait()


async def test_a_port_that_takes_nothing_ends_the_survey_after_its_limit() -> None:
    port, _ = memory_pair("data")
    loop = asyncio.get_running_loop()
    loop.call_later(1e6, lambda: None)  # time must be able to pass
    began_s = loop.time()
    with pytest.raises(NoReply, match=r"no reply to data itself, while version rolling was sent within 60.000 s"):
        await survey(Stuck(port), 3)
    assert loop.time() - began_s == pytest.approx(LIMIT_S)


@pytest.mark.parametrize("after_s", [0.01, 0.1, 0.6, 1.1, 1.4])
async def test_it_can_be_cancelled_at_any_time_and_closes_its_port(after_s: float) -> None:
    on = bench_of(("BM1370", 65))
    task = asyncio.create_task(on.survey(65))
    await asyncio.sleep(after_s)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(Unplugged, match="closed"):
        await on.port.write(b"")


@pytest.mark.parametrize("chips", [0, -1, 129])
async def test_no_line_has_so_many_chips(chips: int) -> None:
    port, _ = memory_pair("data")
    with pytest.raises(UsageError, match=f"expected_chips: {chips} is not allowed; allowed: 1 to 128"):
        await survey(port, chips)


# --- what it has no words for


@pytest.mark.parametrize(
    "message",
    [
        WriteRegister(0x08, 0x40A2_0255, None),
        WriteRegister(0x10, 0x1381, None),
        WriteRegister(0x14, 0xFF, None),
        WriteRegister(0x18, 0xF000_C100, None),
        WriteRegister(0x28, 0x1130_0200, None),
        WriteRegister(0x3C, 0x8000_82AA, 0),
        WriteRegister(0xA8, 0x0007_01F0, 0),
        WriteRegister(0xA4, 0x9000_FFFF, 0),
        WriteRegister(0xA4, 0x8000_FFFF, None),
        ReadRegister(0x8C, 0),
        Job(8, bytes(76)),
        MidstateJob(4, (bytes(32),), bytes(12)),
    ],
)
def test_its_codec_refuses_every_other_frame(message: HostMessage) -> None:
    assert frame_name(message) is None
    with pytest.raises(UsageError, match=r"frame of a survey: .* allowed: version rolling, reads of the chip id"):
        SurveyCodec().encode(message)


def test_positions_are_named_in_spans() -> None:
    assert chips_named([3]) == "chip 3"
    assert chips_named([0, 1, 3, 4, 5, 9]) == "chips 0, 1, 3 to 5, 9"
