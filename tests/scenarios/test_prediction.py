"""The estimate of the next point, held against the emulated board: good enough to warn, silent where it cannot know."""

from __future__ import annotations

import asyncio

import pytest

from controller.model import Channel, OperatingPoint, Quality, Reading, SetOperatingPoint
from controller.prediction import first_limit, predict
from controller.tui.trend import Trend
from drivers.boards import BOARDS
from tests.scenarios.gamma import NAME, stand

ENVELOPE = BOARDS["bitaxe-gamma"].envelope
SETTLE_S = 600.0


@pytest.mark.parametrize(
    ("frequency_mhz", "core_v"),
    [(575.0, 1.200), (625.0, 1.250), (450.0, 1.050), (525.0, 1.100)],
)
async def test_power_and_temperatures_settle_near_the_estimate(frequency_mhz: float, core_v: float) -> None:
    async with stand() as s:
        await s.power_up(525.0, 1.150)
        await asyncio.sleep(SETTLE_S)
        before = (await s.snapshot()).boards[0]
        staged = OperatingPoint(frequency_mhz=frequency_mhz, core_v=core_v)
        estimate = predict(ENVELOPE, before.channels, before.point.requested, staged)
        assert estimate is not None
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=frequency_mhz, core_v=core_v, preset=True))
        await asyncio.sleep(SETTLE_S)
        after = (await s.snapshot()).boards[0]
    for channel, within in ((Channel.CORE_W, 0.08), (Channel.CORE_A, 0.08), (Channel.CHIP_C, 0.06)):
        value = after.channels[channel].value
        assert value is not None
        assert estimate.channels[channel] == pytest.approx(value, rel=within), channel


@pytest.mark.parametrize("warm_up_s", [40.0, 80.0, 160.0])
async def test_a_board_that_still_warms_up_is_carried_on_to_where_it_is_going(warm_up_s: float) -> None:
    trend = Trend()
    async with stand() as s:
        await s.power_up(525.0, 1.150)
        async for snapshot in s.rig.snapshots():
            board = snapshot.boards[0]
            trend.add(board.at_s, board.channels[Channel.CHIP_C].value)
            if board.at_s > warm_up_s:
                break
        staged = OperatingPoint(frequency_mhz=575.0, core_v=1.200)
        slope = trend.slope_per_s()
        assert slope is not None
        estimate = predict(ENVELOPE, board.channels, board.point.requested, staged, {Channel.CHIP_C: slope})
        assert estimate is not None
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=575.0, core_v=1.200, preset=True))
        await asyncio.sleep(SETTLE_S)
        settled_c = (await s.snapshot()).boards[0].channels[Channel.CHIP_C].value
    assert estimate.channels[Channel.CHIP_C] == pytest.approx(settled_c, abs=5.0)


def reading(value: float | None, quality: Quality = Quality.GOOD) -> Reading:
    return Reading(value=value, at_s=0.0, quality=quality)


POINT = OperatingPoint(frequency_mhz=525.0, core_v=1.150)


def test_nothing_is_estimated_from_an_unknown_a_doubtful_or_an_idle_power() -> None:
    for power in (reading(None), reading(12.0, Quality.SUSPECT), reading(0.0)):
        assert predict(ENVELOPE, {Channel.CORE_W: power}, POINT, POINT) is None
    assert predict(ENVELOPE, {Channel.CORE_W: reading(12.0)}, OperatingPoint(), POINT) is None


def test_a_channel_that_is_unknown_now_is_not_estimated() -> None:
    estimate = predict(ENVELOPE, {Channel.CORE_W: reading(12.0), Channel.CHIP_C: reading(None)}, POINT, POINT)
    assert estimate is not None
    assert set(estimate.channels) == {Channel.CORE_W}
    assert estimate.channels[Channel.CORE_W] == pytest.approx(12.0)


def test_of_a_board_with_slow_chips_the_mean_of_the_clocks_is_what_grows() -> None:
    """Half of the chips stay where they are: a tenth more of the board's clock is a twentieth more."""
    staged = OperatingPoint(frequency_mhz=550.0, core_v=1.150)
    present = OperatingPoint(frequency_mhz=500.0, core_v=1.150)
    power = {Channel.CORE_W: reading(0.2 + 1.0)}  # so little that the die does not warm up by it
    plain, capped, above = (
        predict(ENVELOPE, power, present, staged, caps_mhz=caps, chips=2) for caps in ({}, {1: 500.0}, {1: 600.0})
    )
    assert plain is not None
    assert capped is not None
    assert above == plain
    assert plain.channels[Channel.CORE_W] / 1.2 == pytest.approx(1.10, abs=0.005)
    assert capped.channels[Channel.CORE_W] / 1.2 == pytest.approx(1.05, abs=0.005)


def test_the_limit_that_binds_is_named_a_trip_before_a_warning() -> None:
    assert first_limit(ENVELOPE, {Channel.CHIP_C: 60.0, Channel.POWER_W: 20.0}) is None
    assert first_limit(ENVELOPE, {Channel.CHIP_C: 67.0}) == "chip_c 67.0 of 66.0: warns"
    assert first_limit(ENVELOPE, {Channel.CHIP_C: 67.0, Channel.POWER_W: 30.0}) == "power_w 30.0 of 29.4: trips"


def test_a_point_that_would_run_away_is_estimated_as_a_trip_and_not_as_an_error() -> None:
    hot = {Channel.CORE_W: reading(25.0), Channel.CHIP_C: reading(70.0)}
    estimate = predict(ENVELOPE, hot, POINT, OperatingPoint(frequency_mhz=2000.0, core_v=2.0))
    assert estimate is not None
    assert estimate.binds is not None
    assert estimate.binds.endswith("trips")
