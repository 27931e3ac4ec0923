"""How long the emulator's process waited for a processor: read from a file of the system, or from one of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.ports import waiting
from emulator.ports.waiting import CpuWait, cpu_wait


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "schedstat"
    path.write_text("1000000 5000000 7\n")
    monkeypatch.setattr(waiting, "_PATH", str(path))
    return path


def test_a_lap_is_what_was_waited_since_the_one_before(count: Path) -> None:
    wait = CpuWait()
    assert wait.lap_s() == 0.0
    count.write_text("2000000 8000000 8\n")
    assert wait.lap_s() == pytest.approx(0.003)
    assert wait.lap_s() == 0.0


def test_a_lap_is_bounded_and_never_negative(count: Path) -> None:
    wait = CpuWait()
    count.write_text("2000000 99000000000 8\n")
    assert wait.lap_s() == waiting.LONGEST_S
    count.write_text("2000000 0 8\n")
    assert wait.lap_s() == 0.0


@pytest.mark.parametrize("text", ["", "no numbers here"])
def test_a_system_that_counts_otherwise_reads_as_no_wait(count: Path, text: str) -> None:
    wait = CpuWait()
    count.write_text(text)
    assert wait.lap_s() == 0.0
    assert wait.lap_s() == 0.0


def test_a_system_without_the_count_reads_as_no_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PATH", str(tmp_path / "absent"))
    assert CpuWait().lap_s() == 0.0


def test_all_ports_of_a_process_share_one_count() -> None:
    assert cpu_wait() is cpu_wait()
