"""The memory pair: what it adds to the contract of every transport is the rate that travels with the bytes."""

from __future__ import annotations

import asyncio

from drivers.transports.memory import memory_pair
from tests.fakes import SinkLog


async def test_each_write_carries_the_rate_at_which_it_was_sent() -> None:
    transport, wire = memory_pair(baud=9600)
    seen: list[object] = []
    wire.attach(lambda baud, data: seen.append((baud, data)), seen.append)
    await transport.write(b"slow")
    await transport.set_baud(3_125_000)
    await transport.write(b"fast")
    assert seen == [(9600, b"slow"), 3_125_000, (3_125_000, b"fast")]
    assert wire.baud == 3_125_000


async def test_bytes_arrive_in_the_turn_of_the_loop_in_which_they_were_delivered() -> None:
    transport, wire = memory_pair()
    sink = SinkLog()
    transport.start(sink)
    wire.deliver(b"now")
    assert sink.data == b"now"
    assert asyncio.get_running_loop().time() == 0.0


async def test_writes_without_a_far_end_go_nowhere() -> None:
    transport, _wire = memory_pair()
    await transport.write(b"x")
    await transport.set_baud(9600)
