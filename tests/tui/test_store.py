"""What the screens know of a rig, by a clock that the test moves."""

from __future__ import annotations

import math

import pytest

from controller.model import BoardInfo, OperatingPoint, PendingPoint, Quality, Reading
from controller.tui.store import RECENT_S, SLOW_STALE_S, RigStore
from drivers.boards.board import Channel
from tests.tui.driving import StillClock
from tests.tui.recorded import Run
from tests.tui.telling import STOCK, Teller, board, snapshot, work


@pytest.fixture
def info(run: Run) -> BoardInfo:
    return run.info


@pytest.fixture
def clock() -> StillClock:
    return StillClock(100.0)


@pytest.fixture
def store(clock: StillClock, info: BoardInfo) -> RigStore:
    """Joined to a rig of one board, whose time is 50 s behind the screen's."""
    store = RigStore(clock)
    store.joined((info,))
    return store


# --- ages -------------------------------------------------------------------------------------------------------------


def test_readings_of_a_frozen_rig_grow_old_by_the_clock_of_the_screen(store: RigStore, clock: StillClock) -> None:
    store.take_snapshot(snapshot(board(50.0)))
    reading = Reading(value=50.0, at_s=49.8, quality=Quality.GOOD)
    assert store.age_s(reading) == pytest.approx(0.2)
    assert store.silence_s() == 0.0
    clock.now_s += 30.0
    assert store.age_s(reading) == pytest.approx(30.2)
    assert store.silence_s() == 30.0
    assert store.rig_s() == 80.0
    store.take_snapshot(snapshot(board(80.0)))
    assert store.silence_s() == 0.0
    assert store.age_s(Reading(value=50.0, at_s=80.0, quality=Quality.GOOD)) == 0.0


def test_a_slow_channel_may_be_older_than_a_fast_one_before_it_is_stale(
    store: RigStore, clock: StillClock, info: BoardInfo
) -> None:
    store.take_snapshot(snapshot(board(50.0)))
    reading = Reading(value=1.0, at_s=50.0, quality=Quality.GOOD)
    clock.now_s += info.envelope.stale_warn_s + 0.01
    assert store.is_stale(info, Channel.CHIP_C, reading)
    assert not store.is_stale(info, Channel.FAN_RPM, reading)
    clock.now_s = 100.0 + SLOW_STALE_S + 0.01
    assert store.is_stale(info, Channel.FAN_RPM, reading)


def test_a_clock_that_steps_back_makes_nothing_younger_than_it_was(store: RigStore, clock: StillClock) -> None:
    store.take_snapshot(snapshot(board(50.0)))
    clock.now_s = 10.0
    assert store.age_s(Reading(value=1.0, at_s=49.0, quality=Quality.GOOD)) == 1.0
    assert store.silence_s() == 0.0


def test_before_the_first_snapshot_there_is_no_age_and_no_silence(store: RigStore) -> None:
    assert store.silence_s() is None
    assert store.rig_s() is None
    assert store.board("gamma") is None
    assert store.age_s(Reading(value=1.0, at_s=0.0, quality=Quality.GOOD)) == 0.0


def test_the_countdown_of_a_trial_goes_on_while_nothing_is_heard_and_ends_at_zero(
    store: RigStore, clock: StillClock
) -> None:
    pending = PendingPoint(revert_to=STOCK, until_s=58.0, keep_within_s=10.0)
    store.take_snapshot(snapshot(board(50.0, pending=pending)))
    shown = store.board("gamma")
    assert shown is not None
    assert store.trial_left_s(shown) == 8.0
    clock.now_s += 5.0
    assert store.trial_left_s(shown) == 3.0
    clock.now_s += 50.0
    assert store.trial_left_s(shown) == 0.0
    assert store.trial_left_s(shown.model_copy(update={"pending": None})) is None


# --- events -----------------------------------------------------------------------------------------------------------


def test_events_are_kept_in_order_and_none_twice_when_the_same_rig_is_joined_again(
    store: RigStore, info: BoardInfo
) -> None:
    tell = Teller()
    for _ in range(5):
        tell.attached()
    for event in tell.told[:3]:
        store.take_event(event)
    store.lost("gone")
    store.joined((info,))
    for event in tell.told:
        store.take_event(event)
    assert [row.event for row in store.log] == tell.told
    assert {row.rig for row in store.log} == {0}


def test_another_rig_begins_a_new_count_and_the_old_events_stay(store: RigStore, info: BoardInfo) -> None:
    first, second = Teller(), Teller()
    for _ in range(3):
        first.attached(seed=1)
        second.attached(seed=2)
    for event in first.told:
        store.take_event(event)
    store.lost("gone")
    store.joined((info,))
    for event in second.told:
        store.take_event(event)
    assert [(row.rig, row.event.seq) for row in store.log] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]


def test_a_loss_counts_from_the_first_time_it_is_told(store: RigStore, clock: StillClock) -> None:
    clock.now_s = 110.0
    store.lost("gone")
    clock.now_s = 120.0
    store.lost("no such rig")
    assert (store.line.up, store.line.since_s, store.line.why) == (False, 110.0, "no such rig")


# --- trends and rate --------------------------------------------------------------------------------------------------


