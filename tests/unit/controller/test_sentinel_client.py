"""The rig's side of the sentinel: whichever of the two dies or freezes, the other one has the port and makes safe."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.model import SafeOffRecord
from controller.safety import sentinel_client
from controller.safety.sentinel_client import SentinelClient
from drivers.errors import PortBusy, PortMissing, ProtocolError
from drivers.traits import Transport
from tests.unit.controller.tiny_firmware import RECIPE, TinyFirmware
from tests.usb_tree import UsbTree

pytestmark = pytest.mark.real_time

LIMIT_S = 0.3


@pytest.fixture
def firmware(tmp_path: Path) -> Iterator[TinyFirmware]:
    tiny = TinyFirmware(tmp_path / "control")
    yield tiny
    if tiny.path.exists():
        tiny.unplug()


class Ear:
    """A sink that keeps what came."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Exception | None = None

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, error: Exception) -> None:
        self.lost = error


class Rig:
    """A client with callbacks that keep what they were told, and a loop that beats."""

    def __init__(self, firmware: TinyFirmware, directory: Path, tree: UsbTree | None = None) -> None:
        path, sysfs, dev = str(firmware.path), "/sys", "/dev"
        if tree is not None:
            path, sysfs, dev = str(tree.dev / "ttyACM0"), str(tree.sysfs), str(tree.dev)
        self.client = SentinelClient("tiny", path, RECIPE, directory=directory, limit_s=LIMIT_S, sysfs=sysfs, dev=dev)
        self.told: asyncio.Queue[tuple[str, object]] = asyncio.Queue()
        self.client.on_port_lost = lambda why: self.told.put_nowait(("port_lost", why))
        self.client.on_port_back = lambda record, path: self.told.put_nowait(("port_back", (record, path)))
        self.client.on_lost = lambda why, transport: self.told.put_nowait(("lost", (why, transport)))
        self.client.on_fenced = lambda why, record: self.told.put_nowait(("fenced", (why, record)))
        self.ear = Ear()
        self.beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Rig:
        self.transport = await self.client.start()
        self.transport.start(self.ear)
        self.beating = asyncio.create_task(self._beat())
        return self

    async def _beat(self) -> None:
        while True:
            self.client.beat()
            await asyncio.sleep(0.05)

    async def __aexit__(self, *_: object) -> None:
        assert self.beating is not None
        self.beating.cancel()
        await self.transport.aclose()
        await self.client.aclose()

    async def fall_silent(self) -> None:
        assert self.beating is not None
        await asyncio.sleep(0.1)
        self.beating.cancel()

    async def fenced_before_the_report(self, patch: pytest.MonkeyPatch) -> str:
        """Silent, and told why it was fenced off while the sentinel is at work."""
        patch.setattr(sentinel_client, "REPORT_S", 0.0)
        await self.fall_silent()
        why, record = await self.hear("fenced")
        assert record is None
        return str(why)

    async def hear(self, what: str) -> Any:
        async with asyncio.timeout(3.0):
            name, detail = await self.told.get()
        assert name == what, (name, detail)
        return detail

    async def taken_over(self) -> Transport:
        transport: Transport | None = (await self.hear("lost"))[1]
        assert transport is not None
        return transport


async def test_requests_go_through_and_beats_keep_the_peace(firmware: TinyFirmware, tmp_path: Path) -> None:
    async with Rig(firmware, tmp_path) as rig:
        await asyncio.sleep(3 * LIMIT_S)
        await rig.transport.write(bytes.fromhex("06 00 2A 00 06 00"))
        await asyncio.sleep(0.05)
        assert rig.ear.data == bytes.fromhex("01 00 2A 01")
        assert rig.client.watching
        assert rig.told.empty()
        await rig.client.release()
    assert len(firmware.heard) == 1


async def test_a_sentinel_that_is_killed_leaves_the_port_to_the_rig(firmware: TinyFirmware, tmp_path: Path) -> None:
    async with Rig(firmware, tmp_path) as rig:
        assert rig.client.pid is not None
        os.kill(rig.client.pid, signal.SIGKILL)
        port = await rig.taken_over()
        await port.write(bytes.fromhex("07 00 01 00 06 00 00"))
        await asyncio.sleep(0.05)
        await port.aclose()
        assert not firmware.reset_high
        assert not rig.client.watching
        assert rig.ear.lost is not None


async def test_a_sentinel_that_is_frozen_is_killed_and_replaced(firmware: TinyFirmware, tmp_path: Path) -> None:
    async with Rig(firmware, tmp_path) as rig:
        await asyncio.sleep(0.1)
        assert rig.client.pid is not None
        os.kill(rig.client.pid, signal.SIGSTOP)
        began_s = asyncio.get_running_loop().time()
        port = await rig.taken_over()
        assert LIMIT_S < asyncio.get_running_loop().time() - began_s < LIMIT_S + 1.0
        await port.aclose()
        with pytest.raises(ProcessLookupError):
            os.kill(rig.client.pid, 0)


