"""Emulators as other processes see them: only a living one behind a pseudo-terminal makes a port an emulated one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.attach import data_port
from controller.emulators import Sidecar, emulator_behind, emulator_directory, running_emulators

NO_SUCH_PROCESS = 2**22 + 1


@pytest.fixture
def terminal() -> Iterator[str]:
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "r"))
    found = emulator_directory()
    found.mkdir()
    return found


def _publish(directory: Path, control: str, *, pid: int | None = None, name: str = "emu") -> dict[str, object]:
    content = {
        "schema": "hashbridge.emulator/1",
        "board": "bitaxe-gamma",
        "pid": os.getpid() if pid is None else pid,
        "seed": 7,
        "dilution": 256,
        "control": str(directory / f"{name}-control"),
        "data": str(directory / f"{name}-data"),
        "plant": None,
    }
    (directory / f"{name}-control").symlink_to(control)
    (directory / f"{name}.json").write_text(json.dumps(content))
    return content


def test_a_port_of_a_living_emulator_is_known_by_its_link_and_by_its_terminal(directory: Path, terminal: str) -> None:
    content = _publish(directory, terminal)
    for port in (str(content["control"]), terminal):
        found = emulator_behind(port)
        assert found is not None
        assert (found.name, found.dilution, found.seed) == ("emu", 256, 7)


def test_what_a_dead_emulator_left_behind_makes_no_port_an_emulated_one(directory: Path, terminal: str) -> None:
    _publish(directory, terminal, pid=NO_SUCH_PROCESS)
    assert emulator_behind(terminal) is None
    assert running_emulators() == []


def test_a_real_port_stays_real_whatever_a_file_beside_it_claims(directory: Path, tmp_path: Path) -> None:
    port = tmp_path / "ttyACM0"
    port.touch()
    content = _publish(directory, str(port))
    assert emulator_behind(str(content["control"])) is None
    assert emulator_behind(str(port)) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": "hashbridge.emulator/2"}', '{"schema": "hashbridge.emulator/1", "board": "x"}'],
)
def test_a_file_that_is_no_sidecar_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one too
        Sidecar.parse("emu", text)


def test_the_data_port_is_found_by_the_stable_name_of_the_control_port(tmp_path: Path) -> None:
    for control, data in (
        ("usb-OSMU_Bitaxe_984a7d04-if00", "usb-OSMU_Bitaxe_984a7d04-if02"),
        ("984a7d04-00", "984a7d04-02"),
        ("emu-control", "emu-data"),
    ):
        assert data_port(str(tmp_path / control)) is None
        (tmp_path / data).touch()
        assert data_port(str(tmp_path / control)) == str(tmp_path / data)
    assert data_port("/dev/ttyACM0") is None
