"""A change that nobody keeps goes back, by the rig's own doing and its own clock."""

from __future__ import annotations

import asyncio

import pytest

from controller.model import (
    AddRemark,
    CommandAccepted,
    CommandRefused,
    KeepPoint,
    Note,
    OperatingPoint,
    PointKept,
    PointPending,
    PointReverted,
    PowerDown,
    PowerUp,
    Remark,
    RevertPoint,
    SafeOff,
    SetOperatingPoint,
)
from drivers.boards.board import Channel
from drivers.errors import Latched, Refused
from emulator.benches import BenchSettings
from emulator.physics import PlantSettings
from tests.scenarios.gamma import NAME, Stand, stand

STOCK = OperatingPoint(frequency_mhz=525.0, core_v=1.150)
MORE = OperatingPoint(frequency_mhz=550.0, core_v=1.180)

WARM_ROOM = BenchSettings(plant=PlantSettings(ambient_c=32.0))


async def try_more(s: Stand, keep_within_s: float = 10.0) -> None:
    await s.rig.request(
        NAME,
        SetOperatingPoint(
            frequency_mhz=MORE.frequency_mhz, core_v=MORE.core_v, keep_within_s=keep_within_s, note="a little more"
        ),
    )


async def achieved(s: Stand) -> OperatingPoint:
    await asyncio.sleep(1.5)
    return (await s.snapshot()).boards[0].point.achieved


async def test_a_change_that_nobody_keeps_goes_back_when_its_time_is_over() -> None:
    async with stand() as s:
        await s.power_up()
        await try_more(s)
        began_s = asyncio.get_running_loop().time()
        pending = (await s.snapshot()).boards[0].pending
        assert pending is not None
        assert pending.revert_to == STOCK
        assert pending.until_s == pytest.approx(began_s + 10.0, abs=0.3)
        (on_trial,) = s.find(PointPending)
        assert (on_trial.point, on_trial.revert_to, on_trial.note) == (MORE, STOCK, "a little more")
        reverted = await s.wait_for(PointReverted)
        assert (reverted.left, reverted.point) == (MORE, STOCK)
        assert reverted.why == "not kept within 10 s"
        assert reverted.at_s - began_s < 12.0
        back = await achieved(s)
        assert back.frequency_mhz == pytest.approx(525.0, abs=1.0)
        assert back.core_v == pytest.approx(1.125, abs=0.01)
        assert (await s.snapshot()).boards[0].pending is None


async def test_a_change_that_is_kept_stays() -> None:
    async with stand() as s:
        await s.power_up()
        await try_more(s)
        await s.rig.request(NAME, KeepPoint())
        await asyncio.sleep(30.0)
        assert (await s.snapshot()).boards[0].point.requested == MORE
        assert [event.point for event in s.find(PointKept)] == [MORE]
        assert s.find(PointReverted) == []


async def test_a_change_goes_back_at_once_when_asked() -> None:
    async with stand() as s:
        await s.power_up()
        await try_more(s, 60.0)
        await s.rig.request(NAME, RevertPoint())
        assert (await s.snapshot()).boards[0].point.requested == STOCK
        assert s.find(PointReverted)[0].why == "asked for"
        with pytest.raises(Refused, match="no change is on trial"):
            await s.rig.request(NAME, RevertPoint())
        with pytest.raises(Refused, match="no change is on trial"):
            await s.rig.request(NAME, KeepPoint())


async def test_changes_on_trial_one_after_the_other_go_back_to_the_last_point_that_was_kept() -> None:
    async with stand() as s:
        await s.power_up()
        await try_more(s)
        await asyncio.sleep(8.0)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=575.0, keep_within_s=10.0))
        await asyncio.sleep(8.0)
        assert s.find(PointReverted) == []
        reverted = await s.wait_for(PointReverted)
        assert reverted.point == STOCK
        assert reverted.left.frequency_mhz == 575.0


async def test_a_later_change_that_is_meant_to_stay_ends_the_trial() -> None:
    async with stand() as s:
        await s.power_up()
        await try_more(s)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=560.0))
        await asyncio.sleep(20.0)
        assert s.find(PointReverted) == []
        assert s.find(PointKept)[0].why == "made to stay"


async def test_keeping_names_the_trial_it_means() -> None:
    async with stand() as s:
        await s.power_up()
        await try_more(s)
        first = (await s.snapshot()).boards[0].pending
        assert first is not None
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=560.0, keep_within_s=10.0))
        with pytest.raises(Refused, match="another change is on trial"):
            await s.rig.request(NAME, KeepPoint(until_s=first.until_s))
        second = (await s.snapshot()).boards[0].pending
        assert second is not None
        await s.rig.request(NAME, KeepPoint(until_s=second.until_s))


