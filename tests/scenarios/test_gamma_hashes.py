"""A Gamma from power-up to safe-off on the emulated bench: known answers found, errors counted, silence unknown."""

from __future__ import annotations

import asyncio
from importlib import resources

from drivers.asics.chain import Find, Work
from drivers.boards.board import Channel, TicketDifficulty
from emulator.benches import BenchSettings
from tests.unit.boards.on_a_bench import OnBench, gamma

HEADERS = (resources.files("controller.work") / "data/bitcoin_mainnet_headers_0_7999.bin").read_bytes()


def header(number: int) -> bytes:
    return HEADERS[80 * number : 80 * number + 80]


async def hash_headers(on: OnBench, count: int) -> list[Find]:
    """One header a window, as the known-answer test feeds them."""
    finds: list[Find] = []
    chain = on.board.chain
    chain.on_finds = finds.extend
    for number in range(count):
        await chain.send(Work(number, header(number)))
        await asyncio.sleep(chain.window_s + 0.001)
    return finds


async def test_the_nonces_of_real_blocks_are_found_again() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up()
        await on.apply(TicketDifficulty(1))
        finds = await hash_headers(on, 200)
        answers = {find.work.number for find in finds if find.header == header(find.work.number)}
        assert len(answers) >= 197
        counters = on.board.chain.counters
        assert counters.jobs == 200
        assert counters.verified == len(finds) == on.board.chain.chips[0].finds
        assert counters.stale == counters.link_errors == counters.below_ticket == 0
        assert (await on.board.safe_off()).confirmed


async def test_at_a_dilution_that_both_ends_know_every_nonce_verifies() -> None:
    async with gamma(BenchSettings(dilution=1 << 24)) as on:
        await on.board.first_contact()
        await on.power_up()
        await on.apply(TicketDifficulty(4))
        finds: list[Find] = []
        on.board.chain.on_finds = finds.extend
        await on.board.chain.send(Work(1, bytes(76)))
        await asyncio.sleep(2.0)
        counters = on.board.chain.counters
        assert len(finds) == counters.verified > 60
        assert counters.hw_errors <= 0.02 * counters.nonces + 1
        assert counters.stale == counters.below_ticket == counters.link_errors == 0


async def test_the_chip_s_own_counter_goes_up_while_it_hashes() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up()
        await hash_headers(on, 10)
        first, _ = await on.board.chain.read_counters()
        await hash_headers(on, 30)
        second, errors = await on.board.chain.read_counters()
        assert first is not None
        assert second is not None
        assert second > first
        assert errors is not None


async def test_a_part_that_falls_silent_while_hashing_reads_unknown_and_the_hashing_goes_on() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up()
        await on.apply(TicketDifficulty(1))
        on.bench.faults.nak("emc2101")
        finds = await hash_headers(on, 20)
        reading = await on.board.read()
        assert reading.channels[Channel.CHIP_C] is None
        assert reading.channels[Channel.CORE_V] is not None
        assert len(finds) > 0


async def test_after_a_safe_off_a_second_run_counts_nothing_of_the_first() -> None:
    async with gamma() as on:
        await on.board.first_contact()
        await on.power_up()
        await on.apply(TicketDifficulty(1))
        await hash_headers(on, 20)
        before = on.board.chain.counters.stale
        await on.board.safe_off()
        await on.power_up()
        await on.apply(TicketDifficulty(1))
        await hash_headers(on, 20)
        assert on.board.chain.counters.stale == before == 0
        assert on.board.chain.counters.link_errors == 0
