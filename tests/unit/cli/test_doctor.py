"""The doctor: looks at files and descriptors, names the trouble and the remedy, opens nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.__main__ import main
from controller.cli.doctor import Finding, Level, Machine, examine
from drivers.discovery import UsbPort


def _port(path: str = "/dev/ttyACM0", **changes: object) -> UsbPort:
    values: dict[str, object] = {
        "path": path,
        "vid": 0xC0DE,
        "pid": 0xCAFE,
        "manufacturer": "OSMU",
        "product": "Bitaxe",
        "serial": "984a7d04",
        "location": "1-1",
        "interface": 0,
    }
    return UsbPort(**(values | changes))  # type: ignore[arg-type]


def _machine(root: Path, *ports: UsbPort, groups: frozenset[str] = frozenset()) -> Machine:
    for port in ports:
        node = root / port.path.lstrip("/")
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
    return Machine(root=root, ports=ports, groups=groups, utc=datetime(2026, 11, 22, tzinfo=UTC))


def _about(machine: Machine, about: str) -> list[Finding]:
    return [finding for finding in examine(machine) if finding.about == about]


def test_a_bridge_with_both_ports_is_recognised(tmp_path: Path) -> None:
    machine = _machine(tmp_path, _port(), _port("/dev/ttyACM1", interface=2))
    found, which = _about(machine, "board")
    assert found.level is Level.GOOD
    assert found.text == "bitaxe:984a7d04: control /dev/ttyACM0, data /dev/ttyACM1"
    assert which.level is Level.NOTE
    assert "bitaxe-gamma, " in which.text
    assert which.remedy == "say which one it is: --board NAME"


def test_a_bridge_whose_data_port_is_missing_is_a_warning(tmp_path: Path) -> None:
    found = _about(_machine(tmp_path, _port()), "board")[0]
    assert found.level is Level.WARN
    assert "no data port" in found.text


def test_a_board_that_runs_axeos_is_named_and_told_what_to_flash(tmp_path: Path) -> None:
    port = _port(vid=0x303A, pid=0x1001, manufacturer="Espressif", product="USB JTAG/serial debug unit")
    found = _about(_machine(tmp_path, port), "board")[0]
    assert found.level is Level.WARN
    assert "AxeOS" in found.text
    assert found.remedy is not None
    assert "bitaxe-raw" in found.remedy
    assert "BOOT" in found.remedy


def test_a_board_whose_chip_is_not_driven_is_named_and_its_bridge_pointed_out(tmp_path: Path) -> None:
    (found,) = _about(_machine(tmp_path, _port(product="BitaxeBonanza")), "board")
    assert found.level is Level.WARN
    assert "the BZM2 of a Bitaxe Bonanza is not driven" in found.text
    assert found.remedy is not None
    assert found.remedy.startswith("hashbridge bridge --port /dev/ttyACM0; a Bitaxe Gamma needs")


def test_a_stranger_with_the_same_unassigned_id_is_a_note(tmp_path: Path) -> None:
    found = _about(_machine(tmp_path, _port(manufacturer="Acme", product="Thing")), "board")[0]
    assert found.level is Level.NOTE


def test_a_port_that_is_not_there_any_more_is_bad(tmp_path: Path) -> None:
    machine = Machine(root=tmp_path, ports=(_port(),), utc=datetime(2026, 11, 22, tzinfo=UTC))
    (found,) = _about(machine, "access")
    assert found.level is Level.BAD


def test_a_modem_manager_that_may_write_to_a_board_is_a_warning_until_the_rule_is_there(tmp_path: Path) -> None:
    process = tmp_path / "proc" / "4711"
    process.mkdir(parents=True)
    (process / "comm").write_text("ModemManager\n")
    (found,) = _about(_machine(tmp_path), "modems")
    assert found.level is Level.WARN
    assert found.remedy is not None
    rules = tmp_path / "etc" / "udev" / "rules.d"
    rules.mkdir(parents=True)
    (rules / "71-hashbridge.rules").touch()
    (found,) = _about(_machine(tmp_path), "modems")
    assert found.level is Level.GOOD


def test_a_wall_clock_from_before_the_release_is_a_warning(tmp_path: Path) -> None:
    machine = Machine(root=tmp_path, utc=datetime(1970, 1, 1, tzinfo=UTC))
    assert Level.WARN in {finding.level for finding in _about(machine, "clock")}


def test_a_runtime_directory_too_long_for_a_socket_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / ("x" * 90)))
    (found,) = _about(_machine(tmp_path), "runtime")
    assert found.level is Level.BAD
    assert found.remedy is not None


def test_without_anything_plugged_in_the_emulator_is_offered(tmp_path: Path) -> None:
    (found,) = _about(_machine(tmp_path), "board")
    assert (found.level, found.text) == (Level.NOTE, "none plugged in")
    assert "--emulate" in (found.remedy or "")


def test_the_object_carries_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "hashbridge.doctor/1"
    assert {"about", "level", "text", "remedy"} == set(found["findings"][0])
