"""How the fan is to be led, as it is typed; what cannot be meant is refused with what is allowed."""

from __future__ import annotations

import pytest

from controller import text
from controller.cli.fan import parse_fan
from controller.model import FanMode, SetFan
from drivers.errors import UsageError


def follows(target_chip_c: float = 60.0, floor_ratio: float = 0.0) -> SetFan:
    return SetFan(mode=FanMode.AUTO, target_chip_c=target_chip_c, floor_ratio=floor_ratio)


@pytest.mark.parametrize(
    ("how", "target", "meant", "told"),
    [
        ("full", None, SetFan(), "at full"),
        ("auto", None, follows(), "follows, die to 60 C"),
        ("auto", "57.5", follows(57.5), "follows, die to 57.5 C"),
        ("60", None, follows(floor_ratio=0.6), "follows, die to 60 C, at least 60 %"),
        ("60 %", "35", follows(35.0, 0.6), "follows, die to 35 C, at least 60 %"),
        ("100%", "63", follows(63.0, 1.0), "follows, die to 63 C, at least 100 %"),
    ],
)
def test_what_is_typed_and_what_is_meant(how: str, target: str | None, meant: SetFan, told: str) -> None:
    assert parse_fan(how, target) == meant
    assert text.fan(meant.mode is FanMode.AUTO, meant.target_chip_c, meant.floor_ratio) == told


def test_nothing_said_is_nothing_meant() -> None:
    assert parse_fan(None, None) is None


@pytest.mark.parametrize("how", ["", "off", "FULL", "101", "-5", "1e1", "nan", "6O", "0.6x", "auto 60", "٦٠"])
def test_another_word_or_a_percentage_that_is_none_is_refused(how: str) -> None:
    with pytest.raises(UsageError, match=r"--fan.*full, auto, or the least duty in percent, 0 to 100"):
        parse_fan(how, None)


@pytest.mark.parametrize("target", ["34.9", "63.1", "66", "nan", "inf", "-60", "hot"])
@pytest.mark.parametrize("how", ["auto", "60"])
def test_a_target_outside_of_what_the_fan_can_hold_is_refused(how: str, target: str) -> None:
    with pytest.raises(UsageError, match=r"--fan-target.*35.*63"):
        parse_fan(how, target)


def test_a_target_without_a_fan_that_follows_is_refused() -> None:
    with pytest.raises(UsageError, match="together with --fan auto"):
        parse_fan(None, "60")
    with pytest.raises(UsageError, match="not with --fan full"):
        parse_fan("full", "60")
