"""`make suspend-trials` knows a machine that slept from one that did not, and says why it cannot sleep."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from controller.suspend import SuspendDetector
from tests.deaths import suspends
from tests.deaths.field import NeverHashed
from tests.deaths.suspends import NoSleep, Waking, sleep
from tests.waiting import until

pytestmark = pytest.mark.real_time


@pytest.fixture
def rtcwake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of our own, and no other program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "rtcwake"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return path


def test_a_machine_that_came_back_without_a_sleep_is_no_trial(rtcwake: Path) -> None:
    with pytest.raises(NeverHashed, match="rtcwake -m mem came back, but no clock says that the machine slept"):
        sleep("mem", 5)


def test_a_machine_that_cannot_sleep_says_why(rtcwake: Path) -> None:
    rtcwake.write_text("#!/bin/sh\necho rtcwake: unrecognized suspend state \"'$2'\" >&2\nexit 1\n")
    with pytest.raises(NoSleep, match="unrecognized suspend state 'freeze'"):
        sleep("freeze", 5)
    rtcwake.unlink()
    with pytest.raises(NoSleep, match="no rtcwake here"):
        sleep("freeze", 5)


def test_it_woke_when_the_clock_that_counts_sleep_ran_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    began_s = time.monotonic()

    def ahead() -> float:
        now_s = time.monotonic()
        return now_s + (8.0 if now_s - began_s > 0.1 else 0.0)

    monkeypatch.setattr(suspends, "SuspendDetector", lambda: SuspendDetector(time.monotonic, ahead))
    with Waking().looking() as waking:
        assert until(lambda: waking.woke_s is not None)
    assert waking.slept_s == pytest.approx(8.0, abs=0.05)
    assert waking.woke_s is not None
    assert waking.woke_s - began_s >= 0.1
