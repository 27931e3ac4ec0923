"""Safe-off: every action tried, in the order of the safety rules, proved by read-back, and the same as bytes."""

from __future__ import annotations

import asyncio

import pytest

from drivers.boards.bitaxe_gamma import BITAXE_GAMMA, PARTS
from drivers.boards.bitaxe_safe_off import FAN, RAIL, RESET, SafeOff, Wiring
from drivers.boards.board import ActionOutcome, RecipeAction, SafeOffReport
from drivers.transports.memory import memory_pair
from emulator.ports.memory import MemoryPort
from tests.fakes import SinkLog
from tests.unit.boards.on_a_bench import OnBench, gamma


async def hashing(on: OnBench) -> None:
    await on.board.first_contact()
    await on.power_up(400.0)
    assert on.truth("rail_on") is True


def off(on: OnBench) -> bool:
    return on.truth("reset_asserted") is True and on.truth("rail_on") is False and on.truth("fan_duty") == 1.0


def outcomes(report: SafeOffReport) -> dict[str, ActionOutcome]:
    return {action.name: action for action in report.actions}


async def test_a_hashing_board_is_off_and_proved_within_a_tenth_of_a_second() -> None:
    async with gamma() as on:
        await hashing(on)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        report = await on.board.safe_off()
        assert loop.time() - began_s < 0.1
        assert report.confirmed
        assert [action.name for action in report.actions] == [RESET, RAIL, FAN]
        assert off(on)
        assert on.truth("rail_v") == 0.0


async def test_reset_comes_before_the_rail_and_the_rail_before_the_fan() -> None:
    async with gamma() as on:
        await hashing(on)
        await on.board.bridge.i2c().write(0x4C, b"\x4c\x20")  # so that the fan has somewhere to go
        await asyncio.sleep(0.1)
        before = len(on.bench.actuations)
        await on.board.safe_off()
        moved = [actuation.what for actuation in on.bench.actuations[before:]]
        assert moved == ["reset asserted", "rail off", "fan duty"]


async def test_it_may_run_twice_and_at_the_same_time() -> None:
    async with gamma() as on:
        await hashing(on)
        reports = await asyncio.gather(on.board.safe_off(), on.board.safe_off())
        assert all(report.confirmed for report in reports)
        assert (await on.board.safe_off()).confirmed
        assert off(on)


async def test_it_takes_the_fan_back_from_the_table() -> None:
    async with gamma() as on:
        await hashing(on)
        await on.board.bridge.i2c().write(0x4C, b"\x4a\x03")
        await asyncio.sleep(0.2)
        assert on.truth("fan_table") is True
        assert (await on.board.safe_off()).confirmed
        assert on.truth("fan_table") is False
        assert on.truth("fan_duty") == 1.0


@pytest.mark.parametrize(
    ("part", "failed", "others"), [("tps546", RAIL, (RESET, FAN)), ("emc2101", FAN, (RESET, RAIL))]
)
async def test_a_part_that_does_not_answer_stops_nothing_else(part: str, failed: str, others: tuple[str, str]) -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.nak(part)
        report = await on.board.safe_off()
        found = outcomes(report)
        assert not report.confirmed
        assert not found[failed].sent
        assert not found[failed].confirmed
        assert "I2C" in found[failed].detail
        for name in others:
            assert found[name].confirmed
        assert on.truth("reset_asserted") is True


async def test_a_regulator_that_ignores_the_write_is_found_out() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.deafen("tps546")
        report = await on.board.safe_off()
        rail = outcomes(report)[RAIL]
        assert rail.sent
        assert not rail.confirmed
        assert "OPERATION reads 80" in rail.detail
        assert outcomes(report)[RESET].confirmed


async def test_a_rail_that_keeps_its_voltage_is_found_out() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.stick("tps546", 0x8B, "00 02")
        rail = outcomes(await on.board.safe_off())[RAIL]
        assert not rail.confirmed
        assert "still reads 1.000 V" in rail.detail


async def test_lost_replies_are_made_up_for_by_asking_again() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.lose_replies(1)
        assert (await on.board.safe_off()).confirmed


async def test_a_dead_bridge_is_reported_within_two_and_a_half_seconds() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.panic()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        report = await on.board.safe_off()
        assert loop.time() - began_s < 2.5
        assert not any(action.sent or action.confirmed for action in report.actions)


async def test_a_port_that_is_gone_is_reported_and_never_raised() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.unplug("control")
        report = await on.board.safe_off()
        assert not any(action.sent or action.confirmed for action in report.actions)
        assert all("unplugged" in action.detail for action in report.actions)


async def test_a_lost_data_port_takes_nothing_from_it() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.unplug("data")
        assert (await on.board.safe_off()).confirmed
        assert off(on)


async def test_with_the_control_port_gone_hashing_is_stopped_through_the_data_port() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.unplug("control")
        assert await on.board.stop_hashing()
        assert on.truth("hashing") is False
        assert on.truth("frequency_mhz") == 50.0
        assert on.truth("rail_on") is True


