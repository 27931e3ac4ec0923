"""The rig process as its client sees it start and fail: what went wrong there is raised here, as itself."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from controller.attentive import AttentiveSelector
from controller.port import BoardConfig, HostConfig, LiveRig
from drivers.errors import PortMissing, UnknownPart, UsageError
from tests.unit.controller.tiny_firmware import TinyFirmware

GAMMA = BoardConfig(name="gamma", kind="bitaxe-gamma", control="/nowhere/control", data="/nowhere/data")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("HASHBRIDGE_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.real_time
async def test_a_port_that_does_not_exist_is_raised_at_the_client() -> None:
    with pytest.raises(PortMissing) as caught:
        await LiveRig.start(HostConfig(boards=(GAMMA,)))
    assert caught.value.port == "/nowhere/data"


@pytest.mark.real_time
async def test_a_board_nobody_knows_and_a_dilution_on_hardware_are_refused_before_a_port_is_opened() -> None:
    with pytest.raises(UnknownPart, match="bitaxe-omega"):
        await LiveRig.start(HostConfig(boards=(GAMMA.model_copy(update={"kind": "bitaxe-omega"}),)))
    with pytest.raises(UsageError, match="dilution"):
        await LiveRig.start(HostConfig(boards=(GAMMA.model_copy(update={"dilution": 16}),)))


@pytest.mark.real_time
async def test_a_missing_control_port_leaves_the_data_port_closed_again(tmp_path: Path) -> None:
    data = TinyFirmware(tmp_path / "data")
    board = GAMMA.model_copy(update={"data": str(data.path)})
    for _ in range(2):
        with pytest.raises(PortMissing) as caught:
            await LiveRig.start(HostConfig(boards=(board,)))
        assert caught.value.port == "/nowhere/control"
    assert data.heard == []
    data.unplug()


@pytest.mark.real_time
def test_a_job_that_makes_no_sense_ends_the_process_with_a_usage_error() -> None:
    near, far = socket.socketpair()
    with near:
        with far:
            done = subprocess.run(
                [sys.executable, "-m", "controller.host", "--owner-fd", str(far.fileno())],
                input=b'{"boards":[]}',
                pass_fds=(far.fileno(),),
                cwd=Path(__file__).parents[3],
                capture_output=True,
                check=False,
            )
        assert done.returncode == 2
        assert b'"type":"UsageError"' in near.recv(65536)


def test_a_wait_that_ends_empty_looks_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after SIGCONT, when epoll gives up its wait although something has come."""
    read, write = os.pipe()
    looked: list[float | None] = []
    inner = selectors.DefaultSelector.select

    def stopped_once(self: selectors.DefaultSelector, timeout: float | None = None) -> object:
        looked.append(timeout)
        if len(looked) == 1:
            os.write(write, b"x")
            return []
        return inner(self, timeout)

    monkeypatch.setattr(selectors.DefaultSelector, "select", stopped_once)
    with AttentiveSelector() as selector:
        selector.register(read, selectors.EVENT_READ)
        assert [key.fd for key, _ in selector.select(5.0)] == [read]
    assert looked == [5.0, 0]
    os.close(read)
    os.close(write)
