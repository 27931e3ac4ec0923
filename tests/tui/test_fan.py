"""The row of the fan on the board screen: nothing while it is at full as ever, else how it is led, and its wear."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from controller.model import Channel, FanMode, FanStatus
from controller.tui.widgets.readings import Readings
from drivers.boards import BOARDS
from tests.tui.telling import board

WIDE, NARROW = 100, 49
WORN = "2400 rpm at duty 0.80, 53 % of what is expected, for 5 s"


def row(fan: FanStatus | None, width: int = WIDE, *, rpm: float | None = 4200.0, stale: bool = False) -> list[Any]:
    desk = SimpleNamespace(
        board=board(0.0, channels={Channel.FAN_RPM: rpm}, fan=fan),
        info=SimpleNamespace(envelope=BOARDS["bitaxe-gamma"].envelope),
        store=SimpleNamespace(line=SimpleNamespace(up=True), is_stale=lambda *_: stale, age_s=lambda _: 6.0),
    )
    (line,) = Readings(cast(Any, desk)).lines(width, 5)
    return list(line)


def text(words: list[Any]) -> str:
    return "".join(said for said, _ in words).rstrip()


def led(**fields: Any) -> FanStatus:
    usual: dict[str, Any] = {"mode": FanMode.AUTO, "target_chip_c": 58.0, "floor_ratio": 0.45}
    return FanStatus(**{**usual, "why_full": None, "degraded": None, **fields})


@pytest.mark.parametrize("fan", [None, led(mode=FanMode.FULL, why_full="as it was asked for")])
def test_a_fan_at_full_as_ever_has_its_speed_and_no_more(fan: FanStatus | None) -> None:
    assert text(row(fan)) == text(row(None)) == f"  {'fan':<10}{'4200 rpm':>12}"


def test_a_fan_that_follows_says_where_to_and_one_that_is_full_meanwhile_says_why() -> None:
    assert text(row(led())).endswith("4200 rpm follows, die to 58 °C, at least 45 %")
    assert text(row(led(why_full="the point is above stock"))).endswith("follows; full now: the point is above stock")
    assert text(row(led(), NARROW)).endswith("4200 rpm")


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("mode", list(FanMode))
def test_a_fan_that_turns_too_slowly_is_a_warning_on_every_screen(mode: FanMode, width: int) -> None:
    words = row(led(mode=mode, why_full=WORN, degraded=WORN), width, rpm=2400.0)
    assert words[0] == ("▼ ", "warn")
    assert words[2][1] == "warn"
    assert words[3][0].startswith(" degraded: 2400 rpm")
    assert words[3][1] == "warn"


def test_of_a_fan_whose_speed_is_old_nothing_is_claimed() -> None:
    for fan in (led(), led(degraded=WORN, why_full=WORN)):
        assert text(row(fan, stale=True)).endswith("4200 rpm 6.0 s old")
