"""The directories of a rig belong to one user, and what dead rigs leave behind is swept up."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from controller import paths
from controller.suspend import SuspendDetector
from drivers.errors import UsageError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("HASHBRIDGE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HASHBRIDGE_CONFIG_DIR", str(tmp_path / "config"))


def test_the_directories_are_made_for_their_user_alone(tmp_path: Path) -> None:
    for path in (paths.runtime_dir(), paths.state_dir(), paths.config_dir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert paths.runtime_dir() == tmp_path / "run"


def test_a_directory_that_others_may_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    assert stat.S_IMODE(paths.runtime_dir().stat().st_mode) == 0o700


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths.runtime_dir()
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with pytest.raises(UsageError, match=f"not of {own}"):
        paths.runtime_dir()


def test_a_link_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "far")
    with pytest.raises(UsageError, match="not a file or a link"):
        paths.runtime_dir()


def test_running_rigs_are_listed_and_dead_ones_swept_up() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    paths.write_sidecar(dead.pid, ("old",), "2026-01-01T00:00:00Z")
    paths.socket_path(dead.pid).touch()
    paths.write_sidecar(os.getpid(), ("gamma",), "2026-01-02T00:00:00Z")
    paths.sidecar_path(99999999).write_text("not json")
    assert [(rig.pid, rig.boards) for rig in paths.list_rigs()] == [(os.getpid(), ("gamma",))]
    assert paths.list_rigs()[0].socket == paths.socket_path(os.getpid())
    assert sorted(path.name for path in paths.runtime_dir().iterdir()) == [f"rig-{os.getpid()}.json"]


class Clocks:
    def __init__(self) -> None:
        self.monotonic_s, self.boottime_s = 100.0, 250.0

    def run(self, seconds: float, *, asleep: bool = False) -> None:
        self.boottime_s += seconds
        self.monotonic_s += 0.0 if asleep else seconds


def test_a_suspend_is_noticed_once_and_a_long_wait_is_none() -> None:
    clocks = Clocks()
    detector = SuspendDetector(lambda: clocks.monotonic_s, lambda: clocks.boottime_s)
    clocks.run(3600.0)
    assert detector.check() is None
    clocks.run(42.0, asleep=True)
    assert detector.check() == 42.0
    assert detector.check() is None


def test_clocks_that_drift_a_little_are_no_suspend() -> None:
    clocks = Clocks()
    detector = SuspendDetector(lambda: clocks.monotonic_s, lambda: clocks.boottime_s)
    for _ in range(100):
        clocks.run(0.4, asleep=True)
        assert detector.check() is None


def test_without_a_boottime_clock_nothing_is_claimed() -> None:
    assert SuspendDetector(lambda: 1.0, lambda: None).check() is None
