"""A screen that is not read, frozen or killed is no matter of the rig's, but for the one thing that it does then.

Everything is a process here: the screen on a terminal, the rig, the sentinel, the emulated board. Judged by counts, by
order, and by the one bound that safety knows: a sentinel fires after 1.0 s without a beat, and a board whose owner is
gone is off within 2 s.
"""

from __future__ import annotations

import pytest

from tests.scenarios.screen_stage import MOVES_OF_SAFE_OFF, Stage
from tests.scenarios.screen_trials import FROZEN_S, SWEEP_S, UNREAD_S, Outcome, misfortunes

pytestmark = [pytest.mark.real_time, pytest.mark.alone]

BEAT_LIMIT_S = 1.0
OFF_LIMIT_S = 2.0
MISFORTUNES = {"unread": UNREAD_S, "frozen": FROZEN_S}


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    with Stage() as stage:
        found = misfortunes(stage)
    for name, phase in found.phases.items():
        print(f"{name}: {phase.figures()}")
    print(f"rail off {found.rail_off_ms:.0f} ms after the kill")
    return found


def test_the_misfortunes_were_real(outcome: Outcome) -> None:
    assert outcome.full, "a terminal that is not read fills up"
    assert outcome.stopped


@pytest.mark.parametrize("which", MISFORTUNES)
def test_a_rig_goes_on_polling_while_its_screen_stands_still(outcome: Outcome, which: str) -> None:
    phase = outcome.phases[which]
    assert max(phase.gaps_s) < BEAT_LIMIT_S
    # Late sweeps are fewer; half of them is what a machine may owe that is lent to others for as long.
    assert len(phase.gaps_s) > 0.5 * MISFORTUNES[which] / SWEEP_S


@pytest.mark.parametrize("which", MISFORTUNES)
def test_a_board_stays_live_while_its_screen_stands_still(outcome: Outcome, which: str) -> None:
    happened = outcome.between(outcome.phases[which])
    assert not {"state_changed", "fault_latched", "safe_off_done", "work_stopped"} & set(happened), happened
    assert outcome.moves_since(outcome.phases[which].from_s)[0]["t_ns"] > outcome.killed_s * 1e9


@pytest.mark.parametrize("which", MISFORTUNES)
def test_a_screen_that_goes_on_shows_the_present_and_has_lost_no_event(outcome: Outcome, which: str) -> None:
    on_screen, in_journal = outcome.counted[which]
    assert on_screen == in_journal > 0


def test_a_killed_screen_takes_its_board_to_safe_off_by_name_of_owner_lost(outcome: Outcome) -> None:
    moves = [move["what"] for move in outcome.moves_since(outcome.killed_s)]
    assert moves == MOVES_OF_SAFE_OFF
    assert outcome.rail_off_ms < OFF_LIMIT_S * 1000.0
    (fault,) = [event for event in outcome.events if event["kind"] == "fault_latched"]
    assert fault["cause"] == "owner_lost"
    (done,) = [event["report"] for event in outcome.events if event["kind"] == "safe_off_done"][1:]
    assert done["confirmed"]
    assert "the owner is gone" in outcome.rig_log
