"""A short campaign in every run of the tests; the long one is `make campaign`."""

from __future__ import annotations

import pytest

from tests.campaign.judge import judge
from tests.campaign.life import live
from tests.campaign.scenario import scenario
from tests.campaign.subject import LEASED

SEED = 7
MINUTES = 2.0


@pytest.mark.parametrize("index", range(40))
def test_no_scenario_of_the_short_campaign_breaks_a_promise(index: int) -> None:
    told = scenario(SEED, index, MINUTES)
    assert judge(told, live(told)).failures == ()


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("board", ["bitaxe-gt", "bitaxe-hex", "bitaxe-max", "bitaxe-ultra-205", "emberone00", LEASED])
def test_nor_does_one_of_a_board_of_another_kind(board: str, index: int) -> None:
    told = scenario(SEED, index, MINUTES, board)
    assert judge(told, live(told)).failures == ()


def test_a_scenario_that_is_lived_twice_is_the_same_to_the_last_event() -> None:
    told = scenario(SEED, 5, MINUTES)
    assert live(told).digest == live(scenario(SEED, 5, MINUTES)).digest


@pytest.mark.parametrize(
    ("seed", "index"),
    [
        (3, 130),  # a move that began beside a safe-off
        (4, 7),  # a ramp through clocks that the PLL does not have
        (5, 8),  # a control port that was back before anybody said that it was gone
        (5, 16),  # two moves, up and down, taken for one step that the die did not follow
    ],
)
def test_what_long_campaigns_have_found_stays_found(seed: int, index: int) -> None:
    told = scenario(seed, index, 10.0, by_itself=False)
    assert judge(told, live(told)).failures == ()
