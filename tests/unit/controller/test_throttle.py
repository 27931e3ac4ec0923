"""When a live board gives way: each level by itself, after its time, and not before."""

from __future__ import annotations

import pytest

from controller.model import Cause, OperatingPoint
from controller.safety.throttle import Give
from drivers.boards.board import Channel
from tests.unit.controller.guarding import Scene


def hold(scene: Scene, channel: Channel, value: float, seconds: float) -> Give | None:
    """The first move that is asked for within that time."""
    scene.values[channel] = value
    for _ in range(round(seconds * 5)):
        scene.at_s += 0.2
        give = scene.guard.give_way(scene.now())
        if give is not None:
            return give
    return None


def live() -> Scene:
    scene = Scene().live()
    scene.guard.requested = OperatingPoint(frequency_mhz=525.0, core_v=1.150)
    return scene


@pytest.mark.parametrize(
    ("channel", "value", "held_s", "cause"),
    [
        (Channel.CHIP_C, 70.5, 3.0, Cause.CHIP_TEMPERATURE),
        (Channel.VR_C, 95.5, 3.0, Cause.VR_TEMPERATURE),
        (Channel.INPUT_V, 4.70, 0.5, Cause.INPUT_LOW),
    ],
)
def test_each_level_takes_a_step_of_the_clock_after_its_time(
    channel: Channel, value: float, held_s: float, cause: Cause
) -> None:
    scene = live()
    assert hold(scene, channel, value, held_s) is None, "not before its time"
    give = hold(scene, channel, value, 0.4)
    assert give is not None
    assert (give.cause, give.sensor, give.up) == (cause, channel.value, False)
    assert give.point.frequency_mhz == pytest.approx(518.75)
    assert give.point.core_v == pytest.approx(1.150)


@pytest.mark.parametrize(("channel", "value"), [(Channel.CHIP_C, 69.9), (Channel.VR_C, 94.9), (Channel.INPUT_V, 4.76)])
def test_below_its_level_nothing_gives_way(channel: Channel, value: float) -> None:
    assert hold(live(), channel, value, 60.0) is None


def test_a_move_that_waits_for_its_turn_is_not_taken_for_made_and_the_board_comes_back_from_it() -> None:
    scene = live()
    give = hold(scene, Channel.CHIP_C, 70.5, 4.0)
    assert give is not None
    assert hold(scene, Channel.CHIP_C, 60.0, 5.0) is None
    assert scene.guard.limited is not None, "another command is in its way"
    scene.follow(scene.guard.steps_of(give))
    assert scene.guard.commanded.frequency_mhz == 518.75
    back = hold(scene, Channel.CHIP_C, 60.0, 40.0)
    assert back is not None
    assert (back.up, back.point.frequency_mhz) == (True, 525.0)


def test_a_move_that_was_never_made_is_over_once_there_is_nothing_to_take_back() -> None:
    scene = live()
    assert hold(scene, Channel.CHIP_C, 70.5, 4.0) is not None
    assert hold(scene, Channel.CHIP_C, 60.0, 20.0) is None
    assert scene.guard.limited is not None
    assert hold(scene, Channel.CHIP_C, 60.0, 40.0) is None
    assert scene.guard.limited is None
