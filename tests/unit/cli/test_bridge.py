"""`hashbridge bridge`: everything that the firmware offers is read, and what it does not have is no zero."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from controller.__main__ import main
from controller.cli import bridge as verb
from controller.cli.bridge import AdcRow, PinRow, Report, as_object, as_text, read
from controller.emulators import child_command, child_environment
from drivers.boards import BOARDS
from drivers.boards.bridge_alone import BRIDGES_ALONE
from drivers.bridges.bitaxe_raw import BitaxeRawBridge
from drivers.bridges.firmware import BITAXE_BONANZA, BITAXE_RAW, EMBERONE, BridgeFirmware
from drivers.discovery import FoundBoard
from drivers.errors import Refused, UsageError
from drivers.transports.memory import memory_pair
from emulator.benches.bitaxe import Bitaxe as Bench
from emulator.benches.bitaxe_bonanza import BitaxeBonanza
from emulator.firmware.bitaxe_raw import BitaxeRaw
from emulator.ports.memory import plug_in
from tests.contracts.test_bridge import BehindEmberOne


@asynccontextmanager
async def on(make: Callable[[], Bench], firmware: BridgeFirmware) -> AsyncIterator[tuple[Bench, BitaxeRawBridge]]:
    bench = make()
    control, control_wire = memory_pair("control")
    plug_in(bench, control_wire, memory_pair("data")[1])
    await asyncio.sleep(30.0)
    bridge = BitaxeRawBridge(control, firmware=firmware)
    bridge.start()
    try:
        yield bench, bridge
    finally:
        await bridge.aclose()


def truth(bench: Bench, key: str) -> object:
    return bench.truth(bench.clock())[key]


async def test_a_bonanza_says_who_it_is_what_it_lost_and_that_it_is_safe() -> None:
    async with on(BitaxeBonanza, BITAXE_BONANZA) as (bench, bridge):
        report = await read(bridge)
        assert report.info is not None
        assert (report.info.version, report.lost, report.dialect) == ("0.1.0", report.lost, "B")
        assert report.lost is not None
        assert report.lost.fifo_overflows == report.lost.ring_overflows == 0
        assert report.safety is not None
        assert report.safety.outputs_safe
        assert {pin.name: pin.high for pin in report.pins} == dict.fromkeys(
            ("RST_N", "5V_EN", "ASIC_RST", "TRIP", "VR_EN", "VR_PGOOD"), False
        )
        assert report.adc == (AdcRow("VDD", 0, None),)
        assert report.fan_rpm == pytest.approx(truth(bench, "fan_rpm"), abs=60)
        assert bench.actuations[-1].at_s == 0.0, "nothing was moved"


async def test_its_fan_is_set_read_and_left_at_full() -> None:
    async with on(BitaxeBonanza, BITAXE_BONANZA) as (bench, bridge):
        full = (await read(bridge)).fan_rpm
        half = (await read(bridge, 50)).fan_rpm
        assert full is not None
        assert half is not None
        assert half < 0.8 * full
        assert truth(bench, "fan_duty") == 1.0


async def test_its_fan_is_not_slowed_under_five_volts_which_would_switch_the_board_off() -> None:
    async with on(BitaxeBonanza, BITAXE_BONANZA) as (bench, bridge):
        await bridge.pin("5V_EN").set(True)
        with pytest.raises(Refused, match="5 V is on"):
            await read(bridge, 99)
        assert (await read(bridge, 100)).fan_rpm
        assert (truth(bench, "five_volt"), truth(bench, "fan_duty")) == (True, 1.0)


async def test_an_emberone_on_main_has_no_inputs_and_says_so() -> None:
    async with on(BehindEmberOne, EMBERONE) as (_, bridge):
        report = await read(bridge)
        assert {pin.name: pin.high for pin in report.pins} == {
            "ASIC_RESETN": True,
            "PWR_EN": False,
            "IO_PWR_EN": False,
            "PGOOD": None,
            "THERM_N": None,
            "SMB_ALRT_N": None,
        }
        assert report.adc == (AdcRow("VDD", 0, 0.0), AdcRow("VIN", 0, 0.0))
        assert (report.info, report.lost, report.safety, report.fan_rpm) == (None, None, None, None)
        text = as_text(report)
        assert "pin 03  PGOOD not in this firmware, read only" in text
        assert "adc     VDD 0 counts, 0.0000 V at the pin" in text


async def test_a_firmware_without_page_00_has_none_of_it() -> None:
    """As that of a Bonanza before commit 140cd33."""
    async with on(BitaxeBonanza, BITAXE_BONANZA) as (bench, bridge):
        firmware = bench.firmware
        assert isinstance(firmware, BitaxeRaw)
        firmware.profile = replace(firmware.profile, bridge_page=False)
        report = await read(bridge)
        assert (report.info, report.lost, report.safety) == (None, None, None)
        assert report.fan_rpm
        await bridge.pin("5V_EN").set(True)
        with pytest.raises(Refused, match="5 V is on"):
            await read(bridge, 50)


REPORT = Report(
    "/dev/ttyACM0", "x", "C", None, None, None, (PinRow("A", 1, True, True),), (AdcRow("V", 564, 0.45439),), 0.0
)


def test_the_object_has_null_for_what_is_not_there() -> None:
    found = as_object(REPORT)
    assert found == {
        "schema": "hashbridge.bridge/1",
        "port": "/dev/ttyACM0",
        "firmware": "x",
        "dialect": "C",
        "version": None,
        "protocol": None,
        "lost": None,
        "safety": None,
        "pins": [{"name": "A", "number": 1, "output": True, "high": True}],
        "adc": [{"name": "V", "raw": 564, "pin_v": 0.45439}],
        "fan_rpm": 0.0,
    }
    json.dumps(found)
    assert "fan     0 rpm" in as_text(REPORT)
    assert "adc     V 564 counts, 0.4544 V at the pin" in as_text(REPORT)


@pytest.mark.parametrize("name", [*BOARDS, *BRIDGES_ALONE])
def test_every_board_has_a_firmware(name: str) -> None:
    assert verb._of_board(name).name


def _found(tmp_path: Path, name: str) -> FoundBoard:
    control = tmp_path / "control"
    control.touch()
    alone = BRIDGES_ALONE.get(name)
    kinds = () if alone else (BOARDS[name],)
    return FoundBoard(f"{name}:1", kinds, "1", "1-1", str(control), None, None, alone)


@pytest.mark.parametrize(
    ("name", "firmware"), [("bitaxe-bonanza", BITAXE_BONANZA), ("bitaxe-gamma", BITAXE_RAW), ("bitaxe-hex", BITAXE_RAW)]
)
def test_the_usb_strings_say_which_firmware_it_is(
    name: str, firmware: BridgeFirmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = _found(tmp_path, name)
    monkeypatch.setattr(verb, "discover", lambda: [board])
    for said in (board.id, "1", board.control or ""):
        assert verb._given(said, None) == (board.control, firmware)
        assert verb._given(said, EMBERONE) == (board.control, EMBERONE)


def test_a_device_that_is_known_and_not_driven_is_asked_for_its_firmware_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, why = tmp_path / "control", "a bitcrane is not driven: it has four ports"
    control.touch()
    board = FoundBoard("bitcrane:1", (), "1", "1-1", str(control), None, why, refused=why)
    monkeypatch.setattr(verb, "discover", lambda: [board])
    with pytest.raises(UsageError, match=f"one of bitaxe-raw, .*; {why}"):
        verb._given(board.id, None)
    assert verb._given(board.id, EMBERONE) == (board.control, EMBERONE)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (["--port", "{stranger}"], 2, "--firmware is missing; needed: one of bitaxe-raw, "),
        (["--port", "{stranger}x"], 3, "no such port"),
        (["--port", "{stranger}", "--firmware", "axeos"], 2, "--firmware: 'axeos' is not allowed"),
        (["--port", "{stranger}", "--firmware", "bitaxe-raw", "--fan", "50"], 2, "bitaxe-raw has none"),
        (["--port", "{stranger}", "--firmware", "bitaxe-raw", "--fan", "101"], 2, "--fan: '101' is not allowed"),
        (["--emulate", "bitaxe-none"], 2, "--emulate: 'bitaxe-none' is not allowed; allowed: one of bitaxe-bonanza, "),
    ],
)
def test_what_makes_no_sense_is_one_line(
    line: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(verb, "discover", list)
    monkeypatch.setattr(verb, "emulator_behind", lambda port: None)
    stranger = tmp_path / "stranger"
    stranger.touch()
    assert main(["bridge", *(word.format(stranger=stranger) for word in line)]) == code
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert says in said.err


def test_an_emulator_says_which_board_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "emulator_behind", lambda port: SimpleNamespace(board="bitaxe-bonanza"))
    assert verb._given("/dev/pts/9", None) == ("/dev/pts/9", BITAXE_BONANZA)


@pytest.mark.real_time
def test_it_talks_to_an_emulated_bonanza_over_pseudo_terminals(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("hb")
    places = {f"HASHBRIDGE_{name}_DIR": str(place / name) for name in ("RUNTIME", "STATE", "CONFIG")}
    line = child_command("bridge", "--emulate", "bitaxe-bonanza", "--json")
    environment = child_environment() | places
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["firmware"], found["dialect"], found["version"]) == ("bitaxe-raw-bonanza", "B", "0.1.0")
    assert found["safety"]["outputs_safe"] is True
    assert [path for path in place.rglob("*") if not path.is_dir()] == []
