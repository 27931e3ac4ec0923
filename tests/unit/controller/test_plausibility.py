"""Which samples are believed, and what becomes of the others."""

from __future__ import annotations

import math

import pytest

from controller.model import Quality, Reading
from controller.safety.plausibility import Watchkeeper
from drivers.boards.board import BoardReading, Channel
from tests.unit.controller.guarding import ENVELOPE


class Sweeps:
    def __init__(self, channel: Channel = Channel.CHIP_C) -> None:
        self.keeper, self.channel, self.at_s = Watchkeeper(ENVELOPE), channel, 0.0

    def sample(self, value: float | None, note: str | None = None, *, powered: bool = True) -> Reading:
        self.at_s = round(self.at_s + 0.2, 3)
        notes = {} if note is None else {self.channel: note}
        raw = BoardReading(self.at_s, {self.channel: value}, notes)
        return self.keeper.take(raw, powered=powered)[self.channel]


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
        (Channel.CORE_V, 1.5, 1.7),
        (Channel.CORE_A, -0.5, -2.5),
        (Channel.CORE_A, 35.0, 41.0),
        (Channel.FAN_RPM, 82.0, -1.0),
    ],
)
def test_each_channel_has_a_range_of_its_own(channel: Channel, good: float, bad: float) -> None:
    sweeps = Sweeps(channel)
    assert sweeps.sample(good).quality is Quality.GOOD
    assert sweeps.sample(bad).quality is Quality.SUSPECT


def test_readings_made_without_validation_equal_validated_ones_and_survive_json() -> None:
    found = Sweeps().sample(55.5)
    assert Reading.model_validate_json(found.model_dump_json()) == found
