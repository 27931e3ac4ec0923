"""What a chain of every chip promises, alone and with others on its line."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from controller.work.sources import PatternSource, shipped_headers
from drivers.asics import ASICS
from drivers.asics.chain import Work
from drivers.errors import LimitError, UsageError, VerifyError
from tests.unit.asics.chips_on_a_line import chain_of

every_chip = pytest.mark.parametrize("chip", sorted(ASICS))
COUNTS = pytest.mark.parametrize("count", [1, 2, 5])


@every_chip
@COUNTS
async def test_after_bring_up_every_chip_has_the_clock_the_window_and_an_address_of_its_own(
    chip: str, count: int
) -> None:
    async with chain_of(chip, count) as on:
        await on.bring_up(425.0)
        assert len(on.chain.chips) == count
        assert len({each.address for each in on.line.chips}) == count
        assert [each.address for each in on.chain.chips] == [each.address for each in on.line.chips]
        assert {each.frequency_mhz for each in on.line.chips} == {425.0}
        assert {each.baud for each in on.line.chips} == {3_125_000 if chip == "BM1397" else 1_041_667}
        assert {each.hash_activity for each in on.line.chips} == {0.0}  # no job yet
        assert on.chain.expected_hs == 425e6 * ASICS[chip].small_cores * count
        assert not any(each.truth.warnings for each in on.line.chips)


@every_chip
@COUNTS
async def test_every_known_answer_that_is_due_comes_back_verified(chip: str, count: int) -> None:
    async with chain_of(chip, count) as on:
        await on.bring_up(425.0)
        await on.chain.set_ticket(1)
        source = PatternSource(shipped_headers(), on.chain.partition.owner, seed=3)
        headers = {}
        for number in range(60):
            headers[number] = source.draw().header
            await on.chain.send(Work(number, headers[number]))
            await asyncio.sleep(on.chain.window_s + 0.002)
        await asyncio.sleep(0.05)
        found = {find.work.number for find in on.finds if find.header == headers[find.work.number]}
        assert len(found) >= 59
        assert on.chain.counters.hw_errors == 0
        assert on.chain.counters.stale == 0
        assert sum(each.finds for each in on.chain.chips) == on.chain.counters.verified


@every_chip
@COUNTS
async def test_stop_hashing_is_confirmed_by_every_chip(chip: str, count: int) -> None:
    async with chain_of(chip, count) as on:
        await on.bring_up(425.0)
        await on.chain.send(Work(1, shipped_headers()[:80]))
        await asyncio.sleep(0.2)
        assert {each.hash_activity for each in on.line.chips} == {1.0}
        assert await on.chain.stop_hashing()
        assert {(each.hash_activity, each.frequency_mhz) for each in on.line.chips} == {(0.0, 50.0)}


@every_chip
async def test_a_clock_moves_by_one_step_of_the_slew_at_most_and_never_beyond_the_chips_limits(chip: str) -> None:
    kind = ASICS[chip]
    async with chain_of(chip, 2) as on:
        with pytest.raises(UsageError):
            await on.chain.set_frequency_step(56.25)  # nobody knows what it is now
        await on.bring_up(425.0)
        for mhz in (445.0, 400.0):
            with pytest.raises(UsageError):
                await on.chain.set_frequency_step(mhz)
        for mhz in (kind.clock_limits_mhz[0] - 1.0, kind.clock_limits_mhz[1] + 1.0, float("nan")):
            with pytest.raises(LimitError):
                await on.chain.set_frequency_step(mhz)
        assert {each.frequency_mhz for each in on.line.chips} == {425.0}


@every_chip
async def test_one_chip_is_told_a_clock_of_its_own_and_no_other_moves(chip: str) -> None:
    kind = ASICS[chip]
    async with chain_of(chip, 3) as on:
        await on.bring_up(425.0)
        sent = len(on.frames.frames)
        assert await on.chain.set_frequency_step(431.25, 1) == 431.25
        mine = on.frames.frames[sent:]
        assert {frame[:11] for frame in mine} == {"55 aa 41 09"}
        assert {frame[12:14] for frame in mine} == {f"{on.chain.partition.address(1):02x}"}
        assert [each.frequency_mhz for each in on.line.chips] == [425.0, 431.25, 425.0]
        assert [on.chain.clock_of(at) for at in range(3)] == [425.0, 431.25, 425.0]
        assert (on.chain.frequency_mhz, dict(on.chain.own_clocks_mhz)) == (425.0, {1: 431.25})
        assert on.chain.expected_hs == pytest.approx((2 * 425e6 + 431.25e6) * kind.small_cores)
        assert [await on.chain.read_clock() for _ in range(3)] == [425.0, 431.25, 425.0]
        for mhz, which in ((444.0, 1), (406.0, 1), (437.5, 0), (kind.clock_limits_mhz[1] + 1.0, 1), (431.25, 3)):
            with pytest.raises(UsageError if mhz < 600.0 else LimitError):
                await on.chain.set_frequency_step(mhz, which)
        assert [each.frequency_mhz for each in on.line.chips] == [425.0, 431.25, 425.0]
        assert not any(each.truth.warnings for each in on.line.chips)


@every_chip
async def test_chips_go_apart_by_slew_steps_work_each_at_its_clock_and_come_together_again(chip: str) -> None:
    async with chain_of(chip, 3) as on:
        await on.bring_up(300.0)
        own = {0: 262.5, 2: 337.5}
        seen: list[list[float]] = []
        await on.chain.set_window(300.0, own)
        await on.chain.ramp(300.0, own, lambda moves: seen.append([each.frequency_mhz for each in on.line.chips]))
        assert seen[-1] == [262.5, 300.0, 337.5]
        assert all(abs(a - b) < 6.3 for one, other in pairwise(seen) for a, b in zip(one, other, strict=True))
        assert (on.chain.frequency_mhz, dict(on.chain.own_clocks_mhz)) == (300.0, own)
        await on.chain.fast_link()  # which reads clock and window of each back
        await on.chain.set_ticket(1)
        source = PatternSource(shipped_headers(), on.chain.partition.owner, seed=3)
        headers = {}
        for number in range(60):
            headers[number] = source.draw().header
            await on.chain.send(Work(number, headers[number]))
            await asyncio.sleep(on.chain.window_s + 0.002)
        await asyncio.sleep(0.05)
        assert len({find.work.number for find in on.finds if find.header == headers[find.work.number]}) >= 59
        assert on.chain.counters.hw_errors == 0
        with pytest.raises(UsageError, match=r"at most 6\.25 MHz from the present 262\.5 MHz of chip 0"):
            await on.chain.set_frequency_step(300.0)
        await on.chain.ramp(300.0)
        await on.chain.set_window(300.0)
        assert {each.frequency_mhz for each in on.line.chips} == {300.0}
        assert not on.chain.own_clocks_mhz
        await on.chain.ramp(312.5)
        assert on.frames.frames[-1].startswith("55 aa 51 09 00 08")  # one write to all again
        assert {each.frequency_mhz for each in on.line.chips} == {312.5}


@every_chip
async def test_a_stop_takes_chips_with_clocks_of_their_own_to_the_floor_with_all_others(chip: str) -> None:
    async with chain_of(chip, 3) as on:
        await on.bring_up(300.0)
        await on.chain.ramp(300.0, {1: 350.0})
        await on.chain.send(Work(1, shipped_headers()[:80]))
        await asyncio.sleep(0.2)
        assert await on.chain.stop_hashing()
        assert {(each.hash_activity, each.frequency_mhz) for each in on.line.chips} == {(0.0, 50.0)}
        assert (on.chain.frequency_mhz, dict(on.chain.own_clocks_mhz)) == (50.0, {})


@every_chip
async def test_a_clock_of_its_own_that_a_chip_did_not_take_is_not_confirmed(chip: str) -> None:
    async with chain_of(chip, 2) as on:
        await on.bring_up(300.0)
        kept = on.line.chips[1]._words[0x08]
        await on.chain.set_frequency_step(306.25, 1)
        on.line.chips[1]._write(0x08, kept, asyncio.get_running_loop().time())
        with pytest.raises(VerifyError, match="PLL word of chip 1"):
            await on.chain.fast_link()
        assert [await on.chain.read_clock() for _ in range(3)] == [300.0, 300.0, 300.0]  # chip 1 is asked again


@every_chip
async def test_a_reset_line_forgets_everything_and_a_second_bring_up_works(chip: str) -> None:
    async with chain_of(chip, 2) as on:
        await on.bring_up(425.0)
        now_s = asyncio.get_running_loop().time()
        on.line.set_reset(True, now_s)
        await on.chain.reset_line()
        on.line.set_reset(False, now_s + 0.1)
        assert on.chain.frequency_mhz is None
        await asyncio.sleep(0.2)
        await on.bring_up(400.0)
        assert {each.frequency_mhz for each in on.line.chips} == {400.0}


@every_chip
async def test_another_chip_on_the_line_is_told_by_its_id(chip: str) -> None:
    other = next(name for name in sorted(ASICS, key=lambda name: name == "BM1397") if name != chip)
    await told_apart(chip, other)


async def test_a_chip_that_is_sent_midstates_is_not_taken_for_one_that_rolls_versions() -> None:
    await told_apart("BM1366", "BM1397")


async def told_apart(chip: str, other: str) -> None:
    async with chain_of(other, 1) as on:
        on.chain.kind = ASICS[chip]
        with pytest.raises(VerifyError, match=f"chip: wrote '{chip}', read back '{other}'"):
            await on.chain.enumerate()
