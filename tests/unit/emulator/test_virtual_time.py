"""Virtual time: what a loop promises still holds when its clock jumps, and waiting for ever is an error."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from emulator.virtual_time import Deadlock, VirtualTimeLoop, virtual_run


def test_an_hour_of_sleeps_takes_well_under_a_second() -> None:
    async def an_hour() -> float:
        for _ in range(3600):
            await asyncio.sleep(1.0)
        return asyncio.get_running_loop().time()

    began = time.perf_counter()
    assert virtual_run(an_hour()) == 3600.0
    assert time.perf_counter() - began < 1.0


async def test_time_starts_at_zero_and_stands_still_while_there_is_work() -> None:
    loop = asyncio.get_running_loop()
    assert loop.time() == 0.0
    for _ in range(100):
        await asyncio.sleep(0)
    assert loop.time() == 0.0


async def test_timers_fire_in_order_of_time_and_each_at_its_own_moment() -> None:
    loop = asyncio.get_running_loop()
    fired: list[tuple[float, str]] = []
    done = asyncio.Event()

    def fire(name: str) -> None:
        fired.append((loop.time(), name))

    for delay_s, name in [(3.0, "c"), (0.001, "a"), (7200.0, "d"), (2.0, "b")]:
        loop.call_later(delay_s, fire, name)
    loop.call_later(7200.5, done.set)
    await done.wait()
    assert fired == [(0.001, "a"), (2.0, "b"), (3.0, "c"), (7200.0, "d")]


async def test_a_cancelled_timer_neither_fires_nor_holds_the_clock() -> None:
    loop = asyncio.get_running_loop()
    fired: list[str] = []
    for _ in range(300):  # enough for the loop to rebuild its heap
        loop.call_later(1.0, fired.append, "cancelled").cancel()
    loop.call_later(0.5, fired.append, "early").cancel()
    await asyncio.sleep(2.0)
    assert fired == []
    assert loop.time() == 2.0


async def test_a_timeout_is_hit_after_exactly_its_virtual_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30.0):
            await asyncio.sleep(31.0)
    assert asyncio.get_running_loop().time() == 30.0


async def test_sleeps_still_end_a_thousand_years_on() -> None:
    await asyncio.sleep(3.2e10)
    async with asyncio.timeout(1.0):
        await asyncio.sleep(0.25)


def test_what_the_coroutine_raises_comes_out() -> None:
    async def fails() -> None:
        await asyncio.sleep(10)
        raise KeyError("chip")

    with pytest.raises(KeyError, match="chip"):
        virtual_run(fails())


def test_waiting_for_what_never_comes_is_a_deadlock_that_names_the_place() -> None:
    async def waits() -> None:
        await asyncio.sleep(5)
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"at 5\.000000 s .*waits:\d+"):
        virtual_run(waits())


def test_a_deadlock_after_a_cancelled_timer_is_seen_too() -> None:
    async def waits() -> None:
        asyncio.get_running_loop().call_later(9.0, print).cancel()
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"at 0\.000000 s"):
        virtual_run(waits())


async def test_a_cancelled_timer_left_on_the_heap_is_passed_over_by_the_jump() -> None:
    loop = VirtualTimeLoop()
    try:
        first, second = loop.call_later(1.0, print), loop.call_later(2.0, print)
        first.cancel()
        loop.jump()
        assert loop.time() == second.when() == 2.0
    finally:
        loop.close()


async def test_blocking_work_runs_in_line_and_costs_no_virtual_time() -> None:
    asyncio.get_running_loop().call_later(1e-6, len, "a timer that must not overtake")
    assert await asyncio.to_thread(sum, [1, 2, 3]) == 6
    assert asyncio.get_running_loop().time() == 0.0
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 / 0)


async def test_bytes_of_a_socket_in_this_process_come_before_the_next_timer() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        loop.call_later(1.0, far.send, b"late")
        far.send(b"early")
        assert await loop.sock_recv(near, 100) == b"early"
        assert loop.time() == 0.0
        loop.call_later(60.0, len, "a timer that must not overtake")
        assert await loop.sock_recv(near, 100) == b"late"
        assert loop.time() == 1.0
    finally:
        near.close()
        far.close()


def test_two_runs_of_the_same_program_give_the_same_history() -> None:
    def history() -> list[tuple[float, int]]:
        seen: list[tuple[float, int]] = []

        async def worker(index: int) -> None:
            for _ in range(50):
                await asyncio.sleep(0.01 * (index + 1))
                seen.append((asyncio.get_running_loop().time(), index))

        async def main() -> None:
            await asyncio.gather(*(worker(index) for index in range(5)))

        virtual_run(main())
        return seen

    assert history() == history()


async def _forever(wake: Callable[[], Awaitable[None]]) -> None:
    while True:
        await wake()


async def test_task_groups_and_cancellation_work_as_on_a_real_clock() -> None:
    stopped: list[str] = []

    async def beat() -> None:
        try:
            await _forever(lambda: asyncio.sleep(0.2))
        finally:
            stopped.append("beat")

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(beat())
            await asyncio.sleep(1.1)
            raise ValueError("enough")

    with pytest.raises(ExceptionGroup) as caught:
        await group()
    assert [str(error) for error in caught.value.exceptions] == ["enough"]
    assert stopped == ["beat"]
    assert asyncio.get_running_loop().time() == 1.1