async def test_with_both_ports_gone_nothing_is_claimed() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.unplug("control")
        on.bench.faults.unplug("data")
        assert not await on.board.stop_hashing()
        assert not (await on.board.safe_off()).confirmed


async def test_after_it_the_board_powers_up_again() -> None:
    async with gamma() as on:
        await hashing(on)
        await on.board.safe_off()
        await on.power_up(400.0)
        assert on.truth("frequency_mhz") == 400.0


# --- the same as bytes -----------------------------------------------------------------------------------------------


def fits(action: RecipeAction, reply: bytes, own_id: int) -> bool:
    wanted = action.reply[:2] + bytes([own_id]) + action.reply[3:]
    mask = b"\xff\xff\xff" + action.mask[3:]
    return len(reply) == len(wanted) and all((a ^ b) & m == 0 for a, b, m in zip(reply, wanted, mask, strict=True))


async def play(on: OnBench) -> list[bool]:
    """The recipe over a second control port, as a process without any protocol would: bytes out, bytes compared."""
    port, wire = memory_pair("sentinel")
    sink = SinkLog()
    port.start(sink)
    MemoryPort(on.bench.control, wire)
    results = []
    for own_id, action in enumerate(BITAXE_GAMMA.safe_off_recipe, start=0x10):
        sink.data.clear()
        await port.write(action.request[:2] + bytes([own_id]) + action.request[3:])
        await asyncio.sleep(0.25)
        results.append(fits(action, bytes(sink.data), own_id))
        await asyncio.sleep(action.pause_s)
    return results


async def test_the_recipe_of_the_sentinel_makes_the_board_safe_and_knows_it() -> None:
    async with gamma() as on:
        await hashing(on)
        assert all(await play(on))
        assert off(on)


async def test_the_recipe_does_not_take_a_running_board_for_a_safe_one() -> None:
    async with gamma() as on:
        await hashing(on)
        on.bench.faults.deafen("tps546")
        on.bench.faults.deafen("emc2101")
        await on.board.bridge.i2c().write(0x4C, b"\x4c\x20")
        results = dict(zip(BITAXE_GAMMA.safe_off_recipe, await play(on), strict=True))
        proofs = {action.name: good for action, good in results.items() if action.confirms}
        assert proofs["reset asserted: reset latch"]
        assert not proofs["rail off: OPERATION"]
        assert not proofs["rail off: READ_VOUT"]


def test_the_recipe_is_in_the_order_of_the_safety_rules() -> None:
    moves = [action.name for action in BITAXE_GAMMA.safe_off_recipe if action.confirms is None]
    assert list(dict.fromkeys(moves)) == [RESET, RAIL, FAN]


def test_every_move_of_the_recipe_is_proved_and_no_two_proofs_share_an_outcome() -> None:
    proofs = [action.confirms for action in BITAXE_GAMMA.safe_off_recipe if action.confirms]
    assert {RESET, RAIL, FAN} <= set(proofs)
    assert len(proofs) == len(set(proofs))


def test_the_recipe_has_the_bytes_of_the_wire_page() -> None:
    requests = [action.request.hex(" ") for action in BITAXE_GAMMA.safe_off_recipe]
    assert requests == [
        "07 00 00 00 06 00 00",
        "09 00 00 00 05 20 24 01 00",
        "09 00 00 00 05 20 24 02 1b",
        "09 00 00 00 05 20 4c 4a 23",
        "09 00 00 00 05 20 4c 4c 3f",
        "06 00 00 00 06 00",
        "09 00 00 00 05 40 24 01 01",
        "09 00 00 00 05 40 4c 4a 01",
        "09 00 00 00 05 40 4c 4c 01",
        "09 00 00 00 05 40 24 8b 02",
    ]
    for action in BITAXE_GAMMA.safe_off_recipe:
        assert int.from_bytes(action.request[:2], "little") == len(action.request)
        assert len(action.reply) == len(action.mask) == 3 + int.from_bytes(action.reply[:2], "little")


@pytest.mark.parametrize("dialect", ["A", "B", "C"])
def test_the_recipe_asks_for_every_byte_in_front_of_the_payload_in_every_dialect(dialect: str) -> None:
    overhead = {"A": 3, "B": 3, "C": 4}[dialect]
    plan = SafeOff(Wiring(dialect=dialect), PARTS.rail.bytes, PARTS.cooling.bytes)
    recipe = plan.recipe()
    for action, move in zip(recipe, plan.moves, strict=False):
        assert action.reply[overhead:] == move.payload
        assert action.mask == b"\xff" * len(action.reply)
    for action, proof in zip(recipe[len(plan.moves) :], (*plan.proofs, plan.decayed), strict=True):
        assert proof is not None
        assert (action.reply[overhead:], action.mask[overhead:]) == (proof.payload, proof.mask)
        assert action.mask[:overhead] == b"\xff" * overhead
