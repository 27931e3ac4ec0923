"""`hashbridge chain`: what it asks for, what it prints, how it ends. The survey has its own tests, with the chips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controller.__main__ import main
from controller.cli import chain
from controller.cli.chain import NO_SWITCH, Asked, chain_object, look
from controller.cli.exits import Exit
from drivers.asics import ASICS
from drivers.asics.survey import survey
from drivers.boards.hashboards import HASHBOARDS
from drivers.discovery import FoundBoard
from drivers.errors import NoReply
from drivers.transports.memory import memory_pair
from emulator.benches.hashboard import HASHBOARDS as BENCHES
from emulator.benches.hashboard import HashBoard
from emulator.ports.memory import MemoryPort
from tests.served import Served
from tests.vectors import frame, rows


def emulated(name: str, baud: int = 115_200) -> Asked:
    board = HASHBOARDS[name]
    return Asked(None, board, board.chips, ASICS[board.chip], baud)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How the emulated boards of this test are broken."""
    how: dict[str, Any] = {}
    monkeypatch.setattr(chain, "HashBoard", lambda model, **given: HashBoard(model, **given, **how))
    return how


def lines(text: str) -> dict[str, str]:
    """A printed table by name; wrapped lines are put together again."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        label, rest = line[:11].strip(), line[11:].strip()
        name = label or name
        found[name] = f"{found[name]} {rest}" if not label else f"{found[name]}; {rest}" if name in found else rest
    return found


async def test_a_whole_board_is_a_line_a_fact_and_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert await look(emulated("antminer-s19-xp")) == Exit.OK
    said = capsys.readouterr()
    assert lines(said.out) == {
        "board": "Antminer S19 XP, 110 x BM1366 in 11 domains",
        "port": "emulated, in memory, 115200 baud",
        "chips": "110 of 110 answer: whole",
        "kinds": "110 x BM1366",
        "addresses": "00 to da, 02 apart",
        "replies": "11 bytes",
        "sent": (
            "4 x version rolling, 4 x chip id read of all, 1 x chain inactive, 110 x address, 110 x chip id read by "
            "address. No clock, no voltage, no sweep window, no job, no other register"
        ),
        "took": "2.5 s",
        "power": NO_SWITCH,
    }
    assert max(map(len, said.out.splitlines())) <= 80
    assert said.err == ""


async def test_a_dead_domain_is_named_with_its_chips_and_exit_1(
    broken: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    broken["dead_domain"] = 5
    assert await look(emulated("antminer-s21-pro")) == Exit.FAILED
    found = lines(capsys.readouterr().out)
    assert found["chips"] == "25 of 65 answer"
    assert found["missing"] == "chips 25 to 64, counted from 0 at the host"
    assert found["domain"].startswith("5 (chips 25 to 29): all are missing: is its voltage there?; 6 (chips 30 to 34)")
    assert found["domain"].endswith("; and 5 behind")
    assert found["FAULT"] == "chip 25 is the first that is missing; the 39 behind it are not reached"


async def test_a_silent_chip_is_named_in_its_domain(broken: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    broken["silent_chips"] = [40]
    assert await look(emulated("antminer-s19j-pro")) == Exit.FAILED
    found = lines(capsys.readouterr().out)
    assert found["missing"] == "chip 40, counted from 0 at the host"
    assert found["domain"] == "13 (chips 39 to 41): chip 40 of it"
    assert "unverified: that its 42 domains follow each other" in found["board"]


async def test_json_has_every_field_of_the_manual(broken: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    broken["silent_chips"] = [7]
    assert await look(emulated("antminer-s21"), as_json=True) == Exit.FAILED
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "hashbridge.chain/1"
    assert (found["whole"], found["emulated"], found["can_cut_power"]) == (False, True, False)
    assert (found["answering"], found["missing"], found["unstable"], found["extra"]) == (107, [7], [], [])
    assert found["kinds"] == {"BM1368": 107}
    assert found["chips"][7] == {
        "position": 7, "domain": 0, "address": 14, "kinds": [], "state": "missing",
        "broadcasts": [0, 0, 0], "reads": [0, 0, 0],
    }  # fmt: skip
    assert found["chips"][9]["domain"] == 1
    assert found["doubt"].startswith("108 chips in 12 domains")
    manual = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = manual.split("### `hashbridge.chain/1`")[1].split("\n#### ")[0]
    assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == list(found)


async def test_of_a_board_that_nobody_named_what_was_found_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    port, wire = memory_pair("data")
    MemoryPort(HashBoard(BENCHES["antminer-s21-pro"]).data, wire)
    asked = Asked("/dev/ttyUSB0", None, 64, None, 115_200)
    found = await survey(port, 64)
    assert chain.chain_text(asked, found).splitlines()[:3] == [
        "port       /dev/ttyUSB0, 115200 baud",
        "chips      64 of 64 answer",
        "kinds      64 x BM1370",
    ]
    told = chain_object(asked, found)
    assert (told["board"], told["doubt"], told["expected_kind"]) == (None, None, None)
    (fault,) = told["faults"]
    assert fault.startswith("address 00 answers 2 times: a chip too many for the addresses")
    assert told["chips"][0]["domain"] is None


async def test_silence_is_an_error_that_says_where_to_look(
    broken: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    broken["dead_chip"] = 0
    with pytest.raises(NoReply, match="asked 3 times at 115200 baud on emulated antminer-s21-pro"):
        await look(emulated("antminer-s21-pro"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--port", "/dev/null"], "--board is missing; needed: one of antminer-s19-xp, "),
        (["--port", "/dev/null", "--chips", "0"], "--chips: '0' is not allowed; allowed: a whole number from 1 to 128"),
        (["--port", "/dev/null", "--chips", "many"], "--chips: 'many' is not allowed"),
        (["--port", "/dev/null", "--chips", "3", "--chip", "BM1387"], "--chip: 'BM1387' is not allowed; allowed: one"),
        (["--port", "/dev/null", "--chips", "3", "--baud", "0"], "--baud: '0' is not allowed; allowed: a whole number"),
        (["--port", "/dev/null", "--board", "antminer-s9"], "--board: 'antminer-s9' is not allowed; allowed: one of"),
        (
            ["--port", "/dev/null", "--board", "antminer-s21", "--chip", "BM1368"],
            "--chip: 'BM1368' is not allowed; allowed: only with --chips",
        ),
        (["--emulate", "bitaxe-gamma"], "--emulate: 'bitaxe-gamma' is not allowed; allowed: one of antminer-s19-xp"),
        (["--emulate", "antminer-s21", "--chips", "3"], "--chips: '3' is not allowed; allowed: only with --port"),
    ],
)
def test_what_makes_no_sense_is_one_line_with_key_value_and_what_is_allowed(
    line: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chain", *line]) == Exit.USAGE
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert says in said.err


def test_a_port_that_is_not_there_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "--port", str(tmp_path / "none"), "--chips", "3"]) == Exit.NOT_FOUND
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(NO_SWITCH)


def test_the_control_port_of_a_bridge_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    control = tmp_path / "control"
    control.touch()
    link = tmp_path / "link"
    link.symlink_to(control)
    board = FoundBoard("bitaxe:1", (), "1", "1-1", str(control), "/dev/ttyACM1")
    monkeypatch.setattr(chain, "discover", lambda: [board])
    assert main(["chain", "--port", str(link), "--chips", "1"]) == Exit.USAGE
    assert "this is the control port of a bridge, they are at /dev/ttyACM1" in capsys.readouterr().err


@pytest.mark.real_time
def test_a_whole_board_on_a_pseudo_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Served("antminer-s19j-pro") as served:
        code = main(["chain", "--port", served.path, "--board", "antminer-s19j-pro", "--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (code, found["faults"], found["answering"], found["port"]) == (0, [], 126, served.path)
    assert found["emulated"] is False
    assert NO_SWITCH in said.err
    assert not served.bench.hashing
    known = {frame(row) for row in rows("bm13xx", "command")}
    assert bytes(served.heard[:11]) in known
    assert len(served.heard) == 4 * 11 + 7 * (4 + 1 + 126 + 126)


@pytest.mark.real_time
def test_a_broken_board_on_a_pseudo_terminal_by_the_number_of_its_chips(capsys: pytest.CaptureFixture[str]) -> None:
    with Served("antminer-s21-pro", dead_chip=12) as served:
        code = main(["chain", "--port", served.path, "--chips", "65", "--chip", "BM1370", "--quiet"])
    said = capsys.readouterr()
    assert code == Exit.FAILED
    assert lines(said.out)["FAULT"] == "chip 12 is the first that is missing; the 52 behind it are not reached"
    assert said.err == ""
