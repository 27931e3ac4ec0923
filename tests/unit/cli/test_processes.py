"""The command as a process of its own: emulator, rig and sentinel beside it, on real pseudo-terminals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.emulators import child_command, child_environment
from tests.waiting import until

pytestmark = pytest.mark.real_time
PATIENCE_S = 90.0


@pytest.fixture
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment with directories of its own, short enough for sockets."""
    place = tmp_path_factory.mktemp("hb")
    runtime, state = place / "r", place / "s"
    own = {"RUNTIME": runtime, "STATE": state, "CONFIG": place / "c"}
    yield {**child_environment(), **{f"HASHBRIDGE_{name}_DIR": str(path) for name, path in own.items()}}
    leftovers = sorted(path.name for path in runtime.rglob("*") if not path.is_dir())
    assert leftovers == []


def _start(places: dict[str, str], *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    # Ctrl+C has to mean something to the child even where this process was started with it ignored.
    return subprocess.Popen(
        child_command(*arguments),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=places,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )


def _run(places: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    with _start(places, *arguments) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def _emulator(places: dict[str, str], trace: Path, *options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = _start(places, "emulate", "bitaxe-gamma", "--trace", str(trace), "--json", *options)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def _trace(trace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trace.read_text().splitlines()]


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


def _say(process: subprocess.Popen[str], word: str) -> str:
    """Read what the process says to people until a line has this word."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"ended without a word of {word!r}")


def test_a_short_run_on_pseudo_terminals_ends_well(places: dict[str, str], tmp_path: Path) -> None:
    recording, journal = tmp_path / "wire.jsonl", tmp_path / "journal.jsonl"
    code, out, err = _run(
        places, "run", "--emulate", "bitaxe-gamma", "--self-test", "2", "--work", "synthetic", "--seconds", "2",
        "--frequency", "400MHz", "--json", "--record", str(recording), "--journal", str(journal),
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    assert found["schema"] == "hashbridge.run/1"
    assert found["emulated"] is True
    assert found["dilution"] == 2**24
    assert found["frequency_mhz"] == 400.0
    assert found["verified"] > 200
    assert found["self_test"]["passed"]
    assert found["safe_off_confirmed"]
    assert found["trips"] == []
    code, out, err = _run(places, "replay", str(recording), "--json")
    assert code == 0, err
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert kinds.count("job") >= found["jobs"]
    assert kinds.count("nonce") >= found["nonces"]
    assert "noise" not in kinds
    assert '"schema": "hashbridge.journal/1"' in journal.read_text().splitlines()[0]


def test_several_boards_are_one_rig_with_a_guard_each_and_one_journal(places: dict[str, str], tmp_path: Path) -> None:
    journal, wire = tmp_path / "journal.jsonl", tmp_path / "wire"
    code, out, err = _run(
        places, "run", "--emulate", "bitaxe-gamma*2", "--emulate", "bitaxe-supra-402", "--work", "synthetic",
        "--seconds", "2", "--seed", "7", "--json", "--journal", str(journal), "--record", str(wire),
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)
    assert found["schema"] == "hashbridge.runs/1"
    names = ["bitaxe-gamma", "bitaxe-gamma-2", "bitaxe-supra-402"]
    assert [board["board"] for board in found["boards"]] == names
    assert [board["seed"] for board in found["boards"]] == [7, 8, 9]
    assert all(board["safe_off_confirmed"] and board["verified"] > 100 for board in found["boards"])
    header = json.loads(journal.read_text().splitlines()[0])
    assert [board["name"] for board in header["boards"]] == names
    assert {path.name for path in wire.iterdir()} == {f"{name}.jsonl" for name in names}
    for board in found["boards"]:
        code, out, err = _run(places, "replay", str(wire / f"{board['board']}.jsonl"), "--json")
        assert code == 0, err
        kinds = [json.loads(line)["kind"] for line in out.splitlines()]
        assert "noise" not in kinds
        assert kinds.count("job") == board["jobs"]
        assert kinds.count("nonce") >= board["nonces"]
    code, out, err = _run(places, "replay", str(wire))
    assert (code, out, f"one recording: {wire / names[1]}.jsonl, " in err) == (2, "", True), err


def test_a_board_of_a_rig_is_chosen_by_its_name_and_without_one_all_are_named(places: dict[str, str]) -> None:
    with _start(places, "run", "--emulate", "bitaxe-gamma*2", "--work", "synthetic", "--json") as process:
        try:
            _say(process, "bitaxe-gamma-2: synthetic")
            names = ": one of bitaxe-gamma, bitaxe-gamma-2, the boards of this rig"
            for verb in (["set", "--frequency", "500"], ["profile", "save", "x"], ["status", "--board", "gamma"]):
                code, out, err = _run(places, *verb)
                assert (code, out, names in err) == (2, "", True), (verb, err)
            code, out, err = _run(places, "set", "--board", "bitaxe-gamma-2", "--frequency", "500", "--json")
            assert code == 0, err
            assert json.loads(out)["board"] == "bitaxe-gamma-2"
            code, out, err = _run(places, "status", "--board", "bitaxe-gamma-2", "--json")
            (board,) = json.loads(out)["boards"]
            assert (board["board"], board["point"]["requested"]["frequency_mhz"]) == ("bitaxe-gamma-2", 500.0)
            code, out, err = _run(places, "status")
            assert [line.split()[:3] for line in out.splitlines()[1:3]] == [
                ["bitaxe-gamma", "live", "525.00"],
                ["bitaxe-gamma-2", "live", "500.00"],
            ]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130


def test_a_board_that_trips_takes_no_other_with_it(places: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('schema = "hashbridge.faults/1"\n[[at]]\ns = 14.0\ndo = "trip_rail"\n', encoding="utf-8")
    emulators = [_emulator(places, tmp_path / "a", "--name", "well"),
                 _emulator(places, tmp_path / "b", "--name", "ill", "--script", str(script))]  # fmt: skip
    try:
        ports = [arguments for _, each in emulators for arguments in ("--port", each["control"])]
        code, out, err = _run(places, "run", *ports, "--seconds", "8", "--json")
    finally:
        for emulator, _ in emulators:
            _end(emulator)
    assert code == 7, err
    well, ill = json.loads(out)["boards"]
    assert (well["trips"], well["safe_off_confirmed"]) == ([], True)
    assert well["answers_found"] > 150
    assert [trip["cause"] for trip in ill["trips"]] == ["regulator_off"]
    assert ill["safe_off_confirmed"]
    assert "bitaxe-gamma-2: TRIP regulator_off" in err


def test_what_the_guard_refuses_ends_with_6_and_energises_nothing(places: dict[str, str], tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    emulator, ports = _emulator(places, trace)
    try:
        code, out, err = _run(places, "run", "--port", ports["control"], "--voltage", "1200", "--json")
    finally:
        _end(emulator)
    assert (code, out) == (6, "")
    assert "1.2 V is outside 1 to 1.15 V, which is stock; unlocking goes further" in err
    moves = [line["what"] for line in _trace(trace)]
    assert "fan duty" in moves
    assert "rail on" not in moves
    assert "reset released" not in moves


def test_an_interrupted_power_up_is_made_safe_and_ends_with_130(places: dict[str, str], tmp_path: Path) -> None:
    with _start(places, "run", "--emulate", "bitaxe-gamma", "--json") as process:
        _say(process, " MHz")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert json.loads(out)["safe_off_confirmed"]


def test_a_killed_command_leaves_no_rail_on_and_nothing_behind(places: dict[str, str], tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    emulator, ports = _emulator(places, trace)
    try:
        with _start(places, "run", "--port", ports["control"], "--json") as process:
            _say(process, " MHz")
            killed_ns = time.monotonic_ns()
            process.kill()
        assert until(lambda: _rigs(places) == [], 10.0)
    finally:
        _end(emulator)
    rail = [line for line in _trace(trace) if line["what"] in ("rail on", "rail off")]
    assert [line["what"] for line in rail] == ["rail on", "rail off"]
    assert 0 < rail[-1]["t_ns"] - killed_ns < 2e9


def test_a_killed_command_takes_its_own_emulator_along_once_the_board_is_safe(places: dict[str, str]) -> None:
    with _start(places, "run", "--emulate", "bitaxe-gamma", "--json") as process:
        _say(process, " MHz")
        directory = Path(places["HASHBRIDGE_RUNTIME_DIR"]) / "emulators"
        (sidecar,) = directory.glob("*.json")
        pid = json.loads(sidecar.read_text())["pid"]
        process.kill()
    assert until(lambda: not sidecar.exists() and not _lives(pid), 30.0)


def test_an_emulator_that_dies_in_the_middle_is_a_lost_link_with_a_clear_word(places: dict[str, str]) -> None:
    with _start(places, "run", "--emulate", "bitaxe-gamma", "--json") as process:
        _say(process, " MHz")
        (sidecar,) = (Path(places["HASHBRIDGE_RUNTIME_DIR"]) / "emulators").glob("*.json")
        os.kill(json.loads(sidecar.read_text())["pid"], signal.SIGKILL)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, err
    assert {trip["cause"] for trip in json.loads(out)["trips"]} & {"control_port_lost", "data_port_lost"}
    assert "the emulator died" in err
    assert "could NOT be confirmed" in err


@pytest.mark.parametrize("board", [("bitaxe-gamma",), ("emberone00", "--dialect", "C")], ids=" ".join)
def test_a_killed_rig_is_a_lost_link_and_the_sentinel_s_safe_off_is_the_one_reported(
    board: tuple[str, ...], places: dict[str, str]
) -> None:
    """Confirmed by read-back, so in the dialect that the bridge speaks."""
    with _start(places, "run", "--emulate", *board, "--json") as process:
        _say(process, " MHz")
        (sidecar,) = Path(places["HASHBRIDGE_RUNTIME_DIR"]).glob("rig-*.json")
        os.kill(json.loads(sidecar.read_text())["pid"], signal.SIGKILL)
        killed_s = time.monotonic()
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 5, err
    assert time.monotonic() - killed_s < 10
    assert "the rig process" in err
    assert json.loads(out)["safe_off_confirmed"]
    sidecar.unlink(missing_ok=True)
    sidecar.with_suffix(".sock").unlink(missing_ok=True)
    emulators = Path(places["HASHBRIDGE_RUNTIME_DIR"]) / "emulators"
    assert until(lambda: not any(emulators.iterdir()), 20.0)


def test_a_second_emulator_of_the_same_name_is_told_that_it_is_taken(places: dict[str, str], tmp_path: Path) -> None:
    emulator, _ = _emulator(places, tmp_path / "trace.jsonl")
    try:
        code, _, err = _run(places, "emulate", "bitaxe-gamma")
    finally:
        _end(emulator)
    assert code == 4
    assert "held by another program" in err


def test_an_emulator_ends_without_a_traceback_while_somebody_holds_its_plant_socket(
    places: dict[str, str], tmp_path: Path
) -> None:
    emulator, about = _emulator(places, tmp_path / "trace.jsonl")
    with socket.socket(socket.AF_UNIX) as plant:
        plant.connect(about["plant"])
        plant.sendall(b'{"get": "truth"}\n')
        assert b'"ok": true' in plant.recv(65536)
        emulator.send_signal(signal.SIGTERM)
        _, err = emulator.communicate(timeout=10)
    assert (emulator.returncode, err.splitlines()) == (
        0,
        ["bitaxe-gamma, seed 1, one hash stands for 1; Ctrl+C ends it"],
    )


def test_a_dilution_needs_an_emulator_behind_the_port(places: dict[str, str], tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        path = os.ttyname(slave)
        code, _, err = _run(places, "run", "--port", f"{path},{path}", "--board", "bitaxe-gamma", "--dilution", "2**24")
    finally:
        os.close(master)
        os.close(slave)
    assert code == 2
    assert "only with an emulated board" in err
    emulator, ports = _emulator(places, tmp_path / "trace.jsonl", "--dilution", "256")
    try:
        code, _, err = _run(places, "run", "--port", ports["control"], "--dilution", "2**24")
    finally:
        _end(emulator)
    assert code == 2
    assert "256, which the emulator" in err


def test_a_chip_of_a_running_board_is_capped_and_told_of(places: dict[str, str]) -> None:
    start = ("run", "--emulate", "bitaxe-gt", "--frequency", "450", "--chip-frequency", "1=425", "--json")
    with _start(places, *start) as process:
        try:
            _say(process, "answers")
            code, out, err = _run(places, "set", "--chip", "1", "--frequency", "410", "--note", "weak")
            assert (code, out.splitlines()[1:]) == (
                0,
                ["  chip 1 at 410 MHz at most, now 410.00 MHz, reads 410.00 MHz"],
            ), err
            code, out, err = _run(places, "status")
            assert "chip 1 at 410 MHz at most, now 410.00 MHz, reads 410.00 MHz" in out, err
            code, out, err = _run(places, "set", "--chip", "0", "--frequency", "410")
            assert (code, out, "the last one without a cap, runs at the board's clock" in err) == (6, "", True), err
            code, out, err = _run(places, "set", "--chip", "2", "--uncap", "--dry-run")
            assert (code, out, "chip: 2 is not allowed; allowed: 0 to 1" in err) == (2, "", True), err
            code, out, err = _run(places, "set", "--chip", "1", "--uncap", "--json")
            assert (code, json.loads(out)["caps_mhz"]) == (0, {}), err
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert (json.loads(out)["remarks"], json.loads(out)["caps_mhz"]) == ([], {})


def test_a_running_board_is_moved_on_trial_and_kept_at_a_terminal_alone(places: dict[str, str]) -> None:
    with _start(places, "run", "--emulate", "bitaxe-gamma", "--json") as process:
        try:
            _say(process, "answers")
            code, out, err = _run(places, "profile", "save", "now")
            assert (code, out) == (0, ""), err
            assert "now is saved: 525.00 MHz at 1.150 V" in err
            code, _, err = _run(places, "set", "--frequency", "550", "--dry-run")
            assert (code, "which is stock" in err) == (6, True), err
            code, out, err = _run(places, "set", "--unlock", "range", "--note", "a fan of 60 mm")
            assert (code, "unlocked as far as range" in err) == (0, True), err
            code, _, err = _run(places, "set", "--frequency", "550", "--dry-run")
            assert code == 0, err
            code, out, err = _run(places, "status")
            assert "clock 400.00 (hard) to 625.00 (range) MHz" in out, err
            code, out, err = _run(places, "set", "--frequency", "650", "--dry-run", "--json")
            assert (code, out) == (6, ""), err
            code, out, err = _run(places, "set", "--frequency", "550", "--keep-within", "1", "--note", "try", "--json")
            assert code == 1, err
            assert json.loads(out)["kept"] is False
            assert json.loads(out)["requested"] == {"frequency_mhz": 525.0, "core_v": 1.15}
            line = ("--board", "bitaxe-gamma", "--frequency", "500", "--voltage", "1120", "--note", "in the night")
            assert _run(places, "profile", "save", "quiet", *line)[0] == 0
            master, slave = os.openpty()
            with _start(places, "profile", "load", "quiet", "--keep-within", "60", stdin=slave) as loading:
                os.close(slave)
                _say(loading, "Enter keeps it")
                os.write(master, b"\n")
                out, err = loading.communicate(timeout=PATIENCE_S)
            os.close(master)
            assert loading.returncode == 0, err
            assert "requested 500.00 MHz at 1.120 V" in out
            code, out, _ = _run(places, "profile", "list", "--json")
            assert [profile["name"] for profile in json.loads(out)["profiles"]] == ["now", "quiet"]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _rigs(places: dict[str, str]) -> list[Any]:
    code, out, err = _run(places, "list", "--json")
    assert code == 0, err
    rigs: list[Any] = json.loads(out)["rigs"]
    return rigs
