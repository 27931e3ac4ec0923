"""The traps of pseudo-terminals, one test each: first what the kernel does, then that the transport copes.

Where a trap is the kernel's alone the test pins it, so that a kernel which behaves otherwise is noticed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import sys
import termios
import threading
import time
import tty
from pathlib import Path
from typing import Any

import pytest
import serial

from drivers.errors import PortBusy, PortMissing, Unplugged, UsageError
from drivers.transports.serial import open_serial
from tests.contracts.ports import PtyEnd, pty_port
from tests.fakes import SinkLog

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux pseudo-terminals"),
]
both_variants = pytest.mark.parametrize("threaded", [False, True], ids=["add_reader", "thread"])


# --- 1: parity -------------------------------------------------------------------------------------------------------


async def test_parity_does_not_live_on_a_pty_and_leaves_the_port_usable() -> None:
    end = PtyEnd()
    try:
        with serial.Serial(end.path, parity=serial.PARITY_EVEN) as first:
            assert not termios.tcgetattr(first.fileno())[2] & termios.PARENB  # dropped without a word
        with pytest.raises(termios.error, match="22"):
            serial.Serial(end.path, parity=serial.PARITY_EVEN)
        transport = await open_serial(end.path)
        await transport.write(b"x")
        assert await end.receive(1) == b"x"
        await transport.aclose()
    finally:
        end.hang_up()


# --- 2: modem lines --------------------------------------------------------------------------------------------------


async def test_a_pty_has_no_modem_lines_and_opening_needs_none() -> None:
    async with pty_port() as (_transport, end):
        with serial.Serial(end.path) as plain:
            with pytest.raises(OSError, match="ioctl") as caught:
                plain.rts = False
            assert caught.value.errno == errno.ENOTTY


@both_variants
async def test_opening_and_closing_never_lowers_a_modem_line(monkeypatch: pytest.MonkeyPatch, threaded: bool) -> None:
    lowering = {termios.TIOCMBIC: "TIOCMBIC", termios.TIOCMSET: "TIOCMSET"}
    seen: list[str] = []
    ioctl = fcntl.ioctl

    def watch(descriptor: int, request: int, *rest: Any) -> Any:
        if request in lowering:
            seen.append(lowering[request])
        return ioctl(descriptor, request, *rest)

    monkeypatch.setattr(fcntl, "ioctl", watch)
    async with pty_port(threaded=threaded) as (transport, _end):
        transport.start(SinkLog())
        await transport.set_baud(1_000_000)
    assert seen == []


# --- 3: the rate is visible ------------------------------------------------------------------------------------------


@both_variants
async def test_the_master_reads_the_exact_rate_that_was_set(threaded: bool) -> None:
    async with pty_port(baud=115200, threaded=threaded) as (transport, end):
        assert end.baud() == 115200
        for baud in (9600, 57600, 230400, 460800, 921600, 1_000_000, 1_041_667, 1_500_000, 2_000_000, 3_000_000):
            await transport.set_baud(baud)
            assert end.baud() == baud
        await transport.set_baud(3_125_000)
        assert end.baud() == 3_125_000


async def test_a_custom_rate_can_be_had_from_the_very_open() -> None:
    async with pty_port(baud=1_041_667) as (_transport, end):
        assert end.baud() == 1_041_667


async def test_bytes_carry_no_rate_so_a_hasty_switch_changes_that_of_bytes_under_way() -> None:
    end = PtyEnd()
    try:
        with serial.Serial(end.path, 115200) as hasty:
            hasty.write(b"at 115200 ..")
            hasty.flush()  # tcdrain does not wait on a pty
            hasty.baudrate = 1_000_000
            assert end.baud() == 1_000_000
            assert await end.receive(12) == b"at 115200 .."
    finally:
        end.hang_up()


@both_variants
async def test_set_baud_waits_so_that_bytes_before_it_are_read_at_their_own_rate(threaded: bool) -> None:
    async with pty_port(threaded=threaded) as (transport, end):
        loop = asyncio.get_running_loop()
        seen: list[tuple[int, bytes]] = []
        loop.add_reader(end.descriptor, lambda: seen.append((end.baud(), os.read(end.descriptor, 4096))))
        await transport.write(b"slow")
        wrote_s = loop.time()
        await transport.set_baud(3_125_000)
        assert loop.time() - wrote_s >= 0.010
        await transport.write(b"fast")
        await asyncio.sleep(0.02)
        loop.remove_reader(end.descriptor)
        assert seen == [(115200, b"slow"), (3_125_000, b"fast")]


@both_variants
async def test_set_baud_waits_for_the_time_that_the_bytes_need_on_the_line(threaded: bool) -> None:
    async with pty_port(baud=9600, threaded=threaded) as (transport, _end):
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await transport.write(bytes(96))  # 960 bits: 100 ms
        await transport.set_baud(115200)
        assert loop.time() - began_s >= 0.109


@both_variants
async def test_a_write_during_a_change_of_rate_goes_out_after_it(threaded: bool) -> None:
    async with pty_port(threaded=threaded) as (transport, end):
        loop = asyncio.get_running_loop()
        seen: list[tuple[int, bytes]] = []
        loop.add_reader(end.descriptor, lambda: seen.append((end.baud(), os.read(end.descriptor, 4096))))
        await transport.write(b"old")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(transport.set_baud(1_000_000))
            await asyncio.sleep(0)
            tasks.create_task(transport.write(b"new"))
        await asyncio.sleep(0.02)
        loop.remove_reader(end.descriptor)
        assert seen == [(115200, b"old"), (1_000_000, b"new")]


# --- 4: hanging up ---------------------------------------------------------------------------------------------------


async def test_a_hung_up_pty_reads_empty_for_ever() -> None:
    end = PtyEnd()
    slave = os.open(end.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        end.hang_up()
        assert [os.read(slave, 100) for _ in range(3)] == [b"", b"", b""]
    finally:
        os.close(slave)


@both_variants
async def test_a_closed_master_is_one_unplugged_and_no_core_spins(threaded: bool) -> None:
    async with pty_port(threaded=threaded) as (transport, end):
        sink = SinkLog()
        transport.start(sink)
        end.hang_up()
        assert isinstance(await sink.wait_lost(), Unplugged)
        busy_s = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - busy_s < 0.1
        assert len(sink.lost) == 1


@both_variants
async def test_a_master_that_vanishes_during_a_change_of_rate_is_unplugged(threaded: bool) -> None:
    async with pty_port(threaded=threaded) as (transport, end):
        sink = SinkLog()
        end.hang_up()
        with pytest.raises(Unplugged):
            await transport.set_baud(1_000_000)
        transport.start(sink)
        assert isinstance(await sink.wait_lost(), Unplugged)


@both_variants
async def test_a_master_with_its_own_slave_descriptor_outlives_its_clients(threaded: bool) -> None:
    end = PtyEnd()
    try:
        for word in (b"first", b"again"):
            transport = await open_serial(end.path, threaded=threaded)
            await transport.write(word)
            assert await end.receive(5) == word
            await transport.aclose()
            with pytest.raises(BlockingIOError):  # alive and empty
                os.read(end.descriptor, 1)
    finally:
        end.hang_up()


async def test_a_master_without_one_gets_eio_when_its_client_closes() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    transport = await open_serial(path)
    os.close(slave)
    await transport.aclose()
    try:
        with pytest.raises(OSError, match="Input/output error"):
            os.read(master, 1)
    finally:
        os.close(master)


@both_variants
async def test_opening_and_closing_leaves_no_descriptor_and_no_thread_behind(threaded: bool) -> None:
    end = PtyEnd()
    try:
        await (await open_serial(end.path, threaded=threaded)).aclose()  # what is made once is made now
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            transport = await open_serial(end.path, threaded=threaded)
            transport.start(SinkLog())
            await transport.write(b"x")
            await transport.aclose()
        assert len(os.listdir("/proc/self/fd")) == before
        await asyncio.sleep(0.02)
        assert [thread.name for thread in threading.enumerate() if end.path in thread.name] == []
    finally:
        end.hang_up()


# --- 5: one program at a time ----------------------------------------------------------------------------------------


@both_variants
async def test_a_second_opener_is_told_that_the_port_is_busy_until_the_first_has_closed(threaded: bool) -> None:
    async with pty_port(threaded=threaded) as (transport, end):
        with pytest.raises(PortBusy) as caught:
            await open_serial(end.path, threaded=threaded)
        assert caught.value.port == end.path
        await transport.aclose()
        await (await open_serial(end.path, threaded=threaded)).aclose()


async def test_the_lock_keeps_out_polite_programs_only_so_that_a_rescuer_can_open_the_port() -> None:
    async with pty_port() as (_transport, end):
        with pytest.raises(serial.SerialException) as caught:
            serial.Serial(end.path, exclusive=True)
        assert caught.value.errno == errno.EAGAIN
        rescuer = await open_serial(end.path, exclusive=False)
        await rescuer.write(b"off")
        assert await end.receive(3) == b"off"
        await rescuer.aclose()


async def test_a_missing_port_a_plain_file_and_a_forbidden_one_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PortMissing, match="No such file"):
        await open_serial(str(tmp_path / "ttyACM7"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PortMissing):
        await open_serial(str(tmp_path / "file"))

    def forbidden(path: str, _flags: int, *_rest: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(PortMissing, match="Permission denied"):
        await open_serial("/dev/ttyACM0")


async def test_a_rate_of_zero_is_refused_before_the_port_is_opened() -> None:
    with pytest.raises(UsageError, match="baud"):
        await open_serial("/nowhere", 0)


# --- 6: buffers ------------------------------------------------------------------------------------------------------


async def test_a_pty_takes_some_20_kilobytes_and_then_no_more() -> None:
    end = PtyEnd()
    try:
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while taken < 1_000_000:
                taken += os.write(end.descriptor, bytes(1024))
        assert 4_000 < taken < 100_000
    finally:
        end.hang_up()


@both_variants
async def test_a_write_beyond_that_completes_when_the_far_end_reads_on(threaded: bool) -> None:
    async with pty_port(threaded=threaded) as (transport, end):
        data = bytes(range(256)) * 400
        writing = asyncio.create_task(transport.write(data))
        await asyncio.sleep(0.05)
        assert not writing.done()
        assert await end.receive(len(data)) == data
        await writing


@both_variants
async def test_control_bytes_pass_unharmed_both_ways(threaded: bool) -> None:
    controls = bytes(range(0x20)) + b"\x7f\xff"
    async with pty_port(threaded=threaded) as (transport, end):
        sink = SinkLog()
        transport.start(sink)
        await transport.write(controls)
        assert await end.receive(len(controls)) == controls
        end.send(controls)
        assert await sink.wait_for(len(controls)) == controls


@both_variants
async def test_opening_throws_away_what_the_port_received_before(threaded: bool) -> None:
    end = PtyEnd()
    try:
        end.send(b"reply to a dead program")
        await asyncio.sleep(0.02)  # through the kernel's own queue
        transport = await open_serial(end.path, threaded=threaded)
        sink = SinkLog()
        transport.start(sink)
        end.send(b"fresh")
        assert await sink.wait_for(5) == b"fresh"
        await transport.aclose()
    finally:
        end.hang_up()


async def test_an_idle_port_is_not_a_hung_up_one_because_it_is_read_with_vmin_1() -> None:
    """With VMIN=0, as pyserial leaves it, a read of an empty line returns b"" just as a hung-up one does."""
    async with pty_port() as (transport, end):
        await transport.set_baud(1_000_000)  # pyserial writes VMIN anew with each change
        probe = os.open(end.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            assert termios.tcgetattr(probe)[6][termios.VMIN] == 1
            with pytest.raises(BlockingIOError):
                os.read(probe, 1)
            with serial.Serial(end.path):
                assert os.read(probe, 1) == b""
        finally:
            os.close(probe)


# --- 7: names --------------------------------------------------------------------------------------------------------


@both_variants
async def test_a_port_opens_by_its_stable_name_which_may_lead_elsewhere_the_next_time(
    tmp_path: Path, threaded: bool
) -> None:
    stable = tmp_path / "gamma-data"
    for _ in range(2):
        end = PtyEnd()
        try:
            stable.symlink_to(end.path)
            transport = await open_serial(str(stable), threaded=threaded)
            assert transport.name == str(stable)
            await transport.write(b"x")
            assert await end.receive(1) == b"x"
            await transport.aclose()
        finally:
            end.hang_up()
            stable.unlink()