@pytest.mark.parametrize("stop", [SafeOff(), PowerDown()])
async def test_a_stop_ends_the_trial_and_nothing_comes_back(stop: SafeOff | PowerDown) -> None:
    async with stand() as s:
        await s.power_up()
        await try_more(s)
        await s.rig.request(NAME, stop)
        await asyncio.sleep(20.0)
        assert s.is_safe()
        assert s.find(PointReverted) == []
        assert s.find(Note) == []
        assert (await s.snapshot()).boards[0].pending is None


async def test_a_hotter_change_goes_back_as_soon_as_the_die_is_at_its_warning_level() -> None:
    async with stand(WARM_ROOM) as s:
        await s.power_up()
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=600.0, core_v=1.250, preset=True, keep_within_s=3600))
        reverted = await s.wait_for(PointReverted, within_s=600.0)
        assert reverted.why.startswith("chip_c is 66")
        assert reverted.point == STOCK


async def test_a_cooler_change_on_a_hot_board_does_not_go_back_for_the_heat() -> None:
    async with stand(WARM_ROOM) as s:
        await s.power_up(600.0, 1.250)
        for _ in range(600):
            chip = (await s.snapshot()).boards[0].channels[Channel.CHIP_C]
            if chip.value is not None and chip.value >= 66.5:
                break
            await asyncio.sleep(1.0)
        else:
            raise AssertionError("never got warm")
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=575.0, keep_within_s=30.0))
        await asyncio.sleep(5.0)
        assert s.find(PointReverted) == []


async def test_a_way_back_that_the_guard_refuses_is_tried_again_and_told_once() -> None:
    async with stand() as s:
        await s.power_up(525.0, 1.200)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=500.0, keep_within_s=5.0))
        s.bench.faults.nak("emc2101")
        await asyncio.sleep(1.2)  # die unknown for longer than a rising clock allows, not long enough for a trip
        assert s.find(PointReverted) == []
        s.bench.faults.heal("emc2101")
        await s.wait_for(PointReverted)


async def test_a_dry_run_answers_as_the_guard_would_and_leaves_no_trace() -> None:
    async with stand() as s:
        await s.rig.request(NAME, PowerUp(dry_run=True))
        with pytest.raises(Refused, match=r"core_v 1\.4 V is outside 1 to 1\.25 V"):
            await s.rig.request(NAME, PowerUp(core_v=1.4, dry_run=True))
        await s.power_up()
        before = (await s.snapshot()).boards[0].point
        accepted = len(s.find(CommandAccepted))
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=550.0, dry_run=True))
        with pytest.raises(Refused, match="100 MHz in one command; at most 50 MHz"):
            await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=625.0, dry_run=True))
        assert (await s.snapshot()).boards[0].point.requested == before.requested
        assert len(s.find(CommandAccepted)) == accepted
        assert s.find(CommandRefused) == []


async def test_a_trip_during_a_trial_leaves_nothing_to_go_back_to() -> None:
    async with stand() as s:
        await s.power_up()
        await try_more(s)
        s.bench.faults.stall_fan()
        await s.fault()
        await asyncio.sleep(20.0)
        assert s.is_safe()
        assert s.find(PointReverted) == []
        with pytest.raises((Refused, Latched)):
            await s.rig.request(NAME, KeepPoint())


async def test_a_remark_is_a_line_of_the_history() -> None:
    async with stand() as s:
        await s.rig.request(NAME, AddRemark(text="new paste since this morning"))
        assert (await s.wait_for(Remark)).text == "new paste since this morning"


async def test_a_change_that_gets_stuck_on_its_way_goes_back_at_once() -> None:
    async with stand() as s:
        await s.power_up()
        change = asyncio.create_task(s.rig.request(NAME, SetOperatingPoint(frequency_mhz=575.0, keep_within_s=3600.0)))
        await asyncio.sleep(0.15)
        s.bench.faults.source_v(4.95)  # input below its warning level, above its trip: no more clock above stock
        with pytest.raises(Refused, match=r"throttle: input_v: 4\.[67]"):
            await change
        reverted = await s.wait_for(PointReverted)
        assert reverted.why.startswith("stopped short: throttle: input_v")
        assert reverted.point == STOCK
        assert s.find(PointPending) == []
        point = (await s.snapshot()).boards[0].point
        assert point.granted.frequency_mhz == pytest.approx(525.0, abs=1.0)
        assert (await s.snapshot()).boards[0].pending is None


async def test_a_change_for_good_that_has_to_give_way_is_refused_and_the_board_is_back_where_it_was() -> None:
    async with stand() as s:
        await s.power_up()
        change = asyncio.create_task(s.rig.request(NAME, SetOperatingPoint(frequency_mhz=575.0)))
        await asyncio.sleep(0.15)
        s.bench.faults.source_v(4.95)
        with pytest.raises(Refused, match="input_v"):
            await change
        await asyncio.sleep(5.0)
        point = (await s.snapshot()).boards[0].point
        assert point.requested == STOCK
        assert point.granted.frequency_mhz == pytest.approx(525.0, abs=1.0)
        assert s.find(PointReverted) == []
