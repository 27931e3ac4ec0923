"""Any program can use the emulated board: here one that knows nothing of this project but two paths."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real_time

SERVER = "import sys; from emulator.serve import main; sys.exit(main(sys.argv[1:]))"
SCRIPT = """
import sys
import serial

control = serial.Serial(sys.argv[1], 115200, timeout=1)
data = serial.Serial(sys.argv[2], 115200, timeout=1)

def ask(request, reply_bytes):
    control.write(bytes.fromhex(request))
    return control.read(reply_bytes).hex(" ")

print("release", ask("07 00 01 00 06 00 01", 4))
print("volts", ask("0A 00 02 00 05 20 24 21 4D 02", 4))
print("on", ask("09 00 03 00 05 20 24 01 80", 4))
while int.from_bytes(bytes.fromhex(ask("09 00 08 00 05 40 24 8B 02", 5))[3:5], "little") < 500:
    pass  # the rail rises: its read-back says when it stands
print("reset", ask("07 00 04 00 06 00 00", 4), "/", ask("07 00 05 00 06 00 01", 4))
chip = b""
while len(chip) < 9:  # one that is not out of its reset yet says nothing
    data.write(bytes.fromhex("55 AA 52 05 00 00 0A"))
    chip = data.read(9)
print("chip", chip.hex(" "))
vout = bytes.fromhex(ask("09 00 06 00 05 40 24 8B 02", 5))
print("regulator", vout[2], int.from_bytes(vout[3:5], "little") / 512)
print("identity", ask("09 00 07 00 05 40 24 AD 07", 10))
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[dict[str, Any]]:
    directory = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, "bitaxe-gamma", str(directory), "emu-0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the emulator did not start"
    yield {**json.loads(line), "process": process, "directory": directory}
    if process.poll() is None:
        process.terminate()
    process.wait(timeout=10)
    process.stdout.close()


def plant(served: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(served["plant"])
        line.sendall(json.dumps(request).encode() + b"\n")
        with line.makefile() as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
    return answer


def test_a_plain_serial_script_enumerates_the_chip_and_reads_the_regulator(served: dict[str, Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, served["control"], served["data"]],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr
    assert said["release"] == "01 00 01 01"
    assert said["on"] == "01 00 03 02"
    assert said["chip"] == "aa 55 13 70 00 00 00 00 06"
    ident, volts = said["regulator"].split()
    assert ident == "6"
    assert float(volts) == pytest.approx(1.150 - 0.025, abs=0.006)
    assert said["identity"] == "07 00 07 06 54 49 54 6d 24 41"


def test_the_plant_socket_tells_the_truth_and_takes_faults(served: dict[str, Any]) -> None:
    truth = plant(served, {"get": "truth"})
    assert truth["ok"]
    assert truth["truth"]["rail_on"] is False
    assert truth["truth"]["reset_asserted"] is True
    assert plant(served, {"set": {"ambient_c": 31.5}}) == {"ok": True}
    assert plant(served, {"do": "nak", "part": "emc2101"}) == {"ok": True}
    assert plant(served, {"get": "truth"})["truth"]["ambient_c"] == 31.5
    assert plant(served, {"do": "explode"})["ok"] is False
    assert plant(served, {"set": {"gravity": 1}})["ok"] is False
    assert plant(served, {"set": {"ambient_c": "warm"}})["ok"] is False
    assert plant(served, {"get": "counters"})["chips"][0]["jobs"] == 0


def test_an_unplugged_port_vanishes_and_comes_back_under_the_same_path(served: dict[str, Any]) -> None:
    path = Path(served["control"])
    before = os.readlink(path)
    held = os.open(path, os.O_RDWR | os.O_NOCTTY)  # keeps the old number taken, as a program that hangs on would
    assert plant(served, {"do": "unplug_control"}) == {"ok": True}
    assert not path.is_symlink()
    assert plant(served, {"do": "replug_control"}) == {"ok": True}
    assert path.is_symlink()
    assert os.readlink(path) != before
    os.close(held)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_published_is_left_behind(served: dict[str, Any], number: signal.Signals) -> None:
    directory = served["directory"]
    assert directory.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in directory.iterdir()) == [
        "emu-0-control",
        "emu-0-data",
        "emu-0.json",
        "emu-0.plant",
    ]
    served["process"].send_signal(number)
    assert served["process"].wait(timeout=10) == 0
    assert list(directory.iterdir()) == []


def test_an_emulator_whose_owner_died_stays_while_a_program_has_its_ports_open(tmp_path: Path) -> None:
    source = (
        "import asyncio, sys; from pathlib import Path; from emulator import serve\n"
        "serve.ORPHAN_QUIET_S = 0.6\n"
        "asyncio.run(serve.main_async('bitaxe-gamma', Path(sys.argv[1]), owner_fd=int(sys.argv[2]),"
        " on_ready=lambda served: print('ready', flush=True)))"
    )
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", source, str(tmp_path), str(reading)],
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(reading,),
    )
    os.close(reading)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    held = os.open(tmp_path / "bitaxe-gamma-control", os.O_RDWR | os.O_NOCTTY)
    os.close(writing)
    time.sleep(1.5)  # more than twice the quiet after which it would leave; that it stays can only be waited for
    assert process.poll() is None, "left although a program held a port"
    os.close(held)
    assert process.wait(timeout=10) == 0
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []
