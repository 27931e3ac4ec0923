"""A die's thermometer that begins to read too little, told by what its own board has shown before."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from controller.model import Quality
from drivers.boards import BOARDS
from drivers.boards.board import Channel
from tests.unit.controller.living import LIMITS, Spoil, World


def shifted(channel: Channel, by: float) -> Spoil:
    def spoil(at_s: float, values: dict[Channel, float | None]) -> None:
        values[channel] = (values[channel] or 0.0) + by

    return spoil


def learned(seconds: float = 300.0, **more: Any) -> World:
    world = World(**more).point(525.0).run(seconds)
    assert world.bad == []
    return world


@pytest.mark.parametrize(("channel", "by"), [(Channel.CHIP_C, -9.0), (Channel.VR_C, 9.0)])
def test_a_die_that_begins_to_read_too_little_is_doubted_against_what_this_board_has_shown(
    channel: Channel, by: float
) -> None:
    """Gamma, SEED=9 ONLY=9012: 9.6 C too little, and 80 C where 70 were read; boards differ by more than that."""
    world = learned()
    world.spoil = shifted(channel, by)
    world.run(2.0)  # a jump is not believed at once
    assert 98.0 <= world.until(Quality.SUSPECT, Channel.CHIP_C, 200.0) <= 125.0
    assert re.match(
        r"drift: chip_c reads \S+ C, with vr_c \S+ C and \S+ W [789]\.\d C less than on this board before "
        r"\(limit 7 C\); one of both is wrong",
        world.evidence(Channel.CHIP_C),
    )
    assert world.evidence(Channel.VR_C) == world.evidence(Channel.CHIP_C)
    world.until(Quality.INVALID, Channel.CHIP_C, 10.0)


@pytest.mark.parametrize("by", [-6.0, 9.0, 14.0])
def test_a_little_less_or_more_than_before_is_no_doubt(by: float) -> None:
    world = learned()
    world.spoil = shifted(Channel.CHIP_C, by)
    assert world.run(400.0).channels() <= {Channel.CHIP_C}
    assert not any(text.startswith("drift") for _, _, _, text in world.bad)


def test_a_die_that_reads_too_little_for_a_minute_and_a_half_is_let_be() -> None:
    world = learned()
    for _ in range(3):
        world.spoil = shifted(Channel.CHIP_C, -9.0)
        world.run(90.0)
        world.spoil = lambda at_s, values: None
        world.run(30.0)
    assert not any(text.startswith("drift") for _, _, _, text in world.bad)


def test_a_board_that_rests_meanwhile_is_not_held_to_what_it_showed_at_work() -> None:
    world = learned()
    world.spoil = shifted(Channel.CHIP_C, -9.0)
    world.run(100.0).off().run(30.0).point(525.0).run(100.0)
    assert not any(text.startswith("drift") for _, _, _, text in world.bad)
    world.until(Quality.SUSPECT, Channel.CHIP_C, 60.0)
    assert world.evidence(Channel.CHIP_C).startswith("drift")


def test_a_die_that_is_not_known_for_a_second_begins_its_time_anew() -> None:
    world = learned()
    world.spoil = shifted(Channel.CHIP_C, -9.0)
    world.run(100.0)
    wrong = world.spoil
    world.spoil = lambda at_s, values: values.update({Channel.CHIP_C: None})
    world.run(1.6)
    world.spoil = wrong
    world.run(100.0)
    assert not any(text.startswith("drift") for _, _, _, text in world.bad)


def test_what_was_learned_is_not_learned_again_at_the_next_power_up() -> None:
    world = learned()
    world.off().run(100.0)
    world.spoil = shifted(Channel.CHIP_C, -9.0)
    world.point(525.0).run(60.0)
    world.until(Quality.SUSPECT, Channel.CHIP_C, 80.0)
    assert world.evidence(Channel.CHIP_C).startswith("drift")


def test_a_thermometer_that_was_wrong_from_the_start_is_what_this_board_shows() -> None:
    world = World()
    world.spoil = shifted(Channel.CHIP_C, -9.0)
    assert world.point(525.0).run(600.0).bad == []


@pytest.mark.parametrize(
    ("by", "from_s", "to_s"),
    [
        (12.0, 0.0, 300.0),  # further from the model than a board may be
        (9.0, 0.0, 110.0),  # before anything is learned: at work, but the model's nodes are not known
        (9.0, 130.0, 160.0),  # in the middle of it: the looks are too far apart
    ],
)
def test_what_ended_before_the_board_was_learned_is_not_held_against_it(by: float, from_s: float, to_s: float) -> None:
    world = World()

    def spoil(at_s: float, values: dict[Channel, float | None]) -> None:
        if from_s <= at_s - 1000.0 < to_s:
            values[Channel.CHIP_C] = (values[Channel.CHIP_C] or 0.0) + by

    world.spoil = spoil
    world.point(525.0).run(to_s + 400.0)
    assert not any(text.startswith("drift") for _, _, _, text in world.bad)


def test_what_a_thermometer_says_after_a_jump_is_not_learned_before_it_had_time_to_end() -> None:
    """Gamma, SEED=10 ONLY=4368: the regulator's repeated one value for a minute, all through the time of learning."""
    world = World()

    def spoil(at_s: float, values: dict[Channel, float | None]) -> None:
        if 100.0 <= at_s - 1000.0 < 215.0:
            values[Channel.VR_C] = (values[Channel.VR_C] or 0.0) - 8.5

    world.spoil = spoil
    world.point(525.0).run(700.0)
    assert Channel.VR_C in world.channels(), "it jumped"
    assert not any(text.startswith("drift") for _, _, _, text in world.bad)


def test_a_board_that_was_not_at_work_has_shown_nothing() -> None:
    """Cold for long, so that the nodes are known, then at work for less than it takes to warm up."""
    world = World().run(300.0)
    world.spoil = shifted(Channel.CHIP_C, 9.0)
    world.point(525.0).run(70.0)
    world.spoil = lambda at_s, values: None
    world.run(400.0)
    assert not any(text.startswith("drift") for _, _, _, text in world.bad)


def test_what_is_doubted_teaches_nothing() -> None:
    """A current that reads 8 A too much lets expect a warmer die; the power is doubted, the board is not learned."""
    world = World()
    world.spoil = shifted(Channel.CORE_A, 8.0)
    world.point(525.0).run(300.0)
    assert Channel.CORE_A in world.channels()
    world.spoil = lambda at_s, values: None
    world.run(400.0)
    assert not any(text.startswith("drift") for _, _, _, text in world.bad)


def test_a_kind_of_board_that_the_model_was_not_fitted_to_is_not_held_to_itself() -> None:
    assert [name for name, kind in BOARDS.items() if kind.plausibility.drift_c is not None] == ["bitaxe-gamma"]
    world = learned(limits=dataclasses.replace(LIMITS, drift_c=None))
    world.spoil = shifted(Channel.CHIP_C, -9.0)
    assert not any(text.startswith("drift") for _, _, _, text in world.run(400.0).bad)
