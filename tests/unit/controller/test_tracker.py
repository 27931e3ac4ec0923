"""What one channel is worth after each sample, and what it tells the rules that compare channels."""

from __future__ import annotations

import math

import pytest

from controller.model import Quality
from controller.safety.plausibility import Watchkeeper
from controller.safety.tracker import Doubt, Tracker
from drivers.boards import BOARDS
from drivers.boards.board import BLANKED, FAULTY, Channel, PlausibilityLimits

PERIOD_S = 0.2
STALE_S = 2.0
TRIP_C = 75.0


class One:
    """A channel that is looked at five times a second, on a board that is on."""

    def __init__(self, channel: Channel = Channel.CHIP_C, *sources: Tracker) -> None:
        self.at_s = 0.0
        self.of = Tracker(
            channel, PlausibilityLimits(), (0.0, 150.0), STALE_S, 0.0, hot_from=TRIP_C, sources=list(sources)
        )

    def take(self, value: float | None, *more: float | None, note: str | None = None) -> Quality:
        """What it is worth after the last of them, to whoever reads it and to what depends on it."""
        for each in (value, *more):
            self.at_s = round(self.at_s + PERIOD_S, 3)
            found = self.of.take(each, note, self.at_s, True, False)
        assert found.quality == self.of.quality
        return found.quality

    def trusted(self) -> bool:
        return self.of.trusted


def test_a_channel_is_trusted_as_long_as_its_own_last_sample_was_good() -> None:
    one = One()
    assert not one.trusted()
    one.take(55.0)
    assert one.trusted()
    for bad, note in ((None, None), (None, FAULTY), (151.0, None), (127.0, None), (55.0 + 40.0, None)):
        one.take(bad, note=note)
        assert not one.trusted(), (bad, note)
        one.take(55.0)
        assert one.trusted()


def test_a_channel_that_rests_on_another_is_trusted_only_with_it() -> None:
    source = One(Channel.CORE_A)
    source.take(12.0)
    one = One(Channel.CORE_W, source.of)
    one.take(13.0)
    assert one.trusted()
    source.take(None)
    assert one.take(13.0) is Quality.SUSPECT
    assert not one.trusted()


def test_a_channel_that_is_coming_back_is_not_trusted_before_it_is_back() -> None:
    one = One()
    one.take(55.0, 127.0, 127.0, 127.0)
    for value, quality, trusted in ((55.0, Quality.INVALID, False), (55.0, Quality.GOOD, True)):
        assert one.take(value) is quality
        assert one.trusted() is trusted


def test_once_it_is_back_it_is_as_good_as_any_other() -> None:
    one = One()
    one.take(55.0, 127.0, 127.0, 127.0, 55.0, 55.0)
    assert one.take(127.0) is Quality.SUSPECT
    assert one.take(55.0) is Quality.GOOD


def test_it_counts_how_often_and_since_when_a_value_repeats_itself() -> None:
    one = One()
    one.take(55.0, 55.0, 55.0)
    assert (one.of.unchanged, one.of.unchanged_since_s) == (3, 0.2)
    one.take(55.125)
    assert (one.of.unchanged, one.of.unchanged_since_s) == (1, 0.8)
    one.take(None, 55.125)
    assert (one.of.unchanged, one.of.unchanged_since_s) == (2, 0.8)


def test_the_same_jump_again_and_again_does_not_add_up() -> None:
    one = One()
    one.take(45.0)
    for _ in range(10):
        assert one.take(65.0) is Quality.SUSPECT
        assert one.take(45.0) is Quality.GOOD


def test_where_it_comes_back_elsewhere_it_has_jumped() -> None:
    for back_c, jumped in ((55.0, False), (30.0, True)):
        one = One()
        one.take(55.0, 127.0, 127.0, 127.0)
        assert one.of.jumped_s == -math.inf
        one.take(back_c, back_c)
        assert (one.of.jumped_s > 0.0) is jumped


@pytest.mark.parametrize("code", [127.0, 127.875])
def test_an_error_code_is_no_temperature_also_where_it_is_the_first_word(code: float) -> None:
    one = One(Channel.VR_C)
    assert one.take(code) is Quality.INVALID
    assert one.of.value is None
    assert not one.of.hot


def test_it_is_hot_while_its_last_sample_says_so_taken_or_not() -> None:
    one = One()
    for value, hot in ((70.0, False), (TRIP_C, True), (None, False), (76.0, True), (127.0, False), (140.0, True)):
        one.take(value)
        assert one.of.hot is hot, value


def test_a_sample_that_is_left_out_restores_what_is_known() -> None:
    one = One()
    one.take(55.0)
    assert one.take(None) is Quality.SUSPECT
    assert one.take(None, note=BLANKED) is Quality.GOOD
    one.of.doubt = Doubt("stuck", "x", one.at_s)
    assert one.take(None, note=BLANKED) is Quality.SUSPECT
    one.of.doubt = None
    one.take(127.0, 127.0, 127.0)
    assert one.take(None, note=BLANKED) is Quality.INVALID


def test_what_is_too_old_is_invalid_for_whoever_rests_on_it() -> None:
    one = One()
    one.take(55.0)
    assert [one.take(None) for _ in range(10)] == [Quality.SUSPECT] * 9 + [Quality.INVALID]
    assert one.take(55.0) is Quality.GOOD
    assert One().take(None) is Quality.INVALID


def test_a_keeper_without_a_sample_knows_no_bound_of_the_regulator() -> None:
    board = BOARDS["bitaxe-gamma"]
    assert Watchkeeper(board.envelope, board.plausibility).vr_most_c is None
