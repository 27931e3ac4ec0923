"""The test harness itself: a suite that cannot fail proves nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.errors import Nack
from emulator.virtual_time import VirtualTimeLoop
from tests.fakes import BusLog, PinLog

ROOT = Path(__file__).parents[2]

SUITE = """
import asyncio
import pytest


async def test_fails(): assert await asyncio.sleep(3600, 1) == 2


async def test_deadlock(): await asyncio.Event().wait()


async def test_callback():
    def broken(): raise KeyError("lost callback")
    asyncio.get_running_loop().call_soon(broken)
    await asyncio.sleep(1)


async def test_passes(seed): assert seed == 7


async def test_chance(seed): assert False


@pytest.mark.hil
async def test_rig(): pass


@pytest.mark.soak
async def test_days(): pass
"""


def run(directory: Path, *options: str) -> tuple[int, str]:
    (directory / "test_inner.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    where = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(directory), str(directory / "test_inner.py")]
    done = subprocess.run(
        [*command, *where, *options], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_failures_deadlocks_and_lost_errors_fail_a_test_and_the_seed_is_printed(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--hb-seed=7")
    assert code == 1
    assert "4 failed, 1 passed, 2 skipped" in said
    assert "Deadlock: at 0.000000 s nothing is ready and nothing is scheduled" in said
    assert "lost callback" in said
    assert "again with --hb-seed=7" in said
    assert "needs a real rig: --hb-target=hw" in said
    assert "long: --hb-soak" in said


def test_hardware_and_long_tests_run_when_asked_for(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--hb-target=hw", "--hb-soak", "-k", "rig or days")
    assert (code, "2 passed" in said) == (0, True), said


def test_asking_for_hardware_and_choosing_no_hardware_test_is_an_error(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--hb-target=hw", "-k", "passes")
    assert code != 0
    assert "none of the chosen tests is a hil test" in said


async def test_a_coroutine_test_runs_in_virtual_time() -> None:
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


@pytest.mark.real_time
async def test_a_real_time_test_runs_on_a_real_clock() -> None:
    assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


# --- the shared fakes ---


async def test_the_bus_fake_answers_from_its_table_and_keeps_what_was_written() -> None:
    bus = BusLog({0xAD: "06 54", 0x20: ["97", "17"], (0x4C, 0x00): "19", 0x79: Nack(0x24, "no")})
    assert await bus.write_read(0x24, b"\xad", 2) == b"\x06\x54"
    assert [await bus.write_read(0x24, b"\x20", 1) for _ in range(3)] == [b"\x97", b"\x17", b"\x17"]
    await bus.write(0x24, b"\x21\x66\x02")
    await bus.write(0x4C, b"\x00")
    assert await bus.read(0x4C, 1) == b"\x19"
    for command in (b"\x79", b"\x55"):
        with pytest.raises(Nack):
            await bus.write_read(0x24, command, 1)
    assert bus.written == ["24 21 66 02", "4c 00"]
    assert bus.log[-2:] == ["4c 00", "4c > 19"]
    bus.absent.add(0x4C)
    with pytest.raises(Nack):
        await bus.write(0x4C, b"\x00")


async def test_a_bus_fake_with_registers_reads_back_what_was_written() -> None:
    bus = BusLog({0x24: "00 00"}, registers=True)
    await bus.write(0x24, b"\x24\x66\x02")
    assert await bus.write_read(0x24, b"\x24", 2) == b"\x66\x02"


async def test_the_pin_fake_reads_back_its_last_level() -> None:
    pin = PinLog(high=True)
    assert await pin.get() is True
    await pin.set(False)
    assert (await pin.get(), pin.sets) == (False, [False])