def test_a_stale_reading_and_an_unknown_one_are_gaps_in_the_trend(store: RigStore) -> None:
    for at_s in range(5):
        store.take_snapshot(snapshot(board(float(at_s), channels={Channel.CHIP_C: 50.0 + at_s})))
    store.take_snapshot(snapshot(board(5.0, channels={Channel.CHIP_C: None})))
    old = {Channel.CHIP_C: Reading(value=60.0, at_s=1.0, quality=Quality.GOOD)}
    store.take_snapshot(snapshot(board(6.0).model_copy(update={"channels": old})))
    columns = store.views["gamma"].trends[Channel.CHIP_C].columns(7, 7.0)
    assert columns == [(50.0 + at_s, 50.0 + at_s) for at_s in range(5)] + [None, None]


def test_trends_begin_anew_when_times_go_back(store: RigStore) -> None:
    store.take_snapshot(snapshot(board(1e6, channels={Channel.CHIP_C: 50.0})))
    store.take_snapshot(snapshot(board(3.0, channels={Channel.CHIP_C: 40.0})))
    store.take_snapshot(snapshot(board(4.0, channels={Channel.CHIP_C: 41.0})))
    assert store.views["gamma"].trends[Channel.CHIP_C].columns(2, 2.0) == [(40.0, 40.0), (41.0, 41.0)]


def test_the_recent_rate_counts_the_tickets_of_the_last_minute(store: RigStore) -> None:
    for at_s in range(90):
        verified = at_s * 2 if at_s < 30 else 60 + (at_s - 30)  # two a second, then one
        store.take_snapshot(snapshot(board(float(at_s), work=work(verified=verified, ticket_difficulty=256))))
    assert store.views["gamma"].recent_hs == pytest.approx(60 / RECENT_S * 256 * 2**32, rel=0.02)


def test_work_that_begins_anew_counts_anew_and_ended_work_has_no_rate(store: RigStore) -> None:
    for at_s, verified in ((0, 100), (2, 120), (4, 5), (6, 11)):
        store.take_snapshot(snapshot(board(float(at_s), work=work(verified=verified))))
    assert store.views["gamma"].recent_hs == pytest.approx(3 * 2**32)
    store.take_snapshot(snapshot(board(8.0, work=work(running=False, verified=11))))
    assert store.views["gamma"].recent_hs is None


def test_the_past_fills_the_trends_and_is_not_taken_for_the_present(store: RigStore) -> None:
    store.take_snapshot(snapshot(board(1.0)), past=True)
    assert store.snapshot is None
    assert store.views["gamma"].trends[Channel.CHIP_C].known_s == 1.0


# --- emergency stop ---------------------------------------------------------------------------------------------------


def test_a_safe_off_from_before_the_stop_confirms_nothing(store: RigStore) -> None:
    tell = Teller()
    store.take_event(tell.safe_off())
    stop = store.stop_asked()
    assert stop.reports == {}
    store.take_event(tell.safe_off())
    assert set(stop.reports) == {"gamma"}
    store.stop_failed("gamma", "too late to matter")
    assert stop.errors == {"gamma": "too late to matter"}
    store.dismiss_stop()
    store.stop_failed("gamma", "nobody asks any more")
    assert store.stop is None


def test_the_first_safe_off_of_a_new_rig_confirms_a_stop_that_the_old_one_never_did(
    store: RigStore, info: BoardInfo
) -> None:
    first, second = Teller(), Teller()
    for _ in range(9):
        store.take_event(first.attached(seed=1))
    stop = store.stop_asked()
    store.lost("gone")
    store.joined((info,))
    store.take_event(second.attached(seed=2))
    store.take_event(second.safe_off())
    assert set(stop.reports) == {"gamma"}


def test_a_rewind_forgets_everything_but_the_boards(store: RigStore) -> None:
    tell = Teller()
    store.take_event(tell.attached())
    store.take_snapshot(snapshot(board(50.0)))
    store.stop_asked()
    store.rewind()
    assert (store.log, store.snapshot, store.stop) == ([], None, None)
    assert set(store.boards) == {"gamma"}
    store.take_event(tell.told[0])
    assert len(store.log) == 1


def test_every_change_that_could_be_seen_is_counted(store: RigStore, info: BoardInfo) -> None:
    tell = Teller()
    doings = (
        lambda: store.take_event(tell.attached()),
        lambda: store.take_snapshot(snapshot(board(50.0))),
        store.stop_asked,
        lambda: store.stop_failed("gamma", "no"),
        store.dismiss_stop,
        lambda: store.lost("gone"),
        lambda: store.joined((info,)),
        store.rewind,
    )
    for doing in doings:
        before = store.changes
        doing()
        assert store.changes > before


def test_readings_that_are_no_numbers_disturb_neither_ages_nor_trends(store: RigStore, clock: StillClock) -> None:
    for at_s, value in enumerate((math.nan, math.inf, -math.inf, 1e308)):
        store.take_snapshot(snapshot(board(float(at_s), channels={Channel.CHIP_C: value})))
    pending = PendingPoint(revert_to=OperatingPoint(), until_s=math.nan, keep_within_s=math.nan)
    store.take_snapshot(snapshot(board(9.0, pending=pending)))
    shown = store.board("gamma")
    assert shown is not None
    assert store.trial_left_s(shown) == 0.0
    assert store.views["gamma"].trends[Channel.CHIP_C].columns(10, 10.0)[3] == (1e308, 1e308)
