"""The examples do what they say: their bodies in virtual time, the programs themselves on pseudo-terminals."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from controller.cli.exits import Exit, script
from controller.emulators import child_environment
from controller.library import AsyncRig
from controller.model import GuardState, PointKept, PointPending
from drivers.errors import Latched, Refused
from emulator.benches import BenchSettings
from emulator.physics import PlantSettings
from examples.hold_a_point import hold_a_point
from examples.sweep_five_points import POINTS, sweep
from examples.watch_to_csv import CHANNELS, watch_to_csv
from tests.scenarios.blocking import blocking_stand
from tests.scenarios.gamma import stand

ROOT = Path(__file__).parents[2]
MAX_LINES = 70


def example(place: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    places = {"HASHBRIDGE_RUNTIME_DIR": str(place / "r"), "HASHBRIDGE_STATE_DIR": str(place / "s")}
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        env={**child_environment(), **places},
        capture_output=True,
        text=True,
        timeout=90.0,
        check=False,
    )


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short enough for sockets."""
    return tmp_path_factory.mktemp("hb")


def test_an_example_fits_on_a_page() -> None:
    found = {path.name: path.read_text().count("\n") for path in (ROOT / "examples").glob("*.py")}
    assert len(found) == 3
    assert all(lines < MAX_LINES for lines in found.values()), found


# --- in virtual time --------------------------------------------------------------------------------------------------


def test_watching_writes_a_line_a_snapshot_and_leaves_empty_what_is_unknown() -> None:
    with blocking_stand() as (rig, s):
        s.bench.faults.nak("emc2101")
        out = io.StringIO()
        lines = watch_to_csv(rig, out, 10.0)
    header, *rows = csv.reader(io.StringIO(out.getvalue()))
    assert header == ["utc", "board", "state", *CHANNELS]
    assert len(rows) == lines
    assert 48 <= lines <= 51
    last = dict(zip(header, rows[-1], strict=True))
    assert last["state"] in set(GuardState)
    assert last["chip_c"] == ""
    assert float(last["vr_c"]) > 20.0


async def test_a_point_is_held_until_the_time_is_over_and_moved_to_when_the_board_runs() -> None:
    async with stand() as s:
        rig = AsyncRig(s.rig)
        held = await hold_a_point(rig, 500.0, 1.10, 20.0, 65.0)
        assert (held.reason, held.last.point.requested.frequency_mhz) == (None, 500.0)
        held = await hold_a_point(rig, 600.0, 1.20, 5.0, 65.0)
        assert held.last.point.requested.frequency_mhz == 600.0


async def test_a_hold_stops_with_the_temperature_when_the_die_is_too_warm() -> None:
    async with stand(BenchSettings(plant=PlantSettings(ambient_c=32.0))) as s:
        held = await hold_a_point(AsyncRig(s.rig), 600.0, 1.25, 3600.0, 55.0)
        assert held.reason is not None
        assert re.fullmatch(r"the die is at 5[5-9]\.\d C", held.reason)
        assert held.elapsed_s < 600.0


def test_a_sweep_measures_five_points_each_on_trial_and_then_kept() -> None:
    with blocking_stand(BenchSettings(dilution=1 << 29)) as (rig, s):
        rows = sweep(rig, 20.0)
        assert [row[:2] for row in rows] == list(POINTS)
        for frequency_mhz, _, rate_ths, power_w, energy in rows:
            assert rate_ths == pytest.approx(frequency_mhz * 2040 / 1e6, rel=0.1)
            assert power_w is not None
            assert rate_ths is not None
            assert energy == pytest.approx(power_w / rate_ths)
        assert [row[3] for row in rows] == sorted(row[3] or 0.0 for row in rows)
        assert len(s.find(PointPending)) == len(s.find(PointKept)) == 5
        assert rig.read().pending is None


# --- as programs ------------------------------------------------------------------------------------------------------


@pytest.mark.real_time
def test_watch_to_csv_is_a_program(place: Path) -> None:
    path = place / "readings.csv"
    ended = example(place, "watch_to_csv.py", str(path), "--emulate", "bitaxe-gamma", "--seconds", "2")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{len(path.read_text().splitlines()) - 1} lines\n"
    again = example(place, "watch_to_csv.py", str(path))
    assert (again.returncode, again.stdout) == (Exit.USAGE, "")
    assert "a file that does not exist yet" in again.stderr
    none = example(place, "watch_to_csv.py", str(place / "other.csv"))
    assert none.returncode == Exit.NOT_FOUND
    assert "none runs" in none.stderr


@pytest.mark.real_time
def test_hold_a_point_is_a_program(place: Path) -> None:
    at = ("--emulate", "bitaxe-gamma", "--frequency", "400", "--voltage")
    ended = example(place, "hold_a_point.py", *at, "1000", "--seconds", "2")
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"held for 2\.\d s: the time is over\n", ended.stdout)
    refused = example(place, "hold_a_point.py", *at, "1400")
    assert refused.returncode == Exit.USAGE
    assert "core_v: 1.4 is not allowed; allowed: 1 to 1.35 V" in refused.stderr


@pytest.mark.real_time
def test_sweep_five_points_is_a_program(place: Path) -> None:
    ended = example(place, "sweep_five_points.py", "--emulate", "bitaxe-gamma", "--seconds", "2")
    assert ended.returncode == 0, ended.stderr
    header, *rows = (line.split() for line in ended.stdout.splitlines())
    assert header == ["MHz", "V", "TH/s", "W", "J/TH"]
    assert [float(row[0]) for row in rows] == [point[0] for point in POINTS]
    assert all(0.7 < float(row[2]) < 1.5 for row in rows)


# --- how a program ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (None, 0, ""),
        (Refused("envelope", "too much"), 6, "hashbridge: refused: envelope: too much\n"),
        (Latched("fan", "0 rpm"), 7, "hashbridge: tripped: fan: 0 rpm\n"),
        (FileNotFoundError("x"), 3, "hashbridge: not found: x\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_script_ends_as_a_verb_does(
    error: BaseException | None, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> int:
        if error is not None:
            raise error
        return Exit.OK

    with pytest.raises(SystemExit) as ended:
        script(main)
    assert ended.value.code == code
    assert capsys.readouterr().err == says
