"""Chains of more than one chip, driver and emulator together: found, addressed, told apart, missed."""

from __future__ import annotations

import asyncio
import re

import pytest

from controller.work.sources import PatternSource, SyntheticSource, shipped_headers
from drivers.asics import pll
from drivers.asics.chain import Work
from drivers.asics.kind import answer_s
from drivers.codecs.bm13xx import WriteRegister, encode
from drivers.errors import NoReply, VerifyError
from tests.unit.asics import ember_frames
from tests.unit.asics.chips_on_a_line import ChainOnLine, chain_of
from tests.vectors import frame, rows

SYNTHETIC = 1 << 30


async def known_answers(on: ChainOnLine, count: int) -> tuple[int, list[int]]:
    """How many of `count` jobs were answered with the nonce that is known, and by which chip each should be."""
    source = PatternSource(shipped_headers(), on.chain.partition.owner, seed=1)
    wanted = {}
    for number in range(count):
        solved = source.draw()
        await on.chain.send(Work(number, solved.header))
        await asyncio.sleep(on.chain.window_s + 0.001)
        wanted[number] = solved
    await asyncio.sleep(0.05)
    found = {find.work.number: find for find in on.finds if find.header == wanted[find.work.number].header}
    assert all(find.chip == wanted[number].chip for number, find in found.items())
    assert all(find.core == wanted[number].core for number, find in found.items())
    return len(found), [solved.chip for solved in wanted.values()]


@pytest.mark.parametrize(
    ("chip", "count"),
    [("BM1370", 2), ("BM1370", 4), ("BM1370", 3), ("BM1366", 6), ("BM1368", 4), ("BM1362", 12), ("BM1397", 6)],
)
async def test_every_known_answer_comes_from_the_chip_in_whose_share_it_lies(chip: str, count: int) -> None:
    async with chain_of(chip, count) as on:
        await on.bring_up(400.0)
        await on.chain.set_ticket(1)
        found, chips = await known_answers(on, 40 * count)
        assert set(chips) == set(range(count))
        assert found >= 0.99 * len(chips)
        assert not any(each.truth.warnings for each in on.line.chips)


@pytest.mark.parametrize(("chip", "count"), [("BM1370", 4), ("BM1366", 6), ("BM1362", 12), ("BM1397", 6)])
async def test_finds_of_open_work_are_shared_evenly_and_each_chip_finds_what_it_is_credited_with(
    chip: str, count: int
) -> None:
    async with chain_of(chip, count, dilution=SYNTHETIC) as on:
        await on.bring_up(400.0)
        await on.chain.set_ticket(16)
        source = SyntheticSource(1)
        job_s = min(0.5, 0.9 * on.chain.job_lasts_s)
        for number in range(round(20.0 / job_s)):
            await on.chain.send(Work(number, source.draw()))
            await asyncio.sleep(job_s)
        truths = [each.truth.other_finds for each in on.line.chips]
        credited = [each.finds for each in on.chain.chips]
        mean = sum(credited) / count
        assert mean > 60.0
        assert sum((each - mean) ** 2 / mean for each in credited) < 4.0 * count
        assert all(
            abs(truth - mine) <= 3 for truth, mine in zip(truths, credited, strict=True)
        )  # some are on their way
        assert on.chain.counters.hw_errors == 0


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("mask", "fields"), [(0x1FFF_E000, {0, 1, 2, 3}), (0x0080_2000, {0, 1, 0x400, 0x401}), (0x4000, {0, 2}), (0, {0})]
)
async def test_versions_that_the_host_rolled_are_those_of_the_headers_that_it_verified(
    count: int, mask: int, fields: set[int]
) -> None:
    async with chain_of("BM1397", count, dilution=SYNTHETIC) as on:
        await on.bring_up(400.0)
        on.chain.version_mask = mask
        await on.chain.set_ticket(1)
        source, sent = SyntheticSource(1), {}
        for number in range(300):
            sent[number] = source.draw()
            await on.chain.send(Work(number, sent[number]))
            await asyncio.sleep(0.9 * on.chain.job_lasts_s)
        rolled = dict.fromkeys(fields, 0)
        for find in on.finds:
            work = sent[find.work.number]
            version = int.from_bytes(work[:4], "little") | find.version_field << 13
            assert find.header[:76] == version.to_bytes(4, "little") + work[4:76]
            rolled[find.version_field] += 1
        mean = len(on.finds) / len(fields)
        assert mean > 100
        assert sum((each - mean) ** 2 / mean for each in rolled.values()) < 16.3  # p = 0.001, 3 degrees
        assert on.chain.counters.hw_errors == 0
        assert len(on.finds) == on.chain.counters.verified == sum(chip.truth.other_finds for chip in on.line.chips)


@pytest.mark.parametrize(("chips", "allowed_s"), [(1, 0.1), (50, 0.1), (51, 0.101), (77, 0.127), (126, 0.176)])
def test_an_answer_may_take_50_ms_and_1_ms_a_chip_and_never_less_than_100_ms(chips: int, allowed_s: float) -> None:
    assert answer_s(chips) == pytest.approx(allowed_s)


@pytest.mark.parametrize(("late_s", "heard"), [(0.105, True), (0.115, False)])
async def test_a_long_chain_is_given_the_time_that_an_answer_through_all_its_chips_takes(
    late_s: float, heard: bool
) -> None:
    """60 chips: 110 ms."""
    async with chain_of("BM1370", 60) as on:
        await on.bring_up(56.25)
        for chip in on.line.chips:
            say = chip.say
            chip.say = lambda data, baud, ready_s, say=say: say(data, baud, ready_s + late_s)  # type: ignore[misc]
        asked = on.chain.read_register(0x08, on.chain.chips[59].address, tries=1)
        if heard:
            assert await asked == 0xC0A20255
        else:
            with pytest.raises(NoReply):
                await asked


