"""The lines between a rig and its clients, and the server that speaks them: no client can harm the rig or another."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import server as server_module
from controller import wire
from controller.model import (
    Command,
    Event,
    Note,
    PowerDown,
    PowerUp,
    SafeOff,
    SafeOffDone,
    SafeOffRecord,
    SetOperatingPoint,
    Snapshot,
    StartWork,
)
from controller.port import LiveRig
from controller.server import RigServer
from drivers import errors
from drivers.errors import (
    BridgeRefused,
    HashbridgeError,
    Latched,
    LimitError,
    NoReply,
    PortBusy,
    ProtocolError,
    Refused,
    UnexpectedReply,
    Unplugged,
    UsageError,
    VerifyError,
)
from tests.unit.controller.guarding import ENVELOPE

UTC_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
INFO = wire.BoardInfo(
    name="gamma",
    kind="bitaxe-gamma",
    title="Bitaxe Gamma",
    chip="BM1370",
    chips=1,
    emulated=True,
    dilution=16,
    seed=7,
    control="/dev/control",
    data="/dev/data",
    envelope=ENVELOPE,
)


def note(seq: int, text: str = "hello") -> Note:
    return Note(seq=seq, at_s=float(seq), at_utc=UTC_NOW, board="gamma", level="info", text=text)


def snapshot(at_s: float) -> Snapshot:
    return Snapshot(at_s=at_s, at_utc=UTC_NOW, boards=())


# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_greeting_comes_back_equal_envelope_included() -> None:
    greeting = wire.Greeting(hashbridge=wire.VERSION, pid=42, boards=(INFO,))
    assert wire.parse_from_rig(wire.encode(greeting).rstrip()) == greeting


@pytest.mark.parametrize(
    "command",
    [
        PowerUp(frequency_mhz=525.0, core_v=1.15),
        SetOperatingPoint(core_v=1.1),
        StartWork(work="headers", headers="/a b/ü.bin"),
        SafeOff(reason='line\nbreak and "quotes"'),
    ],
)
def test_a_command_is_one_line_and_comes_back_equal(command: Command) -> None:
    request = wire.Request(id=3, request=wire.RequestBody(board="gamma", command=command))
    line = wire.encode(request)
    assert line.count(b"\n") == 1
    assert wire.parse_from_client(line.rstrip()) == request


def test_events_and_snapshots_come_back_equal() -> None:
    assert wire.parse_from_rig(wire.encode_event(note(1)).rstrip()) == wire.EventLine(event=note(1))
    assert wire.parse_from_rig(wire.encode_snapshot(snapshot(2.5)).rstrip()) == wire.SnapshotLine(
        snapshot=snapshot(2.5)
    )


@pytest.mark.parametrize(
    "error",
    [
        Refused("envelope", "1.300 V is above 1.250 V"),
        Latched("chip_temperature", "76.2 C"),
        UsageError("board", "delta", "gamma"),
        LimitError("core_v", 2.0, "1.0 to 1.25"),
        PortBusy("/dev/ttyACM0"),
        Unplugged("/dev/ttyACM0", "end of file"),
        NoReply("GPIO 0 get", 0.25),
        BridgeRefused("I2C 0x24", 0xFF, "I2C Write Error"),
        VerifyError("VOUT_COMMAND", 588, 512),
        UnexpectedReply("a reply of 7 bytes"),
    ],
)
def test_an_error_crosses_as_itself_with_its_fields_and_its_words(error: HashbridgeError) -> None:
    line = wire.encode(wire.Failed(id=1, error=wire.pack_error(error)))
    back = wire.parse_from_rig(line.rstrip())
    assert isinstance(back, wire.Failed)
    raised = wire.unpack_error(back.error)
    assert type(raised) is type(error)
    assert str(raised) == str(error)
    assert {**vars(raised), "__notes__": None} == {**vars(error), "__notes__": None}


def test_every_error_of_the_project_can_cross() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, HashbridgeError):
            packed = wire.WireError(type=kind.__name__, fields=dict.fromkeys(wire._fields(kind), 0), message="why")
            assert type(wire.unpack_error(packed)) is kind
            assert str(wire.unpack_error(packed)) == "why"


def test_a_value_that_json_cannot_carry_crosses_as_its_repr() -> None:
    packed = wire.pack_error(LimitError("core_v", float("nan"), "a number"))
    assert packed.fields["value"] == "nan"
    assert wire.pack_error(VerifyError("x", b"\x01", [2])).fields["wanted"] == "b'\\x01'"


def test_an_error_of_a_newer_release_is_still_an_error_with_its_words() -> None:
    packed = wire.WireError(type="Melted", fields={}, message="board 3")
    assert isinstance(wire.unpack_error(packed), ProtocolError)
    assert str(wire.unpack_error(packed)) == "Melted: board 3"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"id":1}',
        b'{"id":1,"request":{"board":"gamma"}}',
        b'{"id":1,"request":{"board":"gamma","command":{"kind":"melt"}}}',
        b'{"id":1,"request":{"board":"gamma","command":{"kind":"power_up","volts":2}}}',
        b'{"id":"x","request":{"board":"gamma","command":{"kind":"stop_work"}}}',
        b'{"hello":"rig/1","role":"god"}',
    ],
)
def test_what_is_no_message_is_refused_in_words(line: bytes) -> None:
    with pytest.raises(UnexpectedReply):
        wire.parse_from_client(line)


def test_another_version_is_named_on_both_sides() -> None:
    with pytest.raises(UnexpectedReply, match="client speaks 'rig/9', this program 'rig/1'"):
        wire.parse_from_client(b'{"hello":"rig/9"}')
    with pytest.raises(UnexpectedReply, match="rig speaks 'rig/2', this program 'rig/1'"):
        wire.parse_from_rig(b'{"hashbridge":"rig/2","everything":"else"}')


@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=6), st.data())
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    cutter, found = wire.Lines(100), list[bytes]()
    for low, high in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += cutter.feed(stream[low:high])
    assert found == lines


@pytest.mark.parametrize("data", [b"x" * 101, b"x" * 101 + b"\n"])
def test_a_line_beyond_the_limit_is_refused_with_or_without_its_end(data: bytes) -> None:
    with pytest.raises(UnexpectedReply, match="more than 100 bytes"):
        wire.Lines(100).feed(data)


# --- the server ------------------------------------------------------------------------------------------------------


class FakeRig:
    """A `RigPort` that says what the test tells it to say."""

    info = (INFO,)

    def __init__(self) -> None:
        self.asked: list[tuple[str, Command]] = []
        self.events_queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.snapshots_queue: asyncio.Queue[Snapshot] = asyncio.Queue()
        self.answer: BaseException | None = None
        self.hold: asyncio.Event | None = None

    async def request(self, board: str, command: Command) -> None:
        self.asked.append((board, command))
        if self.hold is not None:
            await self.hold.wait()
        if self.answer is not None:
            raise self.answer

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        while True:
            yield await self.snapshots_queue.get()

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self.events_queue.get()) is not None:
            yield event


class Serving:
    """A server on a socket of its own, its pumps, and the owner's end."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "rig.sock"
        self.rig = FakeRig()
        self.server = RigServer(self.rig)
        self.owner, self._far = socket.socketpair()
        self.owner_lost = asyncio.Event()
        self.shutdown: list[str] = []
        self._pumps: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Serving:
        self.server.on_owner_lost = self.owner_lost.set
        self.server.on_shutdown = self.shutdown.append
        await self.server.listen(self.path)
        await self.server.adopt(self._far)
        self._pumps = [
            asyncio.create_task(self.server.pump_events()),
            asyncio.create_task(self.server.pump_snapshots()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for pump in self._pumps:
            pump.cancel()
        await self.server.goodbye("test over", 0.5)
        self.owner.close()

    async def raw(self, hello: bytes = b'{"hello":"rig/1"}\n') -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        assert json.loads(await reader.readline())["hashbridge"] == "rig/1"
        writer.write(hello)
        return reader, writer


real_time = pytest.mark.real_time


@real_time
async def test_a_client_sees_the_boards_and_gets_every_event_from_the_first_on(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving:
        for seq in range(1, 4):
            serving.rig.events_queue.put_nowait(note(seq))
        await asyncio.sleep(0.02)
        async with await LiveRig.connect(serving.path) as client:
            assert client.info == (INFO,)
            assert client.pid == os.getpid()
            serving.rig.events_queue.put_nowait(note(4))
            found = []
            async for event in client.events():
                found.append(event.seq)
                if len(found) == 4:
                    break
            assert found == [1, 2, 3, 4]


@real_time
async def test_a_request_returns_when_it_is_done_and_raises_what_the_rig_raised(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving, await LiveRig.connect(serving.path) as client:
        await client.request("gamma", PowerUp(frequency_mhz=400.0))
        assert serving.rig.asked == [("gamma", PowerUp(frequency_mhz=400.0))]
        serving.rig.answer = Refused("slew", "60 MHz is more than 50 MHz")
        with pytest.raises(Refused) as caught:
            await client.request("gamma", SetOperatingPoint(frequency_mhz=460.0))
        assert caught.value.rule == "slew"
        with pytest.raises(UsageError, match="delta"):
            await client.request("delta", SafeOff())


@real_time
async def test_a_failure_nobody_foresaw_is_answered_and_the_connection_lives(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving, await LiveRig.connect(serving.path) as client:
        serving.rig.answer = ZeroDivisionError("oops")
        with pytest.raises(ProtocolError, match="ZeroDivisionError: oops"):
            await client.request("gamma", SafeOff())
        serving.rig.answer = None
        await client.request("gamma", SafeOff())


@real_time
@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"x" * (wire.CLIENT_LINE_BYTES + 1),
        b'{"hello":"rig/2"}\n',
        b'{"id":1,"request":{"board":"gamma","command":{"kind":"safe_off"}}}\n',
        b'{"hello":"rig/1","role":"owner"}\n',
        b'{"hello":"rig/1"}\n{"shutdown":{"reason":"because"}}\n',
    ],
    ids=["malformed", "oversize", "version", "no hello", "usurper", "viewer ends the rig"],
)
async def test_a_foolish_client_gets_an_error_and_is_hung_up_on_while_others_go_on(tmp_path: Path, line: bytes) -> None:
    async with Serving(tmp_path) as serving, await LiveRig.connect(serving.path) as client:
        reader, writer = await serving.raw(line)
        answers = (await reader.read()).splitlines()
        assert json.loads(answers[-1])["error"]["type"] == "UnexpectedReply"
        writer.close()
        await client.request("gamma", SafeOff())
        assert serving.rig.asked == [("gamma", SafeOff())]
        assert serving.shutdown == []
        assert not serving.owner_lost.is_set()


@real_time
async def test_a_client_that_does_not_read_delays_nobody_and_loses_no_event(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving, await LiveRig.connect(serving.path) as client:
        reader, writer = await serving.raw()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        count, text = 3000, "x" * 1000
        for seq in range(1, count + 1):
            serving.rig.events_queue.put_nowait(note(seq, text))
            serving.rig.snapshots_queue.put_nowait(snapshot(float(seq)))
        seen = 0
        async for event in client.events():
            seen = event.seq
            if seen == count:
                break
        await client.request("gamma", SafeOff())
        waiting = sum(c._transport.get_write_buffer_size() for c in serving.server.connections if c._transport)
        assert waiting < server_module.BUFFER_BYTES + server_module.BATCH_BYTES + 4096
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        seqs, snapshots = list[int](), list[float]()
        while len(seqs) < count or not snapshots or snapshots[-1] != float(count):
            message = json.loads(await reader.readline())
            if "event" in message:
                seqs.append(message["event"]["seq"])
            else:
                snapshots.append(message["snapshot"]["at_s"])
        assert seqs == list(range(1, count + 1))
        assert len(snapshots) < count
        writer.close()


@real_time
async def test_a_safe_off_gets_past_any_number_of_requests_that_are_stuck(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving, await LiveRig.connect(serving.path) as client:
        serving.rig.hold = asyncio.Event()
        stuck = [
            asyncio.create_task(client.request("gamma", PowerDown())) for _ in range(3 * server_module.REQUESTS_AT_ONCE)
        ]
        urgent = asyncio.create_task(client.request("gamma", SafeOff()))
        refused = stuck[server_module.REQUESTS_AT_ONCE :]
        await asyncio.wait(refused, timeout=5.0)
        await asyncio.sleep(0.1)
        assert ("gamma", SafeOff()) in serving.rig.asked
        assert all("32 requests of this client" in str(task.exception()) for task in refused)
        serving.rig.hold.set()
        await urgent
        await asyncio.gather(*stuck, return_exceptions=True)


@real_time
async def test_a_client_that_asks_without_end_and_reads_nothing_is_hung_up_on(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving:
        _, writer = await serving.raw()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        line = b'{"id":1,"request":{"board":"nobody","command":{"kind":"safe_off"}}}\n'

        async def ask_on() -> None:
            while True:
                writer.write(line * 1000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await ask_on()


@real_time
async def test_the_newest_snapshot_wins_and_each_comes_once(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving, await LiveRig.connect(serving.path) as client:
        seen: list[float] = []

        async def watch() -> None:
            async for newest in client.snapshots():
                seen.append(newest.at_s)
                await asyncio.sleep(0.05)

        watcher = asyncio.create_task(watch())
        for number in range(100):
            serving.rig.snapshots_queue.put_nowait(snapshot(float(number)))
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.2)
        watcher.cancel()
        assert seen[-1] == 99.0
        assert seen == sorted(set(seen))
        assert len(seen) < 50


@real_time
async def test_the_death_of_the_owner_is_noticed_and_that_of_a_viewer_is_not(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving:
        client = await LiveRig.connect(serving.path)
        await client.aclose()
        await asyncio.sleep(0.02)
        assert not serving.owner_lost.is_set()
        serving.owner.close()
        await asyncio.wait_for(serving.owner_lost.wait(), 1.0)


@real_time
async def test_the_owner_may_end_the_rig_and_hears_the_goodbye(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving:
        serving.owner.sendall(b'{"hello":"rig/1","role":"owner"}\n{"shutdown":{"reason":"done"}}\n')
        await asyncio.sleep(0.05)
        assert serving.shutdown == ["done"]
        record = SafeOffRecord(at_s=1.0, confirmed=True, by="rig", actions=())
        serving.rig.events_queue.put_nowait(
            SafeOffDone(seq=1, at_s=1.0, at_utc=UTC_NOW, board="gamma", reason="done", report=record)
        )
        await asyncio.sleep(0.05)
        await serving.server.goodbye("done", 1.0)
        lines = serving.owner.recv(1 << 20).splitlines()
        assert json.loads(lines[-1])["goodbye"] == {
            "reason": "done",
            "safe_off": {"gamma": {"at_s": 1.0, "confirmed": True, "by": "rig", "actions": []}},
        }


@real_time
async def test_when_the_rig_hangs_up_requests_fail_and_iterators_end(tmp_path: Path) -> None:
    async with Serving(tmp_path) as serving:
        serving.rig.hold = asyncio.Event()
        client = await LiveRig.connect(serving.path)
        asked = asyncio.create_task(client.request("gamma", SafeOff()))
        await asyncio.sleep(0.02)
        for connection in tuple(serving.server.connections):
            connection.abort()
        with pytest.raises(Unplugged):
            await asked
        assert [event async for event in client.events()] == []
        with pytest.raises(Unplugged):
            await client.request("gamma", SafeOff())
        await client.aclose()
        serving.rig.hold.set()


@real_time
async def test_a_client_of_another_user_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Serving(tmp_path) as serving:
        monkeypatch.setattr(server_module, "peer_uid", lambda sock: os.geteuid() + 4711)
        reader, writer = await asyncio.open_unix_connection(str(serving.path))
        assert await reader.read() == b""
        writer.close()


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert server_module.peer_uid(near) == os.geteuid()


@real_time
async def test_connecting_to_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unplugged, match="No such file"):
        await LiveRig.connect(tmp_path / "nothing.sock")
