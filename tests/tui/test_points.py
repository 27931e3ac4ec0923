"""The history of points: what each event makes of the changes before it."""

from __future__ import annotations

import pytest

from controller.model import (
    GuardState,
    OperatingPoint,
    PointKept,
    PointReverted,
    PowerUp,
    Remark,
    SetOperatingPoint,
    StartWork,
    StepApplied,
)
from controller.tui.points import Fate, Points
from tests.tui.recorded import Run
from tests.tui.telling import MORE, MOST, STOCK, Teller

SET = SetOperatingPoint(frequency_mhz=550.0, note="a little more")


def points_of(tell: Teller) -> Points:
    points = Points()
    for event in tell.told:
        points.take(event)
    return points


def fates(points: Points) -> list[tuple[OperatingPoint | None, Fate]]:
    return [(change.point, change.fate) for change in points.changes]


@pytest.fixture
def tell() -> Teller:
    """A board that was powered up to stock."""
    tell = Teller()
    tell.accepted(PowerUp(), STOCK)
    tell.state(GuardState.SAFE_OFF, GuardState.STARTING)
    tell.state(GuardState.STARTING, GuardState.LIVE)
    return tell


def test_a_power_up_is_asked_and_kept_once_the_board_is_live() -> None:
    tell = Teller()
    tell.accepted(PowerUp(note="first light"), STOCK)
    asked = points_of(tell)
    assert fates(asked) == [(STOCK, Fate.ASKED)]
    assert [*asked.kept()] == []
    tell.state(GuardState.STARTING, GuardState.LIVE)
    points = points_of(tell)
    assert fates(points) == [(STOCK, Fate.KEPT)]
    assert [*points.kept()] == [STOCK]
    assert points.changes[0].note == "first light"


def test_a_change_on_trial_is_none_of_the_kept_points_until_it_is_kept(tell: Teller) -> None:
    tell.accepted(SET, MORE)
    tell.pending(MORE, STOCK)
    points = points_of(tell)
    assert fates(points) == [(STOCK, Fate.KEPT), (MORE, Fate.TRIAL)]
    assert [*points.kept()] == [STOCK]
    tell(PointKept, point=MORE, why="kept")
    points = points_of(tell)
    assert fates(points) == [(STOCK, Fate.KEPT), (MORE, Fate.KEPT)]
    assert [*points.kept()] == [MORE, STOCK]


def test_a_change_that_goes_back_leaves_the_point_it_went_back_to(tell: Teller) -> None:
    tell.accepted(SET, MORE)
    tell.pending(MORE, STOCK)
    tell(PointReverted, left=MORE, point=STOCK, why="not kept within 10 s")
    points = points_of(tell)
    assert fates(points) == [(STOCK, Fate.KEPT), (MORE, Fate.REVERTED), (STOCK, Fate.KEPT)]
    assert points.changes[-1].note == "back: not kept within 10 s"
    assert [*points.kept()] == [STOCK]


@pytest.mark.parametrize("after", [GuardState.SAFE_OFF, GuardState.LATCHED, GuardState.UNPROTECTED])
def test_a_stop_ends_what_was_on_trial_and_leaves_what_was_kept(tell: Teller, after: GuardState) -> None:
    tell.accepted(SET, MORE)
    tell.pending(MORE, STOCK)
    tell.state(GuardState.LIVE, after)
    assert fates(points_of(tell)) == [(STOCK, Fate.KEPT), (MORE, Fate.ENDED)]
    tell.state(after, GuardState.SAFE_OFF)
    assert fates(points_of(tell)) == [(STOCK, Fate.KEPT), (MORE, Fate.ENDED)]


def test_a_remark_between_change_and_stop_does_not_save_the_change(tell: Teller) -> None:
    tell.accepted(SET, MORE)
    tell.pending(MORE, STOCK)
    tell(Remark, text="smells warm")
    tell.state(GuardState.LIVE, GuardState.SAFE_OFF)
    assert fates(points_of(tell)) == [(STOCK, Fate.KEPT), (MORE, Fate.ENDED), (None, Fate.KEPT)]


def test_of_changes_on_trial_one_after_the_other_only_the_last_is_kept_and_all_go_back(tell: Teller) -> None:
    for point in (MORE, MOST):
        tell.accepted(SET, point)
        tell.pending(point, STOCK)
    undecided = len(tell.told)
    tell(PointKept, point=MOST, why="kept")
    assert fates(points_of(tell)) == [(STOCK, Fate.KEPT), (MORE, Fate.ENDED), (MOST, Fate.KEPT)]
    del tell.told[undecided:]
    tell(PointReverted, left=MOST, point=STOCK, why="asked for")
    assert [fate for _, fate in fates(points_of(tell))] == [Fate.KEPT, Fate.REVERTED, Fate.REVERTED, Fate.KEPT]


def test_a_later_power_up_leaves_what_an_earlier_one_came_to(tell: Teller) -> None:
    tell.state(GuardState.LIVE, GuardState.SAFE_OFF)
    tell.accepted(PowerUp(), MORE)
    tell.state(GuardState.STARTING, GuardState.LATCHED)
    assert fates(points_of(tell)) == [(STOCK, Fate.KEPT), (MORE, Fate.ENDED)]


def test_the_same_point_kept_twice_is_one_of_the_kept_points(tell: Teller) -> None:
    for point in (STOCK, MORE, MORE, MOST):
        tell.accepted(SET, point)
        tell(PointKept, point=point, why="made to stay")
    assert [*points_of(tell).kept()] == [MOST, MORE, STOCK]


def test_what_moves_no_point_is_no_change(tell: Teller) -> None:
    before = points_of(tell)
    tell.accepted(StartWork(work="pattern"))
    tell(StepApplied, step="core_voltage", detail="1.160 V")
    assert points_of(tell) == before


def test_the_recorded_run_keeps_two_points_and_takes_one_back(run: Run) -> None:
    points = Points()
    for event in run.items.events:
        points.take(event)
    stock = OperatingPoint(frequency_mhz=525.0, core_v=1.150)
    kept = OperatingPoint(frequency_mhz=550.0, core_v=1.170)
    assert [*points.kept()] == [kept, stock]
    assert [change.fate for change in points.changes] == [
        Fate.KEPT,  # power-up
        Fate.KEPT,  # the remark
        Fate.KEPT,
        Fate.REVERTED,
        Fate.KEPT,  # back
    ]
