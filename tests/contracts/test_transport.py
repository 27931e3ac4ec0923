"""What every transport promises, on every transport."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from drivers.errors import Unplugged, UsageError
from tests.contracts.ports import (
    MakePort,
    memory_port,
    serial_port,
    serial_thread_port,
    socket_port,
    tap_port,
)
from tests.fakes import SinkLog

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")

every_transport = pytest.mark.parametrize(
    "make_port",
    [
        pytest.param(memory_port, id="memory"),
        pytest.param(tap_port, id="tap"),
        pytest.param(socket_port, id="socket", marks=pytest.mark.real_time),
        pytest.param(serial_port, id="serial", marks=pytest.mark.real_time),
        pytest.param(serial_thread_port, id="serial-thread", marks=pytest.mark.real_time),
    ],
)
with_back_pressure = pytest.mark.parametrize(
    "make_port",
    [
        pytest.param(socket_port, id="socket", marks=pytest.mark.real_time),
        pytest.param(serial_port, id="serial", marks=pytest.mark.real_time),
        pytest.param(serial_thread_port, id="serial-thread", marks=pytest.mark.real_time),
    ],
)

ALL_BYTES = bytes(range(256))


@every_transport
async def test_every_byte_value_crosses_unharmed_both_ways(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        sink = SinkLog()
        transport.start(sink)
        await transport.write(ALL_BYTES)
        assert await far.receive(256) == ALL_BYTES
        far.send(ALL_BYTES)
        assert await sink.wait_for(256) == ALL_BYTES


@every_transport
async def test_bytes_that_came_before_start_are_delivered_first(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        far.send(b"early ")
        sink = SinkLog()
        transport.start(sink)
        far.send(b"late")
        assert await sink.wait_for(10) == b"early late"


@every_transport
async def test_an_empty_write_is_harmless(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        transport.start(SinkLog())
        await transport.write(b"")
        await transport.write(b"x")
        assert await far.receive(1) == b"x"


@every_transport
async def test_a_vanished_port_is_reported_once_as_unplugged_and_refuses_writes(
    make_port: MakePort, tmp_path: Path
) -> None:
    async with make_port(tmp_path) as (transport, far):
        sink = SinkLog()
        transport.start(sink)
        far.send(b"last words")
        await sink.wait_for(10)
        far.hang_up()
        error = await sink.wait_lost()
        assert isinstance(error, Unplugged)
        assert error.port == transport.name
        for _ in range(3):
            with pytest.raises(Unplugged):
                await transport.write(b"x")
        with pytest.raises(Unplugged):
            await transport.set_baud(115200)
        with pytest.raises(Unplugged):
            await transport.discard_input()
        await asyncio.sleep(0.05)
        assert sink.lost == [error]


@every_transport
async def test_a_port_that_vanished_before_start_is_reported_too(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        far.hang_up()
        sink = SinkLog()
        transport.start(sink)
        assert isinstance(await sink.wait_lost(), Unplugged)


@every_transport
async def test_a_write_that_meets_the_end_of_the_port_first_tells_the_sink_too(
    make_port: MakePort, tmp_path: Path
) -> None:
    async with make_port(tmp_path) as (transport, far):
        sink = SinkLog()
        transport.start(sink)
        far.hang_up()
        with pytest.raises(Unplugged):
            await transport.write(b"x")
        await sink.wait_lost()
        assert len(sink.lost) == 1


@every_transport
async def test_close_runs_twice_says_nothing_to_the_sink_and_ends_writing(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        sink = SinkLog()
        transport.start(sink)
        await transport.aclose()
        await transport.aclose()
        with pytest.raises(Unplugged):
            await transport.write(b"x")
        far.hang_up()
        await asyncio.sleep(0.05)
        assert sink.lost == []


@every_transport
async def test_close_before_start_is_allowed(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, _far):
        await transport.aclose()


@every_transport
async def test_close_of_a_vanished_port_raises_nothing(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        sink = SinkLog()
        transport.start(sink)
        far.hang_up()
        await sink.wait_lost()
        await transport.aclose()
        await transport.aclose()
        assert len(sink.lost) == 1


@every_transport
async def test_bytes_still_cross_after_a_change_of_rate(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        sink = SinkLog()
        transport.start(sink)
        await transport.write(b"slow")
        await transport.set_baud(3_125_000)
        await transport.write(b"fast")
        assert await far.receive(8) == b"slowfast"
        far.send(b"answer")
        assert await sink.wait_for(6) == b"answer"


@every_transport
@pytest.mark.parametrize("baud", [0, -9600])
async def test_a_rate_that_is_none_is_refused_and_the_port_lives_on(
    make_port: MakePort, tmp_path: Path, baud: int
) -> None:
    async with make_port(tmp_path) as (transport, far):
        transport.start(SinkLog())
        with pytest.raises(UsageError, match="baud"):
            await transport.set_baud(baud)
        await transport.write(b"x")
        assert await far.receive(1) == b"x"


@every_transport
async def test_discarded_input_never_arrives_and_what_follows_does(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        far.send(b"stale")
        await asyncio.sleep(0.02)  # through the kernel
        await transport.discard_input()
        sink = SinkLog()
        transport.start(sink)
        far.send(b"fresh")
        assert await sink.wait_for(5) == b"fresh"


@every_transport
async def test_input_flushed_between_wake_up_and_read_is_not_taken_for_a_hang_up(
    make_port: MakePort, tmp_path: Path
) -> None:
    async with make_port(tmp_path) as (transport, far):
        sink = SinkLog()
        transport.start(sink)
        for _ in range(50):
            far.send(b"stale")
            await transport.discard_input()
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        assert sink.lost == []
        sink.data.clear()
        far.send(b"fresh")
        assert await sink.wait_for(5) == b"fresh"


@every_transport
async def test_writes_of_several_tasks_do_not_mix(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        transport.start(SinkLog())
        frames = [bytes([number]) * 3000 for number in range(1, 31)]
        async with asyncio.TaskGroup() as tasks:
            for frame in frames:
                tasks.create_task(transport.write(frame))
            got = await far.receive(90_000)
        assert sorted(got[at : at + 3000] for at in range(0, 90_000, 3000)) == frames


@with_back_pressure
async def test_a_write_larger_than_any_buffer_completes_while_the_far_end_is_slow(
    make_port: MakePort, tmp_path: Path
) -> None:
    async with make_port(tmp_path) as (transport, far):
        transport.start(SinkLog())
        data = ALL_BYTES * 4000
        writing = asyncio.create_task(transport.write(data))
        await asyncio.sleep(0.05)
        assert not writing.done()
        assert await far.receive(len(data)) == data
        await writing


@with_back_pressure
async def test_a_cancelled_write_still_leaves_whole_frames_on_the_wire(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        transport.start(SinkLog())
        first, second = b"A" * 1_000_000, b"B" * 1000
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await transport.write(first)
        writing = asyncio.create_task(transport.write(second))
        assert await far.receive(len(first) + len(second)) == first + second
        await writing


@with_back_pressure
async def test_a_write_that_waits_for_room_ends_when_the_port_vanishes(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, far):
        sink = SinkLog()
        transport.start(sink)
        writing = asyncio.create_task(transport.write(bytes(1_000_000)))
        await asyncio.sleep(0.05)
        far.hang_up()
        with pytest.raises(Unplugged):
            await writing
        assert len(sink.lost) == 1


@with_back_pressure
async def test_a_write_that_waits_for_room_ends_when_the_port_is_closed(make_port: MakePort, tmp_path: Path) -> None:
    async with make_port(tmp_path) as (transport, _far):
        sink = SinkLog()
        transport.start(sink)
        writing = asyncio.create_task(transport.write(bytes(1_000_000)))
        await asyncio.sleep(0.05)
        await transport.aclose()
        with pytest.raises(Unplugged):
            await writing
        assert sink.lost == []
