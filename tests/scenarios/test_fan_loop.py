"""The fan follows on an emulated board: it settles, gives way to heat, and no fault of it is found later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from controller.model import (
    Cause,
    ClearFault,
    FanMode,
    GuardState,
    Note,
    PowerDown,
    Quality,
    Reading,
    SafeOff,
    SetFan,
    SetOperatingPoint,
    StartWork,
)
from drivers.boards.board import Channel
from emulator.benches import BenchSettings
from tests.scenarios.gamma import NAME, Stand, stand

AUTO = SetFan(mode=FanMode.AUTO)


async def begin(s: Stand, wish: SetFan = AUTO, frequency_mhz: float = 525.0, core_v: float = 1.15) -> None:
    await s.rig.request(NAME, wish)
    await s.power_up(frequency_mhz, core_v)
    await s.rig.request(NAME, StartWork(work="synthetic", ticket_difficulty=256))


def truth(s: Stand, name: str) -> float:
    return float(s.bench.truth(asyncio.get_running_loop().time())[name])


async def hottest(s: Stand, for_s: float) -> float:
    most = 0.0
    for _ in range(round(for_s * 10)):
        await asyncio.sleep(0.1)
        most = max(most, truth(s, "die_c"))
    return most


async def die_reads(s: Stand, what: Callable[[Reading], bool], within_s: float = 120.0) -> None:
    async with asyncio.timeout(within_s):
        async for snapshot in s.rig.snapshots():
            if what(snapshot.boards[0].channels[Channel.CHIP_C]):
                return


async def test_it_settles_at_its_target_and_holds_it_through_a_warmer_room() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=25.0)) as s:
        await begin(s)
        await asyncio.sleep(700.0)
        duty = truth(s, "fan_duty")
        assert 0.5 < duty < 0.8
        assert truth(s, "die_c") == pytest.approx(60.0, abs=1.5)
        s.bench.faults.ambient_c(27.0)
        assert await hottest(s, 400.0) < 62.5
        assert truth(s, "die_c") == pytest.approx(60.0, abs=1.5)
        assert truth(s, "fan_duty") > duty + 0.05
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LIVE
        assert board.fan is not None
        assert board.fan.why_full is None
        turns = [move.at_s for move in s.bench.actuations if move.what == "fan duty"]
        assert len(turns) < 120, "it hunts"


async def test_a_fan_that_stalls_while_it_follows_trips_in_time() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=25.0)) as s:
        await begin(s)
        await asyncio.sleep(700.0)
        struck_s = asyncio.get_running_loop().time()
        s.bench.faults.stall_fan()
        most_c = await hottest(s, 10.0)
        fault = await s.fault()
        assert fault.cause is Cause.FAN
        assert fault.at_s - struck_s < 6.0
        assert most_c < 78.0
        assert s.is_safe()


async def test_a_fan_that_wears_out_while_it_follows_is_told_and_gets_full() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=20.0)) as s:
        await begin(s, frequency_mhz=450.0, core_v=1.10)
        await asyncio.sleep(200.0)
        assert truth(s, "fan_duty") < 0.5
        s.bench.faults.degrade_fan(ratio=0.6)
        await asyncio.sleep(12.0)
        assert truth(s, "fan_duty") == 1.0
        (note,) = [note for note in s.find(Note) if "fan" in note.text]
        assert note.level == "warn"
        assert note.text.startswith("fan degraded: ")
        assert s.rig.snapshot().boards[0].state is GuardState.LIVE


async def test_a_die_that_nobody_knows_means_full_before_it_trips() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=20.0)) as s:
        await begin(s, frequency_mhz=450.0, core_v=1.10)
        await asyncio.sleep(200.0)
        assert truth(s, "fan_duty") < 0.5
        s.bench.faults.open_diode()
        fault = await s.fault()
        assert fault.cause is Cause.SENSOR_INVALID
        assert fault.snapshot is not None
        assert fault.snapshot.fan is not None
        assert truth(s, "fan_duty") == 1.0
        assert s.is_safe()


async def test_a_die_that_is_doubted_means_full_with_the_sweep_that_doubts_it_and_seconds_before_the_trip() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=20.0)) as s:
        await begin(s, frequency_mhz=450.0, core_v=1.10)
        await asyncio.sleep(200.0)
        assert truth(s, "fan_duty") < 0.5
        s.bench.faults.freeze_channel(channel="chip_c")
        await die_reads(s, lambda reading: reading.quality is not Quality.GOOD)
        doubted_s = asyncio.get_running_loop().time()
        await asyncio.sleep(0.2)
        assert truth(s, "fan_duty") == 1.0
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LIVE
        assert board.fan is not None
        assert board.fan.why_full == "chip_c is not known"
        fault = await s.fault()
        assert fault.cause is Cause.SENSOR_INVALID
        assert fault.at_s - doubted_s > 4.0


async def test_a_fan_that_somebody_holds_at_a_floor_is_at_full_when_the_die_reaches_its_warning_level() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=20.0)) as s:
        await begin(s, SetFan(mode=FanMode.AUTO, floor_ratio=0.6))
        await asyncio.sleep(300.0)
        assert truth(s, "fan_duty") == pytest.approx(0.6, abs=0.02)
        s.bench.faults.offset(channel="chip_c", by=17.5, over_s=30.0)
        await die_reads(s, lambda reading: (reading.value or 0.0) > 66.0)
        await asyncio.sleep(0.2)
        assert truth(s, "fan_duty") == 1.0
        board = s.rig.snapshot().boards[0]
        assert board.state is GuardState.LIVE
        assert board.fan is not None
        assert board.fan.why_full == "chip_c is above its warning level, 66 C"


async def test_a_move_above_stock_waits_for_nothing_and_has_the_fan_at_full_first() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=15.0)) as s:
        await begin(s)
        await asyncio.sleep(300.0)
        assert truth(s, "fan_duty") < 0.6
        before = len(s.bench.actuations)
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=550.0))
        first = s.bench.actuations[before]
        assert (first.what, first.detail) == ("fan duty", "1.000")
        await asyncio.sleep(300.0)
        assert truth(s, "fan_duty") == 1.0
        board = s.rig.snapshot().boards[0]
        assert board.fan is not None
        assert board.fan.why_full == "the point is above stock"
        await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=525.0))
        await asyncio.sleep(300.0)
        assert truth(s, "fan_duty") < 0.6


async def test_the_wish_outlives_a_power_down_and_the_fan_is_full_after_the_stop_and_until_the_next_warmth() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=20.0)) as s:
        await begin(s, frequency_mhz=450.0, core_v=1.10)
        await asyncio.sleep(200.0)
        assert truth(s, "fan_duty") < 0.5
        await s.rig.request(NAME, PowerDown())
        assert s.is_safe()
        await asyncio.sleep(9.0)
        assert truth(s, "fan_duty") == 1.0
        await asyncio.sleep(51.0)
        assert truth(s, "fan_duty") == pytest.approx(0.30, abs=0.02)
        await s.power_up(450.0, 1.10)
        assert truth(s, "fan_duty") == 1.0
        await asyncio.sleep(200.0)
        assert truth(s, "fan_duty") < 0.5
        await s.rig.request(NAME, SetFan())
        await asyncio.sleep(1.0)
        assert truth(s, "fan_duty") == 1.0


async def test_a_safe_off_in_the_middle_of_a_turn_ends_with_the_fan_at_full() -> None:
    for delay_s in (0.0, 0.002, 0.005, 0.010, 0.015, 0.020):
        async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=20.0)) as s:
            await begin(s, frequency_mhz=450.0, core_v=1.10)
            for _ in range(100_000):
                if any(task.get_name() == f"{NAME} fan" for task in asyncio.all_tasks()):
                    break
                await asyncio.sleep(0.001)
            else:
                raise AssertionError("it never turned")
            await asyncio.sleep(delay_s)
            await s.rig.request(NAME, SafeOff(reason="in the middle"))
            assert s.is_safe()


async def test_a_fan_controller_that_does_not_take_its_duty_twice_trips_as_actuation() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=20.0)) as s:
        await begin(s, frequency_mhz=450.0, core_v=1.10)
        await asyncio.sleep(25.0)
        s.bench.faults.ignore_writes(command="FAN_SETTING", count=99, part="emc2101")
        fault = await s.fault(within_s=200.0)
        assert fault.cause is Cause.ACTUATION
        assert fault.sensor == Channel.FAN_RATIO.value
        truth_now = s.bench.truth(asyncio.get_running_loop().time())
        assert truth_now["reset_asserted"]
        assert not truth_now["rail_on"]


async def test_a_move_above_stock_in_the_middle_of_a_turn_moves_the_fan_after_it_and_trips_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for delay_s in (0.0, 0.002, 0.004):
        async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=20.0)) as s:
            await begin(s)
            await asyncio.sleep(70.0)
            for _ in range(100_000):
                if truth(s, "fan_duty") < 0.95 and any(t.get_name() == f"{NAME} fan" for t in asyncio.all_tasks()):
                    break
                await asyncio.sleep(0.0005)
            else:
                raise AssertionError("it never turned")
            await asyncio.sleep(delay_s)
            await s.rig.request(NAME, SetOperatingPoint(frequency_mhz=550.0))
            await asyncio.sleep(2.0)
            board = s.rig.snapshot().boards[0]
            assert (board.state, board.latched) == (GuardState.LIVE, None), delay_s
            assert truth(s, "fan_duty") == 1.0
    assert "read back" not in caplog.text, "neither saw what the other had written"


async def test_after_off_it_is_full_until_the_die_is_cool_then_slow_and_full_again_before_the_next_rail() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31, ambient_c=25.0)) as s:
        await begin(s)
        await asyncio.sleep(300.0)
        assert truth(s, "die_c") > 55.0
        await s.rig.request(NAME, PowerDown())
        assert s.is_safe(), "a safe-off is confirmed with the fan at full"
        off_s = asyncio.get_running_loop().time()
        while truth(s, "fan_duty") == 1.0:
            await asyncio.sleep(0.2)
            assert asyncio.get_running_loop().time() - off_s < 300.0
        assert asyncio.get_running_loop().time() - off_s >= 10.0
        assert truth(s, "die_c") < 51.0
        assert truth(s, "vr_c") < 52.0
        assert truth(s, "fan_duty") == pytest.approx(0.30, abs=0.02)
        await asyncio.sleep(600.0)
        assert truth(s, "fan_duty") == pytest.approx(0.30, abs=0.02), "it does not stop"
        before = len(s.bench.actuations)
        await s.power_up()
        moves = [move.what for move in s.bench.actuations[before:] if move.what in ("fan duty", "rail on")]
        assert moves[0] == "fan duty"
        assert truth(s, "fan_duty") == 1.0
        assert s.rig.snapshot().boards[0].state is GuardState.LIVE


@pytest.mark.parametrize("fault", ["open_diode", "nak", "misread"])
async def test_a_die_that_is_not_known_while_off_means_full(fault: str) -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31)) as s:
        await begin(s)
        await s.rig.request(NAME, SafeOff(reason="enough"))
        await asyncio.sleep(60.0)
        assert truth(s, "fan_duty") == pytest.approx(0.30, abs=0.02)
        if fault == "nak":
            s.bench.faults.nak("tps546")  # the rail is not known any more, nor the regulator's temperature
        elif fault == "misread":
            s.bench.faults.misread("chip_c", 127.0)
        else:
            s.bench.faults.open_diode()
        await asyncio.sleep(4.0)
        assert truth(s, "fan_duty") == 1.0


async def test_a_latched_board_a_rig_that_ends_and_a_person_who_wants_it_full_have_it_full() -> None:
    async with stand(BenchSettings(seed=1, dilution=2**31)) as s:
        await begin(s)
        s.bench.faults.trip_rail()
        await s.fault()
        await asyncio.sleep(300.0)
        assert s.is_safe()
        s.bench.faults.trip_rail(off=True)
        await s.rig.request(NAME, ClearFault())
        await asyncio.sleep(20.0)
        assert truth(s, "fan_duty") == pytest.approx(0.30, abs=0.02)
        await s.rig.request(NAME, SetFan())
        await asyncio.sleep(1.0)
        assert truth(s, "fan_duty") == 1.0
        await s.rig.request(NAME, AUTO)
        await asyncio.sleep(1.0)
        assert truth(s, "fan_duty") < 0.5
    assert s.is_safe()
