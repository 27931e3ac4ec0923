"""A rig of two boards on real terminals: its owner sees both, a viewer picks one, and the stop reaches both."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.conftest import FAILED
from tests.scenarios.screen_stage import BOARD, POWER_UP_S, Stage, is_safe
from tests.waiting import until

pytestmark = pytest.mark.real_time
SECOND = f"{BOARD}-2"


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with Stage() as found:
        yield found
        if request.node.stash.get(FAILED, False):
            found.tell()


def test_two_boards_are_started_watched_picked_by_name_stopped_and_told_of(stage: Stage) -> None:
    owner = stage.tui("--emulate", f"{BOARD}*2", "--start", "--record", "wire", columns=80, rows=24)
    hashes = r" +LIVE +\S+ +\S+ +\S+ [TG]H/s"
    owner.wait_for(re.compile(rf"{SECOND}{hashes}"), 2 * POWER_UP_S)  # one after the other
    owner.wait_for(re.compile(rf"{BOARD} {hashes}"))
    plants = [str(path) for path in (stage.runtime / "emulators").glob("*.plant")]
    assert len(plants) == 2
    assert all(stage.truth(plant)["hashing"] for plant in plants)

    wrong = stage.tui("--board", "toaster")
    assert wrong.wait() == 2
    assert f"--board: 'toaster' is not allowed; allowed: one of {BOARD}, {SECOND}" in wrong.said()
    assert wrong.modes == {}, "the terminal was touched"

    viewer = stage.tui("--board", SECOND, columns=80, rows=24)
    viewer.wait_for(f"{SECOND} 2/2")
    viewer.wait_for("Readings")
    viewer.press("0")
    viewer.wait_for("▸ " + SECOND)
    viewer.press("up", "enter")
    viewer.wait_for(f"{BOARD} 1/2")
    viewer.press("0")
    viewer.resize(60, 12)
    viewer.wait_for("▸ " + BOARD)
    viewer.press("ctrl+x")
    assert until(lambda: all(is_safe(stage.truth(plant)) for plant in plants), 20.0)
    viewer.resize(80, 24)
    viewer.wait_for(re.compile(rf"{BOARD}  +SAFE, confirmed"))
    viewer.wait_for(re.compile(rf"{SECOND}  +SAFE, confirmed"))
    viewer.press("escape")
    viewer.wait_gone("esc closes this")
    viewer.press("q")
    assert viewer.wait() == 0

    owner.wait_for("2 SAFE OFF")
    owner.press("q")
    assert owner.wait() == 0
    for name in (BOARD, SECOND):
        assert f"{name}: safe-off confirmed by rig: reset asserted, rail off, fan full" in owner.said()
        assert (stage.directory / "wire" / f"{name}.jsonl").stat().st_size > 10_000
