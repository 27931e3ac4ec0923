"""Memory and pty: the same device, the same bytes; and what a pseudo-terminal does that a line does not."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from drivers.errors import Unplugged
from drivers.transports.memory import memory_pair
from emulator.device import Burst
from emulator.ports import noise, same_rate
from emulator.ports.memory import MemoryPort
from emulator.ports.pty import PENDING_MAX, PtyPort, line_rate


class Echo:
    """Says what it heard a little later, at a rate of its own when it has one."""

    def __init__(self, delay_s: float = 0.01, baud: int = 0) -> None:
        self.delay_s, self.baud = delay_s, baud
        self.heard: list[tuple[float, Burst, int | None]] = []
        self.rates: list[int] = []
        self.due: list[tuple[float, Burst]] = []
        self.asked = 0

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        self.heard.append((at_s, burst, previous_baud))
        self.due.append((at_s + self.delay_s, Burst(self.baud, burst.data)))

    def transmit(self, at_s: float) -> list[Burst]:
        self.asked += 1
        ready = [burst for due_s, burst in self.due if due_s <= at_s]
        self.due = [(due_s, burst) for due_s, burst in self.due if due_s > at_s]
        return ready

    def wakes_at(self) -> float | None:
        return self.due[0][0] if self.due else None

    def line_rate_changed(self, baud: int, at_s: float) -> None:
        self.rates.append(baud)


class Sink:
    def __init__(self) -> None:
        self.data = b""
        self.at_s: list[float] = []
        self.lost: Exception | None = None

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.at_s.append(asyncio.get_running_loop().time())

    def connection_lost(self, error: Exception) -> None:
        self.lost = error


def test_rates_understand_each_other_within_5_per_cent() -> None:
    assert same_rate(1_000_000, 1_041_667)
    assert not same_rate(1_000_000, 1_062_500)
    assert same_rate(0, 115200)
    heard = noise(random.Random(1), 9, 115200, 1_000_000)
    assert len(heard) > 9
    assert noise(random.Random(1), 9, 1_000_000, 115200) != b""


async def test_a_memory_port_wakes_once_an_answer_and_never_polls() -> None:
    device, sink = Echo(0.25), Sink()
    transport, wire = memory_pair("m", baud=115200)
    MemoryPort(device, wire)
    transport.start(sink)
    assert device.rates == [115200]
    await transport.write(b"hello")
    assert sink.data == b""
    await asyncio.sleep(3600)
    assert (sink.data, sink.at_s) == (b"hello", [0.25])
    assert device.asked == 1
    await transport.set_baud(1_000_000)
    assert device.rates == [115200, 1_000_000]
    await transport.write(b"x")
    assert device.heard[-1][1] == Burst(1_000_000, b"x")


async def test_a_memory_port_turns_a_foreign_rate_into_noise() -> None:
    device, sink = Echo(baud=1_041_667), Sink()
    transport, wire = memory_pair("m", baud=115200)
    MemoryPort(device, wire)
    transport.start(sink)
    await transport.write(b"123456789")
    await asyncio.sleep(0.1)
    assert sink.data
    assert sink.data != b"123456789"
    sink.data = b""
    await transport.set_baud(1_000_000)
    await transport.write(b"123456789")
    await asyncio.sleep(0.1)
    assert sink.data == b"123456789"


async def test_a_memory_port_hangs_up_and_comes_back_on_a_new_wire() -> None:
    device, sink = Echo(), Sink()
    transport, wire = memory_pair("m")
    port = MemoryPort(device, wire)
    transport.start(sink)
    await transport.write(b"lost on the way")
    port.hang_up()
    assert isinstance(sink.lost, Unplugged)
    await asyncio.sleep(1.0)
    assert sink.data == b""
    with pytest.raises(ValueError, match="new wire"):
        port.replug()
    again, fresh = memory_pair("m2")
    port.replug(fresh)
    heard = Sink()
    again.start(heard)
    await again.write(b"back")
    await asyncio.sleep(0.1)
    assert heard.data.endswith(b"back")


async def _until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("waited 5 s in vain")


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.mark.real_time
async def test_pyserial_talks_through_a_pty_under_a_stable_path(tmp_path: Path) -> None:
    device = Echo()
    port = PtyPort(device, link=tmp_path / "control", origin_s=asyncio.get_running_loop().time())
    with serial.Serial(port.path, 115200, timeout=2) as line:
        every = bytes(range(256))
        line.write(every)
        found = await asyncio.to_thread(line.read, 256)
    assert found == every, "control bytes pass unharmed"
    assert device.rates[0] == 9600, "what Linux sets before anybody opens the port"
    assert device.rates[-1] == 115200
    port.close()
    port.close()
    assert _names(tmp_path) == []


@pytest.mark.real_time
@pytest.mark.skipif(sys.platform != "linux", reason="TCGETS2 is Linux")
async def test_a_change_of_rate_is_seen_at_once_and_late_bytes_may_belong_to_the_old_one() -> None:
    loop = asyncio.get_running_loop()
    device = Echo()
    port = PtyPort(device, origin_s=loop.time())
    with serial.Serial(port.path, 115200) as line:
        await _until(lambda: device.rates[-1] == 115200)
        await asyncio.sleep(0.08)
        line.write(b"settled")
        await _until(lambda: device.heard)
        assert device.heard[-1][1:] == (Burst(115200, b"settled"), None)
        line.write(b"late")
        line.baudrate = 1_041_667
        await _until(lambda: device.heard[-1][1].data == b"late")
        assert device.heard[-1][1:] == (Burst(1_041_667, b"late"), 115200)
        await _until(lambda: device.rates[-1] == 1_041_667)
        # Dated by the notice, not by the bytes: after 50 ms the grace is over although nothing was sent meanwhile.
        await asyncio.sleep(0.08)
        line.write(b"new")
        await _until(lambda: device.heard[-1][1].data == b"new")
        assert device.heard[-1][1:] == (Burst(1_041_667, b"new"), None)
        assert line_rate(line.fileno()) == 1_041_667
    port.close()


@pytest.mark.real_time
async def test_a_port_outlives_its_clients(tmp_path: Path) -> None:
    device = Echo()
    port = PtyPort(device, link=tmp_path / "data", origin_s=asyncio.get_running_loop().time())
    for word in (b"one", b"two", b"three"):
        with serial.Serial(port.path, 115200, timeout=2) as line:
            line.write(word)
            assert await asyncio.to_thread(line.read, len(word)) == word
        await asyncio.sleep(0.02)
    assert port.plugged
    port.close()


@pytest.mark.real_time
async def test_an_unplugged_pty_ends_the_hosts_file_and_a_new_one_takes_its_name(tmp_path: Path) -> None:
    device = Echo()
    port = PtyPort(device, link=tmp_path / "data", origin_s=asyncio.get_running_loop().time())
    host = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    before = port.slave_path
    port.hang_up()
    assert os.read(host, 10) == b""
    assert not port.plugged
    assert not (tmp_path / "data").is_symlink()
    port.replug()
    assert port.slave_path != before
    assert device.rates[-1] == 9600, "the line coding is back at its default"
    with serial.Serial(port.path, 115200, timeout=2) as line:
        line.write(b"again")
        assert await asyncio.to_thread(line.read, 5) == b"again"
    os.close(host)
    port.close()


@pytest.mark.real_time
async def test_a_host_that_does_not_read_loses_bytes_and_does_not_stop_the_loop() -> None:
    loop = asyncio.get_running_loop()
    device = Echo(delay_s=0.0)
    port = PtyPort(device, origin_s=loop.time())
    host = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    sent = 0
    while sent < PENDING_MAX + 100_000:
        try:
            sent += os.write(host, bytes(1000))
        except BlockingIOError:
            pass
        await asyncio.sleep(0)
    await _until(lambda: port.dropped_bytes > 0)
    got = 0
    deadline = time.monotonic() + 5
    while got < PENDING_MAX and time.monotonic() < deadline:
        try:
            got += len(os.read(host, 65536))
        except BlockingIOError:
            await asyncio.sleep(0.001)
    assert got >= PENDING_MAX, "what was kept arrives once the host reads"
    os.close(host)
    port.close()


@pytest.mark.real_time
async def test_flushing_is_no_data_and_the_pty_stays_raw() -> None:
    loop = asyncio.get_running_loop()
    device = Echo()
    port = PtyPort(device, origin_s=loop.time())
    with serial.Serial(port.path, 115200, timeout=2) as line:
        line.reset_input_buffer()
        line.reset_output_buffer()
        await asyncio.sleep(0.05)
        assert device.heard == []
        line.write(b"\x03\x04\x11\x13\r\n\x7f")
        assert await asyncio.to_thread(line.read, 7) == b"\x03\x04\x11\x13\r\n\x7f"
        waiting = struct.unpack("i", fcntl.ioctl(line.fileno(), termios.TIOCINQ, bytes(4)))[0]
        assert waiting == 0
    port.close()