async def test_the_frames_of_a_chain_are_those_of_the_nerdqaxe_boards() -> None:
    """Address and per-chip frames of 4 x BM1368 and 4 x BM1370 (NerdQAxePlus bm1368.cpp, bm1370.cpp)."""
    for chip, core_delay in (("BM1368", "18"), ("BM1370", "0c")):
        async with chain_of(chip, 4) as on:
            await on.chain.enumerate()
            await on.chain.initialise()
            sent = on.frames.frames
        addresses = [line for line in sent if line.startswith("55 aa 40 05")]
        assert [line[12:14] for line in addresses] == ["00", "40", "80", "c0"]
        for address in ("00", "40", "80", "c0"):
            mine = [line[15:29] for line in sent if line.startswith(f"55 aa 41 09 {address}")]
            assert mine == [
                "a8 00 07 01 f0",
                "18 f0 00 c1 00",
                "3c 80 00 8b 00",
                f"3c 80 00 80 {core_delay}",
                "3c 80 00 82 aa",
            ]
    published = {frame(row).hex(" ") for row in rows("bm13xx", "command") if "address" in row["meaning"]}
    assert published & set(addresses)


async def test_twelve_bm1362_are_brought_up_frame_for_frame_as_published() -> None:
    async with chain_of("BM1362", 12) as on:
        await on.bring_up(525.0)
        sent = on.frames.frames
        assert not any(each.truth.warnings for each in on.line.chips)
        assert [each.address for each in on.line.chips] == [16 * index for index in range(12)]
    before, per_chip = ember_frames.BEFORE, ember_frames.PER_CHIP
    own = [
        line for line in sent if not line.startswith("55 aa 42 05")
    ]  # what asks each address for its id moves nothing
    assert own[: len(before)] == before
    assert own[len(before) : len(before) + len(per_chip)] == per_chip
    rest = own[len(before) + len(per_chip) :]
    assert rest[0] == "55 aa 51 09 00 08 40 a2 02 55 0f"
    assert rest[75] == ember_frames.CLOCK_525
    assert rest[76:] == [
        ember_frames.WINDOW_525,
        "55 aa 51 09 00 a4 90 00 ff ff 1c",
        "55 aa 51 09 00 28 11 30 02 00 03",
    ]


async def test_chips_of_a_bm1370_chain_get_their_start_after_the_first_job_which_is_then_sent_again() -> None:
    async with chain_of("BM1370", 4) as on:
        await on.bring_up(400.0)
        before = len(on.frames.frames)
        source = PatternSource(shipped_headers(), on.chain.partition.owner, seed=1)
        for number in range(3):
            await on.chain.send(Work(number, source.draw().header))
        sent = on.frames.frames[before:]
    jobs = [at for at, line in enumerate(sent) if line.startswith("55 aa 21")]
    assert jobs == [0, 5, 6, 7]
    assert sent[0].split()[8:80] == sent[5].split()[8:80]
    # The four writes of the sheet for a board of four, addresses 00, 40, 80 and C0.
    assert sent[1:5] == [
        "55 aa 41 09 00 0c 80 00 00 00 1a",
        "55 aa 41 09 40 0c 80 00 40 00 10",
        "55 aa 41 09 80 0c 80 00 80 00 0e",
        "55 aa 41 09 c0 0c 80 00 c0 00 04",
    ]


async def test_a_chain_that_ends_early_names_the_first_chip_that_is_missing() -> None:
    async with chain_of("BM1366", 6) as on:
        on.line.break_at(4, asyncio.get_running_loop().time())
        with pytest.raises(VerifyError, match="chips that answer: wrote 6, read back '4: chip 4, counted from 0"):
            await on.chain.enumerate()


async def test_a_chain_that_answers_differently_each_time_is_called_unstable() -> None:
    async with chain_of("BM1366", 6) as on:

        async def loosen() -> None:
            for reach in (5, 3, 4):
                on.line.break_at(reach, asyncio.get_running_loop().time())
                await asyncio.sleep(0.2)

        shaking = asyncio.create_task(loosen())
        with pytest.raises(VerifyError, match=r"in turn: unstable from chip \d on"):
            await on.chain.enumerate()
        await shaking


async def test_too_many_chips_are_an_error_too() -> None:
    async with chain_of("BM1366", 3) as on:
        on.chain.expected_chips = 2
        with pytest.raises(VerifyError, match=re.escape("chips that answer: wrote 2, read back 3")):
            await on.chain.enumerate()


async def test_the_clock_that_is_read_is_each_chips_in_turn_and_one_that_is_off_again_and_again() -> None:
    async with chain_of("BM1370", 2) as on:
        await on.bring_up(400.0)
        assert [await on.chain.read_clock() for _ in range(4)] == [400.0] * 4
        fifty = pll.solve(50.0, on.chain.kind.pll_rule, on.chain.kind.pll_shape)
        await on.frames.write(encode(WriteRegister(0x08, fifty.word, 0x80)))
        readings = [await on.chain.read_clock() for _ in range(5)]
        assert readings[-2:] == [50.0, 50.0]


async def test_the_count_of_hashes_is_known_once_every_chip_was_asked() -> None:
    async with chain_of("BM1370", 3) as on:
        await on.bring_up(400.0)
        assert [await on.chain.read_hash_count() for _ in range(2)] == [None, None]
        assert await on.chain.read_hash_count() == sum(chip.hash_count or 0 for chip in on.chain.chips)
