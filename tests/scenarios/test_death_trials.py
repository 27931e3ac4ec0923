"""Whoever dies or freezes, the board ends safe: SIGKILL, SIGSTOP and a busy loop of the rig, its client, its sentinel.

Ten trials of each kind run side by side (tests/deaths/); the tests below look at what came of them. `make death-trials`
makes more of them.
"""

from __future__ import annotations

import pytest

from controller.model import Cause, FaultLatched, GuardState, Note, SafeOffDone, StateChanged
from tests.deaths.field import LIMIT_S, MOVES_OF_SAFE_OFF, Trial, stripped
from tests.deaths.report import line
from tests.deaths.trials import run

pytestmark = [pytest.mark.real_time, pytest.mark.alone]

TRIALS = 10
OTHERS = 2
"""Of the rarer ways to go."""
WITHIN_S = 240.0


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Trial]]:
    results = run(tmp_path_factory.mktemp("trials"), TRIALS, OTHERS, WITHIN_S)
    for kind, found in results.items():
        print(line(kind, found).text)
    return results


# --- what is promised ------------------------------------------------------------------------------------------------


def test_a_killed_rig_leaves_a_safe_board_behind_within_two_seconds_of_its_last_beat(
    trials: dict[str, list[Trial]],
) -> None:
    assert len(trials["rig killed"]) == TRIALS
    for trial in trials["rig killed"]:
        assert trial.since_beat_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        assert trial.facts["confirmed"] is True


def test_a_frozen_rig_is_fenced_off_and_the_board_safe_within_two_seconds_of_its_last_beat(
    trials: dict[str, list[Trial]],
) -> None:
    assert len(trials["rig stopped"]) == TRIALS
    for trial in trials["rig stopped"]:
        assert trial.facts["why"].startswith("no beat for 1.0")
        assert 1.0 < trial.since_beat_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        assert trial.facts["confirmed"] is True


def test_a_rig_whose_event_loop_never_runs_again_is_fenced_off_as_well(trials: dict[str, list[Trial]]) -> None:
    assert len(trials["rig busy"]) == TRIALS
    for trial in trials["rig busy"]:
        assert trial.facts["why"].startswith("no beat for 1.0")
        assert 1.0 < trial.since_beat_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        assert trial.facts["confirmed"] is True


def test_a_rig_that_wakes_up_after_the_fence_writes_not_a_byte(trials: dict[str, list[Trial]]) -> None:
    for trial in trials["rig stopped"]:
        assert trial.facts["control"] == []
        assert trial.facts["control at the end"] == []
        assert trial.facts["data"] == []
        assert trial.facts["moves"] == []


def test_a_rig_that_wakes_up_knows_that_it_was_fenced_off_and_that_the_board_is_safe(
    trials: dict[str, list[Trial]],
) -> None:
    for trial in trials["rig stopped"]:
        faults = [event for event in trial.facts["events"] if isinstance(event, FaultLatched)]
        assert [fault.cause for fault in faults] == [Cause.SENTINEL_LOST]
        assert trial.facts["last"].by == "sentinel"
        assert trial.facts["last"].confirmed


def test_the_freeze_of_a_client_changes_nothing(trials: dict[str, list[Trial]]) -> None:
    assert len(trials["client killed"]) == TRIALS
    for trial in trials["client killed"]:
        assert trial.facts["hashing while stopped"]
        assert trial.facts["moves while stopped"] == []


def test_the_death_of_a_client_ends_its_rig_in_order(trials: dict[str, list[Trial]]) -> None:
    for trial in trials["client killed"]:
        assert trial.since_strike_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        assert trial.facts["rig ended"]
        assert trial.facts["sentinel ended"]
        assert not trial.facts["report"], "the sentinel was to be released, not to play its recipe"


@pytest.mark.parametrize(("kind", "at_least_s"), [("sentinel killed", 0.0), ("sentinel stopped", 0.8)])
def test_a_rig_without_its_sentinel_takes_the_port_and_makes_safe(
    trials: dict[str, list[Trial]], kind: str, at_least_s: float
) -> None:
    assert len(trials[kind]) == TRIALS
    for trial in trials[kind]:
        assert at_least_s < trial.since_strike_s < LIMIT_S
        assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
        events = trial.facts["events"]
        # A loaded machine may notice the silent bus before it gives up the sentinel; it is named all the same.
        causes = [event.cause for event in events if isinstance(event, FaultLatched)]
        named = [event.text for event in events if isinstance(event, Note) and Cause.SENTINEL_LOST.value in event.text]
        assert Cause.SENTINEL_LOST in causes or (causes == [Cause.SENSOR_BUS] and named)
        reports = [event.report for event in events if isinstance(event, SafeOffDone)]
        assert reports[-1].confirmed
        assert reports[-1].by == "rig"


def test_a_control_port_that_vanishes_stops_the_hashing_and_is_safe_when_it_returns(
    trials: dict[str, list[Trial]],
) -> None:
    assert len(trials["control unplugged"]) == TRIALS
    for trial in trials["control unplugged"]:
        _check_unplugged(trial)


def _check_unplugged(trial: Trial) -> None:
    assert trial.facts["hashing stopped after"] < 1.0
    assert trial.facts["unplugged"]["rail_on"], "without a control port nobody can switch the rail"
    assert not trial.facts["unplugged"]["hashing"]
    states = [event.after for event in trial.facts["events"] if isinstance(event, StateChanged)]
    assert GuardState.UNPROTECTED in states
    assert trial.since_strike_s < 1.0
    assert stripped(trial.moves) == MOVES_OF_SAFE_OFF
    assert not trial.facts["safe"]["rail_on"]
    assert trial.facts["safe"]["reset_asserted"]
    back = [
        event for event in trial.facts["events"] if isinstance(event, SafeOffDone) and event.report.by == "sentinel"
    ]
    assert back
    assert back[0].report.confirmed


def test_a_rig_that_is_told_to_end_makes_safe_and_exits_with_zero(trials: dict[str, list[Trial]]) -> None:
    (trial,) = trials["rig terminated"]
    assert trial.facts["exit"] == 0
    assert trial.facts["goodbye"] == "signal SIGTERM"
    assert trial.facts["last"].confirmed
    assert trial.since_strike_s < LIMIT_S


@pytest.mark.parametrize("kind", ["out of memory", "disk full", "logged out", "both killed"])
def test_the_rarer_ways_to_go_keep_their_promise_too(trials: dict[str, list[Trial]], kind: str) -> None:
    assert len(trials[kind]) == OTHERS
    assert line(kind, trials[kind]).broken == ()
