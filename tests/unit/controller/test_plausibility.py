"""Which samples are believed, and what becomes of the others."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model import Quality, Reading
from controller.safety.commanded import Commanded
from controller.safety.plausibility import Watchkeeper, plausible_ranges
from drivers.boards import BOARDS
from drivers.boards.board import FAULTY, BoardReading, Channel, PlausibilityLimits
from tests.unit.controller.guarding import ENVELOPE


class Sweeps:
    def __init__(self, channel: Channel = Channel.CHIP_C) -> None:
        self.keeper, self.channel, self.at_s = Watchkeeper(ENVELOPE), channel, 0.0

    def sample(self, value: float | None, note: str | None = None, *, powered: bool = True) -> Reading:
        self.at_s = round(self.at_s + 0.2, 3)
        notes = {} if note is None else {self.channel: note}
        raw = BoardReading(self.at_s, {self.channel: value}, notes)
        return self.keeper.take(raw, Commanded(rail_on=powered))[self.channel]

    def samples(self, *values: float | None) -> list[Reading]:
        return [self.sample(value) for value in values]


def test_a_plausible_sample_is_good_and_carries_its_time() -> None:
    assert Sweeps().sample(55.5) == Reading(value=55.5, at_s=0.2, quality=Quality.GOOD)


@pytest.mark.parametrize("value", [-1.0, 127.0, 127.875, 255.0, 120.1, -0.1, math.nan, math.inf])
def test_error_codes_and_values_out_of_range_are_doubted_and_keep_the_last_value(value: float) -> None:
    sweeps = Sweeps()
    sweeps.sample(55.5)
    found = sweeps.sample(value)
    assert (found.value, found.at_s, found.quality) == (55.5, 0.2, Quality.SUSPECT)
    assert found.evidence is not None
    assert "read" in found.evidence


def test_a_single_127_88_from_the_regulator_at_enable_changes_nothing() -> None:
    sweeps = Sweeps(Channel.VR_C)
    sweeps.sample(30.0)
    assert sweeps.sample(127.875).quality is Quality.SUSPECT
    assert sweeps.sample(31.0) == Reading(value=31.0, at_s=0.6, quality=Quality.GOOD)


def test_three_bad_samples_in_a_row_make_a_channel_invalid_and_two_good_of_three_bring_it_back() -> None:
    sweeps = Sweeps()
    sweeps.sample(55.0)
    assert [sweeps.sample(127.0).quality for _ in range(3)] == [Quality.SUSPECT, Quality.SUSPECT, Quality.INVALID]
    assert sweeps.sample(55.0).quality is Quality.INVALID
    assert sweeps.sample(127.0).quality is Quality.INVALID
    assert sweeps.sample(55.0).quality is Quality.GOOD


def test_bad_samples_with_good_ones_between_never_make_a_channel_invalid() -> None:
    sweeps = Sweeps()
    for _ in range(20):
        assert sweeps.sample(55.0).quality is Quality.GOOD
        assert sweeps.sample(127.0).quality is Quality.SUSPECT
        assert sweeps.sample(127.0).quality is Quality.SUSPECT


def test_a_part_that_does_not_answer_keeps_its_value_and_its_time_and_turns_invalid_when_they_are_old() -> None:
    sweeps = Sweeps()
    sweeps.sample(55.0)
    found = [sweeps.sample(None, "NACK") for _ in range(10)]
    assert {(reading.value, reading.at_s) for reading in found} == {(55.0, 0.2)}
    assert [reading.quality for reading in found] == [Quality.SUSPECT] * 9 + [Quality.INVALID]
    assert found[-1].evidence == "NACK; last good value is 2.0 s old"


def test_a_channel_that_never_answered_is_unknown_and_never_zero() -> None:
    found = Sweeps().sample(None)
    assert found.value is None
    assert found.quality is Quality.INVALID


def test_a_blanked_sample_counts_neither_way() -> None:
    sweeps = Sweeps()
    sweeps.sample(55.0)
    sweeps.sample(127.0)
    sweeps.sample(127.0)
    found = sweeps.sample(None, "blanked: the diode settles")
    assert (found.value, found.at_s, found.quality) == (55.0, 0.2, Quality.GOOD)
    assert sweeps.sample(127.0).quality is Quality.INVALID


def test_exactly_zero_is_a_dead_sensor_on_a_powered_board_and_a_cold_day_on_another() -> None:
    assert Sweeps().sample(0.0, powered=True).quality is Quality.INVALID
    assert Sweeps().sample(0.0, powered=False).quality is Quality.GOOD


@pytest.mark.parametrize(
    ("channel", "good", "bad"),
    [
        (Channel.INPUT_V, 5.1, 80.88),
        (Channel.INPUT_V, 4.4, -183.0),
        (Channel.CORE_V, 1.7, 1.8),
        (Channel.CORE_A, -0.5, -2.5),
        (Channel.CORE_A, 35.0, 41.0),
        (Channel.FAN_RPM, 82.0, -1.0),
    ],
)
def test_each_channel_has_a_range_of_its_own(channel: Channel, good: float, bad: float) -> None:
    sweeps = Sweeps(channel)
    assert sweeps.sample(good).quality is Quality.GOOD
    assert sweeps.sample(bad).quality is Quality.SUSPECT


def test_a_rail_that_nothing_limits_is_believed_as_high_as_its_input() -> None:
    bounded, free = BOARDS["bitaxe-ultra-207"].envelope, BOARDS["bitaxe-ultra-205"].envelope
    assert plausible_ranges(bounded)[Channel.CORE_V][1] == 1.3 * bounded.core_v_hard
    assert plausible_ranges(free)[Channel.CORE_V][1] == free.input_v_high_trip


def test_readings_made_without_validation_equal_validated_ones_and_survive_json() -> None:
    found = Sweeps().sample(55.5)
    assert Reading.model_validate_json(found.model_dump_json()) == found


# --- rate -------------------------------------------------------------------------------------------------------------


def test_a_single_jump_of_20_c_is_one_doubtful_sample_and_no_more() -> None:
    sweeps = Sweeps()
    found = sweeps.samples(60.0, 60.125, 80.0, 60.0, 60.125)
    assert [reading.quality.value for reading in found] == ["good", "good", "suspect", "good", "good"]
    assert (found[2].value, found[2].at_s) == (60.125, 0.4)
    assert found[2].evidence == "rate: read 80 C, +19.9 C in 0.2 s (more than 15 C/s); last good 0.2 s ago"


def test_a_jump_that_persists_is_believed_at_its_third_sample() -> None:
    found = Sweeps().samples(60.0, 40.0, 40.25, 40.125, 40.0)
    assert [reading.quality.value for reading in found] == ["good", "suspect", "suspect", "good", "good"]
    assert [reading.value for reading in found] == [60.0, 60.0, 60.0, 40.125, 40.0]


def test_a_jump_above_the_trip_level_is_a_broken_sensor_and_never_believed_to_be_heat() -> None:
    found = Sweeps().samples(60.0, 80.0, 80.0, 80.0, 80.0)
    assert [reading.quality.value for reading in found] == ["good", "suspect", "suspect", "invalid", "invalid"]
    assert found[3].evidence == (
        "rate: read 80 C, +20.0 C in 0.6 s (more than 15 C/s), and stays at or above its trip level; "
        "bad 3 times in a row, last good 0.6 s ago"
    )


def test_samples_that_jump_about_make_a_channel_invalid_at_the_third() -> None:
    found = Sweeps().samples(60.0, 20.0, 90.0, 45.0)
    assert [reading.quality.value for reading in found] == ["good", "suspect", "suspect", "invalid"]
    assert found[-1].evidence is not None
    assert "rate: read 45 C" in found[-1].evidence
    assert "last good 0.6 s ago" in found[-1].evidence


def test_what_brings_a_channel_back_has_to_agree_with_itself() -> None:
    sweeps = Sweeps()
    sweeps.samples(60.0, 127.0, 127.0, 127.0)
    assert {reading.quality for reading in sweeps.samples(20.0, 90.0, 45.0, 110.0)} == {Quality.INVALID}
    assert [reading.quality.value for reading in sweeps.samples(50.0, 50.125, 50.0)] == ["invalid", "invalid", "good"]


@pytest.mark.parametrize(("channel", "slow", "fast"), [(Channel.CHIP_C, 3.0, 6.0), (Channel.VR_C, 1.0, 6.0)])
def test_a_rate_that_heat_can_make_is_good_and_a_faster_one_is_not(channel: Channel, slow: float, fast: float) -> None:
    assert {reading.quality for reading in Sweeps(channel).samples(40.0, 40.0 + slow, 40.0 + 2 * slow)} == {
        Quality.GOOD
    }
    assert Sweeps(channel).samples(40.0, 40.0 + fast)[1].quality is Quality.SUSPECT


def test_after_a_move_the_die_may_be_faster_but_not_as_fast_as_a_broken_diode() -> None:
    keeper, moved = Watchkeeper(ENVELOPE), Commanded(rail_on=True, frequency_changed_s=99.9)

    def take(at_s: float, celsius: float) -> Quality:
        return keeper.take(BoardReading(at_s, {Channel.CHIP_C: celsius}), moved)[Channel.CHIP_C].quality

    assert take(100.0, 60.0) is Quality.GOOD
    assert take(100.2, 68.5) is Quality.GOOD
    assert take(100.4, 88.5) is Quality.SUSPECT
    assert take(105.0, 60.0) is Quality.GOOD
    assert take(105.2, 68.5) is Quality.SUSPECT


def test_whole_degrees_and_their_noise_are_no_jump_of_the_regulator() -> None:
    found = Sweeps(Channel.VR_C).samples(55.0, 56.0, 54.0, 56.0, 55.0, 57.0, 55.0)
    assert {reading.quality for reading in found} == {Quality.GOOD}


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_diode_that_its_part_calls_open_is_invalid_at_the_third_sample_and_not_merely_old() -> None:
    sweeps = Sweeps()
    sweeps.sample(55.0)
    found = [sweeps.sample(None, f"{FAULTY}: diode open (reads 127.0 C)") for _ in range(3)]
    assert [reading.quality.value for reading in found] == ["suspect", "suspect", "invalid"]
    assert found[-1].evidence == (
        "range: faulty: diode open (reads 127.0 C); bad 3 times in a row, last good 0.6 s ago"
    )


def test_a_part_that_answers_garbage_is_not_believed_in_its_status_either() -> None:
    limits = PlausibilityLimits(parts=((Channel.STATUS_WORD, Channel.INPUT_V, Channel.CORE_V),))
    keeper, on = Watchkeeper(ENVELOPE, limits), Commanded(rail_on=True)
    good = {Channel.STATUS_WORD: 0.0, Channel.INPUT_V: 5.1, Channel.CORE_V: 1.125}
    one = {Channel.STATUS_WORD: 32.0, Channel.INPUT_V: 80.88, Channel.CORE_V: 1.125}
    two = {Channel.STATUS_WORD: 32.0, Channel.INPUT_V: 80.88, Channel.CORE_V: 91.0}
    keeper.take(BoardReading(0.2, good), on)
    assert keeper.take(BoardReading(0.4, one), on)[Channel.STATUS_WORD].quality is Quality.GOOD
    keeper.take(BoardReading(0.6, good), on)
    found = keeper.take(BoardReading(0.8, two), on)
    assert {reading.quality for reading in found.values()} == {Quality.SUSPECT}
    assert found[Channel.STATUS_WORD].value == 0.0
    assert found[Channel.STATUS_WORD].evidence == (
        "garbage: 2 of 3 answers of its part are impossible; read 32; last good 0.2 s ago"
    )


def test_a_power_is_worth_what_voltage_and_current_are_worth() -> None:
    keeper, on = Watchkeeper(ENVELOPE), Commanded(rail_on=True)
    good = {Channel.CORE_V: 1.1, Channel.CORE_A: 10.0, Channel.CORE_W: 11.0, Channel.POWER_W: 16.0}
    bad = {Channel.CORE_V: 1.1, Channel.CORE_A: 500.0, Channel.CORE_W: 550.0, Channel.POWER_W: 555.0}
    keeper.take(BoardReading(0.2, good), on)
    found = keeper.take(BoardReading(0.4, bad), on)
    assert (found[Channel.POWER_W].value, found[Channel.POWER_W].quality) == (16.0, Quality.SUSPECT)
    assert found[Channel.POWER_W].evidence == "needs core_a, which is suspect; last good 0.2 s ago"


# --- any sequence -----------------------------------------------------------------------------------------------------

_RAW = st.one_of(
    st.none(),
    st.just("blanked"),
    st.just("faulty"),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(min_value=-5.0, max_value=130.0),
    st.sampled_from([-1.0, 0.0, 127.0, 127.875, 255.0, 60.0, 60.125, 80.0]),
)


@given(
    channel=st.sampled_from([Channel.CHIP_C, Channel.VR_C, Channel.CORE_A, Channel.INPUT_V]),
    raw=st.lists(_RAW, max_size=60),
)
def test_no_sequence_of_samples_is_good_out_of_range_or_invalid_without_three_bad_ones_or_an_old_value(
    channel: Channel, raw: list[float | str | None]
) -> None:
    low, high = plausible_ranges(ENVELOPE)[channel]
    sweeps, last, bad_run, invalid = Sweeps(channel), None, 0, False
    for value in raw:
        found = sweeps.sample(None if isinstance(value, str) else value, value if isinstance(value, str) else None)
        fresh = found.at_s == sweeps.at_s and found.value is not None
        if found.quality is Quality.GOOD:
            assert found.value is not None
            assert low <= found.value <= high
            assert sweeps.at_s - found.at_s < ENVELOPE.stale_bad_s
            invalid = False
        else:
            assert found.evidence
            assert not fresh
        if fresh:
            last, bad_run = sweeps.at_s, 0
        elif value not in (None, "blanked"):
            bad_run += 1
        if found.quality is Quality.INVALID:
            old = last is None or sweeps.at_s - last >= ENVELOPE.stale_bad_s - 1e-9
            assert invalid or old or bad_run >= 3
            invalid = invalid or bad_run >= 3
