"""Recordings: complete up to the last line whatever happens, and played back they insist on every byte."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.errors import Unplugged, UsageError
from drivers.transports.memory import MemoryTransport, MemoryWire, memory_pair
from drivers.transports.tap import ReplayMismatch, ReplayTransport, Tap, TapRecord, TapWriter, read_tap
from tests.fakes import SinkLog

MS = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bring-up.jsonl"


def tapped(path: Path, label: str = "data") -> tuple[Tap, MemoryWire, TapWriter]:
    transport, wire = memory_pair("bench")
    writer = TapWriter(path)
    return Tap(transport, writer, label), wire, writer


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


async def test_every_byte_is_recorded_with_its_direction_in_the_order_of_the_wire(path: Path) -> None:
    tap, wire, _ = tapped(path)
    wire.attach(lambda _baud, _data: wire.deliver(b"\xaa\x55"), lambda _baud: None)
    tap.start(SinkLog())
    await tap.write(b"\x55\xaa\x52")
    await tap.write(b"")
    await tap.set_baud(1_000_000)
    wire.hang_up("hung up")
    assert [(r.port, r.direction, r.data, r.baud, r.why) for r in read_tap(path)] == [
        ("data", "tx", b"\x55\xaa\x52", 0, ""),
        ("data", "rx", b"\xaa\x55", 0, ""),
        ("data", "baud", b"", 1_000_000, ""),
        ("data", "lost", b"", 0, "hung up"),
    ]


async def test_a_recording_is_json_lines_that_other_programs_can_read(path: Path) -> None:
    tap, _, _ = tapped(path)
    await tap.write(b"\x55\xaa")
    header, line = map(json.loads, lines(path))
    assert header["schema"] == "hashbridge.tap/1"
    assert {"port": line["port"], "dir": line["dir"], "hex": line["hex"]} == {
        "port": "data",
        "dir": "tx",
        "hex": "55aa",
    }
    assert isinstance(line["t_ns"], int)


async def test_times_never_run_backwards(path: Path) -> None:
    tap, _, _ = tapped(path)
    for number in range(100):
        await tap.write(bytes([number]))
    times = [record.t_ns for record in read_tap(path)]
    assert times == sorted(times)


async def test_a_failed_write_is_in_the_recording_too(path: Path) -> None:
    tap, wire, _ = tapped(path)
    tap.start(SinkLog())
    wire.hang_up()
    with pytest.raises(Unplugged):
        await tap.write(b"x")
    assert [record.direction for record in read_tap(path)] == ["lost", "tx"]


async def test_two_ports_share_a_recording_and_come_apart_again(path: Path) -> None:
    writer = TapWriter(path)
    for label in ("control", "data"):
        await Tap(memory_pair()[0], writer, label).write(label.encode())
    assert {record.port: record.data for record in read_tap(path)} == {"control": b"control", "data": b"data"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
async def test_a_full_disk_ends_the_recording_and_not_the_run() -> None:
    transport, wire = memory_pair("bench")
    writer = TapWriter("/dev/full")
    heard: list[bytes] = []
    wire.attach(lambda _baud, data: heard.append(data), lambda _baud: None)
    await Tap(transport, writer, "data").write(b"x")
    assert heard == [b"x"]
    assert writer.failed is not None


async def test_a_tap_whose_file_is_closed_goes_on_without_it(path: Path) -> None:
    tap, wire, writer = tapped(path)
    sink = SinkLog()
    tap.start(sink)
    writer.close()
    wire.deliver(b"x")
    assert sink.data == b"x"


def test_a_killed_process_loses_at_most_the_line_it_was_writing(path: Path) -> None:
    program = (
        "import sys\nfrom drivers.transports.tap import TapWriter\n"
        "w = TapWriter(sys.argv[1])\nn = 0\n"
        "while True:\n    w.bytes('data', 'tx', n.to_bytes(4, 'big'))\n    n += 1\n"
        "    if n == 2000: print('go', flush=True)\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=root, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        process.send_signal(signal.SIGKILL)
    records = list(read_tap(path))
    assert len(records) >= 2000
    assert [int.from_bytes(record.data, "big") for record in records] == list(range(len(records)))


def test_a_last_line_cut_short_is_left_out(path: Path) -> None:
    with TapWriter(path) as writer:
        writer.bytes("data", "tx", b"whole")
        writer.bytes("data", "tx", b"torn")
    path.write_bytes(path.read_bytes()[:-3])
    assert [record.data for record in read_tap(path)] == [b"whole"]


@pytest.mark.parametrize(
    "line",
    ['{"t_ns":1,"port":"data","dir":"up","hex":""}', '{"t_ns":1,"port":"data","dir":"tx","hex":"5"}', "{}", "]", "7"],
)
def test_a_line_that_is_no_record_is_named(path: Path, line: str) -> None:
    with TapWriter(path) as writer:
        writer.bytes("data", "tx", b"x")
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=r"bring-up\.jsonl:3"):
        list(read_tap(path))


def test_a_recording_of_another_kind_is_refused(path: Path) -> None:
    path.write_text('{"schema":"hashbridge.journal/1"}\n')
    with pytest.raises(UsageError, match=r"hashbridge\.tap/1"):
        list(read_tap(path))


# --- replay ----------------------------------------------------------------------------------------------------------

SESSION = [
    TapRecord(0 * MS, "data", "rx", b"hello"),
    TapRecord(5 * MS, "data", "tx", b"\x55\xaa\x52\x05"),
    TapRecord(7 * MS, "data", "rx", b"\xaa\x55"),
    TapRecord(8 * MS, "control", "tx", b"elsewhere"),
    TapRecord(9 * MS, "data", "rx", b"\x13"),
    TapRecord(20 * MS, "data", "baud", baud=1_000_000),
    TapRecord(21 * MS, "data", "tx", b"\x55\xaa\x51"),
    TapRecord(30 * MS, "data", "rx", b"\x06"),
    TapRecord(50 * MS, "data", "lost", why="hung up"),
]


def replay() -> tuple[ReplayTransport, SinkLog]:
    transport, sink = ReplayTransport(SESSION, "data"), SinkLog()
    transport.start(sink)
    return transport, sink


async def test_the_same_words_bring_the_same_answers_after_the_same_time() -> None:
    transport, sink = replay()
    loop = asyncio.get_running_loop()
    await sink.wait_for(5)
    await asyncio.sleep(1.0)  # the host may take its time; answers count from what it says
    await transport.write(b"\x55\xaa\x52\x05")
    await sink.wait_for(8)
    assert sink.reads == [b"hello", b"\xaa\x55", b"\x13"]
    assert loop.time() == pytest.approx(1.004)
    await transport.set_baud(1_000_000)
    await transport.write(b"\x55\xaa\x51")
    assert not transport.complete
    error = await sink.wait_lost()
    assert isinstance(error, Unplugged)
    assert error.why == "hung up"
    assert loop.time() == pytest.approx(1.004 + 0.029)
    assert transport.complete


async def test_nothing_is_answered_before_its_question() -> None:
    _transport, sink = replay()
    await asyncio.sleep(60)
    assert sink.reads == [b"hello"]


async def test_the_words_may_be_cut_differently() -> None:
    transport, sink = replay()
    for byte in b"\x55\xaa\x52\x05":
        await transport.write(bytes([byte]))
    await sink.wait_for(8)


async def test_a_host_that_runs_ahead_gets_its_answers_in_order_all_the_same() -> None:
    transport, sink = replay()
    await transport.write(b"\x55\xaa\x52\x05")
    await transport.set_baud(1_000_000)
    await transport.write(b"\x55\xaa\x51")
    await sink.wait_lost()
    assert sink.data == b"hello\xaa\x55\x13\x06"


async def test_a_different_byte_is_named_with_its_offset_and_ends_the_replay() -> None:
    transport, sink = replay()
    await transport.write(b"\x55\xaa\x52\x05")
    await sink.wait_for(8)
    await transport.set_baud(1_000_000)
    with pytest.raises(ReplayMismatch, match=r"at byte 6 .* expected 51, found 41 00") as caught:
        await transport.write(b"\x55\xaa\x41\x00")
    assert (caught.value.offset, caught.value.expected, caught.value.found) == (6, "51", "41 00")
    with pytest.raises(ReplayMismatch):
        await transport.write(b"\x51")
    await asyncio.sleep(1)
    assert sink.lost == []


async def test_a_different_rate_a_missing_one_and_words_beyond_the_end_are_named() -> None:
    transport, _ = replay()
    with pytest.raises(ReplayMismatch, match=r"at byte 0 .*expected 55 aa 52 05, found 9600 baud"):
        await transport.set_baud(9600)

    transport, sink = replay()
    await transport.write(b"\x55\xaa\x52\x05")
    await sink.wait_for(8)
    with pytest.raises(ReplayMismatch, match=r"at byte 4 .*expected 1000000 baud, found 55 aa 51"):
        await transport.write(b"\x55\xaa\x51")

    transport = ReplayTransport(SESSION[:2], "data")
    transport.start(SinkLog())
    with pytest.raises(ReplayMismatch, match=r"at byte 4 .*expected the end of the recording, found 00"):
        await transport.write(b"\x55\xaa\x52\x05\x00")


async def test_a_closed_replay_is_silent() -> None:
    transport, sink = replay()
    await transport.aclose()
    await transport.aclose()
    await asyncio.sleep(1)
    assert (sink.reads, sink.lost) == ([], [])
    with pytest.raises(Unplugged, match="closed"):
        await transport.write(b"\x55")


async def test_what_a_tap_recorded_of_a_device_replays_without_the_device(path: Path) -> None:
    async def converse(transport: MemoryTransport | Tap | ReplayTransport) -> bytes:
        sink = SinkLog()
        transport.start(sink)
        for number in range(20):
            await transport.write(bytes([number, number]))
            await sink.wait_for(3 * (number + 1))
        await transport.aclose()
        return bytes(sink.data)

    tap, wire, _ = tapped(path)
    wire.attach(lambda _baud, data: wire.deliver(data + b"."), lambda _baud: None)
    live = await converse(tap)
    recorded = ReplayTransport(read_tap(path), "data")
    assert await converse(recorded) == live
    assert recorded.complete