async def test_a_rig_that_was_fenced_off_is_told_and_does_not_open_the_port(
    firmware: TinyFirmware, tmp_path: Path
) -> None:
    async with Rig(firmware, tmp_path) as rig:
        await rig.fall_silent()
        why, record = await rig.hear("fenced")
        assert "no beat" in why
        assert isinstance(record, SafeOffRecord)
        assert record.confirmed
        assert record.by == "sentinel"
        assert [action.name for action in record.actions] == ["reset asserted", "rail off", "fan full"]
        assert firmware.safe
        await asyncio.sleep(LIMIT_S + 0.5)
        assert rig.told.empty()
        assert len(firmware.heard) == len(RECIPE)


async def test_a_report_that_comes_late_is_told_when_it_is_there(
    firmware: TinyFirmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Rig(firmware, tmp_path) as rig:
        why = await rig.fenced_before_the_report(monkeypatch)
        again, record = await rig.hear("fenced")
        assert again == why
        assert isinstance(record, SafeOffRecord)
        assert record.confirmed
        assert rig.client.fence_record == record


async def test_a_report_that_comes_while_the_rig_ends_is_read_all_the_same(
    firmware: TinyFirmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Rig(firmware, tmp_path) as rig:
        await rig.fenced_before_the_report(monkeypatch)
        assert await rig.client.aclose() is None
        assert rig.client.fence_record is not None
        assert rig.client.fence_record.confirmed


async def test_an_unplugged_port_is_told_and_so_is_its_return_already_safe(
    firmware: TinyFirmware, tmp_path: Path
) -> None:
    async with Rig(firmware, tmp_path) as rig:
        firmware.unplug()
        await rig.hear("port_lost")
        firmware.energise()
        firmware.plug()
        back = await rig.hear("port_back")
        assert isinstance(back, tuple)
        record, path = back
        assert path == str(firmware.path)
        assert isinstance(record, SafeOffRecord)
        assert record.confirmed
        assert firmware.safe
        assert rig.client.watching


async def test_a_port_that_vanished_with_its_sentinel_is_opened_when_it_returns(
    firmware: TinyFirmware, tmp_path: Path
) -> None:
    async with Rig(firmware, tmp_path) as rig:
        firmware.unplug()
        await rig.hear("port_lost")
        assert rig.client.pid is not None
        os.kill(rig.client.pid, signal.SIGKILL)
        assert (await rig.hear("lost"))[1] is None
        firmware.plug()
        port = await rig.taken_over()
        await port.aclose()


async def test_a_rig_whose_sentinel_is_dead_finds_the_port_under_its_new_name_too(
    firmware: TinyFirmware, tmp_path: Path
) -> None:
    tree = UsbTree(tmp_path / "usb")
    tree.plug("ttyACM0", str(firmware.path))
    stranger = TinyFirmware(tmp_path / "stranger")
    try:
        async with Rig(firmware, tmp_path, tree) as rig:
            assert rig.client.pid is not None
            os.kill(rig.client.pid, signal.SIGSTOP)  # neither it nor anybody else sees the cable go
            firmware.unplug()
            tree.unplug("ttyACM0")
            tree.plug("ttyACM0", str(stranger.path), "1-1.4", strings={"serial": "03666228"})
            _, transport = await rig.hear("lost")
            assert transport is None
            firmware.plug()
            back = tree.plug("ttyACM2", str(firmware.path))
            transport = await rig.taken_over()
            assert transport.name == str(back)
            await transport.aclose()
            assert stranger.heard == []
    finally:
        stranger.unplug()


async def test_leaving_without_a_release_has_the_sentinel_make_safe(firmware: TinyFirmware, tmp_path: Path) -> None:
    async with Rig(firmware, tmp_path) as rig:
        record = await rig.client.aclose()
        assert record is not None
        assert record.confirmed
        assert firmware.safe


async def test_a_busy_port_and_a_missing_one_are_told_apart(firmware: TinyFirmware, tmp_path: Path) -> None:
    async with Rig(firmware, tmp_path):
        second = SentinelClient("second", str(firmware.path), RECIPE, directory=tmp_path)
        with pytest.raises(PortBusy):
            await second.start()
        await second.aclose()
    third = SentinelClient("third", str(tmp_path / "nothing"), RECIPE, directory=tmp_path)
    with pytest.raises(PortMissing):
        await third.start()
    await third.aclose()
    assert firmware.heard == [] or firmware.safe


async def test_a_sentinel_that_does_not_start_is_an_error(
    firmware: TinyFirmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.safety.sentinel.__file__", str(tmp_path / "nothing.py"))
    client = SentinelClient("tiny", str(firmware.path), RECIPE, directory=tmp_path)
    with pytest.raises(ProtocolError, match="ended at its start"):
        await client.start()
    await client.aclose()
